"""A run as a timeline: the tree of its steps on the left, bars on the right.

Pure: a track and a `Scale` become a line. The monitor and its text snapshot draw the
same. Neighbours: `tracks` makes the rows, `axis` and `bars` what is on the right.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nbflow.view.axis import Scale, Stretch, horizon, idle, ruler
from nbflow.view.bars import (
    WORK,
    bar_cells,
    free_left,
    free_right,
    spans_of,
    with_grid,
)
from nbflow.view.board import Board
from nbflow.view.text import Line, Span, cut, fit, line, pad, width_of
from nbflow.view.tracks import Life, Track, opens_by_itself, tracks
from nbflow.view.tree import Tree
from nbflow.view.words import Look, badge, passed, took, until

NO_BARS = 46
"""Columns below which there are no bars, but what they would say as text."""
_LEAST_NOTE = 8
_LEAST_ZOOM = 0.001


def extent(
    rows: Iterable[Track], life: Life, now: dt.datetime
) -> tuple[dt.datetime, dt.datetime]:
    """When a run began and ended, or how far its axis reaches while it goes on."""
    starts = [piece.start for row in rows for piece in row.pieces[:1]]
    begun = [each for each in (life.queued, *starts) if each]
    start = min(begun, default=now)
    if life.ended is not None:
        return start, max(life.ended, start + dt.timedelta(milliseconds=1))
    return start, horizon(start, max(now, start))


def quiet(
    rows: Iterable[Track], start: dt.datetime, end: dt.datetime, now: dt.datetime
) -> list[Stretch]:
    """The long stretches in which no row works."""
    busy = [
        Stretch(piece.start, piece.end or now)
        for row in rows
        for piece in row.pieces
        if piece.letter in WORK
    ]
    return idle(busy, start, min(end, now))


class Zoom(NamedTuple):
    """A part of a run's axis that is looked at.

    `shift` is how far its right edge lies before the right edge of all; with 0 it goes
    with what goes on.
    """

    seconds: float
    shift: float = 0.0

    def within(
        self, start: dt.datetime, end: dt.datetime
    ) -> tuple[dt.datetime, dt.datetime]:
        """Its edges, on an axis from `start` to `end`."""
        whole = (end - start).total_seconds()
        seconds = min(self.seconds, whole)
        shift = min(max(self.shift, 0.0), whole - seconds)
        right = end - dt.timedelta(seconds=shift)
        return right - dt.timedelta(seconds=seconds), right


def zoomed(
    zoom: Zoom | None,
    start: dt.datetime,
    end: dt.datetime,
    by: float,
    about: dt.datetime | None = None,
) -> Zoom | None:
    """A zoom that shows `by` times the time; None where that is all of the axis.

    Args:
        zoom: the present one, if any.
        start: of the whole axis.
        end: of the whole axis.
        by: 0.5 shows half of the time.
        about: the moment that comes to the middle; without it the middle stays.
    """
    left, right = (start, end) if zoom is None else zoom.within(start, end)
    whole = (end - start).total_seconds()
    seconds = max((right - left).total_seconds() * by, _LEAST_ZOOM)
    if seconds >= whole:
        return None
    middle = left + (right - left) / 2 if about is None else about
    shift = (end - middle).total_seconds() - seconds / 2
    return Zoom(seconds, min(max(shift, 0.0), whole - seconds))


def scale_of(
    rows: Sequence[Track],
    life: Life,
    width: int,
    now: dt.datetime,
    is_compact: bool | None = None,
    zoom: Zoom | None = None,
) -> Scale:
    """The axis of a run.

    Args:
        rows: what is drawn along it.
        life: of the run.
        width: cells.
        now: the time.
        is_compact: fold idle stretches; None: where they are the most of it.
        zoom: the part of it that is looked at, to scale.
    """
    start, end = extent(rows, life, now)
    if zoom is not None:
        return Scale(*zoom.within(start, end), width, origin=start)
    folds = [] if is_compact is False else quiet(rows, start, end, now)
    if is_compact is None:
        folded = sum((f.end - f.start for f in folds), dt.timedelta())
        if folded < (min(end, now) - start) * 0.6:
            folds = []
    if folds and life.ended is None:
        end = min(end, max(now, start))
    return Scale(start, end, width, folds)


class Columns(NamedTuple):
    """How a line of `width` cells is divided."""

    name: int
    bar: int
    time: int

    @classmethod
    def of(cls, width: int) -> "Columns":
        """Divide a width; without bars where it is too small for them."""
        time = 11 if width >= 34 else 0
        if width < NO_BARS:
            return cls(max(min(width // 2, 30), 1), 0, time)
        name = min(max(width * 34 // 100, 18), 44)
        return cls(name, width - name - time - 3, time)


def track_line(
    track: Track, scale: Scale, look: Look, now: dt.datetime, width: int
) -> Line:
    """One row of a timeline, cut to `width` cells."""
    columns = Columns.of(width)
    name = _name(track, look, columns.name)
    time = Span(pad(_time(track, now), columns.time, right=True), "dim")
    said = _note(track, now, look)
    if columns.bar:
        middle: Line = _bar(track, said, scale, look, now)
        return fit(line(name, " ", middle, " ", time), width, look.end)
    room = max(width - columns.name - columns.time - 2, 0)
    return fit(line(name, " ", time, "  ", fit(said, room, look.end)), width, look.end)


def ruler_line(scale: Scale, look: Look, width: int, title: Line = ()) -> Line:
    """The line above the rows: what the columns are, and the time since the start."""
    columns = Columns.of(width)
    named = fit(title, columns.name, look.end)
    fill = " " * (columns.name - width_of(named))
    if not columns.bar:
        return fit(line(named, fill), width, look.end)
    return fit(line(named, fill, " ", ruler(scale, look)), width, look.end)


def timeline_lines(
    board: Board, look: Look, now: dt.datetime, *, width: int
) -> list[Line]:
    """A whole run as text: ruler and rows."""
    tree = _grown(board)
    trees = {run_id: _grown(child) for run_id, child in board.children.items()}
    rows = list(tracks(tree, opens_by_itself, trees))
    if not rows:
        return []
    scale = scale_of(rows, Life.of(board), Columns.of(width).bar, now)
    lines = [track_line(row, scale, look, now, width) for row in rows]
    return [ruler_line(scale, look, width), *lines] if width >= NO_BARS else lines


def _grown(board: Board) -> Tree:
    tree = Tree(board)
    tree.place((*board.steps.values(), *board.maps.values()))
    return tree


def _name(track: Track, look: Look, width: int) -> Line:
    fold = "  "
    if track.is_open is not None:
        fold = f"{look.fold(is_open=track.is_open)} "
    sign = badge(track.status, look)
    room = max(width - 2 * track.depth - 4, 1)
    name = pad(cut(track.name, room, look.end), room)
    role = "strong" if track.is_failed else ("" if track.attempt == 0 else "dim")
    return fit(
        line("  " * track.depth, Span(fold, "dim"), sign, " ", Span(name, role)),
        width,
        look.end,
    )


def _time(track: Track, now: dt.datetime) -> str:
    if track.seconds is not None:
        return took(track.seconds)
    return "" if track.since is None else passed(track.since, now)


def _note(track: Track, now: dt.datetime, look: Look) -> Line:
    """What is said beside a bar; the countdown first, it matters most."""
    if track.due is None:
        return track.note
    what, moment = track.due
    role = {"wakes": "rest", "ends": "warn"}.get(what, "again")
    due = (Span(f"{what} {until(moment, now)}", role),)
    if not track.note:
        return due
    dot = Span(look.dot(), "dim")
    # The time of a wait is its limit; that of others is when they go on.
    return (*track.note, dot, *due) if what == "ends" else (*due, dot, *track.note)


def _bar(track: Track, said: Line, scale: Scale, look: Look, now: dt.datetime) -> Line:
    """The bar, and what is said beside it where there is room for it."""
    drawn = bar_cells(track.pieces, scale, look, now)
    right, left = free_right(drawn) - 1, free_left(drawn) - 1
    drawn = with_grid(drawn, scale, look)
    if not said:
        return spans_of(drawn)
    need = width_of(said)
    if track.due is not None and max(right, left) < need:
        # A countdown is to be seen; it may cover the end of what it tells of.
        start = max(scale.width - need, 1)
        text = fit(said, scale.width - start, look.end)
        return (*spans_of(drawn[: start - 1]), Span(" "), *text)
    if right >= min(need, _LEAST_NOTE) and (right >= need or right >= left):
        text = fit(said, right, look.end)
        start = scale.width - right
        end = min(start + width_of(text) + 1, scale.width)
        gap = Span(" " * (end - start - width_of(text)))
        return (*spans_of(drawn[:start]), *text, gap, *spans_of(drawn[end:]))
    if left >= min(need, _LEAST_NOTE):
        text = fit(said, left, look.end)
        start = left - width_of(text)
        return (*spans_of(drawn[:start]), *text, *spans_of(drawn[left:]))
    return spans_of(drawn)

"""The timeline of a run: its steps as a tree, their times as bars."""

import datetime as dt
from collections.abc import Hashable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from nbflow.view import Line, Look, Span, line, number
from nbflow.view.axis import Scale
from nbflow.view.timeline import (
    Columns,
    Zoom,
    extent,
    ruler_line,
    scale_of,
    track_line,
    zoomed,
)
from nbflow.view.tracks import Key, Life, Track
from nbflow_tui.lines import LineList

_NOBODY = Life(None, None, None)


class Timeline(LineList[Track]):
    """The rows of one run."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "unfold", "unfold", id="timeline.unfold", show=False),
        Binding("left,h", "fold", "fold", id="timeline.fold", show=False),
        Binding("space", "turn", "fold", id="timeline.turn"),
        Binding("t", "compact", "time scale", id="timeline.scale"),
        Binding("plus,equals_sign", "zoom(0.5)", "zoom in", id="timeline.in"),
        Binding("minus", "zoom(2)", "zoom out", id="timeline.out", show=False),
        Binding("0", "whole", "all of the time", id="timeline.all", show=False),
        Binding(
            "less_than_sign,shift+left",
            "shift(-1)",
            "earlier",
            id="timeline.earlier",
            show=False,
        ),
        Binding(
            "greater_than_sign,shift+right",
            "shift(1)",
            "later",
            id="timeline.later",
            show=False,
        ),
        Binding("n", "failure(1)", "next failure", id="timeline.next"),
        Binding("N", "failure(-1)", "failure before", id="timeline.before", show=False),
    ]

    class Turned(Message):
        """Other rows are to be shown open."""

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.turned: frozenset[Key] = frozenset()
        self.life = _NOBODY
        self.is_compact: bool | None = None
        self.blank: Line = ()
        self.zoom: Zoom | None = None
        self._scale: Scale | None = None

    def key_of(self, item: Track) -> Hashable:
        """Run, node and attempt."""
        return item.key

    def is_live(self, item: Track) -> bool:
        """While the run goes on, its axis may move."""
        return item.is_live or self.life.ended is None

    def empty(self) -> Line:
        """Why there is nothing."""
        return self.blank

    def take(self, rows: Sequence[Track], life: Life, now: dt.datetime) -> None:
        """Show these rows."""
        self.life = life
        self._measure(now, rows)
        self.set_items(rows, now)

    def tick(self, now: dt.datetime) -> None:
        """Time has passed."""
        if self.life.ended is None:
            self._measure(now)
        super().tick(now)

    @property
    def has_bars(self) -> bool:
        """Whether there is room for bars."""
        return Columns.of(self.columns).bar > 0

    def ruler(self) -> Line:
        """The line above the rows."""
        if self._scale is None or not self.items:
            return ()
        return ruler_line(self._scale, self.look, self.columns, self._title())

    def _title(self) -> Line:
        """How far the time is zoomed."""
        if self.zoom is None:
            return ()
        start, end = extent(self.items, self.life, self.now)
        share = (end - start).total_seconds() / self.zoom.seconds
        times = "×" if self.look.unicode else "x"
        told = f" {times}{number(round(share, 0 if share >= 10 else 1))}"
        return line(Span(told, "busy"), Span("  0 shows all", "dim"))

    def draw(self, item: Track, width: int, now: dt.datetime) -> Line:
        """Tree, bar, time."""
        if self._scale is None or self._scale.width != max(Columns.of(width).bar, 1):
            self._measure(now)
        assert self._scale is not None
        return track_line(item, self._scale, self.look, now, width)

    def _measure(self, now: dt.datetime, rows: Sequence[Track] | None = None) -> None:
        width = Columns.of(self.columns).bar
        rows = self.items if rows is None else rows
        self._scale = scale_of(rows, self.life, width, now, self.is_compact, self.zoom)

    def action_unfold(self) -> None:
        """Show what is below this row."""
        if self.item is not None and self.item.is_open is False:
            self.action_turn()

    def action_fold(self) -> None:
        """Hide what is below this row, or go to the row it is below of."""
        track = self.item
        if track is None:
            return
        if track.is_open:
            self.action_turn()
            return
        for place in range(self.cursor - 1, -1, -1):
            if self.items[place].depth < track.depth:
                self.move_to(place)
                return

    def action_turn(self) -> None:
        """Show or hide what is below this row."""
        track = self.item
        if track is not None and track.is_open is not None:
            self.turned ^= {track.key}
            self.post_message(self.Turned())

    def action_compact(self) -> None:
        """Idle time folded, or all of it drawn to scale."""
        if self.is_compact is None:
            self.is_compact = not (self._scale is not None and self._scale.folded())
        else:
            self.is_compact = not self.is_compact
        self._set_zoom(None)

    def action_zoom(self, by: float) -> None:
        """More of the time, or less; the row under the cursor comes to the middle."""
        start, end = extent(self.items, self.life, self.now)
        self._set_zoom(zoomed(self.zoom, start, end, by, self._middle(by)))

    def action_whole(self) -> None:
        """All of the time."""
        self._set_zoom(None)

    def action_shift(self, by: int) -> None:
        """Half a screen earlier or later."""
        if self.zoom is not None:
            start, end = extent(self.items, self.life, self.now)
            left, right = self.zoom.within(start, end)
            about = left + (right - left) / 2 + (right - left) / 2 * by
            self._set_zoom(zoomed(self.zoom, start, end, 1, about))

    def reset(self) -> None:
        """Another run is to be shown."""
        self.is_compact = self.zoom = None
        self.blank = ()

    def _middle(self, by: float) -> dt.datetime | None:
        """What to zoom into: the middle of what the row under the cursor did."""
        track = self.item
        if by >= 1 or track is None or not track.pieces:
            return None
        first, last = track.pieces[0].start, track.pieces[-1].end or self.now
        return first + (last - first) / 2

    def _set_zoom(self, zoom: Zoom | None) -> None:
        self.zoom = zoom
        self._measure(self.now)
        self.repaint()
        self.post_message(self.Turned())

    def action_failure(self, by: int) -> None:
        """To the next failure, or the one before."""
        count = len(self.items)
        for step in range(1, count + 1):
            place = (self.cursor + by * step) % count
            if self.items[place].is_failed:
                self.move_to(place)
                return
        self.notify("nothing has failed in this run", timeout=3)

"""A list of runs, one line each: what it is, what it does and until when.

Pure; the monitor draws it. Neighbour: `tables` has the list of the command line.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from nbflow.model import Run, RunStatus, StepStatus
from nbflow.view.board import Board, first_line
from nbflow.view.families import Facts
from nbflow.view.rows import progress_text
from nbflow.view.states import PRESSING
from nbflow.view.text import Line, Span, cells, cut, fit, line, pad, width_of
from nbflow.view.words import (
    Look,
    ago,
    badge,
    mark,
    passed,
    preview_text,
    took,
    until,
    word,
)

RunKey: TypeAlias = tuple[str, str]
"""A run of a home: its app and its id."""

_ORDER = (
    RunStatus.RUNNING,
    RunStatus.QUEUED,
    RunStatus.FAILED,
    RunStatus.CANCELED,
    RunStatus.SKIPPED,
    RunStatus.COMPLETED,
)
assert set(_ORDER) == set(RunStatus)


class Doing(NamedTuple):
    """What a live run does: a sign's status, a text, and what comes when."""

    status: str
    text: Line = ()
    due: tuple[str, dt.datetime] | None = None


class Entry(NamedTuple):
    """One row of a list of runs, frozen."""

    key: RunKey
    run: Run
    doing: Doing | None = None  # of a live one, as far as it is known
    depth: int = 0
    is_open: bool | None = None  # whether its children are shown; None: it has none
    children: int = 0
    is_left: bool = False  # nobody executes it
    is_past: bool = False  # does not pass the filter any more
    note: str = ""  # what was asked of it a moment ago: "canceling…"

    @property
    def is_live(self) -> bool:
        """Whether its line changes with time."""
        return not self.run.is_ended


def doing(run: Run, board: Board | None, reason: str | None = None) -> Doing:
    """What a live run does.

    Args:
        run: its record.
        board: what its events say, as far as they are known.
        reason: why it has not begun, where that is known.
    """
    if run.status is RunStatus.QUEUED and run.not_before and run.started_at is None:
        return Doing("queued", (), ("starts", run.not_before))
    if board is None:
        return Doing(run.status)
    if board.retry_at is not None:
        told = line(Span(board.error or "", "again"))
        return Doing("retrying", told, (f"try {board.attempt + 1}", board.retry_at))
    for status in PRESSING:
        count = board.counts[status]
        if count:
            facts = next(f for f in board.open.values() if f.status is status)
            return _step(run, facts, count)
    if run.status is RunStatus.QUEUED:
        return Doing("queued", (Span(reason or "queued", "dim"),))
    if board.progress is not None and board.progress.done is not None:
        return Doing("running", (Span(progress_text(board.progress)),))
    return Doing(run.status)


def _step(run: Run, facts: Facts, count: int) -> Doing:
    status, more = facts.status, f" (+{count - 1:,})" if count > 1 else ""
    name = line(Span(f"{facts.name}{more}"))
    if status is StepStatus.RETRYING:
        told = line(name, " ", Span(facts.error or "", "again"))
        return Doing(status, told, _due(f"try {facts.attempt + 1}", facts))
    if status is StepStatus.WAITING:
        what = f"event {facts.event}" if facts.event else "an answer"
        if facts.question:
            what = f"asks: {facts.question}"
        return Doing(status, line(Span(f"{what}{more}", "warn")), _due("until", facts))
    if status is StepStatus.SLEEPING:
        return Doing(status, name, _due("wakes", facts))
    if status is StepStatus.INVOKING:
        what = f"{facts.target or facts.name}{more}"
        return Doing(status, line(what), _due("until", facts))
    if status is StepStatus.QUEUED:
        if facts.flow_key is None:
            return Doing(run.status, name)
        place = f", place {facts.place + 1}" if facts.place is not None else ""
        return Doing(status, line(Span(f"{facts.flow_key}{place}{more}", "dim")))
    if facts.done is not None:
        return Doing(status, line(name, " ", Span(progress_text(facts), "dim")))
    return Doing(status, name)


def _due(what: str, facts: Facts) -> tuple[str, dt.datetime] | None:
    return None if facts.until is None else (what, facts.until)


# Lines


class Places(NamedTuple):
    """How a line is divided; 0: the column is left out."""

    name: int
    id: int
    said: int
    when: int
    took: int

    @classmethod
    def of(cls, width: int) -> "Places":
        """Divide a width."""
        took_at = 11 if width >= 30 else 0
        when = 11 if width >= 72 else 0
        run_id = 19 if width >= 96 else 0
        name = min(max(width * 42 // 100, 10), 26)
        used = name + took_at + when + run_id + sum(map(bool, (took_at, when, run_id)))
        return cls(name, run_id, max(width - used - 1, 0), when, took_at)


def list_line(
    entry: Entry,
    look: Look,
    now: dt.datetime,
    width: int,
    *,
    is_mixed: bool = False,
    is_marked: bool = False,
) -> Line:
    """A run in one line of at most `width` cells.

    Args:
        entry: the run.
        look: what can be shown.
        now: the time.
        width: cells.
        is_mixed: name the app.
        is_marked: the user has marked it.
    """
    places = Places.of(width)
    parts: list[Span | Line | str] = [
        _named(entry, look, places.name, is_mixed, is_marked)
    ]
    if places.id:
        parts += [
            " ",
            Span(pad(cut(entry.run.run_id, places.id, look.end), places.id), "dim"),
        ]
    said = fit(what(entry, look, now), places.said, look.end)
    parts += [" ", said, " " * (places.said - width_of(said))]
    if places.when:
        queued = entry.run.queued_at
        text = "" if queued is None else ago(queued, now)
        parts += [" ", Span(pad(text, places.when, right=True), "dim")]
    if places.took:
        parts += [
            " ",
            Span(pad(_lasted(entry.run, now), places.took, right=True), "dim"),
        ]
    made = fit(line(*parts), width, look.end)
    return tuple(Span(text, "dim") for text, _ in made) if entry.is_past else made


def status_of(entry: Entry) -> str:
    """The status whose sign stands before a run: that of what it does."""
    if entry.run.is_ended or entry.doing is None:
        return entry.run.status
    return entry.doing.status


def what(entry: Entry, look: Look, now: dt.datetime) -> Line:
    """What a run does, or how it has ended."""
    run = entry.run
    if entry.note:
        return line(Span(entry.note, "again"))
    if run.is_ended:
        return _outcome(run)
    parts: list[Span | Line] = []
    if entry.is_left:
        parts.append(Span("no engine", "warn"))
    found = entry.doing or Doing(run.status)
    if found.due is not None:
        verb, moment = found.due
        said = mark(found.status)
        parts.append(Span(f"{verb} {until(moment, now)}", said.role))
    if found.text:
        # A question matters more than until when it may be answered.
        place = 0 if found.status == StepStatus.WAITING else len(parts)
        parts.insert(place, found.text)
    if not parts:
        parts.append(word(found.status))
    joined: list[Span | Line] = []
    for place, part in enumerate(parts):
        joined += [Span(look.dot(), "dim"), part] if place else [part]
    return line(*joined)


def counts_line(
    counts: Mapping[str, int], look: Look, *, is_told: bool = False
) -> Line:
    """How many runs there are of each status: signs and numbers, and words if told."""
    parts: list[Span] = []
    for status in _ORDER:
        if counts.get(status):
            found = mark(status)
            gap = ("   " if is_told else "  ") if parts else ""
            text = f"{gap}{look.sign(found)} {counts[status]:,}"
            parts.append(Span(f"{text} {found.word}" if is_told else text, found.role))
    return tuple(parts)


def totals(all_counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counts of several apps, added up."""
    found: dict[str, int] = {}
    for counts in all_counts:
        for status, count in counts.items():
            found[status] = found.get(status, 0) + count
    return found


def _named(
    entry: Entry, look: Look, width: int, is_mixed: bool, is_marked: bool
) -> Line:
    run = entry.run
    fold = "  "
    if entry.is_open is not None:
        fold = f"{look.fold(is_open=entry.is_open)} "
    if is_marked:
        fold = "● " if look.unicode else "* "
    room = max(width - 4 - 2 * entry.depth, 1)
    name = cut(run.workflow, room, look.end)
    head = line(
        "  " * entry.depth,
        Span(fold, "strong" if is_marked else "dim"),
        badge(status_of(entry), look),
        " ",
        Span(name, "strong" if run.status is RunStatus.FAILED else ""),
    )
    if run.label and room - cells(name) > 3:
        name_room = room - cells(name) - 1
        head = line(head, Span(f" {cut(run.label, name_room, look.end)}", "dim"))
    if is_mixed and width_of(head) + cells(run.app) < width:
        head = line(head, Span(f" {run.app}", "dim"))
    head = fit(head, width, look.end)
    return line(head, " " * (width - width_of(head)))


def _outcome(run: Run) -> Line:
    if run.error is not None:
        return line(Span(first_line(str(run.error)), "bad"))
    reason = run.cancel_reason or run.skip_reason
    if reason:
        return line(Span(f"{mark(run.status).word}: {first_line(reason)}", "dim"))
    if run.status is RunStatus.COMPLETED and preview_text(run.preview):
        return line(Span(first_line(preview_text(run.preview)), "dim"))
    return line(Span(mark(run.status).word, "dim"))


def _lasted(run: Run, now: dt.datetime) -> str:
    if run.duration is not None or run.started_at is None:
        return took(run.duration)
    return passed(run.started_at, now)

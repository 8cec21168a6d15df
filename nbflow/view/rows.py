"""A run on the screen: its header and one row a step, many alike folded into one.

Pure functions of a `Board` and the time; `words.paint` cuts and colours their lines.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from nbflow.model import RunStatus, StepStatus
from nbflow.view.board import Board
from nbflow.view.families import FOLD, Facts, Family
from nbflow.view.states import FAILED, TELLING_ENDED, TELLING_OPEN
from nbflow.view.text import Line, Span, cells, cut, line, pad
from nbflow.view.words import (
    Look,
    badge,
    bar,
    mark,
    number,
    passed,
    plural,
    preview_text,
    took,
    until,
    word,
)

_NAME = 32
_SHOWN_MEMBERS = 3


class Row(NamedTuple):
    """A line of a run's tree, and how much it matters where there is no room."""

    line: Line
    status: str
    depth: int = 0
    is_urgent: bool = False


class _Entry(NamedTuple):
    """What becomes one row: a step, or a family of them."""

    sign: str
    name: str
    time: str
    detail: Line
    depth: int
    urgent: bool


def run_line(board: Board, look: Look, now: dt.datetime) -> Line:
    """The header of a run: workflow, id, status, how long, how far."""
    facts = [word(board.status), *run_words(board, now)]
    parts: list[Span | str] = [
        badge(board.status, look),
        " ",
        Span(board.workflow or "run", "strong"),
        "  ",
        Span(short_id(board.run_id, 40), "dim"),
        "  ",
    ]
    for place, fact in enumerate(facts):
        if place:
            parts.append(Span(look.dot(), "dim"))
        parts.append(fact)
    return line(*parts)


def run_rows(
    board: Board,
    look: Look,
    now: dt.datetime,
    *,
    fold: int = FOLD,
    width: int | None = None,
) -> list[Row]:
    """The rows of a run's steps and of its child runs, in order of appearance.

    Args:
        board: the run.
        look: what the terminal can show.
        now: the present time.
        fold: from so many steps of one call site on, they are one row.
        width: that of the screen, for the columns; the lines may be longer.
    """
    entries = list(_entries(board, look, now, fold, 1, width or 100))
    room = min(_NAME, max((width or 100) // 3, 8))
    names = [cells(entry.name) + 2 * entry.depth for entry in entries]
    column = min(max(names, default=0), room + 2)
    times = max((cells(entry.time) for entry in entries), default=0)
    return [_row(entry, column, times, look) for entry in entries]


def summary(board: Board) -> Line:
    """How many steps there are of each status: "8 done, 2 running"."""
    return _counts(board.counts)


def shorten(rows: list[Row], height: int, look: Look) -> list[Line]:
    """At most `height` lines: what goes on or failed first, then the latest."""
    if len(rows) <= height:
        return [row.line for row in rows]
    if height <= 0:
        return []
    urgent = [place for place, row in enumerate(rows) if row.is_urgent]
    others = [place for place, row in enumerate(rows) if not row.is_urgent]
    room = height - 1
    kept = set(urgent[-room:] if room else ())
    left = room - len(kept)
    kept.update(others[-left:] if left > 0 else ())
    hidden = [row for place, row in enumerate(rows) if place not in kept]
    told: dict[str, int] = {}
    for row in hidden:
        told[mark(row.status).word] = told.get(mark(row.status).word, 0) + 1
    words = ", ".join(f"{count:,} {name}" for name, count in told.items())
    dots = "⋯" if look.unicode else "..."
    more = line(Span(f"  {dots} {plural(len(hidden), 'more row')} ({words})", "dim"))
    return [more, *(row.line for place, row in enumerate(rows) if place in kept)]


def short_id(run_id: str, limit: int = 26) -> str:
    """A run's id, which users may have made long."""
    return cut(run_id, limit)


def run_words(board: Board, now: dt.datetime) -> Iterable[Span]:
    """How long a run takes, how far it is, why it does not go on."""
    if board.duration is not None:
        yield Span(took(board.duration))
    elif board.started is not None:
        yield Span(passed(board.started, now))
    elif board.not_before is not None:
        yield Span(f"starts {until(board.not_before, now)}", "rest")
    if board.attempt > 1:
        yield Span(f"try {board.attempt}", "again")
    if board.retry_at is not None:
        yield Span(f"next try {until(board.retry_at, now)}", "again")
    if board.progress is not None and not board.is_ended:
        yield Span(progress_text(board.progress))
    total = sum(board.counts.values())
    if total:
        done = board.counts[StepStatus.COMPLETED]
        text = plural(total, "step") if done == total else f"{done:,}/{total:,} steps"
        yield Span(text)
    if board.reason and board.status is not RunStatus.COMPLETED:
        yield Span(board.reason, "dim")


def _entries(
    board: Board, look: Look, now: dt.datetime, fold: int, depth: int, width: int
) -> Iterable[_Entry]:
    for family in list(board.families.values()):
        if len(family.members) >= fold:
            yield _family_entry(family, look, now, depth, width)
            for facts in _remarkable(family):
                yield _step_entry(facts, look, now, depth + 1, width)
            continue
        for facts in list(family.members.values()):
            yield _step_entry(facts, look, now, depth, width)
            child = board.children.get(facts.child or "")
            if child is not None and _is_nested(facts, child):
                yield from _entries(child, look, now, fold, depth + 1, width)


def _is_nested(facts: Facts, child: Board) -> bool:
    """Whether a child run's steps are shown: while it goes on, and where it failed."""
    if facts.kind == "start":
        return not child.is_ended
    return facts.is_open or facts.status in FAILED


def _step_entry(
    facts: Facts, look: Look, now: dt.datetime, depth: int, width: int
) -> _Entry:
    time = took(facts.duration)
    if facts.status is StepStatus.QUEUED:
        time = ""
    elif facts.is_open and facts.started is not None:
        time = passed(facts.started, now)
    urgent = facts.is_open or facts.status in FAILED
    detail = line(*_joined(_step_facts(facts, look, now, width), look))
    return _Entry(str(facts.status), facts.name, time, detail, depth, urgent)


def _step_facts(
    facts: Facts, look: Look, now: dt.datetime, width: int
) -> Iterable[Line]:
    status = facts.status
    if status is StepStatus.RUNNING and facts.done is not None:
        yield _progress(facts, look, width)
    if status is StepStatus.RETRYING and facts.until is not None:
        text = f"try {facts.attempt + 1} {until(facts.until, now)}"
        yield (Span(text, "again"),)
    elif facts.attempt > 1:
        tries = f"try {facts.attempt}" if facts.is_open else f"{facts.attempt} tries"
        yield (Span(tries, "again"),)
    if status is StepStatus.SLEEPING:
        wakes = "sleeping" if facts.until is None else until(facts.until, now)
        yield (Span(f"wakes {wakes}" if facts.until else wakes, "rest"),)
    if status is StepStatus.WAITING:
        what = f"waits for event {facts.event!r}" if facts.event else ""
        if facts.question:
            what = f"asks: {facts.question}"
        ends = f", ends {until(facts.until, now)}" if facts.until else ""
        yield (Span(f"{what or 'waits for an answer'}{ends}", "warn"),)
    if status is StepStatus.INVOKING and facts.child:
        target = f"{facts.target} " if facts.target else ""
        yield (Span(target), Span(short_id(facts.child), "dim"))
    if status in (StepStatus.QUEUED, StepStatus.CANCELED):
        yield (word(status),)
    if facts.cached_from:
        yield (Span(f"cached from {facts.cached_from}", "rest"),)
    if facts.is_stale:
        yield (Span("stale", "warn"),)
    if facts.error and status is not StepStatus.COMPLETED:
        yield (Span(facts.error, "bad" if status in FAILED else "warn"),)
    elif status is StepStatus.COMPLETED and preview_text(facts.preview):
        yield (Span(preview_text(facts.preview), "dim"),)


def _progress(facts: Facts, look: Look, width: int) -> Line:
    if not facts.total:
        return (Span(progress_text(facts)),)
    size = 16 if width >= 72 else 8
    drawn = bar(facts.done or 0, facts.total, size, look)
    return (*drawn, Span(f" {progress_text(facts)}"))


def progress_text(facts: Facts) -> str:
    """How far it is: "120/4,000 files"; without a total what is done."""
    done = number(facts.done or 0)
    text = f"{done}/{number(facts.total)}" if facts.total else done
    return f"{text} {facts.note}" if facts.note else text


def _family_entry(
    family: Family, look: Look, now: dt.datetime, depth: int, width: int
) -> _Entry:
    counts = family.tally.counts
    told = 0 if family.totals is None else sum(family.totals.values())
    total = max(len(family.members), told)
    done = counts[StepStatus.COMPLETED]
    # Items that have not begun are not known, unless the map tells how many it has.
    is_whole = family.totals is not None or not family.tally.open
    parts: list[Line] = []
    if is_whole and done < total and family.tally.open:
        parts.append((*bar(done, total, 16 if width >= 72 else 8, look), Span(" ")))
    parts.append((Span(f"{done:,}/{total:,} done" if is_whole else f"{done:,} done"),))
    others = _counts({s: n for s, n in counts.items() if s is not StepStatus.COMPLETED})
    if others:
        parts.append((Span(", "), *others))
    status = _family_status(family, done >= total)
    time = ""
    if family.first is not None and family.tally.open:
        time = passed(family.first, now)
    elif family.first is not None and family.last is not None:
        time = took(max((family.last - family.first).total_seconds(), 0))
    urgent = bool(family.tally.open or family.tally.failed)
    return _Entry(str(status), family.name, time, line(*parts), depth, urgent)


def _family_status(family: Family, is_complete: bool) -> StepStatus:
    """The most telling status: what runs, then what waits, then what failed."""
    counts = family.tally.counts
    for status in TELLING_OPEN:
        if counts[status]:
            return status
    for status in TELLING_ENDED:
        if counts[status]:
            return status
    return StepStatus.COMPLETED if is_complete else StepStatus.RUNNING


def _remarkable(family: Family) -> list[Facts]:
    """The few members of a folded family worth a row of their own."""
    tally = family.tally
    found = list(tally.failed.values())[:_SHOWN_MEMBERS]
    if len(found) < _SHOWN_MEMBERS and tally.counts[StepStatus.RETRYING]:
        found += [f for f in tally.open.values() if f.status is StepStatus.RETRYING]
    return found[:_SHOWN_MEMBERS]


def _counts(counts: Mapping[StepStatus, int]) -> Line:
    parts: list[Span] = []
    for status in (StepStatus.COMPLETED, *TELLING_OPEN, *TELLING_ENDED):
        if counts.get(status):
            if parts:
                parts.append(Span(", "))
            found = mark(status)
            name = "done" if status is StepStatus.COMPLETED else found.word
            role = "" if status is StepStatus.COMPLETED else found.role
            parts.append(Span(f"{counts[status]:,} {name}", role))
    return tuple(parts)


def _joined(lines: Iterable[Line], look: Look) -> Iterable[Line]:
    for place, each in enumerate(lines):
        if place:
            yield (Span(look.dot(), "dim"),)
        yield each


def _row(entry: _Entry, column: int, times: int, look: Look) -> Row:
    indent = "  " * entry.depth
    room = max(column - 2 * entry.depth, 1)
    name = pad(cut(entry.name, room, look.end), room)
    made = line(
        indent,
        badge(entry.sign, look),
        " ",
        Span(name, "" if entry.urgent else "dim"),
        "  ",
        Span(pad(entry.time, times, right=True), "dim"),
        "  ",
        entry.detail,
    )
    return Row(made, entry.sign, entry.depth, entry.urgent)

"""Flow-control keys as lines: limits, how many run, who waits and why.

Lists of the command line (`flow_lines`), and rows of displays (`key_line`).
"""

import datetime as dt
import re
from collections.abc import Iterable, Sequence

from nbflow import durations
from nbflow.model import FlowKey, FlowWaiter
from nbflow.view.tables import table
from nbflow.view.text import Line, Span, cut, fit, line, pad
from nbflow.view.words import Look, ago, bar, number, until

_SHOWN = 20
_NOTHING_MORE = re.compile(r" 00 \w+$")


def flow_lines(keys: Sequence[FlowKey], now: dt.datetime) -> list[Line]:
    """One line a key, and below it one for each that waits."""
    heads = table([_cells(key) for key in keys])
    lines: list[Line] = []
    for key, head in zip(keys, heads, strict=True):
        lines.append(head)
        lines += table([_waiter(each, now) for each in key.waiting[:_SHOWN]])
        if len(key.waiting) > _SHOWN:
            more = number(len(key.waiting) - _SHOWN)
            lines.append(line(Span(f"    and {more} more", "dim")))
    return lines


def key_line(
    key: FlowKey, look: Look, now: dt.datetime, width: int, note: str = ""
) -> Line:
    """A key in one line of `width` cells: how full it is, who waits, when it goes on.

    Args:
        key: the key.
        look: what can be shown.
        now: the time.
        width: cells; the less there are, the less is told.
        note: said instead of its state, while a command is on its way.
    """
    name = min(max(width * 28 // 100, 8), 32)
    parts: list[Line] = [line(Span(pad(cut(key.key, name, look.end), name), "strong"))]
    limit = key.parallelism
    if width >= 72:
        full = bar(key.running, limit, 10, look) if limit else (Span(" " * 10),)
        parts.append(full)
    count = f"{number(key.running)}/{number(limit)}" if limit else number(key.running)
    parts.append(line(pad(count, 7, right=True)))
    if width >= 100:
        parts.append(line(Span(pad(_rate(key), 14), "dim")))
    waits = f"{number(len(key.waiting))} waiting" if key.waiting else ""
    room = 11
    if width >= 60:
        room = 24 if width >= 80 else 20
        if key.waiting:
            waits += ", oldest " if width >= 80 else " "
            waits += took_short(now - key.waiting[0].since)
    parts.append(line(Span(pad(waits, room), "warn")))
    state = [Span(note, "again")] if note else list(_state(key, now))
    joined: list[Span] = []
    for place, fact in enumerate(state):
        joined += [Span(look.dot(), "dim")] * bool(place) + [fact]
    parts.append(tuple(joined))
    spaced: list[Line | str] = []
    for each in parts:
        spaced += [each, "  "]
    return fit(line(*spaced[:-1]), width, look.end)


def waiter_line(waiter: FlowWaiter, look: Look, now: dt.datetime, width: int) -> Line:
    """One that waits: its place, run, step, since when, and why not yet."""
    step = cut(waiter.step or "start of the run", max(width // 4, 6), look.end)
    parts: list[Line] = [line(Span(f"{number(waiter.place + 1):>4}.", "dim"))]
    run_id = cut(waiter.run_id, max(width // 4, 8), look.end)
    parts += [line(pad(run_id, min(20, max(width // 4, 8)))), line(step)]
    if width >= 60:
        parts[2] = line(pad(step, max(width // 5, 6)))
        parts.append(line(Span(pad(took_short(now - waiter.since), 8), "dim")))
    parts.append(line(Span(waiter.why, "warn")))
    spaced: list[Line | str] = []
    for each in parts:
        spaced += [each, "  "]
    return fit(line(*spaced[:-1]), width, look.end)


def took_short(passed: dt.timedelta) -> str:
    """How long something has waited, in whole seconds."""
    return durations.show(max(int(passed.total_seconds()), 0))


def _rate(key: FlowKey) -> str:
    if key.rate is None:
        return ""
    return f"{number(key.rate)} in {durations.show(key.period)}"


def _state(key: FlowKey, now: dt.datetime) -> Iterable[Span]:
    if key.paused:
        yield Span("paused", "warn")
    elif key.waiting and key.next_start is not None:
        yield Span(f"next {until(key.next_start, now)}", "rest")
    if key.pinned:
        yield Span("limits set", "again")
    if key.parallelism is None and key.rate is None:
        yield Span("no limits", "dim")


def _cells(key: FlowKey) -> list[Line]:
    state = "paused" if key.paused else ""
    if key.pinned:
        state = f"{state}, set" if state else "set"
    waits = f"{number(len(key.waiting))} waiting" if key.waiting else "nobody waits"
    return [
        line(key.key),
        line(Span(flow_limits(key), "dim")),
        line(f"{number(key.running)} running"),
        line(Span(waits, "warn" if key.waiting else "dim")),
        line(Span(state, "warn")),
    ]


def flow_limits(key: FlowKey) -> str:
    """What a key allows: "10 in 1 s · 2 at once"."""
    parts = []
    if key.rate is not None:
        period = _NOTHING_MORE.sub("", durations.show(key.period))
        parts.append(f"{number(key.rate)} in {period}")
    if key.parallelism is not None:
        parts.append(f"{number(key.parallelism)} at once")
    return " · ".join(parts) or "no limits"


def _waiter(waiter: FlowWaiter, now: dt.datetime) -> list[Line]:
    run_id, step, place, since, why = waiter
    return [
        line(Span(f"    {place + 1}.", "dim")),
        line(f"{run_id} {step or ''}".rstrip()),
        line(Span(ago(since, now), "dim")),
        line(Span(why, "dim")),
    ]

"""Flow-control keys as lines: limits, how many run, who waits and why."""

import datetime as dt
from collections.abc import Sequence

from nbflow import durations
from nbflow.model import FlowKey, FlowWaiter
from nbflow.view.tables import table
from nbflow.view.text import Line, Span, line
from nbflow.view.words import ago, number

_SHOWN = 20


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
        parts.append(f"{number(key.rate)} in {durations.show(key.period)}")
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

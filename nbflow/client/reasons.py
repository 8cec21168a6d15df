"""What a live run waits for, in words; pure.

Neighbours: `fold` has the steps, `operations` puts the lines into the record.
"""

from collections.abc import Callable, Iterable, Mapping

from nbflow import durations
from nbflow._store.base import RunRow
from nbflow.client.fold import StepState
from nbflow.model import TERMINAL_RUN, RunStatus, StepKind, StepStatus, from_micros

NOBODY = "nobody executes it: its engine is gone"
_SHOWN = 20
_DAY = 24 * 3600 * 1_000_000


def waiting_lines(
    row: RunRow, steps: Iterable[StepState], body_due: int | None, now: int
) -> list[str]:
    """What a live run waits for, one line a reason, with until-when."""
    if row.status in TERMINAL_RUN:
        return []
    if row.status == RunStatus.QUEUED and row.wake is not None:
        return [f"not before {_clock(row.wake, now)}"]
    lines = []
    if body_due is not None:
        lines.append(f"retrying the body {_in(body_due, now)}")
    for state in steps:
        line = _WAITING[state.status](state, now) if state.status in _WAITING else None
        if line is not None:
            lines.append(line)
    if len(lines) > _SHOWN:
        more = len(lines) - _SHOWN
        lines[_SHOWN:] = [f"and {more} more"]
    return lines


def _sleeping(state: StepState, now: int) -> str:
    until = "" if state.until is None else f" until {_clock(state.until, now)}"
    return f"sleeping{until} (step {state.label!r})"


def _waiting(state: StepState, now: int) -> str:
    what = f"event {state.event!r}"
    if state.kind == StepKind.ASK:
        what = "an answer" + (f" to {state.question!r}" if state.question else "")
    until = "" if state.until is None else f" until {_clock(state.until, now)}"
    return f"waiting for {what}{until} (step {state.label!r})"


def _invoking(state: StepState, now: int) -> str:
    until = "" if state.until is None else f" until {_clock(state.until, now)}"
    return f"invoking child {state.child}{until} (step {state.label!r})"


def _retrying(state: StepState, now: int) -> str:
    return f"retrying {state.label} {_in(state.until or now, now)}"


_WAITING: Mapping[StepStatus, Callable[[StepState, int], str]] = {
    StepStatus.SLEEPING: _sleeping,
    StepStatus.WAITING: _waiting,
    StepStatus.INVOKING: _invoking,
    StepStatus.RETRYING: _retrying,
}


def _clock(micros: int, now: int) -> str:
    """A moment as the clock on the wall says it: reasons are read by people."""
    moment = from_micros(micros).astimezone()
    pattern = "%H:%M:%S" if abs(micros - now) < _DAY else "%Y-%m-%d %H:%M:%S"
    return moment.strftime(pattern)


def _in(due: int, now: int) -> str:
    return f"in {durations.show((due - now) / 1e6)}" if due > now else "now"

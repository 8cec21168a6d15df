"""A run's steps, folded from its events: pure, and indifferent to where they end.

Neighbours: `records` makes public records of the states, `plans` decides with them.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbflow._store.base import EventRow, RunRow
from nbflow._store.payload import from_json
from nbflow._text import NUMBER, SEGMENT
from nbflow.errors import StepNotFound
from nbflow.model import (
    TERMINAL_EVENTS,
    TERMINAL_STEP,
    EventType,
    StepStatus,
    split_step,
    step_label,
)

Fields = Mapping[str, Any]

_TASK = re.compile(r"~\d+\Z")
_ITEM = re.compile(r"([^\[]+)\[(.*)\](?::\d+)?\Z")
_ENDS = frozenset(kind.value for kind in TERMINAL_EVENTS)
_WAITS = frozenset({StepStatus.SLEEPING, StepStatus.WAITING, StepStatus.INVOKING})
_OPEN = frozenset({StepStatus.QUEUED, StepStatus.RUNNING, StepStatus.RETRYING}) | _WAITS


@dataclass(slots=True)
class TryState:
    """One attempt of a step; times in microseconds."""

    number: int
    started: int | None = None
    status: StepStatus = StepStatus.RUNNING
    ended: int | None = None
    duration: float | None = None
    error: Fields | None = None
    retry_at: int | None = None


@dataclass(slots=True)
class StepState:
    """What the events so far say of one step; times in microseconds."""

    key: str
    kind: str = "run"
    status: StepStatus = StepStatus.QUEUED
    tries: list[TryState] = field(default_factory=list)
    queued: int | None = None
    started: int | None = None
    ended: int | None = None
    call: Fields | None = None  # of the last step.started
    outcome: Fields | None = None  # of step.completed
    mark: bytes | None = None
    error: Fields | None = None
    child: str | None = None
    event: str | None = None
    question: str | None = None
    app: str | None = None  # of a child elsewhere
    match: Fields | None = None
    until: int | None = None
    flow_key: str | None = None
    flow_place: int | None = None
    is_stale: bool = False
    is_superseded: bool = False
    interrupted: StepStatus | None = None  # what the end of the run cut off
    life: int = 0
    earlier: int = 0  # tries that belong to former executions

    @property
    def label(self) -> str:
        """How the step is written: "id", or "branch/id"."""
        return step_label(self.key)

    @property
    def id(self) -> str:
        """The label of its id, without the branch."""
        return split_step(self.key)[1]

    @property
    def branch(self) -> str:
        """The label of its branch, "" for the body."""
        return split_step(self.key)[0]

    @property
    def group(self) -> str | None:
        """The nearest group that the step is in."""
        for segment in reversed(self.key.split(SEGMENT)[:-1]):
            if _TASK.search(segment) is None:
                return step_label(segment)
        return None

    @property
    def is_open(self) -> bool:
        """Whether it has no outcome yet."""
        return self.status not in TERMINAL_STEP

    @property
    def item(self) -> tuple[str, str] | None:
        """Id of the map and the item's key, where the step is an item of a map."""
        found = _ITEM.match(self.id)
        return (found[1], found[2]) if found else None

    @property
    def function(self) -> str:
        """The recorded name of the function that it calls."""
        named = (self.call or {}).get("_fn")
        if isinstance(named, str):
            return named
        return self.key.rpartition(SEGMENT)[2].partition(NUMBER)[0]

    @property
    def seconds(self) -> float | None:
        """How long the last execution took, as far as it is known."""
        if len(self.tries) - self.earlier <= 1 and self.outcome is not None:
            measured = self.outcome.get("duration")
            if isinstance(measured, int | float):
                return float(measured)
        if self.started is None or self.ended is None:
            return None
        return max(self.ended - self.started, 0) / 1e6


def fold_steps(events: Iterable[EventRow]) -> dict[str, StepState]:
    """The steps by key, in order of their first appearance."""
    fold = _Fold()
    for event in events:
        fold.take(event)
    return fold.steps


def body_retry(events: Iterable[EventRow]) -> int | None:
    """When the body is to be entered again, if that is what the run waits for."""
    due: int | None = None
    for event in events:
        if event.step is None:
            if event.type == EventType.RUN_RETRYING:
                due = from_json(event.data).get("_retry_at")
            elif event.type == EventType.RUN_STARTED or event.type in _ENDS:
                due = None
    return due


CHILD_EVENTS = (
    EventType.RUN_STARTED.value,
    EventType.STEP_INVOKING.value,
    EventType.STEP_FAILED.value,
)


def asked_children(events: Iterable[EventRow]) -> dict[str, str | None]:
    """Children that a run has asked for, and their app where it is another one.

    Left out are those that were refused, and those of a run that this one repeats.

    Args:
        events: of the types in `CHILD_EVENTS`.
    """
    found: dict[str, str | None] = {}
    by_step: dict[str, str] = {}
    for event in events:
        if event.step is None:
            if event.attempt == 1:  # what stands before is copied from another run
                found.clear()
            continue
        fields = from_json(event.data)
        child = fields.get("child_run_id")
        if event.type == EventType.STEP_INVOKING:
            if child is not None:
                found[child] = fields.get("app")
                by_step[event.step] = child
        elif fields.get("outcome") == "refused" and child is None:
            found.pop(by_step.get(event.step, ""), None)
    return found


def select(steps: Iterable[StepState], name: str) -> tuple[list[StepState], bool]:
    """The steps that a name stands for, and whether it names one step.

    In this order: the step written so; the items of a map; the members of a group or
    branch; the one step (or all) of that id in whatever branch.
    """
    states = list(steps)
    exact = [state for state in states if state.label == name]
    if exact:
        return exact, True
    items = [
        state
        for state in states
        if (item := state.item) is not None and _in_branch(state, item[0]) == name
    ]
    if items:
        return sorted(items, key=_place), False
    inside = [
        state
        for state in states
        if state.branch == name or state.branch.startswith(f"{name}/")
    ]
    if inside:
        return inside, False
    same = [state for state in states if state.id == name]
    return same, len(same) == 1


def unknown_step(row: RunRow, name: str, labels: Iterable[str]) -> StepNotFound:
    """The error for a step that a run does not have: those it has."""
    known = [repr(label) for label in labels]
    listed = ", ".join(known[:20]) or "none so far"
    more = f" and {len(known) - 20} more" if len(known) > 20 else ""
    return StepNotFound(
        f"run {row.id!r} of {row.workflow!r} has no step {name!r}. Its steps: "
        f"{listed}{more}",
        run_id=row.id,
        workflow=row.workflow,
        step=name,
    )


def _in_branch(state: StepState, id: str) -> str:
    return f"{state.branch}/{id}" if state.branch else id


def _place(state: StepState) -> int:
    """Items by index; those with keys stay in their order of appearance."""
    item = state.item
    return int(item[1]) if item is not None and item[1].isdecimal() else 0


class _Fold:
    """The steps so far, and which life of the run the events have come to."""

    def __init__(self) -> None:
        self.steps: dict[str, StepState] = {}
        self._life = 0

    def take(self, event: EventRow) -> None:
        """Take the next event."""
        if event.step is None:
            self._take_run_event(event)
            return
        handler = _HANDLERS.get(event.type)
        if handler is None:
            return
        state = self.steps.get(event.step)
        if state is None:
            state = self.steps[event.step] = StepState(event.step, life=self._life)
        fields = from_json(event.data)
        state.kind = fields.get("kind", state.kind)
        if event.type in _BEGINNINGS:
            self._begin(state)
        state.interrupted = None
        handler(state, event, fields)

    def _begin(self, state: StepState) -> None:
        """An execution after an outcome, or in a later life, counts from now."""
        if not state.is_open or state.life != self._life:
            state.queued = state.started = state.ended = None
            state.outcome = state.error = None
            state.is_stale = False
            state.earlier = len(state.tries)
        state.life = self._life

    def _take_run_event(self, event: EventRow) -> None:
        if event.type in _ENDS:
            for state in self.steps.values():
                if state.is_open:
                    state.interrupted = state.status
                    _end(state, StepStatus.CANCELED, event.at)
        elif event.type == EventType.RUN_RETRYING:
            # The body's other steps were interrupted with it.
            for state in self.steps.values():
                if state.status in (StepStatus.RUNNING, StepStatus.RETRYING):
                    _close_try(state, StepStatus.CANCELED, event.at)
                    state.status = StepStatus.QUEUED
        elif event.type == EventType.RUN_RESUMED:
            self._resume(from_json(event.data))

    def _resume(self, fields: Fields) -> None:
        if fields.get("by") == "user":
            self._life += 1
        dropped = set(fields.get("_refresh") or ())
        stale = set(fields.get("stale") or ())
        for state in self.steps.values():
            if state.interrupted in _WAITS:  # it waits on, without a new event
                state.status, state.ended = state.interrupted, None
                state.life = self._life
            state.interrupted = None
            if state.key in dropped and not state.is_open:
                self._begin(state)
                state.status = StepStatus.QUEUED
            elif state.label in stale:
                state.is_stale = True


def _queued(state: StepState, event: EventRow, fields: Fields) -> None:
    state.status = StepStatus.QUEUED
    state.queued = event.at
    state.flow_key = fields.get("flow_key")
    state.flow_place = fields.get("place")


def _started(state: StepState, event: EventRow, fields: Fields) -> None:
    _close_try(state, StepStatus.CANCELED, None)  # cut off by a crash
    state.status = StepStatus.RUNNING
    if state.started is None:
        state.started = event.at
    state.tries.append(TryState(event.attempt or 1, event.at))
    state.call = fields
    state.until = None


def _retrying(state: StepState, event: EventRow, fields: Fields) -> None:
    retry_at = fields.get("_retry_at")
    last = _close_try(state, StepStatus.FAILED, event.at, fields)
    if last is not None:
        last.retry_at = retry_at
    state.status = StepStatus.RETRYING
    state.until = retry_at


def _waiting(status: StepStatus) -> Callable[[StepState, EventRow, Fields], None]:
    kind = {
        StepStatus.SLEEPING: "sleep",
        StepStatus.WAITING: "wait",
        StepStatus.INVOKING: "invoke",
    }[status]

    def note(state: StepState, event: EventRow, fields: Fields) -> None:
        state.status = status
        state.kind = fields.get("kind", kind)
        if state.started is None:
            state.started = event.at
        state.until = fields.get("_until")
        state.child = fields.get("child_run_id", state.child)
        state.event = fields.get("event")
        state.question = fields.get("question")
        state.app = fields.get("app")
        state.match = fields.get("match")
        state.mark = event.mark

    return note


def _completed(state: StepState, event: EventRow, fields: Fields) -> None:
    _close_try(state, StepStatus.COMPLETED, event.at, fields)
    if state.started is None:
        state.started = event.at
    state.outcome = fields
    state.error = None
    state.mark = event.mark
    state.child = fields.get("child_run_id", state.child)
    _finish(state, StepStatus.COMPLETED, event.at)


def _failed(status: StepStatus) -> Callable[[StepState, EventRow, Fields], None]:
    def note(state: StepState, event: EventRow, fields: Fields) -> None:
        _close_try(state, status, event.at, fields)
        if state.started is None:
            state.started = event.at
        state.outcome = None
        state.error = fields.get("error") or {}
        state.mark = event.mark
        state.child = fields.get("child_run_id", state.child)
        _finish(state, status, event.at)

    return note


def _canceled(state: StepState, event: EventRow, fields: Fields) -> None:
    _end(state, StepStatus.CANCELED, event.at)
    state.outcome = None


def _superseded(state: StepState, event: EventRow, fields: Fields) -> None:
    state.is_superseded = True
    state.is_stale = False
    state.outcome = state.error = state.ended = None
    state.status = StepStatus.QUEUED


def _close_try(
    state: StepState, status: StepStatus, at: int | None, fields: Fields | None = None
) -> TryState | None:
    """Note how the running attempt has ended, if one is running."""
    last = state.tries[-1] if state.tries else None
    if last is None or last.status is not StepStatus.RUNNING:
        return None
    last.status = status
    last.ended = at
    if fields is not None:
        last.duration = fields.get("duration")
        last.error = fields.get("error")
    return last


def _end(state: StepState, status: StepStatus, at: int) -> None:
    _close_try(state, status, at)
    _finish(state, status, at)


def _finish(state: StepState, status: StepStatus, at: int) -> None:
    state.status = status
    state.ended = at


_BEGINNINGS = frozenset(
    {
        EventType.STEP_QUEUED.value,
        EventType.STEP_STARTED.value,
        EventType.STEP_SLEEPING.value,
        EventType.STEP_WAITING.value,
        EventType.STEP_INVOKING.value,
        # Recorded at once, or an item that has moved in its list.
        EventType.STEP_COMPLETED.value,
        EventType.STEP_FAILED.value,
    }
)
_HANDLERS: Mapping[str, Callable[[StepState, EventRow, Fields], None]] = {
    EventType.STEP_QUEUED.value: _queued,
    EventType.STEP_STARTED.value: _started,
    EventType.STEP_RETRYING.value: _retrying,
    EventType.STEP_SLEEPING.value: _waiting(StepStatus.SLEEPING),
    EventType.STEP_WAITING.value: _waiting(StepStatus.WAITING),
    EventType.STEP_INVOKING.value: _waiting(StepStatus.INVOKING),
    EventType.STEP_COMPLETED.value: _completed,
    EventType.STEP_FAILED.value: _failed(StepStatus.FAILED),
    EventType.STEP_TIMED_OUT.value: _failed(StepStatus.TIMED_OUT),
    EventType.STEP_CANCELED.value: _canceled,
    EventType.STEP_SUPERSEDED.value: _superseded,
}

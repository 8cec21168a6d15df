"""What a run's events say so far, kept up to date event by event.

A `Board` takes a live stream of thousands of steps at a constant price each: steps of
one call site (items of a map, branches of a function, a call in a loop) are counted
as a family (`families`), where somebody asks for that. `rows` draws it. Neighbour:
`client.runs.steps` has the full records.
"""

import datetime as dt
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from nbflow.model import (
    RUN_STATUS_AFTER,
    STEP_STATUS_AFTER,
    TERMINAL_EVENTS,
    TERMINAL_STEP,
    Attempt,
    EventType,
    Run,
    RunEvent,
    RunStatus,
    Step,
    StepKind,
    StepStatus,
)
from nbflow.view.families import FOLD, Facts, Families, Family, Span
from nbflow.view.states import WAITS

HIDDEN = frozenset({StepKind.NOW, StepKind.RANDOM, StepKind.UUID})
"""Kinds of steps that are recorded, but no work anybody waits for."""

_SPANS = 24


class Board:
    """One run as its events tell it.

    Args:
        run: the record, for what the events do not say; may be None.
        run_id: the run, where there is no record.
    """

    def __init__(self, run: Run | None = None, run_id: str = "") -> None:
        self.run_id = run.run_id if run is not None else run_id
        self.workflow = run.workflow if run is not None else ""
        self.status = run.status if run is not None else RunStatus.QUEUED
        self.label = run.label if run is not None else None
        self.attempt = 1
        self.queued: dt.datetime | None = None
        self.started: dt.datetime | None = None
        self.ended: dt.datetime | None = None
        self.duration: float | None = None
        self.error: str | None = None
        self.reason: str | None = None
        self.retry_at: dt.datetime | None = None
        self.not_before: dt.datetime | None = None
        self.progress: Facts | None = None
        self.steps: dict[str, Facts] = {}
        self.open: dict[str, Facts] = {}  # steps without outcome
        self.counts: Counter[StepStatus] = Counter()
        self.children: dict[str, Board] = {}
        self.life = 1
        self.failure: Mapping[str, Any] | None = None
        self.preview: str | None = run.preview if run is not None else None
        # What maps tell of themselves, by their names.
        self.maps: dict[str, Facts] = {}
        # What has changed since whoever draws the board has cleared this.
        self.changed: dict[str, Facts] = {}
        self._families: Families | None = None

    @property
    def families(self) -> Mapping[str, Family]:
        """The steps by their call sites, in order of appearance.

        They take a third of a long run's memory, and not all who read a board ask.
        """
        return self._gathered().by_name

    @property
    def is_known(self) -> bool:
        """Whether anything is recorded of the run."""
        return bool(self.workflow)

    @property
    def is_ended(self) -> bool:
        """Whether the present life of the run is over."""
        return self.ended is not None

    def apply(self, event: RunEvent) -> None:
        """Take the next event."""
        if event.type is EventType.PROGRESS:
            self._take_progress(event)
        elif event.step is not None:
            self._take_step(event)
        elif event.type in RUN_STATUS_AFTER or event.type is EventType.RUN_RETRYING:
            self._take_run(event)

    def add(self, step: Step) -> None:
        """Take a step from its record, as it stands."""
        if step.kind in HIDDEN:
            return
        facts = self._facts(step.name)
        facts.kind = step.kind
        facts.path = (*filter(None, step.branch.split("/")), step.id)
        facts.queued = step.queued_at
        facts.flow_key, facts.place = step.flow_key, step.flow_place
        facts.spans = _spans_of(step.attempts)
        facts.attempt = len(step.attempts)
        facts.started, facts.ended = step.started_at, step.ended_at
        facts.duration = step.duration
        facts.until = step.due_at
        if facts.until is None and step.attempts:
            facts.until = step.attempts[-1].retry_at
        last = step.attempts[-1].error if step.attempts else None
        error = step.error or (last if step.status is StepStatus.RETRYING else None)
        facts.error = None if error is None else first_line(str(error))
        facts.failure = None if step.error is None else step.error.to_stored()
        facts.preview = step.preview
        facts.event, facts.child = step.event, step.child_run_id
        facts.cached_from, facts.is_stale = step.cached_from, step.stale
        self._set(facts, step.status)

    def open_children(self) -> list[str]:
        """Ids of child runs that go on, as far as the board knows."""
        found = []
        for family in self.families.values():
            if len(family.members) >= FOLD:
                continue
            for facts in family.members.values():
                child = facts.child
                if child is None:
                    continue
                # One that has ended is read to its end, but not from its start.
                board = self.children.get(child)
                if board is None:
                    is_open = facts.is_open or facts.kind == "start"
                else:
                    is_open = not board.is_ended
                if is_open:
                    found.append(child)
        return found

    def _facts(self, name: str) -> Facts:
        facts = self.steps.get(name)
        if facts is None:
            facts = self.steps[name] = Facts(name)
            if self._families is not None:
                self._families.add(facts)
            self.open[name] = facts
            self.counts[facts.status] += 1
        return facts

    def _gathered(self) -> Families:
        if self._families is None:
            self._families = Families(self.steps.values())
        return self._families

    def _set(self, facts: Facts, status: StepStatus) -> None:
        self.changed[facts.name] = facts
        self.counts[facts.status] -= 1
        self.counts[status] += 1
        if self._families is None:
            facts.status = status
        else:
            self._families.set(facts, status)
        if facts.is_open:
            self.open[facts.name] = facts
        else:
            self.open.pop(facts.name, None)

    def _take_step(self, event: RunEvent) -> None:
        status = STEP_STATUS_AFTER.get(event.type)
        superseded = event.type is EventType.STEP_SUPERSEDED
        if superseded:
            status = StepStatus.QUEUED
        if status is None or event.step is None:
            return
        data = event.data
        if str(data.get("kind")) in HIDDEN:
            return
        facts = self.steps.get(event.step)
        if facts is None:
            facts = self._facts(event.step)
            path = event.path
            if path != (event.step,):
                facts.path = path
        facts.kind = str(data.get("kind") or _kind_of(status) or facts.kind)
        facts.interrupted = None
        if superseded or (not facts.is_open and status not in TERMINAL_STEP):
            facts.started = facts.duration = facts.preview = None
            facts.cached_from, facts.is_stale, facts.error = None, False, None
            facts.queued = facts.spans = facts.since = facts.failure = None
            facts.is_kept = False
        _leave(facts, status, event.timestamp)
        if event.attempt is not None:
            facts.attempt = event.attempt
        if facts.started is None and status is not StepStatus.QUEUED:
            facts.started = event.timestamp
        if status is StepStatus.QUEUED and facts.queued is None:
            facts.queued = event.timestamp
        _note(facts, status, data)
        if status in TERMINAL_STEP:
            facts.ended = event.timestamp
            is_measured = facts.duration is not None and facts.attempt <= 1
            if not is_measured and facts.started is not None:
                facts.duration = (facts.ended - facts.started).total_seconds()
        else:
            facts.ended = None
        self._set(facts, status)

    def _take_run(self, event: RunEvent) -> None:
        data = event.data
        status = RUN_STATUS_AFTER.get(event.type)
        if status is not None:
            self.status = status
        if event.type is EventType.RUN_QUEUED:
            self.queued = event.timestamp
            self.workflow = str(data.get("workflow") or self.workflow)
            self.not_before = moment(data.get("not_before"))
        elif event.type is EventType.RUN_STARTED:
            self.started = self.started or event.timestamp
            self.attempt = event.attempt or self.attempt
            self.retry_at = None
        elif event.type is EventType.RUN_RETRYING:
            self.retry_at = moment(data.get("retry_at"))
            self.error = error_line(data.get("error"))
            for facts in list(self.open.values()):
                if facts.status in (StepStatus.RUNNING, StepStatus.RETRYING):
                    _leave(facts, StepStatus.QUEUED, event.timestamp)
                    self._set(facts, StepStatus.QUEUED)
        elif event.type is EventType.RUN_RESUMED:
            self._resume(event)
        elif event.type in TERMINAL_EVENTS:
            self._end(event)

    def _resume(self, event: RunEvent) -> None:
        self.life += 1
        self.started = event.timestamp
        self.ended = self.duration = self.error = self.reason = self.retry_at = None
        self.failure = None
        is_asked = event.data.get("by") == "user"
        for facts in self.steps.values():
            if facts.status is StepStatus.COMPLETED and is_asked:
                facts.is_kept = True
                self.changed[facts.name] = facts
            if facts.interrupted is not None:
                is_waiting = facts.interrupted in WAITS
                facts.since = event.timestamp
                if not is_waiting:  # it begins again
                    facts.queued = facts.started = facts.spans = None
                    facts.since = None
                self._set(facts, facts.interrupted if is_waiting else StepStatus.QUEUED)
                facts.interrupted = facts.ended = facts.duration = None
        stale = event.data.get("stale")
        for name in stale if isinstance(stale, list) else ():
            if isinstance(name, str) and name in self.steps:
                self.steps[name].is_stale = True
                self.changed[name] = self.steps[name]

    def _end(self, event: RunEvent) -> None:
        self.ended = event.timestamp
        self.retry_at = None
        duration = event.data.get("duration")
        if isinstance(duration, int | float):
            self.duration = float(duration)
        elif self.started is not None:
            self.duration = (self.ended - self.started).total_seconds()
        self.error = error_line(event.data.get("error"))
        self.failure = _mapping(event.data.get("error"))
        self.preview = _text(event.data.get("preview"))
        self.reason = _text(event.data.get("reason"))
        for facts in list(self.open.values()):
            facts.interrupted, facts.ended = facts.status, event.timestamp
            _leave(facts, StepStatus.CANCELED, event.timestamp)
            if facts.started is not None:
                facts.duration = (facts.ended - facts.started).total_seconds()
            self._set(facts, StepStatus.CANCELED)

    def _take_progress(self, event: RunEvent) -> None:
        if event.step is None:
            facts = self.progress = self.progress or Facts("")
        elif event.attempt is not None:
            facts = self._facts(event.step)
        else:  # no step's attempt: a map tells how many items it has
            facts = self.maps.get(event.step) or Facts(event.step, path=event.path)
            self.maps[event.step] = facts
            total = _float(event.data.get("total"))
            family = self._gathered().of(event.step)  # now: it has its place
            family.totals = {**(family.totals or {}), event.step: int(total or 0)}
        if event.step is not None:
            self.changed[event.step] = facts
        facts.done = _float(event.data.get("done"))
        facts.total = _float(event.data.get("total"))
        facts.note = _text(event.data.get("message"))


def first_line(text: str) -> str:
    """The first line of a text that is not blank."""
    return next((each for each in text.splitlines() if each.strip()), "")


def error_line(error: object) -> str | None:
    """An error of an event's data in one line; None for None."""
    if error is None:
        return None
    if isinstance(error, Mapping):
        message = first_line(str(error.get("message") or ""))
        kind = str(error.get("type") or "error")
        return f"{kind}: {message}" if message else kind
    return first_line(str(error))


def moment(value: object) -> dt.datetime | None:
    """A time of an event's data; None where there is none."""
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, str):
        try:
            return dt.datetime.fromisoformat(value)
        except ValueError:
            return None
    return None


def _leave(facts: Facts, status: StepStatus, at: dt.datetime) -> None:
    """Keep how long the state has lasted that a step leaves for another one.

    Most steps wait, run and end: of these the times say all, and nothing is kept.
    """
    since, facts.since = facts.since, at
    if since is None or not facts.is_open:
        return
    if facts.spans is None:
        if facts.status is StepStatus.QUEUED or status in TERMINAL_STEP:
            return
        facts.spans = []
        queued, started = facts.queued, facts.started
        if queued is not None and started is not None and queued < started:
            facts.spans.append((StepStatus.QUEUED, queued, started))
    facts.spans.append((facts.status, since, at))
    del facts.spans[:-_SPANS]


def _spans_of(attempts: Sequence[Attempt]) -> list[Span] | None:
    """Runs and pauses of a step that was tried more than once."""
    spans: list[Span] = []
    for each, following in itertools.zip_longest(attempts, attempts[1:]):
        if each.started_at is None or each.ended_at is None:
            continue
        spans.append((StepStatus.RUNNING, each.started_at, each.ended_at))
        if following is not None and following.started_at is not None:
            spans.append((StepStatus.RETRYING, each.ended_at, following.started_at))
    return spans[-_SPANS:] if len(attempts) > 1 else None


def _note(facts: Facts, status: StepStatus, data: Mapping[str, Any]) -> None:
    """Keep what the event of a step says beside its status."""
    facts.until = None
    if status is StepStatus.QUEUED:
        facts.flow_key = _text(data.get("flow_key"))
        place = data.get("place")
        facts.place = place if isinstance(place, int) else None
    elif status is StepStatus.RUNNING:
        facts.done = facts.total = facts.note = None
    elif status is StepStatus.RETRYING:
        facts.until = moment(data.get("retry_at"))
        facts.error = error_line(data.get("error"))
    elif status in WAITS:
        facts.until = moment(data.get("until"))
        facts.event = _text(data.get("event"))
        facts.question = _text(data.get("question"))
        facts.schema = _mapping(data.get("schema"))
        facts.target = _text(data.get("workflow")) or facts.target
        facts.app = _text(data.get("app")) or facts.app
    elif status is StepStatus.COMPLETED:
        facts.error = facts.failure = None
        facts.preview = _text(data.get("preview"))
        facts.cached_from = _text(data.get("cached_from"))
        facts.duration = _float(data.get("duration"))
    elif status is StepStatus.FAILED:
        facts.error = error_line(data.get("error"))
        facts.failure = _mapping(data.get("error"))
        facts.duration = None
    elif status is StepStatus.TIMED_OUT:
        facts.error = error_line(data.get("error")) or "timed out"
    facts.child = _text(data.get("child_run_id")) or facts.child


def _kind_of(status: StepStatus) -> str | None:
    kinds = {
        StepStatus.SLEEPING: "sleep",
        StepStatus.WAITING: "wait",
        StepStatus.INVOKING: "invoke",
    }
    return kinds.get(status)


def _mapping(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None


def _text(value: object) -> str | None:
    return None if value is None else first_line(str(value))


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None

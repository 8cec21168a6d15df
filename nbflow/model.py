"""The records: what a store says of runs, steps and their events, as users see it.

Statuses, event types and allowed transitions are spelled here and nowhere else.
Knows only `_text`, whose functions are to be taken from here.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from nbflow._text import EPOCH as EPOCH
from nbflow._text import SEGMENT, as_text
from nbflow._text import from_micros as from_micros
from nbflow._text import safe_json as safe_json
from nbflow._text import safe_text as safe_text
from nbflow._text import short as short
from nbflow._text import split_step as split_step
from nbflow._text import step_key as step_key
from nbflow._text import step_label as step_label
from nbflow._text import to_micros as to_micros

T = TypeVar("T")


class RunStatus(StrEnum):
    """What a run does."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"


class StepStatus(StrEnum):
    """What a step does."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SLEEPING = "sleeping"
    WAITING = "waiting"
    INVOKING = "invoking"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    TIMED_OUT = "timed_out"


class StepKind(StrEnum):
    """Which call of the context made a step."""

    RUN = "run"
    SLEEP = "sleep"
    WAIT = "wait"
    ASK = "ask"
    SEND = "send"
    INVOKE = "invoke"
    START = "start"
    MAP = "map"
    NOW = "now"
    RANDOM = "random"
    UUID = "uuid"


class EventType(StrEnum):
    """What a run event tells; `EVENT_DATA` lists what each carries."""

    RUN_QUEUED = "run.queued"
    RUN_STARTED = "run.started"
    RUN_RESUMED = "run.resumed"
    RUN_RETRYING = "run.retrying"
    RUN_COMPLETED = "run.completed"
    RUN_FAILED = "run.failed"
    RUN_CANCELED = "run.canceled"
    RUN_SKIPPED = "run.skipped"
    STEP_QUEUED = "step.queued"
    STEP_STARTED = "step.started"
    STEP_RETRYING = "step.retrying"
    STEP_SLEEPING = "step.sleeping"
    STEP_WAITING = "step.waiting"
    STEP_INVOKING = "step.invoking"
    STEP_COMPLETED = "step.completed"
    STEP_FAILED = "step.failed"
    STEP_CANCELED = "step.canceled"
    STEP_TIMED_OUT = "step.timed_out"
    STEP_SUPERSEDED = "step.superseded"
    LOG = "log"
    PROGRESS = "progress"
    DATA = "data"


def _table(rows: Mapping[EventType, str]) -> Mapping[EventType, tuple[str, ...]]:
    return {kind: tuple(names.split()) for kind, names in rows.items()}


EVENT_DATA = _table(
    {
        EventType.RUN_QUEUED: (
            "workflow input_preview label parent not_before flow_key place"
        ),
        EventType.RUN_STARTED: "attempt",
        EventType.RUN_RESUMED: "by recoveries definition_changed kept stale",
        EventType.RUN_RETRYING: "error retry_at",
        EventType.RUN_COMPLETED: "preview duration",
        EventType.RUN_FAILED: "error duration",
        EventType.RUN_CANCELED: "reason by",
        EventType.RUN_SKIPPED: "reason",
        EventType.STEP_QUEUED: "kind flow_key place",
        EventType.STEP_STARTED: "kind",
        EventType.STEP_RETRYING: "error retry_at",
        EventType.STEP_SLEEPING: "until",
        EventType.STEP_WAITING: "event match question until",
        EventType.STEP_INVOKING: "child_run_id workflow app timeout",
        EventType.STEP_COMPLETED: "preview duration cached_from",
        EventType.STEP_FAILED: "error",
        EventType.STEP_CANCELED: "reason",
        EventType.STEP_TIMED_OUT: "after",
        EventType.STEP_SUPERSEDED: "old_definition",
        EventType.LOG: "message level attributes source",
        EventType.PROGRESS: "done total message",
        EventType.DATA: "name key data",
    }
)

# The status that an event puts its run or step into; absent: it changes none.
RUN_STATUS_AFTER = {
    EventType.RUN_QUEUED: RunStatus.QUEUED,
    EventType.RUN_STARTED: RunStatus.RUNNING,
    EventType.RUN_RESUMED: RunStatus.RUNNING,
    EventType.RUN_COMPLETED: RunStatus.COMPLETED,
    EventType.RUN_FAILED: RunStatus.FAILED,
    EventType.RUN_CANCELED: RunStatus.CANCELED,
    EventType.RUN_SKIPPED: RunStatus.SKIPPED,
}
STEP_STATUS_AFTER = {
    EventType.STEP_QUEUED: StepStatus.QUEUED,
    EventType.STEP_STARTED: StepStatus.RUNNING,
    EventType.STEP_RETRYING: StepStatus.RETRYING,
    EventType.STEP_SLEEPING: StepStatus.SLEEPING,
    EventType.STEP_WAITING: StepStatus.WAITING,
    EventType.STEP_INVOKING: StepStatus.INVOKING,
    EventType.STEP_COMPLETED: StepStatus.COMPLETED,
    EventType.STEP_FAILED: StepStatus.FAILED,
    EventType.STEP_CANCELED: StepStatus.CANCELED,
    EventType.STEP_TIMED_OUT: StepStatus.TIMED_OUT,
}

TERMINAL_RUN = frozenset(
    {RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELED, RunStatus.SKIPPED}
)
UNFINISHED_RUN = (RunStatus.QUEUED, RunStatus.RUNNING)
RESUMABLE_RUN = (RunStatus.FAILED, RunStatus.CANCELED)
TERMINAL_STEP = frozenset(
    {
        StepStatus.COMPLETED,
        StepStatus.FAILED,
        StepStatus.CANCELED,
        StepStatus.TIMED_OUT,
    }
)
# The events that end a life of a run; `run.resumed` opens the next.
TERMINAL_EVENTS = frozenset(
    kind for kind, status in RUN_STATUS_AFTER.items() if status in TERMINAL_RUN
)


class Lazy(Generic[T]):
    """A value that is decoded when it is first asked for; pickles as the value."""

    __slots__ = ("_load", "_value")

    def __init__(self, load: Callable[[], T]) -> None:
        self._load: Callable[[], T] | None = load

    def __call__(self) -> T:
        # Two threads may both load, which costs time only.
        if (load := self._load) is not None:
            self._value = load()
            self._load = None
        return self._value

    def __reduce__(self) -> tuple[object, ...]:
        return _known, (self(),)


def _known(value: T) -> Lazy[T]:
    return Lazy(lambda: value)


def _nothing() -> None:
    return None


def _no_children() -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """A recorded error: what it was, what it said, and the user's own frames."""

    type: str
    message: str
    traceback: str = field(default="", repr=False)
    step: str | None = None
    run_id: str | None = None
    # "module:qualname", to find the class again among loaded modules.
    _class: str | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type

    def to_stored(self) -> dict[str, object]:
        """Return it as the JSON object that `from_stored` reads."""
        stored: dict[str, object] = {
            "type": self.type,
            "message": self.message,
            "traceback": self.traceback,
            "step": self.step,
            "run_id": self.run_id,
        }
        return stored | ({"_class": self._class} if self._class else {})

    @staticmethod
    def from_stored(stored: Mapping[str, object]) -> "ErrorInfo":
        """Read a JSON object; what is missing in it is empty."""
        step, run_id, kind = (stored.get(k) for k in ("step", "run_id", "_class"))
        return ErrorInfo(
            str(stored.get("type", "Exception")),
            str(stored.get("message", "")),
            str(stored.get("traceback", "")),
            None if step is None else str(step),
            None if run_id is None else str(run_id),
            None if kind is None else str(kind),
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a step."""

    number: int
    status: StepStatus
    started_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    duration: float | None = None
    error: ErrorInfo | None = None
    retry_at: dt.datetime | None = None

    def __post_init__(self) -> None:
        _set_duration(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a workflow; times are UTC, durations seconds."""

    run_id: str
    app: str
    workflow: str
    status: RunStatus
    error: ErrorInfo | None = None
    label: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    parent: str | None = None
    parent_step: str | None = None
    root_run_id: str | None = None
    depth: int = 0
    attempt: int = 1
    retries: int = 3
    queued_at: dt.datetime | None = None
    started_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    duration: float | None = None
    not_before: dt.datetime | None = None
    definition: str | None = None
    rerun_of: str | None = None
    from_step: str | None = None
    cancel_reason: str | None = None
    skip_reason: str | None = None
    recoveries: int = 0
    waiting: tuple[str, ...] = ()
    preview: str | None = None
    _input: Callable[[], object] = field(default=_nothing, repr=False, compare=False)
    _result: Callable[[], object] = field(default=_nothing, repr=False, compare=False)
    _children: Callable[[], tuple[str, ...]] = field(
        default=_no_children, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        _set_duration(self)

    @property
    def input(self) -> object:
        """What the run was started with: field names to values, or the payload."""
        return self._input()

    @property
    def result(self) -> object:
        """What the workflow returned; None until the run is completed."""
        return self._result() if self.status is RunStatus.COMPLETED else None

    @property
    def children(self) -> tuple[str, ...]:
        """Ids of the runs that this one invoked or started, in any app, in order."""
        return self._children()

    @property
    def is_ended(self) -> bool:
        """Whether the run's present life is over."""
        return self.status in TERMINAL_RUN

    def __repr__(self) -> str:
        return f"<Run {self.run_id!r} of {self.workflow!r}: {self.status.value}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a run, with all its attempts."""

    id: str
    branch: str = ""
    group: str | None = None
    kind: StepKind
    status: StepStatus
    error: ErrorInfo | None = None
    attempts: list[Attempt] = field(default_factory=list, hash=False)
    child_run_id: str | None = None
    event: str | None = None
    match: Mapping[str, object] | None = field(default=None, hash=False)
    due_at: dt.datetime | None = None
    flow_key: str | None = None
    flow_place: int | None = None
    queued_at: dt.datetime | None = None
    started_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    duration: float | None = None
    key: str | None = None
    stale: bool = False
    cached_from: str | None = None
    superseded: bool = False
    preview: str | None = None
    _args: Callable[[], object] = field(default=_nothing, repr=False, compare=False)
    _result: Callable[[], object] = field(default=_nothing, repr=False, compare=False)

    def __post_init__(self) -> None:
        _set_duration(self)

    @property
    def args(self) -> object:
        """The recorded arguments."""
        return self._args()

    @property
    def result(self) -> object:
        """What the step gave; None until it is completed."""
        return self._result() if self.status is StepStatus.COMPLETED else None

    @property
    def name(self) -> str:
        """How the step is written: "id", or "branch/id" in a branch."""
        return f"{self.branch}/{self.id}" if self.branch else self.id

    def __repr__(self) -> str:
        return f"<Step {self.name!r} ({self.kind.value}): {self.status.value}>"


@dataclass(frozen=True, slots=True)
class Event:
    """A message that was sent to runs which wait for it."""

    name: str
    id: str
    data: object = field(default=None, hash=False)
    timestamp: dt.datetime = EPOCH

    def __repr__(self) -> str:
        return f"<Event {self.name!r} {self.id!r}>"


@dataclass(frozen=True, slots=True)
class RunEvent:
    """An entry of a run's log; `index` counts 1, 2, 3 … without holes."""

    v: int
    run_id: str
    index: int
    type: EventType
    timestamp: dt.datetime
    step: str | None = None
    attempt: int | None = None
    data: Mapping[str, object] = field(default_factory=dict, hash=False)
    _key: str | None = field(default=None, repr=False, compare=False)

    @property
    def path(self) -> tuple[str, ...]:
        """The step with the branches that it is in, outermost first; () for a run's.

        An id may hold a "/", so this cannot be had from the step's name.
        """
        if self._key is None:
            return () if self.step is None else (self.step,)
        return tuple(map(step_label, self._key.split(SEGMENT)))

    def __str__(self) -> str:
        """Return one line without control characters."""
        words = [f"{self.timestamp:%H:%M:%S}", f"#{self.index}", self.type.value]
        if self.step is not None:
            words.append(short(self.step, 200))
        if self.attempt is not None and self.data.get("attempt") is None:
            words.append(f"attempt={self.attempt}")
        words += [
            f"{short(str(name), 40)}={short(as_text(value), 120)}"
            for name, value in self.data.items()
            if value is not None
        ]
        return " ".join(words)

    def __repr__(self) -> str:
        step = f" {self.step!r}" if self.step is not None else ""
        return f"<RunEvent {self.run_id!r} #{self.index} {self.type.value}{step}>"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a resume would do; `duration` is the time that `to_run` took last time."""

    kept: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    to_run: tuple[str, ...] = ()
    duration: float | None = None


class FlowWaiter(NamedTuple):
    """A step that waits for a flow-control key, and why."""

    run_id: str
    step: str | None
    place: int
    since: dt.datetime
    why: str


@dataclass(frozen=True, slots=True)
class FlowKey:
    """A flow-control key: its limits, how many run, who waits."""

    key: str
    rate: int | None = None
    period: float = 1.0
    parallelism: int | None = None
    running: int = 0
    paused: bool = False
    pinned: bool = False
    waiting: list[FlowWaiter] = field(default_factory=list, hash=False)
    next_start: dt.datetime | None = None

    def __repr__(self) -> str:
        return f"<FlowKey {self.key!r}: {self.running} run, {len(self.waiting)} wait>"


class Page(list[T]):
    """One page of a list; `cursor` asks for the next one and is None at the end."""

    __slots__ = ("cursor",)

    def __init__(self, items: Iterable[T] = (), cursor: str | None = None) -> None:
        super().__init__(items)
        self.cursor = cursor


def _set_duration(record: Attempt | Run | Step) -> None:
    """Fill in a duration that was not measured from the times."""
    if record.duration is None and record.started_at and record.ended_at:
        seconds = (record.ended_at - record.started_at).total_seconds()
        object.__setattr__(record, "duration", max(seconds, 0.0))

"""Public records made of stored rows: `Run`, `Step`, `RunEvent`.

Pure functions over rows and a store's queries; values are decoded when they are asked
for. Neighbours: `fold` finds the steps, `access` the store.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Protocol
from uuid import UUID

from nbflow import codecs
from nbflow._engine.history import load_arguments
from nbflow._store.base import EventRow, RunRow
from nbflow._store.chain import first_digest, next_digest
from nbflow._store.pairs import is_half, joined
from nbflow._store.payload import from_json, load_value, public
from nbflow.client.fold import (
    CHILD_EVENTS,
    Fields,
    StepState,
    TryState,
    asked_children,
    fold_steps,
)
from nbflow.errors import NbflowError, StoreDamaged
from nbflow.model import (
    EVENT_DATA,
    Attempt,
    ErrorInfo,
    EventType,
    Lazy,
    Run,
    RunEvent,
    RunStatus,
    Step,
    StepKind,
    from_micros,
    step_label,
)
from nbflow.policy import DEFAULT_RETRIES, UNSET, RunOptions

Classes = Mapping[str, type]
IsChild = Callable[[str, str], bool]
"""Whether the run of an app, by its id, is a certain run's child."""
PREVIEW = 120


class Queries(Protocol):
    """What the records ask of a store."""

    uid: str

    def run_by_number(self, n: int) -> RunRow | None: ...
    def children(self, n: int) -> list[RunRow]: ...
    def events(
        self, run_n: int, after: int = 0, limit: int | None = None
    ) -> list[EventRow]: ...
    def events_of(self, run_n: int, types: Sequence[str]) -> list[EventRow]: ...
    def get_blob(self, digest: str) -> bytes: ...


class Arguments(tuple[Any, ...]):
    """The recorded positional arguments of a step; `kwargs` has the others."""

    kwargs: dict[str, Any]

    def __new__(cls, args: Iterable[Any], kwargs: Mapping[str, Any]) -> "Arguments":
        """Make it of both."""
        made = super().__new__(cls, args)
        made.kwargs = dict(kwargs)
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self), self.kwargs


class Numbers:
    """Ids of runs by their number, each looked up once."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._known: dict[int, str | None] = {}

    def __call__(self, n: int | None) -> str | None:
        """The id of run number `n`; None for None and for a run that is gone."""
        if n is None:
            return None
        if n not in self._known:
            row = self._queries.run_by_number(n)
            self._known[n] = None if row is None else row.id
        return self._known[n]


class Chain:
    """Checks the digests of a run's events as they are read, from the first on."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._half: EventRow | None = None  # shares the row of the next event
        self.idx = 0
        self.digest = first_digest(run_id)

    def skip_to(self, event: EventRow) -> None:
        """Take an event as the one before the next, unchecked."""
        self.idx, self.digest = event.idx, event.digest
        self._half = None

    def check(self, events: Iterable[EventRow]) -> None:
        """Check the events that follow.

        Raises:
            StoreDamaged: one is missing or was changed; names run, event and step.
        """
        digest, idx = self.digest, self.idx
        for event in events:
            idx += 1
            if event.idx != idx:
                raise self._damaged(event, f"event {idx} is missing before it")
            if is_half(event):
                self._half = event
                continue
            data, half = event.data, self._half
            if half is not None:
                data, self._half = joined(half, event), None
            if not digest:  # begun between two events of one row: nothing to compare
                digest = event.digest
                continue
            digest = next_digest(digest, idx, *event[3:8], data)
            if digest != event.digest:
                raise self._damaged(event, "it does not have the digest it is kept by")
        self.digest, self.idx = digest, idx

    def check_end(self, row: RunRow) -> None:
        """Check that the run's own row names the event that was read last."""
        if row.last == self.idx and row.tail not in (None, self.digest):
            raise StoreDamaged(
                f"run {row.id!r}: its last event does not have the digest that the run "
                "names: restore the store from a backup, or rerun the run",
                run_id=row.id,
            )

    def _damaged(self, event: EventRow, what: str) -> StoreDamaged:
        step = step_label(event.step) if event.step is not None else None
        named = f" of step {step!r}" if step is not None else ""
        return StoreDamaged(
            f"run {self._run_id!r}: event {event.idx} ({event.type}{named}) was "
            f"changed outside of nbflow: {what}. Restore the store from a backup, or "
            "rerun the run.",
            run_id=self._run_id,
            step=step,
        )


def verify_run(row: RunRow, events: Iterable[EventRow]) -> None:
    """Check all events of a run against the chain of their digests.

    Raises:
        StoreDamaged: one is missing or was changed; names run, event and step.
    """
    chain = Chain(row.id)
    chain.check(events)
    if row.last is not None and chain.idx < row.last:
        raise StoreDamaged(
            f"run {row.id!r}: event {chain.idx + 1} is missing, the run has ended with "
            f"event {row.last}: restore the store from a backup, or rerun the run",
            run_id=row.id,
        )
    chain.check_end(row)


# Runs


def run_record(
    row: RunRow,
    queries: Queries,
    app: str,
    *,
    classes: Classes | None = None,
    waiting: Iterable[str] = (),
    numbers: Numbers | None = None,
    retries: int = DEFAULT_RETRIES,
    is_child: IsChild | None = None,
) -> Run:
    """The public record of a run.

    Args:
        row: the run.
        queries: its store.
        app: the app's name.
        classes: classes that values may be of and no module holds.
        waiting: what a live run waits for, one line a reason.
        numbers: shared by the records of one list.
        retries: those of the workflow, where the run was given none.
        is_child: whether a run of another app that this one has asked for is its own.

    Raises:
        StoreDamaged: the terminal event was changed.
    """
    numbers = Numbers(queries) if numbers is None else numbers
    status = RunStatus(row.status)
    ended = terminal_fields(row, queries) if row.last is not None else {}
    given = RunOptions.from_stored(row.options).retries
    reason, caller = row.reason, from_json(row.caller)
    parent_step = caller.get("step")
    if row.parent_step is not None:
        parent_step = step_label(row.parent_step)
    root = row.id if row.root == row.n else numbers(row.root)
    return Run(
        run_id=row.id,
        app=app,
        workflow=row.workflow,
        status=status,
        error=ErrorInfo.from_stored(ended["error"]) if ended.get("error") else None,
        label=row.label,
        headers=from_json(row.headers),
        parent=caller.get("run_id") or numbers(row.parent),
        parent_step=parent_step,
        root_run_id=caller.get("root_run_id") or root,
        depth=row.depth,
        attempt=max(row.attempt, 1),
        retries=retries if given is UNSET else int(given),
        queued_at=from_micros(row.created),
        started_at=_moment(row.started),
        ended_at=_moment(row.ended),
        not_before=_not_before(row, queries),
        definition=row.definition,
        rerun_of=numbers(row.rerun_of),
        from_step=None if row.from_step is None else step_label(row.from_step),
        cancel_reason=reason if status is RunStatus.CANCELED else None,
        skip_reason=reason if status is RunStatus.SKIPPED else None,
        recoveries=row.recoveries,
        waiting=tuple(waiting),
        preview=_run_preview(row, ended, status),
        _input=Lazy(lambda: _input(row, queries, classes)),
        _result=Lazy(lambda: load_value(ended, queries.get_blob, classes)),
        _children=Lazy(lambda: _children(row, queries, is_child)),
    )


def _children(
    row: RunRow, queries: Queries, is_child: IsChild | None
) -> tuple[str, ...]:
    """Ids of the runs that this one has invoked or started, in whatever app.

    Those of other apps are known by what it has asked for.
    """
    own = {child.id: None for child in queries.children(row.n)}
    asked = asked_children(queries.events_of(row.n, CHILD_EVENTS))
    found = [
        run_id
        for run_id, app in asked.items()
        if run_id in own or (app and (is_child is None or is_child(app, run_id)))
    ]
    return tuple(dict.fromkeys([*found, *own]))


def terminal_fields(row: RunRow, queries: Queries) -> dict[str, Any]:
    """What the terminal event of an ended run holds.

    Raises:
        StoreDamaged: it is missing or was changed.
    """
    assert row.last is not None
    events = queries.events(row.n, max(row.last - 2, 0), 2)
    chain = Chain(row.id)
    if row.last > 1 and events:
        chain.skip_to(events.pop(0))
    chain.check(events)
    if chain.idx != row.last:
        raise StoreDamaged(
            f"run {row.id!r}: event {row.last}, its last, is missing: restore the "
            "store from a backup, or rerun the run",
            run_id=row.id,
        )
    chain.check_end(row)
    return from_json(events[-1].data)


def _input(row: RunRow, queries: Queries, classes: Classes | None) -> object:
    values = load_value(from_json(row.input), queries.get_blob, classes)
    # One parameter of that name takes the payload whole.
    if isinstance(values, dict) and values.keys() == {"input"}:
        return values["input"]
    return values


def _not_before(row: RunRow, queries: Queries) -> datetime | None:
    if row.started is None:
        return _moment(row.wake)
    first = queries.events(row.n, 0, 1)
    given = from_json(first[0].data).get("not_before") if first else None
    return None if given is None else datetime.fromisoformat(given)


def _run_preview(row: RunRow, ended: Fields, status: RunStatus) -> str | None:
    if row.preview is not None:
        return row.preview.decode(errors="replace")
    return value_preview(ended) if status is RunStatus.COMPLETED else None


def value_preview(fields: Fields) -> str | None:
    """One safe line of the value that stored fields carry; None for a large one."""
    if fields.get("preview") is not None:
        return str(fields["preview"])
    if "_value" not in fields:
        return None
    try:
        value = codecs.revive(fields["_value"], _no_parts)
    except NbflowError:  # who reads the value itself is told
        return None
    return codecs.preview(value, PREVIEW)


def _no_parts(digest: str) -> bytes:
    raise NbflowError("a preview is worth no look into the blobs")


# Steps


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RecordedStep(Step):
    """A step that can be called again, here and now."""

    _call: Callable[[], Any] | None = field(default=None, compare=False)

    def call(self) -> Any:
        """Call today's function with the recorded arguments, in this thread.

        Nothing is recorded: this is for breakpoints and `%debug`. An async function
        gives its coroutine.

        Raises:
            StepNotFound: the step calls no function, or none of that name is there.
        """
        assert self._call is not None
        return self._call()

    def __reduce__(self) -> tuple[Any, ...]:
        names = [name for name in Step.__dataclass_fields__ if name != "_call"]
        return _plain_step, ({name: getattr(self, name) for name in names},)


def _plain_step(fields: dict[str, Any]) -> Step:
    return Step(**fields)


def step_records(
    row: RunRow,
    events: Sequence[EventRow],
    queries: Queries,
    *,
    classes: Classes | None = None,
    caller: Callable[[StepState], Callable[[], Any]] | None = None,
) -> list[Step]:
    """The steps of a run in order of their first appearance.

    Args:
        row: the run.
        events: all of its events.
        queries: its store.
        classes: classes that values may be of and no module holds.
        caller: what `.call()` of a step does.

    Raises:
        StoreDamaged: an event is missing or was changed.
    """
    verify_run(row, events)
    states = fold_steps(events).values()
    return [step_record(row, state, queries, classes, caller) for state in states]


def step_record(
    row: RunRow,
    state: StepState,
    queries: Queries,
    classes: Classes | None = None,
    caller: Callable[[StepState], Callable[[], Any]] | None = None,
) -> Step:
    """The public record of one step."""
    outcome = state.outcome or {}
    return RecordedStep(
        id=state.id,
        branch=state.branch,
        group=state.group,
        kind=StepKind(state.kind),
        status=state.status,
        error=None if state.error is None else ErrorInfo.from_stored(state.error),
        attempts=[_attempt(each) for each in state.tries],
        child_run_id=state.child,
        event=state.event,
        match=state.match,
        due_at=_moment(state.until),
        flow_key=state.flow_key,
        flow_place=state.flow_place,
        queued_at=_moment(state.queued),
        started_at=_moment(state.started),
        ended_at=_moment(state.ended),
        duration=state.seconds,
        key=_public_key(queries.uid, row.id, state.key),
        stale=state.is_stale,
        cached_from=outcome.get("cached_from"),
        superseded=state.is_superseded,
        preview=_step_preview(state),
        _args=Lazy(lambda: step_arguments(state, queries, classes)),
        _result=Lazy(lambda: step_value(state, queries, classes)),
        _call=None if caller is None else caller(state),
    )


def step_arguments(
    state: StepState, queries: Queries, classes: Classes | None = None
) -> Arguments:
    """The recorded arguments of a step's last execution."""
    store: Any = queries
    return Arguments(*load_arguments(state.call or {}, store, classes))


def step_value(
    state: StepState, queries: Queries, classes: Classes | None = None
) -> Any:
    """The recorded value of a completed step."""
    value = load_value(state.outcome or {}, queries.get_blob, classes)
    if value is not None and state.kind == StepKind.NOW:
        return from_micros(value)
    if value is not None and state.kind == StepKind.UUID:
        return UUID(value)
    return value


def _step_preview(state: StepState) -> str | None:
    if state.error is not None:
        return codecs.preview(_error_line(state.error), PREVIEW)
    if state.outcome is None:
        return None
    if state.kind == StepKind.NOW:
        return from_micros(state.outcome["_value"]).isoformat()
    return value_preview(state.outcome)


def _error_line(error: Fields) -> str:
    return str(ErrorInfo.from_stored(error)).partition("\n")[0]


def _attempt(state: TryState) -> Attempt:
    return Attempt(
        state.number,
        state.status,
        _moment(state.started),
        _moment(state.ended),
        state.duration,
        None if state.error is None else ErrorInfo.from_stored(state.error),
        _moment(state.retry_at),
    )


def _public_key(uid: str, run_id: str, key: str) -> str:
    return sha256(f"{uid}\0{run_id}\0{key}".encode()).hexdigest()[:32]


# Events


_KINDS: Mapping[str, tuple[EventType, dict[str, Any]]] = {
    kind.value: (kind, dict.fromkeys(EVENT_DATA[kind])) for kind in EventType
}


def event_record(
    row: EventRow, run_id: str, queries: Queries, classes: Classes | None = None
) -> RunEvent:
    """The public form of an event; keys of its type that it lacks are None."""
    kind, lacking = _KINDS[row.type]
    fields = from_json(row.data)
    data = lacking | public(fields)
    if isinstance(data.get("error"), Mapping):
        data["error"] = public(data["error"])
    if kind is EventType.DATA:
        data["data"] = load_value(fields, queries.get_blob, classes)
    elif kind is EventType.RUN_QUEUED and "_input" in fields:
        data["input_preview"] = value_preview(fields["_input"])
    elif kind is EventType.RUN_STARTED:
        data["attempt"] = row.attempt
    elif kind is EventType.STEP_STARTED:
        data["kind"] = data["kind"] or StepKind.RUN.value
    elif kind in (EventType.STEP_COMPLETED, EventType.RUN_COMPLETED):
        data["preview"] = value_preview(fields)
    return RunEvent(
        1,
        run_id,
        row.idx,
        kind,
        from_micros(row.at),
        None if row.step is None else step_label(row.step),
        row.attempt,
        data,
        row.step,
    )


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)

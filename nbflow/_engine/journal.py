"""The durable facts of one run, and the one way to add to them.

A journal outlives the lives of its run: it holds the run's columns, the index and the
digest of its last event, and appends rows to the batch that the core commits next.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbflow import durations
from nbflow._engine import history
from nbflow._engine.admission import Slot
from nbflow._engine.commits import Commits
from nbflow._engine.ending import Ending, Waiter
from nbflow._store import pairs
from nbflow._store.base import EventRow, RunRow, RunUpdate
from nbflow._store.chain import first_digest, next_digest
from nbflow._store.payload import NO_DATA, from_json, load_value, to_json
from nbflow.definition.spec import WorkflowSpec
from nbflow.model import EventType, RunStatus
from nbflow.policy import UNSET, FlowControl, RunOptions

_new = tuple.__new__
_RUN_STARTED = EventType.RUN_STARTED.value
_RUN_QUEUED = EventType.RUN_QUEUED.value
_STEP_STARTED = EventType.STEP_STARTED.value
_STEP_COMPLETED = EventType.STEP_COMPLETED.value


@dataclass(slots=True, eq=False)
class Journal:
    """One run in the engine's memory, as far as it is or will be in the store."""

    commits: Commits
    n: int
    id: str
    workflow: str
    definition: str
    input: bytes
    created: int
    options: RunOptions
    stored_options: bytes | None = None
    headers: bytes | None = None
    label: str | None = None
    parent: int | None = None
    parent_id: str | None = None
    parent_step: str | None = None
    root: int = 0
    root_id: str = ""
    depth: int = 0
    rerun_of: int | None = None
    from_step: str | None = None
    status: str = RunStatus.QUEUED.value
    outcome: bytes | None = None
    preview: bytes | None = None
    attempt: int = 0
    recoveries: int = 0
    started: int | None = None
    ended: int | None = None
    wake: int | None = None
    reason: str | None = None
    last: int | None = None
    tail: bytes | None = None
    idx: int = 0
    digest: bytes = b""
    tx: int = 0
    commit: int = -1  # that holds its last event, as the engine counts them
    spec: WorkflowSpec | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    step_input: list[Any] | None = None  # of the step a rerun begins with
    spent: int = 0  # tries of the body before the last resume
    former_definition: str | None = None
    waiters: list[Waiter] | None = None
    caller: bytes | None = None  # of another app
    flow: FlowControl | None = None  # its key as text
    slot: Slot | None = None  # of the body that has come to no step yet
    begun: tuple[str, int, bytes, int] | None = None  # a step's start, not written yet
    since: int | None = None  # from when its time-out counts; None: the store knows

    def __post_init__(self) -> None:
        if not self.digest:
            self.digest = first_digest(self.id)

    def header_map(self) -> Mapping[str, str]:
        """The headers the run was given."""
        return from_json(self.headers)

    def timeout(self) -> float | None:
        """The time-out of the whole run in seconds."""
        given = self.spec.options.timeout if self.spec is not None else None
        if self.options.timeout is not UNSET:
            given = self.options.timeout
        if given is None or given is UNSET:
            return None
        return durations.parse(given, what="timeout")

    def deadline(self) -> int | None:
        """When the time-out of the whole run is up, in microseconds.

        It counts from the first start. A user who resumes the run grants it anew.
        """
        timeout = self.timeout()
        if timeout is None or self.started is None:
            return None
        if self.since is None:
            resumed = history.last_resume(self.commits.store.events(self.n))
            self.since = self.started if resumed is None else resumed
        return self.since + round(timeout * 1e6)

    def append(
        self,
        type: str,
        step: str | None = None,
        attempt: int | None = None,
        mark: bytes | None = None,
        data: bytes | None = NO_DATA,
    ) -> int:
        """Add an event to the next commit; its index."""
        if self.begun is not None:
            self.write_begun()
        now = self.commits.clock.micros()
        return self._append(type, step, attempt, mark, data, 1, now)

    def begin_step(self, key: str, attempt: int, data: bytes) -> None:
        """Add `step.started` to the next commit: on its own, or with the outcome."""
        if self.begun is not None:
            self.write_begun()
        commits = self.commits
        self.begun = (key, attempt, data, commits.clock.micros())
        commits.begun.append(self)

    def write_begun(self) -> None:
        """Give the start of a step its own row."""
        if self.begun is not None:
            key, attempt, data, at = self.begun
            self.begun = None
            self._append(_STEP_STARTED, key, attempt, None, data, 1, at)

    def complete_step(self, key: str, attempt: int, mark: bytes, data: bytes) -> int:
        """Add `step.completed` to the next commit; its index."""
        begun = self.begun
        now = self.commits.clock.micros()
        if begun is None or begun[0] != key or begun[1] != attempt:
            self.write_begun()
            return self._append(_STEP_COMPLETED, key, attempt, mark, data, 1, now)
        self.begun = None
        data = pairs.join(begun[3], begun[2], data)
        return self._append(_STEP_COMPLETED, key, attempt, mark, data, 2, now)

    def _append(
        self,
        type: str,
        step: str | None,
        attempt: int | None,
        mark: bytes | None,
        data: bytes | None,
        count: int,
        at: int,
    ) -> int:
        """Add a row that holds `count` events."""
        commits = self.commits
        idx = self.idx = self.idx + count
        if self.commit != commits.count:
            self.commit = commits.count
            self.tx = idx - count + 1
        self.digest = digest = next_digest(
            self.digest, idx, type, at, step, attempt, mark, data
        )
        row = (self.n, idx, self.tx, type, at, step, attempt, mark, digest, data)
        commits.batch.events.append(_new(EventRow, row))  # half the price of a call
        return idx

    def create(self, status: RunStatus, queued: bytes) -> None:
        """Add the run itself, with its first event, to the next commit."""
        self.status = status.value
        if status is RunStatus.RUNNING:
            self.attempt = 1
            self.started = self.since = now = self.commits.clock.micros()
            data = pairs.join(now, queued, b"")
            self._append(_RUN_STARTED, None, 1, None, data, 2, now)
        else:
            self.append(_RUN_QUEUED, data=queued)
        self.commits.batch.runs.append(self.row())

    def begin_attempt(self) -> None:
        """Note that the body is entered (again): the event `run.started`."""
        self.attempt += 1
        if self.started is None:
            self.started = self.since = self.commits.clock.micros()
        self.append(_RUN_STARTED, attempt=self.attempt, data=None)

    def record_end(self, ending: Ending) -> None:
        """Add the terminal event of the run, and its row, to the next commit."""
        began = self.started or self.created
        duration = (self.commits.clock.micros() - began) / 1e6
        if ending.status is RunStatus.COMPLETED:
            data = b'{"duration":%.6f,%b}' % (duration, ending.member)
            self._end(RunStatus.COMPLETED, EventType.RUN_COMPLETED, data)
        elif ending.status is RunStatus.FAILED:
            error = ending.error or {}
            line = f"{error.get('type')}: {error.get('message')}"
            self.preview = line.splitlines()[0][:300].encode(errors="replace")
            undefined = True if ending.is_undefined else None
            data = to_json(
                {"error": error, "duration": duration, "_undefined": undefined}
            )
            self._end(RunStatus.FAILED, EventType.RUN_FAILED, data)
        elif ending.status is RunStatus.SKIPPED:
            self.reason = ending.reason
            data = to_json({"reason": ending.reason})
            self._end(RunStatus.SKIPPED, EventType.RUN_SKIPPED, data)
        else:
            self.reason = ending.reason
            data = to_json({"reason": ending.reason, "by": ending.by})
            self._end(RunStatus.CANCELED, EventType.RUN_CANCELED, data)

    def _end(self, status: RunStatus, type: EventType, data: bytes) -> None:
        self.status = status.value
        self.ended = self.commits.clock.micros()
        self.wake = None
        self.last = self.append(type.value, data=data)
        self.tail = self.digest
        self.update()

    def update(self) -> None:
        """Write the run's changing columns with the next commit."""
        self.commits.batch.updates.append(
            RunUpdate(
                self.status,
                self.definition,
                self.outcome,
                self.preview,
                self.attempt,
                self.recoveries,
                self.started,
                self.ended,
                self.wake,
                self.reason,
                self.last,
                self.tail,
                self.n,
            )
        )

    def row(self) -> RunRow:
        """The run as its row."""
        return RunRow(
            self.n,
            self.id,
            self.workflow,
            self.definition,
            self.status,
            self.label,
            self.parent,
            self.parent_step,
            self.root,
            self.depth,
            self.rerun_of,
            self.from_step,
            self.stored_options,
            self.headers,
            self.input,
            self.outcome,
            self.preview,
            self.attempt,
            self.recoveries,
            self.created,
            self.started,
            self.ended,
            self.wake,
            self.reason,
            self.last,
            self.tail,
            self.caller,
        )


def left_mark(journal: Journal) -> str:
    """What the table of commands holds of a run whose engine was closed properly.

    It names the run's last event, so a further life makes it void.
    """
    return f"left-{journal.n}-{journal.idx}"


def load_journal(commits: Commits, row: RunRow) -> Journal:
    """The journal of a run that is in the store."""
    store = commits.store
    last = store.last_event(row.n)
    parent = store.run_by_number(row.parent) if row.parent is not None else None
    root = row.id if row.root == row.n else None
    step_input = None
    if row.from_step is not None:
        queued = store.events(row.n, 0, 1)[0]
        stored = from_json(queued.data).get("_step_input", {})
        step_input = load_value(stored, store.get_blob)
    caller = from_json(row.caller)
    if root is None:
        top = store.run_by_number(row.root)
        root = top.id if top is not None else row.id
    return Journal(
        commits,
        row.n,
        row.id,
        row.workflow,
        row.definition,
        row.input,
        row.created,
        RunOptions.from_stored(row.options),
        stored_options=row.options,
        headers=row.headers,
        label=row.label,
        parent=row.parent,
        parent_id=parent.id if parent is not None else caller.get("run_id"),
        parent_step=row.parent_step,
        root=row.root,
        root_id=caller.get("root_run_id", root),
        caller=row.caller,
        depth=row.depth,
        rerun_of=row.rerun_of,
        from_step=row.from_step,
        step_input=step_input,
        status=row.status,
        outcome=row.outcome,
        preview=row.preview,
        attempt=row.attempt,
        recoveries=row.recoveries,
        started=row.started,
        ended=row.ended,
        wake=row.wake,
        reason=row.reason,
        last=row.last,
        tail=row.tail,
        idx=last.idx if last is not None else 0,
        digest=last.digest if last is not None else b"",
    )

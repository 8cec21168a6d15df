"""Rows, batches and protocols of a store: what the engine and clients code against.

Rows are tuples in column order. Times are microseconds UTC, run references are run
numbers, JSON columns are bytes. Text columns want plain ``str`` (a StrEnum member is
stored alike, but costs a microsecond to bind).
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

Faults: TypeAlias = Callable[[str], None]
"""Called with the name of a point reached; may raise or kill. Tests only.

A commit's points are before-begin, before-commit, committed and after-commit; a blob's
is blob; an inbox file's are inbox-written and inbox-renamed.
"""

OneOrMore: TypeAlias = str | Iterable[str]
"""A filter: one value, or several of which one must hold."""


class EventRow(NamedTuple):
    """One entry of a run's log."""

    run: int
    idx: int
    tx: int
    type: str
    at: int
    step: str | None
    attempt: int | None
    mark: bytes | None
    digest: bytes
    data: bytes | None


class RunRow(NamedTuple):
    """One run, as lists show it."""

    n: int
    id: str
    workflow: str
    definition: str
    status: str
    label: str | None
    parent: int | None
    parent_step: str | None
    root: int
    depth: int
    rerun_of: int | None
    from_step: str | None
    options: bytes | None
    headers: bytes | None
    input: bytes
    outcome: bytes | None
    preview: bytes | None
    attempt: int
    recoveries: int
    created: int
    started: int | None
    ended: int | None
    wake: int | None
    reason: str | None
    last: int | None
    tail: bytes | None
    caller: bytes | None = None


class RunUpdate(NamedTuple):
    """The changing columns of a run, all of them; `n` names the run."""

    status: str
    definition: str
    outcome: bytes | None
    preview: bytes | None
    attempt: int
    recoveries: int
    started: int | None
    ended: int | None
    wake: int | None
    reason: str | None
    last: int | None
    tail: bytes | None
    n: int


class CommandRow(NamedTuple):
    """An applied command of the inbox and what came of it; or the engine's own note."""

    id: str
    at: int
    outcome: bytes


class WorkflowRow(NamedTuple):
    """One workflow of the app's catalogue."""

    name: str
    definition: str | None
    input_schema: bytes | None
    output_schema: bytes | None
    source: str | None
    target: str | None
    at: int | None


class CacheRow(NamedTuple):
    """Where the outcome of a cached step is recorded."""

    key: bytes
    run: int
    idx: int
    at: int


class FlowRow(NamedTuple):
    """One key of flow control; limits as JSON `[rate, period, parallelism]`."""

    key: str
    asked: bytes
    pinned: bytes | None
    paused: int
    held: int
    held_for: str
    at: int


class SlotRow(NamedTuple):
    """One execution that a key counts."""

    n: int
    key: str
    run: int
    step: str | None
    attempt: int
    queued: int
    started: int | None
    ended: int | None


class WaitRow(NamedTuple):
    """A step that waits for an event of that name."""

    run: int
    step: str
    name: str
    match: bytes | None
    due: int | None


class MessageRow(NamedTuple):
    """An event on its way to one run, until a step of it has taken it."""

    run: int
    id: str
    step: str | None
    name: str
    at: int
    data: bytes


class HeadMark(NamedTuple):
    """The last event that was committed, noted outside of the database.

    A database that lacks it has lost its end (SQLite drops a damaged tail of its log
    without a word) or is an older copy.
    """

    run: int
    idx: int
    digest: str


class RunPage(NamedTuple):
    """Some runs, newest first; `cursor` is None when these are the last."""

    rows: list[RunRow]
    cursor: str | None


class Batch:
    """What one commit writes: all of it becomes visible together or not at all.

    Applied in this order: deletes, runs, updates, events, commands, catalogue, cache,
    rest. `rest` holds statements of `statements` with their parameters.
    """

    __slots__ = (
        "cache",
        "catalogue",
        "commands",
        "deletes",
        "events",
        "rest",
        "runs",
        "updates",
    )

    def __init__(self) -> None:
        self.runs: list[RunRow] = []
        self.updates: list[RunUpdate] = []
        self.events: list[EventRow] = []
        self.commands: list[CommandRow] = []
        self.catalogue: list[WorkflowRow] = []
        self.cache: list[CacheRow] = []
        self.deletes: list[int] = []
        self.rest: list[tuple[str, tuple[object, ...]]] = []

    def clear(self) -> None:
        """Forget everything, after it was committed."""
        self.events.clear()
        for rows in (self.runs, self.updates, self.commands, self.catalogue):
            if rows:
                rows.clear()
        if self.cache:
            self.cache.clear()
        if self.deletes:
            self.deletes.clear()
        if self.rest:
            self.rest.clear()

    def __bool__(self) -> bool:
        return bool(
            self.events
            or self.runs
            or self.updates
            or self.commands
            or self.catalogue
            or self.cache
            or self.deletes
            or self.rest
        )


class RunQueries(Protocol):
    """What can be asked of any store. Every call is one consistent read."""

    def run(self, run_id: str) -> RunRow | None:
        """The run of that id."""

    def run_by_number(self, n: int) -> RunRow | None:
        """The run of that number."""

    def children(self, n: int) -> list[RunRow]:
        """Runs that this one invoked or started, oldest first."""

    def events(
        self, run_n: int, after: int = 0, limit: int | None = None
    ) -> list[EventRow]:
        """Events with an index above `after`, in order."""

    def events_of(self, run_n: int, types: Sequence[str]) -> list[EventRow]:
        """Events of those types, in order, without reading the others."""

    def tail(self, run_n: int, count: int) -> list[EventRow]:
        """The last `count` events, in order."""

    def head(self, run_n: int) -> int:
        """Index of the last event; 0 where there is none."""

    def last_event(self, run_n: int) -> EventRow | None:
        """The last event."""

    def workflows(self) -> list[WorkflowRow]:
        """The app's catalogue, by name."""

    def command(self, command_id: str) -> bytes | None:
        """Outcome of an applied command; None when it was not applied (or pruned)."""

    def commands(self, beginning: str) -> list[CommandRow]:
        """Applied commands and the engine's own notes whose ids begin so, by id."""

    def flows(self) -> list[FlowRow]:
        """The keys of flow control, by name."""

    def slots(self, run_n: int | None = None) -> list[SlotRow]:
        """Executions that keys count, of one run or of all, in order of arrival."""

    def waits(self, name: str | None = None) -> list[WaitRow]:
        """Steps that wait for an event, of that name or of any, oldest run first."""

    def messages(self, run_n: int | None = None) -> list[MessageRow]:
        """Events that a run, or any, has not taken yet, oldest first."""

    def get_blob(self, digest: str) -> bytes:
        """An out-of-line value, checked against its digest. Raises StoreDamaged."""


class WriterStore(RunQueries, Protocol):
    """The one writer of a store, used by one thread (blobs: by any)."""

    uid: str
    epoch: int
    next_run: int

    @property
    def path(self) -> Path | None:
        """The app's folder; None in memory."""

    def commit(self, batch: Batch) -> None:
        """Write the batch in one transaction; when it returns, the batch is durable.

        Raises StoreFull (nothing of it is stored: commit the same batch again when
        there is space), and, after which this writer is of no more use, StoreReplaced,
        EngineFenced, StoreDamaged, StoreReadOnly or StoreError. The outcome of a
        failed COMMIT is looked up before anything is raised.
        """

    def unfinished(self) -> list[RunRow]:
        """Queued and running runs, oldest first."""

    def cached(self, key: bytes) -> EventRow | None:
        """The event that holds the outcome cached under this key."""

    def put_blob(self, digest: str, data: bytes) -> None:
        """Keep an out-of-line value; durable on return. Any thread, any time."""

    def maintain(self, now: int | None = None) -> None:
        """House-keeping for idle moments: checkpoints; with `now`, old commands go."""

    def sweep(self) -> int:
        """Remove the out-of-line values of deleted runs; how many. Any thread.

        Raises StoreError or OSError when something cannot be read; nothing is lost.
        """

    def release_ballast(self) -> bool:
        """On a full disk: give back the reserved space. False when there is none."""

    def restore_ballast(self) -> bool:
        """Reserve the space again. False when there is still too little."""

    def close(self) -> None:
        """Close. May be called again."""


class ReaderStore(RunQueries, Protocol):
    """A read-only view of a store, usable from any thread."""

    uid: str

    @property
    def path(self) -> Path | None:
        """The app's folder; None in memory."""

    def runs(
        self,
        *,
        status: OneOrMore | None = None,
        workflow: OneOrMore | None = None,
        label: OneOrMore | None = None,
        parent: OneOrMore | None = None,
        since: int | None = None,
        search: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        top: bool = False,
        above: int | None = None,
    ) -> RunPage:
        """Runs that pass all filters, newest first, in stable pages.

        `parent` takes run ids, `since` a time of creation, `search` a substring of id,
        workflow or label (case does not matter), `top` leaves out the runs that others
        of this store have started, `above` those up to that number. Raises
        InvalidCursor, InvalidOption.
        """

    def runs_of(self, run_ids: Sequence[str]) -> list[RunRow]:
        """Those of these runs that are there, in no order; any number of ids."""

    def child_counts(self, numbers: Sequence[int]) -> dict[int, int]:
        """How many runs these have invoked or started; those without are left out."""

    def find(self, prefix: str, limit: int = 2) -> Sequence[str]:
        """Ids of runs that begin with `prefix`, by id."""

    def tree(self, root: int) -> list[RunRow]:
        """A run and all runs below it, oldest first."""

    def counts(self) -> dict[str, int]:
        """How many runs there are of each status."""

    def stamp(self) -> int:
        """A number that differs whenever anything was committed since the last call."""

    def close(self) -> None:
        """Close. May be called again."""

"""The engines that this process has open, as their clients see them.

Kept apart from `host`, which enters itself here: who only reads a store must be able to
ask whether an engine is at hand without loading the engine.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from nbflow._engine.tickets import Ticket
from nbflow._notices import warn
from nbflow._store.base import ReaderStore, WriterStore
from nbflow.definition.spec import WorkflowSpec
from nbflow.errors import StoreError
from nbflow.policy import RunOptions

T = TypeVar("T")

PATIENCE = 3.0
"""Seconds that a loop is blocked before those who wait for it are told."""

_lock = threading.Lock()
_open: dict[str, "OpenHost"] = {}


class Blocker(NamedTuple):
    """Code of a run that keeps an engine's loop from going on: it does not await.

    Attributes:
        what: the step, body or task, with its run, as in "step 'fetch' of run r-1".
        run_id: that run, where it can be told.
        since: when the loop was last seen going on, in seconds of `time.monotonic`.
    """

    what: str
    run_id: str | None
    since: float


class Time(Protocol):
    """What clients ask of an engine's clock."""

    def micros(self) -> int:
        """The present, in microseconds UTC."""

    def new_run_id(self) -> str:
        """An id that no other run has."""


class OpenHost(Protocol):
    """An engine in a thread of this process; its methods may be called in any other.

    Attributes:
        key: what names its store in this process (its path).
        app: the app that it serves.
        face: what clients keep of it.
        changed: told after commits, as long as somebody is in `wait_for_change`.
        find_spec: finds a workflow of the app by name.
        known_specs: lists them.
    """

    key: str
    app: str
    store: WriterStore
    face: Any
    changed: threading.Condition
    find_spec: Callable[[str], WorkflowSpec | None]
    known_specs: Callable[[], list[WorkflowSpec]]

    @property
    def clock(self) -> Time:
        """Its time, and the ids of its runs."""

    @property
    def thread_id(self) -> int | None:
        """Identity of its thread."""

    @property
    def is_closed(self) -> bool:
        """Whether it was closed or has stopped."""

    @property
    def is_alive(self) -> bool:
        """Whether its thread still runs."""

    @property
    def is_paused(self) -> bool:
        """Whether it waits for space on a full disk, and commits nothing."""

    @property
    def blocker(self) -> Blocker | None:
        """What blocks its loop; None as long as that goes on."""

    @property
    def commits(self) -> int:
        """How often it has committed."""

    def check(self) -> None:
        """Raise where it cannot be used from here."""

    def executes(self, run_id: str) -> bool:
        """Whether it executes a run, or will when its time has come."""

    def open_reader(self) -> ReaderStore:
        """A read-only view of its store."""

    def wake_after(self, delay: object) -> int:
        """The time that lies `delay` (a duration) from now, in microseconds."""

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call a function on its loop; the result once that is committed.

        Where a run blocks the loop for long, a warning says which. A wait that is
        interrupted withdraws the call, if it was not made yet.
        """

    def settle(self, patience: float) -> None:
        """Wait until what was asked of it is committed, at most so long if blocked."""

    def perform(self, command: Mapping[str, Any]) -> Any:
        """Carry out a command of a client; what it comes to, once committed.

        The commands are those that other processes put into the inbox.
        """

    def invoke(
        self,
        spec: WorkflowSpec,
        values: Mapping[str, Any],
        *,
        run_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        label: str | None = None,
        options: RunOptions | None = None,
        wake: int | None = None,
        is_recorded: bool = False,
    ) -> Ticket:
        """Start a run; a refused run id shows at the ticket.

        Returns at once, or with `is_recorded` when the run's record is committed.
        """

    def invoke_many(
        self,
        spec: WorkflowSpec,
        values: list[dict[str, Any]],
        *,
        headers: Mapping[str, str] | None = None,
        label: str | None = None,
        options: RunOptions | None = None,
        wake: int | None = None,
    ) -> list[str]:
        """Start a run for each input, in one commit; their ids."""

    def follow(self, run_id: str) -> Ticket:
        """A ticket for a run that exists."""

    def wait_for_change(self, timeout: float) -> None:
        """Wait until something was committed, at most so many seconds."""


def enter(host: OpenHost) -> None:
    """List an engine that has started."""
    with _lock:
        _open[host.key] = host


def leave(host: OpenHost) -> None:
    """List an engine no more, if it still is."""
    with _lock:
        if _open.get(host.key) is host:
            del _open[host.key]


def find(key: str) -> OpenHost | None:
    """The engine that this process has open on that store."""
    return _open.get(key)


def find_in(folder: Path) -> OpenHost | None:
    """The engine that this process has open on the store in that folder."""
    # Readers ask for each of their rows, mostly where no engine is open at all.
    return _open.get(store_key(folder)) if _open else None


def opened() -> list[OpenHost]:
    """Every engine that this process has open."""
    return list(_open.values())


def tell_blocked(blocker: Blocker, waiting: str) -> None:
    """Warn that something waits for code which blocks an engine's loop.

    Args:
        blocker: that code.
        waiting: what waits, and what an interrupt does.
    """
    warn(_blocked(blocker, waiting))


def refuse_to_wait(blocker: Blocker) -> StoreError:
    """The error for who could not interrupt a wait for a blocked loop."""
    return StoreError(_blocked(blocker, "nothing was done"))


def _blocked(blocker: Blocker, so: str) -> str:
    seconds = time.monotonic() - blocker.since
    return (
        f"{blocker.what} has held the engine for {seconds:.0f} s without an await, so "
        f"{so}. If that code never gives way, restart the kernel (this process): "
        "finished steps are kept"
    )


def store_key(path: Path) -> str:
    """What names the store in that folder."""
    return os.path.realpath(path)


def _forget_in_child() -> None:
    # The parent's engines stay listed, so that using one names what is wrong.
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)

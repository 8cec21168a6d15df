"""Where a client finds one app: its store, and the engine that executes its runs.

The engine of this process is talked to directly; that of another is known by its lock
and reached through the inbox. Neighbour: `operations` acts through it.
"""

import threading
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

from nbflow._engine import hosts
from nbflow._engine.history import annotated_classes
from nbflow._engine.hosts import OpenHost
from nbflow._engine.ids import RunIds, system_bits
from nbflow._engine.refusals import unknown_run
from nbflow._store import lock, paths
from nbflow._store.base import ReaderStore, RunRow
from nbflow._store.lock import Holder
from nbflow._store.reader import SqliteReader
from nbflow.definition import registry
from nbflow.definition.spec import WorkflowSpec
from nbflow.errors import RunNotFound, WrongLoop
from nbflow.model import TERMINAL_RUN

_ids = RunIds(system_bits)
_lock = threading.Lock()
_PATIENCE = 2.0
"""Seconds that a reader waits for an engine whose loop is blocked by user code."""


class _SharedReader(SqliteReader):
    """A reader for all clients of one store; closed with the last of them."""

    def __del__(self) -> None:
        with suppress(Exception):  # opening it may have failed half-way
            self.close()


_readers: "weakref.WeakValueDictionary[str, _SharedReader]" = (
    weakref.WeakValueDictionary()
)


def open_reader(place: OpenHost | Path) -> ReaderStore:
    """A read-only view of a store: an engine's, or that in an app's folder.

    Readers of one folder are shared.

    Raises:
        StoreError: the store cannot be read; its kinds say why.
    """
    if not isinstance(place, Path):
        if place.store.path is None:
            return place.open_reader()
        place = Path(place.key)
    key = hosts.store_key(place)
    with _lock:
        reader = _readers.get(key)
        if reader is None:
            reader = _readers[key] = _SharedReader(place)
    return cast(ReaderStore, reader)


class Access:
    """One app's store, and whoever executes its runs.

    Args:
        home: the `.nbflow` folder; None for a store in memory.
        app: the app's name.
        host: an engine of this process that is known to serve it.
    """

    def __init__(
        self, home: Path | None, app: str, host: OpenHost | None = None
    ) -> None:
        self.home = home
        self.app = app
        self._host = host
        self._reader: ReaderStore | None = None
        self.folder: Path | None = None
        if host is not None and host.store.path is None:
            self._reader = open_reader(host)
        elif host is not None:
            self.folder = Path(host.key)
            self.home = self.folder.parent
        elif home is not None:
            self.folder = paths.app_dir(home, app)

    @classmethod
    def of(cls, host: OpenHost) -> "Access":
        """That of an engine of this process: one for all of its handles."""
        if host.face is None:
            host.face = cls(None, host.app, host)
        made: Access = host.face
        return made

    @property
    def place(self) -> str:
        """How messages name the store."""
        return "a store in memory" if self.folder is None else str(self.folder)

    # Who executes

    def host(self) -> OpenHost | None:
        """The open engine of this process, if there is one."""
        host = self._host
        if host is not None and not host.is_closed:
            return host
        if self.folder is not None:
            host = hosts.find_in(self.folder)
        else:
            # After a crash in a test, another engine has the same store.
            uid = self._reader.uid if self._reader is not None else None
            host = next((one for one in hosts.opened() if one.store.uid == uid), None)
        if host is None or host.is_closed:
            return None
        self._host = host
        return host

    def holder(self) -> Holder | None:
        """The process that runs the app's engine, as far as its lock tells."""
        return None if self.folder is None else lock.holder(self.folder)

    def is_served(self) -> bool:
        """Whether an engine of the app is alive, wherever."""
        return self.host() is not None or self.holder() is not None

    def executes(self, row: RunRow) -> bool:
        """Whether somebody executes an unfinished run, as far as can be told."""
        host = self.host()
        if host is None:
            return self.holder() is not None
        return host.executes(row.id)

    def refuse_loop(self, what: str) -> None:
        """Refuse to block an engine's loop.

        Raises:
            WrongLoop: this is an engine's thread; names what to do instead.
        """
        me = threading.get_ident()
        if any(host.thread_id == me for host in hosts.opened()):
            raise WrongLoop(
                f"{what} waits, and was called on the engine's own event loop, which "
                "it would block for ever: inside a workflow use "
                "`await ctx.invoke(…)`, or `await` the handle"
            )

    # What is stored

    def reader(self) -> ReaderStore | None:
        """The store's reader; None as long as there is no store. Makes nothing.

        Raises:
            StoreError: a store is there and cannot be read.
        """
        if self._reader is None and self.folder is not None:
            if not paths.has_store(self.folder):
                return None
            self._reader = open_reader(self.folder)
        return self._reader

    def settle(self) -> None:
        """Have this process's engine commit what was asked of it before.

        So that reading finds what the same code has just invoked. Not on a full disk,
        when only reading is possible, nor for long when code blocks the engine's loop.
        """
        host = self.host()
        if host is not None and not host.is_paused:
            with suppress(Exception):  # it has just stopped: what is stored is all
                host.settle(_PATIENCE)

    def find_row(self, run_id: str) -> RunRow:
        """The row of a run.

        Raises:
            RunNotFound: there is none of that id.
        """
        row = self.look_up(run_id)
        if row is None:
            host = self.host()
            blocker = None if host is None else host.blocker
            by = None if blocker is None else blocker.what
            raise unknown_run(run_id, self.app, self.place, by)
        return row

    def look_up(self, run_id: str) -> RunRow | None:
        """The row of a run, also of one that was invoked a moment ago."""
        reader = self.reader()
        row = None if reader is None else reader.run(run_id)
        if row is None:
            self.settle()
            reader = self.reader()
            row = None if reader is None else reader.run(run_id)
        return row

    def store(self) -> ReaderStore:
        """The reader of a store that is known to be there."""
        reader = self.reader()
        if reader is None:
            raise RunNotFound(f"there is no store of app {self.app!r} at {self.place}")
        return reader

    # What this process knows

    def spec(self, workflow: str) -> WorkflowSpec | None:
        """Today's definition of a workflow, if this process has it."""
        host = self.host()
        spec = None if host is None else host.find_spec(workflow)
        return spec or registry.get(self.app, workflow)

    def classes(self, workflow: str) -> Mapping[str, type]:
        """Classes that values of a workflow's runs may be of."""
        spec = self.spec(workflow)
        return annotated_classes(None if spec is None else spec.fn)

    def micros(self) -> int:
        """The time as the engine has it."""
        host = self.host()
        return _micros() if host is None else host.clock.micros()

    def new_run_id(self) -> str:
        """An id for a run that is to be."""
        host = self.host()
        return _ids.next(_micros()) if host is None else host.clock.new_run_id()


def blocked_by() -> str | None:
    """The step or body that blocks an engine of this process, with its run."""
    blockers = (host.blocker for host in hosts.opened())
    return next((each.what for each in blockers if each is not None), None)


def is_ended(row: RunRow) -> bool:
    """Whether the run's present life is over."""
    return row.status in TERMINAL_RUN


def _micros() -> int:
    return time.time_ns() // 1000

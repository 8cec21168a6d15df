"""`Engine` runs the workflows of one app; `.invoke` starts one by itself."""

import atexit
import logging
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from nbflow import names
from nbflow._engine import hosts
from nbflow._engine.clock import Clock, SystemClock
from nbflow._engine.host import Host
from nbflow._engine.hosts import OpenHost
from nbflow._store import paths
from nbflow._store.base import WriterStore
from nbflow._store.lock import EngineLock
from nbflow._store.memory import MemoryStore
from nbflow._store.sqlite import SqliteWriter
from nbflow.client import Client
from nbflow.definition import apps, registry
from nbflow.definition.apps import default_app
from nbflow.definition.spec import WorkflowSpec
from nbflow.errors import EngineClosed, InvalidOption

Durability = Literal["power", "process"]

log = logging.getLogger("nbflow")
_lock = threading.Lock()


class Engine:
    """Executes the workflows of one app, durably, in a thread of its own.

    A context manager, sync and async. There is at most one engine per app, in
    whatever process: a second one is refused with who holds it.

    Args:
        home: the `.nbflow` folder; the nearest one upwards if None, else made in the
            working folder. `NBFLOW_HOME` overrides.
        app: the app's name; that of the notebook or module if None.
        workflows: serve exactly these, under this app; all that this process has
            defined for the app if None. A child that a former engine has left, and
            whose workflow is not among these, ends as failed once its caller waits for
            it, which gets `WorkflowNotFound`. If None it waits, as a later cell may
            define its workflow.
        durability: `"power"`: what is acknowledged survives a power cut;
            `"process"`: faster, survives the kill of any process, may forget the last
            moments on power loss.
        clock: a `nbflow.testing.VirtualClock` for tests.
        recover: take up unfinished runs of a former engine at once; else they wait
            for `resume`.

    Raises:
        EngineBusy: another process (or this one) runs the app's engine.
        StoreError: the store cannot be opened; its kinds say why.
    """

    def __init__(
        self,
        home: str | Path | None = None,
        app: str | None = None,
        workflows: Iterable[Any] | None = None,
        durability: Durability = "power",
        *,
        clock: Clock | None = None,
        recover: bool = True,
        store: MemoryStore | None = None,
    ) -> None:
        if durability not in ("power", "process"):
            raise InvalidOption(
                f"durability={durability!r} is unknown: use 'power' or 'process'",
                option="durability",
                value=durability,
            )
        listed = None if workflows is None else [_spec(each) for each in workflows]
        self.app = names.check_app(app) if app is not None else _app_of(listed)
        self._specs = None if listed is None else {spec.name: spec for spec in listed}
        self._durability: Durability = durability
        self._clock: Clock = SystemClock() if clock is None else clock
        self._memory = store
        self._home = None if store is not None else paths.find_home(home, create=True)
        self._recovers = recover
        self._host: Host | None = None
        self._lock: EngineLock | None = None
        self._writer: SqliteWriter | None = None
        self._stubs: dict[str, Any] | None = None  # of nbflow.testing
        self.client: Client

    def __repr__(self) -> str:
        return f"<Engine of app {self.app!r}: {self._state}>"

    @property
    def is_running(self) -> bool:
        """Whether it serves: it was started, and neither closed nor stopped."""
        return self._state == "running"

    @property
    def _state(self) -> str:
        if self._host is None:
            return "not started"
        return "closed" if self._host.is_closed else "running"

    def start(self) -> Self:
        """Open the store, take up what waits there, and serve; returns itself.

        Raises:
            EngineBusy, StoreError: as for the class.
            EngineClosed: it was closed before.
        """
        if self._host is not None:
            if self._host.is_closed:
                raise EngineClosed(
                    f"this engine of app {self.app!r} was closed: make a new one"
                )
            return self
        path = None if self._home is None else paths.app_dir(self._home, self.app)
        key = (
            hosts.store_key(path) if path is not None else f"memory:{id(self._memory)}"
        )
        self._host = Host(
            key,
            self.app,
            lambda: self._open(path),
            self._release,
            self._mark,
            self._clock,
            self._find,
            self._known,
            recovers=self._recovers,
            is_fixed=self._specs is not None,
            stubs=self._stubs,
        )
        try:
            self._host.start()
        except BaseException:
            self._host = None
            raise
        self.client = Client(self._home, self.app, _host=self._host)
        return self

    def close(self, timeout: float = 10) -> None:
        """Start nothing more, interrupt bodies, leave their runs resumable.

        Args:
            timeout: seconds to wait for the engine's thread.
        """
        if self._host is not None:
            self._host.close(timeout)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self, path: Path | None) -> WriterStore:
        if path is None:
            assert self._memory is not None
            return self._memory
        now = self._clock.micros()
        self._lock = EngineLock(path, notebook=apps.notebook_name(), now=now)
        try:
            store = SqliteWriter(path, self._durability, now=now)
        except BaseException:
            self._lock.release()
            raise
        former = self._lock.former
        latest = former.latest if former.uid == store.uid else None
        if latest is not None and store.lacks(latest):
            log.error(
                "the store of app %r lacks events that its former engine had "
                "committed: its tail was lost or an older copy was put in its place. "
                "What is there is consistent; steps of the last moments run again.",
                self.app,
            )
        self._writer = store
        self._mark()
        return store

    def _mark(self) -> None:
        """Note in the lock's file how far the history goes."""
        if self._lock is not None and self._writer is not None:
            store = self._writer
            self._lock.mark(uid=store.uid, epoch=store.epoch, latest=store.mark())

    def _release(self) -> None:
        if self._lock is not None:
            self._mark()
            self._lock.release()
            self._lock = None

    def _find(self, name: str) -> WorkflowSpec | None:
        if self._specs is not None:
            return self._specs.get(name)
        return registry.get(self.app, name)

    def _known(self) -> list[WorkflowSpec]:
        if self._specs is not None:
            return list(self._specs.values())
        return registry.workflows(self.app)


def process_host(app: str) -> OpenHost:
    """The open engine of an app in this process; started if there is none.

    Unfinished runs of a former engine wait for a resume.

    Raises:
        EngineBusy: another process runs the app's engine.
    """
    for host in hosts.opened():
        if host.app == app:
            host.check()
            return host
    with _lock:
        for host in hosts.opened():
            if host.app == app:
                return host
        engine = Engine(app=app, recover=False).start()
        _started.append(engine)
        assert engine._host is not None
        return engine._host


def shutdown() -> None:
    """Close the engines that `.invoke` has started in this process.

    Their unfinished runs stay resumable. Called by itself when the process ends.
    """
    with _lock:
        engines, _started[:] = list(_started), []
    for engine in engines:
        engine.close()


_started: list[Engine] = []
atexit.register(shutdown)


def _spec(workflow: Any) -> WorkflowSpec:
    spec = getattr(workflow, "spec", None)
    if isinstance(spec, WorkflowSpec):
        return spec
    raise InvalidOption(
        f"workflows= holds {workflow!r}, which is no workflow: list those that "
        "@workflow made",
        option="workflows",
        value=workflow,
    )


def _app_of(specs: list[WorkflowSpec] | None) -> str:
    if specs:
        return specs[0].app
    known = registry.apps()
    return known[0] if len(known) == 1 else default_app()

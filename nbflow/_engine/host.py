"""An engine in a thread of its own.

Other threads talk to it by posting calls; what they wait for comes back through a
`Ticket` or a `concurrent.futures.Future`.
"""

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from nbflow import durations
from nbflow._engine import commands, hosts
from nbflow._engine.activity import Activity
from nbflow._engine.clock import Clock
from nbflow._engine.commits import say
from nbflow._engine.core import Core
from nbflow._engine.creation import new_journal, store_input
from nbflow._engine.ending import read_ending
from nbflow._engine.history import annotated_classes
from nbflow._engine.hosts import Blocker
from nbflow._engine.recovery import left, recover
from nbflow._engine.resuming import find_existing, find_row, take_up_defined
from nbflow._engine.run import LiveRun
from nbflow._engine.tickets import Ticket
from nbflow._engine.watch import Watch
from nbflow._notices import is_impatient
from nbflow._store.base import ReaderStore, WriterStore
from nbflow._store.memory import MemoryStore
from nbflow._store.reader import SqliteReader
from nbflow.definition.spec import WorkflowSpec
from nbflow.errors import EngineClosed, EngineNotInherited, NbflowError
from nbflow.names import check_headers
from nbflow.policy import RunOptions

T = TypeVar("T")
log = logging.getLogger("nbflow")

_POLL = 0.03
"""Seconds between two looks into the inbox: a listing costs some 50 microseconds."""
_HOUSEKEEPING = 2.0
"""Seconds between two moments of house-keeping while nothing runs."""
_WAITS = "this call waits; an interrupt ends the wait, and what it asks is not done"
_SWEEP = 600.0
"""Seconds between two looks for what deleted runs have left."""


class Host:
    """The thread and loop of one engine.

    Args:
        key: what names the store in this process (its path).
        app: the app's name.
        open_store: opens the writer; called in the engine's thread.
        release: lets the next engine in; called when the store is closed.
        mark: notes how far the history goes; called in idle moments.
        clock: time, ids and loops.
        find_spec: finds a workflow of the app by name.
        known_specs: lists them.
        recovers: whether unfinished runs of a former engine are taken up at start.
        is_fixed: whether no further workflows will be defined.
        stubs: functions to call in the place of steps' own, by label or id (tests).
    """

    def __init__(
        self,
        key: str,
        app: str,
        open_store: Callable[[], WriterStore],
        release: Callable[[], None],
        mark: Callable[[], None],
        clock: Clock,
        find_spec: Callable[[str], WorkflowSpec | None],
        known_specs: Callable[[], list[WorkflowSpec]],
        *,
        recovers: bool,
        is_fixed: bool = False,
        stubs: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.key = key
        self.app = app
        self.clock = clock
        self.core: Core
        self.loop: asyncio.AbstractEventLoop
        self.store: WriterStore
        self.changed = threading.Condition()
        self.find_spec = find_spec
        self.known_specs = known_specs
        self._open_store = open_store
        self._release = release
        self._mark = mark
        self._recovers = recovers
        self._is_fixed = is_fixed
        self._stubs = stubs
        self._calls: deque[Callable[[], None]] = deque()
        self._is_armed = False
        self._is_closing = False
        self._is_leaving = False
        self._pid = os.getpid()
        self._started: Future[None] = Future()
        self._tickets: set[Ticket] = set()
        self._watchers = 0
        self._watch: Watch | None = None  # as soon as the loop is there
        self._told: Blocker | None = None
        self._next_sweep = 0.0
        self.face: Any = None  # what clients keep of this engine
        self._thread = threading.Thread(
            target=self._main, name=f"nbflow-engine-{app}", daemon=True
        )

    def start(self) -> None:
        """Open the store and start the thread; raises what opening raises."""
        self._thread.start()
        try:
            self._started.result()
        except Exception:
            self._thread.join(10)  # the store and its lock are free after it
            raise
        hosts.enter(self)

    # From any thread

    @property
    def thread_id(self) -> int | None:
        """Identity of the engine's thread."""
        return self._thread.ident

    @property
    def is_closed(self) -> bool:
        """Whether it was closed or has stopped."""
        return self._is_closing or self.core.stopped is not None

    @property
    def is_alive(self) -> bool:
        """Whether the engine's thread still runs."""
        return self._thread.is_alive()

    @property
    def is_paused(self) -> bool:
        """Whether it waits for space on a full disk, and commits nothing."""
        return self.core.commits.paused is not None

    @property
    def blocker(self) -> Blocker | None:
        """What blocks the loop: a body or step of a run that does not await."""
        return None if self._watch is None else self._watch.blocker

    @property
    def commits(self) -> int:
        """How often it has committed."""
        return self.core.commits.count

    def executes(self, run_id: str) -> bool:
        """Whether the engine executes a run, or will when its time has come."""
        return run_id in self.core.live or run_id in self.core.parked

    def open_reader(self) -> ReaderStore:
        """A read-only view of the engine's store."""
        if isinstance(self.store, MemoryStore):
            return self.store.reader()
        assert self.store.path is not None
        return SqliteReader(self.store.path)

    def wake_after(self, delay: object) -> int:
        """The time that lies `delay` (a duration) from now, in microseconds."""
        seconds = durations.parse(delay, what="delay")
        return self.clock.micros() + round(seconds * 1e6)

    def check(self) -> None:
        """Raise where the engine cannot be used from here."""
        if self._pid != os.getpid():
            raise EngineNotInherited(
                f"the engine of app {self.app!r} belongs to process {self._pid}, of "
                "which this one is a fork: use nbflow in the parent, or start workers "
                "with the 'spawn' method"
            )
        if self._is_closing:
            raise EngineClosed(
                f"the engine of app {self.app!r} was closed: open a new one"
            )
        self.core.check_running()

    def post(self, call: Callable[[], None]) -> None:
        """Have something called on the engine's loop."""
        self.check()
        self._calls.append(call)
        if not self._is_armed:
            self._is_armed = True
            self.loop.call_soon_threadsafe(self._drain)

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call a function on the engine's loop; its result once that is committed.

        Where a run blocks the loop for long, a warning says which. A wait that is
        interrupted withdraws the call, if it was not made yet.
        """
        if threading.get_ident() == self._thread.ident:
            return function(*args, **kwargs)
        done: Future[T] = Future()

        def run() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                result = function(*args, **kwargs)
            except BaseException as exc:
                done.set_exception(exc)
                return
            self.core.commits.after(lambda: done.set_result(result))
            self.core.commits.flush_soon()

        self.post(run)
        try:
            return self._wait(done, told=_WAITS)
        finally:
            done.cancel()  # else who has stopped waiting would get it done later

    def settle(self, patience: float) -> None:
        """Wait until what was asked of the engine before this is committed.

        Args:
            patience: seconds to wait where user code blocks the loop, perhaps for ever.
        """
        if threading.get_ident() == self._thread.ident:
            return
        done: Future[None] = Future()

        def run() -> None:
            self.core.commits.after(lambda: done.set_result(None))
            self.core.commits.flush_soon()

        began = time.monotonic()

        def is_over() -> bool:
            # Of a loop that is blocked for as long already, nothing is expected.
            blocker = self.blocker
            if blocker is None:
                return False
            return time.monotonic() > min(began, blocker.since) + patience

        if is_over():
            return
        self.post(run)
        with suppress(TimeoutError):
            self._wait(done, is_over)

    def _wait(
        self,
        done: "Future[T]",
        is_over: Callable[[], bool] = lambda: False,
        told: str | None = None,
    ) -> T:
        """Wait for what was posted; `told` says once what waits for a blocked loop."""
        end = time.monotonic() + hosts.PATIENCE
        # In slices: the engine may stop, and Windows cannot interrupt a long wait.
        while not is_over():
            try:
                return done.result(0.25)
            except TimeoutError:
                if done.done():  # meanwhile, or the call itself has raised it
                    return done.result()
                self.core.check_running()
                blocker = self.blocker
                if told and blocker is not None and time.monotonic() > end:
                    if is_impatient():
                        raise hosts.refuse_to_wait(blocker) from None
                    hosts.tell_blocked(blocker, told)
                    told = None
        raise TimeoutError

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

        Returns at once, or with `is_recorded` when the run's record is committed. That
        is before its body is entered, which may block the loop for long.
        """
        stored = store_input(self.store.put_blob, values)
        if headers:
            check_headers(headers)
        ticket = Ticket(run_id or self.clock.new_run_id(), self._tickets)
        is_new = run_id is None
        given = (headers, label, options, wake)
        start = partial(self._start, ticket, is_new, spec, values, stored, *given)
        if is_recorded:
            self.call(start)
        else:
            self.post(start)
            self._tell_late()
        return ticket

    def _tell_late(self) -> None:
        """Say, once for each that blocks the loop, that what is begun has to wait."""
        blocker = self.blocker
        if blocker is None or blocker is self._told:
            return
        if time.monotonic() - blocker.since > hosts.PATIENCE:
            self._told = blocker
            hosts.tell_blocked(blocker, "what is invoked is recorded and begins later")

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

        def start() -> list[str]:
            core = self.core
            common: dict[str, Any] = {
                "headers": headers,
                "label": label,
                "options": options,
            }
            ids = []
            for each in values:
                journal = new_journal(core.commits, core.specs, spec, each, **common)
                core.launch(journal, wake)
                ids.append(journal.id)
            return ids

        return self.call(start)

    def perform(self, command: Mapping[str, Any]) -> Any:
        """Carry out a command of a client; what it comes to, once committed."""
        return self.call(commands.perform, self.core, command)

    def follow(self, run_id: str) -> Ticket:
        """A ticket for a run that exists."""
        ticket = Ticket(run_id, self._tickets)
        self.post(lambda: self._follow(ticket))
        return ticket

    def wait_for_change(self, timeout: float) -> None:
        """Wait until something was committed, at most so many seconds."""
        with self.changed:
            self._watchers += 1
            try:
                self.changed.wait(timeout)
            finally:
                self._watchers -= 1

    def crash(self) -> None:
        """Drop everything that is not committed, as a kill of the process would."""
        hosts.leave(self)
        self._is_closing = True

        async def drop() -> None:
            # The bodies' tasks get to their end; what they still do is not written.
            tasks = self.core.drop()
            if tasks:
                await asyncio.wait(tasks, timeout=0.6)
            self.loop.stop()

        def begin() -> None:
            if not self._is_leaving:
                self.core.keep(asyncio.Task(drop(), loop=self.loop))

        with suppress(RuntimeError):  # it has stopped, and closed its loop
            self.loop.call_soon_threadsafe(begin)
        self._thread.join(10)

    def close(self, timeout: float = 10.0) -> None:
        """Start nothing more, leave runs resumable, write what is done."""
        hosts.leave(self)
        if self._pid != os.getpid() or self._is_closing:
            return
        self._is_closing = True
        with suppress(RuntimeError):  # it has stopped, and closed its loop
            self.loop.call_soon_threadsafe(self._begin_closing)
        if threading.get_ident() != self._thread.ident:
            self._thread.join(timeout)

    # On the engine's thread

    def _main(self) -> None:
        try:
            self.store = self._open_store()
            self.loop = self.clock.new_loop()
            self.core = Core(
                self.loop,
                self.store,
                self.clock,
                self.app,
                self.find_spec,
                self.known_specs,
                LiveRun,
                is_fixed=self._is_fixed,
            )
        except BaseException as exc:
            self._started.set_exception(exc)
            return
        self.core.stubs = self._stubs
        self.core.commits.on_commit = self._committed
        self.core.on_stop = self._core_stopped
        self._watch = Watch(self.core)
        activity = Activity(self._watch)
        if not self.clock.virtual:
            self.core.on_activity = activity.set
        self.loop.set_exception_handler(self._unhandled)
        self.loop.call_soon(self._begin)
        while not self.loop.is_closed():
            try:
                self.loop.run_forever()
                break
            except (SystemExit, KeyboardInterrupt) as exc:
                # Raised in a task that a body started: the others go on.
                log.warning("a task of a run raised %s", type(exc).__name__)
        try:
            self.store.close()
        finally:
            self._release()
            self.loop.close()

    def _begin(self) -> None:
        try:
            if self._recovers:
                recover(self.core, self.store.unfinished(), "recovery")
            elif not self._is_fixed:
                left(self.core, self.store.unfinished())  # its cell may be run later
            self.core.apps.send_noted()
            commands.publish_catalogue(self.core)
        except Exception as exc:
            self.core.stop(exc)
        self.core.commits.flush_soon()
        self.loop.call_soon(self._began)

    def _began(self) -> None:
        """The first commit is done, or waits for space on a full disk."""
        if self.core.stopped is not None:
            self._started.set_exception(self.core.stopped)
            return
        self._started.set_result(None)
        if not self.clock.virtual:
            self._poll()
            self._keep_house()

    def _poll(self) -> None:
        if self._is_closing or self.core.stopped is not None:
            return
        if self.store.path is not None:
            commands.apply_inbox(self.core, self.store.path)
        if self.core.undefined and not self._is_fixed:
            take_up_defined(self.core)
        self.loop.call_later(_POLL, self._poll)

    def _keep_house(self) -> None:
        if self._is_closing or self.core.stopped is not None:
            return
        if not self.core.live:
            try:
                self.store.maintain(self.clock.micros())
                self._mark()
                self._sweep()
            except NbflowError as exc:
                self.core.stop(exc)
                return
        self.loop.call_later(_HOUSEKEEPING, self._keep_house)

    def _sweep(self) -> None:
        """Now and then, remove what deleted runs have left, in a thread beside."""
        now = self.clock.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + _SWEEP

        def work() -> None:
            # Whatever is in its way: nothing is lost, and there is a next time.
            with suppress(NbflowError, OSError):
                self.store.sweep()

        threading.Thread(target=work, name="nbflow-sweep", daemon=True).start()

    def _drain(self) -> None:
        self._is_armed = False
        calls = self._calls
        while calls:
            call = calls.popleft()
            try:
                call()
            except BaseException as exc:  # those behind it must be made all the same
                problem = f"a call raised {type(exc).__name__}: {exc}"
                say(f"engine of app {self.app!r}: {problem}", logging.ERROR)

    def _start(
        self,
        ticket: Ticket,
        is_new: bool,
        spec: WorkflowSpec,
        values: Mapping[str, Any],
        stored: bytes,
        headers: Mapping[str, str] | None,
        label: str | None,
        options: RunOptions | None,
        wake: int | None,
    ) -> None:
        core = self.core
        run_id = ticket.run_id
        try:
            core.check_running()
            if not is_new and find_existing(core, run_id, spec, stored):
                self._follow(ticket)
                return
            journal = new_journal(
                core.commits,
                core.specs,
                spec,
                values,
                run_id=run_id,
                stored_input=stored,
                headers=headers,
                label=label,
                options=options,
            )
            core.commits.tickets.setdefault(run_id, []).append(ticket)
            core.launch(journal, wake)
        except BaseException as exc:
            ticket.fail(exc)

    def _follow(self, ticket: Ticket) -> None:
        core = self.core
        if self.executes(ticket.run_id):
            core.commits.tickets.setdefault(ticket.run_id, []).append(ticket)
            return
        if ticket.run_id in core.commits.ended:
            core.commits.after(partial(ticket, core.commits.ended[ticket.run_id]))
            return
        try:
            row = find_row(core, ticket.run_id)
            if row.ended is None:
                # Nobody executes it now; it is told when somebody takes it up.
                core.commits.tickets.setdefault(ticket.run_id, []).append(ticket)
                return
            spec = self.find_spec(row.workflow)
            classes = annotated_classes(spec.fn if spec is not None else None)
            ticket(read_ending(core.store, row, classes))
        except BaseException as exc:  # reading a value may call the user's `decode`
            ticket.fail(exc)

    def _committed(self) -> None:
        if self._watchers:
            with self.changed:
                self.changed.notify_all()

    def _core_stopped(self, error: BaseException) -> None:
        say(f"engine of app {self.app!r} stopped: {error}", logging.ERROR)
        for ticket in list(self._tickets):
            ticket.fail(error)
        hosts.leave(self)
        if not self._is_closing:  # it can do nothing more: let the next one in
            self.loop.call_soon(self._begin_closing)

    def _begin_closing(self) -> None:
        if self._is_leaving:
            return
        self._is_leaving = True

        async def close() -> None:
            await self.core.shutdown()
            error = self.core.stopped
            for ticket in list(self._tickets):
                ticket.fail(error or EngineClosed("the engine was closed"))
            self._committed()
            self.loop.stop()

        # Not through the task factory: this task belongs to no run.
        task = asyncio.Task(close(), loop=self.loop)
        self.core.keep(task)

    def _unhandled(
        self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]
    ) -> None:
        error = context.get("exception")
        if error is not None and not isinstance(error, Exception):
            return
        # A future or task of the user's that nobody asked is no fault of the engine.
        is_ours = "handle" in context
        log.log(
            logging.ERROR if is_ours else logging.DEBUG,
            "engine of app %r: %s",
            self.app,
            context.get("message"),
            exc_info=error,
        )

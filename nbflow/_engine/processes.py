"""Runs user code in processes of their own, for the engine's loop.

Each call has a fresh process, which is warm already: a spare one has imported what it
needs and waits. A thread per call talks to it. Neighbours: `child` is the process
seen from here, `process_worker` what it does, `conversation` and `carry` what the two
exchange.
"""

import asyncio
import contextvars
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nbflow._engine.child import Child, Guard, spawn
from nbflow._engine.clock import Clock
from nbflow._engine.threads import Outcome
from nbflow.definition.source import function_label
from nbflow.errors import EngineClosed

T = TypeVar("T")

_GRACE = 1.0  # seconds that a process has to end by itself after its outcome
_CLOSE = 2.0  # seconds that closing waits for what it has killed


def usable_cpus() -> int:
    """How many processors this process may use, at least 1."""
    if hasattr(os, "process_cpu_count"):  # since Python 3.13
        count: int | None = os.process_cpu_count()
    elif hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count()
    return count or 1


class ProcessRunner:
    """Calls functions in processes of their own, at most `limit` at once.

    More calls wait in order of arrival. While a call is outstanding the clock counts
    it as busy, so virtual time stands still under it. All methods are for the loop's
    thread only.

    Args:
        clock: counts the outstanding calls.
        limit: how many processes work at once; as many as there are processors if
            None.
    """

    def __init__(self, clock: Clock, limit: int | None = None) -> None:
        self._clock = clock
        self._limit = usable_cpus() if limit is None else limit
        self._nursery = Nursery()
        self._waiting: deque[_Call] = deque()
        self._outstanding: set[_Call] = set()  # those the clock holds time for
        self._busy = 0  # processes that work, or have not ended yet
        self._closed = False

    def run(
        self,
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context,
        fn: Callable[..., T],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        begun: "asyncio.Future[None] | None" = None,
    ) -> "asyncio.Future[Outcome[T]]":
        """Call `fn(*args, **kwargs)` in a fresh process.

        What it prints and logs goes to the `current_sink` of `context`; what it asks
        of `nbflow.current()` is answered by the one of `context`. Both are called from
        other threads.

        `begun`, if given, is done when a process has received the call.

        The future never has an exception; the outcome's error is one of:

        - what `fn` raised, with its frames, or a stand-in of its class where that
          exception does not survive the way;
        - `NotSerializable`: the function, an argument or the value cannot be pickled;
        - `ProcessDied`: the process ended before the function did;
        - `OSError`: no process could be started.

        Cancelling the future kills the process and all that it has started; a call
        that still waits is not made.

        Raises:
            EngineClosed: after `close()`.
        """
        if self._closed:
            raise _closed()
        future: asyncio.Future[Outcome[T]] = loop.create_future()
        call = _Call(self, loop, context, fn, args, kwargs or {}, future, begun)
        self._clock.busy()
        self._outstanding.add(call)
        # Runs after the result was handed over, so time cannot jump in between.
        future.add_done_callback(lambda _: self._release(call))
        self._waiting.append(call)
        self._start_calls()
        return future

    def close(self) -> None:
        """Kill all processes, the spare one as well, and start nothing more.

        Futures of calls that have not ended are cancelled.
        """
        self._closed = True
        self._waiting.clear()
        for call in list(self._outstanding):
            call.future.cancel()
            self._release(call)  # the loop may never run the callback again
        self._nursery.close()

    def _start_calls(self) -> None:
        while self._waiting and self._busy < self._limit and not self._closed:
            call = self._waiting.popleft()
            if not call.future.cancelled():
                self._busy += 1
                call.start()

    def _ended(self) -> None:
        """A process is gone."""
        self._busy -= 1
        self._start_calls()

    def _release(self, call: "_Call") -> None:
        if call in self._outstanding:
            self._outstanding.discard(call)
            self._clock.idle()
        if call.future.cancelled():
            call.give_up()


@dataclass(eq=False)
class _Call:
    """One call that was asked for."""

    runner: ProcessRunner
    loop: asyncio.AbstractEventLoop
    context: contextvars.Context
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    future: "asyncio.Future[Outcome[Any]]"
    begun: "asyncio.Future[None] | None" = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    child: Child | None = None
    is_given_up: bool = False

    def start(self) -> None:
        """Begin the call in a thread of its own, which nothing ever waits for."""
        name = f"nbflow-process-{function_label(self.fn)}"
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def give_up(self) -> None:
        """Kill the process, or see that none is used; any thread."""
        with self.lock:
            self.is_given_up = True
            if self.child is not None:
                self.child.kill()

    def _work(self) -> None:
        try:
            outcome = self._make()
        except BaseException as error:
            # Whatever it is, nobody may be left waiting for a thread that is gone.
            outcome = Outcome(error=error)
        self._post(self._deliver, outcome)
        del outcome
        # The value is on its way; the process may take a moment to end tidily.
        if self.child is not None:
            self.child.end(_GRACE)
        self._post(self.runner._ended)

    def _make(self) -> Outcome[Any]:
        # Imported here: it brings cloudpickle, for those alone who use processes.
        from nbflow._engine.conversation import converse

        label = function_label(self.fn)
        return converse(
            self.context,
            label,
            self._hand_over(),
            _settings(),
            self._take,
            self._tell_begun,
        )

    def _tell_begun(self) -> None:
        if self.begun is not None:
            self._post(_set_done, self.begun)

    def _hand_over(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        """Function and arguments, kept here no longer: they are freed once sent."""
        work = self.fn, self.args, dict(self.kwargs)
        self.fn, self.args, self.kwargs = _nothing, (), {}
        return work

    def _take(self) -> Child:
        if self.is_given_up:
            raise _GivenUp
        child = self.runner._nursery.take()
        with self.lock:
            self.child = child
            if self.is_given_up:
                child.kill()
        return child

    def _post(self, call: Callable[..., None], *args: object) -> None:
        # A closed loop raises: nobody is there any more who could use it.
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(call, *args)

    def _deliver(self, outcome: Outcome[Any]) -> None:
        if not self.future.done():
            self.future.set_result(outcome)


def _set_done(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class _GivenUp(Exception):
    """Nobody waits for the outcome any more."""


def _nothing() -> None:
    """Stands where a function was."""


def _settings() -> dict[str, Any]:
    """What a process takes over from this one at the moment of the call."""
    folder: str | None = None
    with suppress(OSError):  # deleted
        folder = os.getcwd()
    return {
        "cwd": folder,
        "environ": dict(os.environ),
        "path": [entry for entry in sys.path if isinstance(entry, str)],
        "argv": list(sys.argv),
    }


class Nursery:
    """Keeps one process more than are asked for, so that the next call has it warm.

    Nothing is started before the first `take()`. One thread starts all processes: on
    Linux they are killed when the thread that started them ends.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ready: deque[Child] = deque()
        self._error: Exception | None = None  # why the latest could not be started
        self._wanted = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    def take(self) -> Child:
        """A process that waits for its call; blocks while one is being started.

        Raises:
            EngineClosed: the nursery is closed.
            OSError: the system starts no process.
        """
        with self._changed:
            self._open()
            self._error = None
            self._wanted += 1
            self._changed.notify_all()
            try:
                self._changed.wait_for(
                    lambda: self._ready or self._closed or self._error
                )
            finally:
                self._wanted -= 1
            if self._closed:
                raise _closed()
            if not self._ready:
                assert self._error is not None
                raise self._error
            child = self._ready.popleft()
            self._changed.notify_all()
            return child

    def close(self) -> None:
        """Kill the processes that wait, and wait for their end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_CLOSE)

    def _open(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(
                target=self._work, name="nbflow-processes", daemon=True
            )
            self._thread.start()

    def _work(self) -> None:
        guard: Guard | None = None
        while self._await_demand():
            try:
                if guard is None:
                    guard = Guard()
                child = spawn(guard)
            except Exception as error:
                # No memory, no more processes: those who wait are told.
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                continue
            with self._changed:
                self._ready.append(child)
                self._changed.notify_all()
        while self._ready:
            self._ready.popleft().end()
        if guard is not None:
            guard.close()

    def _await_demand(self) -> bool:
        """Wait until a process is to be started; False when there is an end to it."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._closed
                    or (self._error is None and len(self._ready) <= self._wanted)
                )
            )
            return not self._closed


def _closed() -> EngineClosed:
    return EngineClosed(
        "This process runner is closed: a closed engine starts nothing more; open a "
        "new engine."
    )

"""Runs synchronous user code in daemon threads, for the engine's loop.

Not a `ThreadPoolExecutor`: that one joins its threads when the interpreter exits, so
one stuck step would keep a kernel or command from ever ending.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from nbflow._engine.clock import Clock
from nbflow.errors import EngineClosed

T = TypeVar("T")

THREAD_LIMIT = 64


@dataclass(slots=True, frozen=True)
class Outcome(Generic[T]):
    """How a call ended: with `value`, or with `error` if that is not None.

    Errors travel as values because asyncio cannot carry all of them: a future refuses
    StopIteration, and SystemExit out of a future would end the engine's loop.
    """

    value: T | None = None
    error: BaseException | None = None

    def unwrap(self) -> T:
        """Return the value or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


@dataclass(slots=True, eq=False)
class _Job:
    """One call that was asked for."""

    loop: asyncio.AbstractEventLoop
    context: contextvars.Context
    fn: Callable[[], Any]
    future: "asyncio.Future[Outcome[Any]]"
    begun: "asyncio.Future[None] | None"
    is_given_up: Callable[[], bool]
    is_taken: bool = False  # by a thread
    on_end: Callable[[], None] | None = None


class ThreadRunner:
    """A pool of at most `limit` daemon threads that are reused.

    More calls than threads wait in order of arrival. While a call is outstanding the
    clock counts it as busy, so virtual time stands still under it.

    Args:
        clock: counts the outstanding calls.
        on_late: called on the loop with `fn` and its outcome when a call ends whose
            future was cancelled before.
    """

    def __init__(
        self,
        clock: Clock,
        on_late: Callable[[Callable[[], Any], Outcome[Any]], None] | None = None,
        limit: int = THREAD_LIMIT,
    ) -> None:
        self._clock = clock
        self._on_late = on_late
        self._limit = limit
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._unfinished = 0  # calls that wait or run; more than threads: start one
        self._counted: set[_Job] = set()  # those the clock holds time for
        self._jobs: dict[asyncio.Future[Any], _Job] = {}  # those that have not ended
        self._closed = False

    def run(
        self,
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context,
        fn: Callable[[], T],
        begun: "asyncio.Future[None] | None" = None,
        is_given_up: Callable[[], bool] | None = None,
    ) -> "asyncio.Future[Outcome[T]]":
        """Call `fn` in a thread inside `context`; on `loop`'s thread only.

        `begun`, if given, is done when a thread has taken the call up. `is_given_up`,
        if given, is asked by that thread: a call that nobody wants any more is not
        made, though its future may be cancelled some turns of the loop later only.

        The future never has an exception. Cancelling it gives the call up: it is not
        made if it still waits; if it runs, it runs on, its outcome goes to `on_late`,
        and it no longer holds virtual time.

        Raises:
            EngineClosed: after `close()`.
            RuntimeError: the system allows no thread at all.
        """
        if self._closed:
            raise EngineClosed(
                "This thread runner is closed: a closed engine starts nothing more;"
                " open a new engine."
            )
        future: asyncio.Future[Outcome[T]] = loop.create_future()
        job = _Job(loop, context, fn, future, begun, is_given_up or future.cancelled)
        with self._lock:
            if self._unfinished >= self._threads and self._threads < self._limit:
                self._start_thread()
            self._unfinished += 1
        self._clock.busy()
        self._counted.add(job)
        self._jobs[future] = job
        # Runs after the result was handed over, so time cannot jump in between.
        future.add_done_callback(lambda _: self._release(job))
        self._queue.put(job)
        return future

    def when_ended(
        self, future: "asyncio.Future[Outcome[T]]", call: Callable[[], None]
    ) -> None:
        """Call something when no thread makes a given-up call any more.

        At once if it has ended, or none has begun it; on the loop's thread only.
        """
        job = self._jobs.get(future)
        if job is None or not job.is_taken:
            call()
        else:
            job.on_end = call

    def close(self) -> None:
        """Start nothing more and let idle threads end, without waiting for any.

        Futures of calls that have not ended are cancelled. On the loop's thread only.
        """
        self._closed = True
        with self._lock:
            threads = self._threads
        for job in list(self._counted):
            job.future.cancel()
            self._release(job)  # the loop may never run the callback again
        for _ in range(threads):
            self._queue.put(None)

    def _start_thread(self) -> None:
        number = self._threads + 1
        thread = threading.Thread(
            target=self._work, name=f"nbflow-step-{number}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            # Out of threads, or the interpreter is ending: those there are must do.
            if not self._threads:
                raise
            return
        self._threads = number

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            outcome: Outcome[Any] | None = None
            job.is_taken = True  # before the look: `when_ended` has cancelled before
            # A closed runner's queue still holds calls before the end marks.
            if not (self._closed or job.is_given_up() or job.future.cancelled()):
                if job.begun is not None:
                    self._send(job, _set_done, job.begun)
                outcome = _call(job)
            with self._lock:
                self._unfinished -= 1
            if outcome is not None:
                self._send(job, self._deliver, job, outcome)
            else:
                self._send(job, self._give_up, job)
            # An idle thread must not keep the last call's objects alive.
            del job, outcome

    def _send(self, job: _Job, call: Callable[..., None], *args: Any) -> None:
        # A closed loop raises: nobody is there any more who could use the outcome.
        with suppress(RuntimeError):
            job.loop.call_soon_threadsafe(call, *args)

    def _deliver(self, job: _Job, outcome: Outcome[Any]) -> None:
        self._end(job)
        if not job.future.done():
            job.future.set_result(outcome)
        elif self._on_late is not None:
            self._on_late(job.fn, outcome)

    def _give_up(self, job: _Job) -> None:
        self._end(job)
        job.future.cancel()

    def _end(self, job: _Job) -> None:
        self._jobs.pop(job.future, None)
        if job.on_end is not None:
            job.on_end()

    def _release(self, job: _Job) -> None:
        if job in self._counted:
            self._counted.discard(job)
            self._clock.idle()


def _set_done(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _call(job: _Job) -> Outcome[Any]:
    try:
        return Outcome(job.context.run(job.fn))
    except BaseException as error:
        # Whatever user code raises, SystemExit included, is its outcome; it must end
        # neither this thread nor the engine.
        if error.__traceback__ is not None:
            # Without our own frame, which would tie job, outcome and error in a cycle.
            error.__traceback__ = error.__traceback__.tb_next
        return Outcome(error=error)

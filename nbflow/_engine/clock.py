"""Time, ids and event loops: the real ones, and virtual ones for tests.

Everything in the engine that needs the time, a random number, an id or a loop asks a
`Clock`, so a test that swaps the clock controls all four.
"""

import asyncio
import contextvars
import random
import selectors
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVarTuple

from nbflow import durations
from nbflow._engine.ids import RANDOM_BITS, RunIds, system_bits
from nbflow.errors import InvalidOption

_Arguments = TypeVarTuple("_Arguments")

_VIRTUAL_START = datetime(2026, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A socket answers in real time. Before virtual time jumps over a timer (say the
# time-out of a request to a local server), open sockets get this long to speak up.
_IO_GRACE = 0.1


class Clock(Protocol):
    """Source of time, randomness, ids and event loops of one engine."""

    random: random.Random
    """For jitter and `ctx.random`; seeded in a virtual clock."""
    virtual: bool
    """True when loop timers fire without waiting: never arm a periodic one then."""

    def micros(self) -> int:
        """Wall-clock time in microseconds UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back; comparable with `loop.time()` of its loops."""

    def new_run_id(self) -> str:
        """An id no other run has; ids of one clock sort in the order of creation."""

    def uuid(self) -> uuid.UUID:
        """A random UUID (version 4)."""

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """A fresh event loop that lives in this clock's time."""

    def busy(self) -> None:
        """Count one more piece of work that runs outside the loops."""

    def idle(self) -> None:
        """Take back one `busy()`; any thread may call it."""


class SystemClock:
    """The real clock: system time, the operating system's randomness, stock loops."""

    virtual = False

    def __init__(self) -> None:
        self.random = random.Random()
        self._ids = RunIds(system_bits)

    def micros(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()

    def new_run_id(self) -> str:
        return self._ids.next(self.micros())

    def uuid(self) -> uuid.UUID:
        return uuid.uuid4()

    def new_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop()

    def busy(self) -> None:
        """Nothing to count: real time passes anyway."""

    def idle(self) -> None:
        """Nothing to count: real time passes anyway."""


class VirtualClock:
    """A clock for tests: waiting takes no time, and every test run is the same.

    Pass it as `Engine(clock=VirtualClock())`. When nothing can run, time jumps to the
    next timer, so a workflow that sleeps for a day ends at once. While a thread or
    process of the engine works, time stands still; `advance` moves it by hand, which
    is how a time-out of a blocked thread is provoked. Threads that the engine does not
    know of (`anyio.to_thread`, threads of your own) do not hold time.

    Args:
        start: the aware datetime at which the clock begins; 2026-01-01 UTC if None.
        seed: for random numbers and ids; equal seeds give equal ids.

    Raises:
        InvalidOption: `start` is naive.
    """

    virtual = True

    def __init__(self, start: datetime | None = None, *, seed: int = 0) -> None:
        start = _VIRTUAL_START if start is None else start
        if start.tzinfo is None:
            raise InvalidOption(
                f"start of the virtual clock is {start}: a datetime must be aware,"
                " since a naive one has no fixed meaning; pass for example"
                " datetime(2026, 1, 1, tzinfo=UTC)",
                option="start",
                value=start,
            )
        self.random = random.Random(f"{seed}:random")
        # Ids have their own generator: drawing jitter must not change them.
        self._id_random = random.Random(f"{seed}:ids")
        self._ids = RunIds(lambda: self._id_random.getrandbits(RANDOM_BITS - 1))
        self._start = (start - _EPOCH) // timedelta(microseconds=1)
        self._elapsed = 0.0
        self._busy = 0
        self._lock = threading.Lock()
        self._running: set[_VirtualLoop] = set()
        self._waiting: dict[_VirtualLoop, float] = {}

    def now(self) -> datetime:
        """The present virtual time, as an aware UTC datetime."""
        return _EPOCH + timedelta(microseconds=self.micros())

    def advance(self, duration: timedelta | float | str) -> None:
        """Move time forward by `duration`; whatever became due runs now.

        Any thread may call it, also while a thread step holds time.

        Raises:
            InvalidDuration: not a duration, negative or not finite.
        """
        seconds = durations.parse(duration, what="advance")
        with self._lock:
            self._elapsed += seconds
            loops = list(self._running)
        _wake(loops)

    def micros(self) -> int:
        return self._start + round(self._elapsed * 1e6)

    def monotonic(self) -> float:
        return self._elapsed

    def new_run_id(self) -> str:
        return self._ids.next(self.micros())

    def uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self._id_random.getrandbits(128), version=4)

    def new_loop(self) -> asyncio.AbstractEventLoop:
        return _VirtualLoop(self)

    def busy(self) -> None:
        with self._lock:
            self._busy += 1

    def idle(self) -> None:
        with self._lock:
            self._busy -= 1
            loops = [] if self._busy else list(self._running)
        _wake(loops)

    # Called by the loops. A loop is in `_running` from start to stop and in `_waiting`
    # (with the time of its next timer) while nothing in it can run. Time moves only
    # when all running loops wait, and then to the earliest of their timers.

    def _enter(self, loop: "_VirtualLoop") -> None:
        with self._lock:
            self._running.add(loop)

    def _leave(self, loop: "_VirtualLoop") -> None:
        with self._lock:
            self._running.discard(loop)
            self._waiting.pop(loop, None)
            loops = list(self._running)
        _wake(loops)

    def _settle(self, loop: "_VirtualLoop", deadline: float) -> bool:
        """Let `loop` wait until `deadline`; True when that time has come already."""
        with self._lock:
            self._waiting[loop] = deadline
            if not self._busy and self._running <= self._waiting.keys():
                target = min(self._waiting.values())
                if self._elapsed < target < float("inf"):
                    self._elapsed = target
            now = self._elapsed
            due = [
                other
                for other, time_ in self._waiting.items()
                if time_ <= now and other is not loop
            ]
        _wake(due)
        return deadline <= now

    def _awake(self, loop: "_VirtualLoop") -> None:
        with self._lock:
            self._waiting.pop(loop, None)


class _VirtualLoop(asyncio.SelectorEventLoop):
    """A selector loop whose time is the virtual clock's."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        super().__init__(_VirtualSelector(self))
        # asyncio adds its clock's resolution, a nanosecond, when it looks for due
        # timers. After some months that is lost in the float, and the loop would spin.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.clock.monotonic()

    def run_forever(self) -> None:
        self.clock._enter(self)
        try:
            super().run_forever()
        finally:
            self.clock._leave(self)

    def call_soon_threadsafe(
        self,
        callback: Callable[[*_Arguments], object],
        *args: *_Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        # Marked as awake here, not when the loop's thread gets to it: another loop of
        # this clock must not move time in between.
        self.clock._awake(self)
        return super().call_soon_threadsafe(callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        # `asyncio.to_thread` and name look-ups come this way: they hold time, too.
        self.clock.busy()
        try:
            future = super().run_in_executor(executor, func, *args)
        except BaseException:
            self.clock.idle()
            raise
        future.add_done_callback(lambda _: self.clock.idle())
        return future


class _VirtualSelector(selectors.BaseSelector):
    """Moves virtual time instead of waiting; blocks for real when no timer is set."""

    def __init__(self, loop: _VirtualLoop) -> None:
        self._loop = loop
        self._inner = selectors.DefaultSelector()

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._inner.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        clock = self._loop.clock
        # One descriptor is the loop's own wake-up pipe; others are somebody's I/O.
        if timeout is not None and len(self._inner.get_map()) > 1:
            ready = self._inner.select(min(timeout, _IO_GRACE))
            if ready:
                return ready
        deadline = float("inf") if timeout is None else clock.monotonic() + timeout
        try:
            if clock._settle(self._loop, deadline):
                return []
            return self._inner.select(None)
        finally:
            clock._awake(self._loop)

    def register(
        self, fileobj: Any, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(
        self, fileobj: Any, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()


def _nothing() -> None:
    pass


def _wake(loops: list[_VirtualLoop]) -> None:
    for loop in loops:
        with suppress(RuntimeError):  # closed meanwhile: it needs no waking
            loop.call_soon_threadsafe(_nothing)

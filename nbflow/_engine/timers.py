"""Calls and sleeps until a wall-clock time."""

import asyncio
from collections.abc import Callable

from nbflow._engine.clock import Clock
from nbflow.model import from_micros

_LONGEST = 30.0
"""Seconds after which a long wait looks at the wall clock again: a machine that was
suspended, or whose clock was set, must not wait too long."""


class Timers:
    """What waits for a time on one engine's loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self.loop = loop
        self.clock = clock

    async def sleep_until(self, due: int) -> None:
        """Sleep until a wall-clock time in microseconds."""
        while (left := due - self.clock.micros()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(self.slice(left))

    def call_at(self, due: int, call: Callable[[], None]) -> "Timer":
        """Call something at a wall-clock time; the timer can be cancelled."""
        timer = Timer(self, due, call)
        timer.arm()
        return timer

    def slice(self, left: int) -> float:
        """For how many seconds to wait before the next look at the clock."""
        seconds = left / 1e6
        return seconds if self.clock.virtual else min(seconds, _LONGEST)


class Timer:
    """A call at a wall-clock time."""

    __slots__ = ("_call", "_due", "_handle", "_timers")

    def __init__(self, timers: Timers, due: int, call: Callable[[], None]) -> None:
        self._timers = timers
        self._due = due
        self._call = call
        self._handle: asyncio.TimerHandle | None = None

    def arm(self) -> None:
        """Set the loop's timer for the next look at the clock."""
        timers = self._timers
        left = max(self._due - timers.clock.micros(), 0)
        self._handle = timers.loop.call_later(timers.slice(left), self._ring)

    def cancel(self) -> None:
        """Forget the call."""
        if self._handle is not None:
            self._handle.cancel()

    def _ring(self) -> None:
        if self._timers.clock.micros() < self._due:
            self.arm()
        else:
            self._call()


def iso(micros: int) -> str:
    """A stored time as users read it."""
    return from_micros(micros).isoformat()

"""Who of those that share a flow-control key may start now. Pure.

A `Queue` is one key: its limits, who runs, who waits, and the starts that still count.
What it decides follows from those and the time alone; `flow` acts on it.

Rates are kept in sliding windows: a start at t counts until t + period, so no window of
that length, wherever it lies, holds more than `rate` starts.
"""

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

_by_arrival = attrgetter("n")


class Limits(NamedTuple):
    """What a key allows; None is no limit. `period` in microseconds."""

    rate: int | None = None
    period: int = 1_000_000
    parallelism: int | None = None


NO_LIMITS = Limits()


@dataclass(slots=True, eq=False)
class Slot:
    """One execution that is counted: it waits, runs, or has ended.

    Attributes:
        n: order of arrival.
        run: number of its run.
        step: key of its step; None for a body that has come to no step yet.
        started: when it was let in, microseconds; None while it waits.
    """

    n: int
    key: str
    run: int
    step: str | None
    attempt: int
    queued: int
    started: int | None = None


@dataclass(slots=True, eq=False)
class Queue:
    """One key.

    Attributes:
        key: the key.
        asked: the newest limits that came with an execution.
        pinned: limits that were set for the key; they hold over `asked`.
        is_paused: nobody starts until it is resumed.
        held_until: nobody starts before (microseconds): the other side said so.
        held_for: what it said.
        opens: nobody starts before: after a restart, those that stood first come back.
        waiting: in order of arrival.
        running: by number.
        starts: times of the last starts, oldest first; as many as still may count.
    """

    key: str
    asked: Limits = NO_LIMITS
    pinned: Limits | None = None
    is_paused: bool = False
    held_until: int = 0
    held_for: str = ""
    opens: int = 0
    waiting: list[Slot] = field(default_factory=list)
    running: dict[int, Slot] = field(default_factory=dict)
    starts: deque[int] = field(default_factory=deque)

    @property
    def limits(self) -> Limits:
        """Those that hold now."""
        return self.asked if self.pinned is None else self.pinned

    def add(self, slot: Slot) -> None:
        """Let a slot wait at the place of its arrival."""
        insort(self.waiting, slot, key=_by_arrival)

    def remove(self, slot: Slot) -> None:
        """Forget a slot, whether it waits or runs."""
        if self.running.pop(slot.n, None) is None and slot in self.waiting:
            self.waiting.remove(slot)

    def place(self, slot: Slot) -> int:
        """How many stand before it."""
        return bisect_left(self.waiting, slot.n, key=_by_arrival)

    def admit(self, now: int) -> list[Slot]:
        """Let start who may: they are `running` then, and their starts are counted."""
        admitted: list[Slot] = []
        while self.waiting and self.next_start(now) == now:
            slot = self.waiting.pop(0)
            slot.started = now
            self.running[slot.n] = slot
            self.starts.append(now)
            admitted.append(slot)
        self._forget_starts(now)
        return admitted

    def next_start(self, now: int) -> int | None:
        """When the next execution may start; None while only an event can tell.

        `now` where it may at once. Events are the end of one that runs, and `resume`.
        """
        limits = self.limits
        if self.is_paused or self._is_full(limits):
            return None
        return max(now, self.held_until, self.opens, self._after_window(limits))

    def why(self, slot: Slot, now: int) -> str:
        """Why a waiting slot has not started, in words for people."""
        limits = self.limits
        if self.is_paused:
            return "the key is paused"
        if self.held_until > now:
            return f"{self.held_for}, {_seconds(self.held_until - now)}"
        if self._is_full(limits):
            return f"{len(self.running)} of {limits.parallelism} are running"
        wait = self._after_window(limits) - now
        if wait > 0:
            rate = f"{limits.rate} starts in {_seconds(limits.period)}"
            return f"{rate}, the next in {_seconds(wait)}"
        return "its turn comes next"

    def _is_full(self, limits: Limits) -> bool:
        most = limits.parallelism
        return most is not None and len(self.running) >= most

    def _after_window(self, limits: Limits) -> int:
        """When one more start is within the rate."""
        rate, starts = limits.rate, self.starts
        if rate is None or len(starts) < rate:
            return 0
        return starts[-rate] + limits.period

    def _forget_starts(self, now: int) -> None:
        # The last `rate` are kept however old they are: `set` may widen the window.
        most = self.limits.rate or 0
        while len(self.starts) > most and self.starts[0] + self.limits.period <= now:
            self.starts.popleft()


def _seconds(micros: int) -> str:
    seconds = micros / 1e6
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"

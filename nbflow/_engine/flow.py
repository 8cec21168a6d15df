"""Flow control: executions start as their keys allow.

Who may start when is decided by `admission`; here it is done and written down. A slot
is in the store from its arrival until nothing depends on it any more, so after a crash
whoever waited has its place again, and starts still count in their window.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from heapq import heappop, heappush
from typing import Any

from pydantic_core import to_json

from nbflow import durations
from nbflow._engine.admission import NO_LIMITS, Limits, Queue, Slot
from nbflow._engine.commits import Commits
from nbflow._engine.queues import read_queue, read_slot, sort_starts
from nbflow._engine.timers import Timer, Timers
from nbflow._store.base import FlowRow, SlotRow
from nbflow._store.statements import DELETE_SLOT, PUT_FLOW, PUT_SLOT
from nbflow.names import check_flow_key
from nbflow.policy import FlowControl

RETURN = 200_000
"""Microseconds that bodies may take, after a restart, to come to where they waited."""


class Flow:
    """The keys of one app, and who waits for them."""

    def __init__(self, commits: Commits, timers: Timers) -> None:
        self._commits = commits
        self._at = timers
        self._queues: dict[str, Queue] = {}
        self._turns: dict[int, Callable[[], None]] = {}
        # Of a former engine, by run and step: they take their old place when their
        # run comes back. Those that were running still say when they started.
        self._left: dict[int, dict[str | None, Slot]] = {}
        self._returning: Counter[str] = Counter()  # how many of them, by key
        self._timers: dict[str, Timer] = {}
        # Rows of executions that have ended, whose starts count: (start, number).
        self._past: dict[str, list[tuple[int, int]]] = {}
        self._is_closed = False
        self._next = 1
        for row in commits.store.flows():
            self._queues[row.key] = read_queue(row)
        for slot in commits.store.slots():
            self._load(slot)
        for queue in self._queues.values():
            sort_starts(queue)

    def _load(self, row: SlotRow) -> None:
        self._next = row.n + 1
        queue = self._find(row.key)
        if row.started is not None:
            queue.starts.append(row.started)
        if row.ended is None:
            self._left.setdefault(row.run, {})[row.step] = read_slot(row)
            self._returning[row.key] += 1
        elif row.started is not None:
            heappush(self._past.setdefault(row.key, []), (row.started, row.n))

    def close(self) -> None:
        """The engine goes: what waits or runs has its place when the next one comes."""
        self._is_closed = True

    # Executions

    def join(
        self, run: int, step: str | None, attempt: int, control: FlowControl
    ) -> Slot:
        """Ask for a start; the slot has one already if nothing forbids it.

        Else `turn` waits for it. Each slot is given back with `leave`.

        Args:
            run: number of the run.
            step: key of the step; None for the body.
            attempt: of the step or body.
            control: the key, and the limits to keep from now on.
        """
        assert isinstance(control.key, str)
        queue = self._find(control.key)
        limits = limits_of(control)
        if limits is not None and limits != queue.asked:
            queue.asked = limits
            self._write(queue)
        slot = self._take_left(run, step, queue.key)
        if slot is None:
            now = self._commits.clock.micros()
            slot = Slot(self._next, queue.key, run, step, attempt, now)
            self._next += 1
        slot.attempt = attempt
        queue.add(slot)
        self._pump(queue)
        if slot.started is None:
            self._put(slot)
        return slot

    def _take_left(self, run: int, step: str | None, key: str) -> Slot | None:
        """The slot of a former engine, with its place; its start still counts."""
        left = self._left.get(run)
        if not left:
            return None
        if step is None and None not in left:  # the first step has taken it over
            step = next((each.step for each in left.values() if each.key == key), None)
        slot = left.pop(step, None)
        if slot is None:
            return None
        self._note_return(slot)
        if slot.key != key:  # today's code asks for another one
            self._end(slot)
            return None
        if slot.started is not None:
            self._end(replace(slot, n=self._next))
            self._next += 1
            slot.started = None
        return slot

    def _note_return(self, slot: Slot) -> None:
        """Open its key when all have their place again, or soon."""
        queue = self._queues[slot.key]
        self._returning[slot.key] -= 1
        if not self._returning[slot.key]:
            queue.opens = 0
            self._commits.loop.call_soon(self._pump, queue)
        elif not queue.opens:
            queue.opens = self._commits.clock.micros() + RETURN

    def when(self, slot: Slot, call: Callable[[], None]) -> None:
        """Call something when a waiting slot's execution may start."""
        self._turns[slot.n] = call

    def shown(self, slot: Slot) -> dict[str, Any]:
        """What events say of a waiting slot: its key, and how many wait before it."""
        queue = self._queues[slot.key]
        return {"flow_key": slot.key, "place": queue.place(slot)}

    def why(self, slot: Slot) -> str:
        """Why it waits, in words."""
        return self._queues[slot.key].why(slot, self._commits.clock.micros())

    async def turn(self, slot: Slot) -> None:
        """Wait until the slot's execution may start; leaves when it is cancelled."""
        if slot.started is not None:
            return
        future = self._commits.loop.create_future()
        self.when(slot, partial(_set_done, future))
        try:
            await future
        except asyncio.CancelledError:
            self.leave(slot)
            raise

    def is_rated(self, slot: Slot) -> bool:
        """Whether its start has to be durable before it runs."""
        return self._queues[slot.key].limits.rate is not None

    def hand_over(self, slot: Slot, step: str) -> None:
        """Let the body's slot be that of its first step."""
        former = self._left.get(slot.run, {}).pop(step, None)
        if former is not None:
            self._note_return(former)
            self._end(former)
        slot.step = step
        self._put(slot)

    def leave(self, slot: Slot) -> None:
        """Its execution has ended, or will not be."""
        if self._is_closed:
            return
        queue = self._queues[slot.key]
        queue.remove(slot)
        self._turns.pop(slot.n, None)
        self._end(slot)
        self._pump(queue)
        self._forget_past(queue)

    def forget(self, run: int) -> None:
        """A run has ended: what it left of a former life waits no more."""
        for slot in self._left.pop(run, {}).values():
            self._note_return(slot)
            self._end(slot)

    def hold(self, key: str, until: int, reason: str) -> None:
        """Let nobody start before `until` (microseconds): the other side said so."""
        queue = self._find(key)
        if until > queue.held_until:
            queue.held_until, queue.held_for = until, reason
            self._write(queue)
            self._pump(queue)

    # Commands

    def pause(self, key: str) -> None:
        """Let nobody start until `resume`."""
        self._set_paused(key, True)

    def resume(self, key: str) -> None:
        """Let them start again."""
        self._set_paused(key, False)

    def set(self, key: str, limits: Mapping[str, Any]) -> None:
        """Give the key limits that hold over those that executions ask for."""
        given = FlowControl(check_flow_key(key), **limits)
        queue = self._find(key)
        queue.pinned = limits_of(given) or NO_LIMITS
        self._write(queue)
        self._pump(queue)

    def reset(self, key: str) -> None:
        """Forget limits that were set, a pause, a hold and the starts so far."""
        queue = self._find(check_flow_key(key))
        queue.pinned, queue.is_paused = None, False
        queue.held_until, queue.held_for = 0, ""
        queue.starts.clear()
        self._write(queue)
        self._forget_past(queue)
        self._pump(queue)

    def _set_paused(self, key: str, is_paused: bool) -> None:
        queue = self._find(check_flow_key(key))
        queue.is_paused = is_paused
        self._write(queue)
        self._pump(queue)

    # One key

    def _find(self, key: str) -> Queue:
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = Queue(key)
            self._write(queue)
        return queue

    def _pump(self, queue: Queue) -> None:
        """Let start who may, and look again when the next one may."""
        if self._is_closed:
            return
        now = self._commits.clock.micros()
        for slot in queue.admit(now):
            self._put(slot)
            turn = self._turns.pop(slot.n, None)
            if turn is not None:
                turn()
        timer = self._timers.pop(queue.key, None)
        if timer is not None:
            timer.cancel()
        due = queue.next_start(now) if queue.waiting else None
        if due is not None:
            call = self._at.call_at(due, lambda: self._pump(queue))
            self._timers[queue.key] = call

    def _end(self, slot: Slot) -> None:
        """Let its row go, or stay for as long as its start counts."""
        rate = self._queues[slot.key].limits.rate
        if slot.started is not None and rate is not None:
            self._put(slot, ended=self._commits.clock.micros())
            heappush(self._past.setdefault(slot.key, []), (slot.started, slot.n))
        else:
            self._delete(slot.n)

    def _forget_past(self, queue: Queue) -> None:
        """Delete the rows of starts that count no more."""
        past = self._past.get(queue.key)
        while past and (not queue.starts or past[0][0] < queue.starts[0]):
            self._delete(heappop(past)[1])

    def _delete(self, n: int) -> None:
        self._commits.batch.rest.append((DELETE_SLOT, (n,)))
        self._commits.flush_later()

    def _put(self, slot: Slot, ended: int | None = None) -> None:
        row = SlotRow(
            slot.n,
            slot.key,
            slot.run,
            slot.step,
            slot.attempt,
            slot.queued,
            slot.started,
            ended,
        )
        self._commits.batch.rest.append((PUT_SLOT, row))
        self._commits.flush_later()

    def _write(self, queue: Queue) -> None:
        row = FlowRow(
            queue.key,
            to_json(queue.asked),
            None if queue.pinned is None else to_json(queue.pinned),
            int(queue.is_paused),
            queue.held_until,
            queue.held_for,
            self._commits.clock.micros(),
        )
        self._commits.batch.rest.append((PUT_FLOW, row))
        self._commits.flush_later()


def _set_done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def limits_of(control: FlowControl) -> Limits | None:
    """What a flow control asks for; None if it leaves that to the key."""
    if control.rate is None and control.parallelism is None:
        return None
    period = round(durations.parse(control.period, what="period") * 1e6)
    return Limits(control.rate, max(period, 1), control.parallelism)

"""Limits of a key hold at every moment, for any schedule, in order of arrival."""

from collections import deque
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nbflow._engine.admission import Limits, Queue, Slot

SECOND = 1_000_000
LIMITS = st.builds(
    Limits,
    rate=st.none() | st.integers(1, 4),
    period=st.integers(1, 50),
    parallelism=st.none() | st.integers(1, 3),
)


def slot(n: int, queued: int = 0) -> Slot:
    return Slot(n, "api", 1, f"step-{n}", 1, queued)


def numbers(slots: list[Slot]) -> list[int]:
    return [each.n for each in slots]


@pytest.fixture
def queue() -> Queue:
    queue = Queue("api")
    for n in (2, 0, 1, 3):
        queue.add(slot(n))
    return queue


def test_without_limits_all_start_at_once_in_order_of_arrival(queue):
    assert numbers(queue.admit(5)) == [0, 1, 2, 3]
    assert all(each.started == 5 for each in queue.running.values())


def test_no_more_than_parallelism_run_at_once(queue):
    queue.asked = Limits(parallelism=2)
    first, _ = queue.admit(0)
    assert queue.admit(9) == []
    assert queue.next_start(9) is None
    queue.remove(first)
    assert numbers(queue.admit(10)) == [2]


def test_a_window_holds_no_more_starts_than_the_rate_wherever_it_lies(queue):
    queue.asked = Limits(rate=2, period=SECOND)
    assert numbers(queue.admit(0)) == [0, 1]
    assert queue.next_start(300) == SECOND
    assert queue.admit(SECOND - 1) == []
    assert numbers(queue.admit(SECOND)) == [2, 3]


def test_the_newest_limits_hold_for_what_starts_after_them(queue):
    queue.asked = Limits(rate=3, period=SECOND)
    queue.admit(0)
    queue.asked = Limits(rate=1, period=10 * SECOND)
    assert queue.next_start(0) == 10 * SECOND


def test_limits_that_were_set_hold_over_those_that_are_asked_for(queue):
    queue.asked = Limits(parallelism=4)
    queue.pinned = Limits(parallelism=1)
    assert numbers(queue.admit(0)) == [0]


def test_nobody_starts_while_the_key_is_paused(queue):
    queue.is_paused = True
    assert queue.admit(0) == []
    assert queue.next_start(0) is None
    queue.is_paused = False
    assert len(queue.admit(0)) == 4


def test_nobody_starts_before_the_other_side_wants_to_be_called_again(queue):
    queue.held_until, queue.held_for = 20 * SECOND, "429"
    assert queue.next_start(0) == 20 * SECOND
    assert queue.why(queue.waiting[0], 0) == "429, 20 s"
    assert len(queue.admit(20 * SECOND)) == 4


def test_the_place_counts_who_stands_before(queue):
    queue.asked = Limits(parallelism=1)
    queue.admit(0)
    assert [queue.place(each) for each in queue.waiting] == [0, 1, 2]
    queue.remove(queue.waiting[0])
    assert [queue.place(each) for each in queue.waiting] == [0, 1]


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Limits(parallelism=1), "1 of 1 are running"),
        (Limits(rate=1, period=60 * SECOND), "1 starts in 60 s, the next in 59 s"),
    ],
)
def test_who_waits_is_told_why(queue, limits, why):
    queue.asked = limits
    queue.admit(0)
    assert queue.why(queue.waiting[0], SECOND) == why


class Schedule(RuleBasedStateMachine):
    """Any order of arrivals, ends, changes and crashes of one key."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue("api")
        self.now = 0
        self.arrived = 0
        self.starts: list[int] = []  # under the limits of now

    @rule()
    def arrive(self) -> None:
        self.arrived += 1
        self.queue.add(slot(self.arrived, self.now))

    @rule(passed=st.integers(0, 60))
    def pass_time(self, passed: int) -> None:
        self.now += passed

    @precondition(lambda self: self.queue.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        n = data.draw(st.sampled_from(sorted(self.queue.running)))
        self.queue.remove(self.queue.running[n])

    @precondition(lambda self: self.queue.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        n = data.draw(st.integers(0, len(self.queue.waiting) - 1))
        self.queue.remove(self.queue.waiting[n])

    @rule(limits=LIMITS)
    def ask(self, limits: Limits) -> None:
        self.queue.asked = limits
        self.starts = []

    @rule(limits=st.none() | LIMITS)
    def set(self, limits: Limits | None) -> None:
        self.queue.pinned = limits
        self.starts = []

    @rule(is_paused=st.booleans())
    def pause(self, is_paused: bool) -> None:
        self.queue.is_paused = is_paused

    @rule(seconds=st.integers(0, 40))
    def hold(self, seconds: int) -> None:
        self.queue.held_until = self.now + seconds

    @rule()
    def crash(self) -> None:
        """What ran waits again where it had arrived; its start still counts."""
        old = self.queue
        self.queue = replace(old, waiting=[], running={}, starts=deque(old.starts))
        for each in [*old.running.values(), *old.waiting]:
            each.started = None
            self.queue.add(each)

    @rule()
    def admit(self) -> None:
        queue, now = self.queue, self.now
        before, expected = numbers(queue.waiting), queue.next_start(now)
        admitted = numbers(queue.admit(now))
        assert admitted == before[: len(admitted)]
        assert bool(admitted) == bool(before and expected == now)
        self.starts += [now] * len(admitted)
        if not admitted:
            return
        limits = queue.limits
        assert not queue.is_paused
        assert queue.held_until <= now
        if limits.parallelism is not None:
            assert len(queue.running) <= limits.parallelism
        if limits.rate is not None:
            recent = [each for each in self.starts if each > now - limits.period]
            assert len(recent) <= limits.rate

    @invariant()
    def those_who_wait_stand_in_order_of_arrival(self) -> None:
        assert numbers(self.queue.waiting) == sorted(numbers(self.queue.waiting))

    def teardown(self) -> None:
        """Nobody starves: once everything ends and time passes, all have started."""
        queue = self.queue
        queue.is_paused = False
        for _ in range(2 * len(queue.waiting)):
            for each in list(queue.running.values()):
                queue.remove(each)
            due = queue.next_start(self.now)
            assert due is not None
            self.now = max(self.now, due)
            self.admit()
        assert not queue.waiting


TestSchedule = Schedule.TestCase
TestSchedule.settings = settings(deadline=None)

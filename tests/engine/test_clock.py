import asyncio
import random
import re
import socket
import threading
import time
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nbflow._engine.clock import SystemClock, VirtualClock
from nbflow.errors import InvalidDuration, InvalidOption

DAY = 86_400


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def loop(clock: VirtualClock) -> Iterator[asyncio.AbstractEventLoop]:
    loop = clock.new_loop()
    yield loop
    loop.close()


def seconds(clock: VirtualClock) -> float:
    return (clock.now() - VirtualClock().now()).total_seconds()


def run_in_thread(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, Any]):
    thread = threading.Thread(target=loop.run_until_complete, args=(main,), daemon=True)
    thread.start()
    return thread


def wait_until_idle(clock: VirtualClock, loops: int) -> None:
    while len(clock._waiting) < loops:
        threading.Event().wait(0.001)


@pytest.mark.parametrize("make", [SystemClock, VirtualClock])
def test_run_ids_are_valid_distinct_and_in_order_of_creation(make):
    clock = make()
    ids = [clock.new_run_id() for _ in range(5_000)]
    assert all(re.fullmatch(r"r-[0-9a-hjkmnp-tv-z]{15}", one) for one in ids)
    assert ids == sorted(set(ids))


def test_run_ids_stay_in_order_when_the_wall_clock_is_set_back(monkeypatch):
    clock = SystemClock()
    before = clock.new_run_id()
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    assert clock.new_run_id() > before


def test_run_ids_are_distinct_across_threads():
    clock, ids = SystemClock(), []
    threads = [
        threading.Thread(target=lambda: ids.extend(_make(clock))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 8 * 500


def _make(clock: SystemClock) -> list[str]:
    return [clock.new_run_id() for _ in range(500)]


def test_the_system_clock_tells_the_time_in_microseconds():
    before = time.time_ns() // 1000
    assert before <= SystemClock().micros() <= time.time_ns() // 1000


def test_the_system_clock_makes_a_stock_selector_loop():
    loop = SystemClock().new_loop()
    try:
        assert type(loop) is asyncio.SelectorEventLoop
    finally:
        loop.close()


def test_equal_seeds_give_equal_ids_and_numbers():
    def draws(clock):
        return (
            [clock.new_run_id() for _ in range(3)],
            clock.uuid(),
            clock.random.random(),
        )

    assert draws(VirtualClock(seed=7)) == draws(VirtualClock(seed=7))
    assert draws(VirtualClock(seed=7)) != draws(VirtualClock(seed=8))


def test_drawing_random_numbers_does_not_change_ids():
    drawn, untouched = VirtualClock(), VirtualClock()
    drawn.random.random()
    assert drawn.uuid() == untouched.uuid()
    assert drawn.uuid().version == 4


def test_the_virtual_clock_starts_where_it_is_told():
    start = datetime(2020, 2, 29, 12, tzinfo=UTC)
    clock = VirtualClock(start)
    assert clock.now() == start
    assert clock.micros() == int(start.timestamp()) * 1_000_000


def test_a_naive_start_is_refused():
    with pytest.raises(InvalidOption, match="must be aware") as caught:
        VirtualClock(datetime(2026, 1, 1))
    assert caught.value.option == "start"


def test_sleeping_takes_no_time(clock, loop):
    async def main():
        await asyncio.gather(*(asyncio.sleep(DAY * n) for n in range(31)))

    before = time.monotonic()
    loop.run_until_complete(main())
    assert time.monotonic() - before < 5
    assert seconds(clock) == 30 * DAY


def test_timers_fire_in_order_and_at_their_time(clock, loop):
    fired = []

    async def sleeper(delay):
        await asyncio.sleep(delay)
        fired.append((delay, loop.time()))

    async def main():
        delays = [random.Random(3).uniform(0, 100) for _ in range(50)]
        await asyncio.gather(*(sleeper(delay) for delay in delays))

    loop.run_until_complete(main())
    assert fired == [(delay, pytest.approx(delay)) for delay, _ in sorted(fired)]


def test_time_outs_fire_in_virtual_time(clock, loop):
    async def main():
        async with asyncio.timeout(5):
            await asyncio.sleep(10)

    with pytest.raises(TimeoutError):
        loop.run_until_complete(main())
    assert seconds(clock) == 5


def test_the_wall_clock_has_reached_the_due_time_when_a_timer_fires(clock, loop):
    async def main():
        for _ in range(300):
            due = clock.micros() + 333_333
            await asyncio.sleep((due - clock.micros()) / 1e6)
            assert clock.micros() >= due

    loop.run_until_complete(main())


def test_time_stands_still_while_work_is_counted(clock, loop):
    async def main():
        clock.busy()
        timer = asyncio.create_task(asyncio.sleep(DAY))
        # The loop blocks for real here, until the worker is done.
        loop.run_in_executor(None, clock.idle)
        await timer

    loop.run_until_complete(main())
    assert seconds(clock) == DAY


def test_to_thread_holds_time(clock, loop):
    release = threading.Event()

    async def main():
        async with asyncio.timeout(DAY):
            await asyncio.gather(
                asyncio.to_thread(release.wait), asyncio.to_thread(release.set)
            )

    loop.run_until_complete(main())
    assert seconds(clock) == 0


def test_without_timers_the_loop_waits_until_it_is_woken(clock, loop):
    woken = asyncio.Event()

    async def main():
        await woken.wait()

    thread = run_in_thread(loop, main())
    loop.call_soon_threadsafe(woken.set)
    thread.join(60)
    assert not thread.is_alive()
    assert seconds(clock) == 0


def test_advance_fires_what_became_due_while_work_holds_time(clock, loop):
    clock.busy()
    thread = run_in_thread(loop, asyncio.sleep(60))
    wait_until_idle(clock, 1)
    clock.advance("30s")
    wait_until_idle(clock, 1)
    assert thread.is_alive()
    clock.advance(timedelta(seconds=30))
    thread.join(60)
    assert not thread.is_alive()
    assert seconds(clock) == 60


@pytest.mark.parametrize("duration", [-1, "soon", True, float("nan")])
def test_advance_takes_only_durations(clock, duration):
    with pytest.raises(InvalidDuration, match="advance"):
        clock.advance(duration)
    assert seconds(clock) == 0


def test_an_open_socket_may_answer_before_time_jumps(clock, loop):
    async def main():
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours, theirs:
            # Answers from a thread the clock does not know of.
            threading.Timer(0.01, theirs.send, [b"answer"]).start()
            async with asyncio.timeout(5):
                return await loop.sock_recv(ours, 100)

    assert loop.run_until_complete(main()) == b"answer"
    assert seconds(clock) == 0


def test_two_loops_of_one_clock_share_its_time(clock):
    first, second = clock.new_loop(), clock.new_loop()
    order = []

    async def main(name, delays):
        for delay in delays:
            await asyncio.sleep(delay)
            order.append((clock.monotonic(), name))

    # Neither may run ahead of the other, though each has nothing to do meanwhile.
    clock.busy()
    threads = [
        run_in_thread(first, main("first", [1, 2, 4])),
        run_in_thread(second, main("second", [2, 3, 1])),
    ]
    wait_until_idle(clock, 2)
    clock.idle()
    for thread in threads:
        thread.join(60)
    assert order == [
        (1, "first"),
        (2, "second"),
        (3, "first"),
        (5, "second"),
        (6, "second"),
        (7, "first"),
    ]
    first.close()
    second.close()


def test_a_second_life_goes_on_in_the_same_time(clock, loop):
    loop.run_until_complete(asyncio.sleep(3))
    second = clock.new_loop()
    try:
        second.run_until_complete(asyncio.sleep(4))
    finally:
        second.close()
    assert seconds(clock) == 7


def test_time_moves_on_over_a_hundred_years(clock, loop):
    loop.run_until_complete(asyncio.sleep(100 * 365 * DAY))
    assert seconds(clock) == 100 * 365 * DAY

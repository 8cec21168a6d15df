import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nbflow._engine.clock import SystemClock, VirtualClock
from nbflow._engine.threads import Outcome, ThreadRunner
from nbflow.errors import EngineClosed

name: contextvars.ContextVar[str] = contextvars.ContextVar("name")


class Bench:
    """A runner with its loop and the late outcomes it reported."""

    def __init__(self, clock: Any, **options: Any) -> None:
        self.clock = clock
        self.loop = clock.new_loop()
        self.late: list[tuple[Callable[[], Any], Outcome[Any]]] = []
        self.runner = ThreadRunner(
            clock, lambda *late: self.late.append(late), **options
        )

    def call(self, fn: Callable[[], Any]) -> asyncio.Future[Outcome[Any]]:
        return self.runner.run(self.loop, contextvars.copy_context(), fn)

    def run(self, main: Any) -> Any:
        return self.loop.run_until_complete(main)

    def close(self) -> None:
        self.runner.close()
        self.loop.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(SystemClock())
    yield bench
    bench.close()


@pytest.fixture
def virtual() -> Iterator[Bench]:
    bench = Bench(VirtualClock())
    yield bench
    bench.close()


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0)


def fail(error: BaseException) -> Callable[[], Any]:
    def raising() -> None:
        raise error

    return raising


def test_a_call_runs_in_a_named_daemon_thread_and_gives_its_value(bench):
    async def main():
        return (await bench.call(threading.current_thread)).unwrap()

    thread = bench.run(main())
    assert thread.name == "nbflow-step-1"
    assert thread.daemon
    assert thread is not threading.main_thread()


def test_calls_one_after_the_other_use_one_thread(bench):
    async def main():
        return {(await bench.call(threading.get_ident)).unwrap() for _ in range(20)}

    assert len(bench.run(main())) == 1


def test_a_call_sees_the_context_it_was_given(bench):
    async def main():
        context = contextvars.copy_context()
        context.run(name.set, "outer")
        outcome = await bench.runner.run(bench.loop, context, name.get)
        return outcome.unwrap()

    assert bench.run(main()) == "outer"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("wrong"),
        SystemExit(3),
        KeyboardInterrupt(),
        StopIteration(5),
        GeneratorExit(),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_is_raised_is_an_outcome_and_ends_nothing(bench, error):
    async def main():
        outcome = await bench.call(fail(error))
        after = await bench.call(threading.current_thread)
        return outcome, after.unwrap().name

    outcome, after = bench.run(main())
    assert outcome.error is error
    assert after == "nbflow-step-1"
    with pytest.raises(type(error)):
        outcome.unwrap()


def test_the_traceback_begins_with_the_users_function(bench):
    async def main():
        return await bench.call(fail(ValueError()))

    error = bench.run(main()).error
    assert error.__traceback__.tb_frame.f_code.co_name == "raising"


def test_calls_run_in_parallel_up_to_the_limit_and_the_rest_wait_in_order():
    bench = Bench(SystemClock(), limit=3)
    barrier, started = threading.Barrier(3), []

    async def main():
        first = [bench.call(barrier.wait) for _ in range(3)]
        held = threading.Event()
        blocked = [bench.call(held.wait) for _ in range(3)]
        await asyncio.gather(*first)
        rest = [bench.call(lambda n=n: started.append(n)) for n in range(50)]
        assert not any(one.done() for one in rest)
        held.set()
        await asyncio.gather(*blocked, *rest)

    bench.run(main())
    assert sorted(started) == list(range(50))
    bench.close()


def test_waiting_calls_start_in_the_order_of_arrival():
    bench = Bench(SystemClock(), limit=1)
    started: list[int] = []

    async def main():
        await asyncio.gather(
            *(bench.call(lambda n=n: started.append(n)) for n in range(100))
        )

    bench.run(main())
    assert started == list(range(100))
    bench.close()


def test_no_more_threads_than_the_limit(bench):
    async def main():
        calls = [bench.call(threading.get_ident) for _ in range(1_000)]
        return {(await one).unwrap() for one in calls}

    assert len(bench.run(main())) <= 64


def test_a_cancelled_call_runs_on_and_its_outcome_is_late(bench):
    started, release = threading.Event(), threading.Event()

    def stubborn():
        started.set()
        release.wait()
        return 5

    async def main():
        running = bench.call(stubborn)
        await until(started.is_set)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        release.set()
        await until(lambda: bench.late)

    bench.run(main())
    [(fn, outcome)] = bench.late
    assert fn is stubborn
    assert outcome == Outcome(5)


def test_a_call_cancelled_before_it_starts_is_never_made():
    bench = Bench(SystemClock(), limit=1)
    release, made = threading.Event(), []

    async def main():
        first = bench.call(release.wait)
        second = bench.call(lambda: made.append(1))
        second.cancel()
        third = bench.call(release.is_set)
        release.set()
        await asyncio.gather(first, third)

    bench.run(main())
    assert made == []
    assert bench.late == []
    bench.close()


def test_who_asks_is_told_when_a_thread_takes_the_call_up():
    bench = Bench(SystemClock(), limit=1)
    release = threading.Event()

    async def main():
        held, begun = bench.loop.create_future(), bench.loop.create_future()
        contexts = contextvars.copy_context(), contextvars.copy_context()
        first = bench.runner.run(bench.loop, contexts[0], release.wait, held)
        second = bench.runner.run(bench.loop, contexts[1], release.wait, begun)
        await held
        assert not first.done()
        assert not begun.done()
        release.set()
        await begun
        await asyncio.gather(first, second)

    bench.run(main())
    bench.close()


def test_virtual_time_stands_still_under_a_call(virtual):
    release = threading.Event()

    async def main():
        call = virtual.call(release.wait)
        timer = asyncio.create_task(asyncio.sleep(3_600))
        threading.Timer(0.02, release.set).start()
        await call
        assert virtual.clock.monotonic() == 0
        await timer

    virtual.run(main())
    assert virtual.clock.monotonic() == 3_600


def test_a_cancelled_call_no_longer_holds_virtual_time(virtual):
    release = threading.Event()

    async def main():
        call = virtual.call(release.wait)
        call.cancel()
        await asyncio.sleep(3_600)
        release.set()

    virtual.run(main())
    assert virtual.clock.monotonic() == 3_600


def test_closing_gives_back_virtual_time_under_a_stuck_call(virtual):
    release = threading.Event()

    async def main():
        virtual.call(release.wait)
        virtual.runner.close()

    virtual.run(main())
    second = virtual.clock.new_loop()
    second.run_until_complete(asyncio.sleep(60))
    second.close()
    release.set()
    assert virtual.clock.monotonic() == 60


def test_a_closed_runner_starts_nothing(bench):
    bench.runner.close()
    with pytest.raises(EngineClosed, match="open a new engine"):
        bench.call(int)


def test_closing_ends_the_idle_threads_and_drops_waiting_calls():
    bench = Bench(SystemClock(), limit=1)
    release, made = threading.Event(), []

    async def main():
        thread = (await bench.call(threading.current_thread)).unwrap()
        stuck = bench.call(release.wait)
        waiting = bench.call(lambda: made.append(1))
        bench.runner.close()
        assert stuck.cancelled()
        assert waiting.cancelled()
        release.set()
        return thread

    thread = bench.run(main())
    thread.join(60)
    assert not thread.is_alive()
    assert made == []
    bench.loop.close()


def test_an_outcome_for_a_closed_loop_is_dropped():
    bench = Bench(SystemClock())
    release = threading.Event()

    async def main():
        thread = (await bench.call(threading.current_thread)).unwrap()
        bench.call(release.wait)
        return thread

    thread = bench.run(main())
    bench.loop.close()
    release.set()
    bench.runner._queue.put(None)
    thread.join(60)
    assert not thread.is_alive()


def test_an_idle_thread_keeps_no_object_of_its_last_call(bench):
    class Value:
        pass

    async def main():
        return weakref.ref((await bench.call(Value)).unwrap())

    kept = bench.run(main())

    async def turn():
        await until(lambda: bench.runner._unfinished == 0)
        await asyncio.sleep(0)

    bench.run(turn())
    gc.collect()
    assert kept() is None


def test_the_interpreter_ends_while_a_call_is_stuck():
    code = """
import asyncio, contextvars, threading
from nbflow._engine.clock import SystemClock
from nbflow._engine.threads import ThreadRunner

clock = SystemClock()
loop = clock.new_loop()
runner = ThreadRunner(clock)
started = threading.Event()

def stuck():
    started.set()
    threading.Event().wait()

runner.run(loop, contextvars.copy_context(), stuck)
started.wait()
runner.close()
loop.close()
print("end")
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "end\n", "")


def test_a_call_that_is_given_up_while_it_waits_for_a_thread_is_not_made(bench):
    made = []
    is_over = threading.Event()

    async def main():
        bench.runner._limit = 1
        context = contextvars.copy_context()
        first = bench.call(lambda: is_over.wait(60))
        second = bench.runner.run(
            bench.loop, context, lambda: made.append(1), None, is_over.is_set
        )
        is_over.set()
        await first
        await asyncio.wait({second})
        return second.cancelled()

    assert bench.run(main())
    assert made == []

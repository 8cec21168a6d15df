import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nbflow._engine.clock import VirtualClock
from nbflow._engine.processes import usable_cpus
from nbflow.errors import EngineClosed
from tests.engine.process_bench import SOON, Bench, benches, gone, read_pid, script

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux who lives")


@pytest.fixture
def make(sink: Any, tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    yield from benches(sink, tmp_path)


@pytest.fixture
def bench(make: Callable[..., Bench]) -> Bench:
    return make()


# Killing


def start_child(folder: Path) -> None:
    """Start another program, tell both numbers, never return."""
    child = subprocess.Popen(["sleep", "60"])
    (folder / "child").write_text(f"{child.pid}\n")
    (folder / "self").write_text(f"{os.getpid()}\n")
    signal.pause()


def both(folder: Path) -> list[int]:
    return [read_pid(folder / "self"), read_pid(folder / "child")]


def by_value(fn: Any) -> Any:
    """The function without its module, which takes long to import."""
    copy = types.FunctionType(fn.__code__, fn.__globals__)
    copy.__module__ = "nowhere"
    return copy


def test_cancelling_kills_the_process_and_what_it_has_started(bench, tmp_path):
    async def main() -> float:
        future = bench.call(by_value(start_child), tmp_path)
        pids = await asyncio.to_thread(both, tmp_path)
        assert not any(gone(pid, 0) for pid in pids)
        began = time.monotonic()
        future.cancel()
        assert all(await asyncio.gather(*(asyncio.to_thread(gone, p) for p in pids)))
        return time.monotonic() - began

    assert bench.run(main()) < SOON
    bench.settle()


def test_signals_that_are_ignored_do_not_help(bench, tmp_path):
    def stubborn() -> None:
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        (tmp_path / "self").write_text(f"{os.getpid()}\n")
        while True:
            pass

    async def main() -> None:
        future = bench.call(stubborn)
        pid = await asyncio.to_thread(read_pid, tmp_path / "self")
        future.cancel()
        assert await asyncio.to_thread(gone, pid)

    bench.run(main())


def test_the_process_is_out_of_reach_of_ctrl_c(bench):
    def session() -> tuple[int, int, int]:
        return os.getpid(), os.getsid(0), os.getpgrp()

    pid, its_session, group = bench.value(session)
    assert pid == its_session == group != os.getpgrp()


def test_calls_run_at_once_up_to_the_limit_and_the_rest_wait_in_order(make, tmp_path):
    bench = make(limit=2)

    def meet(number: int) -> list[str]:
        # Goes on only when another one is there as well.
        (tmp_path / f"{number}").touch()
        partner = tmp_path / f"{number ^ 1}"
        seen = sorted(os.listdir(tmp_path))
        while not partner.exists():
            time.sleep(0.005)
        return seen

    async def main() -> list[list[str]]:
        outcomes = await asyncio.gather(*(bench.call(meet, n) for n in range(6)))
        return [outcome.unwrap() for outcome in outcomes]

    seen = bench.run(main())
    assert not {"2", "3", "4", "5"} & {*seen[0], *seen[1]}
    assert not {"4", "5"} & {*seen[2]}


def test_as_many_run_at_once_as_there_are_processors(bench):
    assert bench.runner._limit == usable_cpus() >= 1


def test_a_call_that_waits_is_never_made_when_it_is_cancelled(make, tmp_path):
    bench = make(limit=1)

    async def main() -> None:
        running = bench.call(by_value(start_child), tmp_path)
        waiting = bench.call((tmp_path / "made").touch)
        last = bench.call(os.getpid)
        await asyncio.to_thread(both, tmp_path)
        waiting.cancel()
        running.cancel()
        assert (await last).unwrap()

    bench.run(main())
    bench.settle()
    assert not (tmp_path / "made").exists()


def test_a_call_that_is_cancelled_at_once_leaves_nothing_behind(bench):
    async def main() -> None:
        for _ in range(5):
            bench.call(os.getpid).cancel()
            await asyncio.sleep(0)

    bench.run(main())
    bench.settle()
    assert bench.value(os.getpid)


def test_a_spare_that_was_killed_is_replaced_unnoticed(bench):
    bench.value(os.getpid)
    nursery = bench.runner._nursery
    with nursery._changed:
        nursery._changed.wait_for(lambda: nursery._ready)
        spare = nursery._ready[0]
    os.kill(spare.pid, signal.SIGKILL)
    assert gone(spare.pid)
    assert bench.value(os.getpid) not in (spare.pid, os.getpid())


def test_closing_ends_everything_and_starts_nothing_more(make, tmp_path):
    bench = make()

    async def main() -> Any:
        future = bench.call(by_value(start_child), tmp_path)
        pids = await asyncio.to_thread(both, tmp_path)
        nursery = bench.runner._nursery
        with nursery._changed:
            nursery._changed.wait_for(lambda: nursery._ready)
            pids.append(nursery._ready[0].pid)
        bench.runner.close()
        assert future.cancelled()
        return pids

    assert all(gone(pid) for pid in bench.run(main()))
    with pytest.raises(EngineClosed, match="open a new engine"):
        bench.call(os.getpid)


def test_nothing_outlives_an_engine_that_is_killed(tmp_path):
    process = script(
        f"""
        import ctypes, subprocess
        from pathlib import Path
        folder = Path({str(tmp_path)!r})

        def start_child():
            child = subprocess.Popen(["sleep", "60"])
            (folder / "child").write_text(f"{{child.pid}}\\n")
            (folder / "self").write_text(f"{{os.getpid()}}\\n")
            ctypes.PyDLL(None).sleep(60)  # no other thread gets a turn

        call(start_child)
        """,
        tmp_path,
    )
    pids = both(tmp_path)
    began = time.monotonic()
    process.kill()
    process.communicate()
    assert all(gone(pid) for pid in pids)
    assert time.monotonic() - began < SOON


def test_a_process_ends_tidily_after_its_outcome(bench, tmp_path):
    def register() -> None:
        import atexit

        atexit.register((tmp_path / "tidy").touch)

    bench.value(register)
    bench.settle()
    assert (tmp_path / "tidy").exists()


def test_a_process_that_does_not_end_is_killed_after_its_outcome(bench):
    def linger() -> int:
        threading.Thread(target=signal.sigwait, args=[{signal.SIGUSR1}]).start()
        return os.getpid()

    assert gone(bench.value(linger), within=5)
    bench.settle()


# The engine's loop


def test_virtual_time_stands_still_under_a_call(make):
    clock = VirtualClock()
    bench = make(clock)

    async def main() -> float:
        future = bench.call(os.getpid)
        asyncio.get_running_loop().call_later(3600, lambda: None)
        await future
        return clock.monotonic()

    assert bench.run(main()) == 0


def test_a_cancelled_call_no_longer_holds_virtual_time(make, tmp_path):
    bench = make(VirtualClock())

    async def main() -> None:
        future = bench.call(by_value(start_child), tmp_path)
        await asyncio.to_thread(both, tmp_path)
        future.cancel()
        await asyncio.sleep(3600)

    bench.run(main())


def test_it_works_from_a_loop_in_another_thread(make):
    bench = make()
    values: list[int] = []
    thread = threading.Thread(target=lambda: values.append(bench.value(os.getpid)))
    thread.start()
    thread.join(60)
    assert values


def test_many_calls_leak_no_descriptor_thread_or_zombie(make):
    bench = make(limit=4)
    bench.value(os.getpid)
    bench.settle()

    def spare() -> bool:
        nursery = bench.runner._nursery
        with nursery._changed:
            return bool(
                nursery._changed.wait_for(lambda: len(nursery._ready) == 1, timeout=30)
            )

    def held() -> tuple[int, int]:
        # A call's thread does its last steps after its last message to the loop.
        for thread in threading.enumerate():
            if thread.name.startswith("nbflow-process-"):
                thread.join(60)
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    assert spare()
    gc.collect()  # what earlier tests have left must not go meanwhile
    before = held()

    async def main() -> None:
        outcomes = await asyncio.gather(*(bench.call(os.getpid) for _ in range(200)))
        assert len({outcome.unwrap() for outcome in outcomes}) == 200

    bench.run(main())
    bench.settle()
    assert spare()
    gc.collect()
    assert held() == before
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if children.exists():
        states = [
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            for pid in children.read_text().split()
        ]
        assert "Z" not in states


def test_the_function_and_its_arguments_are_freed_once_they_are_sent(make, tmp_path):
    bench = make()

    class Big:
        pass

    import weakref

    big = Big()
    seen = weakref.ref(big)

    def hold(value: Any, folder: Path) -> None:
        (folder / "self").write_text(f"{os.getpid()}\n")
        signal.pause()

    async def main(held: list[Any]) -> None:
        future = bench.call(hold, held.pop(), tmp_path)
        await asyncio.to_thread(read_pid, tmp_path / "self")
        gc.collect()
        assert seen() is None
        future.cancel()

    held = [big]
    del big
    bench.run(main(held))


def test_cloudpickle_is_imported_by_those_alone_who_use_processes():
    code = (
        "import nbflow, nbflow.engine, nbflow.testing, nbflow._engine.processes, sys\n"
        "print([name for name in ('cloudpickle', 'multiprocessing') "
        "if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"

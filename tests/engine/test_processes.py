import asyncio
import contextvars
import gc
import os
import random
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbflow
from nbflow._engine import capture, failure, retry
from nbflow._engine.clock import SystemClock, VirtualClock
from nbflow._engine.processes import ProcessRunner, usable_cpus
from nbflow._engine.threads import Outcome
from nbflow.context import Context, RunFacts, StepInfo, current_context
from nbflow.errors import EngineClosed, NestedStep, NotSerializable, ProcessDied
from tests.engine import process_calls

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux who lives")
SOON = 1.0
FACTS = RunFacts("r-1", "wf", "app", {"n": 1}, {}, None, 2, None, "r-1", 0)


class Scope:
    """The run's side of `nbflow.current()`, which keeps what it hears."""

    def __init__(self, folder: Path) -> None:
        self.facts = FACTS
        self.heard: list[tuple[Any, ...]] = []
        self.folder = folder

    def log(self, *message: Any) -> None:
        self.heard.append(("log", *message))

    def progress(self, *message: Any) -> None:
        self.heard.append(("progress", *message))

    def emit(self, name: str, data: Any, key: str | None) -> None:
        if name == "refused":
            raise NotSerializable("no codec", path="x")
        self.heard.append(("emit", name, data, key))

    def current_step(self) -> StepInfo:
        return StepInfo("fit", "r-1/fit", 3, lambda: self.folder)


class Bench:
    """A runner, its loop, and what its calls say."""

    def __init__(self, clock: Any, sink: Any, folder: Path, **options: Any) -> None:
        self.clock = clock
        self.loop = clock.new_loop()
        self.sink = sink
        self.scope = Scope(folder)
        self.runner = ProcessRunner(clock, **options)

    def call(
        self, fn: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> asyncio.Future[Outcome[Any]]:
        context = contextvars.copy_context()
        context.run(capture.current_sink.set, self.sink)
        context.run(current_context.set, Context(self.scope))
        return self.runner.run(self.loop, context, fn, args, kwargs)

    def outcome(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        async def main() -> Any:
            return await self.call(fn, *args, **kwargs)

        return self.run(main())

    def value(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self.outcome(fn, *args, **kwargs).unwrap()

    def run(self, main: Any) -> Any:
        return self.loop.run_until_complete(main)

    def settle(self) -> None:
        """Wait until all processes of calls are gone."""

        async def main() -> None:
            while self.runner._busy:
                await asyncio.sleep(0.01)

        self.run(main())

    def close(self) -> None:
        self.runner.close()
        self.loop.close()


@pytest.fixture
def make(sink: Any, tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(clock: Any = None, **options: Any) -> Bench:
        benches.append(Bench(clock or SystemClock(), sink, tmp_path, **options))
        return benches[-1]

    yield make
    for bench in benches:
        bench.close()


@pytest.fixture
def bench(make: Callable[..., Bench]) -> Bench:
    return make()


def gone(pid: int, within: float = SOON) -> bool:
    """Whether a process ends in time; no polling, the kernel tells."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], within)[0])
    finally:
        os.close(fd)


def read_pid(path: Path) -> int:
    """The number that a process writes to a file, once it is there."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if path.exists() and path.read_text().endswith("\n"):
            return int(path.read_text())
        time.sleep(0.005)
    raise AssertionError(f"nobody wrote {path}")


# Values


def test_each_call_has_a_process_of_its_own(bench):
    pids = [bench.value(os.getpid) for _ in range(3)]
    assert len({*pids, os.getpid()}) == 4


def test_arguments_and_keyword_arguments_arrive(bench):
    def join(*parts: str, sep: str) -> str:
        return sep.join(parts)

    assert bench.value(join, "a", "b", sep="-") == "a-b"


def test_a_module_goes_by_name_and_is_imported_there(bench):
    pid, loaded_in = bench.value(process_calls.where)
    assert pid == loaded_in != os.getpid()


def test_a_changed_global_of_the_process_is_not_ours(bench):
    def change() -> None:
        process_calls.LOADED_IN = 0

    bench.value(change)
    assert os.getpid() == process_calls.LOADED_IN


def test_an_awaitable_is_awaited(bench):
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    assert bench.value(answer) == 42


@pytest.fixture
def notebook() -> Iterator[types.ModuleType]:
    """A module as `nbflow run` makes them: no file, no way to import it."""
    module = types.ModuleType("nbflow_notebook_test")
    code = """
    from dataclasses import dataclass
    from pydantic import BaseModel
    from enum import Enum

    FACTOR = 3

    class Color(Enum):
        RED = 1

    @dataclass
    class Point:
        x: int

    class Order(BaseModel):
        n: int

    class Odd(Exception):
        def __init__(self, x, *, y):
            super().__init__(f"odd {x}")
            self.y = y

    def scale(point):
        return Point(helper(point.x))

    def helper(x):
        return x * FACTOR

    def copied():
        import pickle
        return pickle.loads(pickle.dumps(Point(3)))

    def order(n):
        return Order(n=n), Color.RED

    def fail():
        raise Odd(1, y=2)
    """
    exec(textwrap.dedent(code), vars(module))
    vars(module)["__nbflow_path__"] = "/x/test.ipynb"
    sys.modules[module.__name__] = module
    for each in vars(module).values():
        if (
            isinstance(each, type | types.FunctionType)
            and each.__module__ == "builtins"
        ):
            each.__module__ = module.__name__
    yield module
    del sys.modules[module.__name__]


def test_functions_and_classes_of_a_notebook_go_by_value(bench, notebook):
    point = bench.value(notebook.scale, notebook.Point(2))
    assert point == notebook.Point(6)
    assert type(point) is notebook.Point


def test_models_and_enums_of_a_notebook_come_back_as_its_own(bench, notebook):
    order, color = bench.value(notebook.order, 4)
    assert type(order) is notebook.Order
    assert order.n == 4
    assert color is notebook.Color.RED


def test_exceptions_of_a_notebook_come_back_as_its_own(bench, notebook):
    error = bench.outcome(notebook.fail).error
    assert isinstance(error, notebook.Odd)
    assert str(error) == "odd 1"
    assert error.y == 2


def test_plain_pickle_finds_there_what_the_function_names(bench, notebook):
    point = bench.value(notebook.copied)
    assert point == notebook.Point(3)
    assert type(point) is notebook.Point


def test_the_list_of_modules_by_value_is_left_as_it_was(bench, notebook):
    import cloudpickle

    before = cloudpickle.list_registry_pickle_by_value()
    bench.value(notebook.helper, 1)
    assert cloudpickle.list_registry_pickle_by_value() == before


SCRIPT = """
import asyncio, contextvars, os, sys
from nbflow._engine.clock import SystemClock
from nbflow._engine.processes import ProcessRunner

clock = SystemClock()
loop = clock.new_loop()
runner = ProcessRunner(clock)

def call(fn, *args):
    async def main():
        return await runner.run(loop, contextvars.copy_context(), fn, args)
    return loop.run_until_complete(main())
"""


def script(text: str, folder: Path, **options: Any) -> "subprocess.Popen[str]":
    path = folder / "script.py"
    path.write_text(SCRIPT + textwrap.dedent(text))
    root = str(Path(nbflow.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
        **options,
    )


def test_functions_and_classes_of_a_script_go_by_value(tmp_path):
    process = script(
        """
        class Box:
            def __init__(self, value):
                self.value = value

        def double(box):
            import multiprocessing

            print("doubling")
            with multiprocessing.get_context("fork").Pool(1) as pool:
                return pool.map(half_of, [Box(4 * box.value)])[0]

        def half_of(box):
            return Box(box.value // 2)

        def main():
            outcome = call(double, Box(4))
            print(type(outcome.value) is Box, outcome.value.value)
            runner.close()

        if __name__ == "__main__":
            main()
        """,
        tmp_path,
    )
    assert process.communicate(timeout=60)[0].split("\n") == [
        "doubling",
        "True 8",
        "",
    ]


def test_folder_environment_and_module_path_are_those_of_the_call(
    bench, tmp_path, monkeypatch
):
    bench.value(os.getpid)  # the next process exists already
    (tmp_path / "made_late.py").write_text("def name(): return __name__")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NBFLOW_LATE", "yes")
    monkeypatch.delenv("HOME")
    monkeypatch.syspath_prepend(tmp_path)
    import made_late

    def look() -> Any:
        return os.getcwd(), os.environ.get("NBFLOW_LATE"), "HOME" in os.environ

    assert bench.value(look) == (str(tmp_path), "yes", False)
    assert bench.value(made_late.name) == "made_late"


@pytest.mark.parametrize("is_writable", [True, False])
def test_arrays_keep_whether_they_may_be_written(bench, is_writable):
    array = np.arange(1_000_000)
    array.flags.writeable = is_writable
    result = bench.value(process_calls.echo, array)
    assert (result == array).all()
    assert result.flags.writeable is is_writable


def test_large_values_of_every_kind_travel(bench):
    value = {"bytes": b"x" * 20_000_000, "text": "ä" * 5_000_000, "list": [1] * 10**6}
    assert bench.value(process_calls.echo, value) == value


# Errors


def inner(number: int) -> float:
    return 1 / number


def test_an_error_has_the_frames_of_the_users_functions(bench):
    def outer() -> None:
        try:
            inner(0)
        except ZeroDivisionError as error:
            raise ValueError("outer failed") from error

    error = bench.outcome(outer).error
    assert type(error) is ValueError
    assert type(error.__cause__) is ZeroDivisionError
    text = failure.user_traceback(error, str)
    assert "in inner\n    return 1 / number" in text
    assert 'in outer\n    raise ValueError("outer failed") from error' in text
    assert "nbflow/_engine" not in text


def test_groups_notes_and_endless_recursion_arrive(bench):
    def group() -> None:
        error = ValueError("one")
        error.add_note("look here")
        raise ExceptionGroup("both", [error, TypeError("two")])

    def endless(n: int) -> None:
        endless(n + 1)

    error = bench.outcome(group).error
    assert [type(one) for one in error.exceptions] == [ValueError, TypeError]
    assert error.exceptions[0].__notes__ == ["look here"]
    assert type(bench.outcome(endless, 0).error) is RecursionError


def test_an_error_that_cannot_be_made_again_is_still_of_its_class(bench):
    error = bench.outcome(process_calls.refuse, "no").error
    assert isinstance(error, process_calls.Refused)
    assert str(error) == "refused: no"
    assert error.code == 7
    assert "in refuse" in failure.user_traceback(error, str)


def test_an_error_of_a_class_that_cannot_be_pickled_keeps_name_text_and_frames(bench):
    def fail() -> None:
        class Broken(Exception):
            lock = __import__("threading").Lock()

            def __reduce__(self):
                raise TypeError("never")

        raise Broken("the text")

    error = bench.outcome(fail).error
    assert type(error).__name__ == "Broken"
    assert str(error) == "the text"
    assert "in fail" in failure.user_traceback(error, str)


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), KeyboardInterrupt(), StopIteration(5), GeneratorExit()],
    ids=lambda error: type(error).__name__,
)
def test_whatever_is_raised_is_an_outcome(bench, error):
    def fail() -> None:
        raise error

    outcome = bench.outcome(fail)
    assert type(outcome.error) is type(error)
    assert outcome.error.args == error.args


def test_what_cannot_be_pickled_is_named(bench):
    lock = threading.Lock()

    def holds() -> Any:
        return lock

    def gives() -> Any:
        return {"held": [1, threading.Lock()]}

    cases = [
        (bench.outcome(holds), "the function of step 'fit', at lock,"),
        (bench.outcome(process_calls.echo, 1, lock), "argument 2 of step 'fit' "),
        (
            bench.outcome(process_calls.echo, value={"a": lock}),
            "argument 'value' of step 'fit', at ['a'],",
        ),
        (bench.outcome(gives), "the value of step 'fit', at ['held'][1],"),
    ]
    for outcome, beginning in cases:
        assert isinstance(outcome.error, NotSerializable)
        assert str(outcome.error).startswith(beginning)
        assert "lock cannot be pickled" in str(outcome.error)
        assert "make connections, locks and open files inside" in str(outcome.error)


@pytest.mark.parametrize(
    ("end", "code", "how"),
    [
        (lambda: os._exit(3), 3, "ended itself with exit code 3"),
        (lambda: os._exit(0), 0, "ended itself with exit code 0"),
        (lambda: os.kill(os.getpid(), 9), -9, "by SIGKILL .* ran out of memory"),
        (lambda: os.kill(os.getpid(), 11), -11, "was ended by SIGSEGV"),
    ],
)
def test_a_process_that_dies_is_told_and_may_be_tried_again(bench, end, code, how):
    error = bench.outcome(end).error
    assert isinstance(error, ProcessDied)
    assert error.exit_code == code
    with pytest.raises(ProcessDied, match=rf"the process of step 'fit' .*{how}"):
        raise error
    decision = retry.decide(
        retry.Failure.of(error), 0, retry.RetryRules(), random.Random(1), 0
    )
    assert isinstance(decision, retry.Retry)


def test_the_log_of_a_crash_names_the_users_line(bench):
    def crash() -> None:
        import ctypes

        ctypes.string_at(0)

    assert bench.outcome(crash).error.exit_code == -signal.SIGSEGV
    assert any("in crash" in line for line in bench.sink.texts)


def test_a_process_that_leaves_forks_behind_is_told_when_it_dies(bench, tmp_path):
    def leave() -> None:
        if not os.fork():
            os.setsid()  # out of the reach of a kill of the group
            (tmp_path / "pid").write_text(f"{os.getpid()}\n")
            time.sleep(60)
        while not (tmp_path / "pid").exists():
            time.sleep(0.01)
        os._exit(4)

    assert bench.outcome(leave).error.exit_code == 4
    os.kill(read_pid(tmp_path / "pid"), signal.SIGKILL)


def test_a_python_without_a_program_says_so(bench, monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    error = bench.outcome(os.getpid).error
    assert isinstance(error, OSError)
    assert "leave process=True out" in str(error)
    monkeypatch.undo()
    assert bench.value(os.getpid)


# What the function says


def test_output_of_python_arrives_in_order(bench):
    def speak() -> None:
        import logging
        import warnings

        print("one")
        logging.getLogger("x").error("two")
        warnings.warn("three", stacklevel=1)
        print("four", file=sys.stderr)
        print("five", end="")

    bench.value(speak)
    assert bench.sink.lines == [
        ("one", "info", "print", False),
        ("two", "error", "logging", False),
        ("UserWarning: three", "warning", "logging", False),
        ("four", "warning", "print", False),
        ("five", "info", "print", False),
    ]


def test_bars_drive_the_progress(bench):
    def count() -> None:
        from tqdm import tqdm

        for _ in tqdm(range(3), desc="items", mininterval=0):
            pass

    bench.value(count)
    assert bench.sink.steps[0] == (0, 3, "items")
    assert bench.sink.steps[-1] == (3, 3, "items")


def test_output_past_python_becomes_lines_and_harms_nothing(bench):
    def speak() -> str:
        os.write(1, b"raw \xc3\xa4\n")
        os.write(2, b"no end")
        subprocess.run(["echo", "sub"], check=True)
        return sys.stdin.read()

    assert bench.value(speak) == ""
    assert bench.sink.texts == ["raw ä", "no endsub"]


def test_much_output_of_both_kinds_is_no_deadlock(bench):
    def speak() -> bytes:
        for n in range(5_000):
            print(n)
            os.write(2, b"y" * 999 + b"\n")
        return b"z" * 5_000_000

    assert len(bench.value(speak)) == 5_000_000
    assert len(bench.sink.lines) == 10_000
    printed = [text for text in bench.sink.texts if text[0] != "y"]
    assert printed == [str(n) for n in range(5_000)]


def test_forks_of_the_process_keep_out_of_the_conversation(bench):
    def fan_out() -> list[int]:
        import multiprocessing

        with multiprocessing.get_context("fork").Pool(2) as pool:
            return pool.map(process_calls.square, range(20))

    assert bench.value(fan_out) == [n * n for n in range(20)]
    assert sorted(bench.sink.texts) == sorted(f"squaring {n}" for n in range(20))


def test_log_progress_and_emit_reach_the_run(bench):
    ctx = Context(bench.scope)

    def speak() -> None:
        nbflow.current().log("hello", "warning", rows=3)
        nbflow.current().progress(1, 2, "half")
        ctx.emit("chart", {"y": [1]}, key="k")  # the body's, through the closure

    bench.value(speak)
    assert bench.scope.heard == [
        ("log", "hello", "warning", "ctx", {"rows": 3}),
        ("progress", 1, 2, "half"),
        ("emit", "chart", {"y": [1]}, "k"),
    ]


def test_the_step_and_the_run_are_known(bench, tmp_path):
    def look() -> Any:
        ctx = nbflow.current()
        step = ctx.step
        assert step is not None
        (step.dir / "checkpoint").write_text("saved")
        return step.id, step.key, step.attempt, ctx.run_id, ctx.input, ctx.attempt

    assert bench.value(look) == ("fit", "r-1/fit", 3, "r-1", {"n": 1}, 2)
    assert (tmp_path / "checkpoint").read_text() == "saved"


def test_what_the_run_refuses_is_raised_in_the_function(bench):
    def emit(data: Any, name: str) -> str:
        try:
            nbflow.current().emit(name, data)
        except NotSerializable as error:
            return str(error)
        return "taken"

    assert bench.value(emit, 1, "refused") == "no codec"
    assert bench.value(emit, 1, "fine") == "taken"
    assert "lock cannot be pickled" in bench.value(
        lambda: emit(threading.Lock(), "fine")
    )


@pytest.mark.parametrize(
    "nested",
    [
        lambda ctx: ctx.run("inner", print),
        lambda ctx: ctx.sleep("nap", 1),
        lambda ctx: ctx.now(),
        lambda ctx: ctx.cancel(),
    ],
)
def test_steps_do_not_nest(bench, nested):
    error = bench.outcome(lambda: nested(nbflow.current())).error
    assert isinstance(error, NestedStep)
    assert "inside step 'fit'" in str(error)
    assert (error.run_id, error.step) == ("r-1", "fit")


def test_a_resource_is_the_processes_own(bench):
    shared = nbflow.resource(os.getpid)

    def use() -> Any:
        return shared() == shared() == os.getpid()

    assert shared() == os.getpid()
    assert bench.value(use)


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

    assert spare()
    before = len(os.listdir("/proc/self/fd")), threading.active_count()

    async def main() -> None:
        outcomes = await asyncio.gather(*(bench.call(os.getpid) for _ in range(200)))
        assert len({outcome.unwrap() for outcome in outcomes}) == 200

    bench.run(main())
    bench.settle()
    assert spare()
    gc.collect()
    # The threads' last steps come after the last message to the loop.
    for thread in threading.enumerate():
        if thread.name.startswith("nbflow-process-"):
            thread.join(10)
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before
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

import asyncio
import os
import random
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
from nbflow._engine import failure, retry
from nbflow.context import Context
from nbflow.errors import NestedStep, NotSerializable, ProcessDied
from tests.engine import process_calls
from tests.engine.process_bench import Bench, benches, read_pid, script

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux who lives")


@pytest.fixture
def make(sink: Any, tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    yield from benches(sink, tmp_path)


@pytest.fixture
def bench(make: Callable[..., Bench]) -> Bench:
    return make()


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
    assert process.communicate(timeout=120)[0].split("\n") == [
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

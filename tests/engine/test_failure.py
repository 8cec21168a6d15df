import asyncio
import contextvars
import json
import linecache
import sys
from typing import Any

import anyio
import pytest

from nbflow import errors
from nbflow._engine import failure
from nbflow._engine.clock import SystemClock
from nbflow._engine.threads import ThreadRunner


def same(text: str) -> str:
    return text


def masked(text: str) -> str:
    return text.replace("hunter2hunter2", "***")


def raised(fn, *args) -> BaseException:
    try:
        fn(*args)
    except BaseException as error:
        return error
    raise AssertionError("it did not raise")


def divide(number):
    return number / 0


def describe(error, redact=same) -> dict[str, Any]:
    stored = failure.describe(error, redact, step="fetch", run_id="r-1")
    assert json.loads(json.dumps(stored)) == stored
    return stored


class Refused(Exception):
    def __init__(self, status_code, **more):
        super().__init__(f"refused with {status_code}")
        self.status_code = status_code
        self.__dict__.update(more)


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no")


class Hostile(Exception):
    def __getattribute__(self, name):
        raise RuntimeError(name)


def test_an_error_is_stored_with_type_message_and_place():
    stored = describe(raised(divide, 3))
    assert stored["type"] == "ZeroDivisionError"
    assert stored["message"] == "division by zero"
    assert (stored["step"], stored["run_id"]) == ("fetch", "r-1")
    assert stored["_class"] == "builtins:ZeroDivisionError"
    assert stored["_args"] == ["division by zero"]
    assert "_attributes" not in stored


@pytest.mark.parametrize(
    ("module", "name", "shown"),
    [
        ("builtins", "ValueError", "ValueError"),
        ("httpx", "HTTPStatusError", "httpx.HTTPStatusError"),
        ("requests.exceptions", "HTTPError", "requests.exceptions.HTTPError"),
        ("__main__", "Outer.Boom", "Outer.Boom"),
        ("nbflow.errors", "StepTimeout", "StepTimeout"),
        ("mine", "main.<locals>.Boom", "mine.Boom"),
    ],
)
def test_types_are_named_as_users_write_them(module, name, shown):
    kind = type("X", (Exception,), {"__module__": module, "__qualname__": name})
    assert failure.type_name(kind) == shown
    assert describe(kind())["_class"] == f"{module}:{name}"


def test_a_message_is_masked_before_it_is_cut():
    text = "x" * 1_990 + "hunter2hunter2" + "y" * 500
    stored = describe(raised(fail, ValueError(text)), masked)
    assert len(stored["message"]) == 2_000
    assert stored["message"].endswith("***yyyyyy…")
    assert "hunter2" not in json.dumps(stored)


def test_a_huge_text_shows_no_half_secret_where_it_was_cut():
    half = "x" * (64 * 1024 - 7) + "hunter2hunter2" * 100_000
    stored = describe(raised(fail, ValueError(half)), masked)
    assert "hunter2" not in json.dumps(stored)


def fail(error):
    raise error


def test_an_error_without_a_text_is_still_described():
    assert "str() failed" in describe(raised(fail, Mute()))["message"]


def test_an_error_that_refuses_everything_is_still_described():
    stored = describe(Hostile("x"))
    assert stored["type"].endswith("Hostile")


def test_masking_that_fails_lets_no_text_through():
    def broken(text):
        raise RuntimeError("masking")

    stored = describe(raised(fail, ValueError("hunter2hunter2")), broken)
    assert "hunter2" not in json.dumps(stored)


def test_lone_surrogates_can_be_stored():
    assert describe(ValueError("\ud800"))["message"] == "\\ud800"


def test_small_plain_attributes_are_kept():
    error = Refused(404, note=None, tags=["a", {"b": 1.5}], _private=1)
    assert describe(error)["_attributes"] == {
        "status_code": 404,
        "note": None,
        "tags": ["a", {"b": 1.5}],
    }


@pytest.mark.parametrize(
    "value",
    [object(), (1, 2), {1: 2}, [object()], "x" * 10_000, b"x", float("nan"), 2**80],
    ids=lambda value: type(value).__name__,
)
def test_other_attributes_are_left_out(value):
    assert describe(Refused(404, other=value))["_attributes"] == {"status_code": 404}


def test_attributes_and_arguments_are_masked():
    stored = describe(Refused(401, key=["hunter2hunter2"]), masked)
    assert stored["_attributes"]["key"] == ["***"]
    assert describe(ValueError("hunter2hunter2"), masked)["_args"] == ["***"]


def test_many_attributes_are_kept_within_bounds():
    stored = describe(Refused(1, **{f"field_{n}": "x" * 100 for n in range(1_000)}))
    assert len(json.dumps(stored["_attributes"])) < 5_000


def test_arguments_that_are_not_plain_are_left_out():
    assert "_args" not in describe(ValueError(object()))


def test_the_traceback_shows_the_users_lines_with_carets():
    text = describe(raised(divide, 3))["traceback"]
    assert text.startswith("Traceback (most recent call last):\n")
    assert "in divide\n    return number / 0\n           ~~~~~~~^~~\n" in text
    assert text.endswith("ZeroDivisionError: division by zero\n")


def test_frames_of_the_machinery_are_left_out():
    clock = SystemClock()
    loop = clock.new_loop()
    runner = ThreadRunner(clock)

    async def main():
        async with anyio.create_task_group() as group:
            group.start_soon(step)

    async def step():
        call = runner.run(loop, contextvars.copy_context(), lambda: divide(1))
        (await asyncio.wait_for(call, 10)).unwrap()

    error = raised(loop.run_until_complete, main())
    runner.close()
    loop.close()
    text = failure.user_traceback(error, same)
    assert "return number / 0" in text
    for machinery in ("/nbflow/", "/anyio/", "/asyncio/", "threading.py"):
        assert machinery not in text


def test_lines_of_a_notebook_cell_are_found():
    source = "def cell():\n    raise ValueError('in a cell')\n"
    linecache.cache["<cell 3>"] = (
        len(source),
        None,
        source.splitlines(keepends=True),
        "<cell 3>",
    )
    scope: dict[str, Any] = {}
    exec(compile(source, "<cell 3>", "exec"), scope)
    text = failure.user_traceback(raised(scope["cell"]), same)
    assert 'File "<cell 3>", line 2, in cell\n    raise ValueError' in text


def test_causes_are_followed():
    def wrap():
        try:
            divide(1)
        except ZeroDivisionError as error:
            raise ValueError("wrapped") from error

    text = failure.user_traceback(raised(wrap), same)
    assert "direct cause of the following exception" in text
    assert text.index("ZeroDivisionError") < text.index("ValueError: wrapped")


def test_a_long_chain_is_followed_a_few_levels():
    error = None
    for number in range(50):
        new = ValueError(f"number {number}.")
        new.__context__ = error
        error = new
    text = failure.user_traceback(error, same)
    assert "number 49." in text
    assert "number 46." in text
    assert "number 45." not in text


def test_groups_show_their_members():
    group = ExceptionGroup("both", [raised(divide, 1), raised(fail, OSError("disk"))])
    text = failure.user_traceback(group, same)
    assert "ExceptionGroup: both (2 sub-exceptions)" in text
    assert "ZeroDivisionError: division by zero" in text
    assert "OSError: disk" in text


def descend(levels, *turns):
    if levels:
        turns[0](levels - 1, *turns[1:], turns[0])
    else:
        divide(1)


def twin(levels, *turns):
    descend(levels, *turns)


def test_many_frames_lose_those_in_the_middle():
    error = raised(descend, 30, descend, twin)
    text = failure.user_traceback(error, same)
    assert text.count("  File ") == failure.FRAME_LIMIT
    assert "frames left out]" in text
    assert "in divide" in text


def test_a_recursion_is_folded():
    def forever():
        forever()

    text = failure.user_traceback(raised(forever), same)
    assert "Previous line repeated" in text
    assert len(text) < 2_000


def test_the_traceback_is_masked_and_kept_short():
    error = raised(fail, ValueError("hunter2hunter2 " + "é" * 20_000 + " the end"))
    text = failure.user_traceback(error, masked)
    assert len(text.encode()) <= failure.TRACEBACK_LIMIT
    assert text.startswith("Traceback")
    assert "part of the traceback left out" in text
    assert "hunter2" not in text


def test_notes_are_shown():
    error = ValueError("x")
    error.add_note("see the manual")
    assert "see the manual" in failure.user_traceback(error, same)


def test_control_is_found_inside_groups():
    interrupt = errors.Canceled("stop")
    cancelled = asyncio.CancelledError()
    inner = BaseExceptionGroup("x", [ValueError(), cancelled, interrupt])
    group = BaseExceptionGroup("y", [OSError(), inner])
    assert failure.control(interrupt) is interrupt
    assert failure.control(cancelled) is cancelled
    assert failure.control(group) is interrupt
    assert failure.control(BaseExceptionGroup("z", [OSError(), cancelled])) is cancelled


@pytest.mark.parametrize(
    "error", [ValueError(), SystemExit(), ExceptionGroup("x", [ValueError()])]
)
def test_other_errors_are_no_control(error):
    assert failure.control(error) is None


def test_a_deeply_nested_group_is_searched():
    group: BaseException = asyncio.CancelledError()
    for _ in range(sys.getrecursionlimit() + 100):
        group = BaseExceptionGroup("x", [group])
    assert failure.control(group) is not None

"""What a step, an invoke or a run returns is what is read back, at once and later."""

import asyncio
import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel

from nbflow.context import Context
from nbflow.errors import NotSerializable
from nbflow.model import RunStatus
from tests.codecs.conftest import _same as same
from tests.codecs.test_round_trip import VALUES, Color, Frozen, Level, Node, Point, Word
from tests.engine.lab import Lab, define

Same = Callable[[Any, Any], None]


class Page(BaseModel):
    title: str
    when: dt.datetime
    parts: dict[int, tuple[float, ...]] = {}


@dataclass
class Tree:
    name: str
    children: list["Tree"] = field(default_factory=list)


def check(value: Any, same: Same) -> None:
    """Send a value through every way there is, before a crash and after it."""
    executed: list[str] = []

    async def give() -> Any:
        executed.append("step")
        return value

    def give_in_thread() -> Any:
        executed.append("thread")
        return value

    async def take(argument: Any) -> Any:
        executed.append("argument")
        same(argument, value)
        return argument

    async def child(ctx: Context) -> Any:
        executed.append("child")
        return value

    async def body(ctx: Context) -> Any:
        same(await ctx.run("step", give), value)
        same(await ctx.run("thread", give_in_thread), value)
        same(await ctx.run("argument", take, value), value)
        same(await ctx.invoke("kid", "child"), value)
        same(await (await ctx.start("detached", "child")), value)
        same((await ctx.try_invoke("tried", "child")).body, value)
        for item in await ctx.map("items", take, [value, value]):
            same(item, value)
        first, second = await asyncio.gather(ctx.run("a", give), ctx.run("b", give))
        same(first, value)
        same(second, value)
        return value

    lab = Lab(body, child)
    run_id = lab.start(body)
    _check_end(lab, run_id, value, same)
    assert len(executed) == 10
    executed.clear()
    lab = lab.crash()
    _check_end(lab, run_id, value, same)  # the result, as the store has it
    copy = lab.copy(run_id)
    assert copy.recover() == [run_id]
    _check_end(copy, run_id, value, same)  # the body, with all its steps replayed
    assert executed == []
    copy.end()
    lab.end()


def _check_end(lab: Lab, run_id: str, value: Any, same: Same) -> None:
    ending = lab.wait_for_end(run_id)
    assert ending.status is RunStatus.COMPLETED, ending.error
    same(ending.value, value)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(VALUES)
def test_any_value_is_read_back_equal_and_of_its_type(value: Any) -> None:
    check(value, same)


def equal(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    assert one == other


@pytest.mark.parametrize(
    "value",
    [
        Page(title="a", when=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), parts={1: (2.5,)}),
        Tree("root", [Tree("leaf"), Tree("leaf", [Tree("inner")])]),
        [Color.RED, Level.HIGH, Word.YES, Frozen("x"), Point(1, (2,)), Node({3})],
        "large " * 5_000,
        b"large " * 5_000,
        {"numbers": list(range(5_000))},
    ],
    ids=["pydantic", "dataclass", "enums", "text", "bytes", "list"],
)
def test_classes_and_large_values_too(value: Any) -> None:
    check(value, equal)


def test_arrays_and_their_scalars_too() -> None:
    numpy = pytest.importorskip("numpy")

    def same(one: Any, other: Any) -> None:
        assert type(one) is type(other)
        numpy.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype

    check(numpy.arange(12, dtype="int16").reshape(3, 4), same)
    check(numpy.array([1.5, numpy.nan, -0.0]), same)
    check(numpy.array(["a", "bc"]), same)
    check(numpy.float32(1.1), same)
    check(numpy.datetime64("2026-01-01T00:00:01"), same)
    check(numpy.zeros(100_000), same)


def test_pandas_tables_too() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(
        {"n": [1, 2, 3], "word": ["a", None, "c"], "x": [0.5, None, 2.0]},
        index=pandas.date_range("2026-01-01", periods=3, name="day"),
    )
    check(table, pandas.testing.assert_frame_equal)
    check(table["x"], pandas.testing.assert_series_equal)


def test_polars_tables_too() -> None:
    polars = pytest.importorskip("polars")
    testing = pytest.importorskip("polars.testing")
    table = polars.DataFrame({"n": [1, 2, None], "words": [["a"], [], ["b", "c"]]})
    check(table, testing.assert_frame_equal)
    check(table["words"], testing.assert_series_equal)


def test_arrow_tables_too() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    check(pyarrow.table({"n": [1, 2, None], "word": ["a", "b", "c"]}), equal)


def test_what_a_step_gives_is_not_touched_by_what_the_body_does_to_it() -> None:
    """The body gets it after it was stored: a replay starts from the stored value."""

    async def give() -> dict[str, list[int]]:
        return {"a": [1]}

    async def body(ctx: Context) -> Any:
        value = await ctx.run("s", give)
        value["a"].append(2)
        return [value, await ctx.run("s", give)]

    lab = Lab(body)
    run_id = lab.start(body)
    result = [{"a": [1, 2]}, {"a": [1]}]
    assert lab.wait_for_end(run_id).value == result
    copy = lab.copy(run_id)
    copy.recover()
    assert copy.wait_for_end(run_id).value == result
    copy.end()
    lab.end()


# What has no stored form

REFUSED = [
    (object(), "value"),
    ({"a": [1, 2, 3, {"x": threading.Lock()}]}, 'value["a"][3]["x"]'),
    ((1, Node(value={"f": print})), 'value[1].value["f"]'),
    (Point(0, [object()]), "value[1][0]"),
]


@pytest.mark.parametrize(("value", "path"), REFUSED)
def test_a_step_that_returns_such_a_thing_fails_naming_the_path(
    value: Any, path: str
) -> None:
    calls: list[int] = []

    async def give() -> Any:
        calls.append(1)
        return value

    async def body(ctx: Context) -> Any:
        try:
            await ctx.run("give", give, retries=5)
        except NotSerializable as exc:
            return [exc.path, str(exc)]

    lab = Lab(body)
    run_id = lab.start(body)
    named, message = lab.wait_for_end(run_id).value
    assert named == path
    assert path in message
    assert calls == [1]
    copy = lab.copy(run_id)
    copy.recover()
    assert copy.wait_for_end(run_id).value == [named, message]
    assert calls == [1]
    copy.end()
    lab.end()


@pytest.mark.parametrize(("value", "path"), REFUSED)
def test_a_run_that_returns_such_a_thing_fails_naming_the_path(
    value: Any, path: str
) -> None:
    async def body(ctx: Context) -> Any:
        return value

    async def parent(ctx: Context) -> Any:
        return str((await ctx.try_invoke("kid", "body")).error)

    lab = Lab(body, parent)
    error = lab.run(body).error
    assert error is not None
    assert error["type"].endswith("NotSerializable")
    assert error["message"].startswith(f"result of workflow 'body': {path} ")
    assert path in lab.run(parent).value
    lab.end()


def test_a_result_that_is_too_large_is_named_with_its_workflow() -> None:
    async def body(ctx: Context) -> Any:
        return "x" * (64 * 1024 * 1024 + 1)

    lab = Lab(body)
    error = lab.run(body).error
    assert error is not None
    assert error["type"].endswith("PayloadTooLarge")
    assert error["message"].startswith("result of workflow 'body': a value of 64.0 MiB")
    lab.end()


@pytest.mark.parametrize(("value", "path"), REFUSED)
def test_a_child_is_not_given_such_a_thing(value: Any, path: str) -> None:
    async def child(ctx: Context, x: Any) -> None: ...

    async def body(ctx: Context) -> Any:
        await ctx.invoke("kid", "child", {"x": value})

    lab = Lab(define(body), define(child))
    ending = lab.run(body)
    assert ending.status is RunStatus.FAILED
    assert ending.error is not None
    assert ending.error["type"].endswith("NotSerializable")
    assert path.removeprefix("value") in ending.error["message"]
    lab.end()


@pytest.mark.parametrize(("value", "path"), REFUSED)
def test_such_a_thing_is_not_emitted(value: Any, path: str) -> None:
    async def body(ctx: Context) -> Any:
        ctx.emit("data", value)

    lab = Lab(body)
    error = lab.run(body).error
    assert error is not None
    assert error["type"].endswith("NotSerializable")
    assert path.replace("value", "data", 1) in error["message"]
    lab.end()


def test_an_argument_may_be_of_any_kind() -> None:
    lock = threading.Lock()

    async def take(lock: Any, number: int) -> int:
        assert lock.acquire(blocking=False)
        lock.release()
        return number

    async def body(ctx: Context) -> Any:
        return await ctx.run(take, lock, 5)

    lab = Lab(body)
    run_id = lab.start(body)
    assert lab.wait_for_end(run_id).value == 5
    copy = lab.copy(run_id)
    copy.recover()
    assert copy.wait_for_end(run_id).value == 5
    copy.end()
    lab.end()

"""Workflows of another app: two engines that know each other by their folders."""

import enum
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

import nbflow
from nbflow import Context, Engine, RunFailed, RunHandle, reference, workflow
from nbflow.model import RunStatus

calls: list[Any] = []
goes_on = threading.Event()


class Colour(enum.Enum):
    RED = "red"


class Order(BaseModel):
    name: str
    copies: int = 1


@dataclass
class Receipt:
    name: str
    total: int


def count(*what: Any) -> None:
    calls.append(what)


@workflow(app="shop")
async def sell(ctx: Context, name: str, copies: int = 1) -> Receipt:
    await ctx.run("count", count, name)
    ctx.log(f"for {ctx.parent} with {dict(ctx.headers)} at depth {ctx.depth}")
    return Receipt(name, 7 * copies)


@workflow(app="shop")
async def big(ctx: Context) -> Any:
    return np.arange(100_000)


@workflow(app="shop", retries=0)
async def broken(ctx: Context) -> None:
    await ctx.run("count", count, "broken")
    raise LookupError("nothing left")


@workflow(app="shop")
async def slow(ctx: Context) -> str:
    await ctx.run("count", count, "slow")
    await ctx.run("wait", goes_on.wait, 60)
    return "sold"


@workflow(app="office")
async def buy(ctx: Context, target: str, **options: Any) -> Any:
    """Invokes what it is told to."""
    given = options.pop("input", None)
    made = reference(target, app=options.pop("app", "shop"))
    return await ctx.invoke("buy", made, given, **options)


@pytest.fixture(autouse=True)
def fresh() -> None:
    calls.clear()
    goes_on.clear()


@pytest.fixture
def office(home: Path) -> Iterator[Engine]:
    with Engine(home, "office", [buy]) as engine:
        yield engine


@pytest.fixture
def serve(home: Path) -> Iterator[Callable[..., Engine]]:
    """Serve the shop."""
    with ExitStack() as stack:

        def serve(*workflows: Any) -> Engine:
            listed = workflows or (sell, big, broken, slow)
            return stack.enter_context(Engine(home, "shop", listed))

        yield serve


@pytest.fixture
def shop(serve: Callable[..., Engine]) -> Engine:
    return serve()


def start(office: Engine, target: str, **more: Any) -> RunHandle[Any]:
    made = {"target": target, **more}
    return office.client.workflows.invoke("buy", input=made)


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def recorded(engine: Engine) -> list[str]:
    """Names of the steps that are completed, of all runs."""
    runs = engine.client.runs
    steps = [step for run in runs.list() for step in runs.steps(run.run_id)]
    return [step.name for step in steps if step.status == "completed"]


def serving(home: Path, *workflows: Any) -> Engine:
    return Engine(home, "office", workflows or [buy])


def test_the_child_runs_in_its_own_app_and_its_result_comes_back(shop, home):
    @workflow(app="office")
    async def main(ctx: Context) -> Receipt:
        made = reference("sell", app="shop", input=Order, output=Receipt)
        order = Order(name="tea", copies=3)
        return await ctx.invoke("buy", made, order, headers={"trace": "1"}, label="x")

    with serving(home, main) as office:
        handle = office.client.workflows.invoke("main")
        assert handle.result(30) == Receipt("tea", 21)
        child = shop.client.runs.get(handle.steps["buy"].child_run_id)
        assert (child.app, child.workflow, child.label) == ("shop", "sell", "x")
        assert (child.parent, child.parent_step) == (handle.run_id, "buy")
        assert (child.root_run_id, child.depth) == (handle.run_id, 1)
        log = [e for e in shop.client.runs.events(child.run_id) if e.type == "log"]
        line = f"for {handle.run_id} with {{'trace': '1'}} at depth 1"
        assert [event.data["message"] for event in log] == [line]


def test_children_in_other_apps_are_known_to_their_parent(shop, home):
    @workflow(app="office")
    async def here(ctx: Context) -> None: ...

    @workflow(app="office")
    async def main(ctx: Context) -> None:
        sell = reference("sell", app="shop")
        await ctx.invoke("one", sell, {"name": "tea"})
        await ctx.invoke("here", here)
        await ctx.start("two", sell, {"name": "milk"})
        await ctx.invoke("attached", sell, {"name": "jam"}, run_id="before")
        await ctx.try_invoke("refused", sell, {"nam": "jam"})
        await ctx.run("check", check)

    def check() -> None:
        if not calls[3:]:
            calls.append("checked")
            raise LookupError("not yet")

    shop.client.workflows.invoke("sell", input={"name": "jam"}, run_id="before")
    with serving(home, main, here) as office:
        handle = office.client.workflows.invoke("main", run_id="same")
        with pytest.raises(RunFailed, match="not yet"):
            handle.result(60)
        until(lambda: len(shop.client.runs.list(status="completed")) == 3)
        steps = {step.id: step.child_run_id for step in handle.steps}
        expected = (steps["one"], steps["here"], steps["two"])
        assert handle.run.children == expected
        mine = shop.client.runs.list(parent="same")
        assert [run.run_id for run in mine] == [steps["two"], steps["one"]]
        again = handle.rerun(from_step="check")
        again.result(60)
        assert again.run.children == ()


def test_a_child_is_known_while_nobody_serves_its_app(home, serve):
    serve().close()
    with serving(home) as office:
        handle = start(office, "sell", input={"name": "tea"})
        until(lambda: any(step.child_run_id for step in handle.steps))
        child = handle.steps["buy"].child_run_id
        assert handle.run.children == (child,)


def test_large_values_come_along(shop, office):
    value = start(office, "big").result(30)
    assert (value == np.arange(100_000)).all()


def test_a_failed_child_raises_and_is_not_tried_again(shop, office):
    with pytest.raises(RunFailed, match="LookupError: nothing left"):
        start(office, "broken").result(30)
    assert calls == [("broken",)]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            {"target": "sel"},
            "WorkflowNotFound",
            r"no workflow 'sel' in .*'sell'",
        ),
        (
            {"target": "sell", "app": "shopp"},
            "WorkflowNotFound",
            r"no app 'shopp'.*'shop'",
        ),
        ({"target": "sell", "input": {"nam": 1}}, "InvalidInput", r"'nam'"),
    ],
)
def test_what_cannot_be_invoked_is_told_at_once(shop, office, given, error, message):
    with pytest.raises(RunFailed, match=message) as caught:
        start(office, **given).result(30)
    assert caught.value.error.type == error
    assert calls == []


def test_an_input_of_the_wrong_type_is_refused_before_it_is_sent(shop, home):
    @workflow(app="office")
    async def main(ctx: Context) -> None:
        made = reference("sell", app="shop", input=Order)
        await ctx.invoke("buy", made, {"name": "tea", "copies": "many"})

    with serving(home, main) as office:
        handle = office.client.workflows.invoke("main")
        with pytest.raises(RunFailed, match=r"copies: Input should be a valid integer"):
            handle.result(30)
    assert shop.client.runs.list() == []


def test_an_app_that_nobody_serves_is_waited_for_visibly(serve, office):
    serve().close()
    handle = start(office, "sell", input={"name": "tea"})
    told = "nobody serves app 'shop'"
    until(lambda: any(told in line for line in handle.run.waiting))
    serve()
    assert handle.result(30) == Receipt("tea", 7)


def test_a_timeout_ends_the_wait_and_cancels_the_child(serve, office):
    serve().close()
    handle = start(office, "slow", timeout=0.3)
    with pytest.raises(RunFailed, match="its timeout"):
        handle.result(30)
    shop = serve()
    until(lambda: [run.status for run in shop.client.runs.list()] == ["canceled"])


def test_a_canceled_parent_cancels_its_child_unless_abandoned(shop, office):
    one = start(office, "slow")
    two = start(office, "slow", abandon=True)
    until(lambda: len(calls) == 2)
    one.cancel()
    two.cancel()
    statuses = lambda: sorted(run.status for run in shop.client.runs.list())  # noqa: E731
    until(lambda: statuses() == ["canceled", "running"])
    goes_on.set()
    until(lambda: statuses() == ["canceled", "completed"])


@pytest.mark.parametrize("who", ["parent", "child", "both"])
def test_either_side_may_crash_and_there_is_one_child(home, serve, who):
    shop = serve()
    office = serving(home).start()
    handle = start(office, "slow")
    # What was executed and is not recorded yet may be executed again.
    until(lambda: "count" in recorded(shop))
    if who in ("parent", "both"):
        nbflow.testing.crash(office)
    if who in ("child", "both"):
        nbflow.testing.crash(shop)
        shop = serve()
    if who in ("parent", "both"):
        office = serving(home).start()
    goes_on.set()
    try:
        assert office.client.runs.handle(handle.run_id).result(30) == "sold"
        assert len(shop.client.runs.list()) == 1
        assert calls.count(("slow",)) == 1
    finally:
        office.close()


def test_a_detached_child_can_be_awaited_later_also_after_a_restart(home, shop):
    @workflow(app="office")
    async def main(ctx: Context) -> list[Any]:
        started = await ctx.start("later", reference("slow", app="shop"))
        await ctx.run("let it", is_waiting.set)
        await ctx.run("wait", goes_on.wait, 60)
        return [started.run_id, await started]

    is_waiting = threading.Event()
    office = serving(home, main).start()
    handle = office.client.workflows.invoke("main")
    assert is_waiting.wait(30)
    nbflow.testing.crash(office)
    goes_on.set()
    with serving(home, main) as office:
        run_id, value = office.client.runs.handle(handle.run_id).result(30)
        assert value == "sold"
        assert [run.run_id for run in shop.client.runs.list()] == [run_id]


def test_the_same_run_id_is_attached_or_taken_or_a_conflict(shop, office):
    goes_on.set()
    for _ in range(2):
        done = start(office, "sell", input={"name": "tea"}, run_id="once").result(30)
        assert done == Receipt("tea", 7)
    assert calls == [("tea",)]
    with pytest.raises(RunFailed, match="another input") as caught:
        start(office, "sell", input={"name": "milk"}, run_id="once").result(30)
    assert caught.value.error.type == "RunIdConflict"


def test_a_resumed_parent_resumes_its_failed_child(home, serve):
    mended = []

    @workflow(app="shop")
    async def fragile(ctx: Context) -> str:
        await ctx.run("count", count, "first")
        await ctx.run("check", check, retries=0)
        return "sold"

    def check() -> None:
        if not mended:
            raise LookupError("not yet")

    serve(fragile)
    with serving(home) as office:
        handle = start(office, "fragile")
        with pytest.raises(RunFailed, match="not yet"):
            handle.result(30)
        mended.append(1)
        handle.resume()
        assert handle.result(30) == "sold"
        assert calls == [("first",)]
        assert handle.status is RunStatus.COMPLETED


def test_two_runs_may_wait_for_one_child(shop, office):
    one = start(office, "slow", run_id="shared")
    two = start(office, "slow", run_id="shared")
    until(lambda: calls)
    until(lambda: all(each.run.waiting for each in (one, two)))
    goes_on.set()
    assert [one.result(30), two.result(30)] == ["sold", "sold"]
    assert len(shop.client.runs.list()) == 1


def test_nobody_looks_any_more_once_the_caller_is_gone(shop, office):
    handle = start(office, "slow", abandon=True)
    until(lambda: calls)
    handle.cancel()
    core = office._host.core
    until(lambda: not core.apps.find("shop")._waits)
    goes_on.set()


def test_apps_that_invoke_each_other_for_ever_are_stopped(home):
    @workflow(app="office")
    async def ping(ctx: Context) -> None:
        await ctx.invoke("again", reference("pong", app="shop"))

    @workflow(app="shop")
    async def pong(ctx: Context) -> None:
        await ctx.invoke("again", reference("ping", app="office"))

    with Engine(home, "shop", [pong]), serving(home, ping) as office:
        handle = office.client.workflows.invoke("ping")
        with pytest.raises(RunFailed, match="at most 100 deep") as caught:
            handle.result(60)
    assert caught.value.error.type == "InvokeDepthExceeded"


def test_a_map_may_invoke_another_app(shop, home):
    @workflow(app="office")
    async def main(ctx: Context) -> list[int]:
        sell = reference("sell", app="shop", output=Receipt)
        orders = [{"name": "tea", "copies": n} for n in range(5)]
        return [each.total for each in await ctx.map("sell", sell, orders)]

    with serving(home, main) as office:
        made = office.client.workflows.invoke("main").result(30)
    assert made == [0, 7, 14, 21, 28]


@pytest.mark.parametrize("value", [7, None, "\ud800"])
def test_headers_that_are_no_text_are_refused(shop, office, value):
    with pytest.raises(RunFailed, match=r"headers map text|cannot be asked"):
        start(office, "sell", input={"name": "x"}, headers={"x": value}).result(30)


def test_what_json_cannot_hold_is_refused_at_once(shop, home):
    @workflow(app="office")
    async def main(ctx: Context) -> None:
        await ctx.invoke("buy", reference("sell", app="shop"), headers={"x": 1j})

    with serving(home, main) as office:
        handle = office.client.workflows.invoke("main")
        with pytest.raises(RunFailed, match="'sell' of app 'shop' cannot be asked"):
            handle.result(30)


def test_a_wrong_input_is_refused_also_for_a_run_that_exists(shop, office):
    start(office, "sell", input={"name": "tea"}, run_id="once").result(30)
    with pytest.raises(RunFailed, match="'nam'") as caught:
        start(office, "sell", input={"nam": 1}, run_id="once").result(30)
    assert caught.value.error.type == "InvalidInput"


@pytest.mark.parametrize("call", ["invoke", "start", "map"])
def test_a_wrong_input_is_refused_although_nobody_serves_the_app(home, serve, call):
    @workflow(app="office")
    async def main(ctx: Context) -> Any:
        sell = reference("sell", app="shop")
        if call == "map":
            return await ctx.map("buy", sell, [{"nam": "tea"}])
        return await getattr(ctx, call)("buy", sell, {"nam": "tea"})

    serve().close()
    with serving(home, main) as office:
        handle = office.client.workflows.invoke("main")
        with pytest.raises(RunFailed, match="'sell'.*'nam' is unknown") as caught:
            handle.result(60)
    assert ("InvalidInput" in str(caught.value)) or call == "map"
    assert serve().client.runs.list() == []


@pytest.mark.parametrize(
    ("input", "options", "message"),
    [
        ({"nam": 1}, {}, "'nam'"),
        ({"name": "milk"}, {"run_id": "once"}, "another input"),
    ],
)
def test_a_detached_child_that_is_refused_says_so_when_it_is_awaited(
    shop, home, input, options, message
):
    @workflow(app="office")
    async def main(ctx: Context) -> Any:
        sell = reference("sell", app="shop")
        await ctx.invoke("first", sell, {"name": "tea"}, run_id="once")
        return await (await ctx.start("later", sell, input, **options))

    with serving(home, main) as office:
        handle = office.client.workflows.invoke("main")
        with pytest.raises(RunFailed, match=message):
            handle.result(30)


class Line(BaseModel):
    colour: Colour
    name: str


class Bill(BaseModel):
    lines: list[Line]


def test_a_result_of_nested_types_is_made_from_what_the_other_process_has():
    stored = nbflow.Unresolved(
        "shop:Bill",
        {"lines": [nbflow.Unresolved("shop:Line", {"colour": "red", "name": "x"})]},
    )
    made = reference("bill", app="shop", output=Bill).result(stored)
    assert made == Bill(lines=[Line(colour=Colour.RED, name="x")])

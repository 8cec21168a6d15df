"""Trees of runs that reach over three apps: cancelled, timed out, failed, abandoned."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import nbflow
from nbflow import Context, Engine, RunFailed, RunHandle, reference, workflow

goes_on = threading.Event()
breaks_now = threading.Event()
ends: list[Any] = []


def wait() -> str:
    goes_on.wait(60)
    return "done"


@workflow(app="third")
async def leaf(ctx: Context) -> str:
    return await ctx.run("wait", wait)


@workflow(app="second", retries=0)
async def middle(ctx: Context, how: str = "invoke") -> str:
    child = reference("leaf", app="third")
    if how == "start":
        await ctx.start("leaf", child)
        return "started"
    return await ctx.invoke("leaf", child, abandon=how == "abandon")


@workflow(app="second")
async def fails(ctx: Context) -> None:
    raise KeyError("no such thing")


@workflow(app="second")
async def noted(ctx: Context, input: Any) -> None:
    ends.append(("second", input["workflow"], input["error"]["type"]))


@workflow(app="second", on_failure=noted, retries=0)
async def breaks(ctx: Context) -> None:
    await ctx.invoke("fails", fails)


@workflow(app="first")
async def top(ctx: Context, how: str = "invoke", **options: Any) -> Any:
    made = reference("middle", app="second")
    return await ctx.invoke("middle", made, {"how": how}, **options)


@workflow(app="first")
async def begins(ctx: Context) -> Any:
    return await (await ctx.start("middle", reference("middle", app="second")))


@workflow(app="first", timeout=1)
async def hurried(ctx: Context) -> Any:
    return await ctx.invoke("middle", reference("middle", app="second"))


@workflow(app="first", retries=0)
async def failing(ctx: Context) -> Any:
    """Fails while a branch of it waits for a child."""

    async def other() -> None:
        await ctx.run("other", breaks_now.wait, 60)
        raise ValueError("the other branch")

    child = ctx.invoke("middle", reference("middle", app="second"))
    await asyncio.gather(child, other())


@workflow(app="first")
async def noted_first(ctx: Context, input: Any) -> None:
    ends.append(("first", input["workflow"], input["error"]["type"], input["run_id"]))


@workflow(app="first", on_failure=noted_first)
async def asks(ctx: Context) -> Any:
    return await ctx.invoke("breaks", reference("breaks", app="second"))


SERVED: dict[str, list[Any]] = {
    "first": [top, begins, hurried, failing, asks, noted_first],
    "second": [middle, fails, breaks, noted],
    "third": [leaf],
}


class Home:
    """Three apps; each can be crashed and served again."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self._home = home
        self._stack = stack
        self.engines: dict[str, Engine] = {}
        for app in reversed(SERVED):
            self.serve(app)

    def serve(self, app: str) -> None:
        engine = Engine(self._home, app, SERVED[app])
        self.engines[app] = self._stack.enter_context(engine)

    def crash(self, app: str) -> None:
        nbflow.testing.crash(self.engines[app])

    def start(self, name: str, **given: Any) -> RunHandle[Any]:
        return self.engines["first"].client.workflows.invoke(name, input=given)

    def statuses(self) -> list[str]:
        """Those of all runs, from the top."""
        return [
            str(run.status)
            for app in SERVED
            for run in self.engines[app].client.runs.list()
        ]

    def come_to_rest(self) -> None:
        """Wait until the top has failed, and what there is below it is canceled."""
        until(
            lambda: (
                self.statuses()[0] == "failed"
                and set(self.statuses()[1:]) == {"canceled"}
            )
        )

    def come_to(self, *statuses: str) -> None:
        until(lambda: self.statuses() == list(statuses))


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


@pytest.fixture
def apps(home: Path) -> Iterator[Home]:
    goes_on.clear()
    breaks_now.clear()
    ends.clear()
    with ExitStack() as stack:
        yield Home(home, stack)
        goes_on.set()
        breaks_now.set()


def test_a_cancel_reaches_grandchildren_in_a_third_app(apps):
    handle = apps.start("top")
    apps.come_to("running", "running", "running")
    handle.cancel("enough")
    apps.come_to("canceled", "canceled", "canceled")
    (middle_run,) = apps.engines["second"].client.runs.list()
    assert "parent" in middle_run.cancel_reason


def test_a_timeout_of_the_step_takes_them_along(apps):
    with pytest.raises(RunFailed, match="InvokeTimedOut"):
        apps.start("top", timeout=1).result(60)
    apps.come_to_rest()


def test_a_parent_that_is_out_of_time_takes_them_along(apps):
    with pytest.raises(RunFailed, match="RunTimedOut"):
        apps.start("hurried").result(60)
    apps.come_to_rest()


def test_a_parent_that_fails_takes_them_along(apps):
    handle = apps.start("failing")
    apps.come_to("running", "running", "running")
    breaks_now.set()
    with pytest.raises(RunFailed, match="the other branch"):
        handle.result(60)
    apps.come_to("failed", "canceled", "canceled")


@pytest.mark.parametrize("who", ["first", "second", "third"])
def test_one_that_is_away_is_told_when_it_comes_back(apps, who):
    handle = apps.start("top")
    apps.come_to("running", "running", "running")
    if who == "first":
        handle.cancel()
        apps.crash("first")
        apps.serve("first")
    else:
        apps.crash(who)
        handle.cancel()
        until(lambda: str(handle.status) == "canceled")
        apps.serve(who)
    apps.come_to("canceled", "canceled", "canceled")


def test_what_was_abandoned_goes_on_and_so_does_what_is_below_it(apps):
    handle = apps.start("top", abandon=True)
    apps.come_to("running", "running", "running")
    handle.cancel()
    until(lambda: str(handle.status) == "canceled")
    goes_on.set()
    apps.come_to("canceled", "completed", "completed")


def test_an_abandoned_grandchild_goes_on_without_its_tree(apps):
    handle = apps.start("top", how="abandon")
    apps.come_to("running", "running", "running")
    handle.cancel()
    apps.come_to("canceled", "canceled", "running")
    goes_on.set()
    apps.come_to("canceled", "canceled", "completed")


def test_a_started_child_outlives_a_parent_that_completes_not_one_canceled(apps):
    handle = apps.start("top", how="start")
    assert handle.result(60) == "started"
    apps.come_to("completed", "completed", "running")
    handle = apps.start("begins")
    until(lambda: apps.statuses().count("running") == 4)
    handle.cancel()
    until(lambda: apps.statuses().count("canceled") == 3)
    goes_on.set()
    until(lambda: apps.statuses().count("completed") == 3)


def test_filters_cancel_trees_over_apps(apps):
    kept = apps.start("top", abandon=True)
    gone = [apps.start("top") for _ in range(2)]
    until(lambda: apps.statuses() == ["running"] * 9)
    runs = apps.engines["first"].client.runs
    assert runs.cancel(workflow="failing") == []
    assert runs.cancel(workflow="top", status="completed") == []
    canceled = runs.cancel(workflow="top", status="running")
    assert sorted(canceled) == sorted(each.run_id for each in [kept, *gone])
    until(lambda: apps.statuses().count("canceled") == 7)
    goes_on.set()
    until(lambda: apps.statuses().count("completed") == 2)
    assert {run.status for run in runs.list()} == {"canceled"}


def test_each_app_notes_the_failures_of_its_own_runs(apps):
    handle = apps.start("asks")
    with pytest.raises(RunFailed, match="KeyError: 'no such thing'"):
        handle.result(60)
    until(lambda: len(ends) == 2)
    assert sorted(ends) == [
        ("first", "asks", "KeyError", handle.run_id),
        ("second", "breaks", "KeyError"),
    ]

"""Workflows of every kind, each with what a user does with it: small, and complete.

A scenario is played on a `Bench`; `drive` may be called again after a crash, and does
then what a user would: invoke with the same run id, cancel once more, resume.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from nbflow import (
    Context,
    InvokedRunFailed,
    InvokeTimedOut,
    NonRetriableError,
    RunCanceled,
    RunFailed,
    RunHandle,
    RunNotFound,
    StepError,
    StepOutcomeUnknown,
    current,
    workflow,
)
from nbflow.client import Client

APP = "bench"
RUN = "main-run"
PATIENCE = 60.0
"""Real seconds after which a run that does not end is taken to hang."""


class Execution(NamedTuple):
    """One call of a step's function."""

    life: int
    run_id: str
    workflow: str
    step: str
    attempt: int


@dataclass
class World:
    """What is outside of the store, and outlives an engine."""

    life: int = 0
    executions: list[Execution] = field(default_factory=list)
    body_failures: int = 0
    is_repaired: bool = False
    reached: threading.Event = field(default_factory=threading.Event)


world = World()


def ran() -> None:
    context = current()
    assert context.step is not None
    world.executions.append(
        Execution(
            world.life,
            context.run_id,
            context.workflow,
            context.step.id,
            context.step.attempt,
        )
    )


async def wait_and_add(a: int, b: int, seconds: float = 0) -> int:
    ran()
    await asyncio.sleep(seconds)
    return a + b


async def double(a: int) -> int:
    ran()
    return 2 * a


def double_in_thread(a: int) -> int:
    """For steps that are alone: the order of threads is their own."""
    ran()
    return 2 * a


async def echo(value: Any) -> Any:
    ran()
    return value


async def fail_until(attempt: int) -> int:
    ran()
    context = current()
    assert context.step is not None
    if context.step.attempt < attempt:
        raise OSError(f"attempt {context.step.attempt}")
    return attempt


async def hang() -> None:
    ran()
    await asyncio.sleep(1)  # the start of this step is recorded by then
    world.reached.set()
    await asyncio.Event().wait()


@workflow(app=APP)
async def sequence(ctx: Context, text: str) -> list[Any]:
    """Async and sync steps, a large value, a large input and recorded randomness."""
    chance = ctx.random()
    one = await ctx.run("one", wait_and_add, 1, 2)
    two = await ctx.run("two", double_in_thread, one)
    large = await ctx.run("large", echo, text[:9_000])
    same = await ctx.run("same", echo, (chance, str(ctx.uuid())))
    ctx.log("nearly there")
    last = await ctx.run("last", wait_and_add, two, len(large), 0.5)
    return [one, two, same[0] == chance, last]


@workflow(app=APP)
async def parallel(ctx: Context) -> list[Any]:
    """Branches of equal ids that end in another order than they began."""
    order: list[int] = []

    async def branch(n: int) -> int:
        value = await ctx.run("first", wait_and_add, n, 1, 3 - n)
        order.append(n)
        return int(await ctx.run("second", wait_and_add, value, n, 0.1 * n))

    values = await asyncio.gather(*(branch(n) for n in range(3)))
    return [values, order]


@workflow(app=APP)
async def retrying(ctx: Context) -> list[Any]:
    """Failed attempts, a step that fails for good, and one that is too slow."""
    one = await ctx.run("one", fail_until, 3, retries=3, retry_delay="10s")
    try:
        await ctx.run("never", fail_until, 9, retries=1, retry_delay="1h")
    except StepError as error:
        never = (type(error.__cause__).__name__, error.attempts)
    try:
        await ctx.run(
            "slow", wait_and_add, 1, 1, 60, timeout=1, retries=1, retry_delay=2
        )
    except StepError as error:
        slow = error.attempts
    return [one, never[1], slow]


@workflow(app=APP)
async def child(ctx: Context, n: int) -> int:
    value = await ctx.run("add", wait_and_add, n, 1, 0.2)
    return int(await ctx.run("double", double, value))


@workflow(app=APP, retries=0)
async def bad_child(ctx: Context) -> None:
    await ctx.run("add", wait_and_add, 1, 1)
    raise NonRetriableError("no")


@workflow(app=APP)
async def slow_child(ctx: Context) -> None:
    await ctx.run("begin", double, 1)
    await ctx.sleep("long", "1d")


@workflow(app=APP)
async def family(ctx: Context) -> list[Any]:
    """Children of every kind."""
    one = await ctx.invoke("one", child, {"n": 1})
    later = await ctx.start("later", child, {"n": 10})
    many = await ctx.map("many", child, [2, 3, 4], limit=2)
    plain = await ctx.map("plain", double, [5, 6])
    outcome = await ctx.try_invoke("bad", bad_child)
    try:
        await ctx.invoke("bad again", bad_child)
    except InvokedRunFailed as error:
        assert error.error is not None
        name = error.error.type
    try:
        await ctx.invoke("slow", slow_child, timeout="1h")
    except InvokeTimedOut:
        name += " timed out"
    return [one, many, plain, outcome.is_failed, name, await later]


@workflow(app=APP)
async def sleeping(ctx: Context) -> int:
    async def nap(n: int) -> int:
        await ctx.sleep("nap", n * 3600)
        return int(await ctx.run("after", double, n))

    await ctx.sleep("first", "30m")
    values = await asyncio.gather(nap(3), nap(1), nap(2))
    return sum(values)


async def wait_for_ever() -> None:
    ran()
    await asyncio.Event().wait()


@workflow(app=APP)
async def endless(ctx: Context) -> None:
    await ctx.run("for ever", wait_for_ever)


@workflow(app=APP)
async def canceled(ctx: Context) -> None:
    await ctx.run("before", double, 1)
    await ctx.start("child", endless)
    await ctx.run("hang", hang)


@workflow(app=APP)
async def canceling(ctx: Context) -> None:
    await ctx.run("before", double, 1)
    ctx.cancel("enough")


@workflow(app=APP, retries=2, retry_delay="1m")
async def body_retried(ctx: Context) -> int:
    """A body that fails as often as it may."""
    value = await ctx.run("one", double, 1)
    if world.body_failures < 2:
        world.body_failures += 1
        raise OSError(f"failure {world.body_failures}")
    return int(await ctx.run("two", double, value))


@workflow(app=APP)
async def race(ctx: Context) -> int:
    """The first of two wins, the other is canceled."""

    async def runner(n: int) -> int:
        return int(await ctx.run("run", wait_and_add, n, 0, 1 + 3600 * n))

    tasks = [asyncio.create_task(runner(n)) for n in range(2)]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    winner = min(task.result() for task in done)
    try:
        async with asyncio.timeout(5):
            await ctx.run("too slow", wait_and_add, 0, 0, 60)
    except TimeoutError:
        winner += 10
    return int(await ctx.run("after", wait_and_add, winner, 100))


@workflow(app=APP)
async def janitor(ctx: Context, run_id: str, error: Any, **more: Any) -> str:
    return str(await ctx.run("clean", echo, run_id))


@workflow(app=APP, retries=0, on_failure=janitor)
async def failing(ctx: Context) -> None:
    await ctx.run("one", double, 1)
    raise ValueError("for good")


@workflow(app=APP, retries=0)
async def resumed(ctx: Context) -> int:
    one = await ctx.run("one", double, 1)
    if not world.is_repaired:
        raise ValueError("broken")
    return int(await ctx.run("two", double, one))


@workflow(app=APP)
async def once(ctx: Context) -> int:
    """A step that must not be called twice; 0 where it may have been cut off."""
    try:
        value = await ctx.run("charge", wait_and_add, 1, 1, 2, at_most_once=True)
    except StepOutcomeUnknown:
        return 0
    return int(await ctx.run("after", double, value))


WORKFLOWS = [
    sequence,
    parallel,
    retrying,
    child,
    bad_child,
    slow_child,
    family,
    sleeping,
    endless,
    canceled,
    canceling,
    body_retried,
    race,
    janitor,
    failing,
    resumed,
    once,
]


Living = Callable[[], Client]
"""A client of the engine; raises StoreError when that has crashed."""


def start(living: Living, name: str, **more: Any) -> RunHandle[Any]:
    """The run, invoked if it is not there yet."""
    try:
        return living().runs.handle(RUN)
    except RunNotFound:
        return living().workflows.invoke(name, run_id=RUN, **more)


def wait(living: Living, handle: RunHandle[Any]) -> Any:
    """The run's result; a handle of a former engine would wait for the next one."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return handle.result(timeout=0.5)
        except TimeoutError:
            living()
            if time.monotonic() > deadline:
                raise


def plain(name: str, **more: Any) -> Callable[[Living], Any]:
    return lambda living: wait(living, start(living, name, **more))


def drive_canceled(living: Living) -> Any:
    handle = start(living, "canceled")
    while handle.status == "running" and not world.reached.wait(0.01):
        living()
    living().runs.cancel(RUN, reason="by hand")
    with pytest.raises(RunCanceled, match="by hand"):
        wait(living, handle)
    return [str(run.status) for run in living().runs.list()]


def drive_canceling(living: Living) -> Any:
    with pytest.raises(RunCanceled, match="enough") as caught:
        wait(living, start(living, "canceling"))
    return type(caught.value).__name__


def drive_failing(living: Living) -> Any:
    with pytest.raises(RunFailed, match="for good"):
        wait(living, start(living, "failing"))
    (run,) = living().runs.list(workflow="janitor")
    return wait(living, living().runs.handle(run.run_id))


def drive_resumed(living: Living) -> Any:
    handle = start(living, "resumed")
    try:
        return wait(living, handle)
    except RunFailed:
        world.is_repaired = True
        return wait(living, living().runs.handle(RUN).resume())


SCENARIOS: dict[str, Callable[[Living], Any]] = {
    "sequence": plain("sequence", input={"text": "x" * 20_000}),
    "parallel": plain("parallel"),
    "retrying": plain("retrying"),
    "family": plain("family"),
    "sleeping": plain("sleeping"),
    "canceled": drive_canceled,
    "canceling": drive_canceling,
    "body_retried": plain("body_retried"),
    "race": plain("race"),
    "failing": drive_failing,
    "resumed": drive_resumed,
    "delayed": plain("child", input={"n": 4}, delay="2h"),
    "once": plain("once"),
}
EXPECTED: dict[str, Any] = {
    "sequence": [3, 6, True, 9_006],
    "parallel": [[1, 3, 5], [2, 1, 0]],
    "retrying": [3, 2, 2],
    "family": [4, [6, 8, 10], [10, 12], True, "NonRetriableError timed out", 22],
    "sleeping": 12,
    "canceled": ["canceled", "canceled"],
    "canceling": "RunCanceled",
    "body_retried": 4,
    "race": 110,
    "failing": RUN,
    "resumed": 4,
    "delayed": 10,
    "once": 4,
}

"""Lives of a run: its time-out, and the retries of its body."""

import asyncio
from datetime import datetime
from typing import Any

from nbflow._engine.ending import Ending
from nbflow.context import Context
from nbflow.model import RunStatus, step_label
from tests.engine.lab import Lab, define


def seconds(lab: Lab, began: datetime) -> float:
    return (lab.clock.now() - began).total_seconds()


def error_type(ending: Ending) -> str:
    assert ending.error is not None, ending
    return str(ending.error["type"]).rpartition(".")[2]


async def fails(ctx: Context) -> None:
    await ctx.run("one", int)
    raise OSError("again")


def test_a_run_is_timed_out_between_two_tries_of_its_body() -> None:
    lab = Lab(define(fails, retry_delay=100, timeout=30))
    began = lab.clock.now()
    ending = lab.run("fails")
    assert error_type(ending) == "RunTimedOut"
    assert seconds(lab, began) == 30
    lab.end()


def test_a_time_out_between_two_tries_survives_a_crash() -> None:
    lab = Lab(define(fails, retry_delay=100, timeout=30))
    began = lab.clock.now()
    run_id = lab.start("fails")
    lab.let(10)
    lab = lab.crash()
    assert lab.recover() == [run_id]
    assert error_type(lab.wait_for_end(run_id)) == "RunTimedOut"
    assert seconds(lab, began) < 32
    lab.end()


def test_a_retry_before_the_time_out_is_made() -> None:
    lab = Lab(define(fails, retries=2, retry_delay=10, timeout=30))
    began = lab.clock.now()
    assert error_type(lab.run("fails")) == "OSError"
    assert seconds(lab, began) == 20
    lab.end()


def test_a_time_out_between_two_tries_cancels_the_children_waited_for() -> None:
    async def child(ctx: Context) -> None:
        await ctx.sleep("long", "1d")

    async def parent(ctx: Context) -> None:
        await ctx.start("detached", "child")
        waiting = asyncio.create_task(invoke(ctx))
        await ctx.sleep("a moment", 1)
        assert not waiting.done()
        raise OSError("again")

    async def invoke(ctx: Context) -> None:
        await ctx.invoke("waited", "child")

    lab = Lab(child, define(parent, retry_delay=100, timeout=30))
    run_id = lab.start("parent")
    assert error_type(lab.wait_for_end(run_id)) == "RunTimedOut"
    row = lab.store.run(run_id)
    assert row is not None
    children = lab.store.children(row.n)
    states = {step_label(each.parent_step or ""): each.status for each in children}
    assert states == {
        "detached": RunStatus.RUNNING.value,
        "invoke~0/waited": RunStatus.CANCELED.value,
    }
    lab.end()


async def hangs(ctx: Context) -> str:
    await ctx.sleep("long", 40)
    await ctx.run("hangs", asyncio.sleep, 20)
    return "done"


def test_a_resumed_run_gets_its_time_anew() -> None:
    lab = Lab(define(hangs, timeout=30))
    run_id = lab.start("hangs")
    assert error_type(lab.wait_for_end(run_id)) == "RunTimedOut"
    lab.let(1_000)
    lab.resume(run_id)
    assert lab.wait_for_end(run_id).value == "done"
    lab.end()


def test_the_new_time_counts_from_the_resume_after_a_crash_too() -> None:
    async def never(ctx: Context) -> None:
        await asyncio.sleep(1e6)

    lab = Lab(define(never, timeout=30))
    run_id = lab.start("never")
    lab.wait_for_end(run_id)
    lab.let(1_000)
    lab.resume(run_id)
    began = lab.clock.now()
    lab.let(10)
    lab = lab.crash()
    lab.recover()
    ending = lab.wait_for_end(run_id)
    assert error_type(ending) == "RunTimedOut"
    assert ending.error is not None
    assert "counted from its last resume" in ending.error["message"]
    assert 30 <= seconds(lab, began) < 32
    lab.end()


def test_a_canceled_retry_does_not_enter_the_resumed_run() -> None:
    entered: list[Any] = []

    async def main(ctx: Context) -> None:
        entered.append(lab.clock.now())
        raise OSError("again")

    lab = Lab(define(main, retries=1, retry_delay=10))
    run_id = lab.start("main")
    lab.let(1)
    lab.core.cancel_run(run_id, None, "user")
    lab.let(3)
    lab.resume(run_id)
    lab.wait_for_end(run_id)
    began = entered[0]
    assert [round((at - began).total_seconds()) for at in entered] == [0, 4, 14]
    lab.end()

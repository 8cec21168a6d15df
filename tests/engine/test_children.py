"""Children of runs that end or come back."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from nbflow import Context, InvokeError
from nbflow.model import step_label
from tests.engine.lab import Lab, define


async def sleeper(ctx: Context) -> None:
    await ctx.sleep("long", "1d")


def statuses(lab: Lab, run_id: str) -> dict[str, str]:
    """The children's, by the id of the step that has made them."""
    row = lab.store.run(run_id)
    assert row is not None
    return {
        step_label(child.parent_step or "").rpartition("/")[2]: child.status
        for child in lab.store.children(row.n)
    }


@pytest.mark.parametrize("state", ["live", "backing off", "not taken up"])
def test_a_cancel_spares_abandoned_children_in_every_state(state: str) -> None:
    async def main(ctx: Context) -> None:
        async def call(id: str, abandon: bool) -> None:
            await ctx.invoke(id, "sleeper", abandon=abandon)

        calls = [
            asyncio.create_task(call("kept", True)),
            asyncio.create_task(call("lost", False)),
        ]
        await ctx.start("kept too", "sleeper", abandon=True)
        await ctx.start("lost too", "sleeper")
        if state == "backing off":
            raise OSError("again")
        await asyncio.gather(*calls)

    lab = Lab(define(main, retry_delay="1h"), sleeper)
    run_id = lab.start("main")
    lab.let(1)
    if state == "not taken up":
        lab = lab.crash()
    assert lab.core.cancel_run(run_id, None, "user")
    lab.core.commits.commit()
    assert statuses(lab, run_id) == {
        "kept": "running",
        "kept too": "running",
        "lost": "canceled",
        "lost too": "canceled",
    }
    lab.end()


def delete(lab: Lab, run_id: str) -> None:
    row = lab.store.run(run_id)
    assert row is not None
    lab.core.commits.batch.deletes.append(row.n)
    lab.core.commits.commit()


async def quick(ctx: Context) -> int:
    return 1


def test_waiting_for_a_deleted_child_names_the_run() -> None:
    async def main(ctx: Context) -> str:
        child = await ctx.start("kid", "quick")
        await ctx.sleep("a while", 10)
        delete(lab, child.run_id)
        try:
            await child
        except InvokeError as exc:
            return f"{child.run_id} {exc}"
        return "found"

    lab = Lab(main, quick)
    value = lab.run("main").value
    child, _, message = value.partition(" ")
    assert message.startswith(f"run {child!r} is not in app 'lab' any more")


@pytest.mark.parametrize("end", ["failed", "canceled"])
def test_a_resume_starts_another_child_where_the_old_one_was_deleted(end: str) -> None:
    calls: list[str] = []

    async def kid(ctx: Context) -> int:
        calls.append(ctx.run_id)
        if len(calls) > 1:
            return 7
        if end == "canceled":
            await ctx.sleep("long", "1d")
        raise ValueError("no luck")

    async def main(ctx: Context) -> Any:
        return await ctx.invoke("kid", "kid", retries=0)

    lab = Lab(main, kid)
    run_id = lab.start("main")
    if end == "canceled":
        lab.let(1)
        lab.core.cancel_run(run_id, None, "user")
    assert lab.wait_for_end(run_id).status == end
    lab.core.commits.commit()
    delete(lab, calls[0])
    lab.resume(run_id)
    assert lab.wait_for_end(run_id).value == 7
    assert len(set(calls)) == 2


def test_a_started_childs_value_has_its_class_after_a_restart() -> None:
    @dataclass
    class Local:
        n: int

    async def kid(ctx: Context) -> Local:
        return Local(7)

    async def main(ctx: Context) -> Any:
        child = await ctx.start("kid", "kid")
        await ctx.sleep("while it ends", 10)
        value = await child
        await ctx.sleep("more", 10)
        return [type(value) is Local, value.n]

    lab = Lab(main, kid)
    kid.__annotations__["return"] = Local
    run_id = lab.start("main")
    lab.let(15)
    lab = lab.crash()
    lab.recover()
    assert lab.wait_for_end(run_id).value == [True, 7]

"""Invoke, try_invoke and start within one app."""

import asyncio
from contextvars import ContextVar

import pytest

import nbflow
from nbflow import Context, workflow
from nbflow.testing import TestEngine

pytestmark = pytest.mark.anyio
tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


@workflow
async def double(ctx: Context, n: int) -> int:
    return await ctx.run("double", lambda: 2 * n)


@workflow
async def broken(ctx: Context) -> None:
    raise ValueError("no luck")


@workflow
async def sleeper(ctx: Context) -> str:
    await ctx.sleep("long", "30d")
    return "awake"


async def test_the_childs_result_is_the_value(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> int:
        return await ctx.invoke("kid", double, {"n": 4})

    handle = lab.start(main)
    assert await handle == 8
    child = lab.client.runs.get(handle.steps["kid"].child_run_id)
    assert child.parent == handle.run_id
    assert child.parent_step == "kid"
    assert child.depth == 1


async def test_a_child_sees_no_context_variable_of_its_parent(lab: TestEngine) -> None:
    @workflow
    async def kid(ctx: Context) -> str:
        return tenant.get()

    @workflow
    async def main(ctx: Context) -> list[str]:
        tenant.set("the parent's")
        started = await ctx.start("bg", kid)
        return [await ctx.invoke("kid", kid), await started, tenant.get()]

    assert await lab.run(main) == ["nobody", "nobody", "the parent's"]


async def test_a_name_stands_for_the_workflow(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> int:
        return await ctx.invoke("kid", "double", {"n": 4})

    lab.serve(double)
    assert await lab.run(main) == 8


async def test_an_unknown_name_is_refused_with_the_known_ones(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> None:
        await ctx.invoke("kid", "duoble", {"n": 4})

    lab.serve(double)
    with pytest.raises(nbflow.RunFailed, match="no workflow 'duoble'.*'double'"):
        await lab.run(main)


async def test_retries_do_not_compound(lab: TestEngine) -> None:
    calls = []

    @workflow(retries=2, retry_delay=0)
    async def d(ctx: Context) -> None:
        calls.append(1)
        raise OSError("d")

    @workflow(retries=2, retry_delay=0)
    async def c(ctx: Context) -> None:
        await ctx.invoke("d", d)

    @workflow(retries=2, retry_delay=0)
    async def b(ctx: Context) -> None:
        await ctx.invoke("c", c)

    @workflow(retries=2, retry_delay=0)
    async def a(ctx: Context) -> None:
        await ctx.invoke("b", b)

    with pytest.raises(nbflow.RunFailed, match="OSError: d"):
        await lab.run(a)
    assert len(calls) == 3


async def test_try_invoke_returns_every_end(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> list[tuple[bool, bool, bool, object]]:
        ends = [
            await ctx.try_invoke("ok", double, {"n": 1}),
            await ctx.try_invoke("bad", broken, retries=0),
            await ctx.try_invoke("late", sleeper, timeout="1h"),
            await ctx.try_invoke("input", double, {"n": "x"}),
        ]
        return [(e.is_failed, e.is_timed_out, e.is_canceled, e.body) for e in ends]

    assert await lab.run(main) == [
        (False, False, False, 2),
        (True, False, False, None),
        (False, True, False, None),
        (True, False, False, None),
    ]


async def test_a_timed_out_child_is_canceled(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> str | None:
        return (await ctx.try_invoke("late", sleeper, timeout="1h")).run_id

    child = await lab.run(main)
    assert lab.client.runs.get(child).status == "canceled"


async def test_an_abandoned_child_goes_on(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> str | None:
        end = await ctx.try_invoke("late", sleeper, timeout="1h", abandon=True)
        return end.run_id

    child = await lab.run(main)
    assert await lab.client.runs.handle(child) == "awake"


async def test_a_started_child_can_be_awaited_later(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> tuple[int, str]:
        started = await ctx.start("bg", double, {"n": 21})
        await ctx.sleep("meanwhile", "1h")
        return await started, started.run_id

    value, run_id = await lab.run(main)
    assert value == 42
    assert lab.client.runs.get(run_id).result == 42


async def test_a_cancelled_parent_cancels_its_tree(lab: TestEngine) -> None:
    @workflow
    async def middle(ctx: Context) -> str:
        return await ctx.invoke("deep", sleeper)

    @workflow
    async def main(ctx: Context) -> None:
        await ctx.start("bg", sleeper)
        await asyncio.gather(ctx.invoke("kid", middle), cancel_later(ctx))

    async def cancel_later(ctx: Context) -> None:
        await ctx.sleep("a while", "1h")
        ctx.cancel("enough")

    handle = lab.start(main)
    with pytest.raises(nbflow.RunCanceled, match="enough"):
        await handle
    statuses = {run.workflow: run.status for run in lab.client.runs.list()}
    assert set(statuses.values()) == {"canceled"}
    assert len(lab.client.runs.list()) == 4


async def test_depth_is_limited_to_a_hundred(lab: TestEngine) -> None:
    @workflow
    async def deeper(ctx: Context) -> None:
        await ctx.invoke("next", "deeper")

    with pytest.raises(nbflow.RunFailed, match="invokes nest at most 100 deep"):
        await lab.run(deeper)


async def test_a_run_id_that_exists_is_taken(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> list[int]:
        return [
            await ctx.invoke("one", double, {"n": 3}, run_id="three"),
            await ctx.invoke("two", double, {"n": 3}, run_id="three"),
        ]

    assert await lab.run(main) == [6, 6]
    assert len(lab.client.runs.list(workflow="double")) == 1


async def test_a_run_id_of_other_input_or_workflow_is_refused(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> list[str]:
        await ctx.invoke("one", double, {"n": 3}, run_id="three")
        messages = []
        for id, target, value in (("two", double, {"n": 4}), ("bad", broken, None)):
            try:
                await ctx.invoke(id, target, value, run_id="three")
            except nbflow.RunIdConflict as error:
                messages.append(str(error))
        return messages

    other_input, other_workflow = await lab.run(main)
    assert "started with another input" in other_input
    assert "belongs to a run of 'double'" in other_workflow


async def test_map_invokes_a_child_per_item(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> list[int]:
        return await ctx.map("kids", double, range(50), limit=7)

    assert await lab.run(main) == [2 * n for n in range(50)]


async def test_on_failure_is_a_run_of_its_own(lab: TestEngine) -> None:
    told = []

    @workflow
    async def tell(
        ctx: Context, run_id: str, workflow: str, error: dict[str, str], input: object
    ) -> None:
        told.append((run_id, workflow, error["message"], input))

    @workflow(on_failure=tell, retries=0)
    async def main(ctx: Context, n: int) -> None:
        raise OSError("lost")

    lab.serve(tell)
    handle = lab.start(main, 7)
    with pytest.raises(nbflow.RunFailed):
        await handle
    await lab.client.runs.handle(lab.client.runs.list(workflow="tell")[0].run_id)
    assert told == [(handle.run_id, "main", "lost", {"n": 7})]


def a_function(n: int) -> int:
    return n


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        (a_function, {}, r"A plain function is a step: ctx\.run\('kid', a_function"),
        (double, {"n": 4}, r"'n' is no option of an invoke"),
        (double, {"timout": 4}, r"did you mean 'timeout'\?"),
        (double, {"retry": 4}, r"did you mean 'retries' or 'retry_delay'\?"),
    ],
)
async def test_a_wrong_call_says_what_is_wrong(lab, target, options, message) -> None:
    @workflow
    async def main(ctx: Context) -> None:
        await ctx.invoke("kid", target, **options)

    with pytest.raises(nbflow.RunFailed, match=message):
        await lab.run(main)

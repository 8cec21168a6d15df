"""Steps are known by their branch, their id and a number, in every life and version."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar, copy_context
from typing import Any

import anyio
import pytest

from nbflow._engine.branches import BranchTask, current_branch
from nbflow._text import split_key
from nbflow.context import Context
from nbflow.model import RunStatus, step_label
from tests.engine.lab import Lab

Body = Callable[[Context], Awaitable[Any]]


async def work(value: Any = None) -> Any:
    return value


def keys(body: Body) -> list[str]:
    """The steps of a run, as users see them, in the order of their first events."""
    lab = Lab(body)
    run_id = lab.start(body)
    ending = lab.wait_for_end(run_id)
    assert ending.status is RunStatus.COMPLETED, ending.error
    steps = [event.step for event in lab.events(run_id) if event.step is not None]
    lab.end()
    return [step_label(step) for step in dict.fromkeys(steps)]


def test_the_body_is_the_branch_without_a_name() -> None:
    async def body(ctx: Context) -> None:
        await ctx.run(work)
        await ctx.run(work)
        await ctx.run("other", work)

    assert keys(body) == ["work", "work:1", "other"]


def test_a_task_is_named_by_its_function_and_its_number_in_its_parent() -> None:
    async def body(ctx: Context) -> None:
        async def fetch() -> None:
            await ctx.run(work)
            await asyncio.create_task(parse())

        async def parse() -> None:
            await ctx.run(work)

        await asyncio.create_task(fetch())
        await asyncio.create_task(fetch())
        await asyncio.create_task(parse())

    assert keys(body) == [
        "fetch~0/work",
        "fetch~0/parse~0/work",
        "fetch~1/work",
        "fetch~1/parse~0/work",
        "parse~0/work",
    ]


async def _gather(branches: list[Any]) -> None:
    await asyncio.gather(*branches)


async def _tasks(branches: list[Any]) -> None:
    for task in [asyncio.create_task(each) for each in branches]:
        await task


async def _task_group(branches: list[Any]) -> None:
    async with asyncio.TaskGroup() as group:
        for each in branches:
            group.create_task(each)


async def _as_completed(branches: list[Any]) -> None:
    for each in asyncio.as_completed(branches):
        await each


async def _wait(branches: list[Any]) -> None:
    await asyncio.wait([asyncio.ensure_future(each) for each in branches])


@pytest.mark.parametrize(
    "together", [_gather, _tasks, _task_group, _as_completed, _wait]
)
def test_every_way_of_starting_tasks_gives_the_same_names(
    together: Callable[[list[Any]], Awaitable[None]],
) -> None:
    async def body(ctx: Context) -> None:
        async def fetch(number: int) -> None:
            await asyncio.sleep(3 - number)  # they proceed in another order
            assert await ctx.run("s", work, number) == number

        await together([fetch(number) for number in range(3)])

    assert sorted(keys(body)) == ["fetch~0/s", "fetch~1/s", "fetch~2/s"]


def test_a_task_of_an_anyio_group_is_named_by_its_function() -> None:
    async def body(ctx: Context) -> None:
        async def fetch(number: int) -> None:
            await ctx.run("s", work, number)

        async def nest() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(fetch, 2)

        async with anyio.create_task_group() as group:
            for number in range(2):
                group.start_soon(fetch, number)
            group.start_soon(nest)

    assert sorted(keys(body)) == ["fetch~0/s", "fetch~1/s", "nest~0/fetch~0/s"]


def test_wait_for_makes_no_branch() -> None:
    async def body(ctx: Context) -> None:
        async def fetch() -> None:
            await ctx.run("s", work)

        await asyncio.wait_for(fetch(), 60)
        await asyncio.wait_for(ctx.run("s", work), 60)
        async with asyncio.timeout(60):
            await fetch()
        with anyio.fail_after(60):
            await fetch()

    assert keys(body) == ["s", "s:1", "s:2", "s:3"]


def test_a_shielded_coroutine_is_a_task_and_a_shielded_step_is_not() -> None:
    async def body(ctx: Context) -> None:
        async def fetch() -> None:
            await ctx.run("s", work)

        await asyncio.shield(fetch())
        await asyncio.shield(ctx.run("s", work))

    assert keys(body) == ["fetch~0/s", "s"]


def test_ids_are_numbered_when_steps_are_called() -> None:
    async def body(ctx: Context) -> None:
        first = ctx.run("s", work, 0)
        second = ctx.run("s", work, 1)
        assert await second == 1
        assert await first == 0

    assert keys(body) == ["s:1", "s"]


def test_another_kind_of_task_before_them_renames_nothing() -> None:
    async def fetch(ctx: Context) -> None:
        await ctx.run("s", work)

    async def report(ctx: Context) -> None:
        await ctx.run("s", work)

    async def before(ctx: Context) -> None:
        await asyncio.gather(fetch(ctx), fetch(ctx))

    async def after(ctx: Context) -> None:
        await asyncio.gather(report(ctx), fetch(ctx), fetch(ctx))

    assert set(keys(before)) < set(keys(after))


def test_tasks_of_a_step_are_its_own_affair() -> None:
    seen: list[Any] = []

    async def inner() -> None:
        seen.append(type(asyncio.current_task()))

    async def outer() -> None:
        await asyncio.gather(inner(), asyncio.create_task(inner()))

    async def fetch(ctx: Context) -> None:
        await ctx.run("s", work)

    async def body(ctx: Context) -> None:
        await ctx.run("outer", outer)
        await asyncio.create_task(fetch(ctx))

    assert keys(body) == ["outer", "fetch~0/s"]
    assert seen == [asyncio.Task, asyncio.Task]


def test_a_given_context_is_copied() -> None:
    variable: ContextVar[int] = ContextVar("variable", default=0)

    async def body(ctx: Context) -> None:
        async def fetch() -> None:
            assert variable.get() == 7
            await ctx.run("s", work)

        context = copy_context()
        context.run(variable.set, 7)
        here = context[current_branch]
        loop = asyncio.get_running_loop()
        await asyncio.gather(
            loop.create_task(fetch(), context=context),
            loop.create_task(fetch(), context=context),
        )
        assert context[current_branch] is here

    assert keys(body) == ["fetch~0/s", "fetch~1/s"]


# Groups


def test_a_group_is_a_branch_of_its_name() -> None:
    async def body(ctx: Context) -> None:
        await ctx.run("s", work)
        async with ctx.group("load"):
            await ctx.run("s", work)
            async with ctx.group("inner"):
                await ctx.run("s", work)
        async with ctx.group("load"):
            await ctx.run("s", work)
        await ctx.run("s", work)

    assert keys(body) == ["s", "load/s", "load/inner/s", "load:1/s", "s:1"]


def test_a_group_that_comes_first_in_a_task_names_it() -> None:
    async def body(ctx: Context) -> None:
        async def fetch(name: str) -> None:
            async with ctx.group(name):
                await ctx.run("s", work)
            await ctx.run("after", work)

        await asyncio.gather(fetch("one"), fetch("two"))

    assert sorted(keys(body)) == [
        "fetch~0/after",
        "fetch~1/after",
        "one/s",
        "two/s",
    ]


def test_a_later_group_is_inside_its_task() -> None:
    async def body(ctx: Context) -> None:
        async def fetch() -> None:
            await ctx.run("s", work)
            async with ctx.group("load"):
                await ctx.run("s", work)

        await asyncio.create_task(fetch())

    assert keys(body) == ["fetch~0/s", "fetch~0/load/s"]


def test_groups_name_branches_that_start_in_no_fixed_order() -> None:
    async def body(ctx: Context) -> None:
        async def fetch(number: int) -> None:
            async with ctx.group(f"page {number}"):
                assert await ctx.run("s", work, number) == number

        await asyncio.gather(*map(fetch, (3, 1, 2)))

    assert sorted(keys(body)) == ["page 1/s", "page 2/s", "page 3/s"]


def test_a_group_is_never_taken_for_a_task() -> None:
    async def fetch(ctx: Context) -> None:
        await ctx.run("s", work, "task")

    async def body(ctx: Context) -> None:
        async with ctx.group("fetch~0"):
            await ctx.run("s", work, "group")
        await asyncio.create_task(fetch(ctx))

    lab = Lab(body)
    run_id = lab.start(body)
    assert lab.wait_for_end(run_id).status is RunStatus.COMPLETED
    assert len(lab.outcomes(run_id)) == 2
    lab.end()


def test_a_key_is_split_into_branch_and_id() -> None:
    assert split_key("s") == ("", "s")
    assert split_key("fetch~0\x1fload\x1e1\x1fs\x1e2") == ("fetch~0\x1fload\x1e1", "s")


# What asyncio keeps in sets


def test_as_completed_starts_what_it_is_given_in_that_order() -> None:
    started: list[list[int]] = []

    async def body(ctx: Context) -> None:
        order: list[int] = []
        started.append(order)

        async def fetch(number: int) -> None:
            order.append(number)
            assert await ctx.run("s", work, number) == number

        calls: list[Any] = [fetch(number) for number in range(20)]
        calls[5:5] = [ctx.run("own", work), asyncio.create_task(fetch(20))]
        for each in asyncio.as_completed(calls):
            await each

    names = {f"fetch~{number}/s" for number in range(21)}
    assert set(keys(body)) == {"own", *names}
    assert started == [[20, *range(20)]]


@pytest.mark.parametrize("kind", [iter, set])
def test_as_completed_refuses_what_has_no_order(kind: Callable[[Any], Any]) -> None:
    async def body(ctx: Context) -> None:
        async def fetch(number: int) -> None:
            await ctx.run("s", work, number)

        calls = [fetch(number) for number in range(3)]
        try:
            for each in asyncio.as_completed(kind(calls)):
                await each
        finally:
            for call in calls:
                call.close()

    lab = Lab(body)
    ending = lab.run(body)
    lab.end()
    assert ending.error is not None
    assert ending.error["type"].endswith("NonDeterminismError")
    assert re.search("as_completed .* give it a list", ending.error["message"])


def test_sets_of_tasks_are_in_the_order_in_which_these_were_made() -> None:
    async def body(ctx: Context) -> list[list[str]]:
        async def fetch(number: int) -> int:
            return await ctx.run("s", work, number)

        tasks = [asyncio.create_task(fetch(number)) for number in range(200)]
        done, _ = await asyncio.wait(tasks)
        assert all(isinstance(each, BranchTask) for each in done)
        return [each.result() for each in done]

    lab = Lab(body)
    assert lab.run(body).value == list(range(200))
    lab.end()


def test_a_group_that_python_closes_changes_no_other_branch() -> None:
    async def body(ctx: Context) -> list[str]:
        async def wait_in_group() -> None:
            async with ctx.group("g"):
                await asyncio.Future()

        left = wait_in_group()
        copy_context().run(left.send, None)
        await ctx.run("before", work)
        async with ctx.group("other"):
            left.close()  # as the collector would, whoever's turn it is
            await ctx.run("inside", work)
        return []

    assert keys(body) == ["before", "other/inside"]


def test_ten_thousand_branches_have_different_places() -> None:
    async def body(ctx: Context) -> int:
        async def leaf() -> BranchTask:
            task = asyncio.current_task()
            assert isinstance(task, BranchTask)
            return task

        async def fetch() -> list[BranchTask]:
            return await asyncio.gather(leaf(), leaf())

        pairs = await asyncio.gather(*(fetch() for _ in range(5_000)))
        return len({hash(task) for pair in pairs for task in pair})

    lab = Lab(body)
    assert lab.run(body).value > 9_990
    lab.end()


def test_a_step_itself_can_be_made_a_task() -> None:
    async def body(ctx: Context) -> None:
        one = asyncio.create_task(ctx.run("s", work, 1))
        async with asyncio.TaskGroup() as group:
            two = group.create_task(ctx.run("s", work, 2))
        assert [await one, two.result()] == [1, 2]

    assert sorted(keys(body)) == ["s", "s:1"]

"""Generator steps show their items live and have all of them as their value."""

from collections.abc import AsyncIterator, Iterator

import pytest

import nbflow
from nbflow import Context, workflow
from nbflow.testing import TestEngine

pytestmark = pytest.mark.anyio


def count(n: int) -> Iterator[int]:
    yield from range(n)


async def acount(n: int) -> AsyncIterator[int]:
    for number in range(n):
        yield number


def words() -> Iterator[str]:
    yield from ("to", " be", " or not")


async def no_words() -> AsyncIterator[str]:
    for word in ():
        yield word


def as_usual(n: int) -> Iterator[int]:
    return (each * each for each in range(n))


@pytest.mark.parametrize("options", [{}, {"timeout": 60}])
@pytest.mark.parametrize(
    ("fn", "args", "value", "items"),
    [
        (count, (3,), [0, 1, 2], 3),
        (acount, (3,), [0, 1, 2], 3),
        (words, (), "to be or not", 3),
        (no_words, (), [], 0),
        (as_usual, (3,), [0, 1, 4], 3),
    ],
)
async def test_the_items_are_events_and_the_value_is_all_of_them(
    lab: TestEngine, fn, args, value, items, options
) -> None:
    @workflow
    async def main(ctx: Context) -> object:
        return await ctx.run("stream", fn, *args, **options)

    handle = lab.start(main)
    assert await handle == value
    data = [event for event in handle.events() if event.type == "data"]
    assert [(event.step, event.data["name"]) for event in data] == [
        ("stream", "item")
    ] * items
    assert handle["stream"] == value


async def test_a_generator_that_fails_is_tried_from_its_start(lab: TestEngine) -> None:
    tries = []

    def flaky() -> Iterator[int]:
        tries.append(1)
        yield 1
        if len(tries) == 1:
            raise OSError("cut off")
        yield 2

    @workflow
    async def main(ctx: Context) -> object:
        return await ctx.run(flaky)

    assert await lab.run(main) == [1, 2]
    assert tries == [1, 1]


async def test_an_endless_async_generator_is_ended_by_its_timeout(
    lab: TestEngine,
) -> None:
    import asyncio

    is_closed = []

    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                await asyncio.sleep(1)
                yield 1
        finally:
            is_closed.append(True)

    @workflow
    async def main(ctx: Context) -> object:
        return await ctx.run(endless, timeout=5, retries=0)

    with pytest.raises(nbflow.RunFailed, match="longer than its timeout of 5 s"):
        await lab.run(main)
    assert is_closed == [True]


@pytest.mark.parametrize("fn", [count, acount])
async def test_a_generator_runs_in_a_process_of_its_own_too(lab: TestEngine, fn):
    @workflow
    async def main(ctx: Context) -> object:
        return await ctx.run("stream", fn, 3, process=True)

    handle = lab.start(main)
    assert await handle == [0, 1, 2]
    data = [event for event in handle.events() if event.type == "data"]
    assert len(data) == 3


async def test_what_a_function_in_a_process_makes_is_run_to_its_end(lab: TestEngine):
    @workflow
    async def main(ctx: Context) -> object:
        return await ctx.run("stream", as_usual, 3, process=True)

    assert await lab.run(main) == [0, 1, 4]

"""What users test their workflows with."""

import asyncio

import pytest

import nbflow
from nbflow import Context, workflow
from nbflow.testing import TestEngine, inline

pytestmark = pytest.mark.anyio


def fetch(url: str) -> str:
    raise OSError(url)


@workflow
async def read(ctx: Context, url: str = "a") -> str:
    return await ctx.run(fetch, url, retries=0)


async def test_run_takes_workflows_only() -> None:
    async with TestEngine() as engine:
        with pytest.raises(TypeError, match="pass the workflow itself"):
            await engine.run("read")  # type: ignore[arg-type]


async def test_a_stub_that_no_step_takes_is_told() -> None:
    engine = await TestEngine().__aenter__()
    engine.stub("fetch", "page")
    engine.stub("fetsch", "page")
    assert await engine.run(read) == "page"
    with pytest.warns(UserWarning, match="stub of 'fetsch'"):
        await engine.__aexit__(None, None, None)


async def test_inline_steps_see_themselves() -> None:
    def key() -> tuple[str, str, int]:
        step = nbflow.current().step
        assert step is not None
        assert step.dir.is_dir()
        return step.id, step.key, step.attempt

    async def body(ctx: Context) -> tuple[tuple[str, str, int], ...]:
        assert ctx.step is None
        return await asyncio.gather(ctx.run("one", key), ctx.run(key))

    seen = await body(inline())
    assert list(seen) == [("one", "inline/one", 1), ("key", "inline/key", 1)]
    assert nbflow.current().step is None


@pytest.mark.anyio
async def test_a_stub_reaches_the_items_of_a_map(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> list[int]:
        return await ctx.map("fetch", lambda n: n, range(3))

    lab.stub("fetch", lambda n: 10 * n)
    lab.stub("fetch[2]", -1)
    assert await lab.run(main) == [0, 10, -1]

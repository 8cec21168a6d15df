"""Uses that must pass mypy --strict, with the types they must have."""

from typing import assert_type

import nbflow
from nbflow import Context, RunHandle, step, workflow


def length(text: str) -> int:
    return len(text)


async def fetch(url: str) -> bytes:
    return url.encode()


@step
def shout(text: str) -> str:
    return text.upper()


@workflow
async def main(ctx: Context, url: str, depth: int = 2) -> int:
    page = await ctx.run("fetch", fetch, url, retries=5, timeout="30s")
    assert_type(page, bytes)
    size = await ctx.run(length, url)
    assert_type(size, int)
    await ctx.sleep("nap", "1h")
    return size


def use() -> None:
    handle = main.invoke("http://x", depth=3)
    assert_type(handle, RunHandle[int])
    assert_type(handle.result(timeout=3), int)


@workflow(retries=5, timeout="1h")
def plain(ctx: Context, n: int) -> str:
    return str(n)


def engine() -> None:
    with nbflow.Engine(app="a", workflows=[main], durability="process") as engine:
        engine.client.runs.list(status="failed")

"""An engine in a process of its own, for the tests beside it: `… HOME`."""

import sys
from typing import Annotated

from pydantic import Field

from nbflow import Context, Engine, workflow


@workflow(retries=0)
async def nap(ctx: Context, seconds: float = 0.01) -> float:
    await ctx.sleep("pause", seconds)
    return seconds


@workflow(retries=0)
async def fail(ctx: Context, x: int) -> None:
    raise ValueError(f"no {x}")


@workflow(retries=0)
async def size(ctx: Context, data: bytes) -> int:
    return await ctx.run(len, data)


@workflow(retries=0)
async def even(ctx: Context, x: Annotated[int, Field(multiple_of=2)]) -> None: ...


if __name__ == "__main__":
    with Engine(sys.argv[1], "t", [nap, fail, size, even], "process"):
        print("ready", flush=True)
        sys.stdin.read()

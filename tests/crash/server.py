"""A real engine in a process of its own, driven over its input: `… HOME [LIMIT]`.

It starts one run of `long`, says `ready`, then obeys one word a line and answers each
with one line: `result` waits for the run, `invoke` starts another one, `limit N` lets
no file of this process grow beyond N bytes (0: beyond nothing), `paused` waits until
the engine says that it is, `state` says how the engine is. Errors are
answered as `Type: message`.
"""

import asyncio
import os
import resource
import sys
import time
from pathlib import Path

from nbflow import Context, Engine, current, workflow
from nbflow.client import Client, RunHandle

APP = "served"
RUN = "the-run"


def mark(folder: str, name: str) -> None:
    """Note one execution, and survive any fault of the disk: one byte is kept."""
    fd = os.open(Path(folder) / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, b"x")
    os.close(fd)


async def gated(folder: str) -> str:
    """Ends when the file `go` is there."""
    mark(folder, "gated")
    while not (Path(folder) / "go").exists():
        await asyncio.sleep(0.005)
    return "gone"


def fill(folder: str, n: int, size: int) -> str:
    mark(folder, f"fill-{n}")
    assert current().run_id == RUN
    return f"{n:04d}" * (size // 4)


@workflow(app=APP)
async def long(ctx: Context, folder: str, count: int, size: int) -> int:
    """A step that waits for a file, then many with large values."""
    await ctx.run("gated", gated, folder)
    values = [await ctx.run(f"fill-{n}", fill, folder, n, size) for n in range(count)]
    return sum(len(value) for value in values)


@workflow(app=APP)
async def short(ctx: Context) -> int:
    return await ctx.run("one", lambda: 1)


WORKFLOWS = [long, short]


def obey(word: str, client: Client, handle: RunHandle[int], engine: Engine) -> str:
    match word.split():
        case ["result"]:
            return str(handle.result(timeout=60))
        case ["invoke"]:
            return str(client.workflows.invoke("short").result(timeout=60))
        case ["state"]:
            assert engine._host is not None
            engine._host.check()
            return "running"
        case ["limit", size]:
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(size) or hard, hard))
            return "limited"
        case ["paused"]:
            assert engine._host is not None
            while engine._host.core.commits.paused is None:
                time.sleep(0.005)
            return str(engine._host.core.commits.paused)
    raise ValueError(word)


def main() -> None:
    home, folder, count, size = sys.argv[1:]
    with Engine(home, APP, WORKFLOWS) as engine:
        given = {"folder": folder, "count": int(count), "size": int(size)}
        invoke = engine.client.workflows.invoke
        handle = invoke("long", input=given, run_id=RUN)
        print("ready", flush=True)
        for line in sys.stdin:
            try:
                answer = obey(line.strip(), engine.client, handle, engine)
            except Exception as error:
                answer = f"{type(error).__name__}: {error}"
            print(" ".join(answer.split()), flush=True)


if __name__ == "__main__":
    main()

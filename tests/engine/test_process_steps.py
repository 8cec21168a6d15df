"""Steps with `process=True`: values, errors, output, time-outs and deaths."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import nbflow
from nbflow import Context, RunFailed, workflow
from nbflow.testing import TestEngine

pytestmark = pytest.mark.anyio


def fit(n: int) -> dict[str, int]:
    print("fitting", n)
    nbflow.current().progress(1, 2)
    return {"pid": os.getpid(), "n": n}


def explode() -> None:
    raise ValueError("in the process")


def die(folder: str) -> str:
    path = os.path.join(folder, "died")
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "second try"


def hang() -> None:
    time.sleep(600)


def wait_for(file: str) -> int:
    while not os.path.exists(file):
        time.sleep(0.01)
    return 1


def stream(n: int) -> Iterator[int]:
    yield from range(n)


async def test_the_function_runs_in_a_process_of_its_own(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> dict[str, int]:
        return await ctx.run("fit", fit, 3, process=True)

    handle = lab.start(main)
    value = await handle
    assert value["n"] == 3
    assert value["pid"] != os.getpid()
    said = [event for event in handle.events() if event.step == "fit"]
    assert [e.data["message"] for e in said if e.type == "log"] == ["fitting 3"]
    assert [e.data["total"] for e in said if e.type == "progress"] == [2]


async def test_its_error_fails_the_step_with_the_users_frames(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> None:
        await ctx.run("explode", explode, process=True)

    with pytest.raises(RunFailed, match="ValueError: in the process") as caught:
        await lab.run(main)
    assert caught.value.error is not None
    assert "in explode" in (caught.value.error.traceback or "")


async def test_a_process_that_dies_is_tried_again(lab: TestEngine, tmp_path) -> None:
    @workflow
    async def main(ctx: Context) -> str:
        return await ctx.run("die", die, str(tmp_path), process=True)

    assert await lab.run(main) == "second try"


async def test_a_process_that_dies_for_good_is_a_step_error(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> str:
        try:
            await ctx.run("exit", os._exit, 3, process=True, retries=0)
        except nbflow.StepError as error:
            return str(error)
        return "never"

    assert "exit code 3" in await lab.run(main)


async def test_a_time_out_kills_the_process(home) -> None:
    @workflow(app="kills")
    async def main(ctx: Context) -> None:
        await ctx.run("hang", hang, process=True, timeout=0.5, retries=0)

    engine = nbflow.Engine(home, "kills", [main])
    with engine, pytest.raises(RunFailed, match=r"its timeout of 0\.5 s"):
        engine.client.workflows.invoke("main").result(30)


async def test_a_timeout_does_not_count_the_wait_for_a_process(
    lab: TestEngine, tmp_path: Path
) -> None:
    @workflow
    async def main(ctx: Context) -> list[int]:
        async def second() -> int:
            return await ctx.run("second", abs, -7, process=True, timeout="5s")

        first = ctx.run("first", wait_for, str(tmp_path / "go"), process=True)
        return await asyncio.gather(first, second())

    lab._engine._host.core.processes._limit = 1
    handle = lab.start(main)
    for event in handle.stream():
        if event.type == "step.started" and event.step.endswith("second"):
            break
    lab.clock.advance("1h")
    (tmp_path / "go").touch()
    assert await handle == [1, 7]
    assert [len(step.attempts) for step in handle.steps] == [1, 1]


async def test_a_process_is_not_even_asked_for_without_time(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> None:
        await ctx.run("fit", fit, 3, process=True, timeout=0, retries=0)

    with pytest.raises(RunFailed, match="its timeout of 0 s"):
        await lab.run(main)


async def test_a_generator_streams_from_its_process(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> list[int]:
        return await ctx.run("stream", stream, 3, process=True)

    handle = lab.start(main)
    assert await handle == [0, 1, 2]
    assert len([each for each in handle.events() if each.type == "data"]) == 3


async def test_a_stub_needs_no_process(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> int:
        return await ctx.run("fit", fit, 3, process=True)

    lab.stub("fit", [OSError("once"), 7])
    assert await lab.run(main) == 7

"""Reruns from a step."""

import asyncio
from typing import Any

import pytest

from nbflow import Context, StepOutcomeUnknown
from nbflow._engine import reruns
from nbflow.model import EventType
from tests.engine.lab import Lab


def rerun(lab: Lab, run_id: str, step: str, **more: Any) -> str:
    command = {"run_id": run_id, "from_step": step, **more}
    return reruns.rerun(lab.core, command)


class World:
    """What workflows do besides, shared by all lives."""

    is_stuck = False


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> type[World]:
    monkeypatch.setattr(World, "is_stuck", False)
    return World


async def stuck(value: Any) -> Any:
    while World.is_stuck:
        await asyncio.sleep(3600)
    return value


@pytest.mark.parametrize("size", [1, 100_000])
def test_the_input_of_a_reruns_step_outlives_a_crash(
    world: type[World], size: int
) -> None:
    async def main(ctx: Context) -> list[str]:
        first = await ctx.run("first", stuck, "a")
        second = await ctx.run("second", stuck, first)
        return [second, await ctx.run("third", stuck, second)]

    lab = Lab(main)
    run_id = lab.start("main")
    lab.wait_for_end(run_id)
    world.is_stuck = True
    text = "b" * size
    again = rerun(lab, run_id, "second", step_input=[text])
    lab.let(1)
    lab = lab.crash()
    world.is_stuck = False
    lab.recover()
    assert lab.wait_for_end(again).value == [text, text]


def test_a_rerun_that_is_canceled_and_resumed_keeps_the_input_of_its_step(
    world: type[World],
) -> None:
    async def main(ctx: Context) -> list[str]:
        first = await ctx.run("first", stuck, "a")
        if first == "b" and ctx.attempt == 1:
            world.is_stuck = True
        return [first, await ctx.run("second", stuck, first)]

    lab = Lab(main)
    run_id = lab.start("main")
    lab.wait_for_end(run_id)
    again = rerun(lab, run_id, "first", step_input=["b"])
    lab.let(1)
    lab.core.cancel_run(again, None, "user")
    lab = lab.crash()
    lab.resume(again)
    world.is_stuck = False
    assert lab.wait_for_end(again).value == ["b", "b"]


def test_a_rerun_gets_kept_outcomes_in_the_order_of_their_commits() -> None:
    delays = {"a": 0.1, "b": 0.05, "c": 0.05, "d": 0.4}

    async def work(name: str) -> str:
        await asyncio.sleep(delays[name])
        return name

    async def main(ctx: Context) -> list[str]:
        seen: list[str] = []

        async def left() -> None:
            seen.append(await ctx.run("a", work, "a"))
            seen.append(await ctx.run("b", work, "b"))

        async def right() -> None:
            seen.append(await ctx.run("c", work, "c"))
            seen.append(await ctx.run("d", work, "d"))

        await asyncio.gather(left(), right())
        await ctx.run("last", work, "a")
        return seen

    lab = Lab(main)
    run_id = lab.start("main")
    assert lab.wait_for_end(run_id).value == ["c", "a", "b", "d"]
    again = rerun(lab, run_id, "last")
    assert lab.wait_for_end(again).value == ["c", "a", "b", "d"]


def test_a_step_that_had_not_ended_is_new_to_a_rerun() -> None:
    async def work(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    async def main(ctx: Context) -> Any:
        async def pay() -> Any:
            try:
                return await ctx.run("pay", work, 0.5, at_most_once=True)
            except StepOutcomeUnknown:
                return "unknown"

        paying = asyncio.create_task(pay())
        await ctx.run("first", work, 0.1)
        await ctx.run("last", work, 0.0)
        return await paying

    lab = Lab(main)
    run_id = lab.start("main")
    assert lab.wait_for_end(run_id).value == 0.5
    again = rerun(lab, run_id, "last")
    assert lab.wait_for_end(again).value == 0.5
    started = EventType.STEP_STARTED.value
    assert lab.story(again).count(f"{started} pay~0/pay") == 1

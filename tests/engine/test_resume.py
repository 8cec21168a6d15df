"""Crash, retry, edit-and-resume, rerun."""

import asyncio
import threading

import pytest

import nbflow
from nbflow import Context, workflow
from nbflow.testing import TestEngine

pytestmark = pytest.mark.anyio


async def test_a_corrected_step_seven_of_twelve_resumes_there(lab: TestEngine) -> None:
    calls: list[int] = []

    def good(n: int) -> int:
        calls.append(n)
        return n

    def bad(n: int) -> int:
        raise ValueError(f"step {n} is wrong")

    async def body(ctx: Context) -> int:
        total = 0
        for n in range(1, 13):
            total += await ctx.run(f"s{n}", bad if n == 7 else good, n)
        return total

    first = workflow(name="twelve")(body)
    handle = lab.start(first)
    with pytest.raises(nbflow.RunFailed, match="step 7 is wrong"):
        await handle
    assert calls == [1, 2, 3, 4, 5, 6]

    async def corrected(ctx: Context) -> int:
        total = 0
        for n in range(1, 13):
            total += await ctx.run(f"s{n}", good, n)
        return total

    lab.serve(workflow(name="twelve")(corrected))
    plan = handle.resume(plan=True)
    assert list(plan.kept) == ["s1", "s2", "s3", "s4", "s5", "s6"]
    assert "s7" in plan.to_run
    assert await handle.resume() == 78
    assert calls == [*range(1, 7), *range(7, 13)]


async def test_a_crash_repeats_no_finished_step(lab: TestEngine) -> None:
    calls: list[str] = []
    is_waiting, goes_on = threading.Event(), threading.Event()

    def note(name: str) -> str:
        calls.append(name)
        return name

    def wait() -> None:
        calls.append("wait")
        is_waiting.set()
        goes_on.wait(60)

    @workflow
    async def main(ctx: Context) -> list[str]:
        before = await ctx.run("before", note, "before")
        await ctx.run(wait)
        return [before, await ctx.run("after", note, "after")]

    handle = lab.start(main)
    assert is_waiting.wait(60)
    lab.crash()
    goes_on.set()
    assert await lab.client.runs.handle(handle.run_id) == ["before", "after"]
    assert calls == ["before", "wait", "wait", "after"]
    assert lab.client.runs.get(handle.run_id).recoveries == 1


async def test_a_body_is_retried_with_its_steps_kept(lab: TestEngine) -> None:
    calls: list[int] = []

    @workflow
    async def main(ctx: Context) -> int:
        await ctx.run("count", lambda: calls.append(1))
        if ctx.attempt < 3:
            raise OSError("again")
        return ctx.attempt

    assert await lab.run(main) == 3
    assert len(calls) == 1


async def test_parallel_failures_keep_their_siblings(lab: TestEngine) -> None:
    calls: list[int] = []
    is_fixed = [False]

    def work(n: int) -> int:
        calls.append(n)
        if n == 3 and not is_fixed[0]:
            raise KeyError(n)
        return n

    @workflow
    async def main(ctx: Context) -> list[int]:
        return await ctx.map("w", work, range(6))

    handle = lab.start(main)
    with pytest.raises(nbflow.RunFailed, match="1 of 6 items"):
        await handle
    is_fixed[0] = True
    assert await handle.resume() == [0, 1, 2, 3, 4, 5]
    assert sorted(calls) == [0, 1, 2, 3, 3, 4, 5]


async def test_an_edited_list_keeps_the_values_of_equal_items(lab: TestEngine) -> None:
    calls: list[str] = []
    items = ["a", "b", "c", "d"]
    is_fixed = [False]

    def work(item: str) -> str:
        calls.append(item)
        return item.upper()

    def last() -> None:
        if not is_fixed[0]:
            raise KeyError("last")

    @workflow
    async def main(ctx: Context) -> list[str]:
        values = await ctx.map("w", work, list(items))
        await ctx.run(last)
        return values

    handle = lab.start(main)
    with pytest.raises(nbflow.RunFailed):
        await handle
    items[:] = ["a", "c", "d", "e"]
    is_fixed[0] = True
    assert await handle.resume() == ["A", "C", "D", "E"]
    assert (sorted(calls[:4]), calls[4:]) == (["a", "b", "c", "d"], ["e"])


async def test_other_arguments_in_the_same_code_are_an_error(lab: TestEngine) -> None:
    seen = []

    @workflow(retries=1, retry_delay=0)
    async def main(ctx: Context) -> None:
        seen.append(1)
        await ctx.run("s", str, len(seen))
        if len(seen) == 1:
            raise OSError("again")

    with pytest.raises(nbflow.RunFailed, match="recorded with the arguments 1.*with 2"):
        await lab.run(main)


async def test_clocks_and_random_numbers_are_recorded(lab: TestEngine) -> None:
    seen = []

    @workflow(retries=1, retry_delay="1h")
    async def main(ctx: Context) -> None:
        seen.append((ctx.now(), ctx.random(), ctx.uuid(), ctx.now()))
        await ctx.run("s", lambda: 1)
        if ctx.attempt == 1:
            raise OSError("again")

    await lab.run(main)
    assert seen[0] == seen[1]


async def test_a_loser_that_the_body_cancelled_stays_cancelled(lab: TestEngine) -> None:
    calls: list[str] = []

    async def racer(name: str, seconds: float) -> str:
        calls.append(name)
        await asyncio.sleep(seconds)
        return name

    @workflow(retries=1, retry_delay=0)
    async def main(ctx: Context) -> str:
        tasks = [
            asyncio.ensure_future(ctx.run("race", racer, "fast", 1)),
            asyncio.ensure_future(ctx.run("race", racer, "slow", 9)),
        ]
        done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await ctx.run("settle", lambda: 1)
        if ctx.attempt == 1:
            raise OSError("again")
        return done.pop().result()

    assert await lab.run(main) == "fast"
    assert calls == ["fast", "slow"]


async def test_rerun_from_a_step_keeps_what_came_before(lab: TestEngine) -> None:
    calls: list[tuple[str, int]] = []

    def note(name: str, n: int) -> int:
        calls.append((name, n))
        return n + 1

    @workflow
    async def main(ctx: Context) -> int:
        a = await ctx.run("a", note, "a", 1)
        b = await ctx.run("b", note, "b", a)
        return await ctx.run("c", note, "c", b)

    first = lab.start(main)
    assert await first == 4
    again = first.rerun(from_step="b", step_input=["b", 10])
    assert await again == 12
    assert calls == [("a", 1), ("b", 2), ("c", 3), ("b", 10), ("c", 11)]
    assert lab.client.runs.get(again.run_id).rerun_of == first.run_id
    with pytest.raises(nbflow.StepNotFound, match="'a', 'b', 'c'"):
        first.rerun(from_step="z")


async def test_resume_needs_a_run_that_failed_or_was_canceled(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> int:
        return 1

    handle = lab.start(main)
    await handle
    with pytest.raises(nbflow.RunFinished, match="use rerun"):
        handle.resume()


async def test_at_most_once_is_never_called_twice(lab: TestEngine) -> None:
    calls: list[int] = []

    async def pay() -> str:
        calls.append(1)
        await asyncio.sleep(3600)
        return "paid"

    @workflow
    async def main(ctx: Context) -> str:
        try:
            return await ctx.run(pay, at_most_once=True)
        except nbflow.StepOutcomeUnknown:
            return "unknown"

    handle = lab.start(main)
    for event in handle.stream():
        if event.type == "step.started":
            break
    lab.crash()
    assert await lab.client.runs.handle(handle.run_id) in ("unknown", "paid")
    assert len(calls) == 1


async def test_a_value_without_codec_is_stored_on_resume_without_executing(
    lab: TestEngine,
) -> None:
    class Thing:
        def __init__(self, n: int) -> None:
            self.n = n

    calls: list[int] = []

    def make() -> Thing:
        calls.append(1)
        return Thing(5)

    @workflow
    async def main(ctx: Context) -> int:
        return (await ctx.run(make)).n

    handle = lab.start(main)
    with pytest.raises(nbflow.RunFailed, match="Thing"):
        await handle
    nbflow.codecs.register(
        Thing, name="test.Thing", encode=lambda t: t.n, decode=lambda n: Thing(n)
    )
    assert await handle.resume() == 5
    assert len(calls) == 1


async def test_a_canceled_tree_is_resumed_with_its_children(lab: TestEngine) -> None:
    is_patient = [False]

    @workflow
    async def child(ctx: Context) -> str:
        await ctx.run("once", lambda: None)
        await ctx.sleep("long", "1s" if is_patient[0] else "30d")
        return "done"

    @workflow
    async def main(ctx: Context) -> str:
        async def give_up() -> None:
            await ctx.sleep("a while", "1h")
            if not is_patient[0]:
                ctx.cancel("too long")

        value, _ = await asyncio.gather(ctx.invoke("kid", child), give_up())
        return value

    lab.serve(child)
    handle = lab.start(main)
    with pytest.raises(nbflow.RunCanceled):
        await handle
    is_patient[0] = True
    assert await handle.resume() == "done"
    assert len(lab.client.runs.list(workflow="child")) == 1


@pytest.mark.parametrize("run_id", [None, "one"])
async def test_a_refreshed_invoke_has_a_new_child(
    lab: TestEngine, run_id: str | None
) -> None:
    rates = iter([7, 8])
    checks: list[object] = []

    @workflow
    async def rate(ctx: Context, day: str) -> int:
        return await ctx.run("ask", lambda: next(rates))

    @workflow
    async def main(ctx: Context) -> int:
        today = await ctx.invoke("rate", rate, {"day": "monday"}, run_id=run_id)
        await ctx.run("check", check)
        return today

    def check() -> None:
        checks.append(None)
        if len(checks) == 1:
            raise NotImplementedError("not yet")

    handle = lab.start(main)
    with pytest.raises(nbflow.RunFailed, match="not yet"):
        await handle
    first = handle.steps["rate"].child_run_id
    assert "rate" in handle.resume(plan=True, refresh="rate").to_run
    said = await handle.resume(refresh="rate"), handle.steps["rate"].child_run_id
    log = [event for event in handle.events() if event.type == "log"]
    if run_id is None:
        assert said == (8, lab.client.runs.list(workflow="rate")[0].run_id)
        assert said[1] != first
        assert not log
    else:  # a run id stands for one run, which is completed
        assert said == (7, "one")
        assert ["run_id='one'" in event.data["message"] for event in log] == [True]


async def test_a_refreshed_start_has_a_new_child_also_after_a_crash(
    lab: TestEngine,
) -> None:
    made: list[str] = []

    @workflow
    async def rate(ctx: Context) -> str:
        return ctx.run_id

    @workflow
    async def main(ctx: Context) -> list[str]:
        started = await ctx.start("rate", rate)
        made.append(started.run_id)
        value = await started
        await ctx.run("check", check)
        return [started.run_id, value]

    def check() -> None:
        if len(made) == 1:
            raise NotImplementedError("not yet")

    handle = lab.start(main)
    with pytest.raises(nbflow.RunFailed, match="not yet"):
        await handle
    handle.resume(refresh="rate")
    for event in handle.stream():
        if event.type == "step.completed" and event.data.get("kind") != "start":
            break
    lab.crash()
    value = await lab.client.runs.handle(handle.run_id)
    assert value == [made[-1], made[-1]]
    assert len(set(made)) == 2
    assert len(lab.client.runs.list(workflow="rate")) == 2

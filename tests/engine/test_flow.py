"""Flow control: limits across runs and workflows, over crashes, and who waits."""

import asyncio
import threading
from typing import Any, ClassVar

import pytest

import nbflow
from nbflow import Context, FlowControl, RunHandle, workflow
from nbflow._engine.clock import VirtualClock
from nbflow._engine.queues import read_queues
from nbflow.errors import InvokeRateLimited, RunSkipped
from nbflow.model import RunStatus
from nbflow.testing import TestEngine
from tests.engine.lab import Lab, define

pytestmark = pytest.mark.anyio


class World:
    """What steps do, and when."""

    def __init__(self, lab: TestEngine) -> None:
        self.lab = lab
        self.starts: list[tuple[Any, float]] = []
        self.running = 0
        self.most = 0
        self.began = lab.clock.now()

    async def work(self, name: Any, seconds: float = 10) -> Any:
        self.starts.append((name, self.now()))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.running -= 1
        return name

    def now(self) -> float:
        return round((self.lab.clock.now() - self.began).total_seconds(), 3)

    @property
    def times(self) -> list[float]:
        return [time for _, time in self.starts]

    @property
    def names(self) -> list[Any]:
        return [name for name, _ in self.starts]


def start_all(lab: TestEngine, target: Any, inputs: Any) -> list[RunHandle[Any]]:
    """Start runs in one commit: between two starts virtual time may pass."""
    lab.serve(target)
    return list(lab.client.workflows.invoke_many(target.name, inputs))


@pytest.fixture
def world(lab: TestEngine) -> World:
    return World(lab)


async def test_steps_of_all_runs_that_share_a_key_keep_its_parallelism(lab, world):
    api = FlowControl("api", parallelism=2)

    @workflow
    async def one(ctx: Context) -> None:
        await asyncio.gather(
            *(ctx.run("a", world.work, n, flow_control=api) for n in range(3))
        )

    @workflow
    async def two(ctx: Context) -> None:
        await ctx.map("b", world.work, ["x", "y", "z"], flow_control=api)

    @workflow
    async def both(ctx: Context) -> None:
        await asyncio.gather(ctx.invoke("one", one), ctx.invoke("two", two))

    await lab.run(both)
    assert world.most == 2
    assert world.times == [0, 0, 10, 10, 20, 20]
    assert world.names[:3] == [0, 1, 2]  # in order of arrival
    assert lab.client.flow_control.get("api").running == 0


async def test_a_window_holds_no_more_starts_than_the_rate(lab, world):
    slow = FlowControl("api", rate=2, period="1m")

    @workflow
    async def main(ctx: Context) -> None:
        await ctx.map("call", world.work, range(5), flow_control=slow)

    await lab.run(main)
    assert world.times == [0, 0, 60, 60, 120]


async def test_a_run_waits_visibly_for_its_key(lab, world):
    one_at_a_time = FlowControl("db", parallelism=1)

    @workflow(flow_control=one_at_a_time)
    async def main(ctx: Context, n: int) -> None:
        await ctx.run("query", hold, n)

    held = asyncio.Event()

    async def hold(n: int) -> None:
        world.starts.append((n, 0))
        if n == 0:
            loops.append(asyncio.get_running_loop())
            await held.wait()

    loops: list[asyncio.AbstractEventLoop] = []
    first, second = lab.start(main, 0), lab.start(main, 1)
    async for event in first.stream():
        if event.type == "step.started":
            break
    assert second.status is RunStatus.QUEUED
    key = lab.client.flow_control.get("db")
    assert (key.parallelism, key.running) == (1, 1)
    (waiter,) = key.waiting
    assert (waiter.run_id, waiter.step, waiter.place) == (second.run_id, None, 0)
    assert waiter.why == "1 of 1 are running"
    assert second.events()[0].data["flow_key"] == "db"
    line = "place 1 for flow key 'db': 1 of 1 are running"
    assert second.run.waiting == (line,) or second.run.waiting == [line]
    loops[0].call_soon_threadsafe(held.set)
    await first
    await second
    assert world.names == [0, 1]


async def test_the_body_before_its_first_step_is_counted_too(lab, world):
    @workflow(flow_control=FlowControl("cpu", parallelism=1))
    async def main(ctx: Context, n: int) -> None:
        await world.work(n)

    for handle in start_all(lab, main, [{"n": n} for n in range(3)]):
        await handle
    assert world.starts == [(0, 0), (1, 10), (2, 20)]


async def test_sleeping_waiting_and_invoking_hold_nothing(lab, world):
    only = FlowControl("one", parallelism=1)

    @workflow(flow_control=only)
    async def child(ctx: Context) -> None:
        await ctx.run("work", world.work, "child", 1)

    @workflow(flow_control=only)
    async def main(ctx: Context, n: int) -> None:
        await ctx.sleep("nap", 100)
        await ctx.invoke("child", child)

    for handle in start_all(lab, main, [{"n": n} for n in range(3)]):
        await handle
    assert world.times == [100, 101, 102]


async def test_a_step_that_backs_off_lets_others_start(lab, world):
    tried = []

    async def flaky(n: int) -> None:
        tried.append((n, world.now()))
        if n == 0 and len(tried) == 1:
            raise OSError("again")

    @workflow
    async def main(ctx: Context) -> None:
        await ctx.map(
            "call",
            flaky,
            [0, 1],
            flow_control=FlowControl("api", parallelism=1),
            retry_delay=50,
        )

    await lab.run(main)
    assert tried == [(0, 0), (1, 0), (0, 50)]


async def test_a_retry_after_holds_the_whole_key(lab, world):
    calls = []

    class Busy(Exception):
        class response:
            status_code = 429
            headers: ClassVar = {"Retry-After": "20"}

    async def call(n: int) -> int:
        calls.append((n, world.now()))
        if len(calls) == 1:
            raise Busy
        return n

    @workflow
    async def main(ctx: Context) -> None:
        limit = FlowControl("api", parallelism=1)
        await ctx.map("call", call, [0, 1, 2], flow_control=limit)

    handle = lab.start(main)
    await handle
    assert {time for _, time in calls[1:]} == {20}
    assert sorted(n for n, _ in calls) == [0, 0, 1, 2]


async def test_over_skip_skips_a_run_that_would_wait(lab, world):
    busy = FlowControl("job", parallelism=1, over="skip")

    @workflow(flow_control=busy)
    async def job(ctx: Context) -> str:
        await ctx.run("work", world.work, 1)
        return "done"

    @workflow
    async def parent(ctx: Context) -> list[Any]:
        outcomes = await asyncio.gather(*(ctx.try_invoke("job", job) for _ in range(2)))
        try:
            await asyncio.gather(*(ctx.invoke("again", job) for _ in range(2)))
        except InvokeRateLimited as error:
            return [each.is_skipped for each in outcomes] + [error.run_id is not None]
        return []

    assert await lab.run(parent) == [False, True, True]
    first, second = start_all(lab, job, [None, None])
    assert await first == "done"
    with pytest.raises(RunSkipped, match="1 of 1 are running"):
        await second
    assert second.status is RunStatus.SKIPPED
    assert "flow control 'job'" in (second.run.skip_reason or "")


async def test_the_key_may_be_made_from_the_input(lab, world):
    def tenant(input: dict[str, Any]) -> str:
        return f"tenant-{input['name']}"

    @workflow(flow_control=FlowControl(tenant, parallelism=1))
    async def main(ctx: Context, name: str) -> None:
        await ctx.run("work", world.work, name)

    for handle in start_all(lab, main, [{"name": name} for name in ("a", "a", "b")]):
        await handle
    assert sorted(world.starts) == [("a", 0), ("a", 10), ("b", 0)]
    names = [key.key for key in lab.client.flow_control.list()]
    assert names == ["tenant-a", "tenant-b"]


async def test_a_key_that_cannot_be_made_says_so(lab):
    @workflow(flow_control=FlowControl(lambda input: input["nmae"]))
    async def main(ctx: Context, name: str) -> None: ...

    with pytest.raises(nbflow.FlowKeyError, match="KeyError: 'nmae'"):
        await lab.run(main, "a")


async def test_a_step_beats_an_invoke_beats_a_workflow(lab, world):
    @workflow(flow_control=FlowControl("workflow", parallelism=1))
    async def child(ctx: Context) -> None:
        await ctx.run("own", world.work, 1, flow_control=FlowControl("step"))
        await ctx.run("given", world.work, 2)

    @workflow
    async def main(ctx: Context) -> None:
        await ctx.invoke("child", child, flow_control=FlowControl("invoke"))

    await lab.run(main)
    names = [key.key for key in lab.client.flow_control.list()]
    assert names == ["invoke", "step"]


async def test_set_holds_over_what_runs_ask_for_and_reset_takes_it_back(lab, world):
    control = lab.client.flow_control

    @workflow
    async def main(ctx: Context) -> None:
        limit = FlowControl("api", parallelism=3)
        await ctx.map("call", world.work, range(3), flow_control=limit)

    lab.serve(main)
    control.set("api", parallelism=1)
    assert control.get("api").pinned
    await lab.run(main)
    assert world.times == [0, 10, 20]
    control.reset("api")
    await lab.run(main)
    assert world.times[3:] == [30, 30, 30]


async def test_a_paused_key_starts_nothing_until_it_is_resumed(lab, world):
    control = lab.client.flow_control

    @workflow(flow_control=FlowControl("api"))
    async def main(ctx: Context) -> None:
        await ctx.run("work", world.work, 1)

    lab.serve(main)
    control.pause("api")
    handle = lab.start(main)
    async for event in handle.stream():
        if event.type == "run.queued":
            break
    (waiter,) = control.get("api").waiting
    assert waiter.why == "the key is paused"
    control.resume("api")
    await handle


async def test_who_waits_keeps_its_place_and_starts_still_count_after_a_crash(
    lab, world
):
    @workflow
    async def main(ctx: Context, n: int) -> None:
        limit = FlowControl("api", rate=1, period="1h")
        await ctx.run("call", world.work, n, flow_control=limit)

    lab.serve(main)
    control = lab.client.flow_control
    control.pause("api")
    handles = [lab.start(main, n) for n in range(4)]
    for handle in handles:
        async for event in handle.stream():
            if event.type == "step.queued":
                break
    order = [waiter.run_id for waiter in control.get("api").waiting]
    assert order == [handle.run_id for handle in handles]
    lab.crash()
    control = lab.client.flow_control
    assert [waiter.run_id for waiter in control.get("api").waiting] == order
    assert control.get("api").paused
    control.resume("api")
    for handle in handles:
        await lab.client.runs.handle(handle.run_id)
    assert world.names == [0, 1, 2, 3]
    gaps = [b - a for a, b in zip(world.times, world.times[1:], strict=False)]
    assert min(gaps) >= 3600


async def test_a_crash_gives_no_burst(lab, world):
    @workflow
    async def main(ctx: Context) -> None:
        limit = FlowControl("api", rate=2, period="1h")
        await ctx.map("call", world.work, range(6), flow_control=limit, retries=0)

    lab.serve(main)
    handle = lab.start(main)
    async for event in handle.stream():
        if event.type == "step.completed":
            break
    lab.crash()
    await lab.client.runs.handle(handle.run_id)
    times = sorted(world.times)
    for time in times:
        inside = [each for each in times if time <= each < time + 3600]
        assert len(inside) <= 2, times


async def test_a_canceled_run_leaves_its_place(lab, world):
    control = lab.client.flow_control

    @workflow(flow_control=FlowControl("api"))
    async def main(ctx: Context, n: int) -> None:
        await ctx.run("work", world.work, n)

    lab.serve(main)
    control.pause("api")
    first, second = lab.start(main, 1), lab.start(main, 2)
    lab.client.runs.cancel([first.run_id])
    assert [each.run_id for each in control.get("api").waiting] == [second.run_id]
    control.resume("api")
    await second
    assert world.names == [2]


async def test_without_limits_a_key_counts_and_holds_nobody(lab, world):
    @workflow(flow_control=FlowControl("api"))
    async def main(ctx: Context) -> None:
        await ctx.map("call", world.work, range(5))

    await lab.run(main)
    assert world.times == [0] * 5


async def test_a_step_may_opt_out(lab, world):
    @workflow(flow_control=FlowControl("api", parallelism=1))
    async def main(ctx: Context) -> None:
        free = (ctx.run("free", world.work, n, flow_control=None) for n in range(3))
        await asyncio.gather(*free)

    await lab.run(main)
    assert world.times == [0, 0, 0]


def test_rows_of_starts_that_count_no_more_are_deleted():
    async def main(ctx: Context) -> None:
        limit = FlowControl("api", rate=2, period=1)
        await ctx.map("call", nap, range(40), flow_control=limit)

    async def nap(_: int) -> None:
        await asyncio.sleep(0.1)

    lab = Lab(main)
    lab.run(main)
    assert len(lab.store.slots()) <= 4
    lab.end()


def test_a_start_before_a_second_crash_still_counts():
    starts = []

    async def main(ctx: Context) -> None:
        limit = FlowControl("api", rate=1, period="1h")
        await ctx.run("call", work, flow_control=limit)

    async def work() -> None:
        starts.append(lab.clock.now())
        await asyncio.sleep(60)

    lab = Lab(main)
    lab.start(main)
    for _ in range(2):
        lab.let(5)
        lab = lab.crash()
        lab.recover()
    lab.let(5)
    assert len(starts) == 1
    lab.end()


def shown(lab: Lab) -> dict[str, tuple[int, int]]:
    """How many run and wait, by key, as readers see it."""
    queues = read_queues(lab.store.flows(), lab.store.slots())
    return {
        key: (len(queue.running), len(queue.waiting)) for key, queue in queues.items()
    }


def test_a_first_step_that_a_crash_cut_off_is_counted_once():
    async def main(ctx: Context) -> None:
        await ctx.run("work", nap)

    async def nap() -> None:
        await asyncio.sleep(5)

    lab = Lab(define(main, flow_control=FlowControl("api", parallelism=1)))
    run_id = lab.start(main)
    for _ in range(3):
        lab.let(1)
        assert shown(lab) == {"api": (1, 0)}
        lab = lab.crash()
        lab.recover()
    lab.wait_for_end(run_id)
    assert lab.store.slots() == []
    lab.end()


def test_a_closed_engine_leaves_places_and_starts_nobody():
    started = []

    async def main(ctx: Context, n: int) -> None:
        limit = FlowControl("api", rate=3, period="1h", parallelism=1)
        await ctx.run("call", work, n, flow_control=limit)

    async def work(n: int) -> None:
        started.append(n)
        await asyncio.sleep(10)

    lab = Lab(main)
    runs = [lab.start(main, n=n) for n in range(3)]
    lab.let(1)
    rows = lab.store.slots()
    lab.loop.run_until_complete(lab.core.shutdown())
    assert lab.store.slots() == rows
    lab = Lab(main, store=lab.store.crash(), clock=VirtualClock(lab.clock.now()))
    lab.recover()
    for run_id in runs:
        lab.wait_for_end(run_id)
    assert started == [0, 0, 1, 2]
    lab.end()


def test_a_body_that_waits_for_its_next_try_keeps_its_timeout():
    async def main(ctx: Context) -> None:
        raise OSError("again")

    api = FlowControl("api")
    lab = Lab(define(main, flow_control=api, timeout=60, retry_delay=5))
    run_id = lab.start(main)
    lab.let(1)
    lab.core.flow.pause("api")
    error = lab.wait_for_end(run_id).error
    assert error is not None
    assert error["type"] == "RunTimedOut"
    assert shown(lab) == {"api": (0, 0)}
    lab.end()


@pytest.mark.parametrize("is_gone", [False, True])
def test_after_a_restart_the_order_of_arrival_holds_not_that_of_coming_back(is_gone):
    order = []
    one = FlowControl("api", parallelism=1)

    async def late(ctx: Context) -> None:
        await ctx.sleep("nap", 3)
        await ctx.run("call", work, "late", flow_control=one)

    async def early(ctx: Context) -> None:
        await ctx.sleep("nap", 1)
        await ctx.run("call", work, "early", flow_control=one)

    async def first(ctx: Context) -> None:
        await ctx.run("call", work, "first", flow_control=one)

    async def work(name: str) -> None:
        order.append(name)
        await asyncio.sleep(10)

    lab = Lab(late, early, first)
    runs = [lab.start(name) for name in ("late", "early", "first")]
    lab.let(5)
    lab = lab.crash(*([late, early] if is_gone else [late, early, first]))
    lab.recover()
    for run_id in runs[:2]:
        lab.wait_for_end(run_id)
    again = [] if is_gone else ["first"]
    assert order == ["first", *again, "early", "late"]
    lab.end()


@pytest.mark.parametrize("kind", ["step", "step with timeout", "body"])
def test_a_canceled_thread_keeps_its_slot_until_it_has_ended(kind):
    began, go_on = threading.Event(), threading.Event()
    running = []
    one = FlowControl("api", parallelism=1)

    def work(n: int) -> None:
        running.append(n)
        began.set()
        if n == 0:
            go_on.wait(60)
            running.remove(0)

    async def calls(ctx: Context, n: int) -> None:
        timeout = 60 if "timeout" in kind else None
        await ctx.run("work", work, n, flow_control=one, timeout=timeout)

    def computes(ctx: Context, n: int) -> None:
        work(n)

    body = define(computes, flow_control=one) if kind == "body" else define(calls)
    lab = Lab(body)
    first = lab.start(body.name, n=0)

    async def cancel() -> None:
        while not began.is_set():
            await asyncio.sleep(0)  # time stands still under the thread
        lab.core.cancel_run(first, None, "user")

    lab.beside(cancel())
    lab.wait_for_end(first)
    second = lab.start(body.name, n=1)
    lab.let(1)
    assert running == [0]

    async def ended() -> None:
        while running != [1]:
            await asyncio.sleep(0)  # nothing else holds virtual time

    lab.beside(ended())
    go_on.set()
    lab.wait_for_end(second)
    assert running == [1]
    assert lab.store.slots() == []
    lab.end()


async def test_the_start_of_a_deleted_run_still_counts_after_a_crash(lab, world):
    @workflow(flow_control=FlowControl("api", rate=1, period="1h"))
    async def main(ctx: Context) -> None:
        await ctx.run("call", world.work, 1)

    handle = lab.start(main)
    await handle
    lab.client.runs.delete(handle.run_id)
    lab.crash()
    await lab.run(main)
    assert world.times[1] - world.times[0] >= 3600

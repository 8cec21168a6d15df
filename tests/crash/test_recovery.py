"""What a crash costs a run: nothing but the attempt that it cut off."""

import asyncio
import os
from typing import Any

import pytest

from nbflow import Context, Engine, RunFailed, RunTimedOut, workflow
from nbflow._engine.clock import VirtualClock
from nbflow._store.memory import MemoryStore
from nbflow.client import RunHandle
from nbflow.testing import crash

APP = "recovery"
RUN = "the-run"
CRASHES = 8


class World:
    """What workflows do besides, shared by all lives."""

    failures = 0
    lives = 0
    is_free = False


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> type[World]:
    monkeypatch.setattr(World, "failures", 0)
    monkeypatch.setattr(World, "lives", 0)
    monkeypatch.setattr(World, "is_free", False)
    return World


async def hang() -> int:
    if not World.is_free:
        await asyncio.sleep(0.5)  # its start is recorded by then
        await asyncio.Event().wait()
    return 1


@workflow(app=APP, retries=2, retry_delay="1m")
async def failing_body(ctx: Context) -> int:
    value: int = await ctx.run("hang", hang)
    World.failures += 1
    if World.failures <= 2:
        raise OSError(f"failure {World.failures}")
    return value + ctx.attempt * 0


@workflow(app=APP)
async def sleeper(ctx: Context) -> str:
    await ctx.sleep("week", "1w")
    return "awake"


async def one_a_life(n: int) -> int:
    if n > World.lives:
        await asyncio.Event().wait()
    return n


@workflow(app=APP)
async def child(ctx: Context) -> int:
    return sum([await ctx.run(f"s{n}", one_a_life, n) for n in range(CRASHES)])


@workflow(app=APP)
async def stuck(ctx: Context) -> int:
    value: int = await ctx.run("hang", hang)
    return value


@workflow(app=APP)
async def parent(ctx: Context) -> int:
    return await ctx.invoke("child", child)


@workflow(app=APP, retries=0, timeout="1h")
async def limited(ctx: Context) -> int:
    value: int = await ctx.run("hang", hang)
    return value


@workflow(app=APP)
async def silent(ctx: Context) -> None:
    await asyncio.Event().wait()


WORKFLOWS = [failing_body, sleeper, child, parent, stuck, limited, silent]


class Lives:
    """Engines one after the other on one store; time stands still between `free`s."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.store = MemoryStore(now=self.clock.micros())
        self.engine: Engine
        self.open()

    def open(self) -> None:
        self.engine = Engine(
            app=APP, workflows=WORKFLOWS, clock=self.clock, store=self.store
        )
        self.engine.start()

    def end(self) -> None:
        crash(self.engine)
        self.store = self.store.crash()

    def crash(self) -> None:
        self.end()
        self.open()

    def start(self, name: str) -> RunHandle[Any]:
        return self.engine.client.workflows.invoke(name, run_id=RUN)

    def result(self) -> Any:
        return self.engine.client.runs.handle(RUN).result(timeout=60)


def completed(run: RunHandle[Any]) -> list[str]:
    return [step.id for step in run.steps if step.status == "completed"]


@pytest.fixture
def lives() -> Any:
    lives = Lives()
    yield lives
    lives.engine.close()


def test_a_life_that_was_cut_off_uses_up_no_try_of_the_body(lives, world):
    lives.start("failing_body")
    for _ in range(3):
        lives.crash()
    lives.end()
    world.is_free = True
    lives.open()

    assert lives.result() == 1
    assert world.failures == 3  # the two retries were all there


def test_a_crash_between_two_tries_of_the_body_gives_no_try_more(lives, world):
    world.is_free = True
    world.failures = -10
    lives.clock.busy()  # the retry is not due in this life
    handle = lives.start("failing_body")
    with pytest.raises(TimeoutError):
        handle.result(timeout=0.2)
    lives.crash()
    lives.clock.idle()

    with pytest.raises(RunFailed, match="failure -7"):
        lives.result()
    assert world.failures == -7


def test_a_run_that_sleeps_outlives_any_number_of_crashes(lives):
    lives.clock.busy()  # it does not become Monday in here
    lives.start("sleeper")
    for _ in range(CRASHES):
        lives.crash()
    lives.clock.idle()
    assert lives.result() == "awake"
    assert lives.engine.client.runs.get(RUN).recoveries == CRASHES


def test_a_parent_outlives_crashes_while_its_child_gets_on(lives, world, eventually):
    handle = lives.start("parent")
    eventually(lambda: handle.run.children)
    (child_id,) = handle.run.children
    for life in range(CRASHES):
        world.lives = life
        lives.crash()
        child = lives.engine.client.runs.handle(child_id)
        done = f"s{life}"  # later ones hang in this life
        eventually(lambda run=child, id=done: id in completed(run))
    world.lives = CRASHES
    lives.crash()
    assert lives.result() == sum(range(CRASHES))


def test_a_parent_fails_with_a_child_that_is_given_up(lives, world):
    world.lives = -1
    lives.start("parent")
    for _ in range(5):
        lives.crash()
    with pytest.raises(RunFailed, match="was cut off 5 times") as caught:
        lives.result()
    assert caught.value.error.type == "RecoveryLimit"


def test_a_run_that_brings_nothing_is_given_up_and_names_its_step(lives):
    handle = lives.start("stuck")
    for _ in range(5):
        with pytest.raises(TimeoutError):
            handle.result(timeout=0.1)
        lives.crash()
        handle = lives.engine.client.runs.handle(RUN)
    with pytest.raises(RunFailed, match="as far as recorded: 'hang'"):
        lives.result()
    assert lives.engine.client.runs.get(RUN).recoveries == 5


def test_a_body_without_a_step_is_given_up_as_well(lives):
    lives.start("silent")
    for _ in range(5):
        lives.crash()
    with pytest.raises(RunFailed, match="as far as recorded: none recorded"):
        lives.result()


def test_a_timeout_of_the_whole_run_counts_from_its_first_start(lives):
    handle = lives.start("limited")
    lives.clock.advance("50m")
    lives.crash()
    del handle
    started = lives.clock.now()

    with pytest.raises(RunTimedOut):
        lives.result()
    assert (lives.clock.now() - started).total_seconds() < 601


def test_a_commit_that_can_never_succeed_stops_the_engine(lives):
    lives.start("sleeper")
    host = lives.engine._host

    def spoil() -> None:
        host.core.commits.batch.deletes.append(object())

    with pytest.raises(Exception, match="a commit failed|store in memory"):
        host.call(spoil)
    with pytest.raises(Exception, match="a commit failed|store in memory"):
        host.call(lambda: None)
    lives.crash()
    assert lives.result() == "awake"


@pytest.mark.parametrize("reason", ["bad \ud800 text", 7, {"a": 1}])
def test_any_reason_can_be_given_for_a_cancel(lives, reason):
    lives.start("silent")
    lives.engine.client.runs.cancel(RUN, reason=reason)
    assert lives.engine.client.runs.get(RUN).status == "canceled"


def test_an_engine_that_cannot_start_says_why_and_leaves_the_app_free(home):
    (home / APP).mkdir(parents=True)
    os.chmod(home / APP, 0o700)
    with Engine(home, APP, WORKFLOWS) as engine:
        engine.client.workflows.invoke("silent", run_id=RUN)
    broken = Engine(home, APP, WORKFLOWS)
    broken._known = lambda: [object()]  # type: ignore[assignment,list-item]

    with pytest.raises(AttributeError):
        broken.start()

    with Engine(home, APP, WORKFLOWS) as engine:
        assert engine.client.runs.get(RUN).recoveries == 1

"""Outcomes reach a body in the order of their commits."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import pytest

from nbflow._engine.clock import VirtualClock
from nbflow._engine.gate import QUIET, Gate


class Outcome(NamedTuple):
    key: str
    tx: int


class Stage:
    """A gate, and tasks that note when an outcome reaches them."""

    def __init__(self, *recorded: tuple[str, int]) -> None:
        self.loop = asyncio.get_running_loop()
        self.gate = Gate(self.loop)
        self.gate.expect(Outcome(*each) for each in recorded)
        self.seen: list[Any] = []
        self.tasks: list[asyncio.Task[None]] = []

    def ask(self, *keys: str) -> None:
        for key in keys:
            self.go(self.wait_for(key))

    def go(self, code: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(code))

    async def wait_for(self, key: str, turns_before: int = 0, turns: int = 0) -> None:
        await self.turns(turns_before)
        await self.gate.ask(key, None)
        await self.turns(turns)
        self.seen.append(key)

    async def turns(self, number: int) -> None:
        for _ in range(number):
            await asyncio.sleep(0)

    def deliver(self, *keys: str) -> None:
        """What the engine does after a commit."""
        outcomes = []
        for key in keys:
            future = self.loop.create_future()
            self.go(self.note(key, future))
            outcomes.append((key, future, key))
        self.loop.call_soon(self.gate.deliver, outcomes)

    async def note(self, key: str, future: asyncio.Future[str]) -> None:
        assert await future == key
        self.seen.append(key)

    async def end(self) -> list[Any]:
        await asyncio.wait_for(asyncio.gather(*self.tasks), 60)
        return self.seen


def staged(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test on a loop of virtual time."""

    def run() -> None:
        loop = VirtualClock().new_loop()
        loop.run_until_complete(test())
        loop.close()

    run.__name__ = test.__name__
    return run


@staged
async def test_outcomes_come_in_commit_order_whoever_asks_first() -> None:
    stage = Stage(("a", 1), ("b", 2), ("c", 3))
    stage.ask("c", "b", "a")
    assert await stage.end() == ["a", "b", "c"]


@staged
async def test_those_of_one_commit_come_together_in_the_order_of_events() -> None:
    stage = Stage(("a", 1), ("b", 1), ("c", 1))
    stage.ask("c", "a")
    await stage.turns(30)
    assert stage.seen == []
    stage.ask("b")
    assert await stage.end() == ["a", "b", "c"]


@staged
async def test_the_last_to_ask_does_not_go_first() -> None:
    stage = Stage(("a", 1), ("b", 1))
    stage.ask("a")
    await stage.turns(3)
    future = stage.gate.ask("b", "value")
    assert not future.done()
    assert await future == "value"
    assert stage.seen == ["a"]


@staged
async def test_the_next_commit_waits_for_what_the_last_one_has_set_going() -> None:
    stage = Stage(("a", 1), ("b", 2))
    stage.go(stage.wait_for("a", turns=12))
    stage.ask("b")
    assert await stage.end() == ["a", "b"]


@staged
async def test_code_on_its_way_when_an_outcome_is_there_comes_first() -> None:
    stage = Stage(("a", 1))

    async def walk() -> None:
        await stage.turns(10)
        stage.seen.append("arrived")

    stage.ask("a")
    stage.go(walk())
    assert await stage.end() == ["arrived", "a"]


@staged
async def test_so_it_does_when_the_outcome_is_a_live_one() -> None:
    stage = Stage()

    async def walk() -> None:
        await stage.turns(10)
        stage.seen.append("arrived")

    stage.deliver("a")
    stage.go(walk())
    assert await stage.end() == ["arrived", "a"]


@staged
async def test_live_outcomes_come_behind_recorded_ones() -> None:
    stage = Stage(("a", 1), ("b", 2))
    stage.deliver("live")
    stage.go(stage.wait_for("b"))
    stage.go(stage.wait_for("a", turns_before=5))
    assert await stage.end() == ["a", "b", "live"]


@staged
async def test_a_live_outcome_in_a_quiet_loop_is_handed_over_at_once() -> None:
    stage = Stage()
    future = stage.loop.create_future()
    await asyncio.sleep(1)
    stage.loop.call_later(1, stage.gate.deliver, [("a", future, "value")])
    before = stage.loop.time()
    assert await future == "value"
    assert stage.loop.time() == pytest.approx(before + 1)


@staged
async def test_other_work_in_the_loop_holds_nothing_up_for_long() -> None:
    stage = Stage(("a", 1), ("b", 2))
    busy = asyncio.create_task(stage.turns(10_000))
    stage.ask("a", "b")
    assert await stage.end() == ["a", "b"]
    assert not busy.done()
    busy.cancel()


@staged
async def test_what_nobody_asks_for_is_passed_over_after_a_quiet_moment() -> None:
    stage = Stage(("gone", 1), ("a", 2), ("gone too", 2), ("b", 3))
    stage.ask("b", "a")
    before = stage.loop.time()
    assert await stage.end() == ["a", "b"]
    assert QUIET <= stage.loop.time() - before <= 3 * QUIET


@staged
async def test_what_was_passed_over_is_still_there_when_asked_for() -> None:
    stage = Stage(("late", 1), ("a", 2))
    stage.ask("a")
    assert await stage.end() == ["a"]
    assert await stage.gate.ask("late", "value") == "value"


@staged
async def test_nothing_is_passed_over_while_nobody_waits() -> None:
    stage = Stage(("a", 1), ("b", 2))
    await asyncio.sleep(60)
    stage.ask("b", "a")
    assert await stage.end() == ["a", "b"]


@staged
async def test_a_loop_that_was_blocked_is_not_quiet() -> None:
    """A slow disk or a long computation must not change the order."""
    stage = Stage(("a", 1), ("b", 2))

    async def block() -> None:
        await stage.turns(2)
        stage.loop.clock.advance(1)  # type: ignore[attr-defined]
        await stage.wait_for("a", turns_before=8)

    stage.ask("b")
    stage.go(block())
    assert await stage.end() == ["a", "b"]


@staged
async def test_an_outcome_that_is_not_wanted_any_more_holds_nothing_up() -> None:
    stage = Stage(("a", 1), ("b", 1), ("c", 2))
    stage.ask("a", "c")
    before = stage.loop.time()
    await stage.turns(5)
    stage.gate.took("b")
    assert await stage.end() == ["a", "c"]
    assert stage.loop.time() == before


@staged
async def test_a_cancelled_asker_leaves_the_others_their_order() -> None:
    stage = Stage(("a", 1), ("b", 2), ("c", 3))
    stage.ask("a", "b", "c")
    await asyncio.sleep(0)
    stage.tasks.pop(1).cancel()
    stage.gate.took("b")
    assert await stage.end() == ["a", "c"]


@staged
async def test_a_single_task_takes_its_outcomes_without_waiting() -> None:
    stage = Stage(("a", 1), ("b", 2))
    assert stage.gate.is_replaying
    stage.gate.took("a")
    stage.gate.took("b")
    assert not stage.gate.is_replaying


@staged
async def test_a_closed_gate_hands_nothing_over() -> None:
    stage = Stage(("a", 1), ("b", 2))
    future = stage.gate.ask("b", None)
    stage.gate.close()
    await asyncio.sleep(60)
    assert not future.done()
    assert not stage.gate.is_replaying


def test_ten_thousand_recorded_outcomes_are_handed_over_in_no_time() -> None:
    keys = [f"s{number}" for number in range(10_000)]

    async def main() -> list[Any]:
        stage = Stage(*((key, number) for number, key in enumerate(keys)))
        stage.ask(*reversed(keys))
        return await stage.end()

    loop = VirtualClock().new_loop()
    before = time.process_time()
    assert loop.run_until_complete(main()) == keys
    assert time.process_time() - before < 10
    loop.close()

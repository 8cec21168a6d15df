"""Lives that begin, wait and end: what the core does between commits."""

import asyncio
from contextlib import suppress

import pytest

from nbflow import Context
from nbflow._engine.creation import new_journal
from nbflow._engine.recovery import recover
from nbflow._engine.run import LiveRun
from nbflow.errors import InvalidOption
from nbflow.model import EventType, RunStatus
from tests.engine.lab import Lab, define


class World:
    """What workflows do besides, shared by all lives."""

    bodies = 0
    is_free = False


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> type[World]:
    monkeypatch.setattr(World, "bodies", 0)
    monkeypatch.setattr(World, "is_free", False)
    return World


async def hang() -> int:
    while not World.is_free:
        await asyncio.sleep(3600)
    return 1


async def kid(ctx: Context) -> int:
    value: int = await ctx.run("hang", hang)
    return value


async def parent(ctx: Context) -> int:
    value: int = await ctx.invoke("kid", "kid")
    return value


async def flaky(ctx: Context) -> int:
    World.bodies += 1
    if not World.is_free:
        raise OSError("again")
    return World.bodies


async def quick(ctx: Context) -> int:
    return 1


def later(lab: Lab, delay: float) -> str:
    """A run of `quick` that is to start after a delay."""
    journal = new_journal(lab.core.commits, lab.core.specs, lab.specs["quick"], {})
    lab.core.launch(journal, lab.clock.micros() + round(delay * 1e6))
    return journal.id


async def stubborn(ctx: Context) -> None:
    for _ in range(0 if World.is_free else 9):  # its cancellation takes 0.4 s
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)


# Rest and leaving


def test_the_engine_rests_while_bodies_wait_for_their_next_try() -> None:
    lab = Lab(define(flaky, retry_delay="1h"), quick)
    told: list[bool] = []
    lab.core.on_activity = told.append
    run_id = lab.start("flaky")
    lab.let(1)
    assert told == [True, False]
    lab.run("quick")
    assert told == [True, False] * 2
    World.is_free = True
    assert lab.wait_for_end(run_id).value == 2
    lab.let(1)
    assert told == [True, False] * 3


def test_an_engine_that_closes_enters_no_body() -> None:
    lab = Lab(stubborn, define(flaky, retry_delay="0.3s"), quick)
    lab.start("stubborn")
    retried = lab.start("flaky")
    lab.let(0.1)
    delayed = later(lab, 0.3)
    lab.loop.run_until_complete(lab.core.shutdown())
    assert World.bodies == 1
    assert lab.story(retried, "run.")[-1] == EventType.RUN_RETRYING
    assert lab.story(delayed, "run.") == [EventType.RUN_QUEUED]
    World.is_free = True
    lab = lab.crash()
    assert len(lab.recover()) == 3
    assert lab.wait_for_end(retried).value == 2
    assert lab.wait_for_end(delayed).value == 1


def test_a_run_that_is_asked_for_while_the_engine_closes_is_the_next_ones() -> None:
    lab = Lab(stubborn, quick)
    lab.start("stubborn")
    lab.let(0.1)
    late: list[str] = []
    lab.loop.call_later(0.3, lambda: late.append(lab.start("quick")))
    lab.loop.run_until_complete(lab.core.shutdown())
    assert EventType.RUN_COMPLETED not in lab.story(late[0], "run.")
    World.is_free = True
    lab = lab.crash()
    lab.recover()
    assert lab.wait_for_end(late[0]).value == 1


# After a commit


def test_a_callback_that_raises_costs_the_others_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lab = Lab(quick)

    def bad() -> None:
        raise OSError("unlink refused")

    lab.core.commits.after(bad)
    run_id = lab.start("quick")
    lab.core.commits.tickets[run_id] = [lambda ending: bad()]
    assert lab.wait_for_end(run_id).value == 1
    assert caplog.text.count("OSError: unlink refused; the engine goes on") == 2


# Being taken up


def test_a_parent_fails_when_it_takes_up_a_child_that_is_given_up() -> None:
    lab = Lab(parent, kid)
    run_id = lab.start("parent")
    lab.let(1)
    for _ in range(4):
        lab = lab.crash()
        lab.recover()
        lab.let(1)
    lab = lab.crash()
    row = lab.store.run(run_id)
    assert row is not None
    assert recover(lab.core, [row], "recovery") == [run_id]  # it takes up the child
    ending = lab.wait_for_end(run_id)
    assert ending.status is RunStatus.FAILED
    assert ending.error is not None
    assert ending.error["type"] == "RecoveryLimit"


def test_a_sleep_that_ends_while_the_engine_is_off_costs_no_recovery() -> None:
    async def nap(ctx: Context) -> str:
        await ctx.sleep("nap", "1d")
        return "awake"

    lab = Lab(nap)
    run_id = lab.start("nap")
    lab.let(1)
    for _ in range(7):
        lab = lab.crash()
        lab.recover()
        lab.let(1)
    lab.clock.advance("2d")
    lab = lab.crash()
    lab.recover()
    assert lab.wait_for_end(run_id).value == "awake"


def test_an_engine_that_is_closed_properly_costs_no_recovery() -> None:
    lab = Lab(parent, kid)
    run_id = lab.start("parent")
    lab.let(1)
    for _ in range(7):
        lab.loop.run_until_complete(lab.core.shutdown())
        lab = lab.crash()
        assert len(lab.recover()) == 2
        lab.let(1)
    World.is_free = True
    assert lab.wait_for_end(run_id).value == 1
    row = lab.store.run(run_id)
    assert row is not None
    assert row.recoveries == 7


def test_recoveries_between_two_tries_of_a_body_are_counted() -> None:
    spec = define(flaky, retry_delay="1h")
    lab = Lab(spec)
    run_id = lab.start("flaky")
    lab.let(1)
    for count in range(1, 15):
        lab = lab.crash()
        lab.recover()
        lab.let(1)
        row = lab.store.run(run_id)
        assert row is not None
        assert row.recoveries == count
    assert World.bodies == 1  # the next try is not due yet


def test_the_retry_of_a_canceled_life_does_not_enter_a_later_one() -> None:
    lab = Lab(define(flaky, retry_delay="1h"))
    run_id = lab.start("flaky")
    lab.let(1)
    assert lab.core.cancel_run(run_id, None, "user")
    lab.core.commits.commit()
    lab.let(1800)
    lab.resume(run_id)
    lab.let(1860)  # the first life's retry would be due by now
    assert World.bodies == 2
    World.is_free = True
    assert lab.wait_for_end(run_id).value == 3
    indices = [event.idx for event in lab.events(run_id)]
    assert indices == list(range(1, len(indices) + 1))


def test_a_run_that_cannot_be_entered_is_not_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = Lab(quick)
    monkeypatch.setattr(lab.core.specs, "default_policy", _refuse)
    with pytest.raises(InvalidOption):
        lab.start("quick")
    lab.core.commits.commit()
    assert lab.store.unfinished() == []


def test_a_run_that_cannot_be_entered_again_fails_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = Lab(parent, kid)
    run_id = lab.start("parent")
    lab.let(1)
    lab = lab.crash()
    (row, child) = lab.store.unfinished()
    recover(lab.core, [row], "recovery")
    lab.core.commits.commit()  # the parent is entered
    monkeypatch.setattr(lab.core.specs, "default_policy", _refuse)
    ending = lab.wait_for_end(run_id)
    assert ending.error is not None
    assert ending.error["message"] == "not today"
    assert EventType.RUN_FAILED.value in lab.story(child.id, "run.")


def _refuse(journal: object) -> LiveRun:
    raise InvalidOption("not today")

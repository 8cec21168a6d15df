"""The watch on the engine's loop, and what those hear who wait for a blocked one."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nbflow import Client, Context, Engine, workflow
from nbflow._engine import hosts
from nbflow._engine.watch import Watch
from nbflow._notices import told_to
from nbflow.errors import StoreError
from nbflow.widgets import acting

let_go = threading.Semaphore(0)


@workflow(app="blocked")
async def body(ctx: Context) -> None:
    let_go.acquire(timeout=60)


@workflow(app="blocked")
async def step(ctx: Context) -> None:
    await ctx.run("hog", hog)


@workflow(app="blocked")
async def task(ctx: Context) -> None:
    await asyncio.create_task(hog())


@workflow(app="blocked")
async def other(ctx: Context) -> int:
    return 1


async def hog() -> None:
    let_go.acquire(timeout=60)


@pytest.fixture
def client(home: Path) -> Iterator[Client]:
    with Engine(home, "blocked", [body, step, task, other], "process") as engine:
        yield engine.client


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def blocker() -> hosts.Blocker | None:
    (host,) = (each for each in hosts.opened() if each.app == "blocked")
    return host.blocker


@contextmanager
def released_when_told() -> Iterator[list[str]]:
    """What is told in the block; what blocks the engine ends with the first notice."""
    told: list[str] = []

    def hear(text: str) -> None:
        told.append(text)
        let_go.release()

    with told_to(hear):
        yield told


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("body", "the body of run b-1"),
        ("step", "step 'hog' of run b-1"),
        ("task", "a task (hog, line "),
    ],
)
def test_a_call_that_waits_is_told_what_blocks_the_engine(
    client: Client, name: str, what: str
) -> None:
    client.workflows.invoke("other", run_id="o-1", wait="result")
    handle = client.workflows.invoke(name, run_id="b-1")
    found = until(blocker)
    assert found.what.startswith(what)
    assert found.what.endswith("of run b-1")
    assert found.run_id == "b-1"
    with released_when_told() as told:
        client.runs.rerun("o-1")
    (text,) = told
    assert text.startswith(what)
    assert "an interrupt ends the wait" in text
    handle.result(60)
    assert blocker() is None


def test_a_wait_for_another_run_is_told_what_blocks_the_engine(client: Client) -> None:
    client.workflows.invoke("body", run_id="b-1")
    until(blocker)
    handle = other.invoke()
    with released_when_told() as told:
        assert handle.result(60) == 1
    (text,) = told
    assert text.startswith("the body of run b-1")
    assert f"run {handle.run_id} has to wait for it" in text


def test_a_button_gives_up_where_nobody_could_interrupt_it(client: Client) -> None:
    client.workflows.invoke("other", run_id="o-1", wait="result")
    client.workflows.invoke("body", run_id="b-1")
    until(blocker)
    answers: list[BaseException] = []

    def press() -> None:
        try:
            client.runs.rerun("o-1")
        except BaseException as error:
            answers.append(error)

    acting.start(press).join(60)
    (error,) = answers
    assert isinstance(error, StoreError)
    assert str(error).startswith("the body of run b-1 has held the engine for")
    assert "so nothing was done" in str(error)
    let_go.release()
    client.runs.handle("b-1").result(60)
    assert len(client.runs.list()) == 2  # nor is it done later


def test_reading_does_not_wait_for_an_engine_that_is_blocked(client: Client) -> None:
    client.workflows.invoke("body", run_id="b-1")
    found = until(blocker)
    until(lambda: time.monotonic() - found.since > hosts.PATIENCE)
    posted: Any = next(each for each in hosts.opened() if each.app == "blocked")
    assert [run.run_id for run in client.runs.list()] == ["b-1"]
    assert not posted._calls  # nothing that would be waited for
    let_go.release()


def watchers() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == "nbflow-watch"}


def test_a_watch_that_is_set_again_at_once_goes_on() -> None:
    loop = asyncio.new_event_loop()
    core: Any = SimpleNamespace(loop=loop, thread=threading.get_ident())
    others = watchers()
    watch = Watch(core)
    watch.set(True)
    [first] = watchers() - others
    time.sleep(0.05)  # it has come to its wait
    watch.set(False)
    watch.set(True)
    first.join(0.5)
    [last] = watchers() - others
    watch.set(False)
    last.join(60)
    assert not last.is_alive()
    loop.close()

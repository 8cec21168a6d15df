"""The engine's thread: calls from outside, and what the process shares."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

import nbflow
from nbflow import Context, Engine, workflow
from nbflow._engine.host import Host
from nbflow._store.memory import MemoryStore

FORMER = 0.004


class Point:
    def __init__(self, x: int) -> None:
        self.x = x


is_readable = True


def _read(data: list[int]) -> Point:
    if not is_readable:
        raise SystemExit("this codec cannot read")
    return Point(data[0])


nbflow.codecs.register(
    Point, name="tests.host.Point", encode=lambda point: [point.x], decode=_read
)


@workflow
async def make(ctx: Context) -> Point:
    return Point(1)


@pytest.fixture
def host() -> Iterator[Host]:
    with Engine(app="tests", workflows=[make], store=MemoryStore()) as engine:
        assert engine._host is not None
        yield engine._host


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


class LateFuture(Future[int]):
    """Is done just after the wait for it has timed out."""

    def result(self, timeout: float | None = None) -> int:
        if timeout is not None:
            self.set_result(5)
            raise TimeoutError
        return super().result()


def test_a_call_that_ends_as_the_wait_for_it_times_out_gives_its_value(
    host: Host,
) -> None:
    assert host._wait(LateFuture()) == 5


def test_a_time_out_that_the_call_raises_is_the_callers(host: Host) -> None:
    def fail() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        host.call(fail)


def test_a_codec_that_cannot_read_a_result_is_heard_of_by_who_waits(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = make.spec.inputs.validate_call((), {})
    first = host.invoke(make.spec, values)
    first.future().result(60)
    monkeypatch.setattr(sys.modules[__name__], "is_readable", False)
    ticket = host.follow(first.run_id)
    ticket.future().result(60)
    assert isinstance(ticket.error, SystemExit)


def test_a_posted_call_that_raises_is_logged_and_those_behind_it_are_made(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    is_held, goes_on, is_made = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        is_held.set()
        goes_on.wait(60)

    def fail() -> None:
        raise SystemExit("of a user's codec")

    with caplog.at_level(logging.ERROR, "nbflow"):
        host.post(hold)
        assert is_held.wait(60)
        host.post(fail)
        host.post(is_made.set)
        goes_on.set()
        assert is_made.wait(60)
    assert "a call raised SystemExit: of a user's codec" in caplog.text


def test_the_switch_interval_is_short_until_no_engine_is_active(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NBFLOW_SWITCH_INTERVAL", raising=False)
    before = sys.getswitchinterval()
    first, second = threading.Event(), threading.Event()
    is_entered = threading.Event()

    @workflow
    async def wait_first(ctx: Context) -> None:
        await ctx.run(first.wait, 60)

    @workflow
    async def wait_second(ctx: Context) -> None:
        is_entered.set()
        await ctx.run(second.wait, 60)

    def engine(served: object) -> Engine:
        return Engine(app="tests", workflows=[served], store=MemoryStore())

    sys.setswitchinterval(FORMER)
    try:
        with engine(wait_first) as one, engine(wait_second) as other:
            one_run = one.client.workflows.invoke("wait_first")
            until(lambda: sys.getswitchinterval() < FORMER)
            other_run = other.client.workflows.invoke("wait_second")
            assert is_entered.wait(60)
            first.set()
            one_run.result(60)
            assert one._host is not None
            one._host.call(lambda: None)  # it has come to rest now
            assert sys.getswitchinterval() < FORMER
            second.set()
            other_run.result(60)
            until(lambda: sys.getswitchinterval() == pytest.approx(FORMER))
    finally:
        sys.setswitchinterval(before)

"""How the monitor looks: a shop with runs of every kind, on virtual time."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import textual
from nbflow_tui import clock
from nbflow_tui.app import Monitor
from nbflow_tui.theme import DARK, LIGHT
from pydantic import BaseModel
from textual.pilot import Pilot

from nbflow import Client, Context, Engine, FlowControl, workflow
from nbflow.testing import VirtualClock
from nbflow.view import Look
from tests.tui.pictures import VERSION, looks_as
from tests.tui.stage import eventually, until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        not textual.__version__.startswith(VERSION),
        reason=f"pictures are of Textual {VERSION}",
    ),
]

# Where it is defined is shown with its errors.
FLOWS = """
async def convert(row):
    raise ValueError(f"row {row['id']}: 'n/a' is no amount")
"""
shop: dict[str, Any] = {}
exec(compile(FLOWS, "/srv/shop/flows.py", "exec"), shop)
released = threading.Event()


class Report(BaseModel):
    title: str
    rows: int
    parts: dict[str, list[int]] = {}


async def fetch(what: str, seconds: float = 1.5) -> dict[str, Any]:
    await asyncio.sleep(seconds)
    return {"id": 17, "what": what, "tags": {"a": {"b": {"c": [1, 2, 3]}}}}


class Flaky:
    """Fails the first times."""

    def __init__(self, failures: int) -> None:
        self.left = failures

    async def __call__(self) -> int:
        await asyncio.sleep(1)
        self.left -= 1
        if self.left >= 0:
            raise ConnectionError("host 10.0.0.7 refused the connection")
        return 42


@workflow(app="shop")
async def score(ctx: Context, n: int, failures: int = 2) -> int:
    await ctx.run("fetch", fetch, f"page {n}")
    found = await ctx.run(
        "ask host", Flaky(failures), retries=4, retry_delay=[2, 4, 60], retry_on=OSError
    )
    return int(found)


@workflow(app="shop")
async def nightly(ctx: Context, n: int = 6) -> Report:
    ctx.log("the night begins", rows=n)
    pages = await ctx.map("page", fetch, [f"p{i}" for i in range(n)], limit=2)
    async with ctx.group("scores"):
        await ctx.invoke("first", score, {"n": 1}, run_id="score-1")
        await ctx.invoke("second", score, {"n": 2, "failures": 0}, run_id="score-2")
    ctx.log("one page was late", level="warning")
    return Report(title="nightly", rows=len(pages), parts={"sold": [1, 2, 3]})


@workflow(app="shop")
async def orders(ctx: Context, day: str) -> None:
    row = await ctx.run("read", fetch, day)
    await ctx.run("convert", shop["convert"], row, retries=2, retry_delay=[1, 3])


@workflow(app="shop")
async def refund(ctx: Context, order: int) -> bool | None:
    return await ctx.ask("approve", f"Refund order {order} of EUR 49.90?", bool)


@workflow(app="shop")
async def digest(ctx: Context) -> None:
    await ctx.run("collect", fetch, "mail", 0)
    await ctx.sleep("until morning", "8h")


@workflow(app="shop")
async def call(ctx: Context, n: int) -> None:
    limit = FlowControl("llm", parallelism=1, rate=10)
    await ctx.run("complete", hold, flow_control=limit)


def hold() -> None:
    released.wait()


WORKFLOWS = [score, nightly, orders, refund, digest, call]


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def town(
    utc: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    """A home in which all happens at its time, and then nothing more."""
    monkeypatch.setenv("HOME", str(tmp_path))
    virtual = VirtualClock()
    monkeypatch.setattr(clock, "now", virtual.now)
    released.clear()
    home = tmp_path / "shop" / ".nbflow"
    engine = Engine(home, "shop", WORKFLOWS, "process", clock=virtual)
    with engine as open_engine:
        client = open_engine.client
        try:
            _live(client, virtual)
            yield Client(home, "shop")
        finally:
            released.set()


def _live(client: Client, virtual: VirtualClock) -> None:
    """A day of the shop."""

    def start(name: str, run_id: str, **input: Any) -> Any:
        return client.workflows.invoke(name, input=input or None, run_id=run_id)

    start("nightly", "night-1").result()
    virtual.advance("2h")
    with pytest.raises(Exception, match="is no amount"):
        start("orders", "orders-1", day="2026-01-01").result()
    virtual.advance("20s")
    refunding = start("refund", "refund-17", order=17)
    eventually(lambda: bool(refunding.run.waiting))
    virtual.advance("5m")
    # While a thread of the engine works, time stands still.
    start("call", "call-1", n=1)
    steps = client.runs.steps
    eventually(lambda: [each.status for each in steps("call-1")] == ["running"])
    second = start("call", "call-2", n=2)
    sleeping = start("digest", "digest-1")
    eventually(lambda: bool(second.run.waiting and sleeping.run.waiting))
    virtual.advance("75s")


@contextlib.asynccontextmanager
async def shown(
    home: Path, size: tuple[int, int], run: str | None = None, **options: Any
) -> AsyncIterator[Pilot[Any]]:
    key = None if run is None else ("shop", run)
    monitor = Monitor(home, fps=50, run=key, **options)
    async with monitor.run_test(size=size) as pilot:
        await until(pilot, lambda: monitor._latest is not None)
        yield pilot


@pytest.mark.parametrize(
    ("name", "size", "theme"),
    [
        ("runs-80-dark", (80, 24), DARK),
        ("runs-120-dark", (120, 30), DARK),
        ("runs-120-light", (120, 30), LIGHT),
        ("runs-200-dark", (200, 40), DARK),
    ],
)
async def test_runs(
    town: Client, tmp_path: Path, name: str, size: tuple[int, int], theme: Any
) -> None:
    assert town.home is not None
    async with shown(town.home, size, theme=theme.name) as pilot:
        await looks_as(pilot, name, tmp_path)


async def test_runs_in_ascii(town: Client, tmp_path: Path) -> None:
    assert town.home is not None
    async with shown(town.home, (100, 20), look=Look(False, False)) as pilot:
        await looks_as(pilot, "runs-100-ascii", tmp_path)


@pytest.mark.parametrize(
    ("name", "size", "theme"),
    [("nested-80-light", (80, 30), LIGHT), ("nested-160-dark", (160, 30), DARK)],
)
async def test_a_nested_run_with_retries(
    town: Client, tmp_path: Path, name: str, size: tuple[int, int], theme: Any
) -> None:
    assert town.home is not None
    async with shown(town.home, size, "night-1", theme=theme.name) as pilot:
        timeline = pilot.app.main.timeline  # type: ignore[attr-defined]
        await until(pilot, lambda: len(timeline.items) == 4)
        await pilot.press("down", "down", "right")
        await until(pilot, lambda: len(timeline.items) == 6)
        await pilot.press("down", "down", "right")
        await until(pilot, lambda: len(timeline.items) > 8)
        await looks_as(pilot, name, tmp_path)


async def test_an_error(town: Client, tmp_path: Path) -> None:
    assert town.home is not None
    async with shown(town.home, (100, 30), "orders-1") as pilot:
        timeline = pilot.app.main.timeline  # type: ignore[attr-defined]
        await until(pilot, lambda: len(timeline.items) == 2)
        await pilot.press("n", "4")
        await looks_as(pilot, "error-100", tmp_path)


async def test_a_folded_value(town: Client, tmp_path: Path) -> None:
    assert town.home is not None
    async with shown(town.home, (80, 24), "orders-1") as pilot:
        timeline = pilot.app.main.timeline  # type: ignore[attr-defined]
        await until(pilot, lambda: len(timeline.items) == 2)
        await pilot.press("3")
        await looks_as(pilot, "value-80", tmp_path)


async def test_events_of_one_step(town: Client, tmp_path: Path) -> None:
    assert town.home is not None
    async with shown(town.home, (120, 30), "orders-1") as pilot:
        main = pilot.app.main  # type: ignore[attr-defined]
        await until(pilot, lambda: len(main.timeline.items) == 2)
        await pilot.press("down", "7", "tab", "x", "m", "t")
        await until(pilot, lambda: bool(main.details.events.items))
        await looks_as(pilot, "events-120", tmp_path)


async def test_queues(town: Client, tmp_path: Path) -> None:
    assert town.home is not None
    async with shown(town.home, (100, 16)) as pilot:
        await pilot.press("Q")
        await looks_as(pilot, "queues-100", tmp_path)


async def test_help(town: Client, tmp_path: Path) -> None:
    assert town.home is not None
    async with shown(town.home, (100, 40)) as pilot:
        await pilot.press("question_mark")
        await looks_as(pilot, "help-100", tmp_path)


async def test_an_empty_home(
    utc: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    async with shown(Path("/srv/shop/.nbflow"), (80, 12)) as pilot:
        await looks_as(pilot, "empty-80", tmp_path)

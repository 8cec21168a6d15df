"""Workflows of a market, and the monitor on their runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from nbflow_tui.app import Monitor
from nbflow_tui.bars import LineBar
from nbflow_tui.events import EventList
from nbflow_tui.screen import MonitorScreen
from textual.pilot import Pilot

from nbflow import Client, Context, FlowControl, reference, workflow
from nbflow.view import plain
from tests.tui.stage import until

EVIL = "\x1b]52;c;ZXZpbA==\x07 [bold]open [/] \x1b[2J\x9b31m \u202ereversed"


@workflow(app="market")
async def order(ctx: Context, n: int = 1) -> int:
    return await ctx.run("price", double, n)


def double(n: int) -> int:
    return 2 * n


@workflow(app="market", flow_control=FlowControl("till", parallelism=1))
async def limited(ctx: Context) -> None:
    await asyncio.sleep(3600)


@workflow(app="market")
async def parent(ctx: Context) -> list[int]:
    async with ctx.group("both"):
        first = await ctx.invoke("first", order, {"n": 1})
        second = await ctx.invoke("second", order, {"n": 2})
    return [first, second]


@workflow(app="bakery")
async def loaf(ctx: Context, n: int = 1) -> int:
    return await ctx.run("knead", double, n)


@workflow(app="market")
async def buys(ctx: Context) -> int:
    bread = reference("loaf", app="bakery")
    return int(await ctx.invoke("bread", bread, {"n": 1}, run_id="loaf-1"))


@workflow(app="market")
async def shops(ctx: Context) -> int:
    own = await ctx.invoke("own", order, {"n": 1}, run_id="own-1")
    return own + int(await ctx.invoke("all", buys, run_id="buys-1"))


@workflow(app="market")
async def broken(ctx: Context) -> float:
    good = await ctx.run("good", double, 1)
    return await ctx.run("divide", divide, good, retries=0)


def divide(n: int) -> float:
    return n / 0


@workflow(app="market")
async def waits(ctx: Context) -> Any:
    event = await ctx.wait_for_event("paid", "payment")
    return event.data


@workflow(app="market")
async def fan(ctx: Context, n: int = 30) -> int:
    return len(await ctx.map("item", double, range(n)))


@workflow(app="market")
async def talks(ctx: Context, lines: int = 60) -> None:
    for number in range(lines):
        ctx.log(f"line {number}", level="warning" if number % 10 == 0 else "info")
    await ctx.wait_for_event("more", "more")
    ctx.log("the last line")
    await ctx.wait_for_event("end", "end")


@workflow(app="market", retries=0)
async def hostile(ctx: Context, text: str = EVIL) -> str:
    ctx.log(text)
    await ctx.run("step [/] [bold", double, 1)
    raise RuntimeError(text)


@workflow(app="market")
async def gives(ctx: Context, value: Any = None) -> Any:
    return value


WORKFLOWS = [buys, shops, gives, order, parent, broken, waits, fan, talks, hostile]


@contextlib.asynccontextmanager
async def opened(
    where: Path | Client, size: tuple[int, int] = (150, 40), **options: Any
) -> AsyncIterator[Pilot[Any]]:
    """The monitor of a home, or of the one that a client is of."""
    home = where.home if isinstance(where, Client) else where
    assert home is not None
    monitor = Monitor(home, fps=50, **options)
    async with monitor.run_test(size=size) as pilot:
        yield pilot


def main(pilot: Pilot[Any]) -> MonitorScreen:
    """Its main screen."""
    app = pilot.app
    assert isinstance(app, Monitor)
    return app.main


def screen_text(pilot: Pilot[Any]) -> str:
    """All that the screen shows."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in strips)


def bar(pilot: Pilot[Any], selector: str) -> str:
    """What a bar says at its left."""
    return plain(main(pilot).query_one(selector, LineBar)._left)


def names(pilot: Pilot[Any]) -> list[str]:
    """The workflows of the runs in the list."""
    return [entry.run.workflow for entry in main(pilot).runs.items]


async def listed(pilot: Pilot[Any], count: int) -> None:
    """Wait until the list has so many runs."""
    await until(pilot, lambda: len(names(pilot)) == count)


async def shows(pilot: Pilot[Any], text: str) -> None:
    """Wait until a text is on the screen."""
    await until(pilot, lambda: text in screen_text(pilot))


async def in_events(pilot: Pilot[Any], more_than: int) -> EventList:
    """Go to the events of the one run there is, and wait for them."""
    await listed(pilot, 1)
    await pilot.press("7", "tab", "tab")
    found = main(pilot).details.events
    await until(pilot, lambda: len(found.items) > more_than)
    return found

"""An app with nothing but what is to be tried, and a live engine beside it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import nbflow_tui
from nbflow_tui.dialogs import Say
from nbflow_tui.pending import Sent
from nbflow_tui.theme import DARK
from pydantic import BaseModel, Field, create_model
from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input, TextArea

from nbflow import Context, FlowControl, workflow

LONG = 3600


class Order(BaseModel):
    """What `approve` wants to know."""

    amount: int = Field(ge=1)
    note: str = ""


Long = create_model("Long", **{f"field_{n}": (int, n) for n in range(20)})  # type: ignore[call-overload]


@workflow(app="store")
async def says(ctx: Context, text: str) -> str:
    return text


@workflow(app="store")
async def waits(ctx: Context, n: int = 1) -> Any:
    await ctx.run("before", lambda: n)
    event = await ctx.wait_for_event("paid", "payment")
    return event.data


@workflow(app="store")
async def parent(ctx: Context) -> Any:
    return await ctx.invoke("child", waits, {"n": 2})


@workflow(app="store")
async def asks(ctx: Context, kind: str = "bool") -> Any:
    types: dict[str, Any] = {
        "bool": bool,
        "color": Literal["red", "blue"],
        "text": str,
        "count": int,
        "order": Order,
        "long": Long,
    }
    return await ctx.ask("sure", "Shall it [bold]be\x1b[31m done?", types[kind])


@workflow(app="store")
async def fails(ctx: Context, n: int = 0) -> int:
    await ctx.run("good", lambda: 1)
    return await ctx.run("divide", divide, 10, n, retries=0)


def divide(a: int, b: int) -> float:
    return a / b


@workflow(app="store")
async def limited(ctx: Context) -> Any:
    limit = FlowControl("api", parallelism=1)
    await ctx.run("hold", hold, flow_control=limit)


async def hold() -> None:
    import asyncio

    await asyncio.sleep(LONG)


WORKFLOWS = [says, waits, parent, asks, fails, limited]


class Stage(App[None]):
    """Shows one screen as the monitor does, and keeps what it gives."""

    CSS_PATH = Path(nbflow_tui.__file__).with_name("monitor.tcss")

    def __init__(self, screen: Screen[Any]) -> None:
        super().__init__()
        self._shown = screen
        self.results: list[Sent | None] = []

    def on_mount(self) -> None:
        """Show it."""
        self.register_theme(DARK)
        self.theme = DARK.name
        self.push_screen(self._shown, self.results.append)

    @property
    def sent(self) -> Sent:
        """What was sent."""
        (result,) = self.results
        assert result is not None
        return result


async def until(pilot: Pilot[Any], condition: Callable[[], bool]) -> None:
    """Let the app go on until a condition holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        await pilot.pause(0.02)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what an engine does."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def said(app: App[Any], selector: str) -> str:
    """What a line of the screen says; nothing where it is not shown."""
    found = app.screen.query_one(selector, Say)
    return found.content.plain if found.display else ""  # type: ignore[union-attr]


def type_into(app: App[Any], selector: str, text: str) -> None:
    """Put text into a field."""
    field = app.screen.query_one(selector)
    if isinstance(field, TextArea):
        field.load_text(text)
    else:
        assert isinstance(field, Input)
        field.value = text

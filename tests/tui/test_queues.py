"""The screen of flow control, with a live engine."""

import datetime as dt

import pytest
from nbflow_tui.bars import LineBar
from nbflow_tui.queues import QueuesScreen
from textual.widgets import Input

from nbflow import Client
from nbflow.model import FlowKey, FlowWaiter
from nbflow.view import Look, plain, width_of
from nbflow.view.flow import key_line, waiter_line
from tests.tui.stage import Stage, eventually, until

NOW = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)


def a_key(**more: object) -> FlowKey:
    since = NOW - dt.timedelta(seconds=95)
    waiting = [FlowWaiter("r-7", "fetch", 0, since, "2 of 2 run")]
    values = {"parallelism": 2, "running": 2, "waiting": waiting} | more
    return FlowKey("api", **values)  # type: ignore[arg-type]


def test_a_key_tells_how_full_it_is_and_who_waits() -> None:
    soon = NOW + dt.timedelta(seconds=4)
    key = a_key(rate=10, period=60.0, next_start=soon)
    shown = plain(key_line(key, Look(), NOW, 120))
    assert "2/2" in shown
    assert "━━━━━━━━━━" in shown
    assert "10 in 1 min" in shown
    assert "1 waiting, oldest 1 min 35 s" in shown
    assert "next in 4 s" in shown


def test_a_key_tells_that_it_is_paused_or_set() -> None:
    shown = plain(key_line(a_key(paused=True, pinned=True), Look(), NOW, 120))
    assert "paused · limits set" in shown
    assert "pausing…" in plain(key_line(a_key(), Look(), NOW, 120, "pausing…"))


def test_a_waiter_tells_why_not_yet() -> None:
    shown = plain(waiter_line(a_key().waiting[0], Look(), NOW, 100))
    assert shown.split() == [
        "1.",
        "r-7",
        "fetch",
        "1",
        "min",
        "35",
        "s",
        "2",
        "of",
        "2",
        "run",
    ]


@pytest.mark.parametrize("width", [1, 8, 20, 50, 80, 120, 300])
def test_lines_keep_their_width(width: int) -> None:
    key = a_key(rate=100, paused=True, pinned=True)
    assert width_of(key_line(key, Look(), NOW, width)) <= width
    assert width_of(waiter_line(key.waiting[0], Look(), NOW, width)) <= width


@pytest.fixture
def busy(store: Client) -> Client:
    """One run holds the key, two wait for it."""
    for name in ("one", "two", "three"):
        store.workflows.invoke("limited", run_id=name)
    eventually(lambda: len(store.flow_control.get("api").waiting) == 2)
    return store


def shown(app: Stage, selector: str) -> list[str]:
    """The lines of a list."""
    listed = app.screen.query_one(selector)
    return [
        plain(listed.draw(item, listed.size.width, listed.now))  # type: ignore[attr-defined]
        for item in listed.items  # type: ignore[attr-defined]
    ]


@pytest.mark.anyio
async def test_enter_lists_who_waits_in_order(busy: Client) -> None:
    app = Stage(QueuesScreen(lambda: [busy]))
    async with app.run_test(size=(110, 30)) as pilot:
        await until(pilot, lambda: len(shown(app, "#queues")) == 1)
        assert "1/1" in shown(app, "#queues")[0]
        await pilot.press("enter")
        await until(pilot, lambda: len(shown(app, "#waiters")) == 2)
        first, second = shown(app, "#waiters")
        assert first.split()[:2] == ["1.", "two"]
        assert second.split()[:2] == ["2.", "three"]
        await pilot.press("escape", "escape")
        await until(pilot, lambda: app.results == [None])


@pytest.mark.anyio
async def test_a_key_is_paused_and_goes_on(busy: Client) -> None:
    app = Stage(QueuesScreen(lambda: [busy]))
    async with app.run_test(size=(110, 30)) as pilot:
        await until(pilot, lambda: len(shown(app, "#queues")) == 1)
        await pilot.press("p")
        await until(pilot, lambda: "paused" in shown(app, "#queues")[0])
        assert busy.flow_control.get("api").paused
        await pilot.press("p")
        await until(
            pilot,
            lambda: (
                not any(
                    word in shown(app, "#queues")[0] for word in ("paus", "resuming")
                )
            ),
        )
        assert not busy.flow_control.get("api").paused


@pytest.mark.anyio
async def test_limits_are_set_and_taken_back(busy: Client) -> None:
    app = Stage(QueuesScreen(lambda: [busy]))
    async with app.run_test(size=(110, 40)) as pilot:
        await until(pilot, lambda: len(shown(app, "#queues")) == 1)
        await pilot.press("s")
        await until(pilot, lambda: bool(app.screen.query("#parallelism")))
        app.screen.query_one("#parallelism", Input).value = "three"
        await pilot.press("ctrl+s")
        await until(
            pilot,
            lambda: "no whole number" in str(app.screen.query_one("#problem").content),  # type: ignore[attr-defined]
        )
        app.screen.query_one("#parallelism", Input).value = "3"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, QueuesScreen))
        await until(pilot, lambda: "3/3" in shown(app, "#queues")[0])
        assert "limits set" in shown(app, "#queues")[0]
        await pilot.press("x")
        await until(pilot, lambda: not isinstance(app.screen, QueuesScreen))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, QueuesScreen))
        await until(pilot, lambda: "limits set" not in shown(app, "#queues")[0])


@pytest.mark.anyio
async def test_read_only_changes_nothing(busy: Client) -> None:
    app = Stage(QueuesScreen(lambda: [busy], read_only=True))
    async with app.run_test(size=(110, 30)) as pilot:
        await until(pilot, lambda: len(shown(app, "#queues")) == 1)
        await pilot.press("p", "s", "x")
        await pilot.pause()
        assert isinstance(app.screen, QueuesScreen)
        assert app.screen.query_one("#queues-title", LineBar)
    assert not busy.flow_control.get("api").paused


@pytest.mark.anyio
async def test_without_keys_it_says_what_makes_one(store: Client) -> None:
    app = Stage(QueuesScreen(lambda: [store]))
    async with app.run_test(size=(80, 20)) as pilot:
        blank = app.screen.query_one("#queues")
        await until(
            pilot,
            lambda: "no flow control" in plain(blank.empty()),  # type: ignore[attr-defined]
        )


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(1, 1), (20, 5), (50, 20), (300, 100)])
async def test_it_opens_at_any_size(busy: Client, size: tuple[int, int]) -> None:
    app = Stage(QueuesScreen(lambda: [busy]))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: len(shown(app, "#queues")) == 1)
        await pilot.press("enter")
        await pilot.pause()

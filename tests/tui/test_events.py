"""The events of a run: followed, narrowed, read back."""

import asyncio
import datetime as dt
from pathlib import Path

import pytest
from nbflow_tui import clock, followed
from nbflow_tui.dialogs import TextBox
from textual.widgets import TextArea

from nbflow import Client
from tests.tui.market import (
    in_events,
    listed,
    main,
    names,
    opened,
    screen_text,
    shows,
)
from tests.tui.stage import eventually, until

pytestmark = pytest.mark.anyio


async def test_events_follow_until_the_user_moves_away(live: Client) -> None:
    handle = live.workflows.invoke("talks", run_id="t")
    eventually(lambda: bool(handle.run.waiting))
    async with opened(live) as pilot:
        await listed(pilot, 1)
        await pilot.press("7", "tab", "tab")
        events = main(pilot).details.events
        await shows(pilot, "line 59")
        await pilot.press("up", "up")
        assert not events.follows
        await asyncio.to_thread(live.events.send, "more", run="t")
        await until(pilot, lambda: events.fresh > 0)
        await shows(pilot, "new")
        await pilot.press("end")
        assert events.follows
        await shows(pilot, "the last line")


async def test_events_can_be_narrowed_by_level_and_kind(live: Client) -> None:
    handle = live.workflows.invoke("talks", run_id="t")
    eventually(lambda: bool(handle.run.waiting))
    async with opened(live) as pilot:
        events = await in_events(pilot, 60)
        await pilot.press("v")
        assert len(events.items) == 60
        await pilot.press("L", "L")
        assert len(events.items) == 6


async def test_events_can_be_narrowed_to_the_selected_step(live: Client) -> None:
    handle = live.workflows.invoke("broken", run_id="b")
    eventually(lambda: handle.run.is_ended)
    async with opened(live) as pilot:
        events = await in_events(pilot, 4)
        count = len(events.items)
        await pilot.press("x")
        await until(pilot, lambda: {each.step for each in events.items} == {"good"})
        await pilot.press("shift+tab", "down")
        await until(pilot, lambda: {each.step for each in events.items} == {"divide"})
        await shows(pilot, "all, divide")
        await pilot.press("tab", "x")
        assert len(events.items) == count


async def test_events_of_the_last_minutes_are_counted_from_the_end_of_the_run(
    live: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = live.workflows.invoke("broken", run_id="b")
    eventually(lambda: handle.run.is_ended)
    later = clock.now() + dt.timedelta(days=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    async with opened(live) as pilot:
        events = await in_events(pilot, 4)
        count = len(events.items)
        await pilot.press("m")
        await shows(pilot, "last 1 min")
        assert len(events.items) == count


async def test_events_leave_the_window_of_a_run_that_goes_on(
    live: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = live.workflows.invoke("talks", run_id="t")
    eventually(lambda: bool(handle.run.waiting))
    async with opened(live) as pilot:
        events = await in_events(pilot, 60)
        count = len(events.items)
        await pilot.press("m", "m")
        assert len(events.items) == count
        later = clock.now() + dt.timedelta(minutes=10)
        monkeypatch.setattr(clock, "now", lambda: later)
        await until(pilot, lambda: len(events.items) == 0)
        await pilot.press("m")
        assert len(events.items) == count
        await shows(pilot, "last 15 min")


async def test_events_tell_how_long_after_the_start_they_were(live: Client) -> None:
    handle = live.workflows.invoke("broken", run_id="b")
    eventually(lambda: handle.run.is_ended)
    async with opened(live) as pilot:
        await in_events(pilot, 4)
        await pilot.press("t")
        await shows(pilot, "+0.0")
        await pilot.press("t")
        await until(pilot, lambda: "+0.0" not in screen_text(pilot))


async def test_an_event_is_shown_whole(market: Path) -> None:
    async with opened(market) as pilot:
        await listed(pilot, 3)
        await pilot.press("7", "shift+tab")
        await until(pilot, lambda: len(main(pilot).details.events.items) > 3)
        await pilot.press("g", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, TextBox))
        assert "run.queued" in pilot.app.screen.query_one(TextArea).text


async def test_events_that_were_not_kept_are_read_when_one_goes_up(
    live: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = live.workflows.invoke("talks", input={"lines": 1500}, run_id="t")
    eventually(lambda: bool(handle.run.waiting))
    monkeypatch.setattr(followed, "KEPT", 100)
    async with opened(live, (80, 20)) as pilot:
        events = main(pilot).details.events
        await until(pilot, lambda: bool(names(pilot)))
        await pilot.press("7")
        await until(pilot, lambda: len(events.items) == 100)
        await shows(pilot, "up: older")
        last = events.items[-1].index
        await pilot.press("g", "up")
        await until(pilot, lambda: len(events.items) == 1100)
        assert events.item is not None
        assert events.item.index == last - 99
        await asyncio.to_thread(live.events.send, "more", run="t")
        await until(pilot, lambda: events.items[-1].index > last)
        found = [event.index for event in events.items]
        assert found == list(range(found[0], found[-1] + 1))
        await pilot.press("g", "up")
        await until(pilot, lambda: events.items[0].index == 1)
        await pilot.press("G")
        await until(pilot, lambda: events.follows)

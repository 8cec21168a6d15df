"""The filter of the list: typed, pasted, wrong, brought back."""

import asyncio
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from nbflow import Client
from tests.tui.market import (
    bar,
    listed,
    main,
    names,
    opened,
    shows,
)
from tests.tui.stage import eventually, until

pytestmark = pytest.mark.anyio


async def test_a_filter_is_applied_while_it_is_typed(market: Path) -> None:
    async with opened(market) as pilot:
        await listed(pilot, 3)
        await pilot.press("slash", *"status:failed")
        await until(pilot, lambda: names(pilot) == ["broken"])
        await pilot.press("enter")
        assert main(pilot).runs.has_focus
        await shows(pilot, "[status:failed]")
        await pilot.press("escape")
        await listed(pilot, 3)


async def test_pasted_lines_are_one_filter(market: Path) -> None:
    async with opened(market) as pilot:
        await listed(pilot, 3)
        await pilot.press("slash")
        await until(pilot, lambda: isinstance(pilot.app.focused, Input))
        pilot.app.post_message(events.Paste("status:failed\r\n  since:1d\n"))
        prompt = main(pilot).query_one("#filter", Input)
        await until(pilot, lambda: prompt.value == "status:failed since:1d")
        await until(pilot, lambda: names(pilot) == ["broken"])


async def test_a_filter_finds_child_runs_too(market: Path) -> None:
    async with opened(market) as pilot:
        await pilot.press("slash", *"order")
        await listed(pilot, 3)
        assert set(names(pilot)) == {"order"}


async def test_a_wrong_filter_says_what_is_wrong(market: Path) -> None:
    async with opened(market) as pilot:
        await listed(pilot, 3)
        await pilot.press("slash", *"status:nonsense")
        await until(pilot, lambda: "nonsense" in bar(pilot, "#runs-title"))
        main(pilot).query_one("#filter", Input).value = ""
        await until(pilot, lambda: bar(pilot, "#runs-title") == "Runs")


async def test_a_filter_that_is_not_finished_leaves_the_list(market: Path) -> None:
    async with opened(market) as pilot:
        await listed(pilot, 3)
        await pilot.press("slash", *"status:")
        await until(pilot, lambda: "status: needs one" in bar(pilot, "#runs-title"))
        await listed(pilot, 3)
        main(pilot).query_one("#filter", Input).value = "broken since:x"
        await until(pilot, lambda: "since: 'x' is no" in bar(pilot, "#runs-title"))
        await until(pilot, lambda: names(pilot) == ["broken"])
        await pilot.press("enter", "escape")
        await until(pilot, lambda: bar(pilot, "#runs-title") == "Runs")
        await listed(pilot, 3)


async def test_e_shows_what_failed_only(market: Path) -> None:
    async with opened(market) as pilot:
        await listed(pilot, 3)
        await pilot.press("e")
        await until(pilot, lambda: names(pilot) == ["broken"])
        await pilot.press("e")
        await listed(pilot, 3)


async def test_a_run_that_fails_comes_into_a_filtered_list(live: Client) -> None:
    handle = live.workflows.invoke("waits", run_id="w")
    eventually(lambda: bool(handle.run.waiting))
    async with opened(live) as pilot:
        await pilot.press("slash", *"status:canceled", "enter")
        await shows(pilot, "no run passes the filter")
        await asyncio.to_thread(live.runs.cancel, "w")
        await until(pilot, lambda: names(pilot) == ["waits"])


async def test_up_brings_back_what_was_filtered_by(market: Path) -> None:
    async with opened(market) as pilot:
        await listed(pilot, 3)
        await pilot.press("slash", *"order", "enter", "escape")
        await pilot.press("slash", "up")
        await until(pilot, lambda: set(names(pilot)) == {"order"})

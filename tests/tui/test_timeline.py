"""One run in the monitor: its rows, its child runs, its time."""

from pathlib import Path

import pytest

from nbflow import Client
from tests.tui.market import bar, listed, main, names, opened, screen_text, shows
from tests.tui.stage import eventually, until

pytestmark = pytest.mark.anyio


async def test_enter_opens_a_run_and_escape_goes_back(market: Path) -> None:
    async with opened(market, (80, 24)) as pilot:
        await listed(pilot, 3)
        screen = main(pilot)
        await pilot.press("enter")
        assert screen.at == "run"
        await shows(pilot, "divide")
        assert not screen.runs.region.area
        await pilot.press("escape")
        assert screen.at == "runs"
        assert screen.runs.region.area


async def test_enter_opens_a_child_run_and_escape_goes_back(market: Path) -> None:
    async with opened(market) as pilot:
        await listed(pilot, 3)
        screen = main(pilot)
        screen.runs.find(("market", "family"))
        await pilot.press("enter")
        await shows(pilot, "second")
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(screen.path) == 2)
        await shows(pilot, "price")
        assert bar(pilot, "#run-head").startswith("family › ✓ order")
        await pilot.press("escape")
        assert screen.path == (("market", "family"),)
        await shows(pilot, "second")


async def test_a_child_run_is_shown_in_place(market: Path) -> None:
    async with opened(market) as pilot:
        await listed(pilot, 3)
        main(pilot).runs.find(("market", "family"))
        await pilot.press("enter")
        timeline = main(pilot).timeline
        await until(pilot, lambda: len(timeline.items) == 3)
        await pilot.press("down", "right")
        await until(pilot, lambda: len(timeline.items) == 4)
        assert [row.name for row in timeline.items] == [
            "both",
            "first",
            "price",
            "second",
        ]


async def test_n_goes_to_the_next_failure(market: Path) -> None:
    async with opened(market) as pilot:
        await listed(pilot, 3)
        await pilot.press("enter")
        timeline = main(pilot).timeline
        await until(pilot, lambda: len(timeline.items) == 2)
        await pilot.press("n")
        assert timeline.item is not None
        assert timeline.item.name == "divide"


async def test_many_items_are_opened_on_wish(live: Client) -> None:
    live.workflows.invoke("fan").result()
    async with opened(live) as pilot:
        await until(pilot, lambda: len(main(pilot).timeline.items) == 1)
        await pilot.press("enter", "space")
        await until(pilot, lambda: len(main(pilot).timeline.items) == 31)
        await pilot.press("space")
        await until(pilot, lambda: len(main(pilot).timeline.items) == 1)


async def test_the_monitor_can_begin_with_a_run(market: Path) -> None:
    async with opened(market, run=("market", "family")) as pilot:
        await shows(pilot, "second")
        assert main(pilot).at == "run"


async def test_the_time_is_zoomed_about_the_row_under_the_cursor(live: Client) -> None:
    handle = live.workflows.invoke("waits", run_id="w")
    eventually(lambda: bool(handle.run.waiting))
    async with opened(live) as pilot:
        await until(pilot, lambda: names(pilot) == ["waits"])
        timeline = main(pilot).timeline
        await pilot.press("enter")
        await shows(pilot, "paid")
        await pilot.press("plus", "plus")
        assert timeline.zoom is not None
        near = timeline.zoom.seconds
        await shows(pilot, "0 shows all")
        await pilot.press(*["less_than_sign"] * 9)
        earliest = timeline.zoom
        await pilot.press("greater_than_sign")
        assert timeline.zoom.shift < earliest.shift
        await pilot.press("minus")
        assert timeline.zoom.seconds == pytest.approx(2 * near)
        await shows(pilot, "0 shows all")
        await pilot.press("0")
        assert timeline.zoom is None
        assert "shows all" not in screen_text(pilot)

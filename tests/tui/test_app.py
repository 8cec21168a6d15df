"""The monitor as a whole: any size, without Unicode, help, the end."""

from pathlib import Path

import pytest

from nbflow.view import Look, plain
from tests.tui.market import listed, main, opened, screen_text, shows
from tests.tui.stage import until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "size",
    [
        (1, 1),
        (10, 3),
        (20, 5),
        (29, 6),
        (50, 20),
        (80, 24),
        (80, 50),
        (120, 36),
        (140, 20),
        (160, 50),
        (300, 100),
    ],
)
async def test_every_size_works(market: Path, size: tuple[int, int]) -> None:
    async with opened(market, size) as pilot:
        await listed(pilot, 3)
        await pilot.press("down", "enter", "right", "z", "3", "escape", "z", "escape")
        await pilot.resize_terminal(100, 30)
        await shows(pilot, "broken")
        await pilot.resize_terminal(*size)
        await pilot.press("up", "question_mark")
        await pilot.press("escape")


async def test_ascii_needs_no_other_character(market: Path) -> None:
    async with opened(market, look=Look(unicode=False, color=True)) as pilot:
        await listed(pilot, 3)
        await pilot.press("enter")
        await shows(pilot, "x divide")
        timeline = main(pilot).timeline
        lines = [plain(timeline.draw(row, 80, timeline.now)) for row in timeline.items]
        runs = main(pilot).runs
        lines += [plain(runs.draw(entry, 60, runs.now)) for entry in runs.items]
        assert all(line.isascii() for line in lines)


async def test_help_lists_the_keys_of_every_pane(market: Path) -> None:
    async with opened(market) as pilot:
        await listed(pilot, 3)
        await pilot.press("question_mark")
        await shows(pilot, "next failure")
        text = screen_text(pilot)
        assert "filter" in text
        await pilot.press("escape")
        assert pilot.app.screen is main(pilot)


@pytest.mark.parametrize("key", ["q", "ctrl+q", "ctrl+c"])
async def test_it_is_left_by_q_and_by_ctrl_c(market: Path, key: str) -> None:
    async with opened(market) as pilot:
        await listed(pilot, 3)
        await pilot.press(key)
        await until(pilot, lambda: not pilot.app.is_running)
    assert pilot.app.return_code == 0

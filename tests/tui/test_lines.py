"""A list by itself: what it asks of the screen."""

import datetime as dt
from collections.abc import Hashable

import pytest
from nbflow_tui.lines import LineList
from textual.app import App, ComposeResult

from nbflow.view import Line, Look, line
from tests.tui.stage import until

pytestmark = pytest.mark.anyio

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


class Numbers(LineList[int]):
    def key_of(self, item: int) -> Hashable:
        return item

    def draw(self, item: int, width: int, now: dt.datetime) -> Line:
        return line(f"row {item}")


class Alone(App[None]):
    def compose(self) -> ComposeResult:
        yield Numbers(Look())


async def test_a_list_that_grows_lays_nothing_out_anew() -> None:
    app = Alone()
    async with app.run_test(size=(40, 10)) as pilot:
        shown = app.query_one(Numbers)
        shown.set_items(range(20), NOW)
        await until(pilot, lambda: shown.show_vertical_scrollbar)
        await pilot.pause()
        laid_out: list[object] = []
        app.screen.screen_layout_refresh_signal.subscribe(shown, laid_out.append)
        shown.move_to(19)
        for count in (60, 50, 15):
            shown.set_items(range(count), NOW)
            await pilot.pause()
            assert shown.vertical_scrollbar.window_virtual_size == count
            assert shown.max_scroll_y == count - 10
            assert shown.scroll_y <= shown.max_scroll_y
        assert not laid_out
        shown.set_items(range(3), NOW)
        await until(pilot, lambda: bool(laid_out))
        assert not shown.show_vertical_scrollbar
        assert shown.scroll_y == 0

"""The details: values, texts to search, copy and save, panes that fail."""

from pathlib import Path
from typing import Any

import pytest
from nbflow_tui import details
from nbflow_tui.dialogs import SaveDialog, TextBox
from nbflow_tui.screen import MonitorScreen
from nbflow_tui.timeline import Timeline
from textual.widgets import Input, TextArea

from nbflow import Client
from nbflow.view import plain
from tests.tui.market import listed, main, names, opened, screen_text, shows
from tests.tui.stage import eventually, until

pytestmark = pytest.mark.anyio


async def test_the_details_show_values_and_the_users_frames(market: Path) -> None:
    async with opened(market) as pilot:
        await listed(pilot, 3)
        await shows(pilot, "ZeroDivisionError: division by zero")
        await shows(pilot, "return n / 0")
        await pilot.press("enter", "n", "2")
        text = main(pilot).details.text
        await until(
            pilot,
            lambda: text.document is not None and text.document.text == "[\n  2\n]",
        )
        await pilot.press("6")
        await shows(pilot, "async def broken")


async def test_a_text_can_be_searched(market: Path) -> None:
    async with opened(market, (80, 24)) as pilot:
        await listed(pilot, 3)
        await pilot.press("1")
        text = main(pilot).details.text
        await shows(pilot, "Traceback")
        await pilot.press("slash", *"RETURN N", "enter")
        assert text.item is not None
        assert "return n / 0" in plain(text.item.line)
        assert text.has_focus
        await pilot.press("slash", "escape")
        assert text.search == ""
        assert not main(pilot).filter


async def test_copying_never_carries_escape_sequences(live: Client) -> None:
    with pytest.raises(Exception, match="open"):
        live.workflows.invoke("hostile").result()
    async with opened(live) as pilot:
        await shows(pilot, "RuntimeError")
        await pilot.press("4")
        text = main(pilot).details.text
        await until(pilot, lambda: text.document is not None and text.document.tab == 3)
        await pilot.press("y")
        await until(pilot, lambda: bool(pilot.app.clipboard))
        assert "\x1b" not in pilot.app.clipboard
        assert "\\x1b" in pilot.app.clipboard


async def test_s_saves_what_a_tab_says(
    market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened(market) as pilot:
        await listed(pilot, 3)
        await pilot.press("down", "down", "3", "enter")
        text = main(pilot).details.text
        await until(pilot, lambda: text.document is not None and text.document.tab == 2)
        await until(pilot, lambda: text.document.subject.step == "price")
        await pilot.press("s", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, MonitorScreen))
        assert (tmp_path / "price-output.json").read_text() == "8\n"
        await pilot.press("7", "s")
        await until(pilot, lambda: isinstance(pilot.app.screen, SaveDialog))
        pilot.app.screen.query_one("#file", Input).value = str(tmp_path / "told.txt")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, MonitorScreen))
        said = (tmp_path / "told.txt").read_text()
        assert "price" in said
        assert len(said.splitlines()) == len(main(pilot).details.events.items)


async def test_what_goes_wrong_in_a_pane_is_said_there_and_the_others_go_on(
    live: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = Timeline.draw

    def fails(self: Timeline, *given: Any) -> Any:
        raise LookupError("no [bold] such\x1b[31m bar")

    handle = live.workflows.invoke("waits", run_id="w")
    eventually(lambda: bool(handle.run.waiting))
    async with opened(live) as pilot:
        await shows(pilot, "paid")
        monkeypatch.setattr(Timeline, "draw", fails)
        live.workflows.invoke("order").result()
        await shows(pilot, "this pane cannot be shown")
        await shows(pilot, "LookupError: no [bold] such")
        assert "\x1b" not in screen_text(pilot)
        await listed(pilot, 2)
        monkeypatch.setattr(Timeline, "draw", drawn)
        await until(pilot, lambda: "cannot be shown" not in screen_text(pilot))


async def test_a_text_that_cannot_be_made_is_said_in_its_pane(
    market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(details, "document", fails)
    async with opened(market) as pilot:
        await shows(pilot, "ZeroDivisionError()")
        await listed(pilot, 3)


async def test_a_value_is_folded_and_its_path_copied(live: Client) -> None:
    pages = [{"url": "a", "tags": ["x", "y"]}, {"url": "b", "tags": ["z"] * 5}]
    value = {"found": pages}
    live.workflows.invoke("gives", input={"value": value}, run_id="g").result()
    async with opened(live) as pilot:
        text = main(pilot).details.text
        await until(pilot, lambda: names(pilot) == ["gives"])
        await pilot.press("3")
        await shows(pilot, '▹       "tags": [ 2 items ]')
        assert '"z"' not in screen_text(pilot)
        await pilot.press("shift+tab", "G", "up", "up")
        await pilot.press("p")
        assert pilot.app.clipboard == "found[1]"
        await pilot.press("x")
        await shows(pilot, '"z"')
        await pilot.press("g", "space")
        assert len(text.items) == 1
        await shows(pilot, "1 field }")
        await pilot.press("slash", *'"y"')
        await shows(pilot, '"tags": [')
        assert text.item is not None
        assert plain(text.item.line).strip() == '"y"'


async def test_a_text_is_shown_whole_and_what_is_selected_in_it_is_copied(
    market: Path,
) -> None:
    async with opened(market) as pilot:
        await listed(pilot, 3)
        await pilot.press("3", "w")
        await until(pilot, lambda: isinstance(pilot.app.screen, TextBox))
        area = pilot.app.screen.query_one(TextArea)
        await pilot.press("shift+right")
        await pilot.press("y")
        assert area.selected_text
        assert pilot.app.clipboard == area.selected_text
        await pilot.press("escape")
        assert pilot.app.screen is main(pilot)


async def test_the_tries_of_a_step_are_copied_as_they_are_read(market: Path) -> None:
    async with opened(market) as pilot:
        await listed(pilot, 3)
        await shows(pilot, "ZeroDivisionError: division by zero")
        await pilot.press("enter", "n", "5")
        text = main(pilot).details.text
        await until(pilot, lambda: text.document is not None and text.document.tab == 4)
        await pilot.press("y")
        shown = [plain(item.line).strip() for item in text.items]
        assert shown[0]
        assert shown[0] in pilot.app.clipboard

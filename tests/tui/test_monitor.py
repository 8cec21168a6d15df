"""The monitor on real stores with a live engine: what is shown, and what keys do."""

import asyncio
import contextlib
import datetime as dt
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from nbflow_tui import clock, details, followed
from nbflow_tui.app import Monitor
from nbflow_tui.bars import LineBar
from nbflow_tui.dialogs import SaveDialog, TextBox
from nbflow_tui.screen import MonitorScreen
from nbflow_tui.timeline import Timeline
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from nbflow import Client, Context, Engine, FlowControl, reference, workflow
from nbflow.view import Look, plain
from tests.tui.stage import eventually, until

pytestmark = pytest.mark.anyio

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
    home: Path, size: tuple[int, int] = (150, 40), **options: Any
) -> AsyncIterator[Pilot[Any]]:
    monitor = Monitor(home, fps=50, **options)
    async with monitor.run_test(size=size) as pilot:
        yield pilot


def main(pilot: Pilot[Any]) -> MonitorScreen:
    app = pilot.app
    assert isinstance(app, Monitor)
    return app.main


def screen_text(pilot: Pilot[Any]) -> str:
    """All that the screen shows."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in strips)


def bar(pilot: Pilot[Any], selector: str) -> str:
    return plain(main(pilot).query_one(selector, LineBar)._left)


def names(pilot: Pilot[Any]) -> list[str]:
    return [entry.run.workflow for entry in main(pilot).runs.items]


async def shows(pilot: Pilot[Any], text: str) -> None:
    await until(pilot, lambda: text in screen_text(pilot))


@pytest.fixture
def store(home: Path) -> Path:
    """A home whose engine has gone."""
    with Engine(home, "market", workflows=WORKFLOWS, durability="process") as engine:
        start = engine.client.workflows.invoke
        start("order", input={"n": 4}, run_id="first").result()
        start("parent", run_id="family").result()
        with pytest.raises(Exception, match="division"):
            start("broken", run_id="broken").result()
    return home


@pytest.fixture
def live(home: Path) -> Any:
    with Engine(home, "market", workflows=WORKFLOWS, durability="process") as engine:
        yield engine.client


# Runs


async def test_runs_of_other_apps_are_below_those_that_have_started_them(
    live: Client,
) -> None:
    assert live.home is not None
    with Engine(live.home, "bakery", workflows=[loaf], durability="process") as other:
        other.client.workflows.invoke("loaf", run_id="alone").result()
        live.workflows.invoke("buys", run_id="b").result()
        async with opened(live.home) as pilot:
            await until(pilot, lambda: names(pilot) == ["buys", "loaf"])
            await pilot.press("right")
            await until(pilot, lambda: names(pilot) == ["buys", "loaf", "loaf"])
            child, alone = main(pilot).runs.items[1:]
            assert (child.key, child.depth) == (("bakery", "loaf-1"), 1)
            assert (alone.key, alone.depth) == (("bakery", "alone"), 0)
            await pilot.press("down", "left")
            assert main(pilot).runs.item.key == ("market", "b")
            await pilot.press("left")
            await until(pilot, lambda: names(pilot) == ["buys", "loaf"])


async def test_children_of_children_in_other_apps_are_at_their_place(
    live: Client,
) -> None:
    assert live.home is not None
    with Engine(live.home, "bakery", workflows=[loaf], durability="process"):
        live.workflows.invoke("shops", run_id="s").result()
        async with opened(live.home) as pilot:
            await until(pilot, lambda: names(pilot) == ["shops"])
            await pilot.press("right")
            await until(pilot, lambda: names(pilot) == ["shops", "order", "buys"])
            await pilot.press("down", "down", "right")
            await until(pilot, lambda: names(pilot)[3:] == ["loaf"])
            assert main(pilot).runs.items[3].depth == 2


async def test_a_run_whose_parent_is_not_listed_is_listed_by_itself(
    live: Client,
) -> None:
    assert live.home is not None
    with Engine(live.home, "bakery", workflows=[loaf], durability="process"):
        live.workflows.invoke("buys", run_id="b").result()
        async with opened(live.home, app="bakery") as pilot:
            await until(pilot, lambda: names(pilot) == ["loaf"])
        async with opened(live.home) as pilot:
            await until(pilot, lambda: names(pilot) == ["buys"])
            await pilot.press("slash", *"app:bakery", "enter")
            await until(pilot, lambda: names(pilot) == ["loaf"])


async def test_lists_the_runs_of_all_apps_newest_first(store: Path) -> None:
    with Engine(store, "bakery", workflows=[order], durability="process") as other:
        other.client.workflows.invoke("order").result()
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 4)
        assert names(pilot) == ["order", "broken", "parent", "order"]
        assert [entry.key[0] for entry in main(pilot).runs.items][:2] == [
            "bakery",
            "market",
        ]
        await shows(pilot, "ZeroDivision")
        await shows(pilot, "✗ 1 failed")


async def test_says_where_it_looks_as_long_as_there_is_nothing(home: Path) -> None:
    async with opened(home) as pilot:
        await shows(pilot, "no store in")
        with Engine(home, "market", workflows=WORKFLOWS) as engine:
            engine.client.workflows.invoke("order").result()
        await until(pilot, lambda: names(pilot) == ["order"])


async def test_tells_what_a_live_run_waits_for_and_how_it_ends(live: Client) -> None:
    handle = live.workflows.invoke("waits", run_id="w")
    eventually(lambda: bool(handle.run.waiting))
    assert live.home is not None
    async with opened(live.home) as pilot:
        await shows(pilot, "event payment")
        await asyncio.to_thread(live.events.send, "payment", "cash", run="w")
        await shows(pilot, "'cash'")
        await shows(pilot, "✓ 1 completed")


async def test_says_that_nobody_executes_a_run(store: Path) -> None:
    with Engine(store, "market", workflows=WORKFLOWS, durability="process") as engine:
        handle = engine.client.workflows.invoke("waits")
        eventually(lambda: bool(handle.run.waiting))
    async with opened(store) as pilot:
        await shows(pilot, "no engine")


async def test_the_cursor_stays_on_its_run_when_others_come(live: Client) -> None:
    for number in range(60):
        live.workflows.invoke("order", run_id=f"old-{number}").result()
    assert live.home is not None
    async with opened(live.home, (80, 20)) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 60)
        await pilot.press("pagedown", "pagedown", "down")
        runs = main(pilot).runs
        assert runs.item is not None
        key, top = runs.item.key, runs.in_sight()[0].key
        live.workflows.invoke("broken", run_id="new")
        await shows(pilot, "▲ 1 new")
        assert runs.item.key == key
        assert runs.in_sight()[0].key == top
        await pilot.press("g")
        await until(pilot, lambda: runs.item is not None and runs.follows)
        assert runs.items[runs.cursor].key[1] == "new"
        assert "▲" not in screen_text(pilot)


async def test_at_the_top_the_list_follows_what_is_new(live: Client) -> None:
    live.workflows.invoke("order", run_id="old").result()
    assert live.home is not None
    async with opened(live.home, (80, 20)) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 1)
        live.workflows.invoke("order", run_id="new").result()
        await until(pilot, lambda: len(names(pilot)) == 2)
        runs = main(pilot).runs
        assert runs.items[0].key == ("market", "new")
        assert runs.item is not None
        assert runs.item.key == ("market", "old")


async def test_child_runs_are_folded_under_their_parent(store: Path) -> None:
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        main(pilot).runs.find(("market", "family"))
        await pilot.press("right")
        await until(pilot, lambda: len(names(pilot)) == 5)
        depths = [entry.depth for entry in main(pilot).runs.items]
        assert depths == [0, 0, 1, 1, 0]
        await pilot.press("down", "left")
        assert main(pilot).runs.cursor == 1
        await pilot.press("left")
        await until(pilot, lambda: len(names(pilot)) == 3)


async def test_older_runs_are_read_when_the_end_comes_near(live: Client) -> None:
    handles = live.workflows.invoke_many("order", [{"n": n} for n in range(450)])
    for handle in handles:
        handle.result()
    assert live.home is not None
    async with opened(live.home, (80, 20)) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 200)
        await pilot.press("end")
        await until(pilot, lambda: len(names(pilot)) == 400)
        await pilot.press("end")
        await until(pilot, lambda: len(names(pilot)) == 450)
        assert len({entry.key for entry in main(pilot).runs.items}) == 450


# Filter


async def test_a_filter_is_applied_while_it_is_typed(store: Path) -> None:
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        await pilot.press("slash", *"status:failed")
        await until(pilot, lambda: names(pilot) == ["broken"])
        await pilot.press("enter")
        assert main(pilot).runs.has_focus
        await shows(pilot, "[status:failed]")
        await pilot.press("escape")
        await until(pilot, lambda: len(names(pilot)) == 3)


async def test_pasted_lines_are_one_filter(store: Path) -> None:
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        await pilot.press("slash")
        await until(pilot, lambda: isinstance(pilot.app.focused, Input))
        pilot.app.post_message(events.Paste("status:failed\r\n  since:1d\n"))
        prompt = main(pilot).query_one("#filter", Input)
        await until(pilot, lambda: prompt.value == "status:failed since:1d")
        await until(pilot, lambda: names(pilot) == ["broken"])


async def test_a_filter_finds_child_runs_too(store: Path) -> None:
    async with opened(store) as pilot:
        await pilot.press("slash", *"order")
        await until(pilot, lambda: len(names(pilot)) == 3)
        assert set(names(pilot)) == {"order"}


async def test_a_wrong_filter_says_what_is_wrong(store: Path) -> None:
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        await pilot.press("slash", *"status:nonsense")
        await until(pilot, lambda: "nonsense" in bar(pilot, "#runs-title"))
        main(pilot).query_one("#filter", Input).value = ""
        await until(pilot, lambda: bar(pilot, "#runs-title") == "Runs")


async def test_a_filter_that_is_not_finished_leaves_the_list(store: Path) -> None:
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        await pilot.press("slash", *"status:")
        await until(pilot, lambda: "status: needs one" in bar(pilot, "#runs-title"))
        await until(pilot, lambda: len(names(pilot)) == 3)
        main(pilot).query_one("#filter", Input).value = "broken since:x"
        await until(pilot, lambda: "since: 'x' is no" in bar(pilot, "#runs-title"))
        await until(pilot, lambda: names(pilot) == ["broken"])
        await pilot.press("enter", "escape")
        await until(pilot, lambda: bar(pilot, "#runs-title") == "Runs")
        await until(pilot, lambda: len(names(pilot)) == 3)


async def test_a_queued_run_says_why_in_the_list(home: Path) -> None:
    with Engine(home, "market", workflows=[limited], durability="process") as engine:
        for number in range(3):
            engine.client.workflows.invoke("limited", run_id=f"l-{number}")
        async with opened(home) as pilot:
            await shows(pilot, "till, place 1")
            await shows(pilot, "till, place 2")


async def test_e_shows_what_failed_only(store: Path) -> None:
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        await pilot.press("e")
        await until(pilot, lambda: names(pilot) == ["broken"])
        await pilot.press("e")
        await until(pilot, lambda: len(names(pilot)) == 3)


async def test_a_run_that_fails_comes_into_a_filtered_list(live: Client) -> None:
    handle = live.workflows.invoke("waits", run_id="w")
    eventually(lambda: bool(handle.run.waiting))
    assert live.home is not None
    async with opened(live.home) as pilot:
        await pilot.press("slash", *"status:canceled", "enter")
        await shows(pilot, "no run passes the filter")
        await asyncio.to_thread(live.runs.cancel, "w")
        await until(pilot, lambda: names(pilot) == ["waits"])


# One run


async def test_enter_opens_a_run_and_escape_goes_back(store: Path) -> None:
    async with opened(store, (80, 24)) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        screen = main(pilot)
        await pilot.press("enter")
        assert screen.at == "run"
        await shows(pilot, "divide")
        assert not screen.runs.region.area
        await pilot.press("escape")
        assert screen.at == "runs"
        assert screen.runs.region.area


async def test_enter_opens_a_child_run_and_escape_goes_back(store: Path) -> None:
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
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


async def test_a_child_run_is_shown_in_place(store: Path) -> None:
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
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


async def test_n_goes_to_the_next_failure(store: Path) -> None:
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        await pilot.press("enter")
        timeline = main(pilot).timeline
        await until(pilot, lambda: len(timeline.items) == 2)
        await pilot.press("n")
        assert timeline.item is not None
        assert timeline.item.name == "divide"


async def test_many_items_are_opened_on_wish(live: Client) -> None:
    live.workflows.invoke("fan").result()
    assert live.home is not None
    async with opened(live.home) as pilot:
        await until(pilot, lambda: len(main(pilot).timeline.items) == 1)
        await pilot.press("enter", "space")
        await until(pilot, lambda: len(main(pilot).timeline.items) == 31)
        await pilot.press("space")
        await until(pilot, lambda: len(main(pilot).timeline.items) == 1)


async def test_the_monitor_can_begin_with_a_run(store: Path) -> None:
    async with opened(store, run=("market", "family")) as pilot:
        await shows(pilot, "second")
        assert main(pilot).at == "run"


# Details


async def test_the_details_show_values_and_the_users_frames(store: Path) -> None:
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
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


async def test_a_text_can_be_searched(store: Path) -> None:
    async with opened(store, (80, 24)) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
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
    assert live.home is not None
    async with opened(live.home) as pilot:
        await shows(pilot, "RuntimeError")
        await pilot.press("4")
        text = main(pilot).details.text
        await until(pilot, lambda: text.document is not None and text.document.tab == 3)
        await pilot.press("y")
        await until(pilot, lambda: bool(pilot.app.clipboard))
        assert "\x1b" not in pilot.app.clipboard
        assert "\\x1b" in pilot.app.clipboard


async def test_s_saves_what_a_tab_says(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
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
    assert live.home is not None
    async with opened(live.home) as pilot:
        await shows(pilot, "paid")
        monkeypatch.setattr(Timeline, "draw", fails)
        live.workflows.invoke("order").result()
        await shows(pilot, "this pane cannot be shown")
        await shows(pilot, "LookupError: no [bold] such")
        assert "\x1b" not in screen_text(pilot)
        await until(pilot, lambda: len(names(pilot)) == 2)
        monkeypatch.setattr(Timeline, "draw", drawn)
        await until(pilot, lambda: "cannot be shown" not in screen_text(pilot))


async def test_a_text_that_cannot_be_made_is_said_in_its_pane(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(details, "document", fails)
    async with opened(store) as pilot:
        await shows(pilot, "ZeroDivisionError()")
        await until(pilot, lambda: len(names(pilot)) == 3)


async def test_events_follow_until_the_user_moves_away(live: Client) -> None:
    handle = live.workflows.invoke("talks", run_id="t")
    eventually(lambda: bool(handle.run.waiting))
    assert live.home is not None
    async with opened(live.home) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 1)
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
    assert live.home is not None
    async with opened(live.home) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 1)
        await pilot.press("7", "tab", "tab")
        events = main(pilot).details.events
        await until(pilot, lambda: len(events.items) > 60)
        await pilot.press("v")
        assert len(events.items) == 60
        await pilot.press("L", "L")
        assert len(events.items) == 6


async def test_events_can_be_narrowed_to_the_selected_step(live: Client) -> None:
    handle = live.workflows.invoke("broken", run_id="b")
    eventually(lambda: handle.run.is_ended)
    assert live.home is not None
    async with opened(live.home) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 1)
        await pilot.press("7", "tab", "tab")
        events = main(pilot).details.events
        await until(pilot, lambda: len(events.items) > 4)
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
    assert live.home is not None
    async with opened(live.home) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 1)
        await pilot.press("7", "tab", "tab")
        events = main(pilot).details.events
        await until(pilot, lambda: len(events.items) > 4)
        count = len(events.items)
        await pilot.press("m")
        await shows(pilot, "last 1 min")
        assert len(events.items) == count


async def test_events_leave_the_window_of_a_run_that_goes_on(
    live: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = live.workflows.invoke("talks", run_id="t")
    eventually(lambda: bool(handle.run.waiting))
    assert live.home is not None
    async with opened(live.home) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 1)
        await pilot.press("7", "tab", "tab")
        events = main(pilot).details.events
        await until(pilot, lambda: len(events.items) > 60)
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
    assert live.home is not None
    async with opened(live.home) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 1)
        await pilot.press("7", "tab", "tab")
        events = main(pilot).details.events
        await until(pilot, lambda: len(events.items) > 4)
        await pilot.press("t")
        await shows(pilot, "+0.0")
        await pilot.press("t")
        await until(pilot, lambda: "+0.0" not in screen_text(pilot))


# Sizes and looks


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
async def test_every_size_works(store: Path, size: tuple[int, int]) -> None:
    async with opened(store, size) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        await pilot.press("down", "enter", "right", "z", "3", "escape", "z", "escape")
        await pilot.resize_terminal(100, 30)
        await shows(pilot, "broken")
        await pilot.resize_terminal(*size)
        await pilot.press("up", "question_mark")
        await pilot.press("escape")


async def test_ascii_needs_no_other_character(store: Path) -> None:
    async with opened(store, look=Look(unicode=False, color=True)) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        await pilot.press("enter")
        await shows(pilot, "x divide")
        timeline = main(pilot).timeline
        lines = [plain(timeline.draw(row, 80, timeline.now)) for row in timeline.items]
        runs = main(pilot).runs
        lines += [plain(runs.draw(entry, 60, runs.now)) for entry in runs.items]
        assert all(line.isascii() for line in lines)


async def test_help_lists_the_keys_of_every_pane(store: Path) -> None:
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        await pilot.press("question_mark")
        await shows(pilot, "next failure")
        text = screen_text(pilot)
        assert "filter" in text
        await pilot.press("escape")
        assert pilot.app.screen is main(pilot)


@pytest.mark.parametrize("key", ["q", "ctrl+q", "ctrl+c"])
async def test_it_is_left_by_q_and_by_ctrl_c(store: Path, key: str) -> None:
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        await pilot.press(key)
        await until(pilot, lambda: not pilot.app.is_running)
    assert pilot.app.return_code == 0


# Hostile data, stores in trouble


async def test_no_control_character_gets_onto_the_screen(live: Client) -> None:
    with pytest.raises(Exception, match="open"):
        live.workflows.invoke("hostile", label="\\[bold] [/]").result()
    assert live.home is not None
    async with opened(live.home) as pilot:
        await shows(pilot, "RuntimeError")
        await pilot.press("enter")
        for key in "1234567":
            await pilot.press(key)
            await pilot.pause(0.1)
            text = screen_text(pilot)
            assert not any(
                (ord(char) < 32 and char != "\n") or 0x7F <= ord(char) < 0xA0
                for char in text
            )
            assert "\u202e" not in text


async def test_a_deleted_store_is_said_and_what_was_read_stays(store: Path) -> None:
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        for each in (store / "market").glob("store.db*"):
            each.unlink()
        await until(pilot, lambda: "no store is there" in bar(pilot, "#problem"))
        assert len(names(pilot)) == 3
        await pilot.press("down", "enter", "escape")


async def test_a_replaced_store_is_read_anew(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / ".nbflow"
    with Engine(other, "market", workflows=WORKFLOWS, durability="process") as engine:
        engine.client.workflows.invoke("fan", run_id="elsewhere").result()
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        for end in ("-wal", "-shm"):
            (store / "market" / f"store.db{end}").unlink(missing_ok=True)
        (other / "market" / "store.db").replace(store / "market" / "store.db")
        await until(pilot, lambda: names(pilot) == ["fan"])


async def test_a_damaged_store_is_said_and_the_others_go_on(store: Path) -> None:
    with Engine(store, "bakery", workflows=[order], durability="process") as other:
        other.client.workflows.invoke("order").result()
        async with opened(store) as pilot:
            await until(pilot, lambda: len(names(pilot)) == 4)
            file = store / "market" / "store.db"
            copy = file.with_name("damaged")
            copy.write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
            copy.replace(file)
            await until(pilot, lambda: bar(pilot, "#problem").startswith("market: "))
            other.client.workflows.invoke("order", run_id="after").result()
            await until(pilot, lambda: len(names(pilot)) == 5)


async def test_a_home_that_may_not_be_read_is_said(
    home: Path, shut: Callable[[Path], None]
) -> None:
    home.mkdir()
    async with opened(home) as pilot:
        shut(home)
        await until(
            pilot,
            lambda: bar(pilot, "#problem").startswith(f"{home}: may not be read by"),
        )
        await pilot.press("i")
        await until(
            pilot,
            lambda: any(
                "may not be read by" in each.message
                for each in pilot.app._notifications
            ),
        )
        await pilot.press("Q")
        await until(
            pilot,
            lambda: "may not be read by" in pilot.app.screen._problem,
        )


async def test_a_newer_store_is_said(store: Path) -> None:
    file = store / "market" / "store.db"
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        newer = file.with_name("newer")
        with contextlib.closing(sqlite3.connect(file)) as old:
            old.execute(f"VACUUM INTO '{newer}'")
        with contextlib.closing(sqlite3.connect(newer)) as made:
            made.execute("PRAGMA user_version = 99")
        newer.replace(file)
        await until(pilot, lambda: "newer nbflow" in bar(pilot, "#problem"))
        assert len(names(pilot)) == 3


async def test_a_run_that_is_deleted_while_it_is_looked_at_says_so(
    store: Path,
) -> None:
    with Engine(store, "market", workflows=[order], durability="process") as engine:
        async with opened(store) as pilot:
            await until(pilot, lambda: len(names(pilot)) == 3)
            main(pilot).runs.find(("market", "broken"))
            await pilot.press("enter")
            await until(pilot, lambda: bool(main(pilot).timeline.items))
            await asyncio.to_thread(engine.client.runs.delete, "broken")
            await shows(pilot, "this run is not there (any more)")
            await pilot.press("c")
            told = "run broken is not there any more: it was deleted"
            await until(
                pilot, lambda: [n.message for n in pilot.app._notifications] == [told]
            )


async def test_a_deleted_run_leaves_the_list(store: Path) -> None:
    with Engine(store, "market", workflows=WORKFLOWS, durability="process") as engine:
        async with opened(store) as pilot:
            await until(pilot, lambda: len(names(pilot)) == 3)
            await asyncio.to_thread(engine.client.runs.delete, "broken")
            await until(pilot, lambda: names(pilot) == ["parent", "order"])


# Time


async def test_the_time_is_zoomed_about_the_row_under_the_cursor(live: Client) -> None:
    handle = live.workflows.invoke("waits", run_id="w")
    eventually(lambda: bool(handle.run.waiting))
    assert live.home is not None
    async with opened(live.home) as pilot:
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


# Details


async def test_a_value_is_folded_and_its_path_copied(live: Client) -> None:
    pages = [{"url": "a", "tags": ["x", "y"]}, {"url": "b", "tags": ["z"] * 5}]
    value = {"found": pages}
    live.workflows.invoke("gives", input={"value": value}, run_id="g").result()
    assert live.home is not None
    async with opened(live.home) as pilot:
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
    store: Path,
) -> None:
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        await pilot.press("3", "w")
        await until(pilot, lambda: isinstance(pilot.app.screen, TextBox))
        area = pilot.app.screen.query_one(TextArea)
        await pilot.press("shift+right")
        await pilot.press("y")
        assert area.selected_text
        assert pilot.app.clipboard == area.selected_text
        await pilot.press("escape")
        assert pilot.app.screen is main(pilot)


async def test_the_tries_of_a_step_are_copied_as_they_are_read(store: Path) -> None:
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        await shows(pilot, "ZeroDivisionError: division by zero")
        await pilot.press("enter", "n", "5")
        text = main(pilot).details.text
        await until(pilot, lambda: text.document is not None and text.document.tab == 4)
        await pilot.press("y")
        shown = [plain(item.line).strip() for item in text.items]
        assert shown[0]
        assert shown[0] in pilot.app.clipboard


async def test_an_event_is_shown_whole(store: Path) -> None:
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
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
    assert live.home is not None
    async with opened(live.home, (80, 20)) as pilot:
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


async def test_up_brings_back_what_was_filtered_by(store: Path) -> None:
    async with opened(store) as pilot:
        await until(pilot, lambda: len(names(pilot)) == 3)
        await pilot.press("slash", *"order", "enter", "escape")
        await pilot.press("slash", "up")
        await until(pilot, lambda: set(names(pilot)) == {"order"})

"""Hostile data, stores that go, change or cannot be read: the monitor stays."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from nbflow import Client, Engine
from tests.tui.market import (
    WORKFLOWS,
    bar,
    listed,
    main,
    names,
    opened,
    order,
    screen_text,
    shows,
)
from tests.tui.stage import until

pytestmark = pytest.mark.anyio


async def test_no_control_character_gets_onto_the_screen(live: Client) -> None:
    with pytest.raises(Exception, match="open"):
        live.workflows.invoke("hostile", label="\\[bold] [/]").result()
    async with opened(live) as pilot:
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


async def test_a_deleted_store_is_said_and_what_was_read_stays(market: Path) -> None:
    async with opened(market) as pilot:
        await listed(pilot, 3)
        for each in (market / "market").glob("store.db*"):
            each.unlink()
        await until(pilot, lambda: "no store is there" in bar(pilot, "#problem"))
        assert len(names(pilot)) == 3
        await pilot.press("down", "enter", "escape")


async def test_a_replaced_store_is_read_anew(market: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / ".nbflow"
    with Engine(other, "market", workflows=WORKFLOWS, durability="process") as engine:
        engine.client.workflows.invoke("fan", run_id="elsewhere").result()
    async with opened(market) as pilot:
        await listed(pilot, 3)
        for end in ("-wal", "-shm"):
            (market / "market" / f"store.db{end}").unlink(missing_ok=True)
        (other / "market" / "store.db").replace(market / "market" / "store.db")
        await until(pilot, lambda: names(pilot) == ["fan"])


async def test_a_damaged_store_is_said_and_the_others_go_on(market: Path) -> None:
    with Engine(market, "bakery", workflows=[order], durability="process") as other:
        other.client.workflows.invoke("order").result()
        async with opened(market) as pilot:
            await listed(pilot, 4)
            file = market / "market" / "store.db"
            copy = file.with_name("damaged")
            copy.write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
            copy.replace(file)
            await until(pilot, lambda: bar(pilot, "#problem").startswith("market: "))
            other.client.workflows.invoke("order", run_id="after").result()
            await listed(pilot, 5)


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


async def test_a_newer_store_is_said(market: Path) -> None:
    file = market / "market" / "store.db"
    async with opened(market) as pilot:
        await listed(pilot, 3)
        newer = file.with_name("newer")
        with contextlib.closing(sqlite3.connect(file)) as old:
            old.execute(f"VACUUM INTO '{newer}'")
        with contextlib.closing(sqlite3.connect(newer)) as made:
            made.execute("PRAGMA user_version = 99")
        newer.replace(file)
        await until(pilot, lambda: "newer nbflow" in bar(pilot, "#problem"))
        assert len(names(pilot)) == 3


async def test_a_run_that_is_deleted_while_it_is_looked_at_says_so(
    market: Path,
) -> None:
    with Engine(market, "market", workflows=[order], durability="process") as engine:
        async with opened(market) as pilot:
            await listed(pilot, 3)
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

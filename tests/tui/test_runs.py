"""The list of runs on real stores with a live engine: order, what each is doing."""

import asyncio
from pathlib import Path

import pytest

from nbflow import Client, Engine
from tests.tui.market import (
    WORKFLOWS,
    limited,
    listed,
    loaf,
    main,
    names,
    opened,
    order,
    screen_text,
    shows,
)
from tests.tui.stage import eventually, until

pytestmark = pytest.mark.anyio


async def test_runs_of_other_apps_are_below_those_that_have_started_them(
    live: Client,
) -> None:
    with Engine(live.home, "bakery", workflows=[loaf], durability="process") as other:
        other.client.workflows.invoke("loaf", run_id="alone").result()
        live.workflows.invoke("buys", run_id="b").result()
        async with opened(live) as pilot:
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
    with Engine(live.home, "bakery", workflows=[loaf], durability="process"):
        live.workflows.invoke("shops", run_id="s").result()
        async with opened(live) as pilot:
            await until(pilot, lambda: names(pilot) == ["shops"])
            await pilot.press("right")
            await until(pilot, lambda: names(pilot) == ["shops", "order", "buys"])
            await pilot.press("down", "down", "right")
            await until(pilot, lambda: names(pilot)[3:] == ["loaf"])
            assert main(pilot).runs.items[3].depth == 2


async def test_a_run_whose_parent_is_not_listed_is_listed_by_itself(
    live: Client,
) -> None:
    with Engine(live.home, "bakery", workflows=[loaf], durability="process"):
        live.workflows.invoke("buys", run_id="b").result()
        async with opened(live, app="bakery") as pilot:
            await until(pilot, lambda: names(pilot) == ["loaf"])
        async with opened(live) as pilot:
            await until(pilot, lambda: names(pilot) == ["buys"])
            await pilot.press("slash", *"app:bakery", "enter")
            await until(pilot, lambda: names(pilot) == ["loaf"])


async def test_lists_the_runs_of_all_apps_newest_first(market: Path) -> None:
    with Engine(market, "bakery", workflows=[order], durability="process") as other:
        other.client.workflows.invoke("order").result()
    async with opened(market) as pilot:
        await listed(pilot, 4)
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
    async with opened(live) as pilot:
        await shows(pilot, "event payment")
        await asyncio.to_thread(live.events.send, "payment", "cash", run="w")
        await shows(pilot, "'cash'")
        await shows(pilot, "✓ 1 completed")


async def test_says_that_nobody_executes_a_run(market: Path) -> None:
    with Engine(market, "market", workflows=WORKFLOWS, durability="process") as engine:
        handle = engine.client.workflows.invoke("waits")
        eventually(lambda: bool(handle.run.waiting))
    async with opened(market) as pilot:
        await shows(pilot, "no engine")


async def test_the_cursor_stays_on_its_run_when_others_come(live: Client) -> None:
    for number in range(60):
        live.workflows.invoke("order", run_id=f"old-{number}").result()
    async with opened(live, (80, 20)) as pilot:
        await listed(pilot, 60)
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
    async with opened(live, (80, 20)) as pilot:
        await listed(pilot, 1)
        live.workflows.invoke("order", run_id="new").result()
        await listed(pilot, 2)
        runs = main(pilot).runs
        assert runs.items[0].key == ("market", "new")
        assert runs.item is not None
        assert runs.item.key == ("market", "old")


async def test_child_runs_are_folded_under_their_parent(market: Path) -> None:
    async with opened(market) as pilot:
        await listed(pilot, 3)
        main(pilot).runs.find(("market", "family"))
        await pilot.press("right")
        await listed(pilot, 5)
        depths = [entry.depth for entry in main(pilot).runs.items]
        assert depths == [0, 0, 1, 1, 0]
        await pilot.press("down", "left")
        assert main(pilot).runs.cursor == 1
        await pilot.press("left")
        await listed(pilot, 3)


async def test_older_runs_are_read_when_the_end_comes_near(live: Client) -> None:
    handles = live.workflows.invoke_many("order", [{"n": n} for n in range(450)])
    for handle in handles:
        handle.result()
    async with opened(live, (80, 20)) as pilot:
        await listed(pilot, 200)
        await pilot.press("end")
        await listed(pilot, 400)
        await pilot.press("end")
        await listed(pilot, 450)
        assert len({entry.key for entry in main(pilot).runs.items}) == 450


async def test_a_queued_run_says_why_in_the_list(home: Path) -> None:
    with Engine(home, "market", workflows=[limited], durability="process") as engine:
        for number in range(3):
            engine.client.workflows.invoke("limited", run_id=f"l-{number}")
        async with opened(home) as pilot:
            await shows(pilot, "till, place 1")
            await shows(pilot, "till, place 2")


async def test_a_deleted_run_leaves_the_list(market: Path) -> None:
    with Engine(market, "market", workflows=WORKFLOWS, durability="process") as engine:
        async with opened(market) as pilot:
            await listed(pilot, 3)
            await asyncio.to_thread(engine.client.runs.delete, "broken")
            await until(pilot, lambda: names(pilot) == ["parent", "order"])

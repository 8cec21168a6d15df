"""A list of runs that stays open."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from nbflow import Client, Context, Engine, StoreReplaced, workflow
from nbflow.client import homes
from nbflow.client.listing import Listing


@workflow(app="lists")
async def child(ctx: Context, n: int = 0) -> int:
    return await ctx.run("same", lambda: n)


@workflow(app="lists")
async def family(ctx: Context) -> int:
    return await ctx.invoke("one", child, {"n": 1})


@workflow(app="lists")
async def waits(ctx: Context) -> None:
    await ctx.wait_for_event("go", "go")


def make(home: Path, *ids: str) -> Client:
    with Engine(
        home, "lists", workflows=[child, family, waits], durability="process"
    ) as engine:
        for run_id in ids:
            engine.client.workflows.invoke("child", run_id=run_id).result()
    return Client(home, "lists")


def ids(runs: list) -> list[str]:
    return [run.run_id for run in runs]


def test_pages_go_from_the_newest_to_the_oldest(home: Path) -> None:
    listing = make(home, "a", "b", "c").runs.listing()
    assert ids(listing.older(2)) == ["c", "b"]
    assert not listing.is_whole
    assert ids(listing.older(2)) == ["a"]
    assert listing.is_whole
    assert listing.older() == []


def test_newer_gives_what_was_made_since_and_nothing_twice(home: Path) -> None:
    listing = make(home, "a").runs.listing()
    assert listing.newer() == []
    assert ids(listing.older()) == ["a"]
    make(home, "b", "c")
    assert ids(listing.newer()) == ["c", "b"]
    assert listing.newer() == []
    assert listing.is_whole


def test_an_empty_list_takes_what_comes(home: Path) -> None:
    listing = Client(home, "lists").runs.listing()
    assert listing.older() == []
    assert not home.exists()
    make(home, "a")
    assert ids(listing.older()) == ["a"]


def test_top_leaves_out_the_children_and_counts_them(home: Path) -> None:
    with Engine(home, "lists", workflows=[child, family]) as engine:
        engine.client.workflows.invoke("family", run_id="f").result()
        listing = engine.client.runs.listing(top=True)
        assert ids(listing.older()) == ["f"]
        assert listing.children(["f"]) == {"f": 1}
        (one,) = engine.client.runs.listing(parent="f").older()
        assert listing.children([one.run_id]) == {}


def test_again_gives_records_as_they_are_now(home: Path) -> None:
    with Engine(home, "lists", workflows=[child, waits]) as engine:
        client = engine.client
        handle = client.workflows.invoke("waits", run_id="w")
        listing = client.runs.listing()
        client.runs.get("w")  # it is committed
        assert ids(listing.older()) == ["w"]
        client.runs.cancel("w")
        with pytest.raises(Exception, match="canceled"):
            handle.result()
        assert listing.again(["w", "gone"])["w"].status == "canceled"
        client.runs.delete("w")
        assert listing.again(["w"]) == {}


def test_one_damaged_run_does_not_hide_the_others(home: Path) -> None:
    client = make(home, "a", "b")
    with closing(sqlite3.connect(home / "lists" / "store.db")) as store:
        store.execute("UPDATE event SET data = x'7b7d' WHERE run = 1")
        store.commit()
    good, bad = client.runs.listing().older()
    assert good.error is None
    assert bad.error is not None
    assert bad.error.type == "StoreDamaged"
    assert "changed outside of nbflow" in bad.error.message


def test_another_store_in_the_same_place_is_said(home: Path, tmp_path: Path) -> None:
    listing = make(home, "a").runs.listing()
    listing.older()
    make(tmp_path / "other", "x")
    for end in ("-wal", "-shm"):
        (home / "lists" / f"store.db{end}").unlink(missing_ok=True)
    (tmp_path / "other" / "lists" / "store.db").replace(home / "lists" / "store.db")
    with pytest.raises(StoreReplaced, match="list them anew"):
        listing.newer()


def test_counts_and_stamp_tell_of_changes(home: Path) -> None:
    client = Client(home, "lists")
    assert client.runs.counts() == {}
    assert client.stamp() is None
    make(home, "a")
    before = client.stamp()
    assert client.runs.counts() == {"completed": 1}
    assert client.stamp() == before
    make(home, "b")
    after = client.stamp()
    assert before is not None
    assert after is not None
    assert after != before
    assert after[0] == before[0]
    assert client.runs.counts() == {"completed": 2}


def test_is_served_as_long_as_an_engine_is_alive(home: Path) -> None:
    client = make(home, "a")
    assert not client.is_served()
    with Engine(home, "lists", workflows=[child]):
        assert client.is_served()
    assert not client.is_served()


def test_homes_name_the_apps_that_have_a_store(home: Path) -> None:
    assert homes.apps(home) == []
    make(home, "a")
    assert homes.apps(home) == ["lists"]
    assert homes.find_home(home) == home


def test_a_listing_of_a_store_in_memory(home: Path) -> None:
    assert isinstance(Client(home, "none").runs.listing(), Listing)

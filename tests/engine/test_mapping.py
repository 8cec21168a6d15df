"""`ctx.map` tells how many items it has, where not all of them begin at once."""

import asyncio
from typing import Any

import pytest

from nbflow import Context
from nbflow._store.payload import from_json
from tests.engine.lab import Lab

MANY = 100


async def triple(n: int) -> int:
    await asyncio.sleep(1)
    return 3 * n


async def main(ctx: Context, items: int, limit: int = 32) -> int:
    return len(await ctx.map("triple", triple, range(items), limit=limit))


def totals(lab: Lab, run_id: str) -> list[tuple[str | None, Any]]:
    """What the run's maps have told, in order."""
    return [
        (event.step, from_json(event.data)["total"])
        for event in lab.events(run_id)
        if event.type == "progress"
    ]


def test_a_map_with_items_that_wait_tells_its_total_first() -> None:
    lab = Lab(main)
    run_id = lab.start("main", items=MANY)
    assert lab.wait_for_end(run_id).value == MANY
    assert totals(lab, run_id) == [("triple", MANY)]
    types = [event.type for event in lab.events(run_id)]
    assert types.index("progress") < types.index("step.started")
    lab.end()


@pytest.mark.parametrize(("items", "limit"), [(0, 32), (32, 32), (MANY, MANY)])
def test_a_map_whose_items_all_begin_records_nothing_more(
    items: int, limit: int
) -> None:
    lab = Lab(main)
    run_id = lab.start("main", items=items, limit=limit)
    assert lab.wait_for_end(run_id).value == items
    assert totals(lab, run_id) == []
    lab.end()


def test_a_total_is_told_once_over_crashes() -> None:
    lab = Lab(main)
    run_id = lab.start("main", items=MANY)
    for commits in (2, 4, 3):
        assert lab.wait(run_id, commits=commits) is None
        lab = lab.crash()
        assert lab.recover() == [run_id]
    assert lab.wait_for_end(run_id).value == MANY
    assert totals(lab, run_id) == [("triple", MANY)]
    lab.end()


def test_an_edited_number_of_items_is_told_again() -> None:
    is_edited = False

    async def main(ctx: Context) -> int:
        many = 2 * MANY if is_edited else MANY
        done = await ctx.map("triple", triple, range(many))
        if not is_edited:
            raise LookupError("the list is not complete")
        return len(done)

    lab = Lab(main)
    run_id = lab.start("main")
    assert lab.wait_for_end(run_id).status == "failed"
    is_edited = True
    lab.resume(run_id)
    assert lab.wait_for_end(run_id).value == 2 * MANY
    assert totals(lab, run_id) == [("triple", MANY), ("triple", 2 * MANY)]
    lab.end()


def test_each_map_of_one_id_tells_its_own_total() -> None:
    async def main(ctx: Context) -> None:
        for many in (40, 50):
            await ctx.map("triple", triple, range(many))

    lab = Lab(main)
    run_id = lab.start("main")
    lab.wait_for_end(run_id)
    assert [total for _, total in totals(lab, run_id)] == [40, 50]
    lab.end()


def test_a_total_that_was_told_is_no_step_that_a_killed_run_waits_for() -> None:
    async def main(ctx: Context) -> None:
        await ctx.map("triple", triple, range(40))
        await asyncio.sleep(1e6)  # an engine that is killed here is killed by the body

    lab = Lab(main)
    run_id = lab.start("main")
    for _ in range(6):
        lab.let(100)
        lab = lab.crash()
        lab.recover()
    ending = lab.wait_for_end(run_id)
    assert ending.error is not None
    assert ending.error["type"] == "RecoveryLimit"
    assert len(totals(lab, run_id)) == 1
    lab.end()

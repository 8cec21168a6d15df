"""kill -9 at any moment: an engine that is killed again and again loses nothing."""

import json
import os
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbflow._store.base import RunRow
from nbflow._store.payload import from_json
from nbflow._store.reader import SqliteReader
from nbflow.client import Client
from nbflow.client.records import verify_run
from nbflow.model import EventType, step_label
from tests.crash import victim

KILLS_ANYWHERE = 60
KILLS_AT_POINTS = 28
POINTS = ("before-begin", "before-commit", "committed", "after-commit")
OUTCOMES = (EventType.STEP_COMPLETED, EventType.STEP_FAILED)
ROOT = Path(__file__).parents[2]


class Nursery:
    """Engines that are killed one after the other, and what is known of their work."""

    def __init__(self, folder: Path, durability: str) -> None:
        self.home = folder / ".nbflow"
        self.app_dir = self.home / victim.APP
        self.notes = folder / "notes"
        self.errors = folder / "errors"
        self.durability = durability
        self.committed: set[tuple[str, str]] = set()
        self.acknowledged: dict[tuple[str, str], str] = {}
        self.invoked: set[str] = set()
        self.lives = self.kills = self.executed = 0
        self._read = 0
        self._settled: set[int] = set()
        with self.errors.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, victim.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def life(self, **order: Any) -> int:
        """One life; its exit code, and everything checked that it has left."""
        self.lives += 1
        order |= {
            "home": str(self.home),
            "notes": str(self.notes),
            "durability": self.durability,
            "first": len(self.invoked),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline() or "1")
        self.kills += code == -9
        self.check()
        return code

    def complaints(self) -> list[str]:
        """What engines have logged, but for the slowness of this machine."""
        slow = ("slow disk", "has blocked the engine's loop")
        lines = self.errors.read_text().splitlines()
        return [line for line in lines if not any(each in line for each in slow)]

    def check(self) -> None:
        """Compare what was noted in this life with the store before and after it."""
        ran, got = self._read_notes()
        again = [each for each in ran if each in self.committed]
        assert not again, f"executed although the outcome was committed: {again}"
        self.executed += len(ran)
        self._read_store()
        lost = {key for key in got if key not in self.committed}
        assert not lost, f"handed to a body and not in the store: {lost}"

    def _read_notes(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        if not self.notes.exists():
            return [], []
        with self.notes.open() as file:
            file.seek(self._read)
            lines = file.read().splitlines()
            self._read = file.tell()
        ran, got = [], []
        for line in lines:
            kind, run_id, *rest = line.split(" ", 3)
            if kind == "new":
                self.invoked.add(run_id)
                continue
            key = run_id, rest[0]
            if kind == "ran":
                assert key not in self.acknowledged, f"{key} ran after its outcome"
                ran.append(key)
            else:
                value = self.acknowledged.setdefault(key, rest[1])
                assert value == rest[1], f"{key}: {value}, later {rest[1]}"
                got.append(key)
        return ran, got

    def _read_store(self) -> None:
        reader = SqliteReader(self.app_dir)
        try:
            for row in all_rows(reader):
                if row.n in self._settled:
                    continue
                for event in reader.events(row.n):
                    if event.type in OUTCOMES and event.step is not None:
                        id = step_label(event.step).rpartition("/")[2]
                        self.committed.add((row.id, id))
                if row.ended is not None:
                    self._settled.add(row.n)
        finally:
            reader.close()

    def idle(self) -> int:
        """Lives without an outcome that some run has behind it."""
        if not (self.app_dir / "store.db").exists():
            return 0
        reader = SqliteReader(self.app_dir)
        try:
            return victim.idle_recoveries(reader)
        finally:
            reader.close()


def all_rows(reader: SqliteReader, **filters: Any) -> Iterator[RunRow]:
    cursor = None
    while True:
        page = reader.runs(limit=1_000, cursor=cursor, **filters)
        yield from page.rows
        cursor = page.cursor
        if cursor is None:
            return


@pytest.fixture(params=["power", "process"])
def nursery(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Nursery]:
    nursery = Nursery(tmp_path, request.param)
    yield nursery
    nursery.close()


def moments(nursery: Nursery, chance: random.Random) -> Iterator[dict[str, Any]]:
    """When to kill: anywhere, and at the points of a commit, in turn."""
    points = [POINTS[i % len(POINTS)] for i in range(KILLS_AT_POINTS)]
    plan = [None] * KILLS_ANYWHERE + points
    chance.shuffle(plan)
    for point in plan:
        # A run is given up after five lives that brought it nothing.
        if nursery.idle() >= 2:
            yield {"calm": True}
        if point is None:
            yield {"after": chance.uniform(0.02, 0.3)}
        else:
            yield {"point": point, "count": chance.randint(1, 40)}


def test_nothing_is_lost_and_nothing_is_done_again(nursery: Nursery) -> None:
    chance = random.Random(11)
    for order in moments(nursery, chance):
        code = nursery.life(**order)
        assert code == -9, "\n".join(nursery.complaints())
    assert nursery.kills >= KILLS_ANYWHERE + KILLS_AT_POINTS

    assert nursery.life(last=True) == 0, "\n".join(nursery.complaints())

    assert nursery.complaints() == []
    assert check_store(nursery.app_dir) == "ok"
    check_runs(nursery)
    print(
        f"{nursery.kills} kills, {len(nursery.invoked)} runs, "
        f"{len(nursery.committed)} steps, {nursery.executed} executions"
    )


def check_store(app_dir: Path) -> str:
    connection = sqlite3.connect(app_dir / "store.db")
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


def check_runs(nursery: Nursery) -> None:
    """Every run completed, with its result, its chain whole and its own children."""
    reader = SqliteReader(nursery.app_dir)
    runs = Client(nursery.home, victim.APP).runs
    ids = set()
    for row in all_rows(reader):
        ids.add(row.id)
        assert row.status == "completed", str(runs.get(row.id).error)
        events = reader.events(row.n)
        verify_run(row, events)
        assert [event.idx for event in events] == list(range(1, len(events) + 1))
        outcomes = Counter(e.step for e in events if e.type in OUTCOMES)
        assert set(outcomes.values()) <= {1}
        ends = [e for e in events if e.type == EventType.RUN_COMPLETED]
        assert len(ends) == 1
        if row.parent is None:
            number = int(row.id.rpartition("-")[2])
            assert runs.get(row.id).result == victim.RESULTS[row.workflow](number)
        children = Counter(child.parent_step for child in reader.children(row.n))
        assert set(children.values()) <= {1}
        assert len(children) == victim.CHILDREN.get(row.workflow, 0)
        named = [
            from_json(event.data)["child_run_id"]
            for event in events
            if event.type == EventType.STEP_INVOKING
            # Awaiting a started one names it again.
            and not str(event.step).endswith(".result")
        ]
        assert len(named) == len(set(named)) == len(children)
    reader.close()
    assert nursery.invoked <= ids

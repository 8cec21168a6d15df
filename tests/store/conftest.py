import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nbflow._store.base import Batch, EventRow, RunRow, RunUpdate
from nbflow._store.memory import MemoryReader, MemoryStore
from nbflow._store.reader import SqliteReader
from nbflow._store.sqlite import SqliteWriter

ROOT = Path(__file__).parents[2]


def make_run(n: int, **changes: Any) -> RunRow:
    values: dict[str, Any] = dict.fromkeys(RunRow._fields)
    values |= {
        "n": n,
        "id": f"run-{n}",
        "workflow": "summarize",
        "definition": "1:abc",
        "status": "running",
        "root": n,
        "depth": 0,
        "input": b"{}",
        "attempt": 1,
        "recoveries": 0,
        "created": 1_000_000 + n,
    }
    return RunRow(**(values | changes))


def make_event(run: int, idx: int, **changes: Any) -> EventRow:
    values: dict[str, Any] = {
        "run": run,
        "idx": idx,
        "tx": idx,
        "type": "step.completed",
        "at": 1_000_000 + idx,
        "step": "fetch",
        "attempt": 1,
        "mark": b"0123456789",
        "digest": run.to_bytes(8, "big") + idx.to_bytes(8, "big"),
        "data": b'{"_value":1}',
    }
    return EventRow(**(values | changes))


def make_batch(**parts: list[Any]) -> Batch:
    batch = Batch()
    for name, rows in parts.items():
        setattr(batch, name, rows)
    return batch


def make_update(row: RunRow, **changes: Any) -> RunUpdate:
    values = {name: getattr(row, name) for name in RunUpdate._fields}
    return RunUpdate(**(values | changes))


@pytest.fixture
def rows() -> Any:
    """Makers of rows and batches, as attributes."""

    class Rows:
        run = staticmethod(make_run)
        event = staticmethod(make_event)
        batch = staticmethod(make_batch)
        update = staticmethod(make_update)

    return Rows


@pytest.fixture
def app_dir(tmp_path: Path) -> Path:
    return tmp_path / ".nbflow" / "app"


@pytest.fixture
def writer(app_dir: Path) -> Iterator[SqliteWriter]:
    """A writer of a new store that commits without waiting for the disk."""
    writer = SqliteWriter(app_dir, "process")
    yield writer
    writer.close()


class OnDisk:
    """A store on disk and how to come back to it."""

    def __init__(self, app_dir: Path) -> None:
        self._app_dir = app_dir
        self.opened: list[SqliteWriter | SqliteReader] = []
        self.writer = self._add(SqliteWriter(app_dir, "process"))

    def _add(self, one: Any) -> Any:
        self.opened.append(one)
        return one

    def reader(self) -> SqliteReader:
        return self._add(SqliteReader(self._app_dir))

    def take_over(self) -> SqliteWriter:
        return self._add(SqliteWriter(self._app_dir, "process"))


class InMemory:
    """A store in memory and how to come back to it."""

    def __init__(self) -> None:
        self.writer = MemoryStore()
        self.opened: list[MemoryStore | MemoryReader] = [self.writer]

    def reader(self) -> MemoryReader:
        return self.writer.reader()

    def take_over(self) -> MemoryStore:
        return self.writer.crash()


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, app_dir: Path) -> Iterator[Any]:
    """Each kind of store: `.writer`, `.reader()`, `.take_over()`."""
    store = OnDisk(app_dir) if request.param == "disk" else InMemory()
    yield store
    for one in reversed(store.opened):
        one.close()


@pytest.fixture
def python() -> Callable[..., "subprocess.Popen[str]"]:
    """Start code in another Python process; it may import the project and this file."""

    def start(code: str, *args: object) -> "subprocess.Popen[str]":
        path = [str(ROOT), str(Path(__file__).parent)]
        prelude = f"import sys; sys.path[:0] = {path!r}\n"
        return subprocess.Popen(
            [sys.executable, "-c", prelude + code, *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def integrity(path: Path) -> str:
    """What SQLite's own check says of a database that nobody writes."""
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


@pytest.fixture
def check_integrity() -> Callable[[Path], str]:
    return integrity

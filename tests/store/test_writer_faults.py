"""Commits that fail, or seem to: nothing is lost, doubled or left unknown."""

import os
import sqlite3

import pytest

from nbflow._store import sqlite, wal
from nbflow._store.sqlite import SqliteWriter
from nbflow.errors import EngineNotInherited, StoreDamaged, StoreError, StoreFull


class Faults:
    """Raises once (or `times` times) when the named point is reached."""

    def __init__(self) -> None:
        self.point = ""
        self.error: BaseException | None = None
        self.times = 0
        self.seen: list[str] = []

    def arm(self, point: str, error: BaseException, times: int = 1) -> None:
        self.point, self.error, self.times = point, error, times

    def __call__(self, point: str) -> None:
        self.seen.append(point)
        if point == self.point and self.times:
            self.times -= 1
            assert self.error is not None
            raise self.error


def sqlite_error(name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(f"injected {name}")
    error.sqlite_errorname = name
    error.sqlite_errorcode = getattr(sqlite3, name)
    return error


@pytest.fixture
def faults():
    return Faults()


@pytest.fixture
def faulty(app_dir, faults, rows):
    """A writer with one run and one event, and faults to come."""
    writer = SqliteWriter(app_dir, "process", faults=faults)
    writer.commit(rows.batch(runs=[rows.run(1)], events=[rows.event(1, 1)]))
    faults.seen.clear()
    yield writer
    writer.close()


def test_points_come_in_order(faulty, faults, rows):
    faulty.commit(rows.batch(events=[rows.event(1, 2)]))
    assert faults.seen == ["before-begin", "before-commit", "committed", "after-commit"]


@pytest.mark.parametrize("point", ["before-begin", "before-commit"])
def test_an_interrupt_before_commit_leaves_nothing(faulty, faults, rows, point):
    faults.arm(point, KeyboardInterrupt())
    batch = rows.batch(events=[rows.event(1, 2)])
    with pytest.raises(KeyboardInterrupt):
        faulty.commit(batch)
    assert faulty.head(1) == 1

    faulty.commit(batch)

    assert faulty.head(1) == 2


@pytest.mark.parametrize("name", ["SQLITE_IOERR_WRITE", "SQLITE_FULL", "SQLITE_ERROR"])
def test_a_commit_that_raised_but_is_stored_counts(faulty, faults, rows, name):
    faults.arm("committed", sqlite_error(name))

    faulty.commit(rows.batch(events=[rows.event(1, 2), rows.event(1, 3)]))

    assert faulty.head(1) == 3
    faulty.commit(rows.batch(events=[rows.event(1, 4)]))
    assert faulty.head(1) == 4


@pytest.mark.parametrize(
    "batch",
    [
        {"runs": [2]},
        {"updates": [1]},
        {"deletes": [1]},
        {"commands": [("c", 1, b"{}")]},
    ],
)
@pytest.mark.parametrize("point", ["before-commit", "committed"])
def test_batches_without_events_survive_a_failed_commit(
    faulty, faults, rows, batch, point
):
    from nbflow._store.base import CommandRow

    parts = {
        "runs": [rows.run(n) for n in batch.get("runs", [])],
        "updates": [
            rows.update(rows.run(n), status="failed") for n in batch.get("updates", [])
        ],
        "deletes": batch.get("deletes", []),
        "commands": [CommandRow(*row) for row in batch.get("commands", [])],
    }
    faults.arm(point, sqlite_error("SQLITE_IOERR_WRITE"))

    faulty.commit(rows.batch(**parts))

    assert (faulty.run("run-2") is not None) == bool(parts["runs"])
    assert (faulty.run("run-1") is None) == bool(parts["deletes"])
    assert faulty.command("c") == (b"{}" if parts["commands"] else None)


def test_a_write_that_fails_once_is_tried_again(faulty, faults, rows):
    faults.arm("before-commit", sqlite_error("SQLITE_IOERR_WRITE"))

    faulty.commit(rows.batch(events=[rows.event(1, 2)]))

    assert faulty.head(1) == 2


def test_a_write_that_keeps_failing_ends_the_writer(faulty, faults, rows):
    faults.arm("before-commit", sqlite_error("SQLITE_IOERR_WRITE"), times=99)

    for _ in range(2):
        with pytest.raises(StoreError, match="disk reported an error"):
            faulty.commit(rows.batch(events=[rows.event(1, 2)]))

    assert faulty.head(1) == 1


@pytest.mark.parametrize("point", ["before-commit", "committed"])
def test_a_failed_sync_is_final(faulty, faults, rows, point):
    faults.arm(point, sqlite_error("SQLITE_IOERR_FSYNC"))

    with pytest.raises(StoreError, match="failed to confirm a write"):
        faulty.commit(rows.batch(events=[rows.event(1, 2)]))
    with pytest.raises(StoreError, match="failed to confirm a write"):
        faulty.commit(rows.batch(events=[rows.event(1, 2)]))


def test_closing_after_a_failed_sync_leaves_the_log_as_it_is(
    faulty, faults, rows, app_dir
):
    faults.arm("before-commit", sqlite_error("SQLITE_IOERR_FSYNC"))
    with pytest.raises(StoreError):
        faulty.commit(rows.batch(events=[rows.event(1, 2)]))
    log = (app_dir / "store.db-wal").read_bytes()

    faulty.close()

    assert (app_dir / "store.db-wal").read_bytes() == log


def test_a_full_disk_is_not_final(faulty, faults, rows):
    faults.arm("before-commit", sqlite_error("SQLITE_FULL"))
    batch = rows.batch(events=[rows.event(1, 2)])
    with pytest.raises(StoreFull, match=r"[0-9,]+ bytes are free, about [0-9,]+"):
        faulty.commit(batch)
    assert faulty.head(1) == 1

    faulty.commit(batch)

    assert faulty.head(1) == 2


def test_damage_found_while_writing_ends_the_writer(faulty, faults, rows):
    faults.arm("before-begin", sqlite_error("SQLITE_CORRUPT"))
    for _ in range(2):
        with pytest.raises(StoreDamaged, match="damaged"):
            faulty.commit(rows.batch(events=[rows.event(1, 2)]))


def test_a_lock_of_another_program_is_waited_for(faulty, faults, rows):
    faults.arm("before-begin", sqlite_error("SQLITE_BUSY"), times=20)
    faulty.commit(rows.batch(events=[rows.event(1, 2)]))
    assert faulty.head(1) == 2


def test_a_lock_that_stays_is_named(app_dir, rows, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TRIES", 1)
    writer = SqliteWriter(app_dir, "process")
    other = sqlite3.connect(app_dir / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreError, match="another program keeps the database locked"):
        writer.commit(rows.batch(runs=[rows.run(1)]))

    other.execute("ROLLBACK")
    other.close()
    writer.close()


def test_the_log_stays_small_in_an_engine_that_is_never_idle(app_dir, rows):
    writer = SqliteWriter(app_dir, "process")
    writer.commit(rows.batch(runs=[rows.run(1)]))
    largest = 0
    for idx in range(1, 8000):
        writer.commit(rows.batch(events=[rows.event(1, idx, data=b"x" * 1000)]))
        if idx % 500 == 0:
            largest = max(largest, (app_dir / "store.db-wal").stat().st_size)
    writer.close()

    assert largest < 12 * 1024 * 1024


def test_a_large_log_is_cut_when_idle(app_dir, rows):
    writer = SqliteWriter(app_dir, "process")
    events = [rows.event(1, i, data=b"x" * 8000) for i in range(1, 1200)]
    writer.commit(rows.batch(runs=[rows.run(1)], events=events))
    wal = app_dir / "store.db-wal"

    writer.maintain()

    assert wal.stat().st_size <= 4 * 1024 * 1024
    assert writer.head(1) == 1199
    writer.close()


def test_a_reader_that_pins_the_log_stops_nothing(app_dir, rows):
    writer = SqliteWriter(app_dir, "process")
    writer.commit(rows.batch(runs=[rows.run(1)]))
    pin = sqlite3.connect(f"file:{app_dir}/store.db?mode=ro", uri=True)
    pin.execute("BEGIN")
    pin.execute("SELECT * FROM run").fetchall()
    for idx in range(1, 3000):
        writer.commit(rows.batch(events=[rows.event(1, idx, data=b"x" * 3000)]))
    writer.maintain()
    pin.close()

    writer.maintain()

    assert (app_dir / "store.db-wal").stat().st_size == wal.SIZE
    writer.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
class TestForked:
    CODE = r"""
import os
from pathlib import Path
from conftest import *
from nbflow.errors import EngineNotInherited
app_dir = Path(sys.argv[1])
writer = SqliteWriter(app_dir, "process")
if sys.argv[2] == "open":
    reader = SqliteReader(app_dir)
writer.commit(make_batch(runs=[make_run(1)], events=[make_event(1, 1)]))
read, write = os.pipe()
child = os.fork()
if not child:
    os.read(read, 1)  # until the parent has closed its writer
    for use in (
        lambda: writer.commit(make_batch(events=[make_event(1, 3)])),
        lambda: writer.run("run-1"),
        writer.maintain,
    ):
        try:
            use()
        except EngineNotInherited:
            pass
        else:
            os._exit(3)
    writer.close()
    if sys.argv[2] == "open":
        assert reader.head(1) == 2, reader.head(1)
        reader.close()
    sys.exit(0)  # with all finalisers
if sys.argv[2] == "open":
    writer.commit(make_batch(events=[make_event(1, 2)]))
else:
    # Another engine has left a log when the child runs its finalisers.
    writer.close()
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "import os\n"
        "from pathlib import Path\n"
        "from conftest import *\n"
        "writer = SqliteWriter(Path(sys.argv[1]), 'process')\n"
        "writer.commit(make_batch(events=[make_event(1, 2)]))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(app_dir)])
    assert done.returncode == -9
os.write(write, b"x")
assert os.waitpid(child, 0)[1] == 0
if sys.argv[2] == "open":
    writer.commit(make_batch(events=[make_event(1, 3)]))
    os.kill(os.getpid(), 9)
"""

    @pytest.mark.parametrize("parent", ["closed", "open"])
    def test_a_child_can_neither_use_nor_harm_it(self, app_dir, python, parent):
        from nbflow._store.reader import SqliteReader

        process = python(self.CODE, app_dir, parent)
        _, err = process.communicate()
        assert err == ""

        reader = SqliteReader(app_dir)
        assert reader.head(1) == (2 if parent == "closed" else 3)
        reader.close()

    def test_the_error_says_what_to_do(self, writer):
        assert issubclass(EngineNotInherited, StoreError)
        writer.after_fork()
        with pytest.raises(EngineNotInherited, match="'spawn' or 'forkserver'"):
            writer.maintain()

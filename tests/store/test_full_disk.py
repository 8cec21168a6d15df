"""A full disk: nothing is lost, and the writer goes on when there is space."""

import os
import subprocess

import pytest

from nbflow._store.reader import SqliteReader
from nbflow._store.sqlite import SqliteWriter
from nbflow.errors import StoreError, StoreFull

MIB = 1024 * 1024


def fill_up(writer, rows, first=1):
    """Commit until there is no space; how many events were stored."""
    idx = first
    while True:
        try:
            writer.commit(
                rows.batch(events=[rows.event(1, idx, data=os.urandom(5000))])
            )
        except StoreFull:
            return idx - 1
        idx += 1


def test_a_page_limit_is_reported_and_lifted(writer, rows):
    writer.commit(rows.batch(runs=[rows.run(1)]))
    writer._connection.execute("PRAGMA max_page_count = 60").fetchall()
    stored = fill_up(writer, rows)
    assert stored == writer.head(1) > 10

    writer._connection.execute("PRAGMA max_page_count = 100000").fetchall()

    writer.commit(rows.batch(events=[rows.event(1, stored + 1)]))
    assert writer.head(1) == stored + 1


def test_a_full_disk_is_survived_with_the_ballast(small_disk, rows, check_integrity):
    app_dir = small_disk / ".nbflow" / "app"
    writer = SqliteWriter(app_dir)
    assert (app_dir / "ballast").stat().st_blocks * 512 >= 4 * MIB
    writer.commit(rows.batch(runs=[rows.run(1)]))

    stored = fill_up(writer, rows)
    reader = SqliteReader(app_dir)
    assert reader.head(1) == stored > 100
    reader.close()
    paused = rows.batch(events=[rows.event(1, stored + 1, data=b"x" * 60_000)])
    with pytest.raises(StoreFull, match=r"store\.db: no space left"):
        writer.commit(paused)

    assert writer.release_ballast()
    assert not writer.release_ballast()
    writer.commit(paused)
    assert writer.head(1) == stored + 1
    assert not writer.restore_ballast()
    writer.close()
    assert check_integrity(app_dir / "store.db") == "ok"


def test_space_that_is_freed_is_used(small_disk, rows):
    big = small_disk / "somebody-elses"
    big.write_bytes(bytes(8 * MIB))
    writer = SqliteWriter(small_disk / ".nbflow" / "app")
    writer.commit(rows.batch(runs=[rows.run(1)]))
    stored = fill_up(writer, rows)

    big.unlink()
    writer.commit(rows.batch(events=[rows.event(1, stored + 1)]))

    assert [e.idx for e in writer.events(1)] == list(range(1, stored + 2))
    assert writer.restore_ballast()
    writer.close()


def test_no_store_is_made_on_a_full_disk(small_disk):
    (small_disk / "filler").write_bytes(bytes(16 * MIB - 8 * 4096))
    app_dir = small_disk / ".nbflow" / "app"

    with pytest.raises(StoreFull, match="no space left"):
        SqliteWriter(app_dir)

    assert [p.name for p in app_dir.iterdir()] == []


def test_a_blob_that_does_not_fit_leaves_nothing(small_disk):
    from hashlib import sha256

    writer = SqliteWriter(small_disk / ".nbflow" / "app")
    data = bytes(20 * MIB)
    with pytest.raises(StoreFull, match="20,971,520 are needed"):
        writer.put_blob(sha256(data).hexdigest(), data)
    assert list((writer.path / "blobs").iterdir()) == []
    writer.close()


def test_a_read_only_disk_is_named(small_disk, rows):
    app_dir = small_disk / ".nbflow" / "app"
    SqliteWriter(app_dir).close()
    command = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(command, check=True)

    with pytest.raises(StoreError, match="cannot be written") as caught:
        SqliteWriter(app_dir)

    assert type(caught.value).__name__ == "StoreReadOnly"
    reader = SqliteReader(app_dir)
    assert reader.counts() == {}
    reader.close()


SIZE_LIMIT = """
import resource
from pathlib import Path
from conftest import *
from nbflow.errors import StoreFull
writer = SqliteWriter(Path(sys.argv[1]))
writer.commit(make_batch(runs=[make_run(1)]))
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
idx = 1
while True:
    batch = make_batch(events=[make_event(1, idx, data=b"x" * 3000)])
    try:
        writer.commit(batch)
    except StoreFull:
        break
    idx += 1
assert writer.head(1) == idx - 1 > 10, (writer.head(1), idx)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
writer.commit(batch)
writer.close()
print(idx)
"""


def test_a_size_limit_counts_as_a_full_disk(app_dir, python):
    out, err = python(SIZE_LIMIT, app_dir).communicate()
    assert err == ""

    reader = SqliteReader(app_dir)
    assert reader.head(1) == int(out)
    reader.close()

import os
import threading

import pytest

from nbflow._store.reader import SqliteReader
from nbflow.errors import NotAStore, StoreReadOnly

is_root = hasattr(os, "geteuid") and os.geteuid() == 0
needs_root = pytest.mark.skipif(not is_root, reason="needs to become another user")


@pytest.fixture
def reader(writer, app_dir):
    reader = SqliteReader(app_dir)
    yield reader
    reader.close()


def test_it_sees_each_commit_as_soon_as_it_is_made(writer, reader, rows):
    writer.commit(rows.batch(runs=[rows.run(1)]))
    for idx in range(1, 50):
        writer.commit(rows.batch(events=[rows.event(1, idx)]))
        assert reader.head(1) == idx


def test_it_keeps_no_hold_on_the_log(writer, reader, rows, app_dir):
    writer.commit(rows.batch(runs=[rows.run(1)]))
    for idx in range(1, 6000):
        writer.commit(rows.batch(events=[rows.event(1, idx, data=b"x" * 800)]))
        if idx % 100 == 0:
            reader.events(1, after=idx - 10)

    assert (app_dir / "store.db-wal").stat().st_size < 16 * 1024 * 1024


def test_it_cannot_write(reader):
    with pytest.raises(StoreReadOnly):
        reader._all("DELETE FROM run")


def test_any_thread_may_ask(writer, reader, rows):
    writer.commit(rows.batch(runs=[rows.run(1)], events=[rows.event(1, 1)]))
    found = []

    def ask():
        found.extend(reader.head(1) for _ in range(200))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [1] * 800


def test_a_store_left_by_a_kill_is_read_whole(app_dir, rows, python):
    process = python(
        "import os\n"
        "from pathlib import Path\n"
        "from conftest import *\n"
        "writer = SqliteWriter(Path(sys.argv[1]), 'process')\n"
        "writer.commit(make_batch(runs=[make_run(1)], events=[make_event(1, 1)]))\n"
        "os.kill(os.getpid(), 9)\n",
        app_dir,
    )
    process.communicate()
    assert process.returncode == -9

    reader = SqliteReader(app_dir)

    assert reader.events(1) == [rows.event(1, 1)]
    reader.close()


READ_AS_STRANGER = """
import os
from pathlib import Path
from nbflow._store import opening
from nbflow._store.reader import SqliteReader
from nbflow.errors import NbflowError
opening._expected()  # the project's files may be out of reach afterwards
os.setgid(12345); os.setuid(12345)
try:
    reader = SqliteReader(Path(sys.argv[1]))
    print(reader.head(1), reader.stamp() == reader.stamp())
    reader.close()
except NbflowError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def shown(tmp_path, app_dir):
    """Let everybody look into the store's folders and file."""

    def show():
        for folder in (tmp_path, *tmp_path.parents):
            if str(folder) in ("/", "/tmp"):
                break
            folder.chmod(0o755)
        for path in [app_dir.parent, *app_dir.parent.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)

    return show


@needs_root
def test_another_user_reads_a_closed_store(writer, app_dir, rows, shown, python):
    writer.commit(rows.batch(runs=[rows.run(1)], events=[rows.event(1, 1)]))
    writer.close()
    shown()

    out, err = python(READ_AS_STRANGER, app_dir).communicate()

    assert (out, err) == ("1 True\n", "")
    assert sorted(os.listdir(app_dir)) == ["ballast", "store.db"]


@needs_root
def test_another_user_reads_beside_an_engine(writer, app_dir, rows, shown, python):
    writer.commit(rows.batch(runs=[rows.run(1)], events=[rows.event(1, 1)]))
    shown()

    out, err = python(READ_AS_STRANGER, app_dir).communicate()

    assert (out, err) == ("1 True\n", "")


@needs_root
def test_another_user_is_told_why_a_left_log_keeps_him_out(
    writer, app_dir, rows, shown, python
):
    writer.commit(rows.batch(runs=[rows.run(1)]))
    writer.close()
    (app_dir / "store.db-wal").write_bytes(b"frames")
    shown()

    out, err = python(READ_AS_STRANGER, app_dir).communicate()

    assert (out[:13], err) == ("StoreReadOnly", "")


def test_a_missing_store_is_named(app_dir):
    with pytest.raises(NotAStore, match=str(app_dir)):
        SqliteReader(app_dir)

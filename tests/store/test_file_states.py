"""Opening files in every state they can be found in; refusing changes none of them."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from nbflow._store import opening
from nbflow._store.reader import SqliteReader
from nbflow._store.sqlite import SqliteWriter
from nbflow.errors import (
    NotAStore,
    StoreDamaged,
    StoreError,
    StoreReplaced,
    StoreTooNew,
    UnsafeStore,
)

is_root = hasattr(os, "geteuid") and os.geteuid() == 0
needs_root = pytest.mark.skipif(not is_root, reason="changes owners or users")


@pytest.fixture
def used(app_dir, rows):
    """The database of a store with some history, cleanly closed."""
    writer = SqliteWriter(app_dir, "process")
    events = [rows.event(1, i, data=b"x" * 900) for i in range(1, 60)]
    writer.commit(rows.batch(runs=[rows.run(1)], events=events))
    writer.close()
    return app_dir / "store.db"


def run_sql(path, *statements):
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement).fetchall()
    connection.close()


def refused(path: Path, error: type[StoreError], match: str) -> None:
    """Writer and reader refuse with that error; the file keeps every byte."""
    before = path.read_bytes() if path.exists() else None
    for kind in (SqliteWriter, SqliteReader):
        with pytest.raises(error, match=match):
            kind(path.parent)
    assert (path.read_bytes() if path.exists() else None) == before


class TestCreation:
    def test_files_are_their_users_only_whatever_the_umask(self, app_dir, rows):
        old = os.umask(0)
        try:
            writer = SqliteWriter(app_dir, "process")
            writer.commit(rows.batch(runs=[rows.run(1)]))
            writer.put_blob(
                "3608bca1e44ea6c4d268eb6db02260269892c0b42b86bbf1e77a6fa16c3c9282",
                b"y",
            )
            made = [app_dir.parent, *app_dir.parent.rglob("*")]
            modes = {p: stat.S_IMODE(p.stat().st_mode) for p in made}
            writer.close()
        finally:
            os.umask(old)

        assert {p.name for p in made} >= {"store.db", "store.db-wal", ".gitignore"}
        assert all(
            mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items()
        )

    def test_git_sees_nothing_of_it(self, writer, app_dir):
        assert (app_dir.parent / ".gitignore").read_text() == "*\n"

    def test_the_database_says_what_it_is(self, used):
        connection = sqlite3.connect(used)
        assert connection.execute("PRAGMA application_id").fetchone() == (0x4E42464C,)
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.close()

    def test_nothing_but_the_database_is_left_by_a_clean_close(self, used):
        assert sorted(os.listdir(used.parent)) == ["ballast", "store.db"]

    def test_an_odd_folder_name_is_no_part_of_the_address(self, tmp_path, rows):
        app_dir = tmp_path / "a?mode=memory#%41 ä" / ".nbflow" / "app"
        writer = SqliteWriter(app_dir, "process")
        writer.commit(rows.batch(runs=[rows.run(1)]))
        writer.close()

        assert (app_dir / "store.db").stat().st_size
        reader = SqliteReader(app_dir)
        assert reader.run("run-1")
        reader.close()

    def test_a_reader_makes_nothing(self, app_dir):
        with pytest.raises(NotAStore, match="no store"):
            SqliteReader(app_dir)
        assert not app_dir.parent.exists()

    @pytest.mark.parametrize("left", ["-wal", "-journal"])
    def test_no_new_database_is_made_beside_the_log_of_a_lost_one(self, used, left):
        used.unlink()
        used.with_name(f"store.db{left}").write_bytes(b"frames")

        refused(used, StoreError, "is missing|no store")
        with pytest.raises(StoreDamaged, match="put the database back"):
            SqliteWriter(used.parent)

    def test_a_store_that_was_removed_whole_begins_anew(self, used):
        reader = SqliteReader(used.parent)
        uid = reader.uid
        reader.close()
        used.unlink()

        writer = SqliteWriter(used.parent, "process")

        assert (writer.uid != uid, writer.next_run) == (True, 1)
        writer.close()


class TestForeignAndDamaged:
    def test_a_text_file(self, used):
        used.write_text("these are my notes\n" * 99)
        refused(used, NotAStore, "not a database")

    def test_an_empty_file(self, used):
        used.write_bytes(b"")
        refused(used, NotAStore, "is empty")

    def test_an_empty_file_beside_its_old_wal(self, used):
        wal = used.with_name("store.db-wal")
        wal.write_bytes(b"left over")
        used.write_bytes(b"")

        refused(used, NotAStore, "is empty")
        assert wal.read_bytes() == b"left over"

    def test_a_database_of_another_program(self, used):
        used.unlink()
        run_sql(used, "CREATE TABLE notes (text)", "INSERT INTO notes VALUES ('mine')")
        refused(used, NotAStore, "another program")

    def test_a_store_of_a_newer_version(self, used):
        run_sql(used, "PRAGMA user_version = 9")
        refused(used, StoreTooNew, "version 9; this one reads up to 1")

    def test_a_version_that_never_was(self, used):
        run_sql(used, "PRAGMA user_version = 0")
        refused(used, StoreDamaged, "never was")

    def test_a_newer_file_format(self, used):
        data = bytearray(used.read_bytes())
        data[18:20] = b"\x09\x09"
        used.write_bytes(data)
        refused(used, StoreError, "store.db")

    def test_a_zeroed_header(self, used):
        data = bytearray(used.read_bytes())
        data[:100] = bytes(100)
        used.write_bytes(data)
        refused(used, NotAStore, "header is damaged")

    def test_a_truncated_file(self, used):
        data = used.read_bytes()
        used.write_bytes(data[: len(data) // 2 // 4096 * 4096])
        with pytest.raises(StoreDamaged, match="damaged"):
            SqliteWriter(used.parent)

    def test_a_zeroed_page(self, used):
        data = bytearray(used.read_bytes())
        data[-4096:] = bytes(4096)
        used.write_bytes(data)
        before = used.read_bytes()
        with pytest.raises(StoreDamaged, match="damaged"):
            SqliteWriter(used.parent)
        assert used.read_bytes() == before

    def test_the_tables_are_known_without_making_them(self, used):
        connection = sqlite3.connect(used)
        assert opening.digest(opening._objects(connection)) == opening._DIGEST
        connection.close()

    def test_a_missing_index(self, used):
        run_sql(used, "DROP INDEX run_status")
        refused(used, StoreDamaged, "index run_status is missing")

    @pytest.mark.parametrize(
        ("statement", "name"),
        [
            (
                "CREATE TRIGGER spy AFTER INSERT ON event BEGIN DELETE FROM run; END",
                "trigger spy",
            ),
            ("CREATE VIEW trap AS SELECT 1", "view trap"),
            ("CREATE TABLE extra (x)", "table extra"),
            ("CREATE INDEX slow ON event (data)", "index slow"),
        ],
    )
    def test_objects_that_no_nbflow_made(self, used, statement, name):
        run_sql(used, statement)
        refused(used, UnsafeStore, name)

    def test_statistics_of_a_user_do_no_harm(self, used):
        run_sql(used, "ANALYZE")
        SqliteWriter(used.parent).close()

    def test_a_garbage_wal_is_passed_over(self, used):
        used.with_name("store.db-wal").write_bytes(b"garbage" * 999)
        writer = SqliteWriter(used.parent, "process")
        assert writer.head(1) == 59
        writer.close()


class TestPlantedFiles:
    def test_a_linked_database(self, used, tmp_path):
        target = tmp_path / "elsewhere.db"
        used.rename(target)
        used.symlink_to(target)
        refused(used, UnsafeStore, "symbolic link")

    def test_a_dangling_link(self, used, tmp_path):
        used.unlink()
        used.symlink_to(tmp_path / "made-outside")
        for kind in (SqliteWriter, SqliteReader):
            with pytest.raises((UnsafeStore, NotAStore)):
                kind(used.parent)
        assert not (tmp_path / "made-outside").exists()

    def test_a_hard_link(self, used, tmp_path):
        os.link(used, tmp_path / "second-name")
        refused(used, UnsafeStore, "2 names")

    @pytest.mark.parametrize("end", ["-wal", "-shm", "-journal"])
    def test_a_linked_companion(self, used, tmp_path, end):
        target = tmp_path / "precious"
        target.write_text("keep")
        used.with_name(f"store.db{end}").symlink_to(target)
        refused(used, UnsafeStore, "symbolic link")
        assert target.read_text() == "keep"

    def test_a_folder_in_place_of_the_database(self, used):
        used.unlink()
        used.mkdir()
        with pytest.raises(UnsafeStore, match="not a regular file"):
            SqliteWriter(used.parent)

    @pytest.mark.parametrize("depth", [0, 1])
    def test_linked_folders(self, used, tmp_path, depth):
        folder = used.parents[depth]
        target = tmp_path / "target"
        folder.rename(target)
        folder.symlink_to(target)
        with pytest.raises(UnsafeStore, match="symbolic link"):
            SqliteWriter(used.parent)

    @pytest.mark.parametrize("depth", [0, 1])
    def test_folders_that_all_may_write_to(self, used, depth):
        used.parents[depth].chmod(0o777)
        with pytest.raises(UnsafeStore, match="everybody may write"):
            SqliteWriter(used.parent)

    def test_a_file_in_place_of_the_folder(self, tmp_path):
        (tmp_path / ".nbflow").write_text("hello")
        with pytest.raises(NotAStore, match="not a folder"):
            SqliteWriter(tmp_path / ".nbflow" / "app")

    @needs_root
    @pytest.mark.parametrize("name", ["store.db", "."])
    def test_a_stranger_s_store_is_read_but_not_written(self, used, name):
        os.chown(used.parent / name, 12345, 12345)
        with pytest.raises(UnsafeStore, match="belongs to user 12345"):
            SqliteWriter(used.parent)
        reader = SqliteReader(used.parent)
        assert reader.head(1) == 59
        reader.close()


class TestReplacedWhileOpen:
    def swap(self, used, how):
        if how == "deleted":
            used.unlink()
        elif how == "renamed":
            used.rename(used.with_name("aside.db"))
        elif how == "folder":
            used.parent.rename(used.parent.with_name("aside"))
        elif how == "replaced":
            copy = used.with_name("copy.db")
            copy.write_bytes(used.read_bytes())
            copy.replace(used)
        else:
            used.with_name("store.db-wal").unlink()

    @pytest.mark.parametrize(
        "how", ["deleted", "renamed", "folder", "replaced", "wal deleted"]
    )
    def test_the_writer_stops_at_once_and_for_good(self, used, rows, tmp_path, how):
        writer = SqliteWriter(used.parent, "process")
        writer.commit(rows.batch(events=[rows.event(1, 60)]))
        self.swap(used, how)

        for idx in (61, 62):
            with pytest.raises(StoreReplaced, match="restart the kernel"):
                writer.commit(rows.batch(events=[rows.event(1, idx)]))
        with pytest.raises(StoreReplaced):
            writer.maintain()

        writer.rescue(tmp_path / "rescued.db")
        rescued = sqlite3.connect(tmp_path / "rescued.db")
        assert rescued.execute("SELECT max(idx) FROM event").fetchone()[0] >= 60
        rescued.close()
        writer.close()

    def test_closing_leaves_the_new_database_and_its_wal_alone(self, used, rows):
        old = SqliteWriter(used.parent, "process")
        old.commit(rows.batch(events=[rows.event(1, 60)]))
        for end in ("", "-wal", "-shm"):
            used.with_name(f"store.db{end}").unlink()
        new = SqliteWriter(used.parent, "process")
        new.commit(rows.batch(runs=[rows.run(1)]))

        with pytest.raises(StoreReplaced):
            old.commit(rows.batch(events=[rows.event(1, 61)]))
        old.close()

        assert used.with_name("store.db-wal").exists()
        reader = SqliteReader(used.parent)
        assert reader.run("run-1")
        reader.close()
        new.close()

    def test_a_writer_that_was_idle_notices_when_closed(self, used):
        writer = SqliteWriter(used.parent, "process")
        used.unlink()
        used.write_text("something else")
        writer.close()
        assert used.read_text() == "something else"

    def test_a_reader_follows_to_the_new_store(self, used, rows, tmp_path):
        other = SqliteWriter(tmp_path / ".nbflow" / "other", "process")
        other.commit(rows.batch(runs=[rows.run(1, id="another")]))
        other.close()
        reader = SqliteReader(used.parent)
        uid, stamp = reader.uid, reader.stamp()

        (other.path / "store.db").replace(used)

        assert reader.stamp() != stamp
        assert reader.run("another")
        assert reader.uid == other.uid != uid
        reader.close()

    def test_a_reader_of_a_deleted_store_says_so_and_comes_back(self, used):
        reader = SqliteReader(used.parent)
        aside = used.rename(used.with_name("aside.db"))
        with pytest.raises(NotAStore, match="no store is there"):
            reader.runs()

        aside.rename(used)

        assert reader.head(1) == 59
        reader.close()


class TestShortenedHistory:
    def test_an_older_copy_lacks_what_was_noted(self, used, rows):
        older = used.read_bytes()
        writer = SqliteWriter(used.parent, "process")
        assert writer.mark() is None
        writer.commit(rows.batch(events=[rows.event(1, 60)]))
        mark = writer.mark()
        assert not writer.lacks(mark)
        writer.close()
        used.write_bytes(older)

        writer = SqliteWriter(used.parent, "process")

        assert writer.lacks(mark)
        writer.close()

    def test_a_changed_event_is_not_the_one_noted(self, used, rows):
        writer = SqliteWriter(used.parent, "process")
        writer.commit(rows.batch(events=[rows.event(1, 60)]))
        mark = writer.mark()
        assert writer.lacks(mark._replace(digest="00"))
        writer.close()

    def test_a_deleted_run_is_no_loss(self, used, rows):
        writer = SqliteWriter(used.parent, "process")
        writer.commit(rows.batch(runs=[rows.run(2)], events=[rows.event(2, 1)]))
        mark = writer.mark()
        writer.commit(rows.batch(deletes=[2]))
        assert not writer.lacks(mark)
        assert writer.lacks(mark._replace(run=3))
        writer.close()


def test_the_schema_that_is_compared_is_the_one_that_is_made(used):
    connection = sqlite3.connect(used)
    opening.verify(connection, used, whole=True)
    connection.close()

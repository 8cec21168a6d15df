"""The write-ahead log has room ahead, and what is behind its end does no harm."""

from nbflow._store import wal
from nbflow._store.reader import SqliteReader
from nbflow._store.sqlite import SqliteWriter


def test_a_writer_lengthens_its_log_ahead(app_dir, rows):
    writer = SqliteWriter(app_dir)
    log = app_dir / "store.db-wal"
    assert log.stat().st_size == wal.SIZE
    writer.commit(rows.batch(runs=[rows.run(1)], events=[rows.event(1, 1)]))
    assert log.stat().st_size == wal.SIZE
    writer.close()
    assert not log.exists()


def test_readers_see_what_is_committed_before_the_zeros(app_dir, rows):
    writer = SqliteWriter(app_dir)
    reader = SqliteReader(app_dir)
    for idx in range(1, 50):
        runs = [rows.run(1)] if idx == 1 else []
        writer.commit(rows.batch(runs=runs, events=[rows.event(1, idx)]))
        assert reader.head(1) == idx
    reader.close()
    writer.close()


def test_too_little_space_is_no_error(app_dir, rows, monkeypatch):
    monkeypatch.setattr(wal, "free_bytes", lambda folder: wal.SIZE)
    writer = SqliteWriter(app_dir)
    assert (app_dir / "store.db-wal").stat().st_size < wal.SIZE
    writer.commit(rows.batch(runs=[rows.run(1)], events=[rows.event(1, 1)]))
    writer.close()


def test_a_log_that_is_missing_is_left_to_sqlite(tmp_path):
    wal.preallocate(tmp_path / "store.db-wal")
    assert not (tmp_path / "store.db-wal").exists()

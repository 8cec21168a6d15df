"""Out-of-line values of deleted runs are removed, all others stay."""

import os
import time
from hashlib import sha256
from pathlib import Path

import pytest

from nbflow import Client, Context, Engine, workflow
from nbflow._store import inbox
from nbflow._store.blobs import Blobs
from nbflow._store.sqlite import SqliteWriter

HOURS = 2 * 3600
DATA = b"value" * 5000
DIGEST = sha256(DATA).hexdigest()


@workflow(app="big")
async def big(ctx: Context, text: str) -> list[bytes]:
    await ctx.run("log", repeat, text)
    return [text.encode() * 2]


def repeat(text: str) -> str:
    return text + "!"


def age(folder: Path) -> None:
    """Let all blobs be of two hours ago."""
    for path in (folder / "blobs").iterdir():
        then = path.stat().st_mtime - HOURS
        os.utime(path, (then, then))


def until_gone(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while os.listdir(folder / "blobs"):
        assert time.monotonic() < deadline, os.listdir(folder / "blobs")
        time.sleep(0.01)


def swept(folder: Path) -> int:
    writer = SqliteWriter(folder, "process")
    try:
        return writer.sweep()
    finally:
        writer.close()


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "big"


def test_what_deleted_runs_alone_have_named_goes(home: Path, folder: Path) -> None:
    with Engine(home, "big", [big]) as engine:
        runs = engine.client.workflows
        gone = runs.invoke("big", input={"text": "gone" * 5_000})
        kept = runs.invoke("big", input={"text": "kept" * 5_000})
        results = gone.result(60), kept.result(60)
        before = set(os.listdir(folder / "blobs"))
        engine.client.runs.delete(gone.run_id)
    assert swept(folder) == 0, "they are new"
    age(folder)
    removed = swept(folder)
    left = set(os.listdir(folder / "blobs"))
    assert removed == len(before - left) == len(left) > 0
    client = Client(home, "big")
    assert client.runs.handle(kept.run_id).result(1) == results[1]
    assert client.runs.get(kept.run_id).input == {"text": "kept" * 5_000}
    assert client.runs.step(kept.run_id, "log").result.startswith("kept")


def test_without_a_delete_nothing_is_looked_at(writer: SqliteWriter) -> None:
    writer.put_blob(DIGEST, DATA)
    age(writer.path)
    assert Blobs(writer.path / "blobs").all() == [DIGEST]
    assert swept(writer.path) == 0
    assert writer.get_blob(DIGEST) == DATA


@pytest.fixture
def orphan(writer: SqliteWriter, rows) -> SqliteWriter:
    """A store with an old value that a deleted run has left."""
    data = b'{"_blob":"%s"}' % DIGEST.encode()
    Blobs(writer.path / "blobs").put(DIGEST, DATA)
    event = rows.event(1, 1, data=data)
    writer.commit(rows.batch(runs=[rows.run(1)], events=[event]))
    writer.commit(rows.batch(deletes=[1]))
    age(writer.path)
    return writer


def test_an_orphan_is_removed_once(orphan: SqliteWriter) -> None:
    assert orphan.sweep() == 1
    assert orphan.sweep() == 0
    assert os.listdir(orphan.path / "blobs") == []


def test_what_is_put_again_stays(orphan: SqliteWriter) -> None:
    Blobs(orphan.path / "blobs").put(DIGEST, DATA)  # as another process would
    assert orphan.sweep() == 0
    assert orphan.get_blob(DIGEST) == DATA


def test_what_this_engine_has_put_stays(orphan: SqliteWriter) -> None:
    orphan.put_blob(DIGEST, DATA)
    age(orphan.path)
    assert orphan.sweep() == 0


def test_what_was_put_long_ago_and_removed_is_put_again(
    orphan: SqliteWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Blobs(orphan.path / "blobs")  # of another process, which goes on
    with monkeypatch.context() as patch:
        then = time.time() - HOURS
        patch.setattr("time.time", lambda: then)
        client.put(DIGEST, DATA)
    age(orphan.path)
    assert orphan.sweep() == 1
    client.put(DIGEST, DATA)
    assert orphan.get_blob(DIGEST) == DATA


def test_what_a_waiting_command_names_stays(orphan: SqliteWriter) -> None:
    inbox.put(orphan.path, inbox.encode({"input": {"$part": DIGEST}}))
    assert orphan.sweep() == 0


def test_what_a_large_value_names_stays(orphan: SqliteWriter, rows) -> None:
    text = b'["%s"]' % DIGEST.encode()
    outer = sha256(text).hexdigest()
    orphan.put_blob(outer, text)
    event = rows.event(2, 1, data=b'{"_args_blob":"%s"}' % outer.encode())
    orphan.commit(rows.batch(runs=[rows.run(2)], events=[event]))
    assert orphan.sweep() == 0
    orphan.commit(rows.batch(deletes=[2]))
    assert orphan.sweep() == 1


def test_an_engine_sweeps_by_itself(home: Path, folder: Path) -> None:
    with Engine(home, "big", [big]) as engine:
        handle = engine.client.workflows.invoke("big", input={"text": "gone" * 5_000})
        handle.result(60)
        engine.client.runs.delete(handle.run_id)
    age(folder)
    with Engine(home, "big", [big]):
        until_gone(folder)

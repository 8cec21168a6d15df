import signal
import stat

import pytest

from nbflow._store import inbox
from nbflow._store.paths import make_app
from nbflow.errors import NotAStore, PayloadTooLarge


@pytest.fixture
def folder(app_dir):
    make_app(app_dir)
    return app_dir / "inbox"


def test_commands_are_taken_in_the_order_they_were_put(app_dir, folder):
    ids = [inbox.put(app_dir, {"kind": "cancel", "n": n}) for n in range(20)]

    taken = inbox.take(app_dir)

    assert [found[0] for found in taken] == ids == sorted(ids)
    assert [found[1]["n"] for found in taken] == list(range(20))


def test_they_stay_until_they_are_removed(app_dir, folder):
    inbox.put(app_dir, {"kind": "a"})
    first = inbox.take(app_dir)

    assert inbox.take(app_dir) == first
    inbox.remove([found.path for found in first])
    inbox.remove([found.path for found in first])
    assert inbox.take(app_dir) == []


def test_a_slice_holds_the_oldest(app_dir, folder):
    ids = [inbox.put(app_dir, {}) for _ in range(5)]
    assert [found[0] for found in inbox.take(app_dir, limit=2)] == ids[:2]


def test_files_are_their_users_only(app_dir, folder):
    inbox.put(app_dir, {"secret": 1})
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_is_no_command_is_moved_aside(app_dir, folder):
    good = inbox.put(app_dir, {"kind": "good"})
    bad = {
        "00000000000000000001-0123456789abcdef.json": b"{half",
        "00000000000000000002-0123456789abcdef.json": b"[1]",
        "00000000000000000003-0123456789abcdef.json": b"\xff\xfe",
        "00000000000000000004-0123456789abcdef.json": b"[" * 100_000,
        "notes.txt": b"{}",
    }
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    (folder / "00000000000000000005-0123456789abcdef.json").symlink_to("/etc/hosts")
    (folder / "00000000000000000006-0123456789abcdef.json").mkdir()

    with (folder / "00000000000000000007-0123456789abcdef.json").open("wb") as file:
        file.truncate(inbox.LARGEST + 1)

    *refused, last = inbox.take(app_dir)
    assert (last.id, last.command) == (good, {"kind": "good"})
    assert [found.command for found in refused] == [None] * 7
    assert [found.problem.split(":")[0] for found in refused] == [
        "is not JSON",
        "is no JSON object",
        "is not JSON",
        "is not JSON",
        "is a symbolic link",
        "is no file",
        "has 64.0 MiB, an engine takes at most 64.0 MiB",
    ]
    assert inbox.reject([found.path for found in refused]) == []
    assert [found.id for found in inbox.take(app_dir)] == [good]

    assert {path.name for path in (folder / "rejected").iterdir()} >= set(bad)
    assert len(list((folder / "rejected").iterdir())) == len(bad) + 3


def test_a_command_that_no_engine_would_read_is_not_put(app_dir, folder):
    with pytest.raises(PayloadTooLarge, match=r"64\.0 MiB is larger than the 64"):
        inbox.put(app_dir, {"input": "x" * inbox.LARGEST})
    assert inbox.take(app_dir) == []


def test_put_again_under_its_id_it_is_the_same_command(app_dir, folder):
    id = inbox.new_id()
    assert not inbox.holds(app_dir, id)
    for _ in range(2):
        assert inbox.put(app_dir, {"kind": "x"}, id=id) == id
    assert inbox.holds(app_dir, id)
    assert [found.id for found in inbox.take(app_dir)] == [id]


def test_only_json_can_be_put(app_dir, folder):
    for command in ({"x": object()}, {"x": float("nan")}):
        with pytest.raises((TypeError, ValueError)):
            inbox.put(app_dir, command)
    assert inbox.take(app_dir) == []


def test_an_app_without_a_folder_has_no_inbox(app_dir):
    assert inbox.take(app_dir) == []
    with pytest.raises(NotAStore, match="no store"):
        inbox.put(app_dir, {})


PUT = """
import os
from pathlib import Path
from nbflow._store import inbox
def faults(point):
    if point == sys.argv[2]:
        os.kill(os.getpid(), 9)
inbox.put(Path(sys.argv[1]), {"kind": "x"}, faults=faults)
"""


@pytest.mark.parametrize(
    ("point", "count"), [("inbox-written", 0), ("inbox-renamed", 1)]
)
def test_a_crash_while_putting_leaves_a_whole_command_or_none(
    app_dir, folder, python, point, count
):
    process = python(PUT, app_dir, point)
    process.communicate()
    assert process.returncode == -signal.SIGKILL

    assert [found[1] for found in inbox.take(app_dir)] == [{"kind": "x"}] * count


def test_a_crash_between_commit_and_removal_repeats_nothing(
    app_dir, writer, rows, folder
):
    from nbflow._store.base import CommandRow

    command_id = inbox.put(app_dir, {"kind": "x"})
    writer.commit(rows.batch(commands=[CommandRow(command_id, 1, b"{}")]))

    (found,) = inbox.take(app_dir)

    assert writer.command(found.id) == b"{}"
    inbox.remove([found.path])

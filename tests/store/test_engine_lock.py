import datetime as dt
import os
import socket

import pytest

from nbflow._store.base import HeadMark
from nbflow._store.lock import EngineLock, holder
from nbflow.errors import EngineBusy, EngineNotInherited, UnsafeStore

HOLD = """
from pathlib import Path
from nbflow._store.lock import EngineLock
lock = EngineLock(Path(sys.argv[1]), notebook="work.ipynb", now=1_700_000_000_000_000)
lock.mark(uid="u", epoch=4)
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def held(app_dir, python):
    """The process that holds the lock."""
    process = python(HOLD, app_dir)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_holder_in_another_process_is_named(app_dir, held):
    with pytest.raises(EngineBusy, match="One engine serves an app") as caught:
        EngineLock(app_dir)

    error = caught.value
    since = dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC)
    assert (error.pid, error.host) == (held.pid, socket.gethostname())
    assert (error.since, error.notebook) == (since, "work.ipynb")
    assert f"process {held.pid} on " in str(error)
    assert "(work.ipynb) since 2023-11-14 22:13:20 UTC" in str(error)


def test_anybody_can_ask_who_holds_it(app_dir, held):
    found = holder(app_dir)

    assert found is not None
    assert (found.pid, found.notebook, found.epoch) == (held.pid, "work.ipynb", 4)
    assert not found.is_gone


def test_a_kill_frees_it_at_once(app_dir, held):
    held.kill()
    held.communicate()

    assert holder(app_dir) is None
    lock = EngineLock(app_dir)
    assert (lock.former.pid, lock.former.epoch) == (held.pid, 4)
    assert lock.former.is_gone
    lock.release()


def test_releasing_lets_the_next_one_in(app_dir):
    lock = EngineLock(app_dir)
    lock.mark(uid="u", epoch=9, latest=HeadMark(1, 2, "ab"))
    with pytest.raises(EngineBusy):
        EngineLock(app_dir)
    lock.release()
    lock.release()

    assert holder(app_dir) is None
    following = EngineLock(app_dir)
    assert (following.former.pid, following.former.epoch) == (None, 9)
    assert following.former.latest == HeadMark(1, 2, "ab")
    following.release()


def test_asking_makes_nothing(app_dir):
    assert holder(app_dir) is None
    assert not app_dir.exists()


def test_asking_all_the_time_keeps_no_engine_out(app_dir, python):
    EngineLock(app_dir).release()
    asker = python(
        "from pathlib import Path\n"
        "from nbflow._store.lock import holder\n"
        "print('asking', flush=True)\n"
        "while True: holder(Path(sys.argv[1]))\n",
        app_dir,
    )
    asker.stdout.readline()
    for _ in range(50):
        EngineLock(app_dir).release()
    asker.kill()
    asker.communicate()


def test_a_deleted_lock_file_is_noticed(app_dir):
    lock = EngineLock(app_dir)
    assert lock.is_held()
    (app_dir / "engine.lock").unlink()
    assert not lock.is_held()
    lock.release()
    assert not lock.is_held()


@pytest.mark.parametrize("content", [b"", b"\0\0", b"[1]", b'{"pid": 7, "new": 1}'])
def test_any_content_is_only_a_name(app_dir, content):
    EngineLock(app_dir).release()
    (app_dir / "engine.lock").write_bytes(content)

    lock = EngineLock(app_dir)

    assert lock.former.pid in (None, 7)
    assert holder(app_dir).pid == os.getpid()
    lock.release()


def test_a_linked_lock_file_is_refused(app_dir, tmp_path):
    EngineLock(app_dir).release()
    (app_dir / "engine.lock").rename(tmp_path / "target")
    (app_dir / "engine.lock").symlink_to(tmp_path / "target")

    with pytest.raises(UnsafeStore, match="symbolic link"):
        EngineLock(app_dir)


FORK = """
import os
from pathlib import Path
from nbflow._store.lock import EngineLock
lock = EngineLock(Path(sys.argv[1]))
child = os.fork()
if not child:
    os.close(1); os.close(2)
    sys.stdin.readline()
    os._exit(0)
print(child, flush=True)
os.kill(os.getpid(), 9)
"""


def test_it_does_not_outlive_the_engine_in_a_forked_child(app_dir, python):
    process = python(FORK, app_dir)
    child = int(process.stdout.readline())
    process.wait()
    os.kill(child, 0)

    EngineLock(app_dir).release()
    process.communicate("go\n")


def test_a_child_cannot_release_it(app_dir):
    lock = EngineLock(app_dir)
    fd = os.dup(lock._fd)
    lock.after_fork()

    with pytest.raises(EngineNotInherited):
        lock.release()

    assert not lock.is_held()
    assert holder(app_dir) is not None
    os.close(fd)

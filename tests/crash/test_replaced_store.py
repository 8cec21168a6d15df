"""The store, or the engine's place in it, is taken away: nobody is told a lie."""

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbflow import (
    Engine,
    EngineBusy,
    EngineNotInherited,
    StoreReplaced,
)
from nbflow._store.sqlite import SqliteWriter
from nbflow.client import Client, RunHandle
from tests.crash import server
from tests.crash.server import APP, RUN, WORKFLOWS


class Live:
    """An engine in this process, with a run that waits for the file `go`."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.folder = folder
        self.engine = Engine(home, APP, WORKFLOWS).start()
        self.path = home / APP
        given = {"folder": str(folder), "count": 2, "size": 8}
        invoke = self.engine.client.workflows.invoke
        self.handle: RunHandle[Any] = invoke("long", input=given, run_id=RUN)

    def go(self) -> None:
        (self.folder / "go").touch()


@pytest.fixture
def live(home: Path, tmp_path: Path, eventually: Any) -> Iterator[Live]:
    live = Live(home, tmp_path)
    eventually((tmp_path / "gated").exists)
    yield live
    live.engine.close()


def delete(path: Path) -> None:
    (path / "store.db").unlink()


def delete_all(path: Path) -> None:
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        (path / name).unlink()


def delete_folder(path: Path) -> None:
    shutil.rmtree(path)


def rename_folder(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def rename_home(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def restore_copy(path: Path) -> None:
    """As a backup tool does: a copy is put in the store's place."""
    shutil.copy(path / "store.db", path / "copy")
    (path / "copy").replace(path / "store.db")


def make_anew(path: Path) -> None:
    delete_all(path)
    SqliteWriter(path).close()


@pytest.mark.parametrize(
    "harm",
    [
        delete,
        delete_all,
        delete_folder,
        rename_folder,
        rename_home,
        restore_copy,
        make_anew,
    ],
    ids=lambda harm: harm.__name__,
)
def test_a_store_that_was_taken_away_is_named_and_not_served(live, harm):
    harm(live.path)
    live.go()

    with pytest.raises(StoreReplaced, match="was deleted, moved or replaced") as caught:
        live.handle.result(timeout=60)
    assert str(live.path / "store.db") in str(caught.value)
    host = live.engine._host
    with pytest.raises(StoreReplaced):
        host.invoke(server.short.spec, {})
    with pytest.raises(StoreReplaced):
        host.call(lambda: None)


def test_what_is_put_in_the_place_of_a_store_is_not_written(live):
    make_anew(live.path)
    before = (live.path / "store.db").read_bytes()
    live.go()
    with pytest.raises(StoreReplaced):
        live.handle.result(timeout=60)

    live.engine.close()

    assert (live.path / "store.db").read_bytes() == before
    with Engine(live.path.parent, APP, WORKFLOWS) as other:
        assert other.client.runs.list() == []


def test_a_second_engine_in_another_process_is_told_who_holds_the_app(serve, home):
    served = serve()

    with pytest.raises(
        EngineBusy, match=r"one engine serves|One engine serves"
    ) as caught:
        Engine(home, APP, WORKFLOWS).start()

    assert caught.value.pid == served.process.pid
    assert caught.value.host == socket.gethostname()
    assert f"process {served.process.pid} on {socket.gethostname()}" in str(
        caught.value
    )
    served.go()
    assert served.ask("result") == "24"


def test_a_second_engine_in_this_process_is_told_so(live, home):
    with pytest.raises(EngineBusy) as caught:
        Engine(home, APP, WORKFLOWS).start()
    assert caught.value.pid == os.getpid()


def test_an_engine_that_was_stopped_lets_the_next_one_in(live, eventually):
    delete(live.path)
    live.go()
    with pytest.raises(StoreReplaced):
        live.handle.result(timeout=60)

    eventually(lambda: not live.engine._host._thread.is_alive())

    shutil.rmtree(live.path)
    with Engine(live.path.parent, APP, WORKFLOWS) as other:
        handle = other.client.workflows.invoke("short")
        assert handle.result(timeout=60) == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_is_refused_and_harms_nothing(live):
    def refused(call: Any) -> str:
        try:
            call()
        except EngineNotInherited as error:
            return str(error)
        except BaseException as error:
            return f"raised {error!r}"
        return "went through"

    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # no pytest in here
        answers = [
            refused(lambda: live.engine.client.workflows.invoke("short")),
            refused(lambda: live.handle.result(timeout=1)),
            refused(lambda: live.handle.cancel()),
            refused(lambda: live.engine._host.call(lambda: None)),
        ]
        os.write(writing, "\n".join(answers).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answers = pipe.read().decode().splitlines()
    os.waitpid(child, 0)

    assert len(answers) == 4
    assert all(f"belongs to process {os.getpid()}" in each for each in answers), answers
    live.go()
    assert live.handle.result(timeout=60) == 16


def test_an_engine_that_slept_through_its_replacement_is_fenced(
    serve, home, eventually
):
    frozen = serve()
    # Its last commit for now: asleep in the next, it would hold the database's lock.
    eventually(lambda: Client(home, APP).runs.steps(RUN))
    os.kill(frozen.process.pid, signal.SIGSTOP)
    # The lock of a process that only sleeps is not free: somebody has to break it.
    (home / APP / "engine.lock").unlink()
    heir = serve()
    heir.go()
    assert heir.ask("result") == "24"
    events = Client(home, APP).runs.events(RUN)

    os.kill(frozen.process.pid, signal.SIGCONT)

    assert frozen.ask("result") == "24"  # the truth, from the store
    answer = frozen.ask("state")
    assert answer.startswith("EngineFenced:"), answer
    assert "another engine took this store over" in answer
    assert Client(home, APP).runs.events(RUN) == events
    assert frozen.ask("invoke") == "1"  # as a client of the heir


def test_an_engine_whose_epoch_is_over_stops_at_its_next_commit(live):
    other = SqliteWriter(live.path)
    live.go()

    with pytest.raises(
        Exception, match="another engine took this store over"
    ) as caught:
        live.handle.result(timeout=60)

    assert type(caught.value).__name__ == "EngineFenced"
    assert other.epoch > 1
    other.close()

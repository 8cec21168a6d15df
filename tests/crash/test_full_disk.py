"""A full disk under a live engine: it pauses, loses nothing, and goes on by itself."""

import os
import time
from pathlib import Path

import pytest

from nbflow.client import Client
from nbflow.model import RunStatus
from tests.crash.server import APP, RUN

COUNT = 60
MIB = 1024 * 1024


def executions(folder: Path) -> list[int]:
    """How often each step was executed."""
    return [(folder / f"fill-{n}").stat().st_size for n in range(COUNT)]


@pytest.mark.parametrize("size", [6_000, 400_000], ids=["inline", "out of line"])
def test_a_limit_on_the_size_of_files_pauses_the_engine(serve, home, size):
    """As a quota does; large values are files of their own, the first to be too long."""  # noqa: E501
    served = serve(count=COUNT, size=size)
    assert served.ask("limit 300000") == "limited"
    served.go()
    assert "no space left" in served.ask("paused")
    assert Client(home, APP).runs.get(RUN).status is RunStatus.RUNNING

    assert served.ask("limit 0") == "limited"

    assert served.ask("result") == str(COUNT * size)
    assert executions(served.folder) == [1] * COUNT
    assert len(Client(home, APP).runs.steps(RUN)) == COUNT + 1


def fill(disk: Path) -> Path:
    """Somebody else's file, which leaves 100 kB to the store."""
    filler = disk / "somebody-elses"
    state = os.statvfs(disk)
    filler.write_bytes(bytes(state.f_bavail * state.f_frsize - 100_000))
    return filler


@pytest.mark.parametrize("size", [6_000, 12_000], ids=["inline", "out of line"])
def test_a_full_disk_takes_the_space_kept_in_reserve_first(serve, small_disk, size):
    home = small_disk / ".nbflow"
    reserve = home / APP / "ballast"
    served = serve(home=home, count=COUNT, size=size)
    filler = fill(small_disk)
    served.go()

    assert served.ask("result") == str(COUNT * size)
    assert executions(served.folder) == [1] * COUNT
    assert not reserve.exists()

    filler.unlink()
    end = time.monotonic() + 60
    while not reserve.exists():
        assert time.monotonic() < end, "nothing is reserved again"
        time.sleep(0.01)


@pytest.mark.parametrize("size", [6_000, 12_000], ids=["inline", "out of line"])
def test_a_full_file_system_pauses_the_engine(serve, small_disk, size):
    home = small_disk / ".nbflow"
    served = serve(home=home, count=COUNT, size=size)
    (home / APP / "ballast").unlink()  # as if it were in use already
    filler = fill(small_disk)
    served.go()
    assert "no space left" in served.ask("paused")
    client = Client(home, APP)
    assert client.runs.get(RUN).status is RunStatus.RUNNING
    before = len(client.runs.steps(RUN))
    assert before < COUNT

    filler.unlink()

    assert served.ask("result") == str(COUNT * size)
    assert executions(served.folder) == [1] * COUNT


def test_what_a_paused_engine_held_is_made_again_after_a_kill(serve, home):
    served = serve(count=COUNT, size=6_000)
    served.ask("limit 300000")
    served.go()
    served.ask("paused")
    stored = [step.id for step in Client(home, APP).runs.steps(RUN) if step.ended_at]
    served.process.kill()
    served.process.wait()

    again = serve(count=COUNT, size=6_000)

    assert again.ask("result") == str(COUNT * 6_000)
    counts = executions(served.folder)
    assert set(counts) <= {1, 2}
    assert sum(counts) <= COUNT + 1
    assert all(counts[int(id.removeprefix("fill-"))] == 1 for id in stored[1:])

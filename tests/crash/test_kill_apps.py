"""Two served apps, of which either or both are killed at every stage of an invoke.

The processes are those of `nbflow serve`. Each holds where the test tells it to, so
that it is killed at that very point and no other; and the test sees by a file that it
has come there.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from nbflow import Client
from nbflow.model import RunStatus

ROOT = Path(__file__).parents[2]

STAGES = """
import time
from pathlib import Path

from nbflow._engine import host
from nbflow._engine.apps import OtherApp
from nbflow._engine.run import LiveRun

HERE = Path(__file__).parent


def hold(stage):
    stop = HERE / f"{stage}.stop"
    if stop.exists():
        (HERE / f"{stage}.here").touch()
        while stop.exists():
            time.sleep(0.005)


def before(owner, name, stage):
    function = getattr(owner, name)

    def held(*args, **kwargs):
        hold(stage)
        return function(*args, **kwargs)

    setattr(owner, name, held)


def parent():
    before(OtherApp, "send", "unsent")
    before(OtherApp, "_tell", "ended")


def child():
    # Asked for: the file is there; recorded: the run is, its body was not entered.
    apply_inbox = host.commands.apply_inbox

    def held(core, path):
        if any((path / "inbox").glob("*.json")):
            hold("asked")
        apply_inbox(core, path)

    host.commands.apply_inbox = held
    before(LiveRun, "begin", "recorded")
"""
OFFICE = """
import stages
from nbflow import Context, reference, workflow

stages.parent()


@workflow
async def main(ctx: Context) -> list[int]:
    child = await ctx.invoke("child", reference("job", app="shop"), {"n": 20})
    return [child, await ctx.run("after", lambda: 1)]
"""
SHOP = """
import stages
from nbflow import Context, workflow

stages.child()


def count():
    with (stages.HERE / "counted").open("a") as file:
        file.write("counted\\n")


def work(n):
    stages.hold("running")
    return n + 1


@workflow
async def job(ctx: Context, n: int) -> int:
    await ctx.run("count", count)
    return await ctx.run("work", work, n)
"""


class Apps:
    """Two apps of one home, each in a process of its own."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.home = folder / ".nbflow"
        self.home.mkdir(mode=0o700)
        self._stack = stack
        self._served: dict[str, subprocess.Popen[bytes]] = {}
        for name, text in (("stages", STAGES), ("office", OFFICE), ("shop", SHOP)):
            (folder / f"{name}.py").write_text(text)

    def serve(self, *apps: str) -> None:
        """Start the processes of apps; returns when both serve."""
        logs = {}
        for app in apps:
            path = self.folder / f"{app}-{time.monotonic_ns()}.log"
            logs[app] = path
            with path.open("wb") as log:
                self._served[app] = subprocess.Popen(
                    [sys.executable, "-m", "nbflow", "serve", f"{app}.py"],
                    cwd=self.folder,
                    env={
                        **{k: v for k, v in os.environ.items() if "NBFLOW" not in k},
                        "PYTHONPATH": os.pathsep.join([str(ROOT), str(self.folder)]),
                    },
                    stdout=log,
                    stderr=log,
                )
            self._stack.callback(_end, self._served[app])
        for app, path in logs.items():
            process = self._served[app]
            until(lambda: b"Ctrl-C stops" in path.read_bytes() or process.poll())
            assert process.poll() is None, path.read_text()

    def kill(self, *apps: str) -> None:
        for app in apps:
            _end(self._served.pop(app))

    def hold(self, stage: str) -> None:
        (self.folder / f"{stage}.stop").touch()

    def come_to(self, stage: str) -> None:
        until(lambda: (self.folder / f"{stage}.here").exists())

    def go_on(self, stage: str) -> None:
        (self.folder / f"{stage}.stop").unlink()

    def client(self, app: str) -> Client:
        return Client(self.home, app)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def until(condition: Callable[[], Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


@pytest.fixture
def apps(tmp_path: Path) -> Iterator[Apps]:
    with ExitStack() as stack:
        yield Apps(tmp_path, stack)


@pytest.mark.parametrize("killed", ["office", "shop", "office shop"])
@pytest.mark.parametrize("stage", ["unsent", "asked", "recorded", "running", "ended"])
def test_there_is_one_child_and_its_result_whoever_is_killed(
    apps: Apps, stage: str, killed: str
) -> None:
    apps.serve("office", "shop")
    apps.hold(stage)
    command = [sys.executable, "-m", "nbflow", "invoke", "office/main", "--detach"]
    done = subprocess.run(
        command,
        cwd=apps.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "NBFLOW_HOME": str(apps.home)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    apps.come_to(stage)
    apps.kill(*killed.split())
    apps.go_on(stage)
    apps.serve(*killed.split())

    handle = apps.client("office").runs.handle(done.stdout.strip())
    assert handle.result(120) == [21, 1]
    (child,) = apps.client("shop").runs.list()
    assert child.status is RunStatus.COMPLETED
    assert child.run_id == handle.steps["child"].child_run_id
    assert (apps.folder / "counted").read_text() == "counted\n"

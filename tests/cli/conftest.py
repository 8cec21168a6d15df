"""The command line in processes of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

FLOWS = """
import asyncio
import datetime
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from nbflow import Context, FlowControl, workflow

print("loading")


@dataclass
class Page:
    title: str
    day: datetime.date


def fetch(name):
    print("fetching", name)
    Path("calls.txt").open("a").write("fetch\\n")
    return name.upper()


def work(item):
    return item * item


def maybe():
    if not Path("ready").exists():
        raise RuntimeError("not ready")
    return "ready"


async def forever():
    Path("began").touch()
    await asyncio.sleep(60)


@workflow
async def page(ctx: Context, title: str, count: int = 1) -> Page:
    return Page(await ctx.run("fetch", fetch, title), datetime.date(2026, 1, count))


@workflow
async def fan(ctx: Context, n: int = 300) -> int:
    return sum(await ctx.map("work", work, range(n)))


@workflow
async def parent(ctx: Context) -> list[int]:
    return [await ctx.invoke("sub", fan, {"n": 3})]


@workflow
async def fails(ctx: Context) -> str:
    await ctx.run("fetch", fetch, "a")
    return await ctx.run("check", maybe, retries=0)


@workflow
async def slow(ctx: Context) -> str:
    await ctx.run("fetch", fetch, "a")
    if Path("ready").exists():
        return "done"
    await ctx.run("wait", forever)


@workflow
async def short(ctx: Context, seconds: float = 1.0) -> str:
    Path("began").touch()
    await ctx.sleep("nap", seconds)
    return "rested"


@workflow
async def hog(ctx: Context) -> None:
    Path("began").touch()
    time.sleep(60)  # blocks the engine's loop


@workflow
async def echo(ctx: Context, text: str = "", data: list[int] | None = None) -> dict:
    return {"text": text, "data": data}


@workflow
async def asks(ctx: Context) -> list:
    if not await ctx.ask("sure", "Shall it be done?"):
        return ["no"]
    event = await ctx.wait_for_event("paid", "payment", match={"data.order": 7})
    return [event.name, event.data]


@workflow
async def limited(ctx: Context, n: int) -> list[int]:
    limit = FlowControl("api", parallelism=1)
    return await ctx.map("work", work, range(n), flow_control=limit)


@workflow
async def main(ctx: Context) -> None:
    os.write(1, b"to the descriptor\\n")
    ctx.log("quick")
"""


class Cli:
    """Runs commands in a folder with `flows.py` in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("NBFLOW")},
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": "utf-8",
            "NO_COLOR": "1",
        }
        self._open: list[subprocess.Popen[str]] = []

    def python(self, code: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run Python code beside `flows.py`, with these arguments."""
        return subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )

    def __call__(
        self, *words: str, code: int | None = 0, stdin: str | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and check its exit code."""
        done = subprocess.run(
            self._command(words),
            cwd=self.folder,
            env=self.env | env,
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
        )
        assert code is None or done.returncode == code, done.stderr
        return done

    def json(self, *words: str) -> Any:
        """What a command prints as JSON."""
        return json.loads(self(*words).stdout)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command; it is killed at the end of the test if need be."""
        process = subprocess.Popen(
            self._command(words),
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self._open.append(process)
        return process

    def wait_for(self, name: str) -> None:
        """Wait until a file is there."""
        until(lambda: (self.folder / name).exists())

    def make(self, name: str) -> None:
        """Make an empty file."""
        (self.folder / name).touch()

    def calls(self) -> int:
        """How often `fetch` was executed."""
        path = self.folder / "calls.txt"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def newest(self) -> str:
        """The id of the newest run."""
        run_id: str = self.json("runs", "--json")[0]["run_id"]
        return run_id

    def close(self) -> None:
        """Kill what still runs."""
        for process in self._open:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()

    def _command(self, words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "nbflow", *words]


def read_until(process: "subprocess.Popen[str]", text: str) -> None:
    """Read a process's standard error up to a line that holds some text."""
    assert process.stderr is not None
    said = ""
    while text not in said:
        said = process.stderr.readline()
        assert said, f"the process has ended without a word of {text!r}"


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Look again and again until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """A command line in a folder of its own, with a home there."""
    (tmp_path / "flows.py").write_text(FLOWS)
    (tmp_path / ".nbflow").mkdir(mode=0o700)
    made = Cli(tmp_path)
    yield made
    made.close()

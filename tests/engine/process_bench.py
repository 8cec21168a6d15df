"""A runner of processes on a bench: its loop, and what its calls say."""

import asyncio
import contextvars
import os
import select
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbflow
from nbflow._engine import capture
from nbflow._engine.clock import SystemClock
from nbflow._engine.processes import ProcessRunner
from nbflow._engine.threads import Outcome
from nbflow.context import Context, RunFacts, StepInfo, current_context
from nbflow.errors import NotSerializable

SOON = 20.0
FACTS = RunFacts("r-1", "wf", "app", {"n": 1}, {}, None, 2, None, "r-1", 0)


class Scope:
    """The run's side of `nbflow.current()`, which keeps what it hears."""

    def __init__(self, folder: Path) -> None:
        self.facts = FACTS
        self.heard: list[tuple[Any, ...]] = []
        self.folder = folder

    def log(self, *message: Any) -> None:
        self.heard.append(("log", *message))

    def progress(self, *message: Any) -> None:
        self.heard.append(("progress", *message))

    def emit(self, name: str, data: Any, key: str | None) -> None:
        if name == "refused":
            raise NotSerializable("no codec", path="x")
        self.heard.append(("emit", name, data, key))

    def current_step(self) -> StepInfo:
        return StepInfo("fit", "r-1/fit", 3, lambda: self.folder)


class Bench:
    """A runner, its loop, and what its calls say."""

    def __init__(self, clock: Any, sink: Any, folder: Path, **options: Any) -> None:
        self.clock = clock
        self.loop = clock.new_loop()
        self.sink = sink
        self.scope = Scope(folder)
        self.runner = ProcessRunner(clock, **options)

    def call(
        self, fn: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> asyncio.Future[Outcome[Any]]:
        context = contextvars.copy_context()
        context.run(capture.current_sink.set, self.sink)
        context.run(current_context.set, Context(self.scope))
        return self.runner.run(self.loop, context, fn, args, kwargs)

    def outcome(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        async def main() -> Any:
            return await self.call(fn, *args, **kwargs)

        return self.run(main())

    def value(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self.outcome(fn, *args, **kwargs).unwrap()

    def run(self, main: Any) -> Any:
        return self.loop.run_until_complete(main)

    def settle(self) -> None:
        """Wait until all processes of calls are gone."""

        async def main() -> None:
            while self.runner._busy:
                await asyncio.sleep(0.01)

        self.run(main())

    def close(self) -> None:
        self.runner.close()
        self.loop.close()


def benches(sink: Any, folder: Path) -> Iterator[Callable[..., Bench]]:
    """For a fixture: gives a function that makes benches, which are closed after."""
    made: list[Bench] = []

    def make(clock: Any = None, **options: Any) -> Bench:
        made.append(Bench(clock or SystemClock(), sink, folder, **options))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


def gone(pid: int, within: float = SOON) -> bool:
    """Whether a process ends in time; no polling, the kernel tells."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], within)[0])
    finally:
        os.close(fd)


def read_pid(path: Path) -> int:
    """The number that a process writes to a file, once it is there."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if path.exists() and path.read_text().endswith("\n"):
            return int(path.read_text())
        time.sleep(0.005)
    raise AssertionError(f"nobody wrote {path}")


SCRIPT = """
import asyncio, contextvars, os, sys
from nbflow._engine.clock import SystemClock
from nbflow._engine.processes import ProcessRunner

clock = SystemClock()
loop = clock.new_loop()
runner = ProcessRunner(clock)

def call(fn, *args):
    async def main():
        return await runner.run(loop, contextvars.copy_context(), fn, args)
    return loop.run_until_complete(main())
"""


def script(text: str, folder: Path, **options: Any) -> "subprocess.Popen[str]":
    path = folder / "script.py"
    path.write_text(SCRIPT + textwrap.dedent(text))
    root = str(Path(nbflow.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
        **options,
    )

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash import server

ROOT = Path(__file__).parents[2]


class Served:
    """An engine in another process, with its one run."""

    def __init__(self, home: Path, folder: Path, count: int, size: int) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, server.__file__, home, folder, str(count), str(size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert self.read() == "ready"

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:  # it has ended
            raise AssertionError(self.process.communicate()[1])
        return line.strip()

    def ask(self, word: str) -> str:
        self.tell(word)
        return self.read()

    def go(self) -> None:
        """Let the gated step end."""
        (self.folder / "go").touch()

    def close(self) -> None:
        try:
            self.process.communicate(timeout=120)
        finally:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def serve(tmp_path: Path, home: Path) -> Iterator[Callable[..., Served]]:
    """Starts an engine: `serve(home=…, count=…, size=…)`."""
    started: list[Served] = []
    folder = tmp_path / "marks"
    folder.mkdir()

    def start(home: Path = home, count: int = 3, size: int = 8) -> Served:
        started.append(Served(home, folder, count, size))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """Waits until a condition holds; its value."""

    def wait(condition: Callable[[], Any], seconds: float = 60) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.005)
        return value

    return wait

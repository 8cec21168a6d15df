import io
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from nbflow._engine import capture

Line = tuple[str, str, str, bool]


class Recorder:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.steps: list[tuple[Any, ...]] = []

    def line(self, text: str, level: str, source: str, replace: bool) -> None:
        self.lines.append((text, level, source, replace))

    def progress(self, *progress: Any) -> None:
        self.steps.append(progress)

    @property
    def texts(self) -> list[str]:
        return [line[0] for line in self.lines]

    @property
    def shown(self) -> list[str]:
        """The lines as a view shows them, replaced ones gone."""
        shown: list[Line] = []
        for line in self.lines:
            if line[3]:
                last = max(n for n, one in enumerate(shown) if one[1:3] == line[1:3])
                del shown[last]
            shown.append(line)
        return [line[0] for line in shown]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 77


class Streams:
    """Streams and root logger as a fresh interpreter has them, while it is entered.

    Not done by a fixture: pytest puts its own in place between setup and call.
    """

    def __init__(self) -> None:
        self.out, self.err = Terminal(), Terminal()

    def __enter__(self) -> "Streams":
        self.before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = self.out, self.err
        self.handlers = logging.root.handlers[:]
        logging.root.handlers[:] = []
        return self

    def __exit__(self, *error: object) -> None:
        sys.stdout, sys.stderr = self.before
        logging.root.handlers[:] = self.handlers

    @property
    def restored(self) -> bool:
        return (sys.stdout, sys.stderr) == (self.out, self.err)


class Hooks(Streams):
    """The same with the hooks in place."""

    def __enter__(self) -> "Hooks":
        super().__enter__()
        capture.install()
        return self

    def __exit__(self, *error: object) -> None:
        capture.uninstall()
        super().__exit__(*error)


@pytest.fixture
def streams() -> Streams:
    return Streams()


@pytest.fixture
def hooks() -> Hooks:
    return Hooks()


@pytest.fixture
def sink() -> Recorder:
    return Recorder()


@pytest.fixture
def new_sink() -> type[Recorder]:
    return Recorder


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    level = logging.root.level
    yield logging.root
    logging.root.setLevel(level)

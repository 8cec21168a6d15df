"""The monitor in a real terminal: what reaches it, and how it is left."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbflow import Context, Engine, workflow

EVIL = "\x1b]52;c;ZXZpbA==\x07\x1b]0;owned\x07\x1b[2J"
TUI = Path(__file__).parents[2] / "tui"


@workflow(app="wild", retries=0)
async def evil(ctx: Context) -> None:
    ctx.log(EVIL)
    raise RuntimeError(f"{EVIL} came")


@pytest.fixture
def wild(home: Path) -> Path:
    with (
        Engine(home, "wild", workflows=[evil], durability="process") as engine,
        pytest.raises(Exception, match="came"),
    ):
        engine.client.workflows.invoke("evil", label="wild one").result()
    return home


class Terminal:
    """A monitor in a terminal of 120 by 30.

    Args:
        home: what it watches.
        options: of `nbflow tui`; without any, the module itself is started.
    """

    def __init__(self, home: Path, *options: str) -> None:
        self._master, slave = pty.openpty()
        subprocess.run(["stty", "rows", "30", "cols", "120"], stdin=slave, check=True)
        env = {
            **os.environ,
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "PYTHONPATH": str(TUI),
        }
        env.pop("NO_COLOR", None)
        words = ["nbflow_tui", str(home)]
        if options:
            words = ["nbflow", "--home", str(home), "tui", *options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
            start_new_session=True,
        )
        os.close(slave)
        self.output = b""

    def read_until(self, text: bytes) -> None:
        """Read what it sends, until this is in it."""
        deadline = time.monotonic() + 60
        while text not in self.output:
            assert time.monotonic() < deadline, self.output[-2000:]
            self._read(0.2)

    def send(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def wait(self) -> int:
        """Read to its end; the exit code."""
        deadline = time.monotonic() + 60
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "it does not end"
            self._read(0.1)
        while self._read(0.1):
            pass
        return self.process.returncode

    def hang_up(self) -> None:
        """Go, as a window that is closed."""
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._master >= 0:
            os.close(self._master)

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], seconds)
        if not ready:
            return False
        try:
            found = os.read(self._master, 65536)
        except OSError:  # Linux says so when the other end is closed
            return False
        self.output += found
        return bool(found)


@pytest.fixture
def terminal(wild: Path) -> Iterator[Terminal]:
    made = Terminal(wild)
    yield made
    made.close()


def test_no_escape_sequence_of_a_run_reaches_the_terminal(terminal: Terminal) -> None:
    terminal.read_until(b"RuntimeError")
    terminal.send(b"7\t\t")
    terminal.read_until(b"\\x1b]52;c;")
    terminal.send(b"q")
    assert terminal.wait() == 0
    assert b"\x1b]52" not in terminal.output
    assert b"owned\x07" not in terminal.output


def test_the_terminal_is_left_as_it_was(terminal: Terminal) -> None:
    terminal.read_until(b"RuntimeError")
    terminal.send(b"q")
    assert terminal.wait() == 0
    assert terminal.output.count(b"\x1b[?1049h") == 1
    assert terminal.output.count(b"\x1b[?1049l") == 1
    assert terminal.output.rindex(b"\x1b[?25h") > terminal.output.rindex(b"\x1b[?25l")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_restores_the_terminal(
    terminal: Terminal, number: signal.Signals
) -> None:
    terminal.read_until(b"RuntimeError")
    terminal.process.send_signal(number)
    assert terminal.wait() == 128 + number
    assert b"\x1b[?1049l" in terminal.output


def test_it_ends_with_its_terminal_where_no_signal_comes(terminal: Terminal) -> None:
    terminal.read_until(b"RuntimeError")
    terminal.hang_up()  # it is not the controlling terminal of the monitor's session
    assert terminal.process.wait(60) == 128 + signal.SIGHUP


def test_the_command_line_says_which_theme(wild: Path) -> None:
    made = Terminal(wild, "--theme", "nord")
    try:
        made.read_until(b"48;2;46;52;64")  # the background of that theme
        made.send(b"q")
        assert made.wait() == 0
    finally:
        made.close()


def test_the_terminals_own_colours_are_named_by_number(wild: Path) -> None:
    made = Terminal(wild, "--theme", "ansi")
    try:
        made.read_until(b"RuntimeError")
        made.send(b"q")
        assert made.wait() == 0
        assert b"38;2;" not in made.output
        assert b"48;2;" not in made.output
    finally:
        made.close()


def test_a_theme_that_is_not_there_is_refused_with_those_that_are(wild: Path) -> None:
    made = Terminal(wild, "--theme", "drak")
    try:
        assert made.wait() == 2
        said = b" ".join(made.output.split())
        assert b"--theme drak: there is no such theme; give one of dark, light" in said
    finally:
        made.close()

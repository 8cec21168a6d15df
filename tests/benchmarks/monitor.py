"""What the terminal monitor costs: python tests/benchmarks/monitor.py [--cache DIR] …

Starts `nbflow tui` in a pseudo-terminal of 120×40 cells on a real store of 100,000 runs
and 1,000,000 events (`history.py`), reads what it sends and asks the system what it
uses. Prints a table: measured, budget, ok or missed; the exit code is 1 if any missed.

    first paint       from the start of the process to the newest run on the screen
    idle              nothing goes on: CPU and bytes a second
    key               from a key to the first byte of what it changes (median, worst)
    long run          from a key to the steps of a run of 10,000 on the screen
    busy              200 commits a second: CPU and bytes a second
    change            from a commit to its run on the screen (median, worst)
    memory            resident, after all of it
    escapes           sequences out of run data that reached the terminal
    snapshot          `nbflow tui --snapshot`, from start to end

Beside it stands what a bare app of Textual with as many widgets takes (`bare.py`): no
monitor can be below that. Both run from compiled modules, as installed ones do.

`--cache DIR` keeps the history between calls; else it is made in a temporary folder,
which takes a minute. `--slack 2` allows twice the budgets, for a slow machine.
Nothing else should use the machine while this runs.
"""

import argparse
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import history

APP = "archive"
TICK = os.sysconf("SC_CLK_TCK")
ESCAPE = re.compile(
    rb"\x1b(?:\[[0-9;?<>=$ ]*[A-Za-z@`~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)"
)
EVIL = (b"\x1b]52;c;RVZJTA==", b"\x1b[31mEVIL", b"EVIL\x1b[2J")


@dataclass(frozen=True)
class Row:
    """One line of the report."""

    what: str
    value: float
    budget: float | None  # None: only told
    unit: str

    @property
    def is_ok(self) -> bool:
        """Whether it keeps its budget."""
        return self.budget is None or self.value <= self.budget


class Terminal:
    """A program in a pseudo-terminal, and all that it has sent.

    Args:
        command: the program with its arguments.
        columns, rows: of the terminal.
    """

    def __init__(self, command: list[str], columns: int = 120, rows: int = 40) -> None:
        self.sent = bytearray()
        self.began = time.monotonic()
        master, slave = pty.openpty()
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
        env = os.environ | {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
        }
        env.pop("NO_COLOR", None)
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # else each start compiles afresh
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
            start_new_session=True,
        )
        os.close(slave)
        self._master = master
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                data = b""
            with self._news:
                if not data:
                    self._news.notify_all()
                    return
                self.sent += data
                self._news.notify_all()

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def wait_for(
        self, condition: Callable[[bytes], bool], since: int, seconds: float = 30
    ) -> float:
        """Wait until what was sent since then fulfils a condition; the time.

        Raises:
            TimeoutError: with the text that came instead.
        """
        deadline = time.monotonic() + seconds
        with self._news:
            while not condition(bytes(self.sent[since:])):
                left = deadline - time.monotonic()
                if left <= 0 or self.process.poll() is not None:
                    raise TimeoutError(plain(bytes(self.sent[since:]))[-2000:])
                self._news.wait(min(left, 0.5))
            return time.monotonic()

    def settle(self, quiet: float = 1.0, seconds: float = 30) -> None:
        """Wait until nothing was sent for a while."""
        deadline = time.monotonic() + seconds
        size = -1
        while len(self.sent) != size and time.monotonic() < deadline:
            size = len(self.sent)
            time.sleep(quiet)

    def cpu(self) -> float:
        """Seconds of CPU used so far, by all its threads."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self) -> float:
        """MiB resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]

    def close(self) -> int | None:
        """Leave it, in the way users do; its exit code, None if it had to be killed."""
        if self.process.poll() is None:
            self.press("q")
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            return None
        finally:
            os.close(self._master)


def plain(sent: bytes) -> str:
    """The text of what was sent, without its control sequences."""
    return ESCAPE.sub(b" ", sent).decode(errors="replace")


def has(text: str) -> Callable[[bytes], bool]:
    """Whether a text is on the screen; it may be sent in several colours."""
    wanted = text.encode()
    return lambda sent: wanted in sent or wanted in ESCAPE.sub(b"", sent)


def rates(terminal: Terminal, seconds: float) -> tuple[float, float]:
    """CPU in per cent and kilobytes a second, over some seconds."""
    cpu, size, began = terminal.cpu(), len(terminal.sent), time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    used = (terminal.cpu() - cpu) / passed * 100
    return used, (len(terminal.sent) - size) / passed / 1000


def measure(home: Path, seconds: float) -> list[Row]:
    """All figures."""
    command = [sys.executable, "-m", "nbflow", "--home", str(home), "tui"]
    rows = _starts(command, home)
    terminal = Terminal(command)
    terminal.wait_for(has("harvest"), 0)
    terminal.settle()
    cpu, sent = rates(terminal, seconds)
    rows.append(Row("idle, CPU", cpu, 1, "%"))
    rows.append(Row("idle, sent", sent * 1000, 0, "B/s"))
    rows += _keys(terminal)
    rows.append(_long_run(terminal))
    rows += _busy(terminal, home / APP, seconds)
    rows.append(Row("memory", terminal.memory(), 60, "MiB"))
    escapes = sum(bytes(terminal.sent).count(each) for each in EVIL)
    rows.append(Row("escapes out of data", escapes, 0, ""))
    if terminal.close() != 0:
        rows.append(Row("leaving with q", 1, 0, "failed"))
    return rows


def _starts(command: list[str], home: Path) -> list[Row]:
    """First paints, in turn with those of a bare app; the first of each compiles."""
    bare = [sys.executable, str(Path(__file__).with_name("bare.py"))]
    paints: list[float] = []
    floors: list[float] = []
    memory = 0.0
    for _ in range(6):
        for words, text, taken in (
            (command, "harvest", paints),
            (bare, "line 0 of", floors),
        ):
            terminal = Terminal(words)
            taken.append(terminal.wait_for(has(text), 0) - terminal.began)
            terminal.settle(0.3)
            memory = terminal.memory()  # the bare app's, in the end
            terminal.close()
    return [
        Row("first paint", median(paints[1:]) * 1000, 400, "ms"),
        Row("  of a bare app", median(floors[1:]) * 1000, None, "ms"),
        Row("  memory of that", memory, None, "MiB"),
        Row("snapshot", _snapshot(home), 150, "ms"),
    ]


def _snapshot(home: Path) -> float:
    command = [sys.executable, "-m", "nbflow", "--home", str(home), "tui", "--snapshot"]
    env = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONDONTWRITEBYTECODE"
    }
    taken = []
    for _ in range(6):
        began = time.monotonic()
        subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
        taken.append(time.monotonic() - began)
    return median(taken[1:]) * 1000


def _keys(terminal: Terminal) -> list[Row]:
    taken = []
    for key in "jjjjjjjjjjkkkkkkkkkk":
        since = len(terminal.sent)
        began = time.monotonic()
        terminal.press(key)
        taken.append(terminal.wait_for(bool, since) - began)
        terminal.settle(0.3)
    return [
        Row("key, median", median(taken) * 1000, 50, "ms"),
        Row("key, worst", max(taken) * 1000, 100, "ms"),
    ]


def _long_run(terminal: Terminal) -> Row:
    """The cursor comes from a short run to the one of 10,000 steps."""
    taken = []
    for _ in range(3):
        terminal.press("j")
        terminal.settle(0.5)
        since = len(terminal.sent)
        began = time.monotonic()
        terminal.press("k")
        taken.append(terminal.wait_for(has("field00"), since) - began)
        terminal.settle(0.5)
    return Row("run of 10,000 steps", median(taken) * 1000, 150, "ms")


def _busy(terminal: Terminal, folder: Path, seconds: float) -> list[Row]:
    pen = history.Pen(folder)
    try:
        with _writing(pen):
            time.sleep(1)
            cpu, sent = rates(terminal, seconds)
        terminal.settle(0.3, 2)
        taken = []
        for number in range(10):
            mark = f"mark{number:04d}"
            since = len(terminal.sent)
            pen.begin(mark)
            began = time.monotonic()
            taken.append(terminal.wait_for(has(mark), since) - began)
            time.sleep(0.37)  # meets the monitor's own pace anywhere in its turn
    finally:
        pen.close()
    return [
        Row("200 commits/s, CPU", cpu, 8, "%"),
        Row("200 commits/s, sent", sent, 60, "kB/s"),
        Row("change, median", median(taken) * 1000, 350, "ms"),
        Row("change, worst", max(taken) * 1000, 500, "ms"),
    ]


@contextmanager
def _writing(pen: history.Pen, rate: int = 200):  # type: ignore[no-untyped-def]
    is_over = threading.Event()

    def write() -> None:
        due = time.monotonic()
        while not is_over.is_set():
            pen.write()
            due += 1 / rate
            time.sleep(max(due - time.monotonic(), 0))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        is_over.set()
        writer.join()


def history_in(cache: Path, runs: int, steps: int) -> Path:
    """The home with the history, made if it is not there."""
    home = cache / f"history-{runs}-{steps}"
    if not home.exists():
        print(f"writing {runs:,} runs …", file=sys.stderr)
        made = cache / f"{home.name}.making"
        shutil.rmtree(made, ignore_errors=True)
        history.make(made / APP, runs, steps)
        made.rename(home)
    return home


def main() -> int:
    """Measure and print; 1 if a budget was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, help="keep the history in this folder")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10, help="of each rate")
    parser.add_argument("--slack", type=float, default=1, help="times the budgets")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nbflow-monitor-") as temporary:
        cache = options.cache or Path(temporary)
        kept = history_in(cache, options.runs, options.steps)
        # Each measurement begins with the same history: this one writes into it.
        home = Path(temporary) / "home"
        shutil.copytree(kept, home)
        rows = measure(home, options.seconds)
    rows = [
        replace(row, budget=None if row.budget is None else row.budget * options.slack)
        for row in rows
    ]
    if options.json:
        print(json.dumps([asdict(row) | {"ok": row.is_ok} for row in rows], indent=2))
    else:
        for row in rows:
            value = f"{row.value:>10,.1f} {row.unit:<6}"
            budget = verdict = ""
            if row.budget is not None:
                budget = f"<= {row.budget:,.4g} {row.unit}"
                verdict = "ok" if row.is_ok else "MISSED"
            print(f"{row.what:<22}{value} {budget:<14} {verdict}")
    return 0 if all(row.is_ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

"""How a run is shown on standard error while it goes on.

`Tree` redraws its steps in place, for a terminal; `Lines` prints what matters, for
logs; `Json` prints every event, for programs. `following` drives them.
"""

import datetime as dt
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TextIO

from nbflow.cli.output import look_of, put, size_of, to_json
from nbflow.model import EventType, RunEvent
from nbflow.view import (
    Board,
    Line,
    Look,
    Span,
    badge,
    cells,
    clock,
    family_name,
    line,
    paint,
    run_line,
    run_rows,
    said,
    shorten,
    summary,
)

DRAW = 0.1
"""Seconds between two drawings of the tree."""
_LOGS = 200
_MANY = 8
"""Steps of one call site up to which each has a line."""
_STATUS_EVENTS = frozenset(
    {
        EventType.STEP_RETRYING,
        EventType.STEP_SLEEPING,
        EventType.STEP_WAITING,
        EventType.STEP_INVOKING,
        EventType.STEP_COMPLETED,
        EventType.STEP_FAILED,
        EventType.STEP_TIMED_OUT,
        EventType.STEP_CANCELED,
        EventType.STEP_SUPERSEDED,
        EventType.RUN_RETRYING,
    }
)
_PRESSING = frozenset(
    {
        EventType.STEP_RETRYING,
        EventType.STEP_FAILED,
        EventType.STEP_TIMED_OUT,
        EventType.RUN_RETRYING,
    }
)


class Display(Protocol):
    """Shows one run."""

    def note(self, text: str) -> None:
        """Say something that is no event."""

    def take(self, events: Sequence[RunEvent], board: Board) -> None:
        """New events of the run; the board knows them already."""

    def tick(self, board: Board) -> None:
        """Some time has passed."""

    def close(self, board: Board | None) -> None:
        """The run has ended, or nobody looks any more."""


def make_display(is_json: bool, stream: TextIO | None = None) -> Display:
    """The display that fits standard error."""
    stream = sys.stderr if stream is None else stream
    if is_json:
        return Json(stream)
    import os

    if stream.isatty() and os.environ.get("TERM") != "dumb":
        return Tree(stream)
    return Lines(stream)


class Json:
    """Every event as one line of JSON, and nothing else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def note(self, text: str) -> None:
        """Nothing: a program reads along."""

    def take(self, events: Sequence[RunEvent], board: Board) -> None:
        """Print the events."""
        for event in events:
            put(self._stream, to_json(event) + "\n")
        self._stream.flush()

    def tick(self, board: Board) -> None:
        """Nothing."""

    def close(self, board: Board | None) -> None:
        """Nothing."""


class Lines:
    """One line for what matters, at most a handful a second."""

    QUIET = 30.0
    """Seconds without a line after which one says that it still goes on."""
    _BURST = 20.0
    _RATE = 5.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._look = look_of(stream)
        self._tokens = self._BURST
        self._refilled = self._printed = time.monotonic()
        self._left_out = 0
        self._has_begun = False

    def note(self, text: str) -> None:
        """Print the text, line by line."""
        for each in text.split("\n"):
            self._print(line(each.replace("\t", "    ")))

    def take(self, events: Sequence[RunEvent], board: Board) -> None:
        """Print what matters of the events."""
        self._refill()
        self._begin(board)
        for event in events:
            if event.type is EventType.LOG:
                if event.data.get("level") != "debug":
                    self._try(log_line(event, self._look))
            elif event.type in _STATUS_EVENTS and event.data.get("kind") not in (
                "now",
                "random",
                "uuid",
            ):
                is_pressing = event.type in _PRESSING
                if not is_pressing and _is_one_of_many(event, board):
                    self._left_out += 1
                else:
                    self._try(_told(event, self._look), is_pressing)
        self.tick(board)

    def tick(self, board: Board) -> None:
        """Say how far it is where lines were left out, or all was quiet."""
        self._begin(board)
        now = time.monotonic()
        if self._left_out and now - self._printed >= 1:
            self._left_out = 0
            self._print(self._far(board))
        elif now - self._printed >= self.QUIET and not board.is_ended:
            self._print(self._far(board))

    def close(self, board: Board | None) -> None:
        """Say how it has ended."""
        if board is not None:
            self._print(run_line(board, self._look, _now()))

    def _begin(self, board: Board) -> None:
        # A run that is over already has one line, the last.
        if not self._has_begun and not board.is_ended:
            self._has_begun = True
            self._print(run_line(board, self._look, _now()))

    def _far(self, board: Board) -> Line:
        return line(
            Span(_time(), "dim"),
            "  ",
            badge(board.status, self._look),
            " ",
            summary(board) or "no step yet",
        )

    def _refill(self) -> None:
        now = time.monotonic()
        self._tokens += (now - self._refilled) * self._RATE
        self._tokens = min(self._tokens, self._BURST)
        self._refilled = now

    def _try(self, text: Line, is_pressing: bool = False) -> None:
        # What went wrong may use up what the others leave.
        if self._tokens < (1 if is_pressing else self._BURST / 4):
            self._left_out += 1
            return
        self._tokens -= 1
        self._print(line(Span(_time(), "dim"), "  ", text))

    def _print(self, text: Line) -> None:
        self._printed = time.monotonic()
        put(self._stream, paint(text, self._look).rstrip() + "\n")
        self._stream.flush()


class Tree:
    """The run's steps, redrawn in place; what is said scrolls by above them.

    Whoever else writes to the process's streams meanwhile does so through `write`,
    also from other threads.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._look = look_of(stream)
        self._lock = threading.RLock()
        self._heights: list[int] = []  # cells of each line on the screen
        self._is_open = False
        self._due = 0.0
        self._partial = ""
        self._notes: list[str] = []

    def note(self, text: str) -> None:
        """Print the text above the tree."""
        self.write(text + "\n")

    def write(self, text: str) -> int:
        """Text of others; shown above the tree once its line is whole."""
        with self._lock:
            whole, newline, rest = (self._partial + text).rpartition("\n")
            self._partial = rest
            if newline:
                self._above(whole.split("\n"))
        return len(text)

    def take(self, events: Sequence[RunEvent], board: Board) -> None:
        """Show what the run logs above the tree."""
        logs = [
            paint(log_line(event, self._look), self._look)
            for event in events
            if event.type is EventType.LOG and event.data.get("level") != "debug"
        ]
        if len(logs) > _LOGS:
            logs = [f"({len(logs) - _LOGS:,} lines left out)", *logs[-_LOGS:]]
        if logs:
            with self._lock:
                self._above(logs)
                self._due = 0.0
        self.tick(board)

    def tick(self, board: Board) -> None:
        """Redraw the tree, if it is time to."""
        began = time.monotonic()
        if began < self._due:
            return
        self._draw(board, is_last=False)
        # A large tree must not eat up the machine that runs the steps.
        self._due = began + max(DRAW, 10 * (time.monotonic() - began))

    def close(self, board: Board | None) -> None:
        """Leave the last state on the screen, and the terminal as it was."""
        with self._lock:
            if self._partial:
                self._above([self._partial])
                self._partial = ""
            if board is not None:
                self._draw(board, is_last=True)
            if self._is_open:
                self._put("\x1b[?25h\x1b[?7h")
                self._is_open = False
            self._heights = []

    def _draw(self, board: Board, *, is_last: bool) -> None:
        with self._lock:
            columns, height = size_of(self._stream)
            now = _now()
            # The last column stays free: some terminals wrap as soon as it is used.
            width = max(columns - 1, 1)
            rows = run_rows(board, self._look, now, width=width)
            room = max(height - 2, 1) if not is_last else max(height - 4, 20)
            lines = [run_line(board, self._look, now)]
            lines += shorten(rows, room - 1, self._look)
            painted = [paint(each, self._look, width) for each in lines]
            used = [min(sum(cells(s.text) for s in each), width) for each in lines]
            self._replace(painted, used, columns)

    def _replace(self, painted: list[str], used: list[int], columns: int) -> None:
        parts = ["\x1b[?2026h"]
        if not self._is_open:
            parts.append("\x1b[?25l\x1b[?7l")
            self._is_open = True
        parts.append(self._home(columns))
        parts += [f"{each}\x1b[K\r\n" for each in painted]
        parts.append("\x1b[J\x1b[?2026l")
        self._heights = used
        self._put("".join(parts))

    def _home(self, columns: int) -> str:
        """Back to the first line; a narrower terminal has wrapped the others."""
        lines = sum(max(-(-need // max(columns, 1)), 1) for need in self._heights)
        return f"\r\x1b[{lines}A" if lines else ""

    def _above(self, lines: Iterable[str]) -> None:
        columns = size_of(self._stream)[0]
        erase = f"{self._home(columns)}\x1b[J" if self._heights else ""
        # Long lines wrap here as they would without a tree.
        wrap = ("\x1b[?7h", "\x1b[?7l") if self._is_open else ("", "")
        text = "".join(f"{each}\r\n" for each in lines)
        self._heights = []
        self._due = 0.0
        self._put(f"{erase}{wrap[0]}{text}{wrap[1]}")

    def _put(self, text: str) -> None:
        put(self._stream, text)
        self._stream.flush()


class Above:
    """Stands for a standard stream while a tree is on the screen."""

    def __init__(self, display: Tree, original: TextIO) -> None:
        self._display = display
        self._original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def write(self, text: str) -> int:
        """Write above the tree."""
        return self._display.write(text)

    def writelines(self, texts: Iterable[str]) -> None:
        """Write above the tree."""
        for text in texts:
            self.write(text)

    def flush(self) -> None:
        """Whole lines are shown at once."""


def _is_one_of_many(event: RunEvent, board: Board) -> bool:
    family = board.families.get(family_name(event.step or ""))
    return family is not None and len(family.members) > _MANY


def log_line(event: RunEvent, look: Look) -> Line:
    """A line that a run or step has logged."""
    bar = "│" if look.unicode else "|"
    return line(Span(f"{bar} ", "dim"), said(event, _now()))


def _told(event: RunEvent, look: Look) -> Line:
    from nbflow.model import RUN_STATUS_AFTER, STEP_STATUS_AFTER

    status = STEP_STATUS_AFTER.get(event.type) or RUN_STATUS_AFTER.get(event.type)
    sign: Line = (badge(status or "retrying", look),)
    return line(sign, " ", said(event, _now()))


def _time() -> str:
    now = _now()
    return clock(now, now)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)

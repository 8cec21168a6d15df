"""Follows a run to its end: reads its events, feeds the display, obeys Ctrl-C."""

import datetime as dt
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from nbflow.cli import failures
from nbflow.cli.displays import Display
from nbflow.client import Client, RunHandle
from nbflow.engine import Engine
from nbflow.errors import EngineBusy, RunNotFound, StoreError
from nbflow.model import RunEvent
from nbflow.view import Board

_FAST, _SLOW = 0.02, 0.08
_CHILDREN = 8
"""Child runs whose steps are followed at once; more are one row each anyway."""


class Feed:
    """A run's board, kept up to date, with the boards of its open child runs.

    Args:
        client: a client of the run's app.
        run_id: the run.
        known: index of the last event that is old news and not to be told again.
    """

    def __init__(self, client: Client, run_id: str, known: int = 0) -> None:
        self._client = client
        self._known = known
        self._offsets: dict[str, str] = {}
        self.board = Board(run_id=run_id)
        self.is_over = False

    def read(self) -> list[RunEvent]:
        """New events of the run; the boards know them already."""
        events, ended = self._read(self.board)
        if events:
            self.is_over = ended
        self._read_children(self.board, _CHILDREN)
        return [event for event in events if event.index > self._known]

    def _read(self, board: Board) -> tuple[list[RunEvent], bool]:
        offset = self._offsets.get(board.run_id, "-1")
        try:
            events = self._client.runs.events(board.run_id, offset)
        except RunNotFound:
            if board is not self.board or board.run_id in self._offsets:
                raise
            return [], False  # a kept command is still to start it
        self._offsets[board.run_id] = events.offset
        for event in events:
            board.apply(event)
        return list(events), events.ended

    def _read_children(self, board: Board, left: int) -> int:
        for run_id in board.open_children():
            if left <= 0:
                break
            child = board.children.get(run_id)
            if child is None:
                child = board.children[run_id] = Board(run_id=run_id)
            try:
                self._read(child)
            except (RunNotFound, StoreError):
                continue  # of another app, or not there yet
            left = self._read_children(child, left - 1)
        return left


class Outcome:
    """The result of a handle, waited for in a thread of its own."""

    def __init__(self, handle: RunHandle[Any]) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self._handle = handle
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    @property
    def is_there(self) -> bool:
        """Whether the run has ended, or cannot be waited for any more."""
        return not self._thread.is_alive()

    def _wait(self) -> None:
        try:
            self.value = self._handle.result()
        except BaseException as error:
            self.error = error


class Interrupts:
    """What Ctrl-C and SIGTERM ask for: first to stop, then to leave at once."""

    def __init__(self) -> None:
        self.count = 0
        self.on_second: Callable[[], None] = lambda: None

    def __call__(self, number: int, frame: Any) -> None:
        """Note a signal."""
        self.count += 1
        if self.count > 1:
            self.on_second()
            os._exit(1)


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Handle Ctrl-C and SIGTERM within a block (in the main thread)."""
    found = Interrupts()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    former = {number: signal.signal(number, found) for number in numbers}
    try:
        yield found
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def follow(
    feed: Feed,
    outcome: Outcome,
    display: Display,
    asked: Interrupts,
    on_interrupt: Callable[[], bool],
    hint: Callable[[RunEvent], str | None] = lambda event: None,
) -> bool:
    """Show a run until it has ended.

    Args:
        feed: where its events come from.
        outcome: tells that it has ended.
        display: shows it.
        asked: counts the interrupts.
        on_interrupt: what the first one does; whether to go on following.
        hint: what to tell beside an event, if anything.

    Returns:
        Whether the run has ended; False when the user left it.
    """
    is_told = False
    began = time.monotonic()
    while True:
        is_last = outcome.is_there
        events = feed.read()
        if events:
            display.take(events, feed.board)
            for told in filter(None, map(hint, events)):
                display.note(told)
        if is_last:
            return True
        if asked.count and not is_told:
            is_told = True
            if not on_interrupt():
                return False
        display.tick(feed.board)
        time.sleep(_FAST if time.monotonic() - began < 1 else _SLOW)


@contextmanager
def own_output(display: Display, *, is_json: bool) -> Iterator[None]:
    """Keep standard output for the result: what others print goes to the display.

    Also what C code and child processes write to the file descriptor; then it goes
    to standard error.
    """
    from nbflow.cli.displays import Above, Tree

    out, err = sys.stdout, sys.stderr
    out.flush()
    kept = _divert()
    try:
        if isinstance(display, Tree):
            sys.stdout = cast(TextIO, Above(display, err))
            sys.stderr = cast(TextIO, Above(display, err))
        elif is_json:
            with open(os.devnull, "w", encoding="utf-8") as nowhere:
                sys.stdout = nowhere
                yield
            return
        else:
            sys.stdout = err
        yield
    finally:
        display.close(None)
        sys.stdout, sys.stderr = out, err
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)


def _divert() -> int | None:
    try:
        kept = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # one of them is closed
        return None
    return kept


def wait_for_engine(
    engine: Callable[[], Engine], display: Display, asked: Interrupts | None = None
) -> Engine:
    """Start an engine, after the one that holds the app.

    Raises:
        KeyboardInterrupt: `asked` has counted an interrupt meanwhile.
        Usage: the target has opened an engine of the app itself.
    """
    is_told = False
    while True:
        if asked is not None and asked.count:
            raise KeyboardInterrupt
        try:
            return engine().start()
        except EngineBusy as error:
            refuse_own(error)
            if not is_told:
                is_told = True
                display.note(f"nbflow: {_busy(error)}")
        time.sleep(0.5)


def refuse_own(error: EngineBusy) -> None:
    """Whoever waits for an engine of this process would wait for ever.

    Raises:
        Usage: the engine is one that the target has opened as it was loaded.
    """
    if (error.pid, error.host) == (os.getpid(), os.uname().nodename):
        raise failures.Usage(
            "the target opens an engine of this app as it is loaded: do that below "
            '`if __name__ == "__main__":`, here the command runs the engine'
        ) from None


def _busy(error: EngineBusy) -> str:
    since = ""
    if error.since is not None:
        passed = dt.datetime.now(dt.UTC) - error.since
        from nbflow.view import took

        since = f", for {took(max(passed.total_seconds(), 0))}"
    where = f" on {error.host}" if error.host else ""
    name = f" ({error.notebook})" if error.notebook else ""
    return (
        f"waiting for another one: process {error.pid or '?'}{where}{name} runs this "
        f"app{since}. Ctrl-C stops waiting."
    )

"""One run whose events are read as they come, on the feed's thread."""

import datetime as dt
import time
from collections import deque

from nbflow.client import Client, Stream
from nbflow.errors import NbflowError, RunNotFound, StoreReplaced
from nbflow.model import RunEvent
from nbflow.view import Board
from nbflow.view.tree import Tree

KEPT = 1_000
"""Events of a run that are kept to be looked at; older ones are in the store."""
GLANCE = 400
"""Events from the end that tell what a long run in the list does now."""
_TURN = 0.15
"""Seconds of reading after which others get their turn."""


class Followed:
    """A run: its board, its tree and its last events, as far as they are read.

    Args:
        client: of its app.
        run_id: the run.
        is_whole: read it from its first event; else only what it does now.
    """

    def __init__(self, client: Client, run_id: str, *, is_whole: bool) -> None:
        self.client = client
        self.run_id = run_id
        self.is_whole = is_whole
        self.board = Board(run_id=run_id)
        self.tree = Tree(self.board)
        self.events: deque[RunEvent] = deque(maxlen=KEPT)
        self.read_count = 0
        self.problem: str | None = None
        self.is_behind = True
        self._stream: Stream | None = None

    def read(self, *, is_live: bool) -> bool:
        """Read what has come, some pages at most; whether anything has.

        Args:
            is_live: the run goes on, as its record says: another life may have begun.
        """
        try:
            return self._read(is_live)
        except NbflowError as error:
            # Of a deleted run its record, which lacks, says so.
            told = None if isinstance(error, RunNotFound) else str(error)
            changed, self.problem = told != self.problem, told
            self.is_behind = False
            if isinstance(error, StoreReplaced | RunNotFound):
                self._stream = None
            return changed

    def _read(self, is_live: bool) -> bool:
        stream = self._stream
        if stream is None:
            tail = None if self.is_whole else GLANCE
            stream = self.client.runs.stream(self.run_id, tail=tail)
        elif stream.ended and is_live:
            # Resumed: what ended has another life.
            stream = self.client.runs.stream(self.run_id, stream.offset)
        self._stream = stream
        has_read = False
        end = time.monotonic() + _TURN
        events = stream.read()
        while events:
            has_read = True
            for event in events:
                self.board.apply(event)
            self.events.extend(events)
            self.read_count += len(events)
            if time.monotonic() >= end:
                break
            events = stream.read()
        self.is_behind = bool(events)
        if has_read:
            self.problem = None
            if self.is_whole:
                self.tree.update()
            else:
                self.board.changed.clear()
        return has_read

    @property
    def latest(self) -> dt.datetime | None:
        """When the last event was made."""
        return self.events[-1].timestamp if self.events else None

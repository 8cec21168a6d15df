"""What a view knows of its run: fed by streams, told in messages.

Any thread may ask for the snapshot; the sender thread does all the rest.
"""

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from nbflow.client import Client
from nbflow.errors import NbflowError
from nbflow.model import RunEvent, RunStatus
from nbflow.view import Board
from nbflow.view.html import run_html, run_sentence
from nbflow.view.tree import Node
from nbflow.widgets.outputs import cell_name
from nbflow.widgets.run.feed import Feed
from nbflow.widgets.run.head import LINES, Log, head_of, questions_of
from nbflow.widgets.run.protocol import VERSION, Delta, Head, Snapshot
from nbflow.widgets.run.rows import MESSAGE_BYTES, Rows
from nbflow.widgets.run.texts import millis, size

FIRST = 4
"""Pages of events that a view begins with: what is more comes when it is on the page,
so that a run of any length is seen at once."""
PAGES = 10
"""Pages that are read at one go: 5,000 events, then others have a turn."""
_LONG = 1.0
"""Seconds of reading after which the view says that it reads."""
_QUIET = 1.0
_LOOK = 2.0
"""Seconds without an event, and between two looks, to say why a run does not go on."""
_RARELY = 100
"""So many times as long as a look takes, there is none."""
_GRACE = 2
"""Looks at a run that nobody executes before the view says so."""


def now_utc() -> dt.datetime:
    """The present time, as it is shown."""
    return dt.datetime.now(dt.UTC)


class Live:
    """A run in a view, with the child runs that are open in it.

    Args:
        client: a client of its app.
        run_id: the run.
        check: raises why there will be no such run, as a handle's `status` does.

    Attributes:
        is_behind: whether more is recorded than was read: then `delta` tells the
            header only, and `whole` all of it once it was read.

    Raises:
        StoreError: the store cannot be read.
    """

    def __init__(
        self,
        client: Client,
        run_id: str,
        check: Callable[[], object] | None = None,
    ) -> None:
        self.client = client
        self.run_id = run_id
        self.app = client.app
        self.seq = 0
        self._lock = threading.RLock()
        self._feeds = {run_id: Feed(client, run_id, check)}
        self._clients = {run_id: client}
        record = None
        with suppress(NbflowError):  # it is on its way
            record = client.runs.get(run_id)
        self.board = Board(record, run_id)
        self._end = record if record is not None and record.is_ended else None
        self._rows = Rows(self.board)
        self._log = Log()
        self._waiting: tuple[str, ...] = ()
        self._engine = "live"
        self._head: Head | None = None
        self._newest = time.monotonic()
        self._look_at = 0.0
        self._unexecuted = 0
        self.is_behind = False
        self._behind_since = self._newest
        self.read(FIRST)
        # Whatever page there will be, its snapshot holds what is known by now.
        self._forget_changes()

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, and its end was read."""
        return self.board.is_ended and self._feeds[self.run_id].is_over

    @property
    def has_failed(self) -> bool:
        """Whether it ended so that somebody may want to correct and resume it."""
        return self.board.status is RunStatus.FAILED

    @property
    def is_left(self) -> bool:
        """Whether no engine goes on with the run, as far as is known."""
        return self._engine == "left"

    @property
    def problem(self) -> str | None:
        """Why the run cannot be followed any more."""
        return self._feeds[self.run_id].problem

    @property
    def delay(self) -> float:
        """Seconds after which to read again."""
        return min(feed.delay for feed in self._feeds.values())

    def look_again(self) -> None:
        """Look at once whether the run goes on."""
        self._feeds[self.run_id].look_again()
        self._look_at = 0.0

    def read(self, pages: int = PAGES) -> None:
        """Take the events that have come, of each run in the view so many pages."""
        is_behind = False
        with self._lock:
            for run_id, feed in list(self._feeds.items()):
                for _ in range(pages):
                    events = feed.read()
                    if not events:
                        break
                    self._newest = time.monotonic()
                    self._take(run_id, events)
                else:
                    is_behind = True
            if is_behind and not self.is_behind:
                self._behind_since = time.monotonic()
            self.is_behind = is_behind
            if not is_behind:
                self._end = None  # from now on the board knows, also of later lives

    def read_all(self) -> None:
        """Take all that is recorded, however long it takes."""
        self.read()
        while self.is_behind:
            self.read()

    def look(self) -> None:
        """Ask why the run does not go on, where it has been quiet for a while."""
        now = time.monotonic()
        if self.board.is_ended:
            self._waiting, self._engine = (), "live"
            return
        if now - self._newest < _QUIET or now < self._look_at:
            return
        runs = self.client.runs
        try:
            is_executed = runs.is_executed(self.run_id)
            is_executed = is_executed or runs.get(self.run_id).is_ended
            # What its steps wait for is said in their rows.
            self._waiting = runs.hindrances(self.run_id)
        except NbflowError:  # a kept command is still to start it
            is_executed = False
        # One look may fall between an engine's letting go and the commit of the end.
        self._unexecuted = 0 if is_executed else self._unexecuted + 1
        self._engine = "left" if self._unexecuted >= _GRACE else "live"
        # Of a large run this is a long question.
        took = time.monotonic() - now
        self._look_at = now + max(_LOOK, _RARELY * took)

    def snapshot(self) -> Snapshot:
        """All of the view, as it is now."""
        with self._lock:
            return {
                "v": VERSION,
                "seq": self.seq,
                "now": millis(now_utc()) or 0,
                "head": self._make_head(),
                "rows": self._rows.whole(),
                "log": self._log.whole(),
            }

    def whole(self) -> Snapshot:
        """All of the view, for all of its pages: nothing of it comes again."""
        with self._lock:
            self._forget_changes()
            snapshot = self.snapshot()
            self._head = snapshot["head"]
            return snapshot

    def delta(self) -> Delta | None:
        """What has changed since the last one; None if nothing has."""
        with self._lock:
            head = self._make_head()
            is_new = head != self._head
            has_rows = self._rows.has_changes and not self.is_behind
            has_log = self._log.has_changes and not self.is_behind
            has_more = has_rows or has_log
            if not is_new and not has_more:
                return None
            self.seq += 1
            delta: Delta = {
                "t": "d",
                "seq": self.seq,
                "now": millis(now_utc()) or 0,
                "rows": [],
            }
            room = MESSAGE_BYTES
            if is_new:
                self._head = delta["head"] = head
                room -= max(size(head) - 2_000, 0)
            if has_log:
                delta["log"] = self._log.take_new()
                room -= size(delta["log"])
            if has_rows:
                room = max(room, 8_000)
                delta["rows"] = self._rows.take_changes(limit_bytes=room)
            return delta

    @property
    def has_rows(self) -> bool:
        """Whether rows are left for the next message."""
        return self._rows.has_changes

    def step_of(self, row: int) -> tuple[Client, str, str | None] | None:
        """Client, run and step of a row (None: the run itself); None: no such row."""
        if row == 0:
            return self.client, self.run_id, None
        found = self._rows.node(row)
        if found is None:
            return None
        node, watched = found
        run_id = watched.board.run_id
        name = node.label if not node.is_step or node.facts is None else node.facts.name
        return self._clients.get(run_id, self.client), run_id, name

    def schema_of(self, row: int) -> Mapping[str, Any] | None:
        """The schema of the answer that a row asks for."""
        found = self._rows.node(row)
        facts = None if found is None else found[0].facts
        return None if facts is None else facts.schema

    def holder_of(self, row: int) -> tuple[Node, str] | None:
        """The node of a row that holds others, and its status; None for steps."""
        found = self._rows.node(row)
        if found is None or found[0].is_step:
            return None
        return found[0], found[1].tree.status(found[0]).value

    def open(self, row: int, on: bool) -> None:
        """Send the children of a row, and go on; or stop it."""
        with self._lock:
            if self._rows.open_fold(row, on):
                return
            found = self._rows.node(row)
            facts = None if found is None else found[0].facts
            if found is None or facts is None or facts.child is None:
                return
            child = facts.child
            if not on:
                for gone in self._rows.close_run(child):
                    self._feeds.pop(gone).close()
                    self._clients.pop(gone)
                found[1].board.children.pop(child, None)
            elif child not in self._feeds:
                client = self._clients[found[1].board.run_id]
                if facts.app is not None and facts.app != client.app:
                    client = Client(client.home, facts.app)
                board = found[1].board.children[child] = Board(run_id=child)
                self._clients[child] = client
                self._feeds[child] = Feed(client, child)
                self._rows.open_run(row, board)

    def html(self, rows: int = 200) -> str:
        """The run as static HTML."""
        with self._lock:
            return run_html(
                self.board,
                now_utc(),
                rows=rows,
                cells=cell_name,
                note=self.problem,
                tree=self._rows.main.tree,
            )

    def sentence(self) -> str:
        """The run in one line."""
        return run_sentence(self.board, now_utc(), self.problem)

    def close(self) -> None:
        """Read no more."""
        for feed in self._feeds.values():
            feed.close()

    def _take(self, run_id: str, events: Iterable[RunEvent]) -> None:
        events = list(events)
        self._rows.take(run_id, events)
        # Of a page of lines only the last can be among those that are kept.
        logs = [event for event in events if event.type == "log"]
        for event in logs[-LINES:]:
            self._log.take(event, self._rows.row_of(run_id, event.step))

    def _forget_changes(self) -> None:
        self._rows.forget_changes()
        self._log.take_new()

    def _make_head(self) -> Head:
        asking = {
            row: node.facts
            for row, node in self._rows.asking.items()
            if node.facts is not None
        }
        return head_of(
            self.board,
            self.app,
            waiting=self._reasons(),
            engine=self._engine,
            end=self._end if self.is_behind else None,
            problem=self.problem,
            unbegun=self._rows.main.tree.unbegun,
            questions=questions_of(asking) if asking else (),
        )

    def _reasons(self) -> tuple[str, ...]:
        if not self.is_behind or time.monotonic() - self._behind_since < _LONG:
            return self._waiting
        count = len(self.board.steps)
        return (*self._waiting, f"its records are being read: {count:,} steps so far")

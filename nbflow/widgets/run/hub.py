"""The one thread of a kernel that sends for all views.

It has an empty context, so that what it sends belongs to no cell, and is alone in
touching comms and outputs once a view is on the page. Others post calls to it.
"""

import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from nbflow.widgets.run.pace import Pace

log = logging.getLogger("nbflow")

_IDLE = 60.0


class Member(Protocol):
    """Something that the thread keeps up to date."""

    pace: Pace

    def tick(self, now: float, visible: int, hidden: int) -> float | None:
        """Do what is due; when to be called again, None for never."""

    def fail(self, error: Exception) -> None:
        """Its tick has raised: it is not called again."""


class Hub:
    """Calls its members when they are due, and what is posted at once."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._calls: deque[Callable[[], None]] = deque()
        self._due: dict[Member, float] = {}
        self._thread: threading.Thread | None = None

    def add(self, member: Member) -> None:
        """Keep a member up to date from now on."""

        def enter() -> None:
            self._due[member] = 0.0

        self.post(enter)

    def remove(self, member: Member) -> None:
        """Leave it alone."""
        self.post(lambda: self._drop(member))

    def wake(self, member: Member) -> None:
        """Call it at once; from the thread itself."""
        if member in self._due:
            self._due[member] = 0.0

    def post(self, call: Callable[[], None]) -> None:
        """Have the thread call something; from any thread, returns at once."""
        with self._changed:
            self._calls.append(call)
            if self._thread is None or not self._thread.is_alive():
                run = contextvars.Context().run
                self._thread = threading.Thread(
                    target=run, args=(self._loop,), name="nbflow-views", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    def _drop(self, member: Member) -> None:
        self._due.pop(member, None)

    def _loop(self) -> None:
        while True:
            with self._changed:
                if not self._calls:
                    due = min(self._due.values(), default=float("inf"))
                    wait = min(due - time.monotonic(), _IDLE)
                    if wait > 0:
                        self._changed.wait(wait)
                calls, self._calls = self._calls, deque()
            for call in calls:
                try:
                    call()
                except Exception:  # one view's failure must not end the others
                    log.exception("a view of nbflow has failed")
            self._tick()

    def _tick(self) -> None:
        there = [member for member in self._due if member.pace.is_there]
        visible = sum(member.pace.is_visible for member in there)
        hidden = len(there) - visible
        for member, due in list(self._due.items()):
            now = time.monotonic()
            if now < due or member not in self._due:
                continue
            try:
                following = member.tick(now, visible, hidden)
            except Exception as error:
                log.exception("a view of nbflow has failed")
                following = None
                member.fail(error)
            if following is None:
                self._drop(member)
            elif member in self._due:
                self._due[member] = following


hub = Hub()
"""That of this process."""

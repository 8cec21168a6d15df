"""Notices code that blocks the engine's loop, and says whose it is.

A thread looks at the loop's heartbeat and, when that is late, at the stack of the
engine's thread: nothing is spent on steps that behave.
"""

import asyncio
import logging
import sys
import threading
import time
from types import FrameType

from nbflow._engine import attempts, said
from nbflow._engine.branches import RunningStep
from nbflow._engine.core import Core
from nbflow._engine.hosts import Blocker
from nbflow._engine.life import Life
from nbflow._engine.run import LiveRun
from nbflow._store.sqlite import SqliteWriter
from nbflow.model import step_label

log = logging.getLogger("nbflow")

BLOCKED = 1.0
"""Seconds without a heartbeat that are worth a warning."""
_BEAT = 0.25
_MACHINERY = ("anyio", "asyncio", "concurrent", "nbflow", "selectors", "threading")
_ADVICE = (
    "async code must not block: await what takes long, make the function a plain `def` "
    "(it then runs in a worker thread), or move the computing into a step"
)


class Watch:
    """Watches one engine's loop while runs are active."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._beat = time.monotonic()
        self._is_told = False
        self.blocker: Blocker | None = None  # after more than BLOCKED seconds
        self._is_active = False
        self._turn = threading.Condition()  # held by who starts or ends the thread
        self._thread: threading.Thread | None = None
        self._pulse_timer: asyncio.TimerHandle | None = None

    def set(self, is_active: bool) -> None:
        """Start or stop watching; called on the loop."""
        self._beat = time.monotonic()  # first: the thread may still be looking
        self._is_active = is_active
        if is_active:
            self._pulse()
            with self._turn:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._look, name="nbflow-watch", daemon=True
                    )
                    self._thread.start()

    def _pulse(self) -> None:
        self._beat = time.monotonic()
        self._is_told, self.blocker = False, None
        if self._pulse_timer is not None:
            self._pulse_timer.cancel()
        if self._is_active:
            self._pulse_timer = self._core.loop.call_later(_BEAT, self._pulse)

    def _look(self) -> None:
        while True:
            with self._turn:
                self._turn.wait(_BEAT)
                if not self._is_active:  # for a beat at most: runs come in quick turns
                    self._thread = None
                    return
            if self._is_told or time.monotonic() - self._beat < BLOCKED:
                continue
            frame = sys._current_frames().get(self._core.commits.thread)
            if frame is not None:
                self._is_told = True
                self._tell(frame)

    def _tell(self, frame: FrameType) -> None:
        found: FrameType | None = frame
        while found is not None:
            if found.f_code is attempts.attempt_code():
                scope: attempts.StepScope = found.f_locals["scope"]
                what = f"step {step_label(scope.key)!r}"
                self._say(what, scope.run, scope)
                return
            if found.f_code is LiveRun._drive.__code__:
                self._say("the body", found.f_locals["self"], None)
                return
            if found.f_code is SqliteWriter.commit.__code__:
                log.warning("a commit takes more than %g s: slow disk", BLOCKED)
                return
            found = found.f_back
        task, place = asyncio.current_task(self._core.loop), _users_place(frame)
        if task is None or place is None:
            return
        for live in list(self._core.live.values()):
            if isinstance(live, Life) and live.owns(task):
                self._say(f"a task ({place})", live, None)
                return
        self._say(f"a task ({place})", None, None)

    def _say(self, what: str, live: Life | None, scope: RunningStep | None) -> None:
        """Say what blocks the loop; as a line of its run's log, too."""
        run_id = None if live is None else live.journal.id
        whole = f"{what} of a run" if run_id is None else f"{what} of run {run_id}"
        self.blocker = Blocker(whole, run_id, self._beat)
        message = (
            f"{what if scope is not None else whole} has blocked the engine's loop for "
            f"more than {BLOCKED:g} s, and with it every other run: {_ADVICE}"
        )
        log.warning("%s", message)
        if live is not None:
            self._core.loop.call_soon_threadsafe(_record, live, message, scope)


def _users_place(frame: FrameType) -> str | None:
    """The outermost function of the user's that is being called, and where it is."""
    place: str | None = None
    found: FrameType | None = frame
    while found is not None:
        if found.f_globals.get("__name__", "").partition(".")[0] not in _MACHINERY:
            place = f"{found.f_code.co_name}, line {found.f_lineno}"
        found = found.f_back
    return place


def _record(live: Life, message: str, scope: RunningStep | None) -> None:
    if not live.is_closed:
        said.log(live, message, "warning", "engine", None, scope)

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
from nbflow._engine.life import Life
from nbflow._engine.run import LiveRun
from nbflow._store.sqlite import SqliteWriter
from nbflow.model import step_label

log = logging.getLogger("nbflow")

BLOCKED = 1.0
"""Seconds without a heartbeat that are worth a warning."""
_BEAT = 0.25
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
        self.is_blocked = False  # by a body or a step, for more than BLOCKED seconds
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
        self._is_told = self.is_blocked = False
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
                message = (
                    f"step {step_label(scope.key)!r} has blocked the engine's loop for "
                    f"more than {BLOCKED:g} s, and with it every other run: {_ADVICE}"
                )
                self._say(scope.run, message, scope)
                return
            if found.f_code is LiveRun._drive.__code__:
                live: Life = found.f_locals["self"]
                message = (
                    f"the body of run {live.journal.id} has blocked the engine's loop "
                    f"for more than {BLOCKED:g} s, and with it every other run: "
                    f"{_ADVICE}"
                )
                self._say(live, message, None)
                return
            if found.f_code is SqliteWriter.commit.__code__:
                log.warning("a commit takes more than %g s: slow disk", BLOCKED)
                return
            found = found.f_back

    def _say(self, live: Life, message: str, scope: RunningStep | None) -> None:
        self.is_blocked = True
        log.warning("%s", message)
        self._core.loop.call_soon_threadsafe(_record, live, message, scope)


def _record(live: Life, message: str, scope: RunningStep | None) -> None:
    if not live.is_closed:
        said.log(live, message, "warning", "engine", None, scope)

"""One run on one page: live, then basic where no browser answers, then static.

The sender thread calls `tick`; others post. Outputs are replaced by static HTML when
the run is over, so that a saved notebook shows it without this process.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol
from uuid import uuid4

from nbflow.widgets import acting, outputs
from nbflow.widgets.run.basic import Basic
from nbflow.widgets.run.commands import ANSWERED, ASKED, perform
from nbflow.widgets.run.hub import Hub
from nbflow.widgets.run.live import Live
from nbflow.widgets.run.pace import SLOW, Pace
from nbflow.widgets.run.texts import line

HELLO = 3.0
"""Seconds of an idle kernel after which a silent browser gets the basic view."""
LINGER = 2.0
"""Seconds that a completed run stays live; a failed one stays for `HELD`."""
HELD = 300.0
"""Seconds that it does so at most while someone has pointer or focus inside."""

FIRST_READ = 0.3
"""Seconds after which a view goes on reading: that it is painted comes before."""
_WAIT = 0.25


class Widget(Protocol):
    """What shows a run in a browser."""

    def send(self, content: Any) -> None:
        """Send a message to all its displays."""

    def bundle(self) -> dict[str, Any]:
        """The output that displays it."""

    def leave(self) -> None:
        """Close its comm."""


class Showing:
    """A run, shown until it has ended.

    Args:
        live: what is known of the run.
        hub: the sender thread.
        widget: what shows it; None for static HTML from the start.
        shell: the kernel's shell; None outside of a kernel.
        is_interactive: whether a person may be looking.

    Attributes:
        pace: how often it may send.
        done: set when nothing more will be sent.
        shell: the kernel's shell.
    """

    def __init__(
        self,
        live: Live,
        hub: Hub,
        widget: Widget | None,
        shell: Any,
        is_interactive: bool,
    ) -> None:
        self.live = live
        self.pace = Pace()
        self.done = threading.Event()
        self._hub = hub
        self._widget = widget
        self.shell = shell
        self._is_interactive = is_interactive
        self._basic: Basic | None = None
        self._displays: list[str] = []
        self._made: list[str] = []  # the same, as cells see it
        self._shown = 0.0
        self._read_at = time.monotonic() + FIRST_READ if live.is_behind else 0.0
        self._is_whole = not live.is_behind
        self._ended: float | None = None
        self._held: float | None = None

    # From any thread

    def display(self) -> None:
        """Put it into the output of the cell that is executed."""
        id = uuid4().hex
        self._made.append(id)
        is_frozen = self.done.is_set()
        # Nobody there can run a widget: programs would save one that shows nothing.
        if self._widget is None or is_frozen or not self._is_interactive:
            data = self._static()
        else:
            data = self._widget.bundle()
        outputs.publish(self.shell, data, id, update=False)
        if not is_frozen:
            self.note_display(id)

    def note_display(self, id: str) -> None:
        """It is shown in an output: that is replaced when the run has ended."""
        self._hub.post(lambda: self._note_display(id))

    def wait_alone(self) -> None:
        """Where nobody is looking, wait for the end: later there may be no kernel.

        KeyboardInterrupt leaves this, and the run as it is.
        """
        if self._is_interactive:
            return
        while not self.done.wait(_WAIT):
            pass
        # Once more from the cell's own thread: what the sender thread has just sent may
        # come after the cell's end, when such programs listen no more.
        self._update(self._made, self._static())

    def receive(self, message: Any) -> None:
        """Take a message of the browser: it is handled in the sender thread."""
        if isinstance(message, Mapping):
            self._hub.post(lambda: self._handle(message))

    def close(self) -> None:
        """Send nothing more; what is on the page stays."""
        self.done.set()
        self._hub.remove(self)
        self._hub.post(self._leave)

    # In the sender thread

    def tick(self, now: float, visible: int, hidden: int) -> float | None:
        """Read, send what is due, and see whether it is time to freeze."""
        if self.done.is_set():
            return None
        live = self.live
        if now >= self._read_at:
            live.read()
            live.look()
            now = time.monotonic()
        due = self.pace.due(visible, hidden)
        if now >= due:
            self._send_changes(now)
            due = self.pace.due(visible, hidden)
        if self._basic is not None:
            self._basic.refresh(live, now)
        elif self._is_silent(now):
            self._fall_back()
        if self._is_to_freeze(now):
            self._freeze()
            return None
        wake = due
        if due == float("inf"):  # nobody listens yet, or nobody is there
            wake = now + (SLOW if self._widget is not None else 0)
        if live.is_behind:
            wake = now
        elif not live.has_rows:
            wake = max(wake, now + live.delay)
        self._read_at = wake
        return min(wake, now + SLOW) if self._ended is not None else wake

    def fail(self, error: Exception) -> None:
        """Say so, leave what is on the page."""
        if self._widget is not None:
            text = f"the view has failed: {type(error).__name__}: {error}"
            self._widget.send({"t": "bye", "reason": line(text, 300)})
        self.done.set()

    def _send_changes(self, now: float) -> None:
        live = self.live
        if self._widget is None or self._basic is not None:
            return
        if live.is_behind:
            self._is_whole = False
        elif not self._is_whole:
            self._is_whole = True
            self._widget.send({"t": "s", "snapshot": live.whole()})
            self.pace.note_sent(now)
            return
        delta = live.delta()
        if delta is not None:
            self._widget.send(delta)
            self.pace.note_sent(now)

    def _note_display(self, id: str) -> None:
        if self.done.is_set():  # it was frozen between
            self._update({id}, self._static())
            return
        self._displays.append(id)
        self._shown = time.monotonic()
        self._hub.wake(self)

    def _handle(self, message: Mapping[str, Any]) -> None:
        kind = message.get("t")
        if self.done.is_set() or self._widget is None:
            return
        if kind == "hello":
            self.pace.is_there = True
            self.pace.is_visible = message.get("visible") is not False
            self.pace.sent = float("-inf")
        elif kind == "vis":
            self.pace.is_visible = bool(message.get("on"))
        elif kind == "hold":
            self._held = time.monotonic() if message.get("on") else None
        elif kind == "slow":
            self.pace.lag(time.monotonic())
        elif kind == "resync":
            self._widget.send({"t": "s", "snapshot": self.live.snapshot()})
        elif kind == "open":
            row = message.get("row")
            if type(row) is int:
                self.live.open(row, bool(message.get("on")))
        elif kind in ANSWERED or kind in ASKED:
            acting.start(lambda: self._perform(message))
        self._read_at = 0.0
        self._hub.wake(self)

    def _perform(self, message: Mapping[str, Any]) -> None:
        answer = perform(self.live, message)
        if answer is not None:
            self._hub.post(lambda: self._answer(answer))

    def _answer(self, answer: Any) -> None:
        if self._widget is not None and not self.done.is_set():
            self._widget.send(answer)
            self._read_at = 0.0
            self._hub.wake(self)

    def _is_silent(self, now: float) -> bool:
        """Whether the browser could have answered, and has not."""
        idle = outputs.idle_since()
        if self._widget is None or self.pace.is_there or not self._displays:
            return False
        if not self._is_interactive or idle is None:
            return False
        return now - max(idle, self._shown) >= HELLO

    def _fall_back(self) -> None:
        assert self._widget is not None
        cancel = {"t": "cancel", "cmd": 0}
        basic = self._basic = Basic(
            lambda: acting.start(lambda: self._note_answer(perform(self.live, cancel)))
        )
        basic.refresh(self.live, time.monotonic())
        self._update(self._displays, basic.bundle(self.live))

    def _note_answer(self, answer: Any) -> None:
        basic = self._basic
        if basic is not None and answer is not None:
            self._hub.post(lambda: basic.say(str(answer.get("text"))))

    def _is_to_freeze(self, now: float) -> bool:
        live = self.live
        is_stuck = live.problem is not None
        if not self._is_interactive and live.is_left:
            is_stuck = True  # nobody is there to resume it
        if not is_stuck and (not live.is_over or live.has_rows):
            if not live.is_over:
                self._ended = None
            elif self.pace.is_there:
                return False
        if not is_stuck and not live.is_over:
            return False
        if self._ended is None:
            self._ended = now
        if not self._displays:
            return False  # it is part of another widget, or not shown yet
        if self._widget is None or not self._is_interactive:
            return True
        if self._held is not None and now - self._ended < HELD:
            return False
        since = self._ended if self._held is not None else max(self._ended, self._shown)
        return now - since >= (HELD if live.has_failed else LINGER)

    def _freeze(self) -> None:
        self.done.set()
        self._update(self._displays, self._static())
        self._leave()

    def _leave(self) -> None:
        self.live.close()
        if self._basic is not None:
            self._basic.close()
        if self._widget is not None:
            self._widget.leave()

    def _update(self, ids: Any, data: Mapping[str, Any]) -> None:
        for id in list(ids):
            outputs.publish(self.shell, data, id, update=True)

    def _static(self) -> dict[str, Any]:
        self.live.read_all()
        return {"text/html": self.live.html(), "text/plain": self.live.sentence()}

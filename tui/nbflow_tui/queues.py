"""The screen of flow control: a row a key, and who waits for it, why not yet."""

import datetime as dt
from collections.abc import Callable, Hashable
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from nbflow.client import Client
from nbflow.errors import NbflowError
from nbflow.model import FlowKey, FlowWaiter, safe_text
from nbflow.view import Line, Look, Span, line, plural
from nbflow.view.flow import key_line, waiter_line
from nbflow_tui import clock
from nbflow_tui.bars import KeyBar, LineBar
from nbflow_tui.calls import call_in_thread
from nbflow_tui.lines import LineList
from nbflow_tui.pending import Sent

LOOK = 0.25
"""Seconds between looks at whether something was committed."""

_ACTIONS = ("pause", "limits", "reset")


class Queue(NamedTuple):
    """A key of one of the apps; `note` while a command for it is on its way."""

    app: str
    key: FlowKey
    note: str = ""


class QueueList(LineList[Queue]):
    """Keys, one line each."""

    is_mixed = False
    blank: Line = ()

    def key_of(self, item: Queue) -> Hashable:
        """App and key."""
        return item.app, item.key.key

    def draw(self, item: Queue, width: int, now: dt.datetime) -> Line:
        """How full it is, who waits."""
        app = line(Span(f"{item.app}/", "dim")) if self.is_mixed else ()
        room = max(width - 2 - sum(len(span.text) for span in app), 1)
        drawn = key_line(item.key, self.look, now, room, item.note)
        return line(" ", app, drawn)

    def is_live(self, item: Queue) -> bool:
        """Whether somebody waits."""
        return bool(item.key.waiting)

    def empty(self) -> Line:
        """Why there is nothing."""
        return self.blank


class WaiterList(LineList[FlowWaiter]):
    """Those that wait for a key, in order."""

    def key_of(self, item: FlowWaiter) -> Hashable:
        """Run, step and when it came."""
        return item.run_id, item.step, item.since

    def draw(self, item: FlowWaiter, width: int, now: dt.datetime) -> Line:
        """Its place, since when, why not yet."""
        return waiter_line(item, self.look, now, width)

    def is_live(self, item: FlowWaiter) -> bool:
        """How long it waits changes."""
        return True

    def empty(self) -> Line:
        """Nobody waits."""
        return line(Span(" nobody waits for it", "dim"))


class QueuesScreen(Screen[None]):
    """Flow control.

    Args:
        clients: gives a client of each app.
        look: what the terminal can show.
        read_only: offer nothing that changes anything.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "pause or go on", id="queue.pause"),
        Binding("s", "limits", "set limits", id="queue.set"),
        Binding("x", "reset", "reset", id="queue.reset"),
        Binding("tab", "other", "who waits", id="queue.other", show=False),
        Binding("escape", "back", "back", id="nav.back"),
    ]
    DEFAULT_CSS = """
    QueuesScreen #queues { height: 1fr; }
    QueuesScreen #waiters { height: 2fr; display: none; }
    QueuesScreen #waiters.-open { display: block; }
    QueuesScreen #waiters-title { display: none; padding: 0 1; background: $surface; }
    QueuesScreen #waiters-title.-open { display: block; }
    QueuesScreen #queues-title { padding: 0 1; background: $panel; }
    """
    AUTO_FOCUS = "#queues"

    def __init__(
        self,
        clients: Callable[[], list[Client]],
        look: Look | None = None,
        read_only: bool = False,
    ) -> None:
        super().__init__()
        self.clients = clients
        self.look = look or Look()
        self.read_only = read_only
        self._stamps: object = None
        self._is_reading = False
        self._notes: dict[tuple[str, str], str] = {}
        self._problem = ""

    def compose(self) -> ComposeResult:
        """Keys over those that wait."""
        yield LineBar(id="queues-title")
        yield QueueList(self.look, id="queues")
        yield LineBar(id="waiters-title")
        yield WaiterList(self.look, id="waiters")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Look at the stores until it is closed."""
        self.queues = self.query_one("#queues", QueueList)
        self.waiters = self.query_one("#waiters", WaiterList)
        self.queues.blank = line(Span(" looking…", "dim"))
        self._tell()
        self.set_interval(LOOK, self.look_for_changes)
        self.set_interval(1.0, self.tick)
        self.look_for_changes()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing changes anything under `--read-only`."""
        return not (self.read_only and action in _ACTIONS)

    # Reading

    def look_for_changes(self) -> None:
        """Read again if anything was committed."""
        if self._is_reading:
            return
        try:
            clients = self.clients()
            stamps = [(each.app, each.stamp()) for each in clients]
        except NbflowError as error:
            self._failed(error)
            return
        if stamps != self._stamps:
            self._stamps = stamps
            self.reload(clients)

    def reload(self, clients: list[Client] | None = None) -> None:
        """Read all keys."""
        self._is_reading = True

        def read() -> list[Queue]:
            return _read(self.clients() if clients is None else clients)

        call_in_thread(self.app, read, self._take, self._failed)

    def _take(self, found: list[Queue]) -> None:
        self._is_reading = False
        if not self.is_attached:
            return
        self._problem = ""
        self.queues.is_mixed = len({each.app for each in found}) > 1
        self.queues.blank = line(
            Span(" no flow control: ", "dim"),
            "a FlowControl on a workflow or step makes a key",
        )
        now = clock.now()
        noted = [
            each._replace(note=self._notes.get((each.app, each.key.key), ""))
            for each in found
        ]
        self.queues.set_items(noted, now)
        self._show_waiters(now)
        self._tell()

    def _failed(self, error: Exception) -> None:
        self._is_reading = False
        self._problem = safe_text(str(error))
        if self.is_attached:
            self._tell()

    def tick(self) -> None:
        """A second has passed."""
        now = clock.now()
        self.queues.tick(now)
        if self.waiters.display:
            self.waiters.tick(now)

    def _tell(self) -> None:
        keys = self.queues.items
        waiting = sum(len(each.key.waiting) for each in keys)
        said = line(
            Span("Flow control", "strong"),
            Span(f"  {plural(len(keys), 'key')}, {waiting:,} waiting", "dim"),
        )
        problem = line(Span(self._problem, "bad"))
        read_only = line(Span("read-only " * self.read_only, "warn"))
        self.query_one("#queues-title", LineBar).say(said, problem or read_only)

    def _show_waiters(self, now: dt.datetime) -> None:
        queue = self.queues.item
        title = self.query_one("#waiters-title", LineBar)
        if queue is None:
            self._open_waiters(False)
            return
        self.waiters.set_items(queue.key.waiting, now)
        title.say(
            line(Span("waiting for ", "dim"), Span(queue.key.key, "strong")),
            line(Span(f"{len(queue.key.waiting):,}", "dim")),
        )

    def _open_waiters(self, is_open: bool) -> None:
        self.waiters.set_class(is_open, "-open")
        self.query_one("#waiters-title").set_class(is_open, "-open")
        if not is_open:
            self.queues.focus()

    # Moving about

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        """Enter: who waits for the key; on one of those, its run."""
        event.stop()
        if isinstance(event.item, Queue):
            self._open_waiters(True)
            self.waiters.focus()
        elif isinstance(event.item, FlowWaiter):
            queue = self.queues.item
            open_run = getattr(self.app, "open_run", None)
            if queue is not None and open_run is not None:
                self.dismiss()
                open_run((queue.app, event.item.run_id))

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        """Another key."""
        event.stop()
        if event.list is self.queues:
            self._show_waiters(clock.now())

    def action_other(self) -> None:
        """The other list."""
        if self.queues.has_focus and self.waiters.has_class("-open"):
            self.waiters.focus()
        else:
            self.queues.focus()

    def action_back(self) -> None:
        """Close the list of those that wait, then the screen."""
        if self.waiters.has_class("-open"):
            self._open_waiters(False)
        else:
            self.dismiss()

    # Steering

    def action_pause(self) -> None:
        """Let nothing start under the key, or let it go on."""
        queue = self.queues.item
        if queue is None:
            return
        control = self._client(queue).flow_control
        verb, call = (
            ("resuming…", control.resume)
            if queue.key.paused
            else (
                "pausing…",
                control.pause,
            )
        )
        name = queue.key.key
        self._notes[queue.app, name] = verb
        self._renote()

        def done(_: object) -> None:
            self._notes.pop((queue.app, name), None)
            if not self._client(queue).is_served():
                self.app.notify(
                    safe_text(f"kept for the engine of {queue.app}"), markup=False
                )
            self._stamps = None
            self.look_for_changes()

        def failed(error: Exception) -> None:
            self._notes.pop((queue.app, name), None)
            self._failed(error)
            self._renote()

        call_in_thread(self.app, lambda: call(name), done, failed)

    def action_limits(self) -> None:
        """Give the key limits."""
        from nbflow_tui.dialogs.limits import LimitsDialog

        queue = self.queues.item
        if queue is not None:
            self.app.push_screen(
                LimitsDialog(self._client(queue), queue.key), self._sent
            )

    def action_reset(self) -> None:
        """Take its set limits back."""
        from nbflow_tui.dialogs.limits import ResetDialog

        queue = self.queues.item
        if queue is not None:
            self.app.push_screen(
                ResetDialog(self._client(queue), queue.key), self._sent
            )

    def _sent(self, sent: Sent | None) -> None:
        if sent is not None and sent.note:
            self.app.notify(safe_text(sent.note), markup=False)
        self._stamps = None
        self.look_for_changes()

    def _renote(self) -> None:
        noted = [
            each._replace(note=self._notes.get((each.app, each.key.key), ""))
            for each in self.queues.items
        ]
        self.queues.set_items(noted, clock.now())

    def _client(self, queue: Queue) -> Client:
        return next(each for each in self.clients() if each.app == queue.app)


def _read(clients: list[Client]) -> list[Queue]:
    return [
        Queue(client.app, key)
        for client in clients
        for key in client.flow_control.list()
    ]

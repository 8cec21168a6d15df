"""The flow-control keys of an app: limits, who runs, who waits and why not yet."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import ipywidgets

from nbflow.client import Client
from nbflow.errors import InvalidOption, NbflowError
from nbflow.model import FlowKey, FlowWaiter, safe_text
from nbflow.view import (
    clock,
    flow_limits,
    flow_lines,
    plain,
    plural,
    short_id,
    until,
)
from nbflow.widgets import acting
from nbflow.widgets.elements import button, close_tree, label, text_line
from nbflow.widgets.following import LiveBox, client_of

_KEYS = 30
_WAITERS = 10


class QueuesView(LiveBox):
    """The flow-control keys of an app, live, with pause, resume, set and reset.

    Args:
        client: the app; that of the notebook if None.
    """

    def __init__(self, client: Client | None = None) -> None:
        super().__init__(client_of(client, "QueuesView"), "queues")
        self._keys: list[FlowKey] = []
        self._cards: dict[str, _Card] = {}
        self._list = ipywidgets.VBox()
        self._list._dom_classes = ("nbflow-cards",)
        self._empty = label("", "nbflow-empty")
        self._more = label("", "nbflow-empty")
        self.children = [
            self._style,
            self._list,
            self._empty,
            self._more,
            self._message,
        ]
        self.refresh()

    def __repr__(self) -> str:
        if self._is_closed:
            return f"<QueuesView of app {self._client.app!r}: closed>"
        waiting = sum(len(key.waiting) for key in self._keys)
        told = f"{plural(len(self._keys), 'key')}, {waiting:,} waiting"
        return f"<QueuesView of app {self._client.app!r}: {told}>"

    def picture(self) -> list[str]:
        """The keys as text."""
        return [
            safe_text(repr(self)),
            *map(plain, flow_lines(self._keys, self._client.now())),
        ]

    def _draw(self) -> int:
        self._keys = self._client.flow_control.list()
        shown = self._keys[:_KEYS]
        self._has_live = any(key.waiting or key.running for key in shown)
        names = {key.key for key in shown}
        gone = [
            self._cards.pop(name) for name in list(self._cards) if name not in names
        ]
        now = self._client.now()
        for key in shown:
            if key.key not in self._cards:
                self._cards[key.key] = _Card(key.key, self._act)
            self._cards[key.key].show(key, now)
        children = tuple(self._cards[key.key].widget for key in shown)
        if children != self._list.children:
            self._list.children = children
        close_tree(*(card.widget for card in gone))
        self._empty.value = "no flow-control key was used so far"
        self._empty.layout.display = "none" if shown else None
        more = len(self._keys) - len(shown)
        self._more.value = f"and {plural(more, 'more key')}"
        self._more.layout.display = None if more else "none"
        return len(shown)

    def _retime(self) -> None:
        self._draw()  # why each waits, and until when, changes with the time

    def _act(self, key: str, do: Callable[[Any], None]) -> None:
        """Tell the engine, in a thread of its own; a refusal is said at the key."""

        def act() -> None:
            card = self._cards.get(key)
            try:
                do(self._client.flow_control)
            except NbflowError as error:
                if card is not None:
                    card.say(str(error))
            else:
                if card is not None:
                    card.say("")
                self._redraw()

        acting.start(act)


class _Card:
    """One key."""

    def __init__(
        self, key: str, act: Callable[[str, Callable[[Any], None]], None]
    ) -> None:
        self._key = key
        self._act = act
        self._is_paused = False
        self._shown: FlowKey | None = None
        self._limits = label("", "nbflow-about")
        self._state = label("", "nbflow-state")
        self._running = label("", "nbflow-took")
        self._pause = button("pause", self._toggle, "nbflow-quiet")
        self._set = button("limits …", self._unfold, "nbflow-quiet")
        self._reset = button(
            "reset",
            self._forget,
            "nbflow-quiet",
            tooltip="forget limits that were set, a pause, and the starts so far",
        )
        head = ipywidgets.HBox(
            [
                label(key, "nbflow-title"),
                self._limits,
                self._running,
                self._state,
                self._pause,
                self._set,
                self._reset,
            ]
        )
        head._dom_classes = ("nbflow-head",)
        self._lines: list[Any] = []
        self._waiting = ipywidgets.GridBox()
        self._waiting._dom_classes = ("nbflow-waiting",)
        self._problem = label("", "nbflow-problem")
        self._problem.layout.display = "none"
        self.widget = ipywidgets.VBox(
            [head, self._make_limits(), self._waiting, self._problem]
        )
        self.widget._dom_classes = ("nbflow-card",)

    def _make_limits(self) -> Any:
        self._rate = ipywidgets.Text(placeholder="no limit", layout={"width": "6em"})
        self._period = ipywidgets.Text(value="1s", layout={"width": "6em"})
        self._parallelism = ipywidgets.Text(
            placeholder="no limit", layout={"width": "6em"}
        )
        for control, tip in (
            (self._rate, "starts in a period"),
            (self._period, "period, as in 1s or 5m"),
            (self._parallelism, "executions at once"),
        ):
            control.tooltip = tip
        self._form = ipywidgets.HBox(
            [
                label("starts"),
                self._rate,
                label("in"),
                self._period,
                label("at once"),
                self._parallelism,
                button("set", self._put_limits, "nbflow-quiet"),
            ],
            layout={"display": "none"},
        )
        self._form._dom_classes = ("nbflow-limits",)
        return self._form

    def show(self, key: FlowKey, now: dt.datetime) -> None:
        """Show how the key stands."""
        self._is_paused = key.paused
        self._shown = key
        self._limits.value = flow_limits(key)
        self._running.value = f"{key.running:,} running"
        states = ["paused"] if key.paused else []
        states += ["limits set"] if key.pinned else []
        if key.next_start is not None and not key.paused:
            states.append(f"next start {until(key.next_start, now)}")
        self._state.value = " · ".join(states)
        self._pause.description = "resume" if key.paused else "pause"
        self._draw_waiting(key, now)

    def say(self, text: str) -> None:
        """Say what was refused."""
        self._problem.value = text_line(text)
        self._problem.layout.display = None if text else "none"

    def _draw_waiting(self, key: FlowKey, now: dt.datetime) -> None:
        rows = [_told(waiter, now) for waiter in key.waiting[:_WAITERS]]
        hidden = len(key.waiting) - len(rows)
        if hidden:
            rows.append(("", f"and {hidden:,} more", "", ""))
        while len(self._lines) < 4 * len(rows):
            self._lines += [label("", f"nbflow-{name}") for name in _COLUMNS]
        shown = self._lines[: 4 * len(rows)]
        for widget, text in zip(shown, (t for row in rows for t in row), strict=True):
            widget.value = text_line(text)
        if len(shown) != len(self._waiting.children):
            self._waiting.children = shown
        self._waiting.layout.display = None if shown else "none"

    # Buttons

    def _toggle(self) -> None:
        key, is_paused = self._key, self._is_paused
        self._act(key, lambda keys: (keys.resume if is_paused else keys.pause)(key))

    def _forget(self) -> None:
        self._act(self._key, lambda keys: keys.reset(self._key))

    def _unfold(self) -> None:
        layout = self._form.layout
        layout.display = "none" if layout.display is None else None
        if layout.display is None and self._shown is not None:
            self._rate.value = _typed(self._shown.rate)
            self._period.value = f"{self._shown.period:g}s"
            self._parallelism.value = _typed(self._shown.parallelism)

    def _put_limits(self) -> None:
        try:
            given = {
                "rate": _count(self._rate.value, "starts"),
                "period": self._period.value.strip() or "1s",
                "parallelism": _count(self._parallelism.value, "at once"),
            }
        except InvalidOption as error:
            self.say(str(error))
            return
        self._act(self._key, lambda keys: keys.set(self._key, **given))


_COLUMNS = ("place", "waiter", "when", "why")


def _told(waiter: FlowWaiter, now: dt.datetime) -> tuple[str, str, str, str]:
    step = f" · {waiter.step}" if waiter.step else ""
    name = f"{short_id(waiter.run_id)}{step}"
    return f"{waiter.place + 1}.", name, f"since {clock(waiter.since, now)}", waiter.why


def _typed(limit: int | None) -> str:
    return "" if limit is None else str(limit)


def _count(text: str, what: str) -> int | None:
    """A limit as it is typed; nothing is no limit."""
    text = text.strip()
    if not text:
        return None
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise InvalidOption(
            f"{what}={text!r} is no whole number from 1; leave it empty for no limit",
            option=what,
            value=text,
        )
    return int(text)

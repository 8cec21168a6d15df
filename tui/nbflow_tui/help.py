"""The keys, written from the bindings themselves."""

import datetime as dt
from collections.abc import Hashable, Mapping
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingsMap, BindingType
from textual.containers import Vertical
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen

from nbflow.view import MARKS, Line, Look, Span, line, pad
from nbflow_tui import clock
from nbflow_tui.keys import key_file
from nbflow_tui.lines import LineList

_ROOMS = {
    "list": "in lists",
    "runs": "runs",
    "timeline": "timeline",
    "text": "details",
    "tab": "details",
    "events": "events",
    "nav": "moving about",
    "run": "this run",
    "step": "this run",
    "app": "everywhere",
}


class _Row(NamedTuple):
    place: int
    line: Line


class _Keys(LineList[_Row]):
    """The table of keys."""

    def key_of(self, item: _Row) -> Hashable:
        """The number of the line."""
        return item.place

    def draw(self, item: _Row, width: int, now: dt.datetime) -> Line:
        """The line."""
        return item.line


class HelpScreen(ModalScreen[None]):
    """All keys of the screen below, and what the signs mean."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "close", "close", id="help.close"),
    ]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: $background 60%; }
    HelpScreen > Vertical { width: 64; max-width: 100%; height: 80%; max-height: 100%;
      background: $surface; border: round $foreground 25%; padding: 0 1; }
    HelpScreen _Keys { background: $surface; }
    """

    def __init__(
        self, below: Screen[object], look: Look, keys: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self._below = below
        self._look = look
        self._user_keys = dict(keys or {})

    def compose(self) -> ComposeResult:
        """The table."""
        with Vertical():
            yield _Keys(self._look, id="help-keys")

    def on_mount(self) -> None:
        """Write it."""
        rows = [_Row(place, each) for place, each in enumerate(self._lines())]
        keys = self.query_one("#help-keys", _Keys)
        keys.set_items(rows, clock.now())
        keys.focus()

    def action_close(self) -> None:
        """Back."""
        self.dismiss(None)

    def _lines(self) -> list[Line]:
        rooms: dict[str, list[Line]] = {}
        known: set[str] = set()
        namespaces = [self.app, self._below, *self._below.query("LineList")]
        for node in reversed(namespaces):
            bindings = self._bindings_of(node)
            for _, binding in bindings:
                name = binding.id or ""
                if not binding.description or name in known:
                    continue
                known.add(name)
                room = _ROOMS.get(name.partition(".")[0])
                if room is not None:
                    rooms.setdefault(room, []).append(self._row(bindings, binding))
        found: list[Line] = []
        for room in dict.fromkeys(_ROOMS.values()):
            if room in rooms:
                found += [line(Span(room.capitalize(), "strong")), *rooms[room], ()]
        found += [
            line(Span("Other keys", "strong")),
            line(Span(f"  {key_file()}", "dim")),
            line(Span('  run.cancel = "ctrl+x"', "dim")),
            (),
            line(Span("Signs", "strong")),
        ]
        for each in MARKS.values():
            sign = self._look.sign(each)
            found.append(line("  ", Span(pad(sign, 14), each.role), each.word))
        return found

    def _bindings_of(self, node: DOMNode) -> BindingsMap:
        """The keys of a widget, the user's own among them."""
        bindings = node._bindings.copy()
        bindings.apply_keymap(self._user_keys)
        return bindings

    def _row(self, bindings: BindingsMap, binding: Binding) -> Line:
        same = [
            self.app.get_key_display(each)
            for _, each in bindings
            if each.id == binding.id
        ]
        keys = " ".join(dict.fromkeys(same))
        told = pad(binding.description, 22)
        return line(
            "  ", Span(pad(keys, 14), "busy"), told, Span(binding.id or "", "dim")
        )

"""Events and log lines of a run, as they come.

At the end of the list it follows; whoever moves away stays where he is, new lines are
counted, and going to the end follows again.
"""

import datetime as dt
from collections.abc import Hashable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from nbflow.model import EventType, RunEvent
from nbflow.view import Line, Look, Span, event_line, line
from nbflow_tui.lines import LineList

LEVELS = ("debug", "info", "warning", "error")
KINDS = ("all", "logs", "steps")
_QUIET = frozenset({EventType.PROGRESS, EventType.DATA})


class EventList(LineList[RunEvent]):
    """The last events of one run."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "kind", "kind", id="events.kind"),
        Binding("L", "level", "level", id="events.level"),
        Binding("f", "bottom", "follow", id="events.follow"),
    ]

    BLURRED = ""

    class Turned(Message):
        """Other events are shown, or it follows again."""

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.kind = 0
        self.level = 0
        self.step: str | None = None
        self.follows = True
        self.fresh = 0
        self._all: Sequence[RunEvent] = ()

    def key_of(self, item: RunEvent) -> Hashable:
        """Run and number."""
        return (item.run_id, item.index)

    def draw(self, item: RunEvent, width: int, now: dt.datetime) -> Line:
        """Time, number, what happened."""
        return event_line(item, self.look, now)

    def empty(self) -> Line:
        """Why there is nothing."""
        if self._all:
            return line(Span("no event of this kind", "dim"))
        return line(Span("no event yet", "dim"))

    def take(self, found: Sequence[RunEvent], now: dt.datetime) -> None:
        """Show the events of a run that pass the filters."""
        self._all = found
        shown = [event for event in found if self._passes(event)]
        is_other = bool(shown and self.items) and (
            shown[0].run_id != self.items[0].run_id
        )
        if is_other:
            self.follows = True
        added = len(shown) - len(self.items)
        if self.follows:
            self.fresh = 0
        elif added > 0:
            self.fresh += added
        self.set_items(shown, now, anchored=not self.follows)
        if self.follows and shown:
            super().move_to(len(shown) - 1)

    @property
    def told(self) -> Line:
        """Which events are shown, and how many have come."""
        parts = [KINDS[self.kind]]
        if self.level:
            parts.append(f"{LEVELS[self.level]} and worse")
        if self.step:
            parts.append(self.step)
        found = line(Span(", ".join(parts), "dim"))
        if self.fresh:
            down = "▼" if self.look.unicode else "v"
            return line(found, Span(f"  {down} {self.fresh:,} new", "busy"))
        return found

    def move_to(self, place: int) -> None:
        """As any list; at the end it follows."""
        super().move_to(place)
        was, self.follows = self.follows, place >= len(self.items) - 1
        if self.follows:
            self.fresh = 0
        if was != self.follows:
            self.post_message(self.Turned())

    def action_kind(self) -> None:
        """All events, log lines, or what steps do."""
        self.kind = (self.kind + 1) % len(KINDS)
        self._again()

    def action_level(self) -> None:
        """Log lines from another level on."""
        self.level = (self.level + 1) % len(LEVELS)
        self._again()

    def _again(self) -> None:
        self.take(self._all, self.now)
        self.post_message(self.Turned())

    def _passes(self, event: RunEvent) -> bool:
        if self.step is not None and event.step != self.step:
            return False
        if event.type is EventType.LOG:
            level = str(event.data.get("level") or "info")
            rank = LEVELS.index(level) if level in LEVELS else 1
            return KINDS[self.kind] != "steps" and rank >= self.level
        if self.level:
            return event.data.get("error") is not None
        if KINDS[self.kind] == "logs":
            return False
        return KINDS[self.kind] == "all" or event.type not in _QUIET

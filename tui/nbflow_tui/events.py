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
from nbflow.view.tracks import Life
from nbflow_tui.lines import LineList

LEVELS = ("debug", "info", "warning", "error")
KINDS = ("all", "logs", "steps")
WINDOWS = (("", 0), ("last 1 min", 60), ("last 5 min", 300), ("last 15 min", 900))
"""Names and seconds; of a run that goes on until now, else until its end."""
_QUIET = frozenset({EventType.PROGRESS, EventType.DATA})


class EventList(LineList[RunEvent]):
    """The last events of one run."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "kind", "kind", id="events.kind"),
        Binding("L", "level", "level", id="events.level"),
        Binding("x", "step", "this step", id="events.step"),
        Binding("m", "window", "minutes", id="events.window"),
        Binding("t", "times", "times", id="events.times", show=False),
        Binding("f", "bottom", "follow", id="events.follow"),
    ]

    BLURRED = ""

    class Turned(Message):
        """Other events are shown, or it follows again."""

    class Older(Message):
        """Events of before are wanted."""

        def __init__(self, run_id: str, before: int) -> None:
            super().__init__()
            self.run_id, self.before = run_id, before

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.kind = 0
        self.level = 0
        self.window = 0
        self.is_narrow = False
        """Whether the events of the selected step are shown, and no others."""
        self.is_relative = False
        self.selected: str | None = None
        self.life = Life(None, None, None)
        self.follows = True
        self.fresh = 0
        self._all: Sequence[RunEvent] = ()
        self._older: list[RunEvent] = []
        self._is_reading = False
        self._oldest: dt.datetime | None = None

    def key_of(self, item: RunEvent) -> Hashable:
        """Run and number."""
        return (item.run_id, item.index)

    def draw(self, item: RunEvent, width: int, now: dt.datetime) -> Line:
        """Time, number, what happened."""
        return event_line(
            item, self.look, now, self._start if self.is_relative else None
        )

    def lines(self) -> Sequence[Line]:
        """All that is shown, as lines of any length."""
        return [self.draw(item, 0, self.now) for item in self.items]

    def empty(self) -> Line:
        """Why there is nothing."""
        if self._all:
            first = self._first_index()
            more = f" after {first - 1:,}; up reads older ones" if first > 1 else ""
            return line(Span(f"no event of this kind{more}", "dim"))
        return line(Span("no event yet", "dim"))

    @property
    def step(self) -> str | None:
        """The step whose events alone are shown."""
        return self.selected if self.is_narrow else None

    @property
    def _start(self) -> dt.datetime | None:
        return self.life.started or self.life.queued

    def select(self, step: str | None) -> None:
        """Another step is under the cursor of the timeline; None: the run."""
        was, self.selected = self.step, step
        if self.step != was:
            self._again()

    def tick(self, now: dt.datetime) -> None:
        """Time has passed: what is too old by now goes."""
        self.now = now
        if self.window and self.life.ended is None:
            self.take(self._all, now)

    def take(
        self, found: Sequence[RunEvent], now: dt.datetime, life: Life | None = None
    ) -> None:
        """Show the events of a run that pass the filters.

        Args:
            found: its last events.
            now: the time.
            life: when it began and ended, if that may have changed.
        """
        self.life = life or self.life
        self._oldest = self._begin(now)
        self._keep(found)
        self._all = found
        shown = [
            event
            for part in (self._older, found)
            for event in part
            if self._passes(event)
        ]
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

    def _begin(self, now: dt.datetime) -> dt.datetime | None:
        """When the window that is shown begins; None: all of it is."""
        if not self.window:
            return None
        seconds = WINDOWS[self.window][1]
        return (self.life.ended or now) - dt.timedelta(seconds=seconds)

    def _keep(self, found: Sequence[RunEvent]) -> None:
        """Events of before stay while somebody looks at them, without a gap."""
        is_same = bool(self._all and found) and (self._all[0].run_id == found[0].run_id)
        if self.follows or not is_same:
            self._older = []
            return
        if self._older and found[0].index > self._all[0].index:
            begin = found[0].index
            self._older += [each for each in self._all if each.index < begin]

    def take_older(self, run_id: str, found: Sequence[RunEvent]) -> None:
        """Show these, too, before the others; the cursor stays where it is."""
        self._is_reading = False
        is_next = bool(found) and found[-1].index == self._first_index() - 1
        if is_next and self._all[0].run_id == run_id:
            self.follows = False
            self._older = [*found, *self._older]
            self._again()

    def _first_index(self) -> int:
        first = self._older or self._all
        return first[0].index if first else 1

    def action_move(self, by: int) -> None:
        """As any list; up from the first event reads older ones."""
        self._ask_older(by)
        super().action_move(by)

    def action_page(self, by: int) -> None:
        """As any list; up from the first event reads older ones."""
        self._ask_older(by)
        super().action_page(by)

    def action_top(self) -> None:
        """To the first event that was read; once more reads older ones."""
        self._ask_older(-1)
        super().action_top()

    def on_mouse_scroll_up(self) -> None:
        """The wheel reads older ones, too."""
        if round(self.scroll_y) == 0:
            self._ask_older(-1)

    def _ask_older(self, by: int) -> None:
        first = self._first_index()
        is_top = self.cursor == 0 or round(self.scroll_y) == 0
        if by < 0 and is_top and first > 1 and not self._is_reading:
            self._is_reading = True
            self.post_message(self.Older(self._all[0].run_id, first))

    @property
    def is_filtered(self) -> bool:
        """Whether some events are left out."""
        return bool(self.kind or self.level or self.window or self.is_narrow)

    @property
    def told(self) -> Line:
        """Which events are shown, and how many have come."""
        parts = [KINDS[self.kind]]
        first = self._first_index()
        if first > 1:
            parts.append(f"from {first:,}, up: older")
        if self.level:
            parts.append(f"{LEVELS[self.level]} and worse")
        if self.window:
            parts.append(WINDOWS[self.window][0])
        if self.is_narrow:
            parts.append(self.selected or "every step")
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

    def action_step(self) -> None:
        """The events of the selected step alone, or of all."""
        self.is_narrow = not self.is_narrow
        self._again()

    def action_window(self) -> None:
        """What the last minutes brought, or all."""
        self.window = (self.window + 1) % len(WINDOWS)
        self._again()

    def action_times(self) -> None:
        """The time of day, or how long after the run's start."""
        self.is_relative = not self.is_relative
        self._again()

    def _again(self) -> None:
        self.take(self._all, self.now)
        self.post_message(self.Turned())

    def _passes(self, event: RunEvent) -> bool:
        if self._oldest is not None and event.timestamp < self._oldest:
            return False
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

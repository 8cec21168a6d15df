"""The list of runs: all apps of the home, newest first, children below parents."""

import datetime as dt
from collections.abc import Hashable, Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from nbflow.view import Line, Look, Span, line, plural
from nbflow.view.listing import Entry, RunKey, list_line
from nbflow_tui.lines import LineList

AHEAD = 50
"""Rows before the end of the list at which older runs are asked for."""


class RunsList(LineList[Entry]):
    """Runs, one line each.

    As long as the window is at the top it follows what is new. Once the user has moved
    away it stays with the rows that are read, and new ones are counted.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "unfold", "children", id="runs.unfold", show=False),
        Binding("left,h", "fold", "fold", id="runs.fold", show=False),
        Binding("space", "mark", "mark", id="runs.mark", show=False),
    ]

    class Turned(Message):
        """Other children are to be shown, or other rows are in sight."""

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.opened: frozenset[RunKey] = frozenset()
        self.marked: frozenset[RunKey] = frozenset()
        self.follows = True
        self.fresh = 0
        self.is_mixed = False
        self.blank: Line = ()

    def key_of(self, item: Entry) -> Hashable:
        """App and id."""
        return item.key

    def draw(self, item: Entry, width: int, now: dt.datetime) -> Line:
        """What it is, what it does."""
        return list_line(
            item,
            self.look,
            now,
            width,
            is_mixed=self.is_mixed,
            is_marked=item.key in self.marked,
        )

    def is_live(self, item: Entry) -> bool:
        """Whether it goes on."""
        return item.is_live

    def empty(self) -> Line:
        """Why there is nothing."""
        return self.blank

    def take(self, entries: Sequence[Entry], now: dt.datetime) -> None:
        """Show these runs."""
        if self.follows or not self.items:
            self.fresh = 0
            self.set_items(entries, now, anchored=False)
            # Nobody is to be moved away from a run that he looks into.
            if self.has_focus and self.cursor >= max(self.size.height, 1):
                self.move_to(0)
            return
        known = {entry.key for entry in self.items}
        for entry in entries:
            if entry.key in known:
                break
            self.fresh += 1
        self.set_items(entries, now)

    @property
    def pill(self) -> Line:
        """How many runs have come above the window."""
        if not self.fresh:
            return ()
        up = "▲" if self.look.unicode else "^"
        return line(Span(f"{up} {self.fresh:,} new", "busy"))

    def near_end(self) -> bool:
        """Whether the cursor or the window comes close to the last row."""
        bottom = round(self.scroll_y) + self.size.height
        return max(bottom, self.cursor) >= len(self.items) - AHEAD

    def move_to(self, place: int) -> None:
        """As any list; whoever moves down stops following."""
        super().move_to(place)
        self._note_follow()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Other rows are in sight."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self._drawn.clear()
            self._note_follow()
            self.post_message(self.Turned())

    def action_top(self) -> None:
        """To the newest, and follow."""
        self.fresh = 0
        super().action_top()
        self.post_message(self.Turned())

    def action_unfold(self) -> None:
        """Show the runs that this one has started."""
        entry = self.item
        if entry is not None and entry.is_open is False:
            self.opened |= {entry.key}
            self.post_message(self.Turned())

    def action_fold(self) -> None:
        """Hide its children; of a child, go to its parent."""
        entry = self.item
        if entry is None:
            return
        if entry.is_open:
            self.opened -= {entry.key}
            self.post_message(self.Turned())
            return
        for place in range(self.cursor - 1, -1, -1):
            if self.items[place].depth < entry.depth:
                self.move_to(place)
                return

    def action_mark(self) -> None:
        """Mark the run for what is done to several."""
        entry = self.item
        if entry is not None:
            self.marked ^= {entry.key}
            self.move_to(self.cursor + 1)
            self.repaint()
            self.post_message(self.Turned())

    def unmark(self, keys: Iterable[RunKey]) -> None:
        """Take the marks from these runs."""
        left = self.marked.difference(keys)
        if left != self.marked:
            self.marked = left
            self.repaint()
            self.post_message(self.Turned())

    def targets(self) -> list[Entry]:
        """The marked runs, else the one under the cursor."""
        some = [entry for entry in self.items if entry.key in self.marked]
        return some or ([self.item] if self.item is not None else [])

    def told(self, is_whole: bool, looked: int) -> Line:
        """How much of the list there is."""
        count = len(self.items)
        more = "" if is_whole else "+"
        text = f"{count:,}{more}"
        if self.marked:
            text += f", {plural(len(self.marked), 'mark')}"
        return line(Span(text, "dim"))

    def _note_follow(self) -> None:
        self.follows = round(self.scroll_y) == 0
        if self.follows:
            self.fresh = 0

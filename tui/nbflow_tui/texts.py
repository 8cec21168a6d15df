"""`TextList`: a text to read, wrapped, with a search; values can be folded.

What may be long is laid out again only where width, text or folds have changed.
"""

import datetime as dt
from collections.abc import Hashable, Iterator
from typing import ClassVar, NamedTuple

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from nbflow.view import Line, Look, Span, line
from nbflow.view.documents import json_line, more_lines, wrapped
from nbflow.view.folding import (
    Fold,
    around,
    closed_at_first,
    folds,
    path_of,
    visible,
)
from nbflow_tui import clock
from nbflow_tui.inspector import Document
from nbflow_tui.lines import LineList


class TextRow(NamedTuple):
    """A line of a text on the screen: the part of a line that one row holds."""

    place: int
    part: int
    line: Line


class TextList(LineList[TextRow]):
    """What one tab of the details says."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "turn", "fold", id="text.turn"),
        Binding("right,l", "unfold", "unfold", id="text.unfold", show=False),
        Binding("left,h", "fold", "fold", id="text.fold", show=False),
        Binding("x", "turn_all", "fold or unfold all", id="text.all", show=False),
        Binding("n", "next(1)", "next", id="text.next", show=False),
        Binding("N", "next(-1)", "before", id="text.before", show=False),
        Binding("p", "path", "copy path", id="text.path", show=False),
    ]

    BLURRED = ""

    class Located(Message):
        """The path of a value is wanted."""

        def __init__(self, path: str) -> None:
            super().__init__()
            self.path = path

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.document: Document | None = None
        self.blank: Line = ()
        self.search = ""
        self.folds: dict[int, Fold] = {}
        self.closed: frozenset[int] = frozenset()
        self._wrapped_at = 0

    def key_of(self, item: TextRow) -> Hashable:
        """The number of the line, and which part of it."""
        return item.place, item.part

    def draw(self, item: TextRow, width: int, now: dt.datetime) -> Line:
        """The line, what was searched for marked."""
        if not self.search:
            return item.line
        return tuple(_marked(item.line, self.search.casefold()))

    def empty(self) -> Line:
        """Why there is nothing."""
        return self.blank

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Folding is offered where there is something to fold."""
        if action in ("turn", "unfold", "fold", "turn_all"):
            return bool(self.folds)
        if action == "path":
            return self.document is not None and bool(self.document.json)
        return super().check_action(action, parameters)

    def take(self, document: Document) -> None:
        """Show a text, from its beginning where it is another one."""
        old, self.document = self.document, document
        is_same = old is not None and (old.subject, old.tab) == (
            document.subject,
            document.tab,
        )
        if is_same and old is not None and old.lines == document.lines:
            return
        self.folds = folds(document.json)
        # What a person has opened stays open while more of a value comes.
        if not is_same or not (self.closed <= self.folds.keys()):
            self.closed = closed_at_first(self.folds)
        self._wrap()
        self.refresh_bindings()
        if not is_same:
            self.move_to(0)

    def on_resize(self, event: events.Resize) -> None:
        """Another width: the text is wrapped anew."""
        if self.columns != self._wrapped_at:
            self._wrap()

    # Layout

    def _wrap(self) -> None:
        if self.document is None:
            return
        self._wrapped_at = self.columns
        rows = list(self._rows(self.document))
        self.set_items(rows, clock.now(), anchored=False)

    def _rows(self, document: Document) -> Iterator[TextRow]:
        width = self.columns - 1
        for place, text in self._lines(document):
            sign: Line = ()
            if self.folds:
                sign = line(Span(self._sign(place), "dim"))
            room = max(width - 2 * bool(sign), 1)
            for part, drawn in enumerate(wrapped([text], room)):
                gap = line("  ") if sign and part else sign
                yield TextRow(place, part, (*gap, *drawn))

    def _lines(self, document: Document) -> Iterator[tuple[int, Line]]:
        if not self.folds:
            yield from enumerate(document.lines)
            return
        lines = document.json
        for place in visible(len(lines), self.folds, self.closed):
            text = lines[place]
            if place in self.closed:
                text = self.folds[place].told(text, lines[self.folds[place].last])
            yield place, json_line(text)
        yield from enumerate(more_lines(document.text), len(lines))

    def _sign(self, place: int) -> str:
        if place not in self.folds:
            return "  "
        return f"{self.look.fold(is_open=place not in self.closed)} "

    # Search

    def look_for(self, text: str) -> None:
        """Mark a text wherever it is, and go to the next place; folds open for it."""
        self.search = text
        if text and self.document is not None and self.folds:
            wanted = text.casefold()
            hit = {
                fold.first
                for place, each in enumerate(self.document.json)
                if wanted in each.casefold()
                for fold in around(place, self.folds)
                if fold.first != place
            }
            if hit & self.closed:
                self._close(self.closed - hit)
        self.repaint()
        if text:
            self.move_to(self.cursor - 1)
            self.action_next(1)

    def action_next(self, by: int) -> None:
        """To the next line that holds what is searched for."""
        wanted = self.search.casefold()
        count = len(self.items)
        for step in range(1, count + 1):
            place = (self.cursor + by * step) % count
            text = "".join(span.text for span in self.items[place].line)
            if wanted and wanted in text.casefold():
                self.move_to(place)
                return

    # Folds

    def action_choose(self) -> None:
        """Fold or unfold."""
        self.action_turn()

    def action_turn(self) -> None:
        """Fold what the line begins, or what it is in; or unfold it."""
        row = self.item
        found = [] if row is None else around(row.place, self.folds)
        if found:
            self._turn(found[-1])

    def action_unfold(self) -> None:
        """Show what the line begins."""
        if self.item is not None and self.item.place in self.closed:
            self._turn(self.folds[self.item.place])

    def action_fold(self) -> None:
        """Hide what the line begins, or what it is in."""
        row = self.item
        found = [] if row is None else around(row.place, self.folds)
        found = [fold for fold in found if fold.first not in self.closed]
        if found:
            self._turn(found[-1])

    def action_turn_all(self) -> None:
        """Open all; once more folds what lies deep."""
        self._close(frozenset() if self.closed else closed_at_first(self.folds))

    def action_path(self) -> None:
        """Tell where the value of this line stands."""
        if self.document is not None and self.item is not None:
            lines = self.document.json
            if self.item.place < len(lines):
                self.post_message(self.Located(path_of(lines, self.item.place)))

    def _turn(self, fold: Fold) -> None:
        self._close(self.closed ^ {fold.first})
        self.find((fold.first, 0))

    def _close(self, closed: frozenset[int]) -> None:
        self.closed = closed
        self._wrap()


def _marked(spans: Line, wanted: str) -> list[Span]:
    """What was searched for stands out; within each span."""
    found: list[Span] = []
    for text, role in spans:
        folded, place = text.casefold(), 0
        if len(folded) != len(text):
            found.append(Span(text, role))
            continue
        while (at := folded.find(wanted, place)) >= 0:
            found += [
                Span(text[place:at], role),
                Span(text[at : at + len(wanted)], "warn"),
            ]
            place = at + len(wanted)
        found.append(Span(text[place:], role))
    return [span for span in found if span.text]

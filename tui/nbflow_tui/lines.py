"""`LineList`: a list of any length that draws the lines in sight and no more.

Its cursor is an item, not a place: items come and go around it. What has not changed
is not sent to the terminal again. Runs, timeline, events and queues are such lists.
"""

import datetime as dt
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Generic, TypeVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBarRender
from textual.strip import Strip

from nbflow.view import Line, Look, Span, line
from nbflow_tui.door import Painted

T = TypeVar("T")

_STRIPS = 64
"""Drawn lines that are kept: some screens, as the cursor comes back to them."""


class _Blocks(ScrollBarRender):
    """A scroll bar of coloured blanks."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8


class LineList(Painted, ScrollView, Generic[T], can_focus=True):
    """Items, one line each; subclasses say how to draw one, and what identifies it.

    Args:
        look: what the terminal can show.
        id: of the widget.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", id="list.up", show=False),
        Binding("down,j", "move(1)", "down", id="list.down", show=False),
        Binding("pageup,ctrl+b", "page(-1)", "page up", id="list.page_up", show=False),
        Binding(
            "pagedown,ctrl+f", "page(1)", "page down", id="list.page_down", show=False
        ),
        Binding("home,g", "top", "first", id="list.top", show=False),
        Binding("end,G", "bottom", "last", id="list.bottom", show=False),
        Binding("enter", "choose", "open", id="list.open"),
    ]
    DEFAULT_CSS = """
    LineList { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    """

    BLURRED: ClassVar[str] = "cursor-blurred"
    """How the line under the cursor looks when another pane has the focus."""

    class Moved(Message):
        """The cursor is on another item."""

        def __init__(self, list: "LineList[Any]", item: Any) -> None:
            super().__init__()
            self.list, self.item = list, item

        @property
        def control(self) -> "LineList[Any]":
            """The list."""
            return self.list

    class Chosen(Message):
        """Enter, or a click on the item under the cursor."""

        def __init__(self, list: "LineList[Any]", item: Any) -> None:
            super().__init__()
            self.list, self.item = list, item

        @property
        def control(self) -> "LineList[Any]":
            """The list."""
            return self.list

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.look = look
        self.items: Sequence[T] = ()
        self.now = dt.datetime.now(dt.UTC)
        self._place = 0
        self._key: Hashable | None = None
        self._fault: Sequence[Line] = ()
        self._drawn: dict[int, tuple[Line, str]] = {}
        self._due: dict[int, tuple[int, tuple[Line, str]]] = {}
        self._strips: dict[tuple[Line, str, int], Strip] = {}

    def on_mount(self) -> None:
        """Without the signs that a terminal may lack."""
        if not self.look.unicode:
            self.vertical_scrollbar.renderer = _Blocks  # type: ignore[misc]

    # What subclasses say

    def key_of(self, item: T) -> Hashable:
        """What identifies an item."""
        raise NotImplementedError

    def draw(self, item: T, width: int, now: dt.datetime) -> Line:
        """An item as a line of at most `width` cells."""
        raise NotImplementedError

    def empty(self) -> Line:
        """What is said where there are no items."""
        return ()

    def is_live(self, item: T) -> bool:
        """Whether an item's line changes with time alone."""
        return False

    # Items and cursor

    @property
    def cursor(self) -> int:
        """The place of the cursor; 0 in an empty list."""
        return self._place

    @property
    def item(self) -> T | None:
        """The item under the cursor."""
        return self.items[self.cursor] if self.items else None

    def set_items(
        self, items: Sequence[T], now: dt.datetime, *, anchored: bool = True
    ) -> None:
        """Show these; cursor and window stay with the items they are on.

        Args:
            items: in order.
            now: the time they are drawn for.
            anchored: keep the first line in sight where it is, though items have come
                before it; else the window stays, and the list moves.
        """
        old = self.item
        top = round(self.scroll_y)
        offset = self._place - top
        anchor = self.key_of(self.items[top]) if top < len(self.items) else None
        self.items, self.now = items, now
        place = self._place_of(self._key, self._place) if old is not None else None
        if place is None:
            place = max(min(self._place, len(items) - 1), 0)
            self._key = self.key_of(items[place]) if items else None
        self._place = place
        self._fault = ()
        self._set_size(Size(self.columns, len(items)))
        if anchored and old is not None:
            line_of_anchor = None if anchor is None else self._place_of(anchor, top)
            first = place - offset if line_of_anchor is None else line_of_anchor
            if first != top:
                self._scroll(first)
        self.repaint()
        if (self.item is None) != (old is None) or (
            old is not None and self.key_of(old) != self._key
        ):
            self.post_message(self.Moved(self, self.item))

    def _place_of(self, key: Hashable, guess: int = 0) -> int | None:
        """Where the item of that key is; None: nowhere.

        Most look-ups find it where it was. A table of all places would take more memory
        than the list, and longer to make than one search.
        """
        items, key_of = self.items, self.key_of
        if guess < len(items) and key_of(items[guess]) == key:
            return guess
        return next((at for at, item in enumerate(items) if key_of(item) == key), None)

    def move_to(self, place: int) -> None:
        """Put the cursor on the item at a place, and that into sight."""
        if not self.items:
            return
        place = min(max(place, 0), len(self.items) - 1)
        key = self.key_of(self.items[place])
        moved, self._key, self._place = key != self._key, key, place
        self._into_sight(place)
        self.repaint()
        if moved:
            self.post_message(self.Moved(self, self.items[place]))

    def find(self, key: Hashable) -> bool:
        """Put the cursor on the item of that key; whether there is one."""
        place = self._place_of(key)
        if place is not None:
            self.move_to(place)
        return place is not None

    def has(self, key: Hashable) -> bool:
        """Whether there is an item of that key."""
        return self._place_of(key) is not None

    @property
    def columns(self) -> int:
        """Cells of a line, without the scroll bar."""
        return int(self.scrollable_content_region.width)

    def in_sight(self) -> Sequence[T]:
        """The items whose lines can be seen."""
        top = round(self.scroll_y)
        return self.items[top : top + max(self.size.height, 1)]

    def _set_size(self, size: Size) -> None:
        """Be so long; the screen is laid out again only if a scroll bar comes or goes.

        Lists of what goes on grow with every look at them.
        """
        old, height = self.virtual_size, self.size.height
        if size == old:
            return
        was_long, is_long = old.height > height, size.height > height
        if was_long != is_long:
            self.virtual_size = size
            return
        self.set_reactive(ScrollView.virtual_size, size)
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.window_virtual_size = size.height
        self.scroll_y = self.validate_scroll_y(self.scroll_y)

    # Painting

    def tick(self, now: dt.datetime) -> None:
        """Time has passed: draw again what changes with it."""
        if self._fault:
            self._fault = ()
            self.now = now
            self.repaint()
        elif any(self.is_live(item) for item in self.in_sight()):
            self.now = now
            self.repaint()

    def repaint(self) -> None:
        """Send those lines in sight that differ from what the terminal shows."""
        top = round(self.scroll_y)
        width = self.columns
        self._due.clear()
        for y in range(self.size.height):
            wanted = self._look_at(top + y, width)
            if self._drawn.get(y) != wanted:
                self._drawn.pop(y, None)
                self._due[top + y] = width, wanted
                self.refresh(Region(0, y, width, 1))

    def render_line(self, y: int) -> Strip:
        """The strip of one line in sight."""
        width = self.columns
        place = round(self.scroll_y) + y
        due = self._due.pop(place, None)
        is_made = due is not None and due[0] == width
        drawn = due[1] if due is not None and is_made else self._look_at(place, width)
        self._drawn[y] = drawn
        key = (*drawn, width)
        strip = self._strips.get(key)
        if strip is None:
            if len(self._strips) > _STRIPS:
                self._strips.clear()
            strip = self._strips[key] = self.strip_of(drawn[0], width, over=drawn[1])
        return strip

    def notify_style_update(self) -> None:
        """Colours have changed."""
        self._strips.clear()
        super().notify_style_update()

    def fail(self, error: Exception) -> None:
        """Say what keeps this pane from being shown, instead of it.

        The others go on. It is tried again with whatever comes, and each second.
        """
        told = f"{type(error).__name__}: {error}" if str(error) else repr(error)
        self._fault = (
            line(Span(" this pane cannot be shown", "bad")),
            line(" ", Span(told, "warn")),
            line(Span(" a fault of the monitor: the other panes go on", "dim")),
        )
        self.call_later(self.repaint)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """What goes wrong meanwhile is this pane's alone."""
        try:
            yield
        except Exception as error:  # it is said where it matters
            self.fail(error)

    def _look_at(self, place: int, width: int) -> tuple[Line, str]:
        if not self._fault:
            try:
                return self._line_at(place, width)
            except Exception as error:  # else one odd item would end the monitor
                self.fail(error)
        row = place - round(self.scroll_y)
        return (self._fault[row] if 0 <= row < len(self._fault) else ()), ""

    def _line_at(self, place: int, width: int) -> tuple[Line, str]:
        if place >= len(self.items):
            return (self.empty() if not self.items and place == 0 else ()), ""
        item = self.items[place]
        over = ""
        if place == self.cursor:
            over = "cursor" if self.has_focus else self.BLURRED
        return self.draw(item, width, self.now), over

    def on_resize(self, event: events.Resize) -> None:
        """Another width: all is drawn anew, and the cursor stays in sight."""
        self.virtual_size = Size(self.columns, len(self.items))
        self._drawn.clear()
        self._into_sight(self.cursor)

    def on_focus(self) -> None:
        """The cursor is shown stronger."""
        self.repaint()

    def on_blur(self) -> None:
        """The cursor is shown weaker."""
        self.repaint()

    # Keys

    def action_move(self, by: int) -> None:
        """Up or down by a line."""
        self.move_to(self.cursor + by)

    def action_page(self, by: int) -> None:
        """Up or down by a page."""
        self.move_to(self.cursor + by * max(self.size.height - 1, 1))

    def action_top(self) -> None:
        """To the first item."""
        self.move_to(0)

    def action_bottom(self) -> None:
        """To the last item."""
        self.move_to(len(self.items) - 1)

    def action_choose(self) -> None:
        """Open the item under the cursor."""
        item = self.item
        if item is not None:
            self.post_message(self.Chosen(self, item))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there; a second click opens."""
        place = round(self.scroll_y) + event.y
        if place >= len(self.items):
            return
        if event.chain >= 2:
            self.action_choose()
        else:
            self.move_to(place)

    def _into_sight(self, place: int) -> None:
        top, height = round(self.scroll_y), max(self.size.height, 1)
        if place < top:
            self._scroll(place)
        elif place >= top + height:
            self._scroll(place - height + 1)

    def _scroll(self, top: int) -> None:
        top = min(max(top, 0), max(len(self.items) - self.size.height, 0))
        if top != round(self.scroll_y):
            self.scroll_to(y=top, animate=False, immediate=True, force=True)

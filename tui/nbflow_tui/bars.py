"""Single lines of the screen: the head, titles of panes, and the keys at its foot."""

from collections.abc import Iterable, Sequence

from rich.segment import Segment
from textual.binding import Binding
from textual.strip import Strip

from nbflow.view import Line, Span, fit, line, width_of
from nbflow_tui.door import Painted

_SMALL = 12


class LineBar(Painted):
    """One line, set from outside; what does not fit on the right is cut first.

    Args:
        id: of the widget.
        classes: of the widget.
        keeps: cells on the right that stay, though the left is cut for them.
    """

    DEFAULT_CSS = "LineBar { height: 1; width: 1fr; }"

    def __init__(
        self,
        *,
        id: str | None = None,
        classes: str | None = None,
        keeps: int = _SMALL,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._keeps = keeps
        self._left: Line = ()
        self._right: Line = ()

    def say(self, left: Line, right: Line = ()) -> None:
        """Show this; nothing is sent where it is the same."""
        if (left, right) != (self._left, self._right):
            self._left, self._right = left, right
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The line."""
        width = self.size.width
        if y:
            return self.strip_of((), width)
        right, room = self._right, width - width_of(self._right) - 1
        if width_of(self._left) > room and width_of(right) > self._keeps:
            right = ()
        left = fit(self._left, room if right else width)
        gap = " " * max(width - width_of(left) - width_of(right), 0)
        return self.strip_of(line(left, gap, right), width)


class KeyBar(Painted):
    """The keys that do something now, from the bindings; each can be clicked."""

    DEFAULT_CSS = "KeyBar { height: 1; width: 1fr; }"

    def on_mount(self) -> None:
        """Follow focus and what is possible."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.refresh())

    def render_line(self, y: int) -> Strip:
        """The line."""
        width = self.size.width
        keys = [
            (line(Span(f" {key}", "key"), Span(f" {text} ", "dim")), action, is_last)
            for key, text, action, is_last in self._keys()
        ]
        # How to get help and how to leave is to be seen on the smallest screen.
        last = sum(width_of(said) for said, _, is_last in keys if is_last)
        strips: list[Strip] = []
        used = 0
        for said, action, is_last in keys:
            size = width_of(said)
            if used + size <= width - (0 if is_last else last):
                strips.append(self.strip_of(said, size, click=action))
                used += size
        strips.append(self.strip_of((), width - used))
        segments: list[Segment] = [part for strip in strips for part in strip]
        return Strip(segments, width)

    def _keys(self) -> Iterable[tuple[str, str, str, bool]]:
        seen: set[str] = set()
        shown = [
            active
            for active in self.screen.active_bindings.values()
            if active.binding.show and active.enabled and active.binding.id
        ]
        for active in sorted(shown, key=lambda each: _rank(each.binding)):
            binding = active.binding
            if binding.id in seen or not binding.description:
                continue
            seen.add(binding.id or "")
            action = f"app.press({binding.key!r})"
            key = self.app.get_key_display(binding)
            yield key, binding.description, action, _rank(binding)[0] > 1


def _rank(binding: Binding) -> tuple[int, int]:
    """Keys that are the same everywhere come last; of two, the shorter first."""
    order: Sequence[str] = ("app.palette", "app.help", "app.quit")
    place = order.index(binding.id) + 1 if binding.id in order else 0
    return place, len(binding.key) if place else 0

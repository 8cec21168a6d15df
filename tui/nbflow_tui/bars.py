"""Single lines of the screen: the head, titles of panes, and the keys at its foot."""

from collections.abc import Iterable, Sequence

from rich.segment import Segment
from textual.binding import Binding
from textual.strip import Strip

from nbflow.view import Line, Span, fit, line, width_of
from nbflow_tui.door import Painted, rules


class LineBar(Painted):
    """One line, set from outside; what does not fit on the right is cut first."""

    DEFAULT_CSS = rules("LineBar") + "\nLineBar { height: 1; width: 1fr; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
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
        room = width - width_of(self._right) - 1
        right = self._right
        if right and room < min(width_of(self._left), width // 2):
            right, room = (), width
        left = fit(self._left, room if right else width)
        gap = " " * max(width - width_of(left) - width_of(right), 0)
        return self.strip_of(line(left, gap, right), width)


class KeyBar(Painted):
    """The keys that do something now, from the bindings; each can be clicked."""

    DEFAULT_CSS = rules("KeyBar") + "\nKeyBar { height: 1; width: 1fr; }"

    def on_mount(self) -> None:
        """Follow focus and what is possible."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.refresh())

    def render_line(self, y: int) -> Strip:
        """The line."""
        width = self.size.width
        strips: list[Strip] = []
        used = 0
        for key, text, action in self._keys():
            said = line(Span(f" {key}", "key"), Span(f" {text} ", "dim"))
            size = width_of(said)
            if used + size > width:
                break
            strips.append(self.strip_of(said, size, click=action))
            used += size
        strips.append(self.strip_of((), width - used))
        segments: list[Segment] = [part for strip in strips for part in strip]
        return Strip(segments, width)

    def _keys(self) -> Iterable[tuple[str, str, str]]:
        seen: set[str] = set()
        shown = [
            active
            for active in self.screen.active_bindings.values()
            if active.binding.show and active.enabled and not active.binding.system
        ]
        for active in sorted(shown, key=lambda each: _rank(each.binding)):
            binding = active.binding
            if binding.action in seen or not binding.description:
                continue
            seen.add(binding.action)
            action = f"app.press({binding.key!r})"
            yield self.app.get_key_display(binding), binding.description, action


def _rank(binding: Binding) -> int:
    """Keys that are the same everywhere come last."""
    order: Sequence[str] = ("app.help", "app.palette", "app.quit")
    return order.index(binding.id) + 1 if binding.id in order else 0

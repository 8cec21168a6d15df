"""An app of Textual that shows nothing of nbflow's: what the monitor cannot go below.

It has as many lists on the line API, bars and inputs as the monitor's first screen, and
imports nothing else. `monitor.py` measures it beside the monitor.
"""

from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Segment, Strip
from textual.widget import Widget
from textual.widgets import Input


class Bar(Widget):
    """One line."""

    DEFAULT_CSS = "Bar { height: 1; }"

    def render_line(self, y: int) -> Strip:
        """That line."""
        return Strip([Segment("bare")])


class Lines(ScrollView, can_focus=True):
    """Ten thousand lines; those in sight are drawn afresh at each `tick`."""

    ticks = 0

    def on_mount(self) -> None:
        """Say how long it is."""
        self.virtual_size = Size(40, 10_000)

    def render_line(self, y: int) -> Strip:
        """The line at that place."""
        return Strip([Segment(f"line {y} of {self.ticks}")])


class Bare(App[int]):
    """The panes of the monitor, empty."""

    CSS = "Horizontal, Vertical, Lines { width: 1fr; height: 1fr; }"
    BINDINGS = [("q", "quit", "quit")]  # noqa: RUF012

    def compose(self) -> ComposeResult:
        """The panes."""
        yield Bar()
        yield Bar()
        with Horizontal():
            with Vertical():
                yield Bar()
                yield Lines()
            with Vertical():
                for _ in range(4):
                    yield Bar()
                for _ in range(3):
                    yield Lines()
        yield Input(id="filter")
        yield Bar()

    async def action_quit(self) -> None:
        """Leave."""
        self.exit(0)


if __name__ == "__main__":
    Bare().run()

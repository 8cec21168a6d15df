"""Where lines become what a terminal is sent: the only place.

Run data is hostile. Every text is made safe here once more, whoever made it, and no
text ever meets a parser of markup.
"""

from collections.abc import Mapping
from typing import NamedTuple

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.strip import Strip
from textual.widget import Widget

from nbflow.model import safe_text
from nbflow.view import Line


class Tint(NamedTuple):
    """How a role is drawn: what is blended with what lies below, of the theme's."""

    text: str | None = None
    alpha: float = 1.0
    back: str | None = None
    is_bold: bool | None = None


TINTS: Mapping[str, Tint] = {
    "": Tint("foreground"),
    "strong": Tint("foreground", is_bold=True),
    "dim": Tint("foreground", 0.55),
    "faint": Tint("foreground", 0.14),
    "good": Tint("success"),
    "bad": Tint("error"),
    "warn": Tint("warning"),
    "busy": Tint("primary"),
    "rest": Tint("secondary"),
    "again": Tint("accent"),
    "key": Tint("primary", is_bold=True),
    "cursor": Tint(alpha=0.22, back="primary"),
    "cursor-blurred": Tint(alpha=0.08, back="foreground"),
    "found": Tint(alpha=0.3, back="warning"),
}
"""Not component classes of the CSS: a widget would hold a node for each, which took
a tenth of the monitor's memory and of its start."""
SIXTEEN = {
    "dim": Style(dim=True),
    "faint": Style(dim=True),
    "cursor": Style(reverse=True),
    "cursor-blurred": Style(underline=True),
    "found": Style(reverse=True),
}
"""Roles in the terminal's own colours: those cannot be blended."""


class Painted(Widget):
    """A widget that draws `Line`s."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._role_styles: dict[str, Style] = {}
        self._theme: Mapping[str, str] = {}

    def strip_of(
        self, line: Line, width: int, *, over: str = "", click: str | None = None
    ) -> Strip:
        """A line as a strip of exactly `width` cells.

        Args:
            line: the line; what is too long is cut.
            width: cells.
            over: an extra style over all of it, as "cursor".
            click: an action for a click on it.
        """
        base = self.rich_style
        if over:
            base += self.role_style(over)
        if click is not None:
            base += Style(meta={"@click": click})
        styles = self._styles_of(line)
        segments = [
            Segment(safe_text(text), base + styles[role]) for text, role in line if text
        ]
        return Strip(Segment.adjust_line_length(segments, width, base), width)

    def role_style(self, role: str) -> Style:
        """The style of a role alone, its colours blended with what lies below."""
        style = self._role_styles.get(role)
        if style is None and role in SIXTEEN and self.app.native_ansi_color:
            style = self._role_styles[role] = SIXTEEN[role]
        if style is None:
            style = self._role_styles[role] = self._tinted(TINTS[role])
        return style

    def notify_style_update(self) -> None:
        """Colours may have changed."""
        self._role_styles.clear()
        if self._theme and self._theme is not self.app.theme_variables:
            self.refresh()
        super().notify_style_update()

    def _tinted(self, tint: Tint) -> Style:
        theme = self._theme = self.app.theme_variables
        below = self.background_colors[1]

        def blended(name: str | None) -> RichColor | None:
            if name is None:
                return None
            return (
                below + Color.parse(theme[name]).multiply_alpha(tint.alpha)
            ).rich_color

        return Style(
            color=blended(tint.text), bgcolor=blended(tint.back), bold=tint.is_bold
        )

    def _styles_of(self, line: Line) -> Mapping[str, Style]:
        return {role: self.role_style(role) for _, role in line}

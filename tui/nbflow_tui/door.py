"""Where lines become what a terminal is sent: the only place.

Run data is hostile. Every text is made safe here once more, whoever made it, and no
text ever meets a parser of markup.
"""

from collections.abc import Mapping
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from nbflow.model import safe_text
from nbflow.view import ROLES, Line

PREFIX = "role--"
NAMES = {role: f"{PREFIX}{role or 'plain'}" for role in ROLES}

CSS = """
.role--plain { color: $foreground; }
.role--strong { color: $foreground; text-style: bold; }
.role--dim { color: $foreground 55%; }
.role--faint { color: $foreground 14%; }
.role--good { color: $success; }
.role--bad { color: $error; }
.role--warn { color: $warning; }
.role--busy { color: $primary; }
.role--rest { color: $secondary; }
.role--again { color: $accent; }
.role--cursor { background: $primary 22%; }
.role--cursor-blurred { background: $foreground 8%; }
.role--found { background: $warning 30%; }
.role--key { color: $primary; text-style: bold; }
"""
SIXTEEN = {
    "dim": Style(dim=True),
    "faint": Style(dim=True),
    "cursor": Style(reverse=True),
    "cursor-blurred": Style(underline=True),
    "found": Style(reverse=True),
}
"""Roles in the terminal's own colours: those cannot be blended."""
EXTRAS = ("cursor", "cursor-blurred", "found", "key")


def rules(widget: str) -> str:
    """The styles of all roles, for the CSS of a class of widgets."""
    return "\n".join(
        f"{widget} > {rule.strip()}" for rule in CSS.strip().splitlines() if rule
    )


class Painted(Widget, inherit_css=True):
    """A widget that draws `Line`s."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *NAMES.values(),
        *(f"{PREFIX}{each}" for each in EXTRAS),
    }
    DEFAULT_CSS = rules("Painted")

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._role_styles: dict[str, Style] = {}

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
        return Strip(segments).adjust_cell_length(width, base)

    def role_style(self, role: str) -> Style:
        """The style of a role alone, its colours blended with what lies below."""
        style = self._role_styles.get(role)
        if style is None and role in SIXTEEN and self.app.native_ansi_color:
            style = self._role_styles[role] = SIXTEEN[role]
        if style is None:
            name = NAMES.get(role, f"{PREFIX}{role}")
            rules = self.get_component_styles(name)
            below = self.background_colors[1]
            color = (
                (below + rules.color).rich_color if rules.has_rule("color") else None
            )
            back = None
            if rules.has_rule("background"):
                back = (below + rules.background).rich_color
            style = Style(color=color, bgcolor=back) + rules.text_style
            self._role_styles[role] = style
        return style

    def notify_style_update(self) -> None:
        """Colours have changed."""
        self._role_styles.clear()
        super().notify_style_update()

    def _styles_of(self, line: Line) -> Mapping[str, Style]:
        return {role: self.role_style(role) for _, role in line}

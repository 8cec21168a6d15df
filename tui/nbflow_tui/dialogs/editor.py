"""A JSON editor that says what is wrong as one types, by a schema if there is one."""

import json
from collections.abc import Iterable
from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import TextArea

from nbflow.model import safe_text
from nbflow.view import Line, Span, line
from nbflow.view.schema import Schema, described, places, problems
from nbflow.view.values import to_json
from nbflow_tui.dialogs.base import Say

_SHOWN = 6
_LISTED = 12


class JsonEditor(Vertical):
    """Text that must be JSON.

    Args:
        value: what it begins with.
        schema: what it is checked against; None: any JSON will do.
        empty: what empty text stands for; without it, it is refused.
    """

    DEFAULT_CSS = """
    JsonEditor { height: auto; }
    JsonEditor TextArea { height: auto; min-height: 3; max-height: 40vh; }
    JsonEditor #hints { color: $foreground 60%; margin-top: 1; }
    JsonEditor #faults { color: $text-warning; }
    """

    def __init__(
        self, value: Any = None, schema: Schema | None = None, *, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self.schema = schema
        self.before = _pretty(value)

    def compose(self) -> ComposeResult:
        """Text, what is wrong with it, what its fields are."""
        yield TextArea(self.before, compact=True, highlight_cursor_line=False)
        yield Say(id="faults")
        yield Say(*hints(self.schema), id="hints")

    @property
    def area(self) -> TextArea:
        """The text."""
        return self.query_one(TextArea)

    @property
    def is_changed(self) -> bool:
        """Whether it was edited."""
        return self.area.text != self.before

    def set(self, value: Any, schema: Schema | None) -> None:
        """Begin again with another value."""
        self.schema = schema
        self.before = _pretty(value)
        self.area.load_text(self.before)
        self.query_one("#hints", Say).say(*hints(schema))
        self.query_one("#faults", Say).say()

    def read(self) -> tuple[Any, list[str]]:
        """The value, and what is wrong with it: nothing, where it may be sent."""
        text = self.area.text
        try:
            value = json.loads(text)
        except ValueError as error:
            return None, [_told(error, text)]
        except RecursionError:
            return None, ["It is nested too deeply."]
        if self.schema is None:
            return value, []
        return value, [str(each) for each in problems(value, self.schema)]

    def check(self) -> tuple[Any, bool]:
        """The value, and whether it may be sent; what is wrong is shown."""
        value, faults = self.read()
        self.query_one("#faults", Say).say(*_some(faults))
        return value, not faults

    def on_text_area_changed(self) -> None:
        """Tell what is wrong as it is typed."""
        if self.is_changed:
            self.check()


def hints(schema: Schema | None) -> Iterable[Line]:
    """What the fields take: one line each."""
    if not schema:
        return
    listed = list(places(schema))
    if not listed and schema.get("type") != "object":
        yield line(Span(f"takes {described(schema)}", "dim"))
    shown = listed[:_LISTED]
    width = max((len(name) for name, _, _ in shown), default=0)
    for name, field, is_required in shown:
        note = "" if is_required else ", may be left out"
        said = field.get("description")
        more = f" · {said}" if isinstance(said, str) else ""
        yield line(
            f"{name:<{width}}  ",
            Span(f"{described(field, schema)}{note}{more}", "dim"),
        )
    if len(listed) > _LISTED:
        yield line(Span(f"and {len(listed) - _LISTED} more fields", "dim"))


def _some(faults: list[str]) -> list[str]:
    if len(faults) <= _SHOWN:
        return faults
    return [*faults[:_SHOWN], f"and {len(faults) - _SHOWN} more"]


def _told(error: ValueError, text: str) -> str:
    if not text.strip():
        return "Give JSON: text in quotes, a number, true, null, a list or an object."
    if isinstance(error, json.JSONDecodeError):
        return f"No JSON at line {error.lineno}, column {error.colno}: {error.msg}"
    return f"No JSON: {error}"


def _pretty(value: Any) -> str:
    return safe_text(to_json(value, indent=2), multiline=True)

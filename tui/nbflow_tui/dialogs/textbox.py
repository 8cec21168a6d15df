"""`TextBox`: a long text to read, select and copy, or to open in a pager."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, TextArea

from nbflow.model import safe_text
from nbflow.view import plural
from nbflow_tui.dialogs.base import Say, looks
from nbflow_tui.pending import Sent

_SHOWN = 200_000
"""Characters; the pager gets all."""


class TextBox(ModalScreen[Sent | None]):
    """The whole of a value.

    Args:
        title: what it is.
        text: any text; what could steer a terminal is made visible, also in copies.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "close", id="text.close"),
        Binding("y", "copy", "copy", id="text.copy"),
        Binding("p", "page", "open in the pager", id="text.pager"),
    ]
    DEFAULT_CSS = (
        looks("TextBox")
        + """
    TextBox { align: center middle; background: $background 60%; }
    TextBox > #box {
        width: 96%; height: 92%; padding: 1 2 0 2;
        background: $surface; border: round $primary 60%;
    }
    TextBox #title { text-style: bold; margin-bottom: 1; }
    TextBox TextArea { height: 1fr; border: none; padding: 0; background: $surface; }
    TextBox TextArea:focus { border: none; }
    TextBox #buttons { height: 1; margin: 1 0; }
    """
    )

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self.title_text = title
        self.text = safe_text(text, multiline=True)

    def compose(self) -> ComposeResult:
        """The text over its buttons."""
        with Vertical(id="box"):
            yield Say(self.title_text, id="title")
            yield TextArea(
                self.text[:_SHOWN],
                read_only=True,
                compact=True,
                highlight_cursor_line=False,
            )
            yield Say(self._rest(), classes="note")
            with Horizontal(id="buttons"):
                yield from self._buttons()

    def _buttons(self) -> Iterable[Widget]:
        size = f"{plural(len(self.text.splitlines()), 'line')}, {len(self.text):,}"
        yield Say(f"{size} characters", classes="note")
        yield Button("Copy y", id="copy", compact=True)
        yield Button("Pager p", id="page", compact=True)
        yield Button("Close", id="close", compact=True)

    def _rest(self) -> str:
        if len(self.text) <= _SHOWN:
            return ""
        return f"{len(self.text) - _SHOWN:,} more characters: p shows all in the pager"

    def on_mount(self) -> None:
        """Keys move through the text."""
        self.query_one(TextArea).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Each button is a key, too."""
        event.stop()
        if event.button.id == "copy":
            self.action_copy()
        elif event.button.id == "page":
            self.action_page()
        else:
            self.action_leave()

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)

    def action_copy(self) -> None:
        """Copy what is selected, or all, through the terminal."""
        chosen = self.query_one(TextArea).selected_text or self.text
        self.app.copy_to_clipboard(chosen)
        self.notify(
            f"{plural(len(chosen), 'character')} copied, if the terminal allows it",
            markup=False,
        )

    def action_page(self) -> None:
        """Open it in `$PAGER`; the monitor is back when that ends."""
        wanted = os.environ.get("PAGER") or "less"
        with tempfile.TemporaryDirectory(prefix="nbflow-") as folder:
            path = Path(folder) / "value.txt"
            path.write_text(self.text, encoding="utf-8", errors="backslashreplace")
            try:
                command = shlex.split(wanted)
                with self.app.suspend():
                    subprocess.run([*command, str(path)], check=False)
            except SuspendNotSupported:
                self.notify("This terminal cannot be handed over.", markup=False)
            except (OSError, ValueError) as error:
                self.notify(
                    safe_text(f"$PAGER {wanted!r} cannot be started: {error}"),
                    severity="error",
                    markup=False,
                )

"""Save a text to a file that the user names."""

from collections.abc import Callable, Iterable
from pathlib import Path

from textual.widget import Widget
from textual.widgets import Button, Input

from nbflow.client import Client
from nbflow.model import safe_text
from nbflow.view import plural
from nbflow_tui.dialogs.base import Dialog, Say, named
from nbflow_tui.pending import Sent


class SaveDialog(Dialog):
    """Ask for a file; one that is there is replaced only when that is said twice.

    Args:
        client: of the app that the text comes from.
        title: what the text is.
        text: any text; what could steer a terminal is made visible.
        name: of the file, as a proposal.
    """

    send_label = "Save"

    def __init__(self, client: Client, title: str, text: str, name: str) -> None:
        super().__init__(client, f"Save {title}")
        self.text = safe_text(text, multiline=True)
        self.name_proposed = name
        self._asked: Path | None = None

    def body(self) -> Iterable[Widget]:
        """The file, and how much goes into it."""
        yield named("file", Input(self.name_proposed, id="file"))
        size = f"{plural(len(self.text.splitlines()), 'line')}, {len(self.text):,}"
        yield Say(f"{size} characters, below {Path.cwd()}", classes="note caption")

    def start(self) -> None:
        """Ask for the file."""
        self.query_one("#file", Input).focus()

    def unserved(self) -> str:
        """No engine is needed."""
        return ""

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter saves."""
        event.stop()
        self.action_send()

    def call(self) -> Callable[[], Sent] | None:
        """Write the file."""
        given = self.query_one("#file", Input).value.strip()
        if not given:
            self.fail("Give the name of a file.")
            return None
        try:
            path = Path(given).expanduser()
        except RuntimeError:
            self.fail(f"{given}: there is no such user: give another path.")
            return None
        if path.is_dir():
            path /= self.name_proposed
        if path.exists() and path != self._asked:
            self._asked = path
            self.query_one("#send", Button).label = "Replace"
            self.fail(f"{path} is there: save once more to replace it.")
            return None
        may_replace = path == self._asked

        def save() -> Sent:
            try:
                with path.open("w" if may_replace else "x", encoding="utf-8") as file:
                    file.write(self.text)
            except OSError as error:
                why = error.strerror or error
                raise OSError(f"{path} cannot be written: {why}") from None
            return Sent("save", self.client.app, note=f"saved {path}")

        return save

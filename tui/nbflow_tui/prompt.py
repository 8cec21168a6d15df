"""`Prompt`: the line that asks which runs are listed, or what is searched for."""

from textual import events
from textual.message import Message
from textual.widgets import Input

_HINTS = {
    False: "name  status:failed  since:1h  !word",
    True: "search this text; n and N go on",
}


class Prompt(Input):
    """Says what is typed as it is typed; up brings back what was asked before."""

    class Asked(Message):
        """Another text."""

        def __init__(self, text: str, is_search: bool) -> None:
            super().__init__()
            self.text, self.is_search = text, is_search

    class Left(Message):
        """Back to where one was."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.cursor_blink = False
        self.is_search = False
        self._past: dict[bool, list[str]] = {False: [], True: []}
        self._place = 0

    def ask(self, is_search: bool, text: str) -> None:
        """Open, with a text to begin with."""
        self.is_search = is_search
        self._place = 0
        self.placeholder = _HINTS[is_search]
        self.value = text
        self.add_class("-open")
        self.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Applied as it is typed."""
        event.stop()
        if self.has_focus:
            self.post_message(self.Asked(event.value, self.is_search))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """It stays as it is."""
        event.stop()
        self._leave()

    def on_paste(self, event: events.Paste) -> None:
        """Lines become one: `Input`, which goes on with it, takes the first only."""
        event.text = " ".join(event.text.split())

    def on_key(self, event: events.Key) -> None:
        """Esc takes back what was typed, down leaves it; up is what was before."""
        if event.key not in ("escape", "down", "up"):
            return
        event.stop()
        event.prevent_default()
        past = self._past[self.is_search]
        if event.key == "up":
            if self._place < len(past):
                self._place += 1
                self.value = past[-self._place]
                self.cursor_position = len(self.value)
        elif event.key == "down" and self._place:
            self._place -= 1
            self.value = past[-self._place] if self._place else ""
        else:
            is_over = event.key == "escape"
            self._leave()
            if is_over:
                self.post_message(self.Asked("", self.is_search))

    def _leave(self) -> None:
        past = self._past[self.is_search]
        if self.value.strip() and self.value not in past[-1:]:
            past.append(self.value)
        self.remove_class("-open")
        self.post_message(self.Left())

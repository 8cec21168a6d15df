"""`Dialog`: a box over the screen that makes one call of the client and closes.

What the call refuses becomes a line in the box. Calls run in threads that end with the
process: an engine that does not answer keeps nobody from leaving.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, Label, Static
from textual.widgets.button import ButtonVariant

from nbflow.client import Client
from nbflow.model import safe_text
from nbflow.view import Line
from nbflow_tui.calls import call_in_thread
from nbflow_tui.pending import Sent

T = TypeVar("T")

_HINT = "ctrl+s sends, esc closes"

_FRAME = 8
"""Rows of a dialog that do not scroll: border, padding, a title's line, buttons."""

STYLES = {
    "": "",
    "strong": "bold",
    "dim": "$foreground 60%",
    "good": "$text-success",
    "bad": "$text-error",
    "warn": "$text-warning",
    "busy": "$text-primary",
    "rest": "$text-secondary",
    "again": "$text-accent",
}
"""The roles of `nbflow.view.ROLES` as styles of a theme."""


def content(*lines: Line | str) -> Content:
    """Lines for a widget; no text meets a parser of markup."""
    shown = [
        Content(safe_text(each, multiline=True))
        if isinstance(each, str)
        else Content.assemble(
            *((safe_text(text), STYLES.get(role, "")) for text, role in each)
        )
        for each in lines
    ]
    return Content("\n").join(shown)


class Say(Static):
    """Text that may come from a run."""

    DEFAULT_CSS = """
    Say { height: auto; width: 1fr; }
    Say.note { color: $foreground 60%; }
    Say.problem { color: $text-error; }
    Say.warning { color: $text-warning; }
    Say.rows { text-wrap: nowrap; text-overflow: ellipsis; }
    Say.-empty { display: none; }
    """

    def __init__(
        self, *lines: Line | str, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(content(*lines), id=id, classes=classes, markup=False)
        self.set_class(not any(lines), "-empty")

    def say(self, *lines: Line | str) -> None:
        """Show other lines; without any, nothing."""
        self.update(content(*lines))
        self.set_class(not any(lines), "-empty")


def looks(dialog: str) -> str:
    """How buttons and scroll bars of a dialog look: calm, the focused one clear."""
    return "\n".join(
        f"{dialog} {rule}"
        for rule in (
            "Button { width: auto; min-width: 0; padding: 0 2; margin-left: 1; "
            "background: $foreground 7%; color: $foreground; text-style: none; }",
            "Button.-primary { color: $text-primary; }",
            "Button.-error { color: $text-error; }",
            "Button:focus { background: $primary !important; "
            "color: $background !important; text-style: bold !important; "
            "background-tint: transparent !important; }",
            "Button.-error:focus { background: $error !important; }",
            "* { scrollbar-color: $foreground 20%; scrollbar-background: $surface; "
            "scrollbar-background-hover: $surface; "
            "scrollbar-background-active: $surface; }",
        )
    )


class Dialog(ModalScreen[Sent | None]):
    """A box with a title, what it is about, and buttons.

    Args:
        client: of the app that the command is for.
        title: what will be done.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "close", id="dialog.close"),
        Binding("ctrl+s", "send", "send", id="dialog.send"),
        Binding("pageup", "page(-1)", "page up", show=False, id="dialog.up"),
        Binding("pagedown", "page(1)", "page down", show=False, id="dialog.down"),
    ]
    DEFAULT_CSS = (
        looks("Dialog")
        + """
    Dialog { align: center middle; background: $background 60%; }
    Dialog > #box {
        width: 84; max-width: 96%; height: auto; max-height: 92%;
        padding: 1 2 0 2; background: $surface; border: round $primary 60%;
        scrollbar-size-vertical: 1;
    }
    Dialog #title { text-style: bold; margin-bottom: 1; max-height: 3; }
    Dialog #inside { height: auto; scrollbar-size-vertical: 1; }
    Dialog #inside > *:first-child { margin-top: 0; }
    Dialog #problem { margin-top: 1; }
    Dialog #state { margin-top: 1; }
    Dialog #buttons { height: auto; margin: 1 0; align-horizontal: right; }
    Dialog Input {
        border: none; height: 1; padding: 0 1; background: $foreground 7%;
    }
    Dialog Input:focus { border: none; background: $primary 20%; }
    Dialog TextArea {
        border: none; padding: 0 1; background: $foreground 7%; scrollbar-size: 1 1;
    }
    Dialog TextArea:focus { border: none; }
    Dialog OptionList, Dialog SelectionList {
        border: none; padding: 0; background: $surface; max-height: 12; height: auto;
        scrollbar-size-vertical: 1;
    }
    Dialog OptionList > .option-list--option-highlighted,
    Dialog SelectionList > .option-list--option-highlighted {
        background: $primary 22% !important; color: $foreground !important;
        text-style: none !important;
    }
    Dialog SelectionList > .selection-list--button,
    Dialog SelectionList > .selection-list--button-highlighted {
        color: $foreground 15%; background: $foreground 15%;
    }
    Dialog SelectionList > .selection-list--button-selected,
    Dialog SelectionList > .selection-list--button-selected-highlighted {
        color: $text-success; background: $foreground 15%;
    }
    Dialog .caption { color: $foreground 60%; margin-top: 1; }
    Dialog .row { height: auto; margin-top: 1; }
    Dialog .row Label { width: 12; color: $foreground 60%; }
    """
    )
    send_label = "Send"
    send_variant: ButtonVariant = "primary"

    def __init__(self, client: Client, title: str) -> None:
        super().__init__()
        self.client = client
        self.title_text = title
        self._is_sending = False

    # What subclasses say

    def body(self) -> Iterable[Widget]:
        """The widgets between title and buttons."""
        return ()

    def start(self) -> None:
        """Called when it is on the screen: load what takes time."""

    def call(self) -> Callable[[], Sent] | None:
        """What to ask of the client, with what was typed; None after `fail`."""
        raise NotImplementedError

    # The box

    def compose(self) -> ComposeResult:
        """Title and buttons, always to be seen; what is between them scrolls."""
        with VerticalScroll(id="box", can_focus=False):
            yield Say(self.title_text, id="title")
            with VerticalScroll(id="inside", can_focus=False):
                yield from self.body()
                yield Say(id="problem", classes="problem")
                yield Say(self.unserved(), id="state", classes="warning")
            with Horizontal(id="buttons"):
                yield Say(_HINT, id="hint", classes="note rows")
                yield from self.buttons()

    def buttons(self) -> Iterable[Widget]:
        """The buttons, the one that sends first."""
        yield Button(
            Content(self.send_label), self.send_variant, id="send", compact=True
        )
        yield Button("Close", id="close", compact=True)

    def on_mount(self) -> None:
        """The input cursor does not blink: that would be traffic for nothing."""
        for each in self.query("Input, TextArea"):
            with suppress(AttributeError):
                each.cursor_blink = False  # type: ignore[attr-defined]
        self.start()

    def on_resize(self, event: Resize) -> None:
        """What is inside gets the rows that title, buttons and border leave."""
        inside = self.query_one("#inside")
        inside.styles.max_height = max(3, event.size.height * 92 // 100 - _FRAME)

    def action_page(self, direction: int) -> None:
        """Scroll to what does not fit."""
        inside = self.query_one("#inside")
        inside.scroll_relative(
            y=direction * max(1, inside.size.height - 1), animate=False
        )

    def unserved(self) -> str:
        """A line where no engine is there to take a command."""
        if self.client.is_served():
            return ""
        return (
            f"No engine serves {self.client.app} now: this is kept for it, and takes "
            "effect when one starts."
        )

    def kept(self, verb: str) -> str:
        """The note of a command that no engine has taken."""
        return f"{verb}: kept for the engine of {self.client.app}, which is not there"

    def fail(self, *lines: Line | str) -> None:
        """Say what is wrong; nothing was sent."""
        problem = self.query_one("#problem", Say)
        problem.say(*lines)
        self.call_after_refresh(problem.scroll_visible, animate=False)

    def hint(self, told: str = _HINT) -> None:
        """Say which keys do something now."""
        self.query_one("#hint", Say).say(told)

    # Sending

    def action_send(self) -> None:
        """Send, unless something is on its way or wrong."""
        if self._is_sending:
            return
        self.fail()
        call = self.call()
        if call is not None:
            self._is_sending = True
            self.load(call, self.dismiss, "sending…")

    def action_leave(self) -> None:
        """Close without sending."""
        self.dismiss(None)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """The two buttons that each dialog has."""
        if event.button.id == "send":
            event.stop()
            self.action_send()
        elif event.button.id == "close":
            event.stop()
            self.action_leave()

    def load(
        self, call: Callable[[], T], done: Callable[[T], object], state: str = ""
    ) -> None:
        """Call in a thread; `done` gets the result, the box what went wrong."""
        if state:
            self.query_one("#state", Say).say(state)
        call_in_thread(self.app, call, partial(self._succeeded, done), self._failed)

    def _succeeded(self, done: Callable[[T], object], result: T) -> None:
        if self.is_attached:
            self._is_sending &= not isinstance(result, Sent)
            self.query_one("#state", Say).say(self.unserved())
            done(result)
        elif isinstance(result, Sent) and result.note:
            self.app.notify(safe_text(result.note), markup=False)

    def _failed(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        if self.is_attached:
            self._is_sending = False
            self.query_one("#state", Say).say(self.unserved())
            self.fail(text)
        else:
            self.app.notify(safe_text(text), severity="error", markup=False)


def named(caption: str, widget: Widget) -> Horizontal:
    """A widget with its name before it."""
    return Horizontal(Label(caption, markup=False), widget, classes="row")

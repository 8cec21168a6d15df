"""What is taken out of the monitor: copies, whole texts, the pager."""

import re
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen

from nbflow.view import plain
from nbflow_tui.details import Details
from nbflow_tui.feed import Feed
from nbflow_tui.inspector import TABS, plain_text, told
from nbflow_tui.snapshot import Path
from nbflow_tui.texts import TextList


class Taking(Screen[None]):
    """A screen with a run and its details, out of which texts are taken."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "copy", id="text.copy"),
        Binding("Y", "copy_id", "copy id", id="run.copy_id", show=False),
        Binding("C", "copy_code", "copy as Python", id="run.copy_code", show=False),
        Binding("s", "save", "save", id="text.save", show=False),
        Binding("w", "whole", "whole text", id="text.whole", show=False),
        Binding("o", "pager", "pager", id="text.pager", show=False),
    ]
    feed: Feed
    details: Details
    path: Path

    def action_copy(self) -> None:
        """What the tab says, whole, into the clipboard."""
        found = self.details.text.document
        if self.details.are_events_shown or found is None or not found.text:
            self.notify("nothing to copy here", timeout=3)
            return
        self.copy(found.subject.title, found.text)

    def action_copy_id(self) -> None:
        """The id of the run into the clipboard."""
        if self.path:
            self.copy("run id", self.path[-1][1])

    def action_copy_code(self) -> None:
        """Python that gets this run into the clipboard."""
        if self.path:
            app, run_id = self.path[-1]
            client = f"nbflow.Client({str(self.feed.home)!r}, {app!r})"
            code = f"import nbflow\n\nrun = {client}.runs.get({run_id!r})\n"
            self.copy("Python code", code)

    def on_text_list_located(self, event: TextList.Located) -> None:
        """The path of a value into the clipboard."""
        event.stop()
        self.copy(f"path {event.path or '(all of it)'}", event.path)

    def copy(self, title: str, text: str) -> None:
        """Into the clipboard, by the terminal's own way."""
        copy = getattr(self.app, "copy_text", None)
        if copy is not None:
            copy(title, text)

    def action_whole(self) -> None:
        """The whole text in a box of its own, to read, select and copy from."""
        from nbflow_tui.dialogs import TextBox

        if self.details.are_events_shown:
            event = self.details.events.item
            if event is not None:
                self.app.push_screen(TextBox(f"event {event.index}", told(event)))
            return
        found = self.details.text.document
        if found is not None:
            title = f"{TABS[found.tab]}  {found.subject.title}"
            self.app.push_screen(TextBox(title, found.text or plain_text(found.lines)))

    def action_save(self) -> None:
        """What the tab says, whole, into a file."""
        from nbflow_tui.dialogs import SaveDialog

        events, found = self.details.events, self.details.text.document
        if not self.path:
            self.notify("nothing to save here", timeout=3)
            return
        app, run_id = self.path[-1]
        title, text, ending = f"the events of {run_id}", "", "txt"
        subject, tab = run_id, "events"
        if self.details.are_events_shown:
            text = "".join(f"{plain(each)}\n" for each in events.lines())
        elif found is not None:
            subject, tab = found.subject.title, TABS[found.tab].lower()
            title = f"the {tab} of {subject}"
            # An overview is what is read; of the other tabs, it is their whole text.
            is_read = TABS[found.tab] == "Overview" or not found.text
            text = f"{plain_text(found.lines) if is_read else found.text}\n"
            ending = "json" if found.json else "txt"
        name = re.sub(r"[^\w.-]+", "-", f"{subject}-{tab}").strip("-.")[:80]
        if text:
            dialog = SaveDialog(
                self.feed.client(app), title, text, f"{name or 'text'}.{ending}"
            )
            self.app.push_screen(dialog, getattr(self.app, "sent", None))
        else:
            self.notify("nothing to save here", timeout=3)

    def action_pager(self) -> None:
        """The whole text in $PAGER."""
        found = self.details.text.document
        page = getattr(self.app, "page", None)
        if found is None or page is None or self.details.are_events_shown:
            return
        page(found.text or plain_text(found.lines))

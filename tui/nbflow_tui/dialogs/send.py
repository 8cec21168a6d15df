"""Send an event to a run, or to all that wait for it."""

from collections.abc import Callable, Iterable

from textual.widget import Widget
from textual.widgets import Input

from nbflow.client import Client
from nbflow.model import Run, StepStatus
from nbflow.view import Look, Span, line
from nbflow.view.schema import Schema
from nbflow_tui.dialogs.base import Dialog, Say, named
from nbflow_tui.dialogs.editor import JsonEditor
from nbflow_tui.pending import Sent


class SendDialog(Dialog):
    """Send an event with data.

    Args:
        client: of the app.
        run: the run it is for; without it all that wait now.
        event: its name, to begin with.
        look: what the terminal can show.
    """

    send_label = "Send"

    def __init__(
        self,
        client: Client,
        run: Run | None = None,
        event: str | None = None,
        look: Look | None = None,
    ) -> None:
        whom = f"to {run.workflow}  {run.run_id}" if run else f"to runs of {client.app}"
        super().__init__(client, f"Send an event {whom}")
        self.run_record = run
        self.event_name = event
        self.look = look or Look()

    def body(self) -> Iterable[Widget]:
        """Name and data."""
        yield Say(id="waits")
        yield named("event", Input(self.event_name or "", id="event"))
        yield Say("data", classes="caption")
        yield JsonEditor(None, id="data")
        yield Say(
            "It is kept for the run until it waits for it."
            if self.run_record
            else "All that wait for it now get it; nobody else will.",
            classes="note caption",
        )

    def start(self) -> None:
        """Ask what the run waits for."""
        self.query_one("#event", Input).focus()
        run = self.run_record
        if run is not None and not run.is_ended:
            runs, run_id = self.client.runs, run.run_id
            self.load(
                lambda: [
                    (step.event, step.match)
                    for step in runs.steps(run_id)
                    if step.status is StepStatus.WAITING and step.kind == "wait"
                ],
                self._show_waits,
                "",
            )

    def _show_waits(self, found: list[tuple[str | None, Schema | None]]) -> None:
        names = list(dict.fromkeys(name for name, _ in found if name))
        if not names:
            return
        lines = []
        for name, match in found:
            where = f" where {match}" if match else ""
            lines.append(line(Span("waits for ", "dim"), str(name), Span(where, "dim")))
        self.query_one("#waits", Say).say(*lines[:6])
        event = self.query_one("#event", Input)
        if not event.value and len(names) == 1:
            event.value = names[0]
            self.query_one(JsonEditor).area.focus()

    def call(self) -> Callable[[], Sent] | None:
        """Send it."""
        name = self.query_one("#event", Input).value.strip()
        if not name:
            self.fail("Give the event a name.")
            self.query_one("#event", Input).focus()
            return None
        data, is_good = self.query_one(JsonEditor).check()
        if not is_good:
            self.fail("Nothing was sent: see above.")
            return None
        run_id = None if self.run_record is None else self.run_record.run_id

        def send() -> Sent:
            reached = self.client.events.send(name, data, run=run_id)
            app = self.client.app
            if reached is None:
                return Sent("send", app, (), self.kept(f"event {name!r}"), True)
            note = f"event {name!r} reached {len(reached):,} runs"
            if run_id is not None:
                note = f"event {name!r} sent to {run_id}"
            elif not reached:
                note = f"nobody waits for event {name!r}: nobody got it"
            return Sent("send", app, tuple(reached), note)

        return send

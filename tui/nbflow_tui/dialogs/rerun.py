"""Start a new run of an old one's workflow: from the start, or from a step."""

from collections.abc import Callable, Iterable
from typing import Any

from textual.widget import Widget

from nbflow.client import Client
from nbflow.errors import WorkflowNotFound
from nbflow.model import Run, StepKind
from nbflow.view import Look, Span, line
from nbflow.view.schema import Schema
from nbflow_tui.dialogs.base import Dialog, Say
from nbflow_tui.dialogs.editor import JsonEditor
from nbflow_tui.pending import Sent


class RerunDialog(Dialog):
    """Run it again, with another input or another input of one step.

    Args:
        client: of its app.
        run: the old run.
        step: keep all before this step, whose arguments may be edited.
        look: what the terminal can show.
    """

    send_label = "Run again"

    def __init__(
        self,
        client: Client,
        run: Run,
        step: str | None = None,
        look: Look | None = None,
    ) -> None:
        where = "" if step is None else f"  from step {step}"
        super().__init__(client, f"Run {run.workflow} again{where}")
        self.run_record = run
        self.step = step
        self.look = look or Look()
        self._is_loaded = False

    def body(self) -> Iterable[Widget]:
        """What is kept, and the editor."""
        old = line(
            Span("a new run; the old one stays: ", "dim"), self.run_record.run_id
        )
        yield Say(old)
        if self.step is None:
            yield Say("input", classes="caption")
        else:
            yield Say(
                line(Span("steps before ", "dim"), self.step, Span(" are kept", "dim")),
            )
            yield Say(f"arguments of {self.step}, as a list", classes="caption")
        yield JsonEditor(id="input")

    def start(self) -> None:
        """Read the old input."""
        self.query_one(JsonEditor).disabled = True
        self.load(self._load, lambda found: self._show(*found), "reading its input…")

    def _load(self) -> tuple[Any, Schema | None]:
        run = self.run_record
        if self.step is not None:
            found = self.client.runs.step(run.run_id, self.step)
            if found is not None and found.kind is StepKind.RUN:
                return list(found.args or ()), {"type": "array"}  # type: ignore[call-overload]
            return None, None
        try:
            schema = self.client.workflows.get(run.workflow).input_schema
        except WorkflowNotFound:
            schema = None
        return self.client.runs.get(run.run_id).input, schema

    def _show(self, value: Any, schema: Schema | None) -> None:
        self._is_loaded = True
        editor = self.query_one(JsonEditor)
        editor.set(value, schema)
        if self.step is not None and schema is None:
            editor.display = False
            self.query_one("#state", Say).say("This step takes no arguments.")
            return
        editor.disabled = False
        editor.area.focus(scroll_visible=False)

    def call(self) -> Callable[[], Sent] | None:
        """Start the new run; an input that was not edited is taken as recorded."""
        if not self._is_loaded:
            return None
        run, step = self.run_record, self.step
        editor = self.query_one(JsonEditor)
        given: dict[str, Any] = {} if step is None else {"from_step": step}
        if editor.is_changed:
            value, is_good = editor.check()
            if not is_good:
                self.fail("Nothing was sent: see above.")
                return None
            given["input" if step is None else "step_input"] = value

        def rerun() -> Sent:
            is_kept = not self.client.is_served()
            handle = self.client.runs.rerun(run.run_id, **given)
            note = f"runs again as {handle.run_id}"
            if is_kept:
                note = self.kept(f"rerun as {handle.run_id}")
            return Sent("rerun", run.app, (handle.run_id,), note, is_kept)

        return rerun

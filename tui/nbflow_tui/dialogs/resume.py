"""Go on with a failed or canceled run; says first what is kept and what runs."""

from collections.abc import Callable, Iterable
from functools import partial

from textual.widget import Widget
from textual.widgets import Button, SelectionList

from nbflow.client import Client
from nbflow.model import Plan, Run, Step, StepKind
from nbflow.view import Look, Span, line, plan_line, took
from nbflow_tui.dialogs.base import Dialog, Say, content
from nbflow_tui.pending import Sent

_OFFERED = 500
_HIDDEN = (StepKind.NOW, StepKind.RANDOM, StepKind.UUID)


class ResumeDialog(Dialog):
    """Resume a run; finished steps may be chosen to run afresh.

    Args:
        client: of its app.
        run: the run.
        look: what the terminal can show.
    """

    send_label = "Resume"

    def __init__(self, client: Client, run: Run, look: Look | None = None) -> None:
        super().__init__(client, f"Resume {run.workflow}  {run.run_id}")
        self.run_record = run
        self.look = look or Look()
        self.stale: list[str] = []
        self.refresh_names: tuple[str, ...] = ()

    def body(self) -> Iterable[Widget]:
        """The plan, and the steps that would be kept."""
        yield Say(id="plan")
        yield Say("finished steps to run afresh:", id="offer", classes="caption -empty")
        kept: SelectionList[str] = SelectionList(id="kept", compact=True)
        kept.display = False
        yield kept

    def buttons(self) -> Iterable[Widget]:
        """Resume, choose the stale steps, close."""
        yield Button("Refresh stale", id="stale", compact=True, disabled=True)
        yield from super().buttons()

    def start(self) -> None:
        """Make the plan."""
        self.query_one("#stale", Button).display = False
        self.query_one("#send", Button).focus()
        run_id = self.run_record.run_id
        runs = self.client.runs
        self.load(
            lambda: (runs.resume(run_id, plan=True), runs.steps(run_id)[:]),
            lambda found: self._show(*found),
            "making a plan…",
        )

    def _show(self, plan: Plan, steps: list[Step]) -> None:
        self._show_plan(plan)
        # What a notebook has noted as stale; this process does not have the code.
        known = {step.name: step for step in steps if step.kind not in _HIDDEN}
        self.stale = [*plan.stale]
        self.stale += [
            name for name in plan.kept if name in known and known[name].stale
        ]
        kept = [*plan.stale, *plan.kept]
        offered = self.query_one("#kept", SelectionList)
        for name in kept[:_OFFERED]:
            step = known.get(name)
            lasted = took(step.duration) if step is not None else ""
            is_stale = name in self.stale
            label = line(
                name,
                Span(f"  {lasted}", "dim"),
                Span("  stale: its code has changed" * is_stale, "warn"),
            )
            offered.add_option((content(label), name))
        offered.display = bool(kept)
        self.query_one("#offer").set_class(not kept, "-empty")
        stale = self.query_one("#stale", Button)
        stale.display = bool(self.stale)
        stale.disabled = not self.stale

    def _show_plan(self, plan: Plan) -> None:
        lines = [plan_line(plan)]
        for title, names, role in (
            ("keeps", plan.kept, "good"),
            ("stale", plan.stale, "warn"),
            ("runs", plan.to_run, "busy"),
        ):
            if names:
                shown = ", ".join(names[:8])
                more = f" and {len(names) - 8:,} more" if len(names) > 8 else ""
                lines.append(line(Span(f"{title:<7}", role), shown, Span(more, "dim")))
        self.query_one("#plan", Say).say(*lines)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Choose all that are stale."""
        if event.button.id == "stale":
            event.stop()
            offered = self.query_one("#kept", SelectionList)
            for name in self.stale[:_OFFERED]:
                offered.select(name)
            return
        super().on_button_pressed(event)

    def on_selection_list_selected_changed(self) -> None:
        """Plan again, with what is chosen."""
        chosen = tuple(self.query_one("#kept", SelectionList).selected)
        if chosen == self.refresh_names:
            return
        self.refresh_names = chosen
        run_id = self.run_record.run_id
        self.load(
            lambda: self.client.runs.resume(run_id, refresh=chosen, plan=True),
            partial(self._replanned, chosen),
            "making a plan…",
        )

    def _replanned(self, chosen: tuple[str, ...], plan: Plan) -> None:
        if chosen == self.refresh_names:  # else another plan is on its way
            self._show_plan(plan)

    def call(self) -> Callable[[], Sent] | None:
        """Resume, running the chosen steps afresh."""
        run, chosen = self.run_record, self.refresh_names

        def resume() -> Sent:
            is_kept = not self.client.is_served()
            self.client.runs.resume(run.run_id, refresh=chosen or None)
            note = self.kept("resume") if is_kept else ""
            ids = (run.run_id,)
            return Sent("resume", run.app, ids, note, is_kept, run.ended_at)

        return resume

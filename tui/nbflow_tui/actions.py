"""What the monitor can do: keys, the dialog each opens, and what is on its way.

The dialogs are imported with the first key: the first paint does not wait for them.
"""

from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from nbflow.client import Client
from nbflow.errors import NbflowError, RunNotFound
from nbflow.model import RESUMABLE_RUN, Run, StepStatus, safe_text
from nbflow.view import Look
from nbflow.view.listing import RunKey
from nbflow_tui.pending import Pending, Sent

_ACTIONS = ("cancel", "resume", "rerun", "rerun_step", "send", "answer", "invoke")


class Acting(App[int]):
    """An app whose keys act on the runs that are looked at.

    Every action is one dialog, and that one call of the client.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "cancel", "cancel", id="run.cancel"),
        Binding("r", "resume", "resume", id="run.resume"),
        Binding("R", "rerun", "rerun", id="run.rerun"),
        Binding("E", "rerun_step", "rerun from step", id="step.rerun", show=False),
        Binding("a", "answer", "answer", id="run.answer"),
        Binding("S", "send", "send event", id="run.send", show=False),
        Binding("i", "invoke", "invoke", id="app.invoke"),
        Binding("Q", "queues", "queues", id="app.queues"),
    ]
    look: Look
    read_only = False

    def __init__(self) -> None:
        super().__init__()
        self.pending = Pending()

    # What the monitor says

    def client(self, app: str) -> Client:
        """A client of one app of the home."""
        raise NotImplementedError

    def clients(self) -> list[Client]:
        """Clients of all apps."""
        raise NotImplementedError

    def targets(self) -> list[RunKey]:
        """The runs that an action is meant for."""
        raise NotImplementedError

    def selected_step(self) -> str | None:
        """The step under the cursor."""
        raise NotImplementedError

    def acts_here(self) -> bool:
        """Whether the selection is on the screen, not below another one."""
        raise NotImplementedError

    # What is on its way

    def pending_word(self, run: Run) -> str | None:
        """What a row says of a command whose event is not there yet."""
        if not len(self.pending):
            return None
        self.pending.settle(run)
        return self.pending.word(run)

    def sent(self, sent: Sent | None) -> None:
        """A dialog has sent something."""
        if sent is None:
            return
        self.pending.add(sent)
        if sent.note:
            severity = "warning" if sent.is_kept else "information"
            self.notify(safe_text(sent.note), severity=severity, markup=False)  # type: ignore[arg-type]
        self.acted(sent)

    def acted(self, sent: Sent) -> None:
        """Something was sent: show it."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing changes anything under `--read-only`, nor what is not to be seen."""
        if action in _ACTIONS and self.read_only:
            return False
        if action in (*_ACTIONS, "queues") and not self.acts_here():
            return False
        return super().check_action(action, parameters)

    # Keys

    def action_cancel(self) -> None:
        """Cancel the runs that are marked, or the one under the cursor."""
        from nbflow_tui.dialogs import CancelDialog

        runs = self._runs()
        apps = list(dict.fromkeys(run.app for run in runs))
        if not runs:
            self._say_none()
        elif len(apps) > 1:
            self._say("the marked runs are of several apps: cancel one app's at a time")
        elif all(run.is_ended for run in runs):
            self._say("it has ended already")
        else:
            self._open(CancelDialog(self.client(apps[0]), runs, self.look))

    def action_resume(self) -> None:
        """Go on with runs that failed or were canceled: the marked, or this one."""
        from nbflow_tui.dialogs import ResumeDialog

        runs = self._runs()
        if len(runs) != 1:
            self._resume_several(runs)
            return
        run = runs[0]
        if not self._can_go_on(run):
            hint = "R runs it again" if run.is_ended else "c cancels it"
            self._say(f"it is {run.status}: only failed and canceled runs; {hint}")
            return
        self._open(ResumeDialog(self.client(run.app), run, self.look))

    def _resume_several(self, runs: list[Run]) -> None:
        from nbflow_tui.dialogs import ResumeSeveralDialog

        able = [run for run in runs if self._can_go_on(run)]
        apps = list(dict.fromkeys(run.app for run in able))
        if not runs:
            self._say_none()
        elif not able:
            self._say("none of the marked runs has failed or was canceled")
        elif len(apps) > 1:
            self._say("the marked runs are of several apps: resume one app's at a time")
        else:
            client, left = self.client(apps[0]), len(runs) - len(able)
            self._open(ResumeSeveralDialog(client, able, left, self.look))

    def _can_go_on(self, run: Run) -> bool:
        """Whether it failed, was canceled, or has lost its engine."""
        if run.status in RESUMABLE_RUN:
            return True
        return not run.is_ended and not self.client(run.app).is_served()

    def action_rerun(self) -> None:
        """Run it again, with the same input or another."""
        from nbflow_tui.dialogs import RerunDialog

        run = self._run()
        if run is not None:
            self._open(RerunDialog(self.client(run.app), run, look=self.look))

    def action_rerun_step(self) -> None:
        """Run it again from the selected step, with edited arguments."""
        from nbflow_tui.dialogs import RerunDialog

        run, step = self._run(), self.selected_step()
        if run is None:
            return
        if step is None:
            self._say("select a step of the run first: enter opens it")
            return
        self._open(RerunDialog(self.client(run.app), run, step, self.look))

    def action_answer(self) -> None:
        """Answer the question of the selected step, or the run's only one."""
        from nbflow_tui.dialogs import AnswerDialog

        run = self._run()
        if run is None:
            return
        client = self.client(run.app)
        step = self.selected_step()
        asking = [
            each.name
            for each in client.runs.steps(run.run_id)
            if each.kind == "ask" and each.status is StepStatus.WAITING
        ]
        if step not in asking:
            step = asking[0] if asking else None
        if step is None:
            self._say("it asks nothing")
            return
        self._open(AnswerDialog(client, run, step, self.look))

    def action_send(self) -> None:
        """Send an event to the run, or to all of an app where none is selected."""
        from nbflow_tui.dialogs import SendDialog

        runs = self._runs()
        clients = [] if runs else self._clients()
        if runs and not runs[0].is_ended:
            client = self.client(runs[0].app)
            self._open(SendDialog(client, runs[0], look=self.look))
        elif clients is None:
            return
        elif runs or len(clients) == 1:
            client = self.client(runs[0].app) if runs else clients[0]
            self._open(SendDialog(client, look=self.look))
        else:
            self._say("select a run of the app that the event is for")

    def action_invoke(self) -> None:
        """Start a run of a workflow."""
        from nbflow_tui.dialogs import InvokeDialog

        clients = self._clients()
        if clients:
            self._open(InvokeDialog(clients, look=self.look))
        elif clients is not None:
            self._say("there is no app in this home: run a workflow first")

    def action_queues(self) -> None:
        """The keys of flow control."""
        from nbflow_tui.queues import QueuesScreen

        self.push_screen(QueuesScreen(self.clients, self.look, self.read_only))

    def _open(self, dialog: ModalScreen[Sent | None]) -> None:
        self.push_screen(dialog, self.sent)

    def _clients(self) -> list[Client] | None:
        """Clients of all apps; None where the home cannot be read, which is said."""
        try:
            return self.clients()
        except NbflowError as error:
            self._say(str(error))
            return None

    def _run(self) -> Run | None:
        runs = self._runs()
        if len(runs) == 1:
            return runs[0]
        if runs:
            self._say("select one run")
        else:
            self._say_none()
        return None

    def _runs(self) -> list[Run]:
        """The records of the targets, as they are now."""
        found: list[Run] = []
        for app, run_id in self.targets():
            try:
                found.append(self.client(app).runs.get(run_id))
            except RunNotFound:
                self._say(f"run {run_id} is not there any more: it was deleted")
            except NbflowError as error:
                self._say(str(error))
        return found

    def _say_none(self) -> None:
        """Say that no run is selected; of one that is not there it was said."""
        if not self.targets():
            self._say("no run is selected")

    def _say(self, text: str) -> None:
        self.notify(safe_text(text), timeout=4, markup=False)

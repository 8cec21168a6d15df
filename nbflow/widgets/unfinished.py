"""What an ended kernel has left unfinished: a line for each run, and buttons to act."""

from collections.abc import Callable, Sequence
from uuid import uuid4

import ipywidgets

from nbflow.client import Client
from nbflow.errors import NbflowError
from nbflow.model import safe_text
from nbflow.view import plural
from nbflow.widgets import acting, outputs
from nbflow.widgets.elements import hear_while_busy, label
from nbflow.widgets.run.run_view import RunView


class Choice:
    """A line with the buttons Resume and Discard, in an output of its own.

    Its widgets are never closed: a page that is just replacing them would stumble.

    Args:
        text: the line.
        resume: what the first button is called.
        discard: what the second button is called.
        plain: what is told where there are no buttons; the line if None.
    """

    def __init__(
        self, text: str, resume: str, discard: str, plain: str | None = None
    ) -> None:
        self._text = text if plain is None else plain
        self._id = uuid4().hex
        self._shell = outputs.kernel_shell()
        self._label = label(text)
        self._resume = ipywidgets.Button(description=resume, button_style="primary")
        self._discard = ipywidgets.Button(description=discard)
        buttons = ipywidgets.HBox([self._resume, self._discard])
        self._box = ipywidgets.VBox([self._label, buttons])
        self._resume.on_click(lambda _: self.start(self.go_on))
        self._discard.on_click(lambda _: self.start(self.give_up))
        hear_while_busy(self._box)

    def display(self) -> None:
        """Show it in the output of the cell that is executed."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self._box.model_id}
        data = {
            "application/vnd.jupyter.widget-view+json": view,
            "text/plain": self._text,
        }
        outputs.watch_cells(self._shell)
        outputs.publish(self._shell, data, self._id, update=False)

    def start(self, act: Callable[[], None]) -> None:
        """Do something beside the caller, once."""
        if not self._resume.disabled:
            self._enable(False)
            acting.start(lambda: self.perform(act))

    def perform(self, act: Callable[[], None]) -> None:
        """Do something; what goes wrong takes the place of the line."""
        self._enable(False)
        try:
            act()
        except NbflowError as error:
            self._label.value = safe_text(str(error))
            self._enable(True)

    def go_on(self) -> None:
        """Resume."""
        raise NotImplementedError

    def give_up(self) -> None:
        """Discard."""
        raise NotImplementedError

    def _enable(self, on: bool) -> None:
        for button in (self._resume, self._discard):
            button.disabled = not on

    def _say(self, text: str) -> None:
        """Put a line in the place of the output."""
        outputs.publish(self._shell, {"text/plain": text}, self._id, update=True)


class Unfinished(Choice):
    """A run that waits for a word; its output becomes the run's view, or says so.

    Args:
        client: of the run's app.
        run_id: the run.
        text: the line that tells of it.
        commands: what to type where there are no buttons; follows the line.
        engage: starts what executes the app's runs, where this kernel is to.
    """

    def __init__(
        self,
        client: Client,
        run_id: str,
        text: str,
        commands: str,
        engage: Callable[[], None],
    ) -> None:
        super().__init__(text, "Resume", "Discard", f"{text}: {commands}")
        self._client = client
        self._run_id = run_id
        self._engage = engage

    @property
    def is_open(self) -> bool:
        """Whether nobody has said yet what to do with the run."""
        return not self._resume.disabled

    def go_on(self) -> None:
        """Resume the run, and show it."""
        self._engage()
        self._client.runs.resume(self._run_id)
        RunView(self._client.runs.handle(self._run_id)).replace(self._id)

    def give_up(self) -> None:
        """Cancel the run."""
        self._engage()  # else it would take effect when an engine starts
        self._client.runs.cancel(self._run_id, reason="discarded")
        self._say(f"run {self._run_id} is discarded: it is canceled")


class AllUnfinished(Choice):
    """Several runs that wait for a word, to be dealt with at once.

    Args:
        client: of the runs' app.
        rows: those that have a line of their own.
        more: ids of those that have none.
        text: the line that tells of them.
        engage: starts what executes the app's runs, where this kernel is to.
    """

    def __init__(
        self,
        client: Client,
        rows: Sequence[Unfinished],
        more: Sequence[str],
        text: str,
        engage: Callable[[], None],
    ) -> None:
        super().__init__(text, "Resume all", "Discard all")
        self._client = client
        self._rows = rows
        self._more = list(more)
        self._engage = engage

    def go_on(self) -> None:
        """Resume all that nobody has decided on yet."""
        self._engage()
        self._deal([(row, row.go_on) for row in self._rows], self._resume_run)
        self._say("the unfinished runs are resumed: `%workflow runs` lists them")

    def give_up(self) -> None:
        """Cancel all that nobody has decided on yet."""
        self._engage()
        self._deal([(row, row.give_up) for row in self._rows], self._cancel_run)
        self._say("the unfinished runs are discarded: they are canceled")

    def _deal(
        self,
        rows: Sequence[tuple[Unfinished, Callable[[], None]]],
        act: Callable[[str], object],
    ) -> None:
        """Do it to each run, oldest first; then raise what went wrong, if any did."""
        left, first = [], None
        for run_id in reversed(self._more):
            try:
                act(run_id)
            except NbflowError as error:
                left.append(run_id)
                first = first or error
        self._more = left[::-1]
        for row, perform in reversed(rows):
            if row.is_open:
                row.perform(perform)
        if first is not None:
            raise NbflowError(f"{plural(len(left), 'run')} could not be: {first}")

    def _resume_run(self, run_id: str) -> object:
        return self._client.runs.resume(run_id)

    def _cancel_run(self, run_id: str) -> object:
        return self._client.runs.cancel(run_id, reason="discarded")

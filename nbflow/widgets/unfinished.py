"""What an ended kernel has left unfinished: a line, and buttons to act on it."""

from collections.abc import Callable
from uuid import uuid4

import ipywidgets

from nbflow.client import Client
from nbflow.errors import NbflowError
from nbflow.model import safe_text
from nbflow.widgets import acting, outputs
from nbflow.widgets.elements import hear_while_busy, label
from nbflow.widgets.run.run_view import RunView


class Unfinished:
    """A run that waits for a word; its output becomes the run's view, or says so.

    Its widgets are never closed: a page that is just replacing them would stumble.

    Args:
        client: of the run's app.
        run_id: the run.
        text: the line that tells of it.
        engage: starts what executes the app's runs, where this kernel is to.
    """

    def __init__(
        self, client: Client, run_id: str, text: str, engage: Callable[[], None]
    ) -> None:
        self._client = client
        self._run_id = run_id
        self._text = text
        self._engage = engage
        self._id = uuid4().hex
        self._shell = outputs.kernel_shell()
        self._label = label(text)
        self._resume = ipywidgets.Button(description="Resume", button_style="primary")
        self._discard = ipywidgets.Button(description="Discard")
        buttons = ipywidgets.HBox([self._resume, self._discard])
        self._box = ipywidgets.VBox([self._label, buttons])
        self._resume.on_click(lambda _: self._start(self._go_on))
        self._discard.on_click(lambda _: self._start(self._give_up))
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

    def _start(self, act: Callable[[], None]) -> None:
        def perform() -> None:
            try:
                act()
            except NbflowError as error:
                self._label.value = safe_text(str(error))
                self._enable(True)

        self._enable(False)
        acting.start(perform)

    def _enable(self, on: bool) -> None:
        for button in (self._resume, self._discard):
            button.disabled = not on

    def _go_on(self) -> None:
        self._engage()
        self._client.runs.resume(self._run_id)
        RunView(self._client.runs.handle(self._run_id)).replace(self._id)

    def _give_up(self) -> None:
        self._client.runs.cancel(self._run_id, reason="discarded")
        text = f"run {self._run_id} is discarded: it is canceled"
        outputs.publish(self._shell, {"text/plain": text}, self._id, update=True)

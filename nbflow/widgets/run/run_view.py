"""`RunView`: a run in a notebook, live, as a widget."""

from typing import Any
from uuid import uuid4

import anywidget
import traitlets

from nbflow.client import Client, RunHandle
from nbflow.widgets import outputs
from nbflow.widgets.given import client_of
from nbflow.widgets.run.hub import hub
from nbflow.widgets.run.live import Live
from nbflow.widgets.run.showing import Showing
from nbflow.widgets.script import sent

_MIME = "application/vnd.jupyter.widget-view+json"


class RunView(anywidget.AnyWidget):
    """A run as it goes on: its steps, their times, their values, and what to do.

    As a cell's value it is replaced by static HTML when the run has ended. Inside of
    other widgets it stays a widget as long as they do. JupyterLab and Notebook 7 save
    HTML in either case; of a box that holds runs, that of the runs and of nothing else.

    Args:
        run: a handle, or the id of a run.
        client: whose app the id is of; that of the notebook if None.

    Raises:
        RunNotFound: there is no run of that id.
        TypeError: `run` is none, or `client`.
    """

    _esm = sent("run/run_view.js")
    _css = sent("run/run_view.css")

    snapshot = traitlets.Dict().tag(sync=True)
    """Made whenever a page asks for it; never assigned."""

    def __init__(
        self, run: RunHandle[Any] | str, *, client: Client | None = None
    ) -> None:
        self._live = live_of(handle_of("RunView", run, client))
        shell = outputs.kernel_shell()
        self._showing = Showing(
            self._live,
            hub,
            self,
            shell,
            shell is not None and outputs.is_interactive(shell),
        )
        self._own_id = uuid4().hex
        super().__init__(model_id=self._own_id)
        outputs.hear_everywhere(self.comm)
        self.on_msg(self._take)
        hub.add(self._showing)

    def __repr__(self) -> str:
        return self._live.sentence()

    @property
    def run_id(self) -> str:
        """The run."""
        return self._live.run_id

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """The state for a page: with the run as it is now."""
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        if key is None or "snapshot" in state:
            # The page finds its outputs by it.
            state["snapshot"] = {**self._live.snapshot(), "id": self._own_id}
        return state

    def close(self) -> None:
        """Take it off the page; the run goes on."""
        showing = self.__dict__.get("_showing")
        if showing is not None:
            showing.close()

    def leave(self) -> None:
        """Close its comm, in the sender thread."""
        super().close()

    def bundle(self) -> dict[str, Any]:
        """The output that displays it."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        # No picture of a run that has hardly begun: one comes with its end, and the
        # script makes one when the notebook is saved or the kernel goes.
        return {_MIME: view, "text/plain": repr(self)}

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.bundle(), {}

    def _ipython_display_(self) -> None:
        shell = outputs.kernel_shell()
        if shell is None:
            raise NotImplementedError  # as text
        outputs.watch_cells(shell)
        self._showing.display()
        self._showing.wait_alone()

    def replace(self, output: str) -> None:
        """Take the place of an output that has this display id."""
        outputs.publish(self._showing.shell, self.bundle(), output, update=True)
        self._showing.note_display(output)

    def _take(self, widget: Any, content: Any, buffers: Any) -> None:
        self._showing.receive(content)


def live_of(handle: RunHandle[Any]) -> Live:
    """What is known of a handle's run; of one that was never started, why."""
    return Live(Client.of(handle), handle.run_id, lambda: handle.status)


def handle_of(
    caller: str, run: RunHandle[Any] | str, client: Client | None = None
) -> Any:
    """The handle of a run that was given by its id, or as a handle."""
    if isinstance(run, RunHandle):
        return run
    client = client_of(caller, client)
    return client.runs.handle(client.runs.find(run))

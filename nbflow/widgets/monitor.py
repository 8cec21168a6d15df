"""`Monitor`: the runs of an app, a form to start them, and its queues, as tabs."""

from typing import Any

import ipywidgets

from nbflow.client import Client
from nbflow.errors import NbflowError
from nbflow.widgets import places
from nbflow.widgets.elements import (
    close_tree,
    hear_while_busy,
    label,
    make_menu,
    offer,
    style,
    text_line,
)
from nbflow.widgets.following import client_of
from nbflow.widgets.form.workflow_form import WorkflowForm
from nbflow.widgets.queues import QueuesView
from nbflow.widgets.runs_view import RunsView, ViewOfRun

_TABS = ("Runs", "Start", "Queues")


class Monitor(ipywidgets.VBox):
    """All of an app on one page; only the tab in front follows the store.

    Args:
        client: the app; that of the notebook if None.
        view: makes the widget for a run that is opened; the live view if None.
    """

    _is_closed = True  # until it is made: there is nothing to close

    def __init__(
        self, client: Client | None = None, *, view: ViewOfRun | None = None
    ) -> None:
        client = client_of(client, "Monitor")
        super().__init__()
        self._client = client
        self._view_of = view
        self._is_closed = False
        self._form: WorkflowForm | None = None
        self._picked = ""
        self._is_offering = False
        self.runs_view = RunsView(self._client, view=view)
        self.queues_view = QueuesView(self._client)
        self._message = label("", "nbflow-message")
        self._message.layout.display = "none"
        self._picker = make_menu("choose a workflow")
        self._picker.observe(lambda change: self._pick(), "value")
        self._start = ipywidgets.VBox([self._picker, self._message])
        self._start._dom_classes = ("nbflow-start",)
        self.tabs = ipywidgets.Tab(
            [self.runs_view, self._start, self.queues_view], titles=_TABS
        )
        self.tabs.selected_index = 0
        self.tabs.observe(lambda change: self._turn(), "selected_index")
        title = label(f"nbflow · {self._client.app}", "nbflow-title")
        self._dom_classes = ("nbflow", "nbflow-monitor")
        self.children = [style(), title, self.tabs]
        self._turn()
        hear_while_busy(self)

    def __repr__(self) -> str:
        if self._is_closed:
            return f"<Monitor of app {self._client.app!r}: closed>"
        told = repr(self.runs_view).partition(": ")[2].removesuffix(">")
        return f"<Monitor of app {self._client.app!r}: {told}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        self._show()
        return places.bundle(self, super()._repr_mimebundle_)

    def _ipython_display_(self) -> None:
        self._show()
        places.display(self, super()._repr_mimebundle_)

    @property
    def form(self) -> WorkflowForm | None:
        """The form of the workflow that was picked."""
        return self._form

    def pick(self, workflow: str) -> None:
        """Bring the form of a workflow to the front."""
        self.tabs.selected_index = 1
        self._offer()
        self._picker.value = workflow

    def picture(self) -> list[str]:
        """All tabs as text."""
        shown = [self.runs_view.picture(), self.queues_view.picture()]
        return [repr(self), *(line for lines in shown for line in lines)]

    def close(self) -> None:
        """Stop looking, and leave a plain picture in its place; runs go on."""
        if self._is_closed:
            return
        places.freeze(self)
        self._is_closed = True
        self.runs_view.close()
        self.queues_view.close()
        close_tree(self)
        super().close()

    def _show(self) -> None:
        if not self._is_closed:
            self.runs_view._show()
            self.queues_view._show()

    def _turn(self) -> None:
        front = self.tabs.selected_index
        self.runs_view._set_hidden(front != 0)
        self.queues_view._set_hidden(front != 2)
        if front == 1:
            self._offer()

    def _offer(self) -> None:
        """List the workflows there are now; what was picked stays picked."""
        try:
            names = [each.name for each in self._client.workflows.list()]
        except NbflowError as error:
            self._say(str(error))
            return
        self._say("" if names else "no workflow of this app was served so far")
        self._is_offering = True
        has_changed = offer(self._picker, names)
        self._is_offering = False
        self._pick()
        if has_changed and not self._picker.value and len(names) == 1:
            self._picker.value = names[0]

    def _pick(self) -> None:
        name = self._picker.value
        if self._is_offering or name == self._picked:
            return
        self._picked = name
        former, self._form = self._form, None
        try:
            if name:
                self._form = WorkflowForm(name, self._client, view=self._view_of)
        except NbflowError as error:
            self._say(str(error))
        forms = () if self._form is None else (self._form,)
        self._start.children = (self._picker, self._message, *forms)
        if former is not None:
            former.close()
        hear_while_busy(self._start)

    def _say(self, text: str) -> None:
        self._message.value = text_line(text)
        self._message.layout.display = None if text else "none"

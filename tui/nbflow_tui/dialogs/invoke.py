"""Start a run: pick a workflow of an app's catalogue, edit its input."""

from collections.abc import Callable, Iterable, Sequence

from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Button, Input, OptionList
from textual.widgets.option_list import Option

from nbflow.client import Client, WorkflowInfo
from nbflow.model import safe_text
from nbflow.view import Look, Span, line
from nbflow.view.schema import example, fields
from nbflow_tui.dialogs.base import Dialog, Say, content, named
from nbflow_tui.dialogs.editor import JsonEditor
from nbflow_tui.pending import Sent


class InvokeDialog(Dialog):
    """Invoke a workflow by name.

    Args:
        clients: of the apps whose workflows are offered.
        workflow: one of the first app, which is then not asked for.
        look: what the terminal can show.
    """

    DEFAULT_CSS = """
    InvokeDialog #form { height: auto; }
    InvokeDialog #form.-hidden { display: none; }
    """
    send_label = "Invoke"

    def __init__(
        self,
        clients: Client | Sequence[Client],
        workflow: str | None = None,
        look: Look | None = None,
    ) -> None:
        self.clients = [clients] if isinstance(clients, Client) else list(clients)
        super().__init__(self.clients[0], "Start a run")
        self.workflow = workflow
        self.look = look or Look()
        self.catalogue: list[WorkflowInfo] = []
        self.chosen: WorkflowInfo | None = None

    def body(self) -> Iterable[Widget]:
        """The catalogue, then the form."""
        yield OptionList(id="catalogue", compact=True, markup=False)
        with_form = Vertical(
            JsonEditor(id="input"),
            named("run id", Input(id="run-id", placeholder="drawn if left empty")),
            named("label", Input(id="label", placeholder="shown in lists")),
            id="form",
            classes="-hidden",
        )
        yield with_form

    def start(self) -> None:
        """Read the catalogues."""
        self.query_one("#send", Button).display = False
        self.query_one(OptionList).display = False
        self.load(
            lambda: [info for each in self.clients for info in each.workflows.list()],
            self._offer,
            "reading the catalogue…",
        )

    def _offer(self, found: list[WorkflowInfo]) -> None:
        self.catalogue = found
        if self.workflow is not None:
            for info in found:
                if info.name == self.workflow and info.app == self.client.app:
                    self._choose(info)
                    return
            self.fail(f"App {self.client.app} has no workflow {self.workflow!r}.")
        if not found:
            self.fail(
                "No workflow was ever served here: run a notebook, or "
                "`nbflow serve` one."
            )
            return
        offered = self.query_one(OptionList)
        is_mixed = len(self.clients) > 1
        offered.add_options(
            Option(content(_option(info, is_mixed=is_mixed))) for info in found
        )
        offered.display = True
        self.hint("enter chooses, esc closes")
        offered.highlighted = 0
        offered.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Show the form of the workflow that was picked."""
        event.stop()
        self._choose(self.catalogue[event.option_index])

    def _choose(self, info: WorkflowInfo) -> None:
        self.chosen = info
        self.client = next(each for each in self.clients if each.app == info.app)
        self.query_one("#title", Say).say(f"Start a run of {info.app}/{info.name}")
        self.query_one("#state", Say).say(self.unserved())
        self.query_one(OptionList).display = False
        self.fail()
        self.hint()
        editor = self.query_one(JsonEditor)
        editor.set(example(info.input_schema or {}), info.input_schema)
        self.query_one("#form").remove_class("-hidden")
        self.query_one("#send", Button).display = True
        editor.area.focus(scroll_visible=False)

    def call(self) -> Callable[[], Sent] | None:
        """Invoke it."""
        info = self.chosen
        if info is None:
            return None
        value, is_good = self.query_one(JsonEditor).check()
        if not is_good:
            self.fail("Nothing was sent: see above.")
            return None
        run_id = self.query_one("#run-id", Input).value.strip() or None
        label = self.query_one("#label", Input).value.strip() or None
        client = self.client

        def invoke() -> Sent:
            is_kept = not client.is_served()
            handle = client.workflows.invoke(
                info.name, input=value, run_id=run_id, label=label
            )
            note = f"{info.name} is started as {handle.run_id}"
            if is_kept:
                note = self.kept(f"{info.name} as {handle.run_id}")
            return Sent("invoke", info.app, (handle.run_id,), note, is_kept)

        return invoke


def _option(info: WorkflowInfo, *, is_mixed: bool) -> tuple[Span, ...]:
    names = [name for name, _, _ in fields(info.input_schema or {})]
    takes = f"({', '.join(names)})" if names else ""
    app = f"{info.app}/" if is_mixed else ""
    return line(Span(app, "dim"), info.name, Span(f"  {safe_text(takes)}", "dim"))

"""What one shell has loaded: the settings, the hooks, and what its cells have done."""

import weakref
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from nbflow.client import Client
from nbflow.definition import apps, registry
from nbflow.definition.spec import WorkflowSpec
from nbflow.engine import process_host
from nbflow.errors import EngineBusy
from nbflow.magics import tracebacks
from nbflow.magics.capture import Displays
from nbflow.magics.compile import Cell
from nbflow.magics.interrupts import Interrupts
from nbflow.magics.settings import NBFlow
from nbflow.widgets import outputs


class Session:
    """The extension in one shell.

    Attributes:
        shell: the shell.
        settings: `%config NBFlow`.
        interrupts: watches what the cells wait for.
        told: ids of unfinished runs that the user has been told of.
        undecided: workflows whose unfinished runs another process may have, and how
            often to look again.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.settings = NBFlow(parent=shell)
        self.interrupts = Interrupts(self.settings)
        self._displays = Displays(shell)
        self.told: set[str] = set()
        self.undecided: dict[WorkflowSpec, int] = {}
        self._cell = ""
        self._depth = 0  # of cells that cells execute, as %%capture does
        self._known: dict[tuple[str, str], WorkflowSpec] = {}

    @property
    def names(self) -> dict[str, Any]:
        """The notebook's names."""
        names: dict[str, Any] = self.shell.user_ns
        return names

    @property
    def app(self) -> str:
        """The app of what is defined here."""
        return apps.default_app()

    @property
    def is_interactive(self) -> bool:
        """Whether somebody looks at the cells: else they wait for their runs."""
        if hasattr(self.shell, "kernel"):
            return outputs.is_interactive(self.shell)
        return bool(getattr(self.shell.parent, "interact", True))

    def client(self) -> Client:
        """A client of the app; reading makes no file."""
        return Client(app=self.app)

    def engage(self, app: str) -> None:
        """Have this kernel's engine execute what commands ask for.

        Where another process has the app, or this one defines nothing of it, the
        commands go to whoever serves it.
        """
        if not registry.workflows(app):
            return
        try:
            process_host(app)
        except EngineBusy:
            return

    def place(self, line: str, body: str) -> Cell:
        """The cell that a cell magic is called from, and where its line stands."""
        number, below = self.cell_number, body.rstrip("\n")
        whole = self._cell.rstrip("\n")
        if not whole.endswith(below):  # code has called the magic
            return Cell(number, f"%%workflow{line}\n{body}")
        # Above it may stand magics that time or capture it, and empty lines.
        above = whole[: len(whole) - len(below)].split("\n")[:-2]
        return Cell(number, self._cell, tuple(above))

    @property
    def cell_number(self) -> int:
        """The number that IPython gives the present cell."""
        history = self.shell.history_manager
        inputs = [] if history is None else history.input_hist_raw
        # Some versions count on before the cell is executed, others after.
        if inputs and inputs[-1] == self._cell.rstrip("\n"):
            return len(inputs) - 1
        return int(self.shell.execution_count)

    def new_definitions(self) -> list[WorkflowSpec]:
        """Workflows that were defined since this was last asked."""
        found = []
        for app in registry.apps():
            for spec in registry.workflows(app):
                key = (app, spec.name)
                if self._known.get(key) is not spec:
                    self._known[key] = spec
                    found.append(spec)
        return found

    # Hooks of the shell

    def _cell_begins(self, info: Any) -> None:
        if self._depth and not info.store_history:
            self._depth += 1
            return
        self._depth = 1
        self._displays.teach()
        self._cell = info.raw_cell or ""
        self.interrupts.cell_begins()

    def _cell_ends(self, result: Any) -> None:
        from nbflow.magics.unfinished import tell_unfinished

        self._depth = max(self._depth - 1, 0)
        if self._depth:
            return
        self._displays.teach()
        self.interrupts.cell_ends(getattr(result, "error_in_exec", None))
        tell_unfinished(self)

    def _configurables(self) -> list[Any]:
        """What `%config` knows; its annotation in IPython is too narrow."""
        found: list[Any] = self.shell.configurables
        return found

    def _install(self) -> None:
        from nbflow.magics.completion import Completions
        from nbflow.magics.line import WorkflowMagics

        shell = self.shell
        self.new_definitions()
        shell.register_magics(WorkflowMagics(shell, self))
        self._configurables().append(self.settings)
        shell.events.register("pre_run_cell", self._cell_begins)
        shell.events.register("post_run_cell", self._cell_ends)
        self.interrupts.install()
        tracebacks.install(
            shell, lambda: bool(self.settings.short_errors), self.interrupts.shown
        )
        self._displays.install()
        self._completions = Completions(self)
        self._completions.install()

    def _uninstall(self) -> None:
        shell = self.shell
        for kind, name in (
            ("cell", "workflow"),
            ("line", "workflow"),
            ("line", "nbflow"),
        ):
            shell.magics_manager.magics[kind].pop(name, None)
        if self.settings in self._configurables():
            self._configurables().remove(self.settings)
        shell.events.unregister("pre_run_cell", self._cell_begins)
        shell.events.unregister("post_run_cell", self._cell_ends)
        self.interrupts.uninstall()
        self._displays.uninstall()
        tracebacks.uninstall(shell)
        self._completions.uninstall()
        self.settings.app = ""


_sessions: "weakref.WeakKeyDictionary[InteractiveShell, Session]" = (
    weakref.WeakKeyDictionary()
)


def load(shell: InteractiveShell) -> Session:
    """The session of a shell; a new one at the first call."""
    session = _sessions.get(shell)
    if session is None:
        session = Session(shell)
        session._install()
        _sessions[shell] = session
    return session


def unload(shell: InteractiveShell) -> None:
    """End the session of a shell, if it has one."""
    session = _sessions.pop(shell, None)
    if session is not None:
        session._uninstall()

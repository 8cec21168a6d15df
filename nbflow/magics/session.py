"""What is known of one shell: its settings, its cells, and what they wait for."""

import os
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from nbflow.client import Client
from nbflow.client.homes import find_home
from nbflow.definition import apps, registry
from nbflow.definition.spec import WorkflowSpec
from nbflow.engine import process_host
from nbflow.errors import EngineBusy, NbflowError
from nbflow.magics.capture import Displays
from nbflow.magics.compile import Cell
from nbflow.magics.interrupts import Interrupts
from nbflow.magics.settings import NBFlow
from nbflow.model import safe_text
from nbflow.widgets import outputs


class Session:
    """The extension in one shell.

    Attributes:
        shell: the shell.
        settings: `%config NBFlow`.
        interrupts: watches what the cells wait for.
        displays: makes lines of the log of what runs display.
        told: ids of unfinished runs that the user has been told of.
        undecided: workflows whose unfinished runs another process may have, and how
            often to look again.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.settings = NBFlow.of(shell)
        self.interrupts = Interrupts(self.settings)
        self.displays = Displays(shell)
        self.told: set[str] = set()
        self.undecided: dict[WorkflowSpec, int] = {}
        self._cell = ""
        self._depth = 0  # of cells that cells execute, as %%capture does
        self._known: dict[tuple[str, str], WorkflowSpec] = {}
        self._told_home: Path | None = None

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
        """A client of the app, where this kernel's engine is; makes no file."""
        return Client.here(self.app)

    def tell_home(self) -> None:
        """Say once that NBFLOW_HOME names another home than the engine works in."""
        try:
            named, used = find_home(), self.client().home
        except NbflowError:  # a store that cannot be read is told of when it is used
            return
        other = None
        if os.environ.get("NBFLOW_HOME") and used is not None:
            other = None if os.path.realpath(used) == os.path.realpath(named) else named
        if other is not None and other != self._told_home:
            print(
                safe_text(
                    f"NBFLOW_HOME is now {named}, but the engine of app {self.app!r} "
                    f"in this kernel works in {used}, which is what is shown: after "
                    "`nbflow.shutdown()` the next run starts in the new home"
                )
            )
        self._told_home = other

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

    def cell_begins(self, info: Any) -> None:
        """A cell begins, or one that a cell executes."""
        if self._depth and not info.store_history:
            self._depth += 1
            return
        self._depth = 1
        self.displays.teach()
        self._cell = info.raw_cell or ""
        self.interrupts.cell_begins()

    def cell_ends(self, result: Any) -> bool:
        """A cell has ended; whether it is the user's, not one that a cell executes."""
        self._depth = max(self._depth - 1, 0)
        if self._depth:
            return False
        self.displays.teach()
        self.interrupts.cell_ends(getattr(result, "error_in_exec", None))
        return True

"""Puts magics, hooks and completion into a shell, and takes them out again."""

import weakref
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from nbflow.magics import tracebacks
from nbflow.magics.completion import Completions
from nbflow.magics.line import WorkflowMagics
from nbflow.magics.session import Session
from nbflow.magics.unfinished import tell_unfinished

_MAGICS = (("cell", "workflow"), ("line", "workflow"), ("line", "nbflow"))


class Extension:
    """What one shell has loaded."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.session = Session(shell)
        self._shell = shell
        self._completions = Completions(self.session)

    def install(self) -> None:
        """Register all of it; what was defined before is not looked at."""
        shell, session = self._shell, self.session
        session.new_definitions()
        shell.register_magics(WorkflowMagics(shell, session))
        self._configurables().append(session.settings)
        shell.events.register("pre_run_cell", session.cell_begins)
        shell.events.register("post_run_cell", self._cell_ends)
        session.interrupts.install()
        tracebacks.install(
            shell, lambda: bool(session.settings.short_errors), session.interrupts.shown
        )
        session.displays.install()
        self._completions.install()

    def uninstall(self) -> None:
        """Undo `install`; runs go on."""
        shell, session = self._shell, self.session
        for kind, name in _MAGICS:
            shell.magics_manager.magics[kind].pop(name, None)
        if session.settings in self._configurables():
            self._configurables().remove(session.settings)
        shell.events.unregister("pre_run_cell", session.cell_begins)
        shell.events.unregister("post_run_cell", self._cell_ends)
        session.interrupts.uninstall()
        session.displays.uninstall()
        tracebacks.uninstall(shell)
        self._completions.uninstall()
        session.settings.app = ""

    def _cell_ends(self, result: Any) -> None:
        if self.session.cell_ends(result):
            tell_unfinished(self.session)

    def _configurables(self) -> list[Any]:
        """What `%config` knows; its annotation in IPython is too narrow."""
        found: list[Any] = self._shell.configurables
        return found


_loaded: "weakref.WeakKeyDictionary[InteractiveShell, Extension]" = (
    weakref.WeakKeyDictionary()
)


def load(shell: InteractiveShell) -> Session:
    """The session of a shell; a new one at the first call."""
    extension = _loaded.get(shell)
    if extension is None:
        extension = Extension(shell)
        extension.install()
        _loaded[shell] = extension
    return extension.session


def unload(shell: InteractiveShell) -> None:
    """End the session of a shell, if it has one."""
    extension = _loaded.pop(shell, None)
    if extension is not None:
        extension.uninstall()

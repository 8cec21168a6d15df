"""What the code of a run displays becomes lines of its log, as what it prints does.

Else a table or a `rich` text from a step would land in whichever cell is executed. And
bars that libraries draw with widgets are drawn as in a terminal, where the engine
takes them for the step's progress.
"""

import re
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from nbflow.context import current_context
from nbflow.errors import Canceled, ContextClosed

_MARKUP = re.compile(r"\[/?[a-z#][^\[\]]*\]|\[/\]")  # "[red]" of rich's markup
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Displays:
    """Stands before the shell's display publisher, and in the libraries that draw."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._publisher: Any = shell.display_pub
        self._publish: Any = None
        self._undo: dict[str, Callable[[], None]] = {}

    def install(self) -> None:
        """Look at what is displayed from here on."""
        self._publish = self._publisher.publish
        self._publisher.publish = self._look
        self.teach()

    def uninstall(self) -> None:
        """Undo `install`."""
        if vars(self._publisher).get("publish") == self._look:
            del self._publisher.publish
        for undo in self._undo.values():
            undo()
        self._undo.clear()

    def teach(self) -> None:
        """Tell libraries that were loaded meanwhile that a run has no notebook."""
        for name, teach in _LIBRARIES.items():
            module = sys.modules.get(name)
            if module is not None and name not in self._undo:
                with suppress(AttributeError):  # half loaded, or of another making
                    self._undo[name] = teach(module)

    def _look(self, data: Any, *more: Any, **options: Any) -> Any:
        context = current_context.get()
        if context is None:
            return self._publish(data, *more, **options)
        self.teach()
        # Not printed: rich puts itself before stdout, and displays what comes there.
        text = _ANSI.sub("", str(data.get("text/plain", "")))
        for line in text.rstrip().splitlines():
            # A bar's thread may outlive its step.
            with suppress(ContextClosed, Canceled):
                context.log(line)
        return None


def _teach_rich(module: Any) -> Callable[[], None]:
    """A console that writes for a run is in no notebook and no terminal: it prints."""
    console = module.Console
    of_class = console.is_terminal

    def is_terminal(self: Any) -> bool:
        if current_context.get() is None:
            return bool(of_class.fget(self))
        return bool(self._force_terminal)  # kernels ask for colours in another way

    def is_jupyter(self: Any) -> bool:
        return current_context.get() is None and bool(
            vars(self).get("is_jupyter", False)
        )

    def keep(self: Any, value: bool) -> None:
        vars(self)["is_jupyter"] = value

    # Consoles hold the answer of the time when they were made.
    console.is_jupyter = property(is_jupyter, keep)
    console.is_terminal = property(is_terminal)

    def undo() -> None:
        del console.is_jupyter
        console.is_terminal = of_class

    return undo


def _teach_rich_progress(module: Any) -> Callable[[], None]:
    """The first unfinished bar of a run drives the step's progress."""
    progress = module.Progress
    former = progress.get_renderable

    def get_renderable(self: Any) -> Any:
        context = current_context.get()
        tasks = [] if context is None else self.tasks
        if context is not None and tasks:
            task = next((each for each in tasks if not each.finished), tasks[-1])
            said = (task.completed, task.total, _MARKUP.sub("", task.description))
            if vars(self).get("_nbflow_said") != said:
                self._nbflow_said = said
                with suppress(ContextClosed, Canceled):
                    context.progress(*said)
        return former(self)

    progress.get_renderable = get_renderable

    def undo() -> None:
        progress.get_renderable = former

    return undo


def _teach_tqdm(module: Any) -> Callable[[], None]:
    """A bar that a run begins is the terminal's, which drives the step's progress."""
    bar = module.tqdm_notebook

    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if current_context.get() is None:
            return super(bar, cls).__new__(cls)
        kwargs.pop("display", None)  # of notebooks only
        # No instance of the class: Python leaves it as it is.
        return import_module("tqdm.asyncio").tqdm_asyncio(*args, **kwargs)

    bar.__new__ = staticmethod(new)

    def undo() -> None:
        del bar.__new__

    return undo


_LIBRARIES: dict[str, Callable[[Any], Callable[[], None]]] = {
    "rich.console": _teach_rich,
    "rich.progress": _teach_rich_progress,
    "tqdm.notebook": _teach_tqdm,
}

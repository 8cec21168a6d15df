"""Where a widget is shown: cells, front ends that cannot show widgets, and the end.

With nobody there to use a widget (nbclient, papermill, nbconvert), a plain picture is
shown instead. A widget that is closed leaves its picture.
"""

import contextvars
import threading
from collections.abc import Callable
from typing import Any, Protocol

from nbflow.widgets import outputs
from nbflow.widgets.elements import picture

_WIDGET = "application/vnd.jupyter.widget-view+json"
_lock = threading.Lock()


class Pictured(Protocol):
    """A widget that can say what it shows."""

    def picture(self) -> list[str]: ...
    def close(self) -> None: ...


# Displays of each widget; and the widgets of each cell, with the execution that
# showed them.
_displays: dict[Pictured, list[Any]] = {}
_cells: dict[str, tuple[str | None, list[Pictured]]] = {}


def bundle(widget: Pictured, make: Callable[[], Any]) -> Any:
    """What a front end gets: the widget, or its picture where nobody could use it.

    The picture goes along with the widget, for readers of the saved notebook.
    """
    if not is_attended():
        return still(widget)
    made = make()
    return {**made, **still(widget)} if isinstance(made, dict) else made


def still(widget: Pictured) -> dict[str, str]:
    """The picture of a widget: text, and the same as HTML."""
    return {"text/plain": repr(widget), "text/html": picture(widget.picture())}


def display(widget: Pictured, make: Callable[[], Any]) -> None:
    """Show a widget in the cell that runs, in the place of what it showed before."""
    import IPython.display

    show: Any = IPython.display.display
    shown = bundle(widget, make)
    if not isinstance(shown, dict):
        return
    shell = outputs.kernel_shell()
    cell = None if shell is None else outputs.cell_id(shell)
    execution = None if shell is None else outputs.request_id(shell)
    former: list[Pictured] = []
    handle = show(shown, raw=True, display_id=True)
    with _lock:
        if handle is not None and _WIDGET in shown:
            _displays.setdefault(widget, []).append(handle)
        if cell is not None:
            ran, widgets = _cells.get(cell, (execution, []))
            if ran != execution:
                former, widgets = widgets, []
            _cells[cell] = (execution, [*widgets, widget])
    for each in former:
        if each is not widget:
            forget(each)
            each.close()


def freeze(widget: Pictured) -> None:
    """Leave a picture wherever the widget is shown."""
    with _lock:
        handles = _displays.pop(widget, [])
    if handles:
        shown = still(widget)
        for handle in handles:
            # In a context of its own: the display belongs to no cell that runs now.
            contextvars.Context().run(handle.update, shown, raw=True)


def forget(widget: Pictured) -> None:
    """Its output is gone: it leaves no picture."""
    with _lock:
        _displays.pop(widget, None)


def is_attended() -> bool:
    """Whether somebody is there who can use a widget."""
    shell = outputs.kernel_shell()
    return shell is None or outputs.is_interactive(shell)

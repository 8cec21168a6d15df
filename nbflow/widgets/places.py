"""Where a widget is shown: cells, front ends that cannot show widgets, and the end.

With nobody there to use a widget (nbclient, papermill, nbconvert), a plain picture is
shown instead. A widget that is closed leaves its picture, and so does one whose kernel
goes or whose notebook is saved (`keeper`); a cell that is executed again closes what it
has shown before, runs and widgets alike.
"""

import contextvars
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from nbflow.widgets import outputs
from nbflow.widgets.elements import picture

_WIDGET = "application/vnd.jupyter.widget-view+json"
_lock = threading.Lock()


class Pictured(Protocol):
    """A widget that can say what it shows."""

    @property
    def model_id(self) -> str | None: ...
    def picture(self) -> list[str]: ...
    def close(self) -> None: ...


class Shown(Protocol):
    """What a cell shows."""

    def close(self) -> None: ...


# Displays of each widget, and what keeps its picture in the page.
_displays: dict[Shown, list[Any]] = {}
_keepers: dict[Shown, Any] = {}
# What each cell shows, with the execution that did: alive only as long as somebody
# keeps it up to date.
_cells: dict[str, tuple[str | None, list[weakref.ref[Shown]]]] = {}


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
    if shell is not None and _WIDGET in shown:
        _keep(widget, shown)
    handle = show(shown, raw=True, display_id=True)
    if handle is not None and _WIDGET in shown:
        with _lock:
            _displays.setdefault(widget, []).append(handle)
    if shell is not None:
        claim(shell, widget)


def claim(shell: Any, shown: Shown) -> None:
    """The cell that is executed shows something: close what it showed before."""
    cell = outputs.cell_id(shell)
    if cell is None:
        return
    execution = outputs.request_id(shell)
    former: list[weakref.ref[Shown]] = []
    with _lock:
        ran, listed = _cells.get(cell, (execution, []))
        if ran != execution:
            former, listed = listed, []
        alive = [each for each in listed if each() is not None]
        _cells[cell] = (execution, [*alive, weakref.ref(shown)])
    for each in former:
        known = each()
        if known is not None and known is not shown:
            forget(known)
            known.close()


def redraw(widget: Pictured) -> None:
    """It shows something else: what is saved of it, too."""
    with _lock:
        keeper = _keepers.get(widget)
    if keeper is not None:
        keeper.redraw(picture(widget.picture()), repr(widget))


def freeze(widget: Pictured) -> None:
    """Leave a picture wherever the widget is shown."""
    with _lock:
        handles = _displays.pop(widget, [])
    if handles:
        shown = still(widget)
        for handle in handles:
            # In a context of its own: the display belongs to no cell that runs now.
            contextvars.Context().run(handle.update, shown, raw=True)
    _let_go(widget)


def forget(widget: Shown) -> None:
    """Its output is gone: it leaves no picture."""
    with _lock:
        _displays.pop(widget, None)
    _let_go(widget)


def _keep(widget: Pictured, shown: Mapping[str, Any]) -> None:
    from nbflow.widgets.keeper import Keeper

    with _lock:
        if widget not in _keepers:
            _keepers[widget] = Keeper(
                str(widget.model_id), shown["text/html"], shown["text/plain"]
            )


def _let_go(widget: Shown) -> None:
    with _lock:
        keeper = _keepers.pop(widget, None)
    if keeper is not None:
        keeper.close()


def is_attended() -> bool:
    """Whether somebody is there who can use a widget."""
    shell = outputs.kernel_shell()
    return shell is None or outputs.is_interactive(shell)

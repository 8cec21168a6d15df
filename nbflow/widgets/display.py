"""`show`: the one way in which runs get into outputs."""

from typing import Any, Literal

from nbflow.client import Client, RunHandle
from nbflow.errors import InvalidOption
from nbflow.widgets import outputs, places
from nbflow.widgets.run.hub import hub
from nbflow.widgets.run.run_view import RunView, handle_of, live_of
from nbflow.widgets.run.showing import Showing

View = Literal["live", "static", "none"]


def show(
    run: RunHandle[Any] | str, view: View = "live", *, client: Client | None = None
) -> None:
    """Show a run in the output of the cell that is executed.

    Live where a person may be looking; static HTML, after having waited for the end,
    where a program executes the notebook; one line of text outside of a kernel. What
    the cell has shown when it was executed before is closed.

    Args:
        run: a handle, or the id of a run.
        view: "static" for HTML that is replaced once, at the end; "none" for nothing.
        client: whose app the id is of.

    Raises:
        RunNotFound: there is no run of that id.
        InvalidOption: there is no such view.
        TypeError: `run` is none, or `client`.
    """
    if view not in ("live", "static", "none"):
        raise InvalidOption(
            f"view={view!r} is unknown: use 'live', 'static' or 'none'",
            option="view",
            value=view,
        )
    if view == "none":
        return
    handle = handle_of("show", run, client)
    _ = handle.status  # raises for a run that was refused
    shell = outputs.kernel_shell()
    if shell is None:
        print(live_of(handle).sentence())
        return
    outputs.watch_cells(shell)
    is_interactive = outputs.is_interactive(shell)
    if view == "live" and is_interactive:
        showing = RunView(handle)._showing
    else:
        showing = Showing(live_of(handle), hub, None, shell, is_interactive)
        hub.add(showing)
    places.claim(shell, showing)
    showing.display()
    showing.wait_alone()

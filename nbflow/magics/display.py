"""How a run is shown below a cell: in a kernel by the widgets, else as text."""

import datetime as dt
from typing import Any

from IPython.display import display

from nbflow.client import Client, RunHandle
from nbflow.errors import NbflowError
from nbflow.view import Board, Line, Look, paint, run_line, run_rows
from nbflow.widgets import outputs

_LOOK = Look(unicode=True, color=False)


def is_kernel() -> bool:
    """Whether outputs can be shown again when the run goes on."""
    return outputs.kernel_shell() is not None


def show_run(handle: RunHandle[Any], view: str) -> None:
    """Show a run; in a kernel until it has ended, else as it stands.

    Args:
        handle: the run.
        view: "live", "static" or "none".
    """
    if view == "none":
        return
    if is_kernel():
        from nbflow.widgets import show  # they cost 100 ms: when a run is shown

        show(handle, "static" if view == "static" else "live")
    else:
        display({"text/plain": run_text(handle)}, raw=True)


def show_monitor(client: Client) -> None:
    """Show all of an app in the output of the cell, as widgets that stay up to date."""
    from nbflow.widgets import Monitor

    display(Monitor(client))


def run_text(handle: RunHandle[Any]) -> str:
    """Header and step rows of a run as text."""
    try:
        board = Board(handle.run)
        steps = handle.steps
    except NbflowError:  # not there yet, or not readable: its own line says so
        return repr(handle)
    for step in steps:
        board.add(step)
    now = dt.datetime.now(dt.UTC)
    run = handle.run
    board.started, board.ended, board.duration = (
        run.started_at,
        run.ended_at,
        run.duration,
    )
    board.reason = run.cancel_reason or run.skip_reason
    rows = run_rows(board, _LOOK, now)
    return text_of([run_line(board, _LOOK, now), *(row.line for row in rows)])


def text_of(lines: list[Line]) -> str:
    """Lines as plain text."""
    return "\n".join(paint(each, _LOOK).rstrip() for each in lines)


def print_lines(lines: list[Line]) -> None:
    """Print lines below the cell."""
    print(text_of(lines))

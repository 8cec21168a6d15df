"""How a run is shown below a cell. The live view takes its place here.

`show_run` is all that the magics call; without a live view it shows text.
"""

import datetime as dt
from typing import Any

from IPython.display import display

from nbflow.client import RunHandle
from nbflow.errors import NbflowError
from nbflow.view import Board, Line, Look, paint, run_line, run_rows

VIEWS = ("live", "static", "none")
_LOOK = Look(unicode=True, color=False)


def has_live_view() -> bool:
    """Whether a view that changes while the run goes on can be shown."""
    return False


def show_run(handle: RunHandle[Any], view: str) -> None:
    """Show a run as it stands: header and steps.

    Args:
        handle: the run.
        view: "live" (as "static" where there is no live view), "static" or "none".
    """
    if view != "none":
        display({"text/plain": run_text(handle)}, raw=True)


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

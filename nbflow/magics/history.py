"""What this kernel has executed, as the cells of a notebook."""

from nbflow.errors import NotebookError
from nbflow.magics.session import Session
from nbflow.notebook.cells import Cell, read_cell

PLACE = "this notebook"


def executed_cells(session: Session) -> list[Cell]:
    """The cells in the order of their execution, without those that are no Python."""
    found = []
    for number, source in enumerate(_inputs(session)):
        if not source.strip():
            continue
        try:
            found.append(read_cell(number, source, f"cell {number} of {PLACE}"))
        except NotebookError:
            continue
    return found


def _inputs(session: Session) -> list[str]:
    history = session.shell.history_manager
    return [] if history is None else list(history.input_hist_raw)

"""Recorded tracebacks as users know their code: by cell instead of by file."""

import re
from collections.abc import Callable

Cells = Callable[[str], str | None]
"""Names the cell of a file that a kernel has made of one: "In[5]"; None of others."""

_FRAME = re.compile(
    r'^(?P<indent>\s*)File "(?P<file>[^"\n]+)", line (?P<line>\d+)', re.M
)
_NOTEBOOK = re.compile(r"#cell-(\d+)\Z")


def no_cells(file: str) -> str | None:
    """Knows no cells, as outside of a kernel."""
    found = _NOTEBOOK.search(file)
    return f"cell {found[1]}" if found else None


def cell_of(traceback: str, cells: Cells = no_cells) -> str | None:
    """Where an error points at in the notebook: "In[5], line 3"; None if nowhere."""
    place = None
    for found in _FRAME.finditer(traceback):
        cell = cells(found["file"]) or no_cells(found["file"])
        if cell is not None:
            place = f"{cell}, line {found['line']}"
    return place


def with_cells(traceback: str, cells: Cells = no_cells) -> str:
    """A traceback whose frames in cells say so, instead of naming a file."""

    def name(found: re.Match[str]) -> str:
        cell = cells(found["file"])
        if cell is None:
            return found[0]
        return f"{found['indent']}Cell {cell}, line {found['line']}"

    return _FRAME.sub(name, traceback)

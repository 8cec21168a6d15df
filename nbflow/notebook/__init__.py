"""Workflows out of notebooks, files and modules, without a kernel.

Of a notebook only what its workflows need is executed (`selection`), as plain Python
with the cells' own line numbers.
"""

from nbflow.notebook.load import (
    CellPlan,
    Loaded,
    is_workflow,
    load_target,
    with_workflow,
)

__all__ = ["CellPlan", "Loaded", "is_workflow", "load_target", "with_workflow"]

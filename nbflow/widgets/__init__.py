"""What a notebook shows of workflows: runs live, lists of them, forms, queues.

Importing the package loads no widget library; its names do.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Monitor": "nbflow.widgets.monitor",
    "RunView": "nbflow.widgets.run.run_view",
    "RunsView": "nbflow.widgets.runs_view",
    "WorkflowForm": "nbflow.widgets.form.workflow_form",
    "show": "nbflow.widgets.display",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__

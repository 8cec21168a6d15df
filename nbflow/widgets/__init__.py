"""Runs in notebooks: `RunView`, and `show`, which chooses what fits the place."""

from nbflow.widgets.display import show
from nbflow.widgets.run_view import RunView

__all__ = ["RunView", "show"]

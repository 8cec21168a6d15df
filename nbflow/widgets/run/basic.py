"""The view for browsers without our script: HTML that is replaced, and a button."""

import time
from collections.abc import Callable
from typing import Any

import ipywidgets

from nbflow.widgets.outputs import hear_everywhere
from nbflow.widgets.run.live import Live
from nbflow.widgets.run.pace import SLOW

ROWS = 200


class Basic:
    """A run as one `ipywidgets.HTML` of at most 200 rows.

    Args:
        cancel: called when the button is pressed.
    """

    def __init__(self, cancel: Callable[[], object]) -> None:
        self._html = ipywidgets.HTML()
        self._button = ipywidgets.Button(description="Cancel")
        self._box = ipywidgets.VBox([self._html, self._button])
        self._due = 0.0
        self._button.on_click(lambda _: cancel())
        hear_everywhere(self._button.comm)

    def refresh(self, live: Live, now: float) -> None:
        """Draw the run again, if it is time to."""
        if now < self._due:
            return
        began = time.monotonic()
        html = live.html(ROWS)
        if html != self._html.value:
            self._html.value = html
        if self._button.disabled is not live.is_over:
            self._button.disabled = live.is_over
        # A large run must not eat up the machine that executes it.
        self._due = now + max(SLOW, 10 * (time.monotonic() - began))

    def say(self, text: str) -> None:
        """Show what became of the button's command."""
        self._button.tooltip = text

    def bundle(self, live: Live) -> dict[str, Any]:
        """The output that displays it; HTML where there are no widgets at all."""
        view = {
            "version_major": 2,
            "version_minor": 0,
            "model_id": self._box.model_id,
        }
        return {
            "application/vnd.jupyter.widget-view+json": view,
            "text/html": live.html(ROWS),
            "text/plain": live.sentence(),
        }

    def close(self) -> None:
        """Close its widgets."""
        for each in (self._html, self._button, self._box):
            each.close()

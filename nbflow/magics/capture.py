"""What the code of a run displays becomes lines of its log, as what it prints does.

Else a table or a `rich` text from a step would land in whichever cell is executed.
"""

import re
from contextlib import suppress
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from nbflow.context import current_context
from nbflow.errors import ContextClosed

_STYLE = re.compile(r"\x1b\[[0-9;]*m")


class Displays:
    """Stands before the shell's display publisher."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._publisher: Any = shell.display_pub
        self._publish: Any = None

    def install(self) -> None:
        """Look at what is displayed from here on."""
        self._publish = self._publisher.publish
        self._publisher.publish = self._look

    def uninstall(self) -> None:
        """Undo `install`."""
        if vars(self._publisher).get("publish") == self._look:
            del self._publisher.publish

    def _look(self, data: Any, *more: Any, **options: Any) -> Any:
        context = current_context.get()
        if context is None:
            return self._publish(data, *more, **options)
        # Not printed: rich puts itself before stdout, and displays what comes there.
        text = _STYLE.sub("", str(data.get("text/plain", "")))
        for line in text.rstrip().splitlines():
            with suppress(ContextClosed):  # a bar's thread may outlive its step
                context.log(line)
        return None

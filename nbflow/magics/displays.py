"""What the code of a run displays becomes lines of its log, as what it prints does.

Else a table or a `rich` text from a step would land in whichever cell is executed.
"""

from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from nbflow.context import current_context


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
        if current_context.get() is None:
            return self._publish(data, *more, **options)
        text = str(data.get("text/plain", "")).rstrip()
        if text:
            print(text)  # captured
        return None

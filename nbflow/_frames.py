"""Which frames of a traceback are machinery, and say nothing to the user."""

import os
import sys
import threading

_MACHINERY = (
    *("nbflow", "anyio", "asyncio", "concurrent"),
    *("IPython", "ipykernel", "traitlets", "tornado"),
)


def hidden_paths() -> tuple[str, ...]:
    """Beginnings of the file names of machinery, as far as it is loaded."""
    hidden = [threading.__file__]
    for name in _MACHINERY:
        folders = getattr(sys.modules.get(name), "__path__", ())
        hidden += [os.path.join(folder, "") for folder in folders]
    return tuple(hidden)

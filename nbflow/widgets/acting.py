"""What a button does that may take its time: in a thread of its own.

Its context is empty, so that what it prints or warns belongs to no cell.
"""

import contextvars
import threading
from collections.abc import Callable


def start(act: Callable[[], None]) -> threading.Thread:
    """Call `act` beside the caller, who does not wait."""
    context = contextvars.Context()
    thread = threading.Thread(
        target=context.run, args=(act,), name="nbflow-action", daemon=True
    )
    thread.start()
    return thread

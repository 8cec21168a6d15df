"""What a button does that may take its time: in a thread of its own.

Its context is empty, so that what it prints or warns belongs to no cell. No interrupt
reaches it, so it gives up where it would wait for an engine that a run blocks.
"""

import contextvars
import threading
from collections.abc import Callable

from nbflow._notices import impatient


def start(act: Callable[[], None]) -> threading.Thread:
    """Call `act` beside the caller, who does not wait."""
    context = contextvars.Context()

    def work() -> None:
        with impatient():
            act()

    thread = threading.Thread(
        target=context.run, args=(work,), name="nbflow-action", daemon=True
    )
    thread.start()
    return thread

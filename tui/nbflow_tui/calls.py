"""One call of the client in a thread of its own, which ends with the process.

Textual's own workers are waited for at the end: an engine that does not answer would
keep the user from leaving.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from textual.app import App

T = TypeVar("T")


def call_in_thread(
    app: App[Any],
    call: Callable[[], T],
    done: Callable[[T], object],
    failed: Callable[[Exception], object],
) -> None:
    """Call in a thread, and hand what comes of it to the app's loop."""

    def work() -> None:
        answer: Callable[[], object]
        try:
            answer = partial(done, call())
        except Exception as error:  # whatever it is, the user is told
            answer = partial(failed, error)
        # The app may have ended meanwhile.
        with suppress(RuntimeError):
            app.call_later(answer)

    threading.Thread(target=work, daemon=True, name="nbflow-monitor-call").start()

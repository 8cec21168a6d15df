"""The one thread that lets lists, forms and queues on a page look for news.

It sleeps until the next one is due, ends when there is none, and runs in an empty
context, so that what it sends belongs to no cell. Not that of the runs' views
(`run/hub`): a list is read and drawn in one go, their messages must not wait for it.
"""

import contextvars
import os
import threading
import time
from typing import Protocol


class Ticking(Protocol):
    """What the thread calls."""

    def tick(self, now: float) -> float | None:
        """Look for news at monotonic time `now`; seconds to the next look, or never."""
        ...


_wake = threading.Condition()
_due: dict[Ticking, float] = {}
_thread: threading.Thread | None = None


def watch(view: Ticking) -> None:
    """Let a view look as soon as possible, and then as often as it asks for."""
    global _thread
    with _wake:
        _due[view] = 0.0
        if _thread is None or not _thread.is_alive():
            context = contextvars.Context()
            _thread = threading.Thread(
                target=context.run, args=(_run,), name="nbflow-lists", daemon=True
            )
            _thread.start()
        _wake.notify()


def unwatch(view: Ticking) -> None:
    """Let a view look no more."""
    with _wake:
        _due.pop(view, None)
        _wake.notify()


def _run() -> None:
    global _thread
    while True:
        with _wake:
            if not _due:
                _thread = None
                return
            view = min(_due, key=_due.__getitem__)
            now = time.monotonic()
            if _due[view] > now:
                _wake.wait(_due[view] - now)
                continue
            # A `watch` from here on is not lost: it makes the view due again.
            _due[view] = float("inf")
        pause = view.tick(now)
        with _wake:
            if view in _due and _due[view] == float("inf"):
                if pause is None:
                    del _due[view]
                else:
                    _due[view] = time.monotonic() + pause


def _forget_in_child() -> None:
    global _wake, _thread
    _wake, _thread = threading.Condition(), None
    _due.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)

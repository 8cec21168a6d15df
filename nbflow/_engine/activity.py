"""What an engine changes in its process while runs are active."""

import os
import sys
import threading

from nbflow._engine.watch import Watch

_SWITCH_INTERVAL = 0.0005
"""Seconds: with Python's default of 5 ms, a computing cell would starve the engine."""

_lock = threading.Lock()


class Activity:
    """While runs are active: a short switch interval, and a watch on the loop."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._is_active = False  # and has a part in the short interval

    def set(self, is_active: bool) -> None:
        """Runs have become active, or none is any more."""
        self._watch.set(is_active)
        if is_active == self._is_active:
            return
        if is_active and os.environ.get("NBFLOW_SWITCH_INTERVAL") == "0":
            return
        self._is_active = is_active
        _switching.count(1 if is_active else -1)


class _Switching:
    """The switch interval is the process's: short while any engine is active."""

    def __init__(self) -> None:
        self._active = 0
        self._former = 0.0

    def count(self, change: int) -> None:
        """One more engine is active, or one less; the last one sets it back."""
        with _lock:
            self._active += change
            if change > 0 and self._active == 1:
                self._former = sys.getswitchinterval()
                sys.setswitchinterval(min(_SWITCH_INTERVAL, self._former))
            elif self._active == 0:
                sys.setswitchinterval(self._former)

    def forget(self) -> None:
        """No engine is active here: this process is a fork."""
        if self._active:
            self._active = 0
            sys.setswitchinterval(self._former)


_switching = _Switching()


def _forget_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    _switching.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)

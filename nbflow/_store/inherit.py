"""What a forked child must not touch: connections and locks of its parent.

Closing an inherited connection can delete the parent's WAL, closing it late or never
cannot. So the child leaks them on purpose, past the end of the interpreter.
"""

import os
import weakref
from typing import Protocol


class Inheritable(Protocol):
    """An object that holds what a child must let go of."""

    def after_fork(self) -> None:
        """Called once in the child, before any other code of it."""


_living: "weakref.WeakSet[Inheritable]" = weakref.WeakSet()


def register(thing: Inheritable) -> None:
    """Have `thing.after_fork()` called in each forked child while it lives."""
    _living.add(thing)


def leak(thing: object) -> None:
    """Keep the object from ever being finalised in this process."""
    import ctypes  # rare, and dear to import

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _in_child() -> None:
    for thing in list(_living):
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

"""What callers are told beside results: warnings at the user's own line."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_PACKAGE = str(Path(__file__).parent) + "/"
_listener: ContextVar[Callable[[str], None] | None]
_listener = ContextVar("nbflow_listener", default=None)

_is_impatient: ContextVar[bool] = ContextVar("nbflow_impatient", default=False)


@contextmanager
def told_to(listener: Callable[[str], None]) -> Iterator[None]:
    """Inside, what would be a warning goes to `listener`, which has a place for it."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def impatient() -> Iterator[None]:
    """Inside, a wait that may never end is an error, for who could not interrupt it."""
    token = _is_impatient.set(True)
    try:
        yield
    finally:
        _is_impatient.reset(token)


def is_impatient() -> bool:
    """Whether a wait that may never end is to be an error."""
    return _is_impatient.get()


def warn(message: str) -> None:
    """Issue a UserWarning that points at the caller outside of nbflow."""
    listener = _listener.get()
    if listener is not None:
        listener(message)
        return
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
        level += 1
    warnings.warn(message, UserWarning, stacklevel=level)

"""What code outside an engine holds of a run that it waits for."""

import os
import threading
from concurrent.futures import Future

from nbflow._engine.ending import Ending

_lock = threading.Lock()


class Ticket:
    """What somebody outside the engine holds of a run: its end, when it comes."""

    __slots__ = ("_future", "_open", "ending", "error", "run_id")

    def __init__(self, run_id: str, open: set["Ticket"]) -> None:
        self.run_id = run_id
        self._open = open  # the engine's tickets, until it is settled
        open.add(self)
        self.ending: Ending | None = None
        self.error: BaseException | None = None
        self._future: Future[None] | None = None

    def __call__(self, ending: Ending) -> None:
        """The run has ended, and that is committed."""
        self._open.discard(self)
        self.ending = ending
        self._tell()

    def fail(self, error: BaseException) -> None:
        """The run never came to be, or the engine has stopped."""
        self._open.discard(self)
        if self.ending is None:
            self.error = error
            self._tell()

    @property
    def is_done(self) -> bool:
        """Whether there is an ending or an error."""
        return self.ending is not None or self.error is not None

    def future(self) -> "Future[None]":
        """A future that is done when the ticket is."""
        with _lock:
            if self._future is None:
                self._future = Future()
                if self.is_done:
                    self._future.set_result(None)
            return self._future

    def _tell(self) -> None:
        with _lock:
            future = self._future
        if future is not None and not future.done():
            future.set_result(None)


def _forget_in_child() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)

"""A run's events as they come, read without waiting, over all of its lives."""

import time
from collections.abc import Callable

from nbflow.client import Client, Stream
from nbflow.errors import NbflowError, RunNotFound, StoreReplaced
from nbflow.model import RunEvent

FASTEST = 0.02
SLOWEST = 0.25
"""Seconds between two looks: the same as a stream's own."""
_AGAIN = 1.0
"""Seconds between two looks whether a run that is over was resumed."""


class Feed:
    """Follows one run.

    Args:
        client: a client of the run's app.
        run_id: the run; its record may still be on its way.
        check: raises why the record will not come; None: there is no telling.
        now: a clock of seconds, for tests.

    Attributes:
        problem: why nothing more comes, in words; None as long as something may.
    """

    def __init__(
        self,
        client: Client,
        run_id: str,
        check: Callable[[], object] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.run_id = run_id
        self._check = check
        self.problem: str | None = None
        self.delay = FASTEST
        self._now = now
        self._offset = "-1"
        self._stream: Stream | None = None
        self._not_before = 0.0
        self._was_there = False

    @property
    def is_over(self) -> bool:
        """Whether the run's present life was read to its end."""
        return self._stream is None and self._was_there

    def look_again(self) -> None:
        """Look at once whether the run goes on."""
        self._not_before = 0.0
        self.delay = FASTEST

    def read(self) -> list[RunEvent]:
        """The events that have come since; [] if none have. Never waits.

        What goes wrong is in `problem`, and nothing more comes.
        """
        if self.problem is not None:
            return []
        try:
            events = self._read()
        except NbflowError as error:
            self.problem = self._words(error)
            return []
        if events:
            self.delay = FASTEST
        else:
            self.delay = min(self.delay * 1.3, _AGAIN if self.is_over else SLOWEST)
        return events

    def close(self) -> None:
        """Read no more."""
        if self._stream is not None:
            self._stream.cancel()

    def _read(self) -> list[RunEvent]:
        stream = self._stream
        if stream is None:
            if self._now() < self._not_before:
                return []
            try:
                stream = self.client.runs.stream(self.run_id, self._offset)
            except RunNotFound:
                if self._was_there:
                    raise  # it was deleted
                if self._check is not None:
                    self._check()
                self._not_before = self._now() + SLOWEST
                return []
            self._was_there = True
        events = stream.read()
        self._offset = stream.offset
        self._stream = None if stream.ended else stream
        if stream.ended:
            self._not_before = self._now() + _AGAIN
        return events

    def _words(self, error: NbflowError) -> str:
        if isinstance(error, RunNotFound):
            app = self.client.app
            return f"its records are gone: the run or its app {app!r} was deleted"
        if isinstance(error, StoreReplaced):
            app = self.client.app
            return f"its records are gone: app {app!r} was deleted and made anew"
        return f"{type(error).__name__}: {error}"

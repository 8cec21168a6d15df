"""The one place that writes: rows are gathered in one batch, committed together.

Everything here happens on the loop's thread. The batch is committed at the end of the
loop turn; what waits for that commit is called after it.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Protocol

from nbflow._engine.clock import Clock
from nbflow._engine.ending import Ending, Waiter
from nbflow._store.base import Batch, WriterStore
from nbflow.errors import StoreError, StoreFull

log = logging.getLogger("nbflow")

LAZY = 0.005
"""Seconds after which records that nobody waits for are committed on their own."""
_INLINE = 16
"""Commits that one run may make before other work gets its turn."""
_PAUSE = 1.0
"""Seconds between tries to commit on a full disk."""


def say(message: str, level: int = logging.WARNING) -> None:
    """Log in nobody's name: else it would be a line of the run whose turn it is."""
    Context().run(log.log, level, "%s", message)


class Begun(Protocol):
    """Holds the start of a step that is written as late as may be."""

    def write_begun(self) -> None:
        """Add it to the batch, if it still stands alone."""
        ...


class Commits:
    """The batch of one engine, its commits, and who is told of them.

    Args:
        loop: the engine's.
        store: the open writer.
        clock: the time of events.
        stop: ends the engine, with what has made the store unusable.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        store: WriterStore,
        clock: Clock,
        stop: Callable[[BaseException], None],
    ) -> None:
        self.loop = loop
        self.store = store
        self.clock = clock
        self.thread = threading.get_ident()
        self.batch = Batch()
        self.begun: list[Begun] = []  # hold the start of a step that may end yet
        self.count = 0
        self.next_run = store.next_run
        self.ended: dict[str, Ending] = {}  # by ends that are not committed yet
        self.tickets: dict[str, list[Waiter]] = {}
        self.paused: StoreFull | None = None
        self._is_pause_told = False
        self.stopped: BaseException | None = None
        self.on_commit: Callable[[], None] | None = None
        self.stop = stop
        self._after: list[Callable[[], None]] = []
        self._flush: asyncio.Handle | None = None
        self._lazy: asyncio.TimerHandle | None = None
        self._inline = 0
        self._unwritten: dict[str, bytes] = {}  # blobs, for want of space

    def after(self, call: Callable[[], None]) -> None:
        """Call something once the present batch is committed."""
        self._after.append(call)

    def flush_soon(self) -> None:
        """Commit at the end of this loop turn."""
        if self._flush is None:
            self._flush = self.loop.call_soon(self._flush_now)

    def flush_later(self) -> None:
        """Commit within a few milliseconds, with whatever comes till then."""
        if self.clock.virtual:
            self.flush_soon()  # waiting would move time
        elif self._lazy is None:
            self._lazy = self.loop.call_later(LAZY, self._flush_lazy)

    def commit_inline(self) -> bool:
        """Commit here and now, if nothing else wants the loop; whether it was done.

        A run of quick steps saves two loop turns a step this way.
        """
        if self._flush is not None or getattr(self.loop, "_ready", True):
            return False
        self._inline += 1
        if self._inline >= _INLINE:
            return False
        return self.commit()

    async def committed(self) -> None:
        """Wait until what was appended so far is durable."""
        future = self.loop.create_future()
        self.after(partial(_set_done, future))
        self.flush_soon()
        await future

    def _flush_now(self) -> None:
        self._flush = None
        self._inline = 0
        self.commit()

    def _flush_lazy(self) -> None:
        self._lazy = None
        self.commit()

    def commit(self) -> bool:
        """Write the batch in one transaction, then call what waited for it."""
        if self.paused is not None or self.stopped is not None:
            return False
        if self.begun:
            self.write_begun()
        batch = self.batch
        if batch:
            try:
                if self._unwritten:
                    self._write_blobs()
                self.store.commit(batch)
            except StoreFull as exc:
                if self._use_reserve():
                    return self.commit()
                self._pause(exc)
                return False
            except StoreError as exc:
                self.stop(exc)
                return False
            except Exception as exc:  # a row that cannot be bound: no retry helps
                self.stop(StoreError(f"a commit failed: {type(exc).__name__}: {exc}"))
                return False
            batch.clear()
            self.count += 1
        after, self._after = self._after, []
        ended, self.ended = self.ended, {}
        for call in after:
            try:
                call()
            except Exception as exc:  # the others are owed their call
                _say_fault(call, exc)
        for run_id, ending in ended.items():
            for ticket in self.tickets.pop(run_id, ()):
                try:
                    ticket(ending)
                except Exception as exc:
                    _say_fault(ticket, exc)
        if self.on_commit is not None:
            self.on_commit()
        return True

    def write_begun(self) -> None:
        """Give the starts of steps that have not ended yet their own rows."""
        for journal in self.begun:
            journal.write_begun()
        self.begun.clear()

    def put_blob(self, digest: str, data: bytes) -> None:
        """Keep an out-of-line value, at the latest with the commit that names it.

        On a full disk the engine pauses and holds it: what a step has computed must
        not be computed again for want of space.
        """
        try:
            self.store.put_blob(digest, data)
        except StoreFull as exc:
            if threading.get_ident() != self.thread:
                raise
            if self.paused is None and self._use_reserve():
                self.put_blob(digest, data)
                return
            self._unwritten[digest] = data
            if self.paused is None:
                self._pause(exc)
        except StoreError as exc:
            if threading.get_ident() == self.thread:
                self.stop(exc)
            raise

    def _write_blobs(self) -> None:
        for digest, data in list(self._unwritten.items()):
            self.store.put_blob(digest, data)
            del self._unwritten[digest]

    def _use_reserve(self) -> bool:
        """The disk is full: take the space kept in reserve; whether there was any.

        So that the user is warned while what is computed still becomes durable.
        """
        if not self.store.release_ballast():
            return False
        say(
            "nbflow: the disk is full: the space that was kept in reserve is in use "
            "now. Free some, else the engine pauses"
        )
        return True

    def _pause(self, full: StoreFull) -> None:
        """The disk is full: nothing is lost, everything waits for space."""
        self.paused = full
        self.loop.call_later(_PAUSE, self._try_again)
        if not self._is_pause_told:  # once: each try tells the same
            self._is_pause_told = True
            say(f"nbflow: paused, {full}")

    def _try_again(self) -> None:
        if self.stopped is not None:
            return
        self.paused = None
        if self.commit():
            self.store.restore_ballast()
            self._is_pause_told = False
            say("nbflow: there is space again, going on")

    def commit_end(self, run_id: str) -> None:
        """Have a run's end in the store, before the store is asked about the run.

        Raises:
            StoreFull: it cannot be written for now.
            StoreError: the engine has stopped.
        """
        if run_id in self.ended and not self.commit():
            error = self.stopped or self.paused
            assert error is not None
            raise error

    def drop(self) -> None:
        """Forget all that is not committed."""
        self.batch.clear()
        self.begun.clear()
        self._after.clear()


def _say_fault(call: Callable[..., None], exc: Exception) -> None:
    say(
        f"nbflow: {call!r}, called after a commit, raised {type(exc).__name__}: {exc}; "
        "the engine goes on. Please report this.",
        logging.ERROR,
    )


def _set_done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)

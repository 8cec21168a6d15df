"""Events of a run as they come, and the list of those that are there."""

import threading
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from nbflow._store.base import EventRow
from nbflow.client.access import Access, is_ended
from nbflow.client.offsets import NOW, START, make_offset, read_offset
from nbflow.client.records import Chain, event_record
from nbflow.errors import InvalidOption, RunNotFound, StoreReplaced
from nbflow.model import TERMINAL_EVENTS, RunEvent

PAGE = 500
SHORTEST = 0.02
"""Seconds between two looks at a store that another process writes."""
LONGEST = 0.25
"""The same after a while in which nothing has happened."""
_SLICE = 0.1
_ENDS = frozenset(kind.value for kind in TERMINAL_EVENTS)


class EventList(list[RunEvent]):
    """Events of a run.

    Attributes:
        offset: where to go on reading.
        ended: whether the run's present life is over, and its end read.
    """

    def __init__(
        self,
        events: Iterable[RunEvent] = (),
        *,
        offset: str = START,
        ended: bool = False,
    ) -> None:
        super().__init__(events)
        self.offset = offset
        self.ended = ended


class Source:
    """The events of one run after an index, checked as they are read."""

    def __init__(self, access: Access, run_id: str, offset: str) -> None:
        row = access.find_row(run_id)
        self.access = access
        self.run_id = run_id
        self.n = row.n
        self.store = access.store()
        self.uid = self.store.uid
        self.classes = access.classes(row.workflow)
        self.head = self.store.head(row.n)
        row = access.find_row(run_id)
        self.end = row.last if is_ended(row) else None
        self.index = read_offset(offset, self.uid, run_id, row.n, self.head)
        self._chain = self._chain_at(self.index)

    def offset(self, index: int) -> str:
        """The offset after event `index`."""
        return make_offset(self.uid, self.run_id, self.n, index)

    def keep_tail(self, count: int) -> None:
        """Go on with the last `count` events."""
        self.skip_to(max(self.head - count, self.index))

    def skip_to(self, index: int) -> None:
        """Go on after event `index`."""
        self.index = index
        self._chain = self._chain_at(index)

    def read(self, limit: int | None = None) -> list[EventRow]:
        """Events that were not read yet.

        Raises:
            StoreDamaged: one of them is missing or was changed.
        """
        rows = self.store.events(self.n, self.index, limit)
        self._chain.check(rows)
        if rows:
            self.index = rows[-1].idx
        return rows

    def check_there(self) -> None:
        """Raise when there is nothing left to wait for.

        Raises:
            RunNotFound: the run was deleted.
            StoreReplaced: the store is another one.
        """
        row = self.store.run_by_number(self.n)
        if self.store.uid != self.uid:
            raise StoreReplaced(
                f"the store of run {self.run_id!r} was replaced by another one while "
                "its events were read: open a new stream",
                run_id=self.run_id,
            )
        if row is None or row.id != self.run_id:
            raise RunNotFound(
                f"run {self.run_id!r} was deleted while its events were read",
                run_id=self.run_id,
            )

    def record(self, row: EventRow) -> RunEvent:
        """The public form of an event."""
        return event_record(row, self.run_id, self.store, self.classes)

    def _chain_at(self, index: int) -> Chain:
        chain = Chain(self.run_id)
        if index:
            chain.skip_to(self.store.events(self.n, index - 1, 1)[0])
        return chain


def read_events(
    access: Access, run_id: str, offset: str = START, tail: int | None = None
) -> EventList:
    """The whole rest of a run's events; see `Runs.events`."""
    _check_tail(tail, offset)
    source = Source(access, run_id, offset)
    if tail is not None:
        source.keep_tail(tail)
    rows = source.read()
    if rows:
        ended = rows[-1].type in _ENDS
    else:
        ended = source.end is not None and source.index >= source.end
    return EventList(
        map(source.record, rows), offset=source.offset(source.index), ended=ended
    )


def read_earlier(
    access: Access, run_id: str, before: int, count: int
) -> list[RunEvent]:
    """The last events of a run before one; see `Runs.earlier`."""
    source = Source(access, run_id, START)
    last = min(before - 1, source.head)
    source.skip_to(max(last - count, 0))
    rows = source.read(last - source.index) if last > source.index else []
    return [source.record(row) for row in rows]


class Stream:
    """Events of a run, one by one, to the end of its present life.

    A sync and an async iterator. Leaving it as a context manager cancels it.

    Args:
        access: the app.
        run_id: the run.
        offset: read strictly after it; "-1" from the start, "now" only what comes.
        tail: begin with that many events from the end; only with offset "-1".
        live: wait for what comes; else the stream ends with what is there.

    Raises:
        RunNotFound, OffsetError, InvalidOption: naming value, rule and what to do.
    """

    def __init__(
        self,
        access: Access,
        run_id: str,
        offset: str = START,
        tail: int | None = None,
        live: bool = True,
    ) -> None:
        _check_tail(tail, offset)
        self.run_id = run_id
        self._source = Source(access, run_id, offset)
        if tail is not None:
            self._source.keep_tail(tail)
        self._offset = self._source.offset(self._source.index)
        self._live = live
        self._waiting: deque[EventRow] = deque()
        self._canceled = threading.Event()
        self._is_over = self._is_behind_end()
        self._delay = SHORTEST
        self._stamp: int | None = None
        self._turn: tuple[int, int] | None = None

    def __repr__(self) -> str:
        state = "ended" if self._is_over else "open"
        return f"<Stream of run {self.run_id!r}: {state}>"

    @property
    def offset(self) -> str:
        """Where to go on: after the event that was handed out last."""
        return self._offset

    @property
    def ended(self) -> bool:
        """Whether nothing more comes: what it had to hand out, it has."""
        return self._is_over

    def read(self) -> list[RunEvent]:
        """The next events that are there, a page at most; [] if none. Never waits.

        For those who follow many runs from one thread.
        """
        if not (self._waiting or self._fill()) or self._canceled.is_set():
            return []
        rows = list(self._waiting)
        for place, row in enumerate(rows):
            if self._is_end(row):
                del rows[place + 1 :]
                break
        events = [self._source.record(row) for row in rows]
        self._waiting.clear()
        self._offset = self._source.offset(rows[-1].idx)
        self._is_over = self._is_over or self._is_end(rows[-1])
        return events

    def cancel(self) -> None:
        """End the stream, from any thread, also while another one waits for it."""
        self._canceled.set()
        host = self._source.access.host()
        if host is not None:
            with host.changed:
                host.changed.notify_all()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> RunEvent:
        while not (self._waiting or self._fill()):
            if self._is_over or self._canceled.is_set():
                raise StopIteration
            self._source.access.refuse_loop(f"the stream of run {self.run_id!r}")
            self._wait()
        if self._canceled.is_set():
            raise StopIteration
        return self._hand_out()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RunEvent:
        # Who reads without a loop does not import one, which takes 40 ms.
        from nbflow.client import pauses

        while not (self._waiting or self._fill()):
            if self._is_over or self._canceled.is_set():
                raise StopAsyncIteration
            # In another process's store a look costs a read, here an attribute.
            await pauses.sleep(SHORTEST if self._is_local() else self._next_delay())
        if self._canceled.is_set():
            raise StopAsyncIteration
        return self._hand_out()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()

    def _hand_out(self) -> RunEvent:
        row = self._waiting[0]
        event = self._source.record(row)
        self._waiting.popleft()
        self._offset = self._source.offset(row.idx)
        if self._is_end(row):
            self._is_over = True
            self._waiting.clear()
        return event

    def _fill(self) -> bool:
        """Read what has come; whether anything has."""
        if self._is_over or self._canceled.is_set() or not self._has_changed():
            return False
        source = self._source
        rows = source.read(PAGE)
        if not rows:
            source.check_there()
        if not self._live:
            rows = [row for row in rows if row.idx <= source.head]
            self._is_over = not rows
        if rows:
            self._delay = SHORTEST
            self._stamp = self._turn = None  # there may be more than a page
            self._waiting.extend(rows)
        return bool(rows)

    def _has_changed(self) -> bool:
        """Whether anything was committed since the last look found nothing."""
        host = self._source.access.host()
        if host is not None:
            turn = (id(host), host.commits)
            if turn == self._turn:
                return False
            self._turn = turn
            return True
        stamp = self._source.store.stamp()
        if stamp == self._stamp:
            return False
        self._stamp, self._turn = stamp, None
        return True

    def _wait(self) -> None:
        host = self._source.access.host()
        if host is None:
            self._canceled.wait(self._next_delay())
        elif (id(host), host.commits) == self._turn:
            host.wait_for_change(_SLICE)

    def _is_local(self) -> bool:
        return self._source.access.host() is not None

    def _next_delay(self) -> float:
        delay, self._delay = self._delay, min(self._delay * 1.3, LONGEST)
        return delay

    def _is_end(self, row: EventRow) -> bool:
        """Whether this event ends the life that was the present one at opening."""
        end, head = self._source.end, self._source.head
        if end is not None:
            return row.idx >= end
        return row.type in _ENDS and row.idx > head

    def _is_behind_end(self) -> bool:
        end = self._source.end
        return end is not None and self._source.index >= end


def _check_tail(tail: object, offset: object) -> None:
    if tail is None:
        return
    if isinstance(tail, bool) or not isinstance(tail, int) or tail < 1:
        raise InvalidOption(
            f"tail={tail!r} is not allowed: give a whole number of 1 or more events",
            option="tail",
            value=tail,
        )
    if offset != START:
        raise InvalidOption(
            f"tail={tail} goes with offset={START!r} only: an offset says by itself "
            f"where reading begins{' (nothing is there yet)' if offset == NOW else ''}",
            option="tail",
            value=tail,
        )

"""Two events in one row: what began and ended within one commit.

Most steps end before the record of their start was due on disk, and a new run is
queued and started in one commit. Their two events share the row of the second, whose
data are then a JSON array: time and length of the first one's data, those data, and
the second one's. It saves a third of what such a step costs. Whoever reads events
sees two.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from nbflow._store.base import EventRow

_FIRST = {"step.completed": "step.started", "run.started": "run.queued"}
"""What may stand before what, in one row."""
_OPEN = ord("[")


def join(at: int, first: bytes, second: bytes) -> bytes:
    """The data of a row that holds two events."""
    return b"[%d,%d,%b,%b]" % (at, len(first), first, second)


def joined(first: EventRow, second: EventRow) -> bytes:
    """The data of the row that `split` made two events of."""
    return join(first.at, first.data or b"", second.data or b"")


def is_half(event: EventRow) -> bool:
    """Whether it is the first of two events in a row: it has no digest of its own."""
    return not event.digest


def split(rows: Iterable[tuple[Any, ...]]) -> Iterator[EventRow]:
    """The events that rows hold."""
    for row in rows:
        event = EventRow(*row)
        data = event.data
        if data and data[0] == _OPEN and event.type in _FIRST:
            yield from _both(event, data)
        else:
            yield event


def _both(event: EventRow, data: bytes) -> Iterator[EventRow]:
    at, length, rest = (*data[1:].split(b",", 2), b"", b"")[:3]
    if not (at.isdigit() and length.isdigit()):
        yield event  # was damaged: the digests will tell
        return
    end = int(length)
    yield EventRow(
        event.run,
        event.idx - 1,
        event.tx,
        _FIRST[event.type],
        int(at),
        event.step,
        None if event.step is None else event.attempt,
        None,
        b"",
        rest[:end],
    )
    yield EventRow(*event[:-1], rest[end + 1 : -1])

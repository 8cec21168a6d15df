"""Flow-control keys as the store holds them."""

from collections import deque
from collections.abc import Iterable

from nbflow._engine.admission import Limits, Queue, Slot
from nbflow._json import from_json
from nbflow._store.base import FlowRow, SlotRow


def read_queues(flows: Iterable[FlowRow], slots: Iterable[SlotRow]) -> dict[str, Queue]:
    """The keys as rows show them: who runs and who waits, whoever executes them."""
    queues = {row.key: read_queue(row) for row in flows}
    for row in slots:
        queue = queues.setdefault(row.key, Queue(row.key))
        slot = read_slot(row)
        if row.started is not None:
            queue.starts.append(row.started)
        if row.ended is not None:
            continue
        if row.started is None:
            queue.add(slot)
        else:
            queue.running[slot.n] = slot
    for queue in queues.values():
        sort_starts(queue)
    return queues


def sort_starts(queue: Queue) -> None:
    """Bring starts that were read in order of arrival into that of time."""
    queue.starts = deque(sorted(queue.starts))


def read_slot(row: SlotRow) -> Slot:
    """An execution that a row stands for."""
    return Slot(*row[:7])


def read_queue(row: FlowRow) -> Queue:
    """A key that a row stands for, without who runs and waits."""
    return Queue(
        row.key,
        read_limits(row.asked),
        None if row.pinned is None else read_limits(row.pinned),
        bool(row.paused),
        row.held,
        row.held_for,
    )


def read_limits(stored: bytes) -> Limits:
    """Limits as a row of the store holds them."""
    return Limits(*from_json(stored))

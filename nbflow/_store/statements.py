"""What a batch becomes in SQL, inside a transaction that the caller began."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from nbflow._store.base import (
    Batch,
    CacheRow,
    CommandRow,
    EventRow,
    FlowRow,
    MessageRow,
    RunRow,
    RunUpdate,
    SlotRow,
    WaitRow,
    WorkflowRow,
)


def _insert(table: str, row: type[Any], verb: str = "INSERT") -> str:
    fields: Sequence[str] = row._fields
    marks = ", ".join("?" * len(fields))
    return f"{verb} INTO {table} ({', '.join(fields)}) VALUES ({marks})"


INSERT_EVENT = _insert("event", EventRow)
INSERT_RUN = _insert("run", RunRow)
INSERT_COMMAND = _insert("command", CommandRow)
PUT_WORKFLOW = _insert("workflow", WorkflowRow, "INSERT OR REPLACE")
PUT_CACHE = _insert("cache", CacheRow, "INSERT OR REPLACE")
PUT_FLOW = _insert("flow", FlowRow, "INSERT OR REPLACE")
PUT_SLOT = _insert("slot", SlotRow, "INSERT OR REPLACE")
DELETE_SLOT = "DELETE FROM slot WHERE n = ?"
PUT_WAIT = _insert("wait", WaitRow, "INSERT OR REPLACE")
DELETE_WAIT = "DELETE FROM wait WHERE run = ? AND step = ?"
PUT_MESSAGE = _insert("message", MessageRow, "INSERT OR IGNORE")
DELETE_MESSAGE = "DELETE FROM message WHERE run = ? AND id = ? AND step IS ?"
UPDATE_RUN = f"UPDATE run SET {' = ?, '.join(RunUpdate._fields[:-1])} = ? WHERE n = ?"

_APPEND_ONE = (
    f"SELECT {', '.join('?' * len(EventRow._fields))} FROM store WHERE epoch = ?"
)
APPEND = tuple(
    f"INSERT INTO event {' UNION ALL '.join([_APPEND_ONE] * count)}"
    for count in range(5)
)
"""By number of events: the whole transaction as one statement, epoch check included."""

SELECT_EPOCH = "SELECT epoch FROM store"
RAISE_EPOCH = "UPDATE store SET epoch = epoch + 1 RETURNING uid, epoch, high"
HIGHEST_RUN = "SELECT max(n) FROM run"
DELETE_COMMAND = "DELETE FROM command WHERE id = ?"
OLD_COMMANDS = "DELETE FROM command WHERE at < ?"

_DELETE = (
    "DELETE FROM cache WHERE run = ?",
    "DELETE FROM event WHERE run = ?",
    "DELETE FROM slot WHERE run = ? AND ended IS NULL",  # the others' starts count
    "DELETE FROM wait WHERE run = ?",
    "DELETE FROM message WHERE run = ?",
    "DELETE FROM run WHERE n = ?",
    "UPDATE store SET high = max(high, ?)",
)


def write_rest(cursor: sqlite3.Cursor, batch: Batch) -> None:
    """Apply all of a batch but its events, deletes first."""
    many = cursor.executemany
    for n in batch.deletes:
        for statement in _DELETE:
            cursor.execute(statement, (n,))
    if batch.runs:
        many(INSERT_RUN, map(tuple, batch.runs))
    if batch.updates:
        many(UPDATE_RUN, map(tuple, batch.updates))
    if batch.commands:
        many(INSERT_COMMAND, batch.commands)
    if batch.catalogue:
        many(PUT_WORKFLOW, batch.catalogue)
    if batch.cache:
        many(PUT_CACHE, batch.cache)


def write_last(cursor: sqlite3.Cursor, batch: Batch) -> None:
    """Apply the statements of `rest`."""
    for statement, row in batch.rest:
        cursor.execute(statement, tuple(row))


def write_events(cursor: sqlite3.Cursor, events: list[EventRow]) -> None:
    """Append events; plain tuples, since binding a named one costs 0.5 us more."""
    if len(events) == 1:
        cursor.execute(INSERT_EVENT, tuple(events[0]))
    elif events:
        cursor.executemany(INSERT_EVENT, map(tuple, events))


def holds(
    query: Callable[[str, Sequence[object]], list[tuple[Any, ...]]], batch: Batch
) -> bool:
    """Whether the store holds this very batch.

    A batch that only replaces or deletes is told by nothing, and may be written again.
    """
    if batch.events:
        event = batch.events[0]
        sql = "SELECT 1 FROM event WHERE run = ? AND idx = ? AND digest = ?"
        return bool(query(sql, (event.run, event.idx, event.digest)))
    if batch.runs:
        run = batch.runs[0]
        sql = "SELECT 1 FROM run WHERE n = ? AND id = ? AND created = ?"
        return bool(query(sql, (run.n, run.id, run.created)))
    if batch.commands:
        sql = "SELECT 1 FROM command WHERE id = ?"
        return bool(query(sql, (batch.commands[0].id,)))
    return False


def weight(batch: Batch) -> int:
    """About how many bytes a commit of the batch adds to the WAL."""
    rows: list[tuple[object, ...]] = [*batch.events, *batch.runs, *batch.updates]
    rows += [*batch.commands, *batch.catalogue, *batch.cache]
    rows += [row for _, row in batch.rest]
    payload = sum(
        len(value) for row in rows for value in row if isinstance(value, str | bytes)
    )
    return 4096 * (4 + len(batch.deletes)) + 64 * len(rows) + 2 * payload

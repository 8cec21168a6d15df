"""A store in memory: the same SQL on one connection, for tests and throw-away runs."""

import sqlite3
import threading
import weakref
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from nbflow._store import opening
from nbflow._store.base import Batch, Faults
from nbflow._store.queries import Queries
from nbflow._store.statements import (
    HIGHEST_RUN,
    OLD_COMMANDS,
    RAISE_EPOCH,
    SELECT_EPOCH,
    write_events,
    write_last,
    write_rest,
)
from nbflow.errors import EngineClosed, EngineFenced, StoreDamaged, StoreError

COMMAND_LIFE = 24 * 3600 * 1_000_000


class _Shared:
    """What outlives an engine: the connection, its lock, the blobs."""

    def __init__(self, now: int) -> None:
        self.lock = threading.RLock()
        self.blobs: dict[str, bytes] = {}
        self.commits = 0
        self.connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False
        )
        weakref.finalize(self, self.connection.close)
        opening.prepare(self.connection)
        opening.fill(self.connection, now)

    def all(self, sql: str, params: Sequence[object]) -> list[tuple[Any, ...]]:
        with self.lock:
            return self.connection.execute(sql, params).fetchall()


class _InMemory(Queries):
    path = None

    def __init__(self, shared: _Shared) -> None:
        self._shared = shared
        self._closed = False
        self.uid: str = shared.all("SELECT uid FROM store", ())[0][0]

    def get_blob(self, digest: str) -> bytes:
        """An out-of-line value, checked against its digest."""
        data = self._shared.blobs.get(digest)
        if data is None or sha256(data).hexdigest() != digest:
            raise StoreDamaged(f"{digest[:80]!r}: this stored value is missing")
        return data

    def close(self) -> None:
        """Close this view; the data stay for others. May be called again."""
        self._closed = True

    def _all(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        if self._closed:
            raise EngineClosed("this store in memory was closed; open a new one")
        return self._shared.all(sql, params)


class MemoryReader(_InMemory):
    """Reads a store in memory; any thread of this process."""

    def stamp(self) -> int:
        """A number that differs whenever anything was committed since the last call."""
        self._all("SELECT 1")
        return self._shared.commits


class MemoryStore(_InMemory):
    """The writer of a store in memory.

    `crash()` is what a kill does to a store on disk: what was committed stays, and a
    writer of the next epoch takes over.
    """

    def __init__(
        self,
        *,
        now: int = 0,
        faults: Faults | None = None,
        _shared: _Shared | None = None,
    ) -> None:
        super().__init__(_shared or _Shared(now))
        self._faults = faults
        self._fenced = False
        self._cursor = self._shared.connection.cursor()
        with self._shared.lock:
            _, epoch, high = self._cursor.execute(RAISE_EPOCH).fetchall()[0]
            newest = self._cursor.execute(HIGHEST_RUN).fetchone()[0]
        self.epoch: int = epoch
        self.next_run: int = max(newest or 0, high) + 1

    def reader(self) -> MemoryReader:
        """A reader of the same data."""
        return MemoryReader(self._shared)

    def crash(self) -> "MemoryStore":
        """A fresh writer over the same data; this one is fenced."""
        return MemoryStore(faults=self._faults, _shared=self._shared)

    def commit(self, batch: Batch) -> None:
        """Write the batch in one transaction. Raises EngineFenced, StoreError."""
        if self._closed:
            raise EngineClosed("this store in memory was closed; open a new one")
        with self._shared.lock:
            try:
                self._write(batch)
            except BaseException as error:
                if self._shared.connection.in_transaction:
                    self._shared.connection.rollback()
                if isinstance(error, sqlite3.Error):
                    raise StoreError(f"store in memory: {error}") from error
                raise
            self._shared.commits += 1
        self._point("after-commit")

    def put_blob(self, digest: str, data: bytes) -> None:
        """Keep an out-of-line value. Any thread."""
        self._point("blob")
        self._shared.blobs[digest] = bytes(data)

    def maintain(self, now: int | None = None) -> None:
        """With `now`, old commands go."""
        if now is not None:
            self._all(OLD_COMMANDS, (now - COMMAND_LIFE,))

    def sweep(self) -> int:
        """Memory is given back with the store."""
        return 0

    def release_ballast(self) -> bool:
        """Memory has none."""
        return False

    def restore_ballast(self) -> bool:
        """Memory has none."""
        return True

    def _write(self, batch: Batch) -> None:
        execute = self._cursor.execute
        self._point("before-begin")
        execute("BEGIN IMMEDIATE")
        if execute(SELECT_EPOCH).fetchone() != (self.epoch,):
            raise EngineFenced(
                "store in memory: another engine took it over; make a new one"
            )
        write_rest(self._cursor, batch)
        write_events(self._cursor, batch.events)
        write_last(self._cursor, batch)
        self._point("before-commit")
        execute("COMMIT")
        self._point("committed")

    def _point(self, name: str) -> None:
        if self._faults is not None:
            self._faults(name)

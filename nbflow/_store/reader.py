"""Read-only views of a store on disk, beside an engine in this or another process."""

import os
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nbflow._store import opening
from nbflow._store.blobs import Blobs
from nbflow._store.failures import from_sqlite, primary, unreadable
from nbflow._store.inherit import leak, register
from nbflow._store.paths import BLOBS, STORE, check_folder
from nbflow._store.queries import Queries
from nbflow.errors import EngineClosed, NotAStore, StoreReadOnly

TRIES = 25
_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)

_CACHE = 512
"""KiB of pages that a reader keeps."""


class SqliteReader(Queries):
    """Reads a store without locking anybody out; any thread, also a stranger's store.

    Every call fetches its rows and lets go of the WAL. When the database was replaced,
    the next call reads the new one: `uid` and `stamp()` tell.

    Raises:
        NotAStore, StoreTooNew, StoreDamaged, UnsafeStore, StoreError: At opening, and
            at any call after the database was replaced or deleted.
    """

    path: Path

    def __init__(self, app_dir: Path) -> None:
        self.path = app_dir
        self._file = app_dir / STORE
        self._blobs = Blobs(app_dir / BLOBS)
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: opening.Identity = (0, 0)
        self._generation = 0
        self._frozen = False
        self._closed = False
        register(self)
        self._all("SELECT 1 FROM store")

    def get_blob(self, digest: str) -> bytes:
        """An out-of-line value, checked against its digest."""
        return self._blobs.get(digest)

    def stamp(self) -> int:
        """A number that differs whenever anything was committed since the last call."""
        version: int = self._all("PRAGMA data_version")[0][0]
        return (self._generation << 40) + version

    def close(self) -> None:
        """Close. May be called again."""
        with self._lock:
            self._closed = True
            self._drop()

    def after_fork(self) -> None:
        """In a forked child: begin with a connection of its own."""
        if self._connection is not None:
            leak(self._connection)
        self._connection = None
        self._lock = threading.Lock()

    def _all(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            for attempt in range(TRIES):
                try:
                    return self._fetch(sql, params)
                except sqlite3.Error as error:
                    self._drop()
                    if primary(error) not in _PASSING or attempt == TRIES - 1:
                        raise from_sqlite(error, self._file) from error
        raise AssertionError("unreachable")

    def _fetch(self, sql: str, params: Sequence[object]) -> list[tuple[Any, ...]]:
        if self._closed:
            raise EngineClosed(f"{self._file}: this reader was closed; open a new one")
        try:
            found = os.stat(self._file)
        except (FileNotFoundError, NotADirectoryError):
            self._drop()
            raise NotAStore(f"{self._file}: no store is there (any more)") from None
        except OSError as error:
            self._drop()
            raise unreadable(error, self._file) from error
        identity = (found.st_dev, found.st_ino)
        connection = self._connection
        if connection is None or identity != self._identity:
            connection = self._open()
        try:
            return connection.execute(sql, params).fetchall()
        finally:
            if self._frozen:
                # It would not see a writer that comes: good for one read only.
                self._drop()

    def _open(self) -> sqlite3.Connection:
        self._drop()
        check_folder(self.path, owned=False)
        identity = opening.check(self._file, owned=False)
        try:
            connection = self._look("ro")
            self._frozen = False
        except sqlite3.Error as error:
            if not self._is_shut_out(error):
                raise
            connection = self._look("ro&immutable=1")
            self._frozen = True
        if identity != self._identity:
            self._generation += 1
        self._identity = identity
        self._connection = connection
        return connection

    def _look(self, mode: str) -> sqlite3.Connection:
        connection = opening.connect(self._file, mode)
        try:
            connection.execute("PRAGMA query_only = on").fetchall()
            # Another process's commit empties it: a large one gains nothing.
            connection.execute(f"PRAGMA cache_size = -{_CACHE}").fetchall()
            opening.verify(connection, self._file, whole=False)
            row = connection.execute("SELECT uid FROM store").fetchall()[0]
        except BaseException:
            connection.close()
            raise
        self.uid: str = row[0]
        return connection

    def _is_shut_out(self, error: sqlite3.Error) -> bool:
        """Whether SQLite only lacks the right to make its shared memory.

        With a WAL beside it the database alone would look older, or empty.
        """
        if primary(error) not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            return False
        if opening.has_content(Path(f"{self._file}-wal")):
            raise StoreReadOnly(
                f"{self._file}: can only be read by its owner as long as its -wal file "
                "is there and this user may not write to the folder"
            ) from error
        return os.access(self._file, os.R_OK)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

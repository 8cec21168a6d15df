"""The writer of a store on disk: one SQLite connection, one transaction a commit.

What makes this file longer than a few statements:

A commit that raised is not a commit that failed. SQLite may have written the frames
before the error, so the outcome of a failed COMMIT is looked up through a new
connection before anybody hears of it. A failed fsync is final: the kernel may report
the next one as done although the pages are lost, so the writer ends there.

Files can be swapped under us. A deleted or renamed database takes writes without a
word, into an inode that nobody will ever open again; so device and inode of database
and WAL are compared after each commit. A connection to a replaced database is leaked,
never closed: closing would delete the WAL of the new one by its name.

Checkpoints are this connection's alone, outside of COMMIT, since an error of an
automatic one cannot be told from one of the commit, and two connections that
checkpoint at once can corrupt a database (SQLite before 3.51.3).
"""

import os
import random
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from nbflow._store import opening, wal
from nbflow._store.ballast import Ballast
from nbflow._store.base import Batch, EventRow, Faults, HeadMark
from nbflow._store.blobs import Blobs
from nbflow._store.failures import FSYNC_FAILED, from_os, from_sqlite, primary
from nbflow._store.inherit import leak, register
from nbflow._store.paths import BLOBS, STORE, make_app
from nbflow._store.queries import Queries
from nbflow._store.statements import (
    APPEND,
    HIGHEST_RUN,
    OLD_COMMANDS,
    RAISE_EPOCH,
    SELECT_EPOCH,
    holds,
    weight,
    write_events,
    write_last,
    write_rest,
)
from nbflow._store.sweep import note_deleted, sweep
from nbflow._store.watch import Watch
from nbflow.errors import (
    EngineClosed,
    EngineFenced,
    EngineNotInherited,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreReplaced,
)

MIB = 1024 * 1024
BUSY_TRIES = 25
"""Waits of SQLite's busy time-out (0.2 s) before a locked database is an error."""
IDLE_FRAMES = 1000
"""Commits after which an idle engine checkpoints."""
LOOK = 100
"""Commits between two looks at the size of the WAL."""
BUSY_FRAMES = 1200
BUSY_WAL = 4 * MIB
"""Commits or bytes of growth after which an engine that is never idle does."""
LARGE_WAL = 8 * MIB
"""Bytes above which an idle engine cuts the WAL down."""
COMMAND_LIFE = 24 * 3600 * 1_000_000


_REJECTED = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
)
"""Errors of the batch itself: the writer goes on."""
_CERTAIN = (
    0,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_RANGE,
)
"""Errors after which nothing can have been committed."""


class _Fenced(Exception):
    """The epoch in the store is not this writer's."""


class SqliteWriter(Queries):
    """The one writer of a store on disk; made on any thread, used by one.

    Opening makes the folder and the database when they are missing, and raises the
    epoch, which fences a writer that was there before. The caller holds the engine's
    lock.

    Raises:
        NotAStore, StoreTooNew, StoreDamaged, UnsafeStore: What is there is not changed.
        StoreReadOnly, StoreFull, UnsupportedFileSystem: There can be no writer here.
    """

    path: Path

    def __init__(
        self,
        app_dir: Path,
        durability: Literal["power", "process"] = "power",
        *,
        now: int | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.path = app_dir
        self._file = app_dir / STORE
        self._wal = Path(f"{self._file}-wal")
        self._durability = durability
        self._faults = faults
        self._dead: tuple[type[StoreError], str] | None = None
        self._committing = False
        self._last: EventRow | None = None
        self._commits = 0
        self._next_look = LOOK
        self._wal_size = 0
        make_app(app_dir)
        if not os.access(app_dir, os.W_OK):
            raise StoreReadOnly(
                f"{app_dir}: cannot be written; a store needs a folder of its own "
                "user. Set NBFLOW_HOME to a folder that can be written"
            )
        if not os.path.lexists(self._file):
            opening.create(self._file, now)
        self._identity = opening.check(self._file)
        try:
            self._open_checked()
        except sqlite3.Error as error:
            raise from_sqlite(error, self._file) from error
        self._blobs = Blobs(app_dir / BLOBS, faults)
        self._ballast = Ballast(app_dir)
        self._ballast.restore()
        register(self)

    def commit(self, batch: Batch) -> None:
        """Write the batch in one transaction; when it returns, the batch is durable.

        Raises:
            StoreFull: Nothing of it is stored; commit it again when there is space.
            StoreReplaced, EngineFenced, StoreDamaged, StoreReadOnly, StoreError: This
                writer is of no more use, and says so again at each call.
        """
        if self._dead is not None:
            raise self._death()
        if batch.deletes:
            with suppress(OSError):  # what is left behind then is found later
                note_deleted(self.path)
        try:
            self._write(batch)
        except BaseException as error:
            self._settle(batch, error)
        if not self._watch.is_same():
            raise self._replaced()
        if batch.events:
            self._last = batch.events[-1]
        self._commits += 1 + (len(batch.events) >> 2)
        if self._commits >= self._next_look:
            self._bound_wal()
        self._point("after-commit")

    def put_blob(self, digest: str, data: bytes) -> None:
        """Keep an out-of-line value; durable on return. Any thread."""
        self._blobs.put(digest, data)

    def get_blob(self, digest: str) -> bytes:
        """An out-of-line value, checked against its digest. Any thread."""
        return self._blobs.get(digest)

    def sweep(self) -> int:
        """Remove the out-of-line values of deleted runs; how many. Any thread.

        Raises:
            StoreError, OSError: something could not be read; nothing is lost.
        """
        return sweep(self.path, self._blobs)

    def maintain(self, now: int | None = None) -> None:
        """House-keeping for idle moments: checkpoints; with `now`, old commands go.

        Space that a full disk was given back is reserved again, where there is some.
        """
        if self._dead is not None:
            raise self._death()
        if self._watch.is_same():
            self._ballast.restore()
        if now is not None:
            self._forget_commands(now - COMMAND_LIFE)
        if self._watch.wal_size() > LARGE_WAL:
            self._checkpoint("TRUNCATE")
            wal.preallocate(self._wal)
        elif self._commits >= IDLE_FRAMES:
            self._checkpoint("PASSIVE")

    def mark(self) -> HeadMark | None:
        """The last event that this writer committed, for the lock's file."""
        event = self._last
        return event and HeadMark(event.run, event.idx, event.digest.hex())

    def release_ballast(self) -> bool:
        """Give the reserved space back. False when it was gone."""
        return self._ballast.release()

    def restore_ballast(self) -> bool:
        """Reserve the space again. False when there is still too little."""
        return self._ballast.restore()

    def rescue(self, path: Path) -> None:
        """Copy what this connection sees into a new file, also after StoreReplaced."""
        try:
            self._connection.execute("VACUUM INTO ?", (str(path),))
        except sqlite3.Error as error:
            raise from_sqlite(error, path) from error

    def close(self) -> None:
        """Close, with all that was committed in the one database file."""
        if self._dead is None and self._watch.is_same():
            self._checkpoint("TRUNCATE")
        kind = None if self._dead is None else self._dead[0]
        if kind is EngineClosed:
            return
        if kind not in (None, EngineFenced) or not self._watch.is_same():
            # Closing checkpoints: never into files that are another's, nor on a disk
            # that failed, whose next sync could confirm what it has lost.
            leak((self._connection, self._cursor))
            self._watch.close()
            return
        self._die(EngineClosed, f"{self._file}: this engine was closed; open a new one")
        self._connection.close()
        self._watch.close()

    def after_fork(self) -> None:
        """In a forked child: this writer is its parent's."""
        leak((self._connection, self._cursor))
        self._watch.close()
        self._die(
            EngineNotInherited,
            f"{self._file}: the engine runs in the process that this one was forked "
            "from; use multiprocessing's 'spawn' or 'forkserver', or a Client here",
        )

    def _write(self, batch: Batch) -> None:
        """The transaction. Hot: SQLite's own part of it is nearly all."""
        execute = self._execute
        events = batch.events
        is_plain = not (
            batch.runs
            or batch.updates
            or batch.commands
            or batch.deletes
            or batch.catalogue
            or batch.cache
            or batch.rest
        )
        if is_plain and len(events) < len(APPEND) and self._faults is None:
            if not events:
                return
            # The steady state of a run: a step's end, and the next one's start.
            row: tuple[object, ...] = ()
            for event in events:
                row += event + self._epoch_row
            self._committing = True
            execute(APPEND[len(events)], row)
            if self._cursor.rowcount != len(events):
                raise _Fenced
            return
        self._committing = False
        self._point("before-begin")
        execute("BEGIN IMMEDIATE")
        if execute(SELECT_EPOCH).fetchone() != self._epoch_row:
            raise _Fenced
        if not is_plain:
            write_rest(self._cursor, batch)
        write_events(self._cursor, events)
        if batch.rest:
            write_last(self._cursor, batch)
        self._committing = True
        self._point("before-commit")
        execute("COMMIT")
        self._point("committed")

    def _point(self, name: str) -> None:
        if self._faults is not None:
            self._faults(name)

    def _settle(self, batch: Batch, error: BaseException) -> None:
        """Find out what a failed transaction left: return if stored, else raise."""
        for attempt in range(BUSY_TRIES):
            if not isinstance(error, sqlite3.Error):
                self._roll_back()
                raise self._fenced() if isinstance(error, _Fenced) else error
            if self._committing and primary(error) not in _CERTAIN:
                self._refuse_lost_sync(error)
                self._reconnect()
                if self._is_stored(batch):
                    return
            else:
                self._roll_back()
            if not self._may_repeat(error, attempt):
                break
            time.sleep(random.uniform(0.0002, 0.002))
            try:
                self._write(batch)
                return
            except BaseException as failed:
                error = failed
        raise self._explained(batch, error) from error

    def _may_repeat(self, error: sqlite3.Error, attempt: int) -> bool:
        code = primary(error)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return True
        # A write that failed once in COMMIT may have been a hiccup; twice is not.
        return self._committing and code == sqlite3.SQLITE_IOERR and attempt == 0

    def _explained(self, batch: Batch, error: BaseException) -> StoreError:
        """The error to raise; the writer ends with it unless it can go on."""
        if not isinstance(error, sqlite3.Error):
            return self._die(StoreError, f"{self._file}: {error}")
        if not self._watch.is_same():
            return self._replaced()
        found = from_sqlite(error, self._file, weight(batch))
        if not isinstance(found, StoreFull) and not isinstance(error, _REJECTED):
            self._die(type(found), str(found))
        return found

    def _is_stored(self, batch: Batch) -> bool:
        try:
            return holds(self._all, batch)
        except StoreError as error:
            self._die(type(error), str(error))
            raise

    def _fenced(self) -> StoreError:
        return self._die(
            EngineFenced,
            f"{self._file}: another engine took this store over (this one has epoch "
            f"{self.epoch}); nothing more is written here. Restart this kernel to "
            "become its client",
        )

    def _refuse_lost_sync(self, error: sqlite3.Error) -> None:
        if error.sqlite_errorcode in FSYNC_FAILED:
            raise self._die(
                StoreError,
                f"{self._file}: the disk failed to confirm a write "
                f"({error.sqlite_errorname}), so the engine stopped: a second try "
                "could claim what is not so. Check the disk, then start it again; "
                "it goes on with what is stored",
            ) from error

    def _open_checked(self) -> None:
        looking = opening.connect(self._file, "ro")
        try:
            opening.verify(looking, self._file, whole=True)
        finally:
            looking.close()
        self._connect()
        try:
            uid, epoch, high = self._take_over()
            newest = self._cursor.execute(HIGHEST_RUN).fetchone()[0]
            if opening.check(self._file) != self._identity:
                raise StoreReplaced(f"{self._file}: was replaced just now; try again")
            wal.preallocate(self._wal)
            self._watch = Watch(self._file, self._identity)
        except OSError as error:
            self._connection.close()
            raise from_os(error, self._file) from error
        except BaseException:
            self._connection.close()
            raise
        self.uid: str = uid
        self.epoch: int = epoch
        self.next_run: int = max(newest or 0, high) + 1
        self._epoch_row = (epoch,)

    def _connect(self) -> None:
        connection = opening.connect(self._file, "rw")
        sync = "full" if self._durability == "power" else "normal"
        try:
            connection.execute(f"PRAGMA synchronous = {sync}").fetchall()
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._cursor = connection.cursor()
        self._execute = self._cursor.execute

    def _take_over(self) -> tuple[str, int, int]:
        for attempt in range(BUSY_TRIES):
            try:
                self._execute("BEGIN IMMEDIATE")
                break
            except sqlite3.OperationalError as error:
                if primary(error) != sqlite3.SQLITE_BUSY or attempt == BUSY_TRIES - 1:
                    raise
        row: tuple[str, int, int] = self._execute(RAISE_EPOCH).fetchall()[0]
        self._execute("COMMIT")
        return row

    def _reconnect(self) -> None:
        """A new connection; opened first, so that closing the old deletes nothing."""
        if not self._watch.is_same():
            raise self._replaced()
        old, cursor = self._connection, self._cursor
        try:
            self._connect()
            self._cursor.execute(SELECT_EPOCH).fetchall()
        except sqlite3.Error as error:
            found = from_sqlite(error, self._file)
            raise self._die(type(found), str(found)) from error
        with suppress(sqlite3.Error):
            # Else it would live on, and keep the write lock, until it is collected.
            if old.in_transaction:
                old.rollback()
            cursor.close()
        old.close()

    def _roll_back(self) -> None:
        # SQLite has done so itself after some errors, and then refuses to.
        if self._connection.in_transaction:
            self._connection.rollback()

    def _bound_wal(self) -> None:
        """Checkpoint in an engine that is never idle, when the WAL has grown enough."""
        grown = self._watch.wal_size() - self._wal_size
        if self._commits >= BUSY_FRAMES or grown >= BUSY_WAL:
            self._checkpoint("PASSIVE")
        else:
            self._next_look = self._commits + LOOK

    def _checkpoint(self, mode: Literal["PASSIVE", "TRUNCATE"]) -> None:
        """Move the WAL into the database, as far as readers allow, without waiting."""
        execute = self._connection.execute
        answer = (1, 0, 0)
        try:
            execute("PRAGMA busy_timeout = 0").fetchall()
            answer = execute(f"PRAGMA wal_checkpoint({mode})").fetchall()[0]
            execute("PRAGMA busy_timeout = 200").fetchall()
        except sqlite3.Error as error:
            found = from_sqlite(error, self._file)
            # What was committed is safe in the WAL; a full disk may have space later.
            if not isinstance(found, StoreFull):
                self._die(type(found), str(found))
        self._commits = 0
        self._next_look = LOOK
        self._wal_size = self._watch.wal_size()
        busy, frames, moved = answer
        if not busy and frames == moved:
            # The next write begins at the WAL's start and cuts it to this size.
            self._wal_size = min(self._wal_size, wal.SIZE)

    def _forget_commands(self, before: int) -> None:
        try:
            self._execute("BEGIN IMMEDIATE")
            if self._execute(SELECT_EPOCH).fetchone() == self._epoch_row:
                self._execute(OLD_COMMANDS, (before,))
            self._execute("COMMIT")
        except sqlite3.Error:
            # Not worth an error: there will be another idle moment.
            self._roll_back()

    def _replaced(self) -> StoreError:
        # Closed, also by being collected, it would delete the new one's files.
        leak(self._connection)
        return self._die(
            StoreReplaced,
            f"{self._file}: was deleted, moved or replaced while the engine was using "
            "it, so nothing more is confirmed. Put it back, or restart the kernel to "
            "begin a new one",
        )

    def _die(self, kind: type[StoreError], message: str) -> StoreError:
        self._dead = (kind, message)
        return kind(message)

    def _death(self) -> StoreError:
        assert self._dead is not None
        kind, message = self._dead
        return kind(message)

    def _all(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        if self._dead is not None and self._dead[0] in (
            EngineClosed,
            EngineNotInherited,
        ):
            raise self._death()
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise from_sqlite(error, self._file) from error

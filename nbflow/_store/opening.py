"""Making and opening a store's database: nothing is opened that was not looked at.

A database is made under another name and renamed when it is whole, so that an empty
or half-made `store.db` is always somebody else's doing. An existing one is judged
through a read-only connection, which changes nothing. The file is never opened but by
SQLite: closing any other descriptor of it would drop this process's locks on it.
"""

import os
import secrets
import sqlite3
import time
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from nbflow._store.blobs import sync_folder
from nbflow._store.failures import damaged, from_os, from_sqlite
from nbflow._store.paths import check_file
from nbflow._store.queries import casefold
from nbflow.errors import (
    NotAStore,
    StoreDamaged,
    StoreTooNew,
    UnsafeStore,
)

APPLICATION_ID = 0x4E42464C
VERSION = 1
LONGEST_VALUE = 64 * 1024 * 1024
PAGE = 2048
"""Bytes a page. A commit writes whole pages to the WAL, and its usual one changes one:
against SQLite's 4,096 this saves 10 to 25 % of a commit, and costs reading nothing."""
CHECKED_WHOLE = 64 * 1024 * 1024
"""Bytes of database up to which an engine checks its structure at each start."""

Identity = tuple[int, int]
"""Device and inode of a file."""

# What `digest` says of the tables of `schema.sql`: knowing it, a reader need not make
# them to compare. Where SQLite words them in another way they are made all the same.
_DIGEST = "e9e81ec3cb9f695676708dd8c68c0814"
_STATISTICS = {("table", "sqlite_stat1"), ("table", "sqlite_stat4")}
_NEW = "INSERT INTO store (id, uid, epoch, created) VALUES (1, ?, 0, ?)"
_PRAGMAS = (
    "PRAGMA trusted_schema = off",
    "PRAGMA foreign_keys = on",
    "PRAGMA cell_size_check = on",
    "PRAGMA mmap_size = 0",
    "PRAGMA temp_store = memory",
    "PRAGMA wal_autocheckpoint = 0",
    "PRAGMA journal_size_limit = 4194304",
    "PRAGMA fullfsync = on",
    "PRAGMA checkpoint_fullfsync = on",
)


@cache
def schema() -> str:
    """The statements that make the tables."""
    # Only who makes a store reads them; readers start without this library.
    from importlib.resources import files

    return files("nbflow._store").joinpath("schema.sql").read_text(encoding="utf-8")


def fill(connection: sqlite3.Connection, now: int) -> None:
    """Make the tables in an empty database."""
    connection.executescript(
        f"PRAGMA page_size = {PAGE};"
        f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};"
        f"BEGIN; {schema()} COMMIT;"
    )
    connection.execute(_NEW, (secrets.token_hex(16), now))


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection with all pragmas set; `mode` as in SQLite's URIs."""
    uri = f"file:{quote(os.fsencode(path))}?mode={mode}"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=0.2
    )
    try:
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """Set what every connection needs, whatever it is opened for."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
    connection.create_function("casefold", 1, casefold, deterministic=True)
    for pragma in _PRAGMAS:
        connection.execute(pragma).fetchall()


def create(path: Path, now: int | None = None) -> None:
    """Make a new store's database. Raises StoreFull, StoreReadOnly, StoreDamaged."""
    for left in ("-wal", "-journal"):
        # SQLite would replay it into the new database.
        if has_content(Path(f"{path}{left}")):
            raise StoreDamaged(
                f"{path}: is missing, but its {path.name}{left} is still there: put "
                "the database back, or move that file away to begin anew"
            )
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _create(temporary, now if now is not None else time.time_ns() // 1000)
        if os.path.lexists(path):
            raise FileExistsError(f"{path} was made meanwhile")
        temporary.rename(path)
        sync_folder(path.parent)
    except sqlite3.Error as error:
        raise from_sqlite(error, path, needed=131_072) from error
    except FileExistsError:
        pass
    except OSError as error:
        raise from_os(error, path, needed=131_072) from error
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            Path(f"{temporary}{end}").unlink(missing_ok=True)


def has_content(path: Path) -> bool:
    """Whether a companion file is there and not empty, as a reader may leave it."""
    try:
        return path.lstat().st_size > 0
    except OSError:
        return False


def _create(path: Path, now: int) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(path, flags, 0o600))
    connection = connect(path, "rw")
    try:
        fill(connection, now)
        connection.execute("PRAGMA journal_mode = wal").fetchall()
    finally:
        connection.close()


def check(path: Path, *, owned: bool = True) -> Identity:
    """Look at the files without opening them; the database's identity.

    Raises NotAStore (missing or empty), UnsafeStore (links, another owner).
    """
    found = check_file(path, owned=owned)
    for end in ("-wal", "-shm", "-journal"):
        check_file(Path(f"{path}{end}"), owned=owned)
    if found is None:
        raise NotAStore(f"{path}: no store is there")
    if not found.st_size:
        raise NotAStore(
            f"{path}: is empty: it is not a store, or was one and was emptied. Put a "
            "copy back, or move it away (with its -wal file) to begin anew"
        )
    return found.st_dev, found.st_ino


def verify(connection: sqlite3.Connection, path: Path, *, whole: bool) -> None:
    """Read what kind of database it is; with `whole`, check its structure too.

    Raises NotAStore, StoreTooNew, StoreDamaged, UnsafeStore.
    """
    application = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    if application != APPLICATION_ID:
        raise NotAStore(
            f"{path}: is a database of another program (application id "
            f"{application:#x}); move it away or set NBFLOW_HOME"
        )
    if version > VERSION:
        raise StoreTooNew(
            f"{path}: was written by a newer nbflow (store version {version}; this "
            f"one reads up to {VERSION}): upgrade nbflow here"
        )
    if version != VERSION:
        raise damaged(path, f"it has store version {version}, which never was")
    _compare(_objects(connection), path)
    if whole and _size(connection) <= CHECKED_WHOLE:
        answers = connection.execute("PRAGMA quick_check(1)").fetchall()
        if answers != [("ok",)]:
            raise damaged(path, str(answers[0][0]))


def _compare(found: set[tuple[str, ...]], path: Path) -> None:
    if digest(found) == _DIGEST:
        return
    expected = _expected()
    added = sorted(f"{kind} {name}" for kind, name, *_ in found - expected)
    gone = sorted(f"{kind} {name}" for kind, name, *_ in expected - found)
    if gone:
        raise damaged(path, f"its {', '.join(gone)} is missing or was changed")
    if added:
        raise UnsafeStore(
            f"{path}: holds what no nbflow made ({', '.join(added)}), which could act "
            "when the store is used; drop it or move the store away"
        )


def _objects(connection: sqlite3.Connection) -> set[tuple[str, ...]]:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema")
    # ANALYZE, which users may run, leaves tables of statistics.
    return {row for row in rows.fetchall() if row[:2] not in _STATISTICS}


def digest(objects: Iterable[tuple[str, ...]]) -> str:
    """What stands for the tables and indexes of a database."""
    return sha256(repr(sorted(objects)).encode()).hexdigest()[:32]


@cache
def _expected() -> frozenset[tuple[str, ...]]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.executescript(schema())
        return frozenset(_objects(connection))
    finally:
        connection.close()


def _size(connection: sqlite3.Connection) -> int:
    return _pragma(connection, "page_count") * _pragma(connection, "page_size")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchall()[0][0]
    return value

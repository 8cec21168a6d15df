"""What went wrong with a store's files, as one error of the StoreError family."""

import errno
import os
import sqlite3
from pathlib import Path

from nbflow.errors import (
    NotAStore,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreReadOnly,
)

NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
FSYNC_FAILED = {
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_CLOSE,
}


def primary(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for errors that Python's binding raised."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def full(path: Path, needed: int) -> StoreFull:
    """The error for a full disk, with the figures of this moment."""
    return StoreFull(
        f"{path}: no space left: {free_bytes(path.parent):,} bytes are free, about "
        f"{needed:,} are needed. Nothing committed is lost: free some space (or "
        "raise the quota), then the same can be written again"
    )


def from_os(error: OSError, path: Path, needed: int = 4096) -> StoreError:
    """The store's error for one of the operating system."""
    if error.errno in NO_SPACE:
        return full(path, needed)
    if error.errno == errno.EROFS:
        return StoreReadOnly(
            f"{path}: cannot be written ({error.strerror}): what is there can be "
            "looked at, but nothing is begun, changed or deleted. Set NBFLOW_HOME to a "
            "folder that can be written"
        )
    if error.errno in READ_ONLY:
        return StoreReadOnly(
            f"{path}: cannot be written ({error.strerror}): a store needs a folder "
            "of its own user. Set NBFLOW_HOME to a folder that can be written"
        )
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return NotAStore(f"{path}: is not a folder; move it away or set NBFLOW_HOME")
    return StoreError(f"{path}: {error.strerror or error}; check the disk and retry")


def unreadable(error: OSError, path: Path) -> StoreError:
    """The store's error where the operating system does not let us look."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return StoreError(
            f"{path}: may not be read by this user ({error.strerror}): ask its owner "
            "for the right to, or name another home (NBFLOW_HOME)"
        )
    return from_os(error, path)


def from_sqlite(error: sqlite3.Error, path: Path, needed: int = 4096) -> StoreError:
    """The store's error for one of SQLite."""
    code = primary(error)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code == sqlite3.SQLITE_FULL:
        return full(path, needed)
    if code == sqlite3.SQLITE_NOTADB:
        return NotAStore(
            f"{path}: is not a database (or its header is damaged); move it away, or "
            "put back a copy that `nbflow export` or a backup made"
        )
    if code == sqlite3.SQLITE_CORRUPT:
        return damaged(path, str(error))
    if code == sqlite3.SQLITE_READONLY:
        return StoreReadOnly(
            f"{path}: cannot be written ({name}): check the rights of file and folder"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(
            f"{path}: another program keeps the database locked; close it and retry"
        )
    if code == sqlite3.SQLITE_IOERR:
        if no_space(path):
            return full(path, needed)
        return StoreError(
            f"{path}: the disk reported an error ({name}), so writing stopped. What "
            "was committed before is kept: check the disk, then start the engine again"
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreError(
            f"{path}: cannot be opened ({name}): check that file and folder can be "
            "read and that this process has descriptors left (ulimit -n)"
        )
    return StoreError(f"{path}: {error} ({name})")


def damaged(path: Path, what: str) -> StoreDamaged:
    """The error for a database that contradicts itself."""
    return StoreDamaged(
        f"{path}: the database is damaged: {what}. It was not changed: keep a copy "
        "of it with its -wal file, then put back a backup or move it away"
    )


def free_bytes(folder: Path) -> int:
    """Bytes that this user may still write on the folder's file system."""
    try:
        state = os.statvfs(folder)
    except OSError:
        return 0
    return state.f_bavail * state.f_frsize


def no_space(path: Path) -> bool:
    """Whether a write at the end of the WAL fails for space, quota or size limit.

    SQLite reports only ENOSPC as a full disk; quotas and RLIMIT_FSIZE look like a
    failing disk. Asked with a file of our own, never with one of the database's.
    """
    probe = path.with_name(f".probe-{os.getpid()}")
    try:
        end = os.stat(f"{path}-wal").st_size
    except OSError:
        end = 0
    try:
        fd = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        return error.errno in NO_SPACE
    try:
        os.pwrite(fd, bytes(8192), end)
        os.fsync(fd)
    except OSError as error:
        return error.errno in NO_SPACE
    finally:
        os.close(fd)
        probe.unlink(missing_ok=True)
    return False

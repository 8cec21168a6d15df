"""Out-of-line values: files named by the sha256 of what they hold."""

import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from nbflow._store.base import Faults
from nbflow._store.failures import from_os
from nbflow._store.paths import make_folder
from nbflow.errors import StoreDamaged

REMEMBERED = 10_000
"""Digests known to be on the disk, which a repeated put need not look at."""
FRESH = 1800.0
"""Seconds for which it need not: a sweep by whatever process may remove what was put
longer ago than twice that and is named by nothing."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """A folder of blobs. Any thread, any number of processes."""

    def __init__(self, folder: Path, faults: Faults | None = None) -> None:
        self._folder = folder
        self._faults = faults
        self._kept: dict[str, float] = {}  # when they were put, as files have it

    def put(self, digest: str, data: bytes) -> None:
        """Keep `data` under its digest; durable when this returns.

        A blob that is there already is left alone when it is whole and written anew
        when it is not. Raises StoreFull, StoreReadOnly, StoreError.
        """
        if self._is_fresh(digest):
            return
        path = self._path(digest)
        now = time.time()
        try:
            make_folder(self._folder)
            with _locked(self._folder, fcntl.LOCK_SH) as folder:
                if _content(path) != data:
                    self._write(path, data)
                else:
                    os.utime(path)  # somebody is about to name it
                # Whoever renamed it may not have come to this yet.
                os.fsync(folder)
                if len(self._kept) >= REMEMBERED:
                    self._kept.clear()
                self._kept[digest] = now
        except OSError as error:
            raise from_os(error, path, needed=len(data)) from error

    def remove(self, digest: str, before: float) -> bool:
        """Remove a blob that nothing names; whether that was done.

        One that was put since `before` (a time as files have it), by whatever process,
        or by this object, stays: a commit is going to name it.
        """
        path = self._path(digest)
        with _locked(self._folder, fcntl.LOCK_EX):
            if self._is_fresh(digest) or path.lstat().st_mtime >= before:
                return False
            path.unlink()
        return True

    def all(self) -> list[str]:
        """The digests that are there."""
        try:
            return [
                name for name in os.listdir(self._folder) if _DIGEST.fullmatch(name)
            ]
        except FileNotFoundError:
            return []

    def get(self, digest: str) -> bytes:
        """The value of that digest. Raises StoreDamaged when it is gone or changed."""
        path = self._path(digest)
        try:
            data = _content(path)
        except OSError as error:
            raise from_os(error, path) from error
        if data is None:
            raise StoreDamaged(
                f"{path}: this stored value is missing; put the file back from a "
                "backup, or rerun what made it"
            )
        if sha256(data).hexdigest() != digest:
            raise StoreDamaged(
                f"{path}: this stored value was changed (its content does not have "
                "the digest it is named by); put it back, or rerun what made it"
            )
        return data

    def _is_fresh(self, digest: str) -> bool:
        put = self._kept.get(digest)
        return put is not None and abs(time.time() - put) < FRESH

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise StoreDamaged(f"{digest[:80]!r}: is no digest of a stored value")
        return self._folder / digest

    def _write(self, path: Path, data: bytes) -> None:
        temporary = self._folder / f".new-{secrets.token_hex(8)}"
        try:
            write_synced(temporary, data)
            if self._faults is not None:
                self._faults("blob")
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def write_synced(path: Path, data: bytes) -> None:
    """Make a new file of this user only, and have its content on the disk."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    with open(fd, "wb", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        os.fsync(fd)


@contextmanager
def _locked(folder: Path, kind: int) -> Iterator[int]:
    """A folder's descriptor, locked against removals or all else, for moments."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, kind)
        yield fd
    finally:
        os.close(fd)


def sync_folder(folder: Path) -> None:
    """Have the folder's entries on the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _content(path: Path) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        return file.read()

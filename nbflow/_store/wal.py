"""Room for the write-ahead log: written once, so that commits only overwrite it.

A power-safe commit that makes the WAL longer has to make the file's new length durable
as well, which on ext4 is a second write to its journal: some 160 us a commit against
105 us for one that overwrites. SQLite itself overwrites after each checkpoint. What
follows its last frame it never reads as one: checksums and salts tell.
"""

import os
from pathlib import Path

from nbflow._store.failures import free_bytes

SIZE = 4 * 1024 * 1024
"""Bytes: also the size to which SQLite cuts a WAL that it begins anew."""
_CHUNK = bytes(64 * 1024)


def preallocate(path: Path) -> None:
    """Lengthen the WAL to `SIZE` with zeros, where there is space to spare for it.

    The writer alone may call it: the file may not change meanwhile. It is for speed
    only, so what hinders it is no error.
    """
    try:
        if free_bytes(path.parent) < 4 * SIZE:
            return
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            # Not fallocate: its blocks are converted at their first write, in the
            # same journal.
            at = os.fstat(fd).st_size
            while at < SIZE:
                at += os.pwrite(fd, _CHUNK[: SIZE - at], at)
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError:
        pass

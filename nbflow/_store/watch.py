"""Whether the files that SQLite has open are still those that others would open.

Asked after each commit, so the price counts. The database costs one `stat` of its path;
it may not be opened beside SQLite, since closing would drop this process's locks. The
WAL carries no locks, so it is held open here and its name is read back from /proc: a
`stat` of a file makes Linux (6.13 and later) give it an exact time stamp at its next
write, which costs a power-safe commit 50 us.
"""

import os
from pathlib import Path

from nbflow._store.opening import Identity

_DESCRIPTORS = "/proc/self/fd"


class Watch:
    """Watches a database, known by its identity, and the WAL beside it."""

    def __init__(self, file: Path, identity: Identity) -> None:
        self._file = str(file)  # a Path costs os.stat a method call
        self._wal = f"{file}-wal"
        self._identity = identity
        self._fd = os.open(self._wal, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        found = os.fstat(self._fd)
        self._wal_identity = (found.st_dev, found.st_ino)
        self._descriptors = -1
        self._link = ""
        try:
            self._descriptors = os.open(_DESCRIPTORS, os.O_RDONLY | os.O_CLOEXEC)
            self._link = os.readlink(str(self._fd), dir_fd=self._descriptors)
        except OSError:
            self._link = ""  # not Linux: paths only

    def is_same(self) -> bool:
        """Whether both files are in their places."""
        try:
            file = os.stat(self._file)
            if (file.st_dev, file.st_ino) != self._identity:
                return False
            if self._link:
                link = os.readlink(str(self._fd), dir_fd=self._descriptors)
                return link == self._link
            wal = os.stat(self._wal)
        except OSError:
            return False
        return (wal.st_dev, wal.st_ino) == self._wal_identity

    def wal_size(self) -> int:
        """Bytes of the WAL; not to be asked at each commit."""
        return os.fstat(self._fd).st_size

    def close(self) -> None:
        """Let go of the descriptors."""
        for fd in (self._fd, self._descriptors):
            if fd >= 0:
                os.close(fd)
        self._fd = self._descriptors = -1

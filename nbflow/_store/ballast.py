"""Space kept in reserve: on a full disk what is computed becomes durable in it."""

import os
from pathlib import Path

from nbflow._store.failures import NO_SPACE, free_bytes

SIZE = 4 * 1024 * 1024


class Ballast:
    """One file of `SIZE` bytes; given back when the disk is full, taken again later."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ballast"

    def release(self) -> bool:
        """Give the space back. False when there was none to give."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def restore(self) -> bool:
        """Reserve the space. False when the disk has too little for it and the rest."""
        if self._path.exists():
            return True
        if free_bytes(self._path.parent) < 2 * SIZE:
            return False
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(self._path, flags, 0o600)
        except OSError:
            return False
        try:
            _fill(fd)
        except OSError:
            self.release()
            return False
        finally:
            os.close(fd)
        return True


def _fill(fd: int) -> None:
    try:
        os.posix_fallocate(fd, 0, SIZE)
    except (OSError, AttributeError) as error:
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            raise
        # Random, since a file system that compresses would keep nothing of zeros.
        view = memoryview(os.urandom(SIZE))
        while view:
            view = view[os.write(fd, view) :]

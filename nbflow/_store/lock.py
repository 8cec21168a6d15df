"""The engine's lock: at most one engine an app, and who it is.

A `flock`, so it ends with its holder however that ends; the file's content only tells
whom to name. It never guards the database by itself: the epoch does (a lock file can be
deleted, and a frozen holder can be replaced).
"""

import datetime as dt
import fcntl
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from nbflow._store.base import HeadMark
from nbflow._store.failures import from_os
from nbflow._store.inherit import register
from nbflow._store.paths import LOCK, check_file, make_app
from nbflow.errors import EngineBusy, EngineNotInherited, UnsafeStore

_SIZE = 1024
PATIENCE = 0.1
"""Seconds for which a taken lock is tried again: `holder` holds it for microseconds."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds an engine's lock, as far as the lock's file tells."""

    pid: int | None = None
    host: str | None = None
    boot: str | None = None
    started: str | None = None
    notebook: str | None = None
    since: int | None = None
    epoch: int | None = None
    uid: str | None = None
    latest: HeadMark | None = None

    @property
    def since_time(self) -> dt.datetime | None:
        """Since when, as an aware time."""
        if self.since is None:
            return None
        return dt.datetime.fromtimestamp(self.since / 1e6, dt.UTC)

    @property
    def is_gone(self) -> bool:
        """Whether that process has surely ended (a child of it may hold the lock)."""
        if self.pid is None or self.host != os.uname().nodename:
            return False
        if self.boot != _boot_id():
            return self.boot is not None
        return self.started is not None and self.started != _started(self.pid)


class EngineLock:
    """The lock of one app's engine, held from creation to `release`.

    Raises:
        EngineBusy: Another engine holds it; `.pid .host .since .notebook` name it.
        UnsafeStore, StoreReadOnly, StoreFull, UnsupportedFileSystem: As for a writer.
    """

    def __init__(
        self, app_dir: Path, *, notebook: str | None = None, now: int | None = None
    ) -> None:
        self._path = app_dir / LOCK
        self._inherited = False
        make_app(app_dir)
        self._fd = self._take()
        self.former = _read(self._path)
        self._me = Holder(
            pid=os.getpid(),
            host=os.uname().nodename,
            boot=_boot_id(),
            started=_started(os.getpid()),
            notebook=notebook,
            since=now if now is not None else time.time_ns() // 1000,
        )
        self._write(self._me)
        register(self)

    def mark(self, *, uid: str, epoch: int, latest: HeadMark | None = None) -> None:
        """Write down which store is served, under which epoch and how far it got.

        To be repeated now and then: the next engine reads it as `former`, and
        `writer.lacks(former.latest)` tells whether history was lost.
        """
        self._me = replace(
            self._me, uid=uid, epoch=epoch, latest=latest or self._me.latest
        )
        self._write(self._me)

    def is_held(self) -> bool:
        """Whether this process still holds the lock that others would ask for."""
        return self._fd >= 0 and _is_at(self._fd, self._path)

    def release(self) -> None:
        """Let the next engine in. May be called again; a forked child cannot."""
        if self._inherited:
            raise EngineNotInherited(
                f"{self._path}: is held by the process that this one was forked from"
            )
        if self._fd >= 0:
            gone = dict.fromkeys(
                ("pid", "host", "boot", "started", "notebook", "since")
            )
            self._write(replace(self._me, **gone))
            os.close(self._fd)
            self._fd = -1

    def after_fork(self) -> None:
        """In a forked child: let go, else the lock would outlive the engine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._inherited = True

    def _take(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while True:
            check_file(self._path)
            fd = self._open()
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(fd)
                if not isinstance(error, BlockingIOError):
                    raise from_os(error, self._path) from error
                if time.monotonic() > deadline:
                    raise busy(self._path) from None
                time.sleep(0.005)
                continue
            if _is_at(fd, self._path):
                return fd
            os.close(fd)  # deleted or replaced between opening and locking

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(self._path, flags, 0o600)
        except OSError as error:
            if self._path.is_symlink():
                raise UnsafeStore(f"{self._path}: is a symbolic link") from error
            raise from_os(error, self._path) from error

    def _write(self, holder: Holder) -> None:
        text = json.dumps(asdict(holder)).encode() + b"\n"
        # A full disk must not keep an engine from running: only the name is lost.
        with suppress(OSError):
            # Padded, so that what was there before does not show behind it.
            os.pwrite(self._fd, text.ljust(_SIZE), 0)
            os.ftruncate(self._fd, max(len(text), _SIZE))


def holder(app_dir: Path) -> Holder | None:
    """Who holds the engine's lock; None when nobody does. Takes and makes nothing."""
    path = app_dir / LOCK
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # Shared, and for microseconds: an engine that starts just now tries again.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path)
    except OSError:
        return None
    finally:
        os.close(fd)
    return None


def busy(path: Path) -> EngineBusy:
    """The error that names the holder of a lock."""
    found = _read(path)
    where = f"process {found.pid or 'unknown'} on {found.host or 'this machine'}"
    if found.notebook:
        where += f" ({found.notebook})"
    if found.since_time:
        where += f" since {found.since_time:%Y-%m-%d %H:%M:%S} UTC"
    if found.is_gone:
        where += "; that process has ended, but one it started still holds the lock"
    return EngineBusy(
        f"app {path.parent.name!r}: its engine runs in {where}. One engine serves an "
        "app: use a Client here, stop that one (restart its kernel), or choose another "
        "app name (in a notebook `%nbflow app NAME`)",
        pid=found.pid,
        host=found.host,
        since=found.since_time,
        notebook=found.notebook,
    )


def _read(path: Path) -> Holder:
    try:
        fields = json.loads(path.read_bytes() or b"{}")
        known = {k: fields.get(k) for k in Holder.__dataclass_fields__}
        if known["latest"]:
            known["latest"] = HeadMark(*known["latest"])
        return Holder(**known)
    except (OSError, ValueError, AttributeError, TypeError):
        return Holder()


def _is_at(fd: int, path: Path) -> bool:
    mine = os.fstat(fd)
    try:
        there = os.stat(path)
    except OSError:
        return False
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """When a process began, in the kernel's ticks: tells it from one of equal id."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()[19]

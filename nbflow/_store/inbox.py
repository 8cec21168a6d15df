"""Commands to an engine in another process: one file each, applied in order of name.

A command exists from the moment its file has its name, and its id is kept by the store
in the transaction that applies it; so a crash anywhere loses none and repeats none.
"""

import errno
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Mapping, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

from nbflow._store.base import Faults
from nbflow._store.blobs import sync_folder, write_synced
from nbflow._store.failures import from_os
from nbflow._store.paths import INBOX, check_folder, make_folder
from nbflow.errors import StoreError

LARGEST = 64 * 1024 * 1024
_NAME = re.compile(r"([0-9]{20}-[0-9a-f]{16})\.json")
_last = 0


def put(
    app_dir: Path, command: Mapping[str, Any], *, faults: Faults | None = None
) -> str:
    """Leave a command for the engine; its id. Durable when this returns.

    Raises:
        NotAStore, UnsafeStore: The app's folder is missing or not this user's.
        StoreFull, StoreReadOnly, StoreError: It could not be written.
        TypeError, ValueError: The command is not JSON.
    """
    data = json.dumps(command, allow_nan=False).encode()
    folder = app_dir / INBOX
    check_folder(app_dir)
    make_folder(folder)
    command_id = f"{_moment():020d}-{secrets.token_hex(8)}"
    temporary = folder / f".{command_id}"
    try:
        write_synced(temporary, data)
        if faults is not None:
            faults("inbox-written")
        temporary.rename(folder / f"{command_id}.json")
        if faults is not None:
            faults("inbox-renamed")
        sync_folder(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise from_os(error, folder, needed=len(data)) from error
    return command_id


def take(
    app_dir: Path, limit: int = 500, skip: Set[str] = frozenset()
) -> list[tuple[str, dict[str, Any], Path]]:
    """Waiting commands in the order they were put, at most `limit`: id, command, file.

    The caller removes the files, after the commit that applied them. Files named in
    `skip` are passed over, those that are no commands are moved to `inbox/rejected`.
    """
    folder = app_dir / INBOX
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    if not names:
        return []
    taken = []
    for name in sorted(names):
        if name.startswith(".") or name == "rejected" or name in skip:
            continue
        found = _NAME.fullmatch(name)
        try:
            command = _read(folder / name) if found else None
        except OSError:
            continue  # gone meanwhile, or not readable just now
        if found is None or command is None:
            _reject(folder / name)
            continue
        taken.append((found[1], command, folder / name))
        if len(taken) == limit:
            break
    return taken


def remove(files: list[Path]) -> list[tuple[Path, OSError]]:
    """Forget commands that were applied, their ids are in the store; those that stay.

    For each of these, why its file cannot be removed.
    """
    left = []
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            left.append((file, error))
    return left


def _read(path: Path) -> dict[str, Any] | None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        fd = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:  # a symbolic link
            return None
        raise
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
            return None
        data = os.read(fd, found.st_size)
    finally:
        os.close(fd)
    try:
        command = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return command if isinstance(command, dict) else None


def _reject(path: Path) -> None:
    # Where even that fails, it stays and is passed over again.
    with suppress(OSError, StoreError):
        make_folder(path.parent / "rejected")
        path.rename(path.parent / "rejected" / path.name)


def _moment() -> int:
    """Nanoseconds since 1970, later than any before it in this process."""
    global _last
    _last = max(time.time_ns(), _last + 1)
    return _last

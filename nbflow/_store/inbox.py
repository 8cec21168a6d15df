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
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from nbflow._store.base import Faults
from nbflow._store.blobs import sync_folder, write_synced
from nbflow._store.failures import from_os
from nbflow._store.paths import INBOX, check_folder, make_folder
from nbflow.errors import PayloadTooLarge, StoreError

LARGEST = 64 * 1024 * 1024
_MEMORY = 24 * 3600
_NAME = re.compile(r"([0-9]{20}-[0-9a-f]{16})\.json")
_last = 0


class Taken(NamedTuple):
    """A file that was found.

    Attributes:
        id: of the command.
        command: what it says; None for a file that holds no command.
        path: the file.
        problem: why it holds none.
    """

    id: str
    command: dict[str, Any] | None
    path: Path
    problem: str = ""


def new_id() -> str:
    """An id for a command; later ones sort behind it."""
    return f"{_moment():020d}-{secrets.token_hex(8)}"


def encode(command: Mapping[str, Any]) -> bytes:
    """A command as its file holds it.

    Raises:
        PayloadTooLarge: no engine would read it.
        TypeError, ValueError: it is not JSON.
    """
    data = json.dumps(command, allow_nan=False).encode()
    if len(data) > LARGEST:
        raise PayloadTooLarge(
            f"a command of {_mebibytes(len(data))} is larger than the "
            f"{_mebibytes(LARGEST)} that an engine takes: pass what is large as array "
            "or table, which goes beside the command, or as the path of a file"
        )
    return data


def put(
    app_dir: Path,
    command: Mapping[str, Any] | bytes,
    *,
    id: str | None = None,
    faults: Faults | None = None,
) -> str:
    """Leave a command for the engine; its id. Durable when this returns.

    Args:
        app_dir: the app's folder.
        command: what it says, or that as `encode` has made it.
        id: of the command: put again under one id it is applied once.
        faults: for tests.

    Raises:
        NotAStore, UnsafeStore: The app's folder is missing or not this user's.
        StoreFull, StoreReadOnly, StoreError: It could not be written.
        PayloadTooLarge, TypeError, ValueError: as for `encode`.
    """
    data = command if isinstance(command, bytes) else encode(command)
    folder = app_dir / INBOX
    check_folder(app_dir)
    make_folder(folder)
    command_id = new_id() if id is None else id
    # Under a name of its own: the file of a former try, cut off, is no obstacle.
    temporary = folder / f".{command_id}-{secrets.token_hex(4)}"
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


def holds(app_dir: Path, command_id: str) -> bool:
    """Whether a command waits to be applied, or for its file to be removed."""
    return os.path.lexists(app_dir / INBOX / f"{command_id}.json")


def is_forgotten(command_id: str) -> bool:
    """Whether a command is so old that the store need not know of it any more."""
    return time.time() - int(command_id[:20]) / 1e9 > _MEMORY


def take(app_dir: Path, limit: int = 500, skip: Set[str] = frozenset()) -> list[Taken]:
    """Files that wait, in the order they were put, at most `limit`.

    The caller removes or rejects them, after the commit that notes what they came to.
    Files named in `skip` are passed over, those whose names are no command's are moved
    to `inbox/rejected`.
    """
    folder = app_dir / INBOX
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    if not names:
        return []
    taken: list[Taken] = []
    for name in sorted(names):
        if name.startswith(".") or name == "rejected" or name in skip:
            continue
        found = _NAME.fullmatch(name)
        if found is None:
            with suppress(OSError, StoreError):  # it stays and is passed over again
                _reject(folder / name)
            continue
        try:
            command, problem = _read(folder / name)
        except OSError:
            continue  # gone meanwhile, or not readable just now
        taken.append(Taken(found[1], command, folder / name, problem))
        if len(taken) == limit:
            break
    return taken


def reject(files: Sequence[Path]) -> list[tuple[Path, OSError | StoreError]]:
    """Move aside files that hold no command; those that stay, and why."""
    left: list[tuple[Path, OSError | StoreError]] = []
    for file in files:
        try:
            _reject(file)
        except FileNotFoundError:
            continue
        except (OSError, StoreError) as error:
            left.append((file, error))
    return left


def remove(files: Sequence[Path]) -> list[tuple[Path, OSError]]:
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


def _read(path: Path) -> tuple[dict[str, Any] | None, str]:
    """What a file says; or None, and why it is no command."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        fd = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None, "is a symbolic link"
        raise
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            return None, "is no file"
        if found.st_size > LARGEST:
            size, most = _mebibytes(found.st_size), _mebibytes(LARGEST)
            return None, f"has {size}, an engine takes at most {most}"
        data = os.read(fd, found.st_size)
    finally:
        os.close(fd)
    try:
        command = json.loads(data)
    except (ValueError, RecursionError) as error:
        return None, f"is not JSON: {error}"
    if not isinstance(command, dict):
        return None, "is no JSON object"
    return command, ""


def _reject(path: Path) -> None:
    make_folder(path.parent / "rejected")
    path.rename(path.parent / "rejected" / path.name)


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def _moment() -> int:
    """Nanoseconds since 1970, later than any before it in this process."""
    global _last
    _last = max(time.time_ns(), _last + 1)
    return _last

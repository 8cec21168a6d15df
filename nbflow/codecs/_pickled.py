"""Pickles of classes that the user opted in, each sealed with the user's own key.

A pickle is code. It is read only when its seal was made with the key of this user, so
a store that comes from somebody else cannot run any.
"""

import contextlib
import hashlib
import hmac
import os
import pickle
import secrets
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

from nbflow.codecs._classes import class_name, find_class, type_name
from nbflow.codecs._objects import findable
from nbflow.codecs._text import Node
from nbflow.codecs._walk import (
    ENCODERS,
    FINDERS,
    Encoder,
    Missing,
    Reader,
    Refusal,
    Writer,
    damaged,
    decodes,
    forget_encoders,
    text_of,
)
from nbflow.errors import InvalidOption, UnsafeStore

_PROTOCOL = 5
_KEY_BYTES = 32
_allowed: set[type] = set()


def allow_pickle(cls: type) -> None:
    """Store values of this class and its subclasses as pickles, for this user only.

    For what has no other form, such as models of scikit-learn. The pickle is sealed
    with a key of this user (made on first use in the user's configuration folder), and
    a store that somebody else wrote is refused with `UnsafeStore`. A process that has
    not allowed the class sees `Unresolved`.

    Raises `InvalidOption` for a class that nbflow stores by itself and for `object`.
    """
    if not isinstance(cls, type) or cls in ENCODERS or cls in (object, type):
        raise InvalidOption(
            f"cls={cls!r}: pickles are for classes without a stored form; name one",
            option="cls",
            value=cls,
        )
    _allowed.add(cls)
    forget_encoders()


def _is_allowed(kind: type) -> bool:
    return not _allowed.isdisjoint(kind.__mro__)


def _find(kind: type) -> Encoder | None:
    return _write_pickle if _allowed and _is_allowed(kind) else None


FINDERS.append(_find)


def _write_pickle(writer: Writer, value: object) -> Node:
    name = findable(writer, value)
    try:
        data = pickle.dumps(value, _PROTOCOL)
    except Exception as error:
        raise Refusal(
            f"of class {name} cannot be pickled ({type(error).__name__}: {error})",
            value,
        ) from error
    return {"$pickle": name, "data": writer.leaf(data), "seal": _seal(name, data)}


@decodes("$pickle")
def _read_pickle(reader: Reader, node: Node) -> object:
    name = text_of(node["$pickle"])
    kind = find_class(name, reader.classes)
    if kind is None or not _is_allowed(kind):
        raise Missing(name)
    data = reader.leaf(node["data"])
    if not hmac.compare_digest(_seal(name, data), text_of(node["seal"])):
        raise UnsafeStore(
            f"a stored {type_name(kind)} is a pickle that was not made by this user,"
            " and reading it could run code: run the step again to make it afresh"
        )
    try:
        value: Any = pickle.loads(data)
    except Exception as error:
        damaged(f"the pickle of a {name} failed with {type(error).__name__}: {error}")
    if class_name(type(value)) != name:
        damaged(f"the pickle of a {name} holds a {class_name(type(value))}")
    return value


def _seal(name: str, data: bytes) -> str:
    text = name.encode("utf-8", "surrogatepass") + b"\0" + hashlib.sha256(data).digest()
    return hmac.new(_key(), text, "sha256").hexdigest()


def _key_file() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming"
    else:
        base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "nbflow" / "pickle.key"


def _key() -> bytes:
    """The user's key; made on first use."""
    path = _key_file()
    try:
        key = _read_key(path)
    except FileNotFoundError:
        _make_key(path)
        key = _read_key(path)
    if len(key) != _KEY_BYTES:
        raise UnsafeStore(
            f"the key for pickles, {path}, is damaged: delete it to get a new one;"
            " pickles stored before are refused then"
        )
    return key


def _read_key(path: Path) -> bytes:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(path, flags)
    with open(descriptor, "rb") as file:
        state = os.fstat(descriptor)
        if sys.platform != "win32" and (
            state.st_uid != os.geteuid() or stat.S_IMODE(state.st_mode) & 0o077
        ):
            raise UnsafeStore(
                f"the key for pickles, {path}, can be read or was made by others:"
                " delete it to get a new one; pickles stored before are refused then"
            )
        return file.read(_KEY_BYTES + 1)


def _make_key(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A file of its own, linked into place: two processes never see half a key.
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)

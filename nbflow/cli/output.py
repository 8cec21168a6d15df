"""Standard output and terminals: what they can show, and JSON for them."""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TextIO

from nbflow.codecs import Unresolved
from nbflow.view import Line, Look, paint


def look_of(stream: TextIO) -> Look:
    """What a stream can show: signs of Unicode, colours."""
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
    unicode = encoding.startswith("utf") and os.environ.get("TERM") != "linux"
    if os.environ.get("FORCE_COLOR"):
        return Look(unicode, True)
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Look(unicode, bool(stream.isatty() and not plain))


def size_of(stream: TextIO) -> tuple[int, int]:
    """Columns and lines of the terminal behind a stream."""
    try:
        found = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        found = shutil.get_terminal_size()
    if found.columns <= 0 or found.lines <= 0:
        found = shutil.get_terminal_size()
    return found.columns, found.lines


def write_lines(lines: Iterable[Line]) -> None:
    """Print lines, cut to the terminal; whole where there is none."""
    stream = sys.stdout
    look = look_of(stream)
    width = size_of(stream)[0] if stream.isatty() else None
    for each in lines:
        write(paint(each, look, width).rstrip() + "\n")


def write(text: str) -> None:
    """Write to standard output, in whatever encoding it has."""
    put(sys.stdout, text)


def put(stream: TextIO, text: str) -> None:
    """Write text; characters that the stream cannot show are escaped."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def to_json(value: Any, *, indent: int | None = None) -> str:
    """A value as JSON: what JSON lacks as pydantic writes it, tables as records.

    It never fails: one odd value must not hide the others.
    """
    value = _bare(value)
    try:
        return _dump(value, indent)
    except Exception:
        compact = (",", ":") if indent is None else None
        return json.dumps(_jsonable(value), indent=indent, separators=compact)


def write_json(value: Any) -> None:
    """Print a value as JSON: indented for a person, in one line for a program."""
    write(to_json(value, indent=2 if sys.stdout.isatty() else None) + "\n")


def _bare(value: Any) -> Any:
    """A value without the wrappers of classes that this process does not have."""
    if isinstance(value, Unresolved):
        return _bare(value.data)
    if type(value) is dict:
        return {key: _bare(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return [_bare(item) for item in value]
    return value


def _dump(value: Any, indent: int | None = None) -> str:
    from pydantic_core import to_json as dump

    return dump(
        value,
        indent=indent,
        inf_nan_mode="null",
        bytes_mode="base64",
        fallback=_plain,
    ).decode()


def _jsonable(value: Any) -> Any:
    """A value in JSON's types, where pydantic gives up on a part of it.

    Such parts are lone surrogates, `NaT`, keys that JSON cannot have.
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {_key(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(item) for item in value]
    parts = getattr(type(value), "model_fields", None)
    if is_dataclass(value):
        parts = [each.name for each in fields(value) if not each.name.startswith("_")]
    if parts is not None:
        return {name: _jsonable(getattr(value, name)) for name in parts}
    try:
        return json.loads(_dump(value))
    except Exception:
        return _part(value)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return str(key)
    try:
        (text,) = json.loads(_dump({key: None}))
    except Exception:
        return str(_part(key))
    return str(text)


def _part(value: Any) -> Any:
    """What pydantic cannot write: null for what is missing, else the value's text."""
    try:
        if (value != value) is True:
            return None
        plain = _plain(value)
        return plain if isinstance(plain, str) else _jsonable(plain)
    except Exception:
        return f"<{type(value).__name__}>"


def _plain(value: Any) -> Any:
    """What a library's own value is in JSON."""
    if type(value).__module__ == "numpy" and value.dtype.kind in "mM":
        return value.astype(str).tolist()  # else its integers
    for name, arguments in (
        ("to_dicts", ()),  # polars
        ("to_pylist", ()),  # pyarrow
        ("tolist", ()),  # numpy, pandas' series
    ):
        method = getattr(value, name, None)
        if callable(method):
            return method(*arguments)
    method = getattr(value, "to_dict", None)
    if callable(method):
        return method("records") if hasattr(value, "columns") else method()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, complex):
        return str(value)
    return repr(value)

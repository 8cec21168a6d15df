"""A value as JSON text, for people and programs; it never fails."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any

from nbflow import codecs
from nbflow._json import is_core_loaded
from nbflow.codecs import Unresolved
from nbflow.model import Attempt, ErrorInfo, RunEvent, safe_json

_SMALL = 1_000
"""Parts of a value that the standard library writes fast enough: a process that only
looks at values then needs no pydantic, which takes 4 MiB."""


def to_json(value: Any, *, indent: int | None = None) -> str:
    """A value as JSON: what JSON lacks as pydantic writes it, tables as records.

    It never fails: one odd value must not hide the others. What could steer a terminal
    is escaped, so `safe_text` changes nothing and it is still JSON where it is shown.
    """
    value = _bare(value)
    try:
        return safe_json(_dump(value, indent))
    except Exception:
        compact = (",", ":") if indent is None else None
        return json.dumps(_jsonable(value), indent=indent, separators=compact)


def _bare(value: Any) -> Any:
    """A value without what is nbflow's own affair.

    That are the wrappers of classes that this process does not have, and the private
    fields of records.
    """
    if isinstance(value, Unresolved):
        return _bare(value.data)
    if isinstance(value, RunEvent | Attempt | ErrorInfo):
        names = [each.name for each in fields(value) if not each.name.startswith("_")]
        return {name: _bare(getattr(value, name)) for name in names}
    if type(value) is dict:
        return {key: _bare(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return [_bare(item) for item in value]
    return value


def _dump(value: Any, indent: int | None = None) -> str:
    if not is_core_loaded() and codecs.is_plain(value, _SMALL):
        with suppress(ValueError):  # NaN, a lone surrogate: pydantic knows what to do
            return _dump_plain(value, indent)
    from pydantic_core import to_json as dump

    return dump(
        value,
        indent=indent,
        inf_nan_mode="null",
        bytes_mode="base64",
        fallback=_plain,
    ).decode()


def _dump_plain(value: Any, indent: int | None) -> str:
    separators = (",", ":") if indent is None else None
    text = json.dumps(
        value,
        indent=indent,
        separators=separators,
        ensure_ascii=False,
        allow_nan=False,
    )
    text.encode()
    return text


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

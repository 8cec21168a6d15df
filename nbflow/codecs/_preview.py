"""One safe line for any value, without running code of its class."""

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import fields
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import partial
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any
from uuid import UUID

from nbflow.codecs import _objects as objects
from nbflow.codecs._classes import Unresolved, type_name
from nbflow.codecs._libraries import library, library_of
from nbflow.codecs._secrets import Secret, redact
from nbflow.codecs._shell import is_lines
from nbflow.codecs._times import is_zone
from nbflow.model import safe_text

_NESTING = 8
_BYTES_SHOWN = 40
# Secrets are masked before a text is cut, so that no half of one is left at the end.
_MARGIN = 4096


class _Full(Exception):
    """The line is longer than it may be."""


class _Line:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.depth = 0
        self._pieces: list[str] = []
        self._left = limit

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        self._left -= len(piece)
        if self._left < 0:
            raise _Full

    def text(self) -> str:
        return "".join(self._pieces)

    def show(self, value: Any) -> None:
        kind = type(value)
        show = _SHOWN.get(kind) or _find(kind)
        if show is None:
            self.add(f"<{type_name(kind)}>")
            return
        if self.depth >= _NESTING:
            self.add("…")
            return
        self.depth += 1
        show(self, value)
        self.depth -= 1

    def listed(self, values: Iterable[Any]) -> None:
        for place, value in enumerate(values):
            if place:
                self.add(", ")
            self.show(value)

    def paired(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        for place, (key, value) in enumerate(pairs):
            if place:
                self.add(", ")
            self.show(key)
            self.add(": ")
            self.show(value)

    def named(self, name: str, pairs: Iterable[tuple[str, Any]]) -> None:
        self.add(f"{name}(")
        for place, (key, value) in enumerate(pairs):
            self.add(f", {key}=" if place else f"{key}=")
            self.show(value)
        self.add(")")


def preview(value: object, limit: int = 120) -> str:
    """One line of at most `limit` characters that is safe to show anywhere.

    Control characters are visible, secrets of the environment masked, tables and
    arrays told by their shape, objects of unknown classes by their type. No code of a
    value's class runs.
    """
    line = _Line(limit)
    try:
        with suppress(_Full):
            line.show(value)
    except RuntimeError:  # another thread changed it meanwhile
        return safe_text(type_name(type(value)))[:limit]
    text = safe_text(redact(line.text()))
    return text if len(text) <= limit else text[: max(0, limit - 1)] + "…"


_Show = Callable[[_Line, Any], None]


def _show_repr(line: _Line, value: object) -> None:
    line.add(repr(value))


def _show_str(line: _Line, value: object) -> None:
    line.add(redact(str(value)))


def _show_text(line: _Line, value: str) -> None:
    line.add(repr(redact(value[: line.limit + _MARGIN])))


def _show_int(line: _Line, value: int) -> None:
    try:
        line.add(repr(value))
    except ValueError:  # too long to print
        line.add(f"int of {value.bit_length():,} bits")


def _show_bytes(line: _Line, value: bytes) -> None:
    kind = type(value).__name__
    if len(value) > _BYTES_SHOWN:
        line.add(f"{kind} {len(value):,}")
    else:
        line.add(redact(repr(value)))


def _show_sequence(before: str, after: str) -> _Show:
    def show(line: _Line, value: Any) -> None:
        line.add(before)
        line.listed(value)
        line.add(after)

    return show


_show_list = _show_sequence("[", "]")


def _show_tuple(line: _Line, value: tuple[Any, ...]) -> None:
    line.add("(")
    line.listed(value)
    line.add(",)" if len(value) == 1 else ")")


def _show_set(line: _Line, value: Any) -> None:
    name = type(value).__name__
    if not value:
        line.add(f"{name}()")
        return
    with_name = type(value) is not set
    line.add(f"{name}({{" if with_name else "{")
    line.listed(value)
    line.add("})" if with_name else "}")


def _show_dict(line: _Line, value: Any) -> None:
    name = "" if type(value) is dict else type(value).__name__
    line.add(f"{name}({{" if name else "{")
    line.paired(value.items())
    line.add("})" if name else "}")


def _show_unresolved(line: _Line, value: Unresolved) -> None:
    """As the value itself would be shown: by the class's name and its fields."""
    name = value.type.rpartition(":")[2].rpartition(".")[2]
    data = value.data
    if data is None:
        line.add(f"<{value.type}>")
    elif type(data) is dict and all(type(key) is str for key in data):
        line.named(name, data.items())
    elif type(data) is tuple:
        line.add(f"{name}(")
        line.listed(data)
        line.add(")")
    else:
        line.add(f"{name}(")
        line.show(data)
        line.add(")")


def _show_callable(line: _Line, value: Any) -> None:
    name = value.__name__ if type(value) is ModuleType else value.__qualname__
    kind = "module" if type(value) is ModuleType else "function"
    line.add(f"<{kind} {name}>")


def _show_method(line: _Line, value: MethodType) -> None:
    function: Any = value.__func__
    line.add(f"<method {getattr(function, '__qualname__', '?')}>")


def _show_partial(line: _Line, value: "partial[Any]") -> None:
    line.add("partial(")
    line.listed([value.func, *value.args])
    line.add(")")


def _show_enum(line: _Line, value: Enum) -> None:
    name = value._name_
    line.add(f"{type(value).__name__}.{name if name is not None else '?'}")


def _show_namedtuple(line: _Line, value: Any) -> None:
    names = type(value)._fields
    line.named(type(value).__name__, zip(names, tuple.__iter__(value), strict=False))


def _show_dataclass(line: _Line, value: Any) -> None:
    state = objects.state_of(value)
    shown = [field.name for field in fields(value) if field.repr]
    pairs = ((name, state[name]) for name in shown if name in state)
    line.named(type(value).__name__, pairs)


def _show_model(line: _Line, value: Any) -> None:
    hidden = {
        name
        for name, field in type(value).__pydantic_fields__.items()
        if field.repr is False
    }
    state = objects.attributes_of(value)
    pairs = (pair for pair in state.items() if pair[0] not in hidden)
    line.named(type(value).__name__, pairs)


def _show_error(line: _Line, value: BaseException) -> None:
    line.add(f"{type(value).__name__}(")
    line.listed(BaseException.__getattribute__(value, "args"))
    line.add(")")


def _show_class(line: _Line, value: type) -> None:
    line.add(f"<class {type_name(value)}>")


def _show_table(line: _Line, value: Any) -> None:
    shape = getattr(value, "shape", None) or (value.num_rows, value.num_columns)
    line.add(f"{type(value).__name__} {shape[0]:,} x {shape[1]:,}")


def _show_column(line: _Line, value: Any) -> None:
    dtype = value.dtype if hasattr(value, "dtype") else value.type
    line.add(f"{type(value).__name__} {dtype} {len(value):,}")


def _show_array(line: _Line, value: Any) -> None:
    line.add(f"array {value.dtype} {value.shape}")


_SHOWN: dict[type, _Show] = {
    **dict.fromkeys((type(None), bool, float, complex, range, Secret), _show_repr),
    **dict.fromkeys(
        (datetime, date, time, timedelta, timezone, Decimal, Fraction, UUID),
        _show_str,
    ),
    **dict.fromkeys(
        (PosixPath, PurePosixPath, WindowsPath, PureWindowsPath), _show_str
    ),
    **dict.fromkeys((bytes, bytearray), _show_bytes),
    **dict.fromkeys((set, frozenset), _show_set),
    **dict.fromkeys((dict, Counter, OrderedDict, defaultdict), _show_dict),
    **dict.fromkeys((FunctionType, BuiltinFunctionType, ModuleType), _show_callable),
    str: _show_text,
    int: _show_int,
    list: _show_list,
    tuple: _show_tuple,
    deque: _show_sequence("deque([", "])"),
    MethodType: _show_method,
    partial: _show_partial,
    Unresolved: _show_unresolved,
}


def _find(kind: type) -> _Show | None:
    if issubclass(kind, Enum):
        return _show_enum
    if issubclass(kind, type):
        return _show_class
    if issubclass(kind, BaseException):
        return _show_error
    if is_zone(kind):
        return _show_str
    if objects.is_namedtuple(kind):
        return _show_namedtuple
    if objects.is_model(kind):
        return _show_model
    if objects.is_dataclass_of_attributes(kind):
        return _show_dataclass
    if is_lines(kind):
        return _show_list
    name = library_of(kind)
    return None if name is None else _of_library(name, kind)


def _of_library(name: str, kind: type) -> _Show | None:
    """How the values of a library are shown; only of its own classes."""
    module = library(name, name)
    if name == "numpy":
        if kind is module.ndarray:
            return _show_array
        return _show_str if issubclass(kind, module.generic | module.dtype) else None
    if name == "pyarrow":
        if kind in (module.Table, module.RecordBatch):
            return _show_table
        columns = (module.ChunkedArray, module.Array)
        return _show_column if issubclass(kind, columns) else None
    if kind is module.DataFrame:
        return _show_table
    if kind is module.Series:
        return _show_column
    if name == "pandas" and issubclass(kind, module.Index):
        return _show_column
    if name == "pandas" and kind in (module.Timestamp, module.Timedelta):
        return _show_str
    return None

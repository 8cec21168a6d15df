"""Codecs that users add for their own types."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from nbflow.codecs._classes import type_name
from nbflow.codecs._text import Node
from nbflow.codecs._walk import (
    ENCODERS,
    FINDERS,
    Encoder,
    Missing,
    Reader,
    Refusal,
    TooDeep,
    TooMuch,
    Writer,
    damaged,
    decodes,
    forget_encoders,
    text_of,
)
from nbflow.errors import InvalidOption

_T = TypeVar("_T")
_NAME_LIMIT = 200


@dataclass(frozen=True)
class _Codec:
    kind: type
    name: str
    encode: Callable[[Any], object]
    decode: Callable[[Any], object]


_by_name: dict[str, _Codec] = {}
_by_type: dict[type, _Codec] = {}


def register(
    cls: type[_T],
    *,
    name: str,
    encode: Callable[[_T], object],
    decode: Callable[[Any], _T],
) -> None:
    """Teach nbflow to store values of exactly this class (not of its subclasses).

    `encode` turns a value into anything that nbflow can store; `decode` gets that back,
    equal, and makes the value of it. `name` is what the store calls the type: keep it
    when the class is renamed or moved. The same name again replaces the codec, as
    running a cell twice does.

    Raises `InvalidOption` for a name that is empty, longer than 200 characters or not
    printable, and for a class that nbflow stores by itself, such as `int`.
    """
    if not isinstance(cls, type) or cls in ENCODERS:
        raise InvalidOption(
            f"cls={cls!r}: nbflow stores it already; register a class of your own",
            option="cls",
            value=cls,
        )
    if not name or len(name) > _NAME_LIMIT or not name.isprintable():
        raise InvalidOption(
            f"name={name!r} of the codec for {type_name(cls)}: use 1 to {_NAME_LIMIT}"
            " printable characters",
            option="name",
            value=name,
        )
    codec = _Codec(cls, name, encode, decode)
    before = _by_name.get(name)
    if before is not None:
        _by_type.pop(before.kind, None)
    _by_name[name] = _by_type[cls] = codec
    forget_encoders()


def _find(kind: type) -> Encoder | None:
    return _write_custom if kind in _by_type else None


FINDERS.append(_find)


def _write_custom(writer: Writer, value: object) -> Node:
    codec = _by_type[type(value)]
    writer.tagged = True
    try:
        data = codec.encode(value)
    except Exception as error:
        raise Refusal(
            f"could not be encoded by the codec {codec.name!r}"
            f" ({type(error).__name__}: {error})",
            value,
        ) from error
    try:
        return {"$custom": codec.name, "data": writer.node(data)}
    except (TooDeep, TooMuch):
        raise
    except Refusal as refusal:
        refusal.inside(value, f".encode[{codec.name}]")
        raise


@decodes("$custom")
def _read_custom(reader: Reader, node: Node) -> object:
    name = text_of(node["$custom"])
    data = reader.read(node["data"])
    codec = _by_name.get(name)
    if codec is None:
        raise Missing(name, data)
    try:
        return codec.decode(data)
    except Exception as error:
        damaged(f"the codec {name!r} failed with {type(error).__name__}: {error}")

"""Stored forms of the built-in and standard types, containers first."""

import base64
import json
import math
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from pathlib import (
    Path,
    PosixPath,
    PurePath,
    PurePosixPath,
    PureWindowsPath,
    WindowsPath,
)
from typing import Any
from uuid import UUID

from nbflow.codecs._text import NESTING, Node, dumps
from nbflow.codecs._walk import (
    Missing,
    Reader,
    Refusal,
    Writer,
    damaged,
    decodes,
    encodes,
    int_of,
    list_of,
    text_of,
)

_INT_LIMIT: int = 10**4300
_INT_HEX_DIGITS = len(f"{_INT_LIMIT:x}")
_KEY_WIDTH = 60
_SHOWN_KEYS = frozenset({int, float, bool, bytes, type(None)})
# What a defaultdict may make its values with; other factories are not stored.
_FACTORIES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (list, dict, set, int, float, str, tuple, bool, bytes)
}
_PATHS: dict[str, type[PurePath]] = {
    kind.__name__: kind
    for kind in (PurePosixPath, PureWindowsPath, PosixPath, WindowsPath)
}


@encodes(list)
def write_list(writer: Writer, value: Any) -> list[Node]:
    """The nodes of a sequence's items."""
    writer.count(len(value))
    nodes: list[Node] = []
    try:
        for item in value:
            nodes.append(writer.node(item))  # noqa: PERF401 - its length is the index
    except Refusal as refusal:
        refusal.inside(value, f"[{len(nodes)}]")
        raise
    return nodes


@encodes(dict)
def write_dict(writer: Writer, value: dict[Any, Any]) -> Node:
    """A dict as it is, or as pairs when a key is no text or looks like a tag."""
    writer.count(len(value))
    nodes: dict[str, Node] = {}
    for key in value:
        if type(key) is not str or key[:1] == "$" or not _is_text(key):
            return {"$dict": write_pairs(writer, value)}
    try:
        for key, item in value.items():
            nodes[key] = writer.node(item)
    except Refusal as refusal:
        refusal.inside(value, f"[{short(key)}]")
        raise
    return nodes


def write_pairs(writer: Writer, value: dict[Any, Any]) -> list[Node]:
    """Key, value, key, value … of a mapping."""
    writer.tagged = True
    writer.count(len(value))
    nodes: list[Node] = []
    try:
        for key, item in value.items():
            nodes.append(writer.node(key))
            nodes.append(writer.node(item))
    except Refusal as refusal:
        where = f"[{short(key)}]" if len(nodes) % 2 else f" key {short(key)}"
        refusal.inside(value, where)
        raise
    return nodes


def short(key: object) -> str:
    """A key as it is shown in a path."""
    if type(key) is str:
        text = json.dumps(key)
    elif type(key) in _SHOWN_KEYS:
        try:
            text = repr(key)
        except ValueError:  # an integer too long to print
            text = "int"
    else:
        text = type(key).__name__
    return text if len(text) <= _KEY_WIDTH else text[: _KEY_WIDTH - 3] + "..."


def _is_text(value: str) -> bool:
    """Whether UTF-8 can hold it: no lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


@decodes("$dict")
def _read_dict(reader: Reader, node: Node) -> dict[Any, Any]:
    return dict(_read_pairs(reader, node["$dict"]))


def _read_pairs(reader: Reader, node: Node) -> list[tuple[Any, Any]]:
    items = []
    for item in list_of(node):
        items.append(reader.read(item))  # noqa: PERF401 - one frame a level less
    return list(zip(items[::2], items[1::2], strict=True))


@encodes(tuple)
def _write_tuple(writer: Writer, value: tuple[Any, ...]) -> Node:
    writer.tagged = True
    return {"$tuple": write_list(writer, value)}


@decodes("$tuple")
def _read_tuple(reader: Reader, node: Node) -> tuple[Any, ...]:
    return tuple(_items(reader, node["$tuple"]))


def _items(reader: Reader, node: Node) -> list[Any]:
    items: list[Any] = reader.read(list_of(node))
    return items


def _write_members(writer: Writer, value: Any) -> list[Node]:
    writer.tagged = True
    nodes = write_list(writer, value)
    # Sets have no order of their own; equal sets get equal text.
    return sorted(nodes, key=lambda node: dumps(node, NESTING))


@encodes(set)
def _write_set(writer: Writer, value: set[Any]) -> Node:
    return {"$set": _write_members(writer, value)}


@encodes(frozenset)
def _write_frozenset(writer: Writer, value: frozenset[Any]) -> Node:
    return {"$frozenset": _write_members(writer, value)}


@decodes("$set")
def _read_set(reader: Reader, node: Node) -> set[Any]:
    return set(_items(reader, node["$set"]))


@decodes("$frozenset")
def _read_frozenset(reader: Reader, node: Node) -> frozenset[Any]:
    return frozenset(_items(reader, node["$frozenset"]))


@encodes(OrderedDict)
def _write_ordered(writer: Writer, value: OrderedDict[Any, Any]) -> Node:
    return {"$ordered": write_pairs(writer, value)}


@decodes("$ordered")
def _read_ordered(reader: Reader, node: Node) -> OrderedDict[Any, Any]:
    return OrderedDict(_read_pairs(reader, node["$ordered"]))


@encodes(Counter)
def _write_counter(writer: Writer, value: Counter[Any]) -> Node:
    return {"$counter": write_pairs(writer, value)}


@decodes("$counter")
def _read_counter(reader: Reader, node: Node) -> Counter[Any]:
    return Counter(dict(_read_pairs(reader, node["$counter"])))


@encodes(defaultdict)
def _write_defaultdict(writer: Writer, value: defaultdict[Any, Any]) -> Node:
    factory = value.default_factory
    name = None if factory is None else getattr(factory, "__name__", None)
    if factory is not None and _FACTORIES.get(str(name)) is not factory:
        raise Refusal(
            "is a defaultdict whose factory is no built-in type, so it has no stored"
            " form",
            value,
        )
    return {"$defaultdict": write_pairs(writer, value), "factory": name}


@decodes("$defaultdict")
def _read_defaultdict(reader: Reader, node: Node) -> defaultdict[Any, Any]:
    name = node["factory"]
    factory = None if name is None else _FACTORIES[text_of(name)]
    return defaultdict(factory, _read_pairs(reader, node["$defaultdict"]))


@encodes(deque)
def _write_deque(writer: Writer, value: deque[Any]) -> Node:
    writer.tagged = True
    return {"$deque": write_list(writer, value), "maxlen": writer.node(value.maxlen)}


@decodes("$deque")
def _read_deque(reader: Reader, node: Node) -> deque[Any]:
    return deque(_items(reader, node["$deque"]), reader.read(node["maxlen"]))


@encodes(range)
def _write_range(writer: Writer, value: range) -> Node:
    writer.tagged = True
    return {"$range": [writer.node(n) for n in (value.start, value.stop, value.step)]}


@decodes("$range")
def _read_range(reader: Reader, node: Node) -> range:
    return range(*(int_of(n) for n in _items(reader, node["$range"])))


@encodes(str)
def _write_text(writer: Writer, value: str) -> Node:
    if _is_text(value):
        return value
    writer.tagged = True
    data = value.encode("utf-8", "surrogatepass")
    return {"$text": base64.b64encode(data).decode("ascii")}


@decodes("$text")
def _read_text(reader: Reader, node: Node) -> str:
    data = base64.b64decode(text_of(node["$text"]), validate=True)
    return data.decode("utf-8", "surrogatepass")


@encodes(int)
def _write_int(writer: Writer, value: int) -> Node:
    writer.tagged = True
    if not -_INT_LIMIT < value < _INT_LIMIT:
        raise Refusal("is an integer of more than 4,300 digits", value)
    # Hexadecimal: no limit of the interpreter, and linear in time.
    return {"$int": f"{value:x}"}


@decodes("$int")
def _read_int(reader: Reader, node: Node) -> int:
    text = text_of(node["$int"])
    if len(text) > _INT_HEX_DIGITS + 1:
        damaged("an integer has more than 4,300 digits")
    return int(text, 16)


@encodes(float)
def _write_float(writer: Writer, value: float) -> Node:
    writer.tagged = True
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    return {"$float": sign + ("nan" if math.isnan(value) else "inf")}


@decodes("$float")
def _read_float(reader: Reader, node: Node) -> float:
    return float(text_of(node["$float"]))


@encodes(complex)
def _write_complex(writer: Writer, value: complex) -> Node:
    writer.tagged = True
    return {"$complex": [writer.node(value.real), writer.node(value.imag)]}


@decodes("$complex")
def _read_complex(reader: Reader, node: Node) -> complex:
    real, imag = _items(reader, node["$complex"])
    return complex(real, imag)


@encodes(bytes)
def _write_bytes(writer: Writer, value: bytes) -> Node:
    return {"$bytes": writer.leaf(value)}


@decodes("$bytes")
def _read_bytes(reader: Reader, node: Node) -> bytes:
    return bytes(reader.leaf(node["$bytes"]))


@encodes(bytearray)
def _write_bytearray(writer: Writer, value: bytearray) -> Node:
    return {"$bytearray": writer.leaf(bytes(value))}


@decodes("$bytearray")
def _read_bytearray(reader: Reader, node: Node) -> bytearray:
    return bytearray(reader.leaf(node["$bytearray"]))


@encodes(Decimal)
def _write_decimal(writer: Writer, value: Decimal) -> Node:
    writer.tagged = True
    return {"$decimal": str(value)}


@decodes("$decimal")
def _read_decimal(reader: Reader, node: Node) -> Decimal:
    return Decimal(text_of(node["$decimal"]))


@encodes(Fraction)
def _write_fraction(writer: Writer, value: Fraction) -> Node:
    writer.tagged = True
    return {"$fraction": write_list(writer, [value.numerator, value.denominator])}


@decodes("$fraction")
def _read_fraction(reader: Reader, node: Node) -> Fraction:
    numerator, denominator = _items(reader, node["$fraction"])
    return Fraction(int_of(numerator), int_of(denominator))


@encodes(UUID)
def _write_uuid(writer: Writer, value: UUID) -> Node:
    writer.tagged = True
    return {"$uuid": value.hex}


@decodes("$uuid")
def _read_uuid(reader: Reader, node: Node) -> UUID:
    return UUID(hex=text_of(node["$uuid"]))


@encodes(*_PATHS.values())
def _write_path(writer: Writer, value: PurePath) -> Node:
    writer.tagged = True
    return {"$path": type(value).__name__, "text": writer.node(str(value))}


@decodes("$path")
def _read_path(reader: Reader, node: Node) -> PurePath:
    kind = _PATHS[text_of(node["$path"])]
    text = text_of(reader.read(node["text"]))
    if issubclass(kind, Path) and not issubclass(type(Path()), kind):
        raise Missing(f"pathlib.{kind.__name__}", text)  # of another system
    return kind(text)

"""The walk over a value (`Writer`) and over its stored tree (`Reader`).

What is no JSON type is written as a dict whose first key begins with "$": its tag.
The modules beside this one add what they know to the tables here; the table of tags
is closed, and nothing in a stored text is ever imported, called or unpickled.
"""

import base64
import hashlib
import re
import weakref
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from nbflow.codecs._classes import Unresolved, type_name
from nbflow.codecs._text import INT_MAX, MOST_NODES, NESTING, Node
from nbflow.errors import StoreDamaged

INLINE_BYTES = 4 * 1024
MIB = 1024 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Part(NamedTuple):
    """A large binary piece of a value, kept beside its text."""

    digest: str
    """SHA-256 of the data in hex, by which the text refers to it."""
    data: bytes


class Refusal(Exception):
    """A piece of a value has no stored form; the walk adds where as it unwinds."""

    def __init__(self, reason: str, value: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.value = value
        self.trail: list[tuple[object, str]] = []

    def inside(self, container: object, segment: str) -> None:
        """Note that the piece lies at `segment` of `container`."""
        self.trail.append((container, segment))


class TooMuch(Exception):
    """A value has more elements than a payload can hold."""


class TooDeep(Refusal):
    """A value is nested deeper than a stored one may be, or contains itself."""


class Missing(Exception):
    """Reading needs a class or library that this process does not have."""

    def __init__(self, name: str, data: object = None) -> None:
        super().__init__(name)
        self.type_name = name
        self.data = data


Encoder = Callable[["Writer", Any], Node]
Decoder = Callable[["Reader", Any], Any]

ENCODERS: dict[type, Encoder] = {}
"""Exact type -> what writes it."""
ARGUMENT_ENCODERS: dict[type, Encoder] = {}
"""The same for what may only be an argument: functions, classes, modules."""
FINDERS: list[Callable[[type], Encoder | None]] = []
"""Asked in order for the encoder of a type that `ENCODERS` does not have."""
DECODERS: dict[str, Decoder] = {}
"""Tag -> what reads a node that begins with it."""
_found: weakref.WeakKeyDictionary[type, Encoder] = weakref.WeakKeyDictionary()


def encodes(*kinds: type) -> Callable[[Encoder], Encoder]:
    """Decorator: the function writes values of exactly these types."""

    def add(encoder: Encoder) -> Encoder:
        for kind in kinds:
            ENCODERS[kind] = encoder
        return encoder

    return add


def decodes(tag: str) -> Callable[[Decoder], Decoder]:
    """Decorator: the function reads nodes with that tag."""

    def add(decoder: Decoder) -> Decoder:
        DECODERS[tag] = decoder
        return decoder

    return add


def find_encoder(kind: type) -> Encoder | None:
    """What writes values of exactly this type, None if nothing does."""
    encoder = ENCODERS.get(kind) or _found.get(kind)
    if encoder is not None:
        return encoder
    for finder in FINDERS:
        encoder = finder(kind)
        if encoder is not None:
            _found[kind] = encoder
            return encoder
    return None


def forget_encoders() -> None:
    """Look types up again: a codec was added."""
    _found.clear()


class Writer:
    """Turns one value into a tree of JSON types and a list of parts."""

    __slots__ = (
        "_depth",
        "_left",
        "arguments",
        "classes",
        "deepest",
        "known",
        "parts",
        "size",
        "tagged",
    )

    def __init__(
        self,
        classes: Mapping[str, type] | None = None,
        *,
        arguments: bool = False,
    ) -> None:
        self.classes = classes
        self.arguments = arguments
        """Whether unknown values are legal and large tables only sampled."""
        self.parts: dict[str, Part] = {}
        self.size = 0
        """Bytes of all parts that count towards the limit of a payload."""
        self.known = True
        self.tagged = False
        self.deepest = 0
        self._depth = 0
        self._left = MOST_NODES

    def node(self, value: Any) -> Node:
        """The tree of a value; raises `Refusal` where one has no stored form."""
        kind = type(value)
        if value is None or kind is bool or (kind is str and value.isascii()):
            return value
        if kind is int and -INT_MAX <= value <= INT_MAX:
            return value
        if kind is float and value - value == 0.0:
            return value
        encoder = ENCODERS.get(kind) or find_encoder(kind)
        if encoder is None:
            return self._unknown(kind, value)
        depth = self._depth = self._depth + 1
        if depth > self.deepest:
            self.deepest = depth
            # Atoms such as big integers do not nest.
            if depth > NESTING and not _is_atom(kind):
                raise TooDeep(f"is nested deeper than {NESTING} levels", value)
        tree = encoder(self, value)
        self._depth = depth - 1
        return tree

    def _unknown(self, kind: type, value: Any) -> Node:
        if not self.arguments:
            raise Refusal(
                f"is of type {type_name(kind)}, which has no stored form", value
            )
        self.tagged = True
        encoder = ARGUMENT_ENCODERS.get(kind)
        if encoder is None and issubclass(kind, type):
            encoder = ARGUMENT_ENCODERS[type]
        if encoder is not None:
            return encoder(self, value)
        return self.opaque(value)

    def opaque(self, value: object) -> Node:
        """The tree of an argument that has no fingerprint."""
        self.known = False
        return {"$opaque": type_name(type(value))}

    def argument(self, value: Any) -> Node:
        """The tree of an argument, which may be anything."""
        parts, size = dict(self.parts), self.size
        try:
            return self.node(value)
        except Refusal:
            self.parts, self.size, self._depth = parts, size, 0
            return self.opaque(value)

    def count(self, elements: int) -> None:
        """Spend that many elements; a payload has room for so many only."""
        self._left -= elements
        if self._left < 0:
            raise TooMuch

    def leaf(self, data: bytes, *, limited: bool = True) -> Node:
        """The tree of binary data: inline when short, else a part.

        `limited` data counts towards the limit of a payload.
        """
        self.tagged = True
        if len(data) <= INLINE_BYTES:
            return base64.b64encode(data).decode("ascii")
        digest = hashlib.sha256(data).hexdigest()
        self.parts[digest] = Part(digest, data)
        if limited:
            self.size += len(data)
        return {"part": digest}


def _is_atom(kind: type) -> bool:
    return kind in {int, float, str}


class Reader:
    """Turns a stored tree back into the value."""

    __slots__ = ("_load", "classes")

    def __init__(
        self,
        load: Callable[[str], bytes] | None = None,
        classes: Mapping[str, type] | None = None,
    ) -> None:
        self._load = load
        self.classes = classes

    def read(self, node: Node) -> Any:
        """The value of a node."""
        kind = type(node)
        if kind is list:
            items = []
            for item in node:
                items.append(self.read(item))  # noqa: PERF401 - one frame a level less
            return items
        if kind is not dict:
            return node
        for first in node:
            if first[:1] == "$":
                decoder = DECODERS.get(first)
                if decoder is None:
                    damaged(f"unknown tag {first[:40]!r}, of a newer nbflow or damaged")
                try:
                    return decoder(self, node)
                except Missing as missing:
                    return Unresolved(missing.type_name, missing.data)
            break
        entries = {}
        for key, item in node.items():
            entries[key] = self.read(item)
        return entries

    def leaf(self, node: Node) -> bytes:
        """The data of a leaf."""
        if type(node) is str:
            return base64.b64decode(node, validate=True)
        if type(node) is not dict or list(node) != ["part"]:
            damaged("binary data is neither inline nor a part")
        digest = node["part"]
        if type(digest) is not str or not _DIGEST.fullmatch(digest):
            damaged("a part is not named by its digest")
        if self._load is None:
            damaged(f"part {digest[:12]} of a value is not at hand")
        return self._load(digest)


def damaged(what: str) -> NoReturn:
    """Raise that a stored value cannot be read."""
    raise StoreDamaged(f"a stored value cannot be read: {what}")


def text_of(node: Node) -> str:
    """The node, which must be text."""
    if type(node) is not str:
        damaged("text was expected")
    return node


def list_of(node: Node) -> list[Any]:
    """The node, which must be a list."""
    if type(node) is not list:
        damaged("a list was expected")
    return node


def int_of(node: Node) -> int:
    """The node, which must be an integer."""
    if type(node) is not int:
        damaged("an integer was expected")
    return node

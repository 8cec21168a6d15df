"""Arguments of steps: their stored form, and the mark that tells equal from changed."""

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from nbflow.codecs._classes import Unresolved, class_name, type_name
from nbflow.codecs._coding import LIMIT, parse, revive
from nbflow.codecs._text import (
    Node,
    atoms_text,
    canonical,
    count_plain,
    dumps,
    is_canonical,
    plain_text,
)
from nbflow.codecs._walk import (
    ARGUMENT_ENCODERS,
    Encoder,
    Part,
    Reader,
    Writer,
    damaged,
    decodes,
    text_of,
)

MARK_BYTES = 10


class Arguments(NamedTuple):
    """The recorded form of a call's arguments."""

    mark: bytes
    """Ten bytes, equal for equal arguments, whatever the order of keywords, of keys of
    a dict and of members of a set."""
    known: bool
    """Whether all arguments are part of the mark; False when one is opaque."""
    text: bytes
    """Tagged JSON `{"args": [...], "kwargs": {...}}`."""
    parts: tuple[Part, ...]


def _mark(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()[:MARK_BYTES]


_NO_TEXT = b'{"args":[],"kwargs":{}}'
_NONE = Arguments(_mark(_NO_TEXT), True, _NO_TEXT, ())


def fingerprint(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
    """The recorded form of a call's arguments; it never raises for one of them.

    What no codec knows is recorded by its type and left out of the mark. Of arrays and
    tables over 8 MiB, shape, types and the first and last MiB count, and they are not
    recorded. The caller's values are not changed and not kept.
    """
    if not args and not kwargs:
        return _NONE
    if not kwargs:
        text = atoms_text(args)
        if text is not None and len(text) < LIMIT:
            text = b'{"args":' + text + b',"kwargs":{}}'
            return Arguments(_mark(text), True, text, ())
    keywords = kwargs if type(kwargs) is dict else dict(kwargs)
    whole = {"args": list(args), "kwargs": keywords}
    if count_plain(whole) >= 0:
        text = plain_text(whole)
        if text is not None and len(text) <= LIMIT:
            ordered = text if is_canonical(whole) else dumps(canonical(whole))
            return Arguments(_mark(ordered), True, text, ())
    return _walk_arguments(args, keywords)


def _walk_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    writer = Writer(arguments=True)
    positional = [_argument(writer, value) for value in args]
    named = {key: _argument(writer, value) for key, value in kwargs.items()}
    tree: Node = {"args": positional, "kwargs": _keywords(writer, named)}
    # One level more than the deepest argument has.
    nesting = writer.deepest + 1
    text = dumps(tree, nesting)
    mark = _mark(dumps(canonical(tree), nesting))
    return Arguments(mark, writer.known, text, tuple(writer.parts.values()))


def _keywords(writer: Writer, named: dict[str, Node]) -> Node:
    if all(key.isidentifier() for key in named):
        return named
    # `f(**{"$set": 1})` is legal, and must not look like a tag.
    return {"$dict": [item for key in named for item in (writer.node(key), named[key])]}


def _argument(writer: Writer, value: Any) -> Node:
    """The node of one argument; only a digest of one too large for a payload."""
    alone = Writer(arguments=True)
    try:
        node = alone.argument(value)
        text = dumps(node, alone.deepest) if alone.size or alone.deepest else b""
    except Exception:  # endless, changed by another thread, a library that fails …
        writer.known = False
        return {"$opaque": type_name(type(value))}
    writer.known = writer.known and alone.known
    if len(text) + alone.size > LIMIT:
        digest = hashlib.sha256(dumps(canonical(node), alone.deepest))
        for name in sorted(alone.parts):
            digest.update(name.encode())
        return {"$large": type_name(type(value)), "sample": digest.hexdigest()}
    writer.parts.update(alone.parts)
    writer.deepest = max(writer.deepest, alone.deepest)
    return node


def decode_arguments(
    text: bytes,
    load: Callable[[str], bytes] | None = None,
    classes: Mapping[str, type] | None = None,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of a text that `fingerprint` made.

    What was not recorded (opaque and large arguments), and functions, classes and
    modules, are `Unresolved`. Raises as `decode`.
    """
    return revive_arguments(parse(text), load, classes)


def revive_arguments(
    tree: Node,
    load: Callable[[str], bytes] | None = None,
    classes: Mapping[str, type] | None = None,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a text that was parsed already."""
    tree = revive(tree, load, classes)
    if type(tree) is not dict or tree.keys() != {"args", "kwargs"}:
        damaged("arguments were expected")
    args, kwargs = tree["args"], tree["kwargs"]
    if type(args) is not list or type(kwargs) is not dict:
        damaged("arguments were expected")
    return tuple(args), kwargs


# What is legal in arguments only. They are known by name: whatever a function closes
# over is the caller's affair.


def _named(tag: str, name: Callable[[Any], str]) -> Encoder:
    def write(_writer: Writer, value: Any) -> Node:
        return {tag: name(value)}

    return write


def _function_name(value: Any) -> str:
    return f"{value.__module__}:{value.__qualname__}"


def _write_builtin(writer: Writer, value: Any) -> Node:
    if value.__self__ is not None and not isinstance(value.__self__, ModuleType):
        return writer.opaque(value)  # a method of some object
    return {"$function": _function_name(value)}


def _write_method(writer: Writer, value: MethodType) -> Node:
    return {"$method": value.__func__.__qualname__, "self": writer.node(value.__self__)}


def _write_partial(writer: Writer, value: "partial[Any]") -> Node:
    called = [value.func, list(value.args), dict(value.keywords)]
    return {"$partial": [writer.node(item) for item in called]}


ARGUMENT_ENCODERS[FunctionType] = _named("$function", _function_name)
ARGUMENT_ENCODERS[type] = _named("$class", class_name)
ARGUMENT_ENCODERS[ModuleType] = _named("$module", lambda value: str(value.__name__))
ARGUMENT_ENCODERS[BuiltinFunctionType] = _write_builtin
ARGUMENT_ENCODERS[MethodType] = _write_method
ARGUMENT_ENCODERS[partial] = _write_partial


# A stored name must not be able to pick a function out of this process: `os:system`
# as an argument of a step that calls it would be as good as running it.


def _read_named(tag: str) -> Callable[[Reader, Node], object]:
    def read(_reader: Reader, node: Node) -> Unresolved:
        return Unresolved(tag[1:], text_of(node[tag]))

    return read


for _tag in ("$function", "$class", "$module"):
    decodes(_tag)(_read_named(_tag))


@decodes("$opaque")
def _read_opaque(_reader: Reader, node: Node) -> Unresolved:
    return Unresolved(text_of(node["$opaque"]))


@decodes("$method")
def _read_method(reader: Reader, node: Node) -> Unresolved:
    return Unresolved("method", (text_of(node["$method"]), reader.read(node["self"])))


@decodes("$partial")
def _read_partial(reader: Reader, node: Node) -> Unresolved:
    return Unresolved("functools.partial", reader.read(node["$partial"]))


@decodes("$large")
def _read_large(reader: Reader, node: Node) -> Unresolved:
    facts = {key: reader.read(item) for key, item in node.items() if key != "$large"}
    return Unresolved(text_of(node["$large"]), facts)

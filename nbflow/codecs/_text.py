"""Trees of JSON types to ASCII text and back, and the check that a value is one.

The hot path of the codecs; it knows neither tags nor classes.
"""

import json
from collections.abc import Callable
from typing import Any

from nbflow._json import NotJson, from_json, to_json
from nbflow.errors import StoreDamaged

Node = Any
"""A tree of exact JSON types: dict with str keys, list, str, int, float, bool, None."""

NESTING = 200
# A level of a value takes up to two levels of JSON (a tag and its list).
_TEXT_NESTING = 2 * NESTING + 8
# pydantic_core writes 255 levels and reads 201; beyond, the slower stdlib does it.
_QUICK_NESTING = 90
# Integers beyond are tagged: SQLite and other JSON readers would round them.
INT_MAX = 2**63 - 1
# Each element takes at least two bytes of text, so more than these are over 64 MiB.
MOST_NODES = 2**25
_ATOMS = frozenset({str, bool, float, type(None)})


def count_plain(value: Any, left: int = MOST_NODES, depth: int = 1) -> int:
    """How much of `left` remains after a list or dict of JSON types; -1 if it is none.

    Strings with lone surrogates, NaN and keys that look like tags are left to
    `plain_text`, which sees them for nothing.
    """
    left -= len(value)
    if left < 0 or depth > _QUICK_NESTING:
        return -1
    if type(value) is dict:
        for key in value:
            if type(key) is not str:
                return -1
        value = value.values()
    for item in value:
        kind = type(item)
        if kind in _ATOMS:
            continue
        if kind is int:
            if -INT_MAX <= item <= INT_MAX:
                continue
            return -1
        if kind is not list and kind is not dict:
            return -1
        left = count_plain(item, left, depth + 1)
        if left < 0:
            return -1
    return left


def is_plain(value: Any, most: int) -> bool:
    """Whether a value is made of JSON's types alone, of at most `most` elements."""
    kind = type(value)
    if kind is list or kind is dict:
        return count_plain(value, most) >= 0
    return kind is int or kind in _ATOMS


def plain_text(value: Any) -> bytes | None:
    """The text of a value that `count_plain` let through; None if it needs tags."""
    try:
        text = to_json(value, ensure_ascii=True)
    except NotJson:  # a lone surrogate
        return None
    if b'"$' in text or b"NaN" in text or b"Infinity" in text:
        return None
    return text


def _int_text(value: int) -> bytes | None:
    return to_json(value) if -INT_MAX <= value <= INT_MAX else None


def _float_text(value: float) -> bytes | None:
    return to_json(value) if value - value == 0.0 else None


def _str_text(value: str) -> bytes | None:
    try:
        return to_json(value, ensure_ascii=True)
    except NotJson:
        return None


def _container_text(value: Any) -> bytes | None:
    return None if count_plain(value) < 0 else plain_text(value)


QUICK: dict[type, Callable[[Any], bytes | None]] = {
    int: _int_text,
    float: _float_text,
    str: _str_text,
    bool: to_json,
    type(None): to_json,
    list: _container_text,
    dict: _container_text,
}
"""Exact type -> function that gives the whole text, or None if it needs tags."""


def dumps(tree: Node, nesting: int = 1) -> bytes:
    """The text of a tree made of `nesting` levels of values."""
    if nesting <= _QUICK_NESTING:
        return to_json(tree, ensure_ascii=True)
    return json.dumps(tree, separators=(",", ":"), allow_nan=False).encode("ascii")


def loads(text: bytes) -> Node:
    """The tree of a text; ValueError or StoreDamaged if it is none."""
    try:
        return from_json(text)
    except ValueError as error:
        if "recursion limit" not in str(error):
            raise
    tree = json.loads(text, parse_constant=_refuse_constant)
    _check_nesting(tree)
    return tree


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _check_nesting(tree: Node) -> None:
    level = [tree]
    for _ in range(_TEXT_NESTING):
        below: list[Node] = []
        for node in level:
            if type(node) is list:
                below += node
            elif type(node) is dict:
                below += node.values()
        if not below:
            return
        level = below
    raise StoreDamaged(
        f"a stored value is nested deeper than the {NESTING} levels that nbflow"
        " writes; it was not written by nbflow or is damaged"
    )


def atoms_text(values: tuple[Any, ...]) -> bytes | None:
    """The text of a list of these values if none of them is a container or odd."""
    for value in values:
        kind = type(value)
        if kind is str or kind is bool or value is None:
            continue
        if kind is int:
            if -INT_MAX <= value <= INT_MAX:
                continue
        elif kind is float and value - value == 0.0:
            continue
        return None
    try:
        return to_json(values, ensure_ascii=True)
    except NotJson:  # a lone surrogate
        return None


def is_canonical(value: Any) -> bool:
    """Whether all dicts of a plain value have their keys in order already."""
    if type(value) is dict:
        if len(value) > 1 and list(value) != sorted(value):
            return False
        value = value.values()
    for item in value:
        kind = type(item)
        if (kind is dict or kind is list) and not is_canonical(item):
            return False
    return True


def canonical(node: Node) -> Node:
    """The same tree with the entries of all dicts in one order, for digests."""
    if type(node) is list:
        return [canonical(item) for item in node]
    if type(node) is not dict:
        return node
    tree = {key: canonical(node[key]) for key in sorted(node)}
    pairs = tree.get("$dict")
    if type(pairs) is list:
        ordered = sorted(
            zip(pairs[::2], pairs[1::2], strict=False),
            key=lambda pair: dumps(pair[0], NESTING),
        )
        tree["$dict"] = [item for pair in ordered for item in pair]
    return tree

"""Stored forms of the user's own classes: enums, NamedTuples, dataclasses, models.

They are read back without running any code of the class: an object is made empty and
its state put in place. A class with `__del__` is refused, since its end would run code
over whatever a stranger's store put into it.
"""

import sys
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum, Flag
from functools import cached_property
from types import MemberDescriptorType
from typing import Any

from nbflow.codecs._builtins import write_list
from nbflow.codecs._classes import Unresolved, class_name, find_class, is_local
from nbflow.codecs._text import Node
from nbflow.codecs._walk import (
    FINDERS,
    Encoder,
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


def findable(writer: Writer, value: object) -> str:
    """The stored name of the value's class.

    `Refusal` if nobody could find the class by it, which does not matter in arguments.
    """
    kind = type(value)
    name = class_name(kind)
    found = find_class(name, writer.classes)
    if found is None and not writer.arguments:
        place = "inside a function" if is_local(kind) else "where it cannot be found"
        raise Refusal(
            f"is of class {name}, which is defined {place} (move it to the top level"
            " of its module or notebook), so it has no stored form",
            value,
        )
    writer.tagged = True
    return name


def _resolve(reader: Reader, node: Node) -> type | None:
    return find_class(text_of(node), reader.classes)


def _find(kind: type) -> Encoder | None:
    if issubclass(kind, Enum):
        return _write_enum
    if issubclass(kind, tuple):
        return _write_namedtuple if is_namedtuple(kind) else None
    if _ends_in_code(kind):
        return None
    if is_model(kind):
        return _write_model
    if is_dataclass_of_attributes(kind):
        return _write_dataclass
    return None


FINDERS.append(_find)


# Enum


def _write_enum(writer: Writer, value: Enum) -> Node:
    name = findable(writer, value)
    member = value._name_
    if member is not None and type(value).__members__.get(member) is value:
        return {"$enum": name, "name": writer.node(member)}
    if isinstance(value, Flag) and type(value._value_) is int:
        return {"$enum": name, "value": writer.node(value._value_)}
    raise Refusal("is no member of its Enum, so it has no stored form", value)


@decodes("$enum")
def _read_enum(reader: Reader, node: Node) -> object:
    kind = _resolve(reader, node["$enum"])
    if "name" in node:
        name = text_of(reader.read(node["name"]))
        if kind is not None and issubclass(kind, Enum) and name in kind.__members__:
            return kind.__members__[name]
        raise Missing(node["$enum"], name)
    value = int_of(reader.read(node["value"]))
    if kind is not None and issubclass(kind, Flag):
        return kind(value)
    raise Missing(node["$enum"], value)


# NamedTuple


def is_namedtuple(kind: type) -> bool:
    fields = getattr(kind, "_fields", None)
    return (
        issubclass(kind, tuple)
        and type(fields) is tuple
        and all(type(field) is str for field in fields)
    )


def _write_namedtuple(writer: Writer, value: Any) -> Node:
    name = findable(writer, value)
    if getattr(value, "__dict__", None):
        raise Refusal("is a NamedTuple with further attributes", value)
    return {"$namedtuple": name, "items": write_list(writer, value)}


@decodes("$namedtuple")
def _read_namedtuple(reader: Reader, node: Node) -> object:
    kind = _resolve(reader, node["$namedtuple"])
    items = tuple(reader.read(list_of(node["items"])))
    if (
        kind is None
        or not is_namedtuple(kind)
        or len(vars(kind).get("_fields", items)) != len(items)
    ):
        raise Missing(node["$namedtuple"], items)
    # Not the class's own __new__, which may do anything.
    return tuple.__new__(kind, items)


# State of an object


def _static(kind: type, name: str) -> object:
    """The class's attribute of that name, without running a descriptor."""
    for base in kind.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return None


def _ends_in_code(kind: type) -> bool:
    return _static(kind, "__del__") is not None


def _slots(kind: type) -> dict[str, MemberDescriptorType]:
    """The slots of a class by name, its bases' included."""
    return {
        name: member
        for base in reversed(kind.__mro__)
        for name, member in vars(base).items()
        if type(member) is MemberDescriptorType
    }


def _attributes(value: object) -> dict[str, Any]:
    try:
        space: dict[str, Any] = object.__getattribute__(value, "__dict__")
    except AttributeError:  # slots only
        return {}
    return space


def state_of(value: object) -> dict[str, Any]:
    """All that the object holds, but for the caches of its properties."""
    kind = type(value)
    state: dict[str, Any] = {}
    for name, member in _slots(kind).items():
        with suppress(AttributeError):  # never set
            state[name] = member.__get__(value)
    return state | attributes_of(value)


def attributes_of(value: object) -> dict[str, Any]:
    """What the object holds outside of slots, but for the caches of its properties."""
    kind = type(value)
    return {
        name: item
        for name, item in _attributes(value).items()
        if not isinstance(_static(kind, name), cached_property)
    }


def _write_state(writer: Writer, value: object, state: dict[str, Any]) -> Node:
    writer.count(len(state))
    nodes: dict[str, Node] = {}
    for name, item in state.items():
        if type(name) is not str or not name.isidentifier():
            raise Refusal("has an attribute whose name is no identifier", value)
        try:
            nodes[name] = writer.node(item)
        except Refusal as refusal:
            refusal.inside(value, f".{name}")
            raise
    return nodes


def _read_state(reader: Reader, node: Node) -> dict[str, Any]:
    if type(node) is not dict:
        damaged("an object has no state")
    state = {}
    for name, item in node.items():
        if not name.isidentifier():
            damaged("an object has an attribute that is no identifier")
        state[name] = reader.read(item)
    return state


# Dataclasses


def is_dataclass_of_attributes(kind: type) -> bool:
    if not is_dataclass(kind) or _ends_in_code(kind):
        return False
    try:
        object.__new__(kind)
    except TypeError:  # of a built-in type, whose content is no attribute
        return False
    return True


def _write_dataclass(writer: Writer, value: Any) -> Node:
    name = findable(writer, value)
    state = state_of(value)
    node = {"$dataclass": name, "fields": _write_state(writer, value, state)}
    unset = [field.name for field in fields(value) if field.name not in state]
    if unset:
        node["unset"] = unset
    return node


@decodes("$dataclass")
def _read_dataclass(reader: Reader, node: Node) -> object:
    kind = _resolve(reader, node["$dataclass"])
    state = _read_state(reader, node["fields"])
    if kind is None or not is_dataclass_of_attributes(kind):
        raise Missing(node["$dataclass"], state)
    unset = list_of(node.get("unset", []))
    added = [
        field
        for field in fields(kind)
        if field.name not in state and field.name not in unset
    ]
    if any(field.default is MISSING for field in added):
        raise Missing(node["$dataclass"], state)  # the class has got new fields
    new = {field.name: field.default for field in added}
    return _restore(kind, state | new, node["$dataclass"])


def _restore(kind: type, state: dict[str, Any], name: str) -> object:
    value: Any = object.__new__(kind)
    slots = _slots(kind)
    if not hasattr(value, "__dict__") and not state.keys() <= slots.keys():
        raise Missing(name, state)  # the class has lost fields
    for key, item in state.items():
        if key in slots:
            slots[key].__set__(value, item)
        else:
            _attributes(value)[key] = item
    return value


# pydantic


def _base_model() -> Any:
    return getattr(sys.modules.get("pydantic.main"), "BaseModel", None)


def is_model(kind: type) -> bool:
    base = _base_model()
    return base is not None and issubclass(kind, base)


_MODEL_PARTS = {
    "extra": "__pydantic_extra__",
    "private": "__pydantic_private__",
}


def _write_model(writer: Writer, value: Any) -> Node:
    name = findable(writer, value)
    state = attributes_of(value)
    node = {"$model": name, "fields": _write_state(writer, value, state)}
    fields_set = sorted(value.__pydantic_fields_set__)
    if fields_set != sorted(state):
        node["set"] = [writer.node(field) for field in fields_set]
    for key, attribute in _MODEL_PARTS.items():
        part = getattr(value, attribute, None)
        if part is not None:
            node[key] = writer.node(part)
    return node


@decodes("$model")
def _read_model(reader: Reader, node: Node) -> object:
    kind: Any = _resolve(reader, node["$model"])
    state = _read_state(reader, node["fields"])
    parts = {key: reader.read(node.get(key)) for key in _MODEL_PARTS}
    fields_set = set(reader.read(list_of(node["set"])) if "set" in node else state)
    if (
        kind is None
        or not is_model(kind)
        or _ends_in_code(kind)
        or not set(kind.__pydantic_fields__) <= state.keys()
    ):
        raise Missing(node["$model"], state)
    value: Any = object.__new__(kind)
    # As BaseModel.__setstate__ does: no validator, no default factory, no hook runs.
    object.__setattr__(value, "__dict__", state)
    object.__setattr__(value, "__pydantic_fields_set__", fields_set)
    for key, attribute in _MODEL_PARTS.items():
        object.__setattr__(value, attribute, parts[key])
    return value


# Unresolved


@encodes(Unresolved)
def _write_unresolved(writer: Writer, value: Unresolved) -> Node:
    writer.tagged = True
    return {"$unresolved": writer.node(value.type), "data": writer.node(value.data)}


@decodes("$unresolved")
def _read_unresolved(reader: Reader, node: Node) -> Unresolved:
    name = text_of(reader.read(node["$unresolved"]))
    return Unresolved(name, reader.read(node["data"]))

"""Names of classes, and classes by name among the modules that are loaded."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

_LOCAL = "<locals>"


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A stored value whose class this process does not have.

    Two are equal when type and data are. It can be stored again, and then reads
    back as an `Unresolved`.
    """

    type: str
    """The class as `module:qualname`, or the name of a registered codec."""
    data: object = None
    """What was stored of the value, such as a dict of its fields."""

    def __hash__(self) -> int:
        return hash((Unresolved, self.type))  # data need not be hashable


def type_name(kind: type) -> str:
    """A type as people write it: `httpx.Client`, `int`."""
    module = _own_text(kind, "__module__")
    name = _own_text(kind, "__qualname__")
    return name if module in {"builtins", "__main__"} else f"{module}.{name}"


def class_name(kind: type) -> str:
    """A class as it is stored: `module:qualname`."""
    return f"{_own_text(kind, '__module__')}:{_own_text(kind, '__qualname__')}"


def _own_text(kind: type, attribute: str) -> str:
    # A metaclass may answer with anything; only text is of use.
    text = type.__getattribute__(kind, attribute)
    return text if isinstance(text, str) else "?"


def is_local(kind: type) -> bool:
    """Whether the class was made inside a function, where nobody can find it."""
    return _LOCAL in _own_text(kind, "__qualname__")


def find_class(name: str, classes: Mapping[str, type] | None) -> type | None:
    """The class of that stored name, among `classes` and loaded modules only.

    `classes` may name it in full or, for classes of a notebook, without its module.
    """
    module_name, _, qualname = name.partition(":")
    if classes is not None:
        known = classes.get(name) or classes.get(qualname)
        if known is not None:
            return known
    found: Any = sys.modules.get(module_name)
    if not issubclass(type(found), ModuleType):
        return None
    # Reading the plain dicts: an attribute access could run a module's or a class's
    # own code, which may import what the name asks for.
    space = ModuleType.__getattribute__(found, "__dict__")
    for part in qualname.split("."):
        found = space.get(part)
        if not isinstance(found, type):
            return None
        space = type.__getattribute__(found, "__dict__")
    return found if isinstance(found, type) else None

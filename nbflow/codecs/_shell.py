"""The lines that IPython gives for `!command`: its own list of str."""

from typing import Any

from nbflow.codecs._builtins import write_list
from nbflow.codecs._classes import class_name, find_class
from nbflow.codecs._text import Node
from nbflow.codecs._walk import (
    FINDERS,
    Encoder,
    Missing,
    Reader,
    Writer,
    decodes,
    list_of,
)

_NAME = "IPython.utils.text:SList"


def is_lines(kind: type) -> bool:
    """Whether a class is IPython's, which this process has loaded if it is."""
    return (
        issubclass(kind, list)
        and class_name(kind) == _NAME
        and kind is find_class(_NAME, None)
    )


def _find(kind: type) -> Encoder | None:
    return _write_lines if is_lines(kind) else None


FINDERS.append(_find)


def _write_lines(writer: Writer, value: Any) -> Node:
    # What it keeps beside its items is made of them, when it is asked for.
    writer.tagged = True
    return {"$lines": None, "items": write_list(writer, value)}


@decodes("$lines")
def _read_lines(reader: Reader, node: Node) -> object:
    items = reader.read(list_of(node["items"]))
    kind = find_class(_NAME, None)
    if kind is None or not issubclass(kind, list):
        raise Missing(_NAME, items)
    value = list.__new__(kind)
    list.extend(value, items)
    return value

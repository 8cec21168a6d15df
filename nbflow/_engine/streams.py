"""Steps that are generators: their items are seen live, their value is all of them."""

from collections.abc import AsyncIterator, Callable, Iterator
from inspect import isgenerator
from typing import Any

from nbflow.context import current

ITEM = "item"
"""Name of the `data` event that each item is."""


def whole(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function, and if it gives a generator run that to its end."""
    result = fn(*args, **kwargs)
    return drain(result) if isgenerator(result) else result


def drain(items: Iterator[Any]) -> Any:
    """The value of a generator's step; each item is emitted as it comes."""
    emit = current().emit
    found = []
    for item in items:
        emit(ITEM, item)
        found.append(item)
    return joined(found)


async def collect(items: AsyncIterator[Any]) -> Any:
    """The same of an async generator."""
    emit = current().emit
    found = []
    async for item in items:
        emit(ITEM, item)
        found.append(item)
    return joined(found)


def joined(items: list[Any]) -> Any:
    """The list of the items; of pieces of text the whole text."""
    if items and all(isinstance(item, str) for item in items):
        return "".join(items)
    return items

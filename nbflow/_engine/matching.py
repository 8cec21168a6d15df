"""Whether an event is the one that a step waits for. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from nbflow.model import Event

_MISSING = object()
_LONGEST = 20  # digits of an index


def matches(event: Event, wanted: Mapping[str, Any]) -> bool:
    """Whether each dotted path leads to its value, as in `{"data.order": 17}`.

    Paths begin at the event: `name`, `id`, `data.…`. Numbers lead into lists.
    """
    return all(_same(_find(event, path), value) for path, value in wanted.items())


def _find(event: Event, path: str) -> Any:
    first, *rest = path.split(".")
    found: Any = getattr(event, first, _MISSING)
    for name in rest:
        found = _step(found, name)
    return found


def _step(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name, _MISSING)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        is_number = name.isdecimal() and len(name) < _LONGEST
        inside = is_number and int(name) < len(value)
        return value[int(name)] if inside else _MISSING
    if name.startswith("_"):
        return _MISSING
    try:
        return getattr(value, name, _MISSING)
    except Exception:  # a property of the user's: it must not keep others waiting
        return _MISSING


def _same(found: Any, wanted: Any) -> bool:
    """Equal, as JSON means it: true is not 1. Arrays and the like are never equal."""
    if isinstance(found, bool) is not isinstance(wanted, bool):
        return False
    try:
        return bool(found == wanted)
    except Exception:
        return False

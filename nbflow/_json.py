"""JSON as it is stored: pydantic's core writes it, and reads it where it is loaded.

Who only reads (the monitor, `nbflow runs`) does without that core, a tenth of the
monitor's memory: the standard library reads the same texts to the same values.
"""

import json
import sys
from types import ModuleType
from typing import Any

_core: ModuleType | None = None


class NotJson(ValueError):
    """JSON has no room for a part of a value."""


def to_json(value: Any, **options: Any) -> bytes:
    """The text of a value; options as of `pydantic_core.to_json`.

    Raises:
        NotJson: a part of it is a lone surrogate, or an object.
    """
    core = _core or _load()
    try:
        text: bytes = core.to_json(value, **options)
    except core.PydanticSerializationError as error:
        raise NotJson(str(error)) from None
    return text


def from_json(text: bytes) -> Any:
    """The value of a text that `to_json` has written.

    Raises:
        ValueError: it is none, or nested too deep.
    """
    if _core is None and not is_core_loaded():
        try:
            return json.loads(text.decode(), parse_constant=_refuse)
        except RecursionError:
            raise ValueError("nested too deep for JSON") from None
    return (_core or _load()).from_json(text, allow_inf_nan=False)


def is_core_loaded() -> bool:
    """Whether pydantic's core is in use in this process."""
    return "pydantic_core" in sys.modules


def _load() -> ModuleType:
    global _core
    import pydantic_core

    _core = pydantic_core
    return pydantic_core


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")

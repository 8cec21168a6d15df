"""Texts, times and numbers as they go to the browser: safe, short, and plain JSON."""

import datetime as dt
import json
import math
from typing import Any

from nbflow.model import short

_encode = json.JSONEncoder(ensure_ascii=False).encode

NAME = 200
LINE = 120
ERROR = 300
LOG = 500


def line(text: object, limit: int = LINE) -> str:
    """One line of safe text, cut to `limit` characters."""
    return short(str(text), limit)


def maybe(text: object | None, limit: int = LINE) -> str | None:
    """The same, where there may be none."""
    return None if text is None else line(text, limit)


def lines(text: str, limit: int) -> str:
    """Safe text of several lines; what is cut off is said to be."""
    return short(text, limit, multiline=True)


def millis(moment: dt.datetime | None) -> int | None:
    """A time as milliseconds since 1970."""
    return None if moment is None else round(moment.timestamp() * 1000)


def plain_number(value: float | None) -> float | int | None:
    """A number that JSON has; whole ones without a fraction."""
    if value is None or not math.isfinite(value):
        return None
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def size(value: Any) -> int:
    """Bytes of a value as JSON."""
    return len(_encode(value).encode("utf-8", "replace"))

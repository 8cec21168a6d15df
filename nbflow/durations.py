"""Durations: what users may write, as float seconds; and seconds as people read them.

Knows only `errors` and `_text`.
"""

import datetime as dt
import functools
import math
import numbers
import re

from nbflow._text import to_micros
from nbflow.errors import InvalidDuration

Duration = float | str | dt.timedelta

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

LONGEST = 100 * 365.25 * DAY

_UNITS = {"ms": 0.001, "s": 1.0, "m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")
_TEXT = re.compile(rf"(?:{_PART.pattern})+")


def parse(value: object, *, what: str = "timeout") -> float:
    """Return a duration in seconds.

    `value` is a timedelta, a number of seconds, or text such as "250ms", "1h30m" or
    "2d"; it is finite and between 0 and 100 years. `what` names it in the message.
    Raises InvalidDuration.
    """
    if isinstance(value, str):
        seconds = _seconds(value)
    elif isinstance(value, dt.timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):
        seconds = _number(value)
    else:
        seconds = None
    if seconds is None:
        raise InvalidDuration(
            f"{what}={shown(value)} is no duration: give a timedelta, a number of "
            f'seconds, or text such as "250ms", "30s", "1h30m", "2d" or "1w"'
        )
    if not 0 <= seconds <= LONGEST:  # nan is refused here, too
        raise InvalidDuration(
            f"{what}={shown(value)} is out of range: a duration is finite, not "
            f"negative and at most 100 years; give one within that range"
        )
    return seconds


def deadline(moment: object, *, what: str) -> int:
    """An aware datetime in microseconds UTC.

    Raises:
        InvalidDuration: it is no datetime, or a naive one.
    """
    if not isinstance(moment, dt.datetime) or moment.tzinfo is None:
        raise InvalidDuration(
            f"{what} is {moment!r}: it must be an aware datetime, such as "
            "datetime(2026, 1, 1, tzinfo=UTC)"
        )
    return to_micros(moment)


def show(seconds: float) -> str:
    """Write a duration as people read it: "250 ms", "1.2 s", "3 min 05 s".

    From a minute on, the smaller unit is cut off, not rounded.
    """
    if not math.isfinite(seconds):
        return "?"
    if seconds < 0:
        return "-" + show(-seconds)
    if seconds < 0.9995:
        return f"{_decimal(seconds * 1000, seconds < 0.00995)} ms"
    if seconds < 59.95:
        return f"{_decimal(seconds, True)} s"
    whole = int(seconds + 0.05)
    for large, small, unit, part in (
        (MINUTE, 1, "min", "s"),
        (HOUR, MINUTE, "h", "min"),
        (DAY, HOUR, "d", "h"),
    ):
        if whole < large * (24 if unit == "h" else 60) or unit == "d":
            rest = int(whole % large // small)
            return f"{int(whole // large)} {unit} {rest:02d} {part}"
    raise AssertionError("unreachable: days have no end")


@functools.lru_cache(maxsize=512)
def _seconds(text: str) -> float | None:
    if len(text) > 1_000 or not _TEXT.fullmatch(text):
        return None
    return sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(text))


def _number(value: numbers.Real) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _decimal(number: float, fraction: bool) -> str:
    rounded = round(number, 1 if fraction else 0)
    return f"{rounded:.0f}" if rounded == int(rounded) else f"{rounded:.1f}"


def shown(value: object) -> str:
    """Write a wrong value for a message: short, safe, foreign ones by their type."""
    if value is None or isinstance(value, str | float | bool):
        text = repr(value)
    elif isinstance(value, int):
        # repr refuses ints of more than 4,300 digits.
        text = repr(value) if value.bit_length() < 300 else "a huge number"
    elif isinstance(value, dt.timedelta):
        text = str(value)
    else:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else text[:79] + "…"

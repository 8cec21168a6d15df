"""How keys, moments and foreign text are written; a leaf that `model` hands on."""

import datetime as dt
import json
import re

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

# Step keys: what joins branch segments and id, and what comes before a number.
SEGMENT = "\x1f"
NUMBER = "\x1e"

_MICROSECOND = dt.timedelta(microseconds=1)
# C0, DEL, C1, line and paragraph separators, bidi controls, BOM, surrogates.
_UNSAFE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029"
    "\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
)
_UNSAFE_LINES = re.compile(f"[{_UNSAFE}]")
_UNSAFE_LINE = re.compile(f"[\t\n{_UNSAFE}]")


def safe_text(text: str, *, multiline: bool = False) -> str:
    """Make what could steer a terminal or fake a line visible, as \\x1b or \\u2028.

    That is control, bidi and surrogate characters and line separators; `multiline`
    leaves newline and tab as they are.
    """
    if text.isprintable():
        return text  # most are, and this is seen at once
    return (_UNSAFE_LINES if multiline else _UNSAFE_LINE).sub(_visible, text)


def safe_json(text: str) -> str:
    """Make the same visible in JSON, as escapes of its own: it means what it meant."""
    return _UNSAFE_LINES.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def step_key(branch: str, id: str, number: int = 0) -> str:
    """Make a step's key from its branch's key ("" for the body), id and number."""
    segment = f"{id}{NUMBER}{number}" if number else id
    return f"{branch}{SEGMENT}{segment}" if branch else segment


def step_label(key: str) -> str:
    """Write a step's key as people see it: "branch/id", "id:2"."""
    return key.replace(SEGMENT, "/").replace(NUMBER, ":")


def split_step(key: str) -> tuple[str, str]:
    """Return the labels of a step's branch ("" for the body) and of its id."""
    branch, _, segment = key.rpartition(SEGMENT)
    return step_label(branch), step_label(segment)


def split_key(key: str) -> tuple[str, str]:
    """The branch path and the id of a step key, the number cut off."""
    path, _, label = key.rpartition(SEGMENT)
    return path, label.partition(NUMBER)[0]


def from_micros(micros: int) -> dt.datetime:
    """Return the aware UTC datetime of stored microseconds."""
    return EPOCH + micros * _MICROSECOND


def to_micros(moment: dt.datetime) -> int:
    """Return an aware datetime as stored microseconds."""
    return (moment - EPOCH) // _MICROSECOND


def as_text(value: object) -> str:
    """Write a value of an event's data; text as it is, the rest as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=lambda v: type(v).__name__)


def short(text: str, limit: int, *, multiline: bool = False) -> str:
    """Return safe text of at most `limit` characters."""
    text = safe_text(text[: limit + 1], multiline=multiline)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

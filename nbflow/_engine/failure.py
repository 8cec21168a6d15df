"""Turns an exception into what the store keeps of it, and finds engine interrupts.

Nothing here raises, whatever the exception is made of: it runs while something else
has already gone wrong.
"""

import asyncio
import json
import traceback
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from math import isfinite
from typing import Any

from nbflow._frames import hidden_paths
from nbflow._rebuild import plain_attributes
from nbflow.errors import MESSAGE_LIMIT, _Interrupt

FRAME_LIMIT = 20
TRACEBACK_LIMIT = 8 * 1024
_OUTER_FRAMES = 8  # of the frames kept: how many from the outer end
_CHAIN_LIMIT = 3
_GROUP_LIMIT = 10
_ATTRIBUTES_LIMIT = 2 * 1024
# Text is masked before it is cut, so that no half secret is left. Only one of many
# megabytes is cut before, too, and then loses its end, where half a secret may be.
_MASKED_LIMIT = 64 * 1024
_DOUBTFUL_END = 1024

Redact = Callable[[str], str]


def describe(
    error: BaseException,
    redact: Redact,
    *,
    step: str | None = None,
    run_id: str | None = None,
) -> dict[str, object]:
    """The stored form of `error`: an ErrorInfo as a JSON object.

    Beside its public fields it has what is needed to build the exception again:
    `_class` ("module:qualname"), `_args` if all of them are small plain JSON values,
    and `_attributes` (those attributes that are).
    """
    kind = type(error)
    stored: dict[str, object] = {
        "type": type_name(kind),
        "message": message(error, redact),
        "traceback": user_traceback(error, redact),
        "step": step,
        "run_id": run_id,
        "_class": _clean(f"{kind.__module__}:{kind.__qualname__}"),
    }
    args = _plain(list(_quiet(lambda: error.args, ())), redact)
    if args is not None and _size(args) <= _ATTRIBUTES_LIMIT:
        stored["_args"] = args
    attributes = _attributes(error, redact)
    if attributes:
        stored["_attributes"] = attributes
    return stored


def control(error: BaseException) -> BaseException | None:
    """The engine interrupt or cancellation that `error` is or has inside a group.

    An engine interrupt is found before a cancellation, which may only be its echo.
    """
    found = None
    for leaf in _leaves(error):
        if isinstance(leaf, _Interrupt):
            return leaf
        if found is None and isinstance(leaf, asyncio.CancelledError):
            found = leaf
    return found


def type_name(kind: type[BaseException]) -> str:
    """How users write the type: "ZeroDivisionError", "httpx.HTTPStatusError"."""
    name = _clean(kind.__qualname__.rpartition("<locals>.")[2])
    module = str(kind.__module__)
    if module in ("builtins", "__main__", "nbflow", "nbflow.errors"):
        return name
    return f"{_clean(module)}.{name}"


def message(error: BaseException, redact: Redact) -> str:
    """`str(error)`, masked and cut to the length that stored messages may have."""
    text = _quiet(lambda: str(error), None)
    if text is None:
        return f"<{type(error).__name__} whose text cannot be made: its str() failed>"
    text = _mask(text, redact)
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"


def user_traceback(error: BaseException, redact: Redact) -> str:
    """The traceback as Python prints it, without frames of the machinery.

    Causes, contexts and exception groups are followed a few levels deep; long ones
    lose frames in the middle.
    """
    text = _quiet(lambda: _format(error), None)
    if text is None:
        return ""
    return _shorten(_mask(text, redact))


def _format(error: BaseException) -> str:
    shown = traceback.TracebackException.from_exception(
        error, lookup_lines=False, max_group_width=_GROUP_LIMIT, max_group_depth=4
    )
    _trim(shown, hidden_paths(), _CHAIN_LIMIT)
    return "".join(shown.format())


class _Stack(traceback.StackSummary):
    """Frames of which some in the middle are left out, and said to be."""

    left_out = 0

    def format(self, **kwargs: Any) -> list[str]:
        if not self.left_out:
            return super().format(**kwargs)
        outer = traceback.StackSummary.from_list(self[:_OUTER_FRAMES])
        inner = traceback.StackSummary.from_list(self[_OUTER_FRAMES:])
        note = f"  [{self.left_out} frames left out]\n"
        return [*outer.format(**kwargs), note, *inner.format(**kwargs)]


def _trim(
    shown: traceback.TracebackException, hidden: tuple[str, ...], depth: int
) -> None:
    frames = [one for one in shown.stack if not one.filename.startswith(hidden)]
    stack = _Stack(frames)
    if _visible(frames) > FRAME_LIMIT:
        stack.left_out = len(frames) - FRAME_LIMIT
        del stack[_OUTER_FRAMES : _OUTER_FRAMES + stack.left_out]
    shown.stack = stack
    if depth <= 0:
        shown.__cause__ = shown.__context__ = None
    others = [shown.__cause__, shown.__context__]
    for other in others + list(shown.exceptions or ())[:_GROUP_LIMIT]:
        if other is not None:
            _trim(other, hidden, depth - 1)


def _visible(frames: list[traceback.FrameSummary]) -> int:
    """How many frames Python would print; it folds repetitions of a line after 3."""
    runs = groupby(frames, key=lambda one: (one.filename, one.lineno, one.name))
    return sum(min(len(list(run)), 3) for _, run in runs)


def _shorten(text: str) -> str:
    """Cut lines out of the middle until `text` fits; the end says most."""
    data = text.encode()
    if len(data) <= TRACEBACK_LIMIT:
        return text
    note = "\n  [… part of the traceback left out …]\n"
    head = TRACEBACK_LIMIT // 4
    tail = TRACEBACK_LIMIT - head - len(note.encode())
    return (
        data[:head].decode(errors="ignore")
        + note
        + data[-tail:].decode(errors="ignore")
    )


def _leaves(error: BaseException) -> Iterator[BaseException]:
    pending = [error]
    while pending:
        one = pending.pop()
        if isinstance(one, BaseExceptionGroup):
            pending += reversed(one.exceptions)
        else:
            yield one


def _attributes(error: BaseException, redact: Redact) -> dict[str, object]:
    """The error's own small, plain attributes: `status_code` and the like."""
    attributes: dict[str, object] = {}
    room = _ATTRIBUTES_LIMIT
    for name, value in _quiet(lambda: plain_attributes(error), {}).items():
        if name.startswith("_") and name != "__notes__":
            continue
        plain = _plain(value, redact)
        size = _size([name, plain])
        if (plain is None) == (value is None) and size <= room:
            attributes[_clean(name)] = plain
            room -= size
    return attributes


def _plain(value: object, redact: Redact, depth: int = 4) -> Any:
    """A masked copy of a plain JSON value; None if it is anything else, or large.

    Exact types only: what JSON would flatten is no plain value.
    """
    if value is None or type(value) is bool or type(value) is int:
        return value if not isinstance(value, int) or abs(value) < 2**53 else None
    if type(value) is float:
        return value if isfinite(value) else None
    if type(value) is str:
        return _mask(value, redact) if len(value) <= _ATTRIBUTES_LIMIT else None
    if depth == 0 or not isinstance(value, list | dict) or len(value) > 50:
        return None
    if type(value) is list:
        items = [_plain(one, redact, depth - 1) for one in value]
        return items if _same_gaps(value, items) else None
    if type(value) is dict and all(type(key) is str for key in value):
        fields = {
            _mask(k, redact): _plain(v, redact, depth - 1) for k, v in value.items()
        }
        return fields if _same_gaps(value.values(), fields.values()) else None
    return None


def _same_gaps(values: Iterable[object], copies: Iterable[object]) -> bool:
    """Whether only what was None has become None: all values were plain."""
    pairs = zip(values, copies, strict=False)
    return all((a is None) == (b is None) for a, b in pairs)


def _size(value: object) -> int:
    return len(json.dumps(value))


def _mask(text: str, redact: Redact) -> str:
    whole = len(text) <= _MASKED_LIMIT
    text = _clean(text[:_MASKED_LIMIT])
    masked: str | None = _quiet(lambda: redact(text), None)
    if masked is None:
        # Better no text than one that may hold a secret.
        return "<text that could not be masked>"
    return masked if whole else masked[:-_DOUBTFUL_END]


def _clean(text: str) -> str:
    """Without lone surrogates, which UTF-8 cannot store."""
    return text.encode("utf-8", "backslashreplace").decode()


def _quiet(make: Callable[[], Any], otherwise: Any) -> Any:
    try:
        return make()
    except Exception:  # code of the user's exception class, which may do anything
        return otherwise

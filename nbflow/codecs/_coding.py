"""Whole values to payloads and back."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nbflow.codecs._text import QUICK, Node, dumps, loads
from nbflow.codecs._walk import (
    Part,
    Reader,
    Refusal,
    TooDeep,
    TooMuch,
    Writer,
)
from nbflow.errors import (
    NbflowError,
    NotSerializable,
    PayloadTooLarge,
    StoreDamaged,
    StoreError,
)

LIMIT = 64 * 1024 * 1024
"""Bytes a value may take, tables and arrays excepted."""
_RETURNED = "value"
_ATOMS = frozenset({str, int, float, bool, type(None)})


class Payload(NamedTuple):
    """The stored form of a value."""

    text: bytes
    """Tagged JSON in ASCII."""
    parts: tuple[Part, ...]
    """Large binary pieces that the text refers to by digest, each once."""
    plain: bool
    """Whether the value is made of JSON types only, so that the original may be handed
    on instead of what `decode` gives."""


def encode(
    value: object,
    *,
    classes: Mapping[str, type] | None = None,
    given: str | None = None,
) -> Payload:
    """The stored form of a value; `decode` gives back an equal one of the same type.

    `classes` are those known beside the loaded modules, as for `decode`. `given` says
    in errors what was passed, as in "input"; None: something that a function returned.

    Raises `NotSerializable` with `.path` and `.value` (the whole value), and
    `PayloadTooLarge` over 64 MiB, tables and arrays excepted.
    """
    try:
        quick = QUICK.get(type(value))
        if quick is not None:
            text = quick(value)
            if text is not None:
                if len(text) > LIMIT:
                    raise _too_large(_size(len(text)), given)
                return Payload(text, (), True)
        return _encode_tagged(value, classes, given)
    except NbflowError:
        raise
    except Exception as error:
        # Another thread changed it meanwhile, or a library failed on its own value.
        raise NotSerializable(
            f"{given or _RETURNED} could not be stored ({type(error).__name__}:"
            f" {str(error)[:300]}):"
            f" {_instead(given, 'plain data that nobody else changes')}",
            path=given or _RETURNED,
            value=value,
        ) from error


def _encode_tagged(
    value: object, classes: Mapping[str, type] | None, given: str | None
) -> Payload:
    writer = Writer(classes)
    try:
        text = dumps(writer.node(value), writer.deepest)
    except Refusal as refusal:
        raise _not_serializable(refusal, value, given) from refusal.__cause__
    except TooMuch:
        raise _too_large("more than 33 million elements", given) from None
    except RecursionError:
        raise NotSerializable(
            f"{given or _RETURNED} could not be stored: the stack is too deep for its"
            f" nesting; {_verb(given)} it from nearer the top, or flatten it",
            path=given or _RETURNED,
            value=value,
        ) from None
    if len(text) + writer.size > LIMIT:
        raise _too_large(_size(len(text) + writer.size), given)
    return Payload(text, tuple(writer.parts.values()), not writer.tagged)


def _too_large(what: str, given: str | None) -> PayloadTooLarge:
    named = "a value" if given is None else given
    return PayloadTooLarge(
        f"{named} of {what} is more than the 64 MiB that a store takes: use an array"
        f" or a table, or write it to a file and {_verb(given)} its path"
    )


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"


def _not_serializable(
    refusal: Refusal, value: object, given: str | None
) -> NotSerializable:
    trail = refusal.trail[::-1]
    reason = refusal.reason
    if isinstance(refusal, TooDeep):
        trail, reason = _shorten(trail, refusal)
    path = (given or _RETURNED) + "".join(segment for _, segment in trail)
    shown = path if len(path) <= 400 else f"{path[:200]}…{path[-199:]}"
    remedy = (
        "plain data (or `nbflow.codecs.register` a codec, or"
        " `nbflow.codecs.allow_pickle` its class)"
    )
    return NotSerializable(
        f"{shown} {reason}: {_instead(given, remedy)}", path=path, value=value
    )


def _verb(given: str | None) -> str:
    return "return" if given is None else "pass"


def _instead(given: str | None, remedy: str) -> str:
    """What to do: only what a function returned is kept for a resume."""
    resume = ", and resume to store it" if given is None else ""
    return f"{_verb(given)} {remedy}{resume}"


def _shorten(
    trail: list[tuple[object, str]], refusal: TooDeep
) -> tuple[list[tuple[object, str]], str]:
    """The trail up to where it meets itself, if the value contains itself."""
    chain = [container for container, _ in trail] + [refusal.value]
    seen: dict[int, int] = {}
    for place, container in enumerate(chain):
        if id(container) in seen:
            return trail[:place], "contains itself, so it has no stored form"
        seen[id(container)] = place
    return trail[:20], f"leads to a value that {refusal.reason}"


def decode(
    text: bytes,
    load: Callable[[str], bytes] | None = None,
    classes: Mapping[str, type] | None = None,
) -> object:
    """The value of a stored form.

    `load` gives the data of a part by its digest, checked against it. Classes are
    looked up in `classes` (by `module:qualname` or qualname) and among loaded modules;
    nothing is imported but numpy, pandas, polars and pyarrow when the value needs them.
    Where a class is missing, the value holds an `Unresolved`.

    Raises `StoreDamaged` for anything `encode` cannot have written, and `UnsafeStore`
    for a pickle that another user made. What `load` raises passes through.
    """
    tree = parse(text)
    return revive(tree, load, classes) if b'"$' in text else tree


def parse(text: bytes) -> Node:
    """The tree of JSON types of a text; raises `StoreDamaged` if it is none."""
    try:
        return loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(error) from error


def revive(
    tree: Node,
    load: Callable[[str], bytes] | None = None,
    classes: Mapping[str, type] | None = None,
) -> Any:
    """As `decode`, for a stored form that was parsed with what stands around it."""
    if type(tree) in _ATOMS:
        return tree
    try:
        return Reader(load, classes).read(tree)
    except (StoreError, OSError):  # of `load`, or a more precise word than ours
        raise
    except Exception as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> StoreDamaged:
    return StoreDamaged(
        f"a stored value cannot be read ({type(error).__name__}:"
        f" {str(error)[:200]}); it was not written by nbflow, or is damaged"
    )

"""Rebuilds exceptions from plain data: after pickling, and after a restart.

A record keeps of an exception its class's path, its message and what is plain JSON.
From that an error is made which reads as the original and is caught as the original,
without a call to the original's code. A leaf; `errors` is its only neighbour.
"""

import contextlib
import dataclasses
import json
import pickle
import sys
import types
import weakref
from collections.abc import Iterator, Mapping
from typing import Protocol, TypeGuard, TypeVar

_E = TypeVar("_E", bound=BaseException)

# Longer attributes are not kept: they are stored with every failed attempt.
ATTRIBUTE_LIMIT = 4_096

_HEAP_TYPE = 1 << 9
_RESPONSE = "$response"

# The class made for (base, original); goes when nothing uses it any more.
_combined: weakref.WeakValueDictionary[
    tuple[type[BaseException], type[BaseException]], type[BaseException]
] = weakref.WeakValueDictionary()

# Classes local to a function, which no module holds, by the path that records them.
_local: weakref.WeakValueDictionary[str, type[BaseException]] = (
    weakref.WeakValueDictionary()
)


class ErrorDetails(Protocol):
    """What errors need of `nbflow.model.ErrorInfo`, which lives a layer above."""

    @property
    def type(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def traceback(self) -> str: ...
    @property
    def step(self) -> str | None: ...
    @property
    def run_id(self) -> str | None: ...


@dataclasses.dataclass(frozen=True)
class Response:
    """What is kept of an HTTP response that an exception carried."""

    status_code: int
    reason_phrase: str = ""
    url: str = ""

    def __getattr__(self, name: str) -> object:
        raise AttributeError(
            f"response.{name} is not kept with a step's error, only status_code, "
            f"reason_phrase and url are: use {name!r} inside the step"
        )


class _Original:
    """First base of the combined classes: keeps the original's code out of it."""

    def __init_subclass__(cls) -> None:
        # Not passed on: a hook of the original's class would see a class that its
        # author never wrote.
        pass

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        step = self.__dict__.get("step")
        raise AttributeError(
            f"{type(self).__name__} of step {step!r} has no attribute {name!r}: it was "
            f"rebuilt from its record, which keeps short plain JSON attributes only; "
            f"use {name!r} inside the step"
        )

    def __str__(self) -> str:
        return str(self.__dict__.get("_nbflow_message", ""))

    def __reduce__(self) -> tuple[object, ...]:
        assert isinstance(self, BaseException)
        base, original = type(self).__bases__[1], type(self).__bases__[-1]
        members = {k: v for k, v in plain_attributes(self).items() if k != "response"}
        state = {**members, **_portable(self.__dict__)}
        return _unpickle_original, (base, class_path(original), self.args, state)


def reduce(error: BaseException) -> tuple[object, ...]:
    """`__reduce__` of errors whose `__init__` takes keywords.

    Fields that cannot be pickled are None on the other side.
    """
    return _unpickle, (type(error), error.args, _portable(error.__dict__))


def class_path(kind: type[BaseException]) -> str:
    """Name a class as records do: "module:qualname"."""
    return f"{kind.__module__}:{kind.__qualname__}"


def plain_attributes(error: BaseException) -> dict[str, object]:
    """Return the attributes that are short plain JSON, those of builtins as well.

    A `response` with a status code is kept as its code, reason and URL.
    """
    kept = {
        name: value
        for name, value in _attributes(error)
        if (not name.startswith("__") or name == "__notes__") and _is_short(value)
    }
    response = error.__dict__.get("response")
    with contextlib.suppress(Exception):  # a property of a foreign class may raise
        if type(code := getattr(response, "status_code", None)) is int:
            reason = getattr(response, "reason_phrase", getattr(response, "reason", ""))
            url = getattr(response, "url", "")
            kept["response"] = {_RESPONSE: [code, str(reason or ""), str(url)[:500]]}
    return kept


def as_original(
    base: type[_E],
    path: str | None,
    original: BaseException | None,
    message: str,
    attributes: Mapping[str, object],
    args: tuple[object, ...] | None,
) -> _E | None:
    """Make an instance of both `base` and the class at `path`.

    None when that class is not loaded, is no Exception, or cannot be derived from
    or filled without its own code (pydantic's ValidationError).
    """
    kind = _find(path, original)
    if kind is None:
        return None
    try:
        error = _instance(_combine(base, kind), base, message)
        error.__dict__["_nbflow_message"] = message
        restore(error, attributes)
        error.args = (message,) if args is None else args
    except Exception:  # whatever a foreign class does to refuse, it may
        return None
    return error if isinstance(error, base) else None


def restore(error: BaseException, attributes: Mapping[str, object]) -> None:
    """Set the attributes that `plain_attributes` kept, past any `__setattr__`."""
    for name, value in attributes.items():
        if name == "args" or (name.startswith("__") and name != "__notes__"):
            continue
        if name == "response" and isinstance(value, dict) and _RESPONSE in value:
            value = Response(*value[_RESPONSE])
        if _is_member(getattr(type(error), name, None)):
            with contextlib.suppress(AttributeError, TypeError):  # read-only ones
                BaseException.__setattr__(error, name, value)
        else:
            error.__dict__[name] = value


def _find(
    path: str | None, original: BaseException | None
) -> type[BaseException] | None:
    found = _loaded(path) if path else None
    if not _is_error(found) and original is not None:
        found = type(original)
        _local[class_path(found)] = found
    if not _is_error(found) and path:
        found = _local.get(path)
    return found if _is_error(found) and issubclass(found, Exception) else None


def _is_error(found: object) -> TypeGuard[type[BaseException]]:
    return isinstance(found, type) and issubclass(found, BaseException)


def _loaded(path: str) -> object:
    """Return what "module:qualname" names among loaded modules, or None.

    Nothing is imported, not even through a module's `__getattr__`.
    """
    module, _, qualname = path.partition(":")
    # The public names of the package itself are resolved on first use.
    holder: object = sys.modules.get("nbflow.errors" if module == "nbflow" else module)
    for name in qualname.split("."):
        if not isinstance(holder, type | types.ModuleType):
            return None
        holder = vars(holder).get(name)
    return holder


def _combine(
    base: type[BaseException], original: type[BaseException]
) -> type[BaseException]:
    if known := _combined.get((base, original)):
        return known
    bases = (original,) if issubclass(original, base) else (base, original)
    namespace = {
        "__module__": original.__module__,
        "__qualname__": original.__qualname__,
        "__doc__": original.__doc__,
    }
    kind = types.new_class(
        original.__name__,
        (_Original, *bases),
        exec_body=lambda ns: ns.update(namespace),
    )
    _combined[base, original] = kind
    return kind


def _instance(
    kind: type[BaseException], base: type[BaseException], message: str
) -> BaseException:
    """Make an instance by the `__new__` of a builtin: no other code is called."""
    if issubclass(kind, BaseExceptionGroup):
        # A group must hold something; what it held is in the message only.
        return BaseExceptionGroup.__new__(kind, message, [base(message)])
    for builtin in kind.__mro__:
        if issubclass(builtin, BaseException) and not builtin.__flags__ & _HEAP_TYPE:
            with contextlib.suppress(TypeError):  # "not safe, use OSError.__new__()"
                return builtin.__new__(kind)
    raise TypeError(f"{kind.__name__} has a layout of its own")


def _attributes(error: BaseException) -> Iterator[tuple[str, object]]:
    yield from error.__dict__.items()
    for kind in type(error).__mro__:
        if kind is BaseException:
            break
        for name, member in vars(kind).items():
            if _is_member(member) and name not in error.__dict__:
                with contextlib.suppress(AttributeError):  # not set
                    yield name, getattr(error, name)


def _is_member(attribute: object) -> bool:
    kinds = types.MemberDescriptorType | types.GetSetDescriptorType
    return isinstance(attribute, kinds)


def _is_short(value: object) -> bool:
    if not _is_plain(value, depth=20):
        return False
    try:
        return len(json.dumps(value, allow_nan=False)) <= ATTRIBUTE_LIMIT
    except ValueError:  # nan, inf, ints of more than 4,300 digits
        return False


def _is_plain(value: object, depth: int) -> bool:
    """Whether JSON gives the value back equal and of the same type."""
    if value is None or type(value) in (str, int, float, bool):
        return True
    if depth == 0:
        return False
    if type(value) is list:
        return all(_is_plain(item, depth - 1) for item in value)
    return type(value) is dict and all(
        type(key) is str and _is_plain(item, depth - 1) for key, item in value.items()
    )


def _portable(state: Mapping[str, object]) -> dict[str, object]:
    return {name: value if _pickles(value) else None for name, value in state.items()}


def _pickles(value: object) -> bool:
    if value is None or isinstance(value, str | int | float):
        return True
    try:
        pickle.dumps(value)
    except Exception:  # any class may refuse in any way
        return False
    return True


def _unpickle(
    kind: type[BaseException], args: tuple[object, ...], state: Mapping[str, object]
) -> BaseException:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


def _unpickle_original(
    base: type[BaseException],
    path: str,
    args: tuple[object, ...],
    state: Mapping[str, object],
) -> BaseException:
    message = str(state.get("_nbflow_message", ""))
    error = as_original(base, path, None, message, state, args)
    if error is None:
        error = base(message)
        restore(error, state)
    return error

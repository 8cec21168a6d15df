"""What the engine asks of a step's function, found once per function."""

from collections.abc import Callable
from inspect import iscoroutine, iscoroutinefunction
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from nbflow.definition.source import function_hash, function_label, held_arguments

_MOST_FACTS = 4_096  # functions: cells are run again and again
_COROUTINE = 0x80  # inspect.CO_COROUTINE


class FunctionFacts(NamedTuple):
    """What the engine asks of a step's function, found once per function."""

    label: str
    hash: bytes
    is_async: bool
    held: tuple[Any, ...]


_facts: dict[CodeType, FunctionFacts] = {}


def function_facts(fn: Callable[..., Any]) -> FunctionFacts:
    """The facts of a function; remembered for plain ones, by their code."""
    if type(fn) is not FunctionType or fn.__dict__:
        held = held_arguments(fn)
        is_held = held if any(held) else ()
        return FunctionFacts(
            function_label(fn), function_hash(fn), is_async(fn), is_held
        )
    facts = _facts.get(fn.__code__)
    if facts is None:
        if len(_facts) > _MOST_FACTS:
            _facts.clear()
        facts = FunctionFacts(function_label(fn), function_hash(fn), is_async(fn), ())
        _facts[fn.__code__] = facts
    return facts


def refuse_coroutine(id: str, fn: object) -> None:
    """Raise for what is no function, above all a coroutine that was called already."""
    if iscoroutine(fn):
        fn.close()
        raise TypeError(
            f"step {id!r} got a coroutine object as fn: pass the function and its "
            "arguments, as in ctx.run(id, fetch, url), so that it can be called again "
            "on a retry"
        )
    if not callable(fn):
        raise TypeError(
            f"step {id!r} got {type(fn).__name__} as fn: pass a function; a value "
            "needs no step"
        )


def is_async(fn: Callable[..., Any]) -> bool:
    """Whether calling `fn` gives a coroutine: then it runs on the engine's loop."""
    if type(fn) is FunctionType:
        return bool(fn.__code__.co_flags & _COROUTINE)
    return iscoroutinefunction(fn) or iscoroutinefunction(
        getattr(fn, "__call__", None)  # noqa: B004
    )

"""Outcomes of cached steps, which other runs may use."""

from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from types import FunctionType, MethodType
from typing import Any

from nbflow import codecs
from nbflow._engine.commits import Commits
from nbflow._store.base import CacheRow
from nbflow.definition.source import definition_hash, held_arguments, unwrap


def remember(commits: Commits, key: bytes | None, n: int, idx: int) -> None:
    """Note where the outcome of a cached step is: an event of run number `n`."""
    if key is not None:
        now = commits.clock.micros()
        commits.batch.cache.append(CacheRow(key, n, idx, now))


def find(commits: Commits, key: bytes | None, age: float) -> tuple[str, bytes] | None:
    """An earlier outcome, at most `age` seconds old: its run and data."""
    if key is None:
        return None
    event = commits.store.cached(key)
    if event is None or event.at < commits.clock.micros() - age * 1e6:
        return None
    row = commits.store.run_by_number(event.run)
    return None if row is None else (row.id, event.data or b"{}")


_PLAIN = frozenset({str, bytes, int, float, complex, bool, type(None)})


def _captured(fn: Any) -> Iterator[tuple[str, Any]]:
    """Plain values that a function takes from around it, or as defaults, by name.

    As in `lambda: fetch(url)`. What can change in place, such as a list of results or
    the context, is not looked at: it may be another one at each call.
    """
    if not isinstance(fn, FunctionType):
        return
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:  # not bound yet
            continue
        if _is_plain(value):
            yield name, value
    for value in (*(fn.__defaults__ or ()), *(fn.__kwdefaults__ or {}).values()):
        if _is_plain(value):
            yield "", value


def _is_plain(value: Any) -> bool:
    return type(value) in _PLAIN or (
        type(value) is tuple and all(map(_is_plain, value))
    )


def cache_key(
    function: Callable[..., Any], mark: bytes, arguments: codecs.Arguments
) -> bytes | None:
    """What names the outcome of a cached step; None if no fingerprint tells it."""
    if not arguments.known:
        return None
    fn: Any = function
    text = codecs.fingerprint((mark, arguments.text), {}).mark
    args, kwargs = held_arguments(fn)
    while isinstance(fn, partial):
        fn = fn.func
    if isinstance(fn, MethodType) and not isinstance(fn.__self__, type):
        args = (fn.__self__, *args)
    fn = unwrap(fn)
    if not hasattr(fn, "__qualname__"):  # an object with `__call__`
        args, fn = (fn, *args), type(fn)  # what it holds decides, too
    args += tuple(_captured(fn))
    if args or kwargs:
        held = codecs.fingerprint(args, kwargs)
        if not held.known:
            return None
        text += held.mark
    # With the functions beside it that it names: an edited helper gives other values.
    name = f"{fn.__module__}.{fn.__qualname__} {definition_hash(fn)}".encode()
    return sha256(name + mark + text).digest()[:16]

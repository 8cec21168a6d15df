"""Outcomes of cached steps, which other runs may use."""

from collections.abc import Callable
from hashlib import sha256
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


def cache_key(
    function: Callable[..., Any], mark: bytes, arguments: codecs.Arguments
) -> bytes | None:
    """What names the outcome of a cached step; None if no fingerprint tells it."""
    if not arguments.known:
        return None
    fn: Any = function
    text = codecs.fingerprint((mark, arguments.text), {}).mark
    if not hasattr(fn, "__qualname__"):  # a partial, or an object with `__call__`
        args, kwargs = held_arguments(fn)
        fn = unwrap(fn)
        if not hasattr(fn, "__qualname__"):
            args, fn = (fn, *args), type(fn)  # what it holds decides, too
        held = codecs.fingerprint(args, kwargs)
        if not held.known:
            return None
        text += held.mark
    # With the functions beside it that it names: an edited helper gives other values.
    name = f"{fn.__module__}.{fn.__qualname__} {definition_hash(fn)}".encode()
    return sha256(name + mark + text).digest()[:16]

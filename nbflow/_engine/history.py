"""Look-ups in what is recorded, for messages and for decoding."""

import typing
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from nbflow import codecs
from nbflow._store.base import EventRow, RunQueries
from nbflow._store.payload import from_json
from nbflow.model import UNFINISHED_RUN, EventType

_OUTCOMES = (
    EventType.STEP_COMPLETED.value,
    EventType.STEP_FAILED.value,
    EventType.STEP_TIMED_OUT.value,
    EventType.STEP_CANCELED.value,
)


def recorded_arguments(store: RunQueries, n: int, key: str) -> str:
    """The last recorded arguments of a step, as text for a message."""
    fields: dict[str, Any] = {}
    for event in store.events(n):
        if event.step == key and event.type == EventType.STEP_STARTED:
            fields = from_json(event.data)
    args, kwargs = load_arguments(fields, store)
    return codecs.preview(args[0] if len(args) == 1 and not kwargs else (args, kwargs))


def body_retries(events: Iterable[EventRow]) -> int:
    """How often the body has failed and was tried again since the last resume."""
    count = 0
    for event in events:
        if event.type == EventType.RUN_RETRYING:
            count += 1
        elif (
            event.type == EventType.RUN_RESUMED
            and from_json(event.data).get("by") == "user"
        ):
            count = 0
    return count


def last_resume(events: Iterable[EventRow]) -> int | None:
    """When the user last resumed the run, in microseconds."""
    at = None
    for event in events:
        if (
            event.type == EventType.RUN_RESUMED
            and from_json(event.data).get("by") == "user"
        ):
            at = event.at
    return at


def pending_retry(store: RunQueries, n: int, recoveries: int) -> int | None:
    """When the body is to be tried again, if that is what the run waits for."""
    count = 10 + recoveries  # each has an event behind the one sought
    for event in reversed(store.tail(n, count)):
        if event.type == EventType.RUN_RETRYING:
            due: int | None = from_json(event.data).get("_retry_at")
            return due
        if event.type == EventType.RUN_STARTED:
            break
    return None


def open_children(
    store: RunQueries, n: int, kinds: tuple[str, ...] = ("invoke", "start")
) -> list[str]:
    """Ids of the children of those kinds that go on and end with run number `n`.

    Those of all its lives; what was invoked with `abandon=True` outlives it.
    """
    rows = [row for row in store.children(n) if row.status in UNFINISHED_RUN]
    if not rows:
        return []
    calls = {
        event.step: from_json(event.data)
        for event in store.events(n)
        if event.type == EventType.STEP_INVOKING
    }
    found = []
    for row in rows:
        call = calls.get(row.parent_step, {})
        if call.get("kind", "invoke") in kinds and not call.get("_abandon"):
            found.append(row.id)
    return found


def open_elsewhere(
    store: RunQueries, n: int, kinds: tuple[str, ...] = ("invoke", "start")
) -> list[tuple[str, str]]:
    """The same of children in other apps: app and id, as far as is known here."""
    found: dict[str, tuple[str, str]] = {}
    for event in store.events_of(n, (EventType.STEP_INVOKING.value,)):
        call = from_json(event.data)
        is_bound = call.get("kind") in kinds and not call.get("_abandon")
        if call.get("app") and is_bound and event.step is not None:
            found[event.step] = (call["app"], call["child_run_id"])
    if not found:
        return []
    for event in store.events_of(n, _OUTCOMES):
        if event.step in found and from_json(event.data).get("kind") != "start":
            del found[event.step]
    return list(found.values())


def load_arguments(
    fields: Mapping[str, Any],
    store: RunQueries,
    classes: Mapping[str, type] | None = None,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that a `step.started` holds."""
    if "_args_blob" in fields:
        text = store.get_blob(fields["_args_blob"])
        return codecs.decode_arguments(text, store.get_blob, classes)
    if "_args" in fields:
        return codecs.revive_arguments(fields["_args"], store.get_blob, classes)
    return (), {}


def annotated_classes(fn: Any) -> Mapping[str, type]:
    """Classes that a function's annotations name, by "module:qualname".

    A class that is local to a function is in no module; annotations are the one place
    where it can be found again.
    """
    try:
        return _annotated_classes(fn)
    except TypeError:  # an object with `__call__` that has no hash
        return _annotated_classes(type(fn).__call__)


@lru_cache(maxsize=1_000)
def _annotated_classes(fn: Any) -> Mapping[str, type]:
    if fn is None:
        return {}
    target = getattr(fn, "fn", fn)
    try:
        hints = typing.get_type_hints(target)
    except Exception:  # annotations are the user's expressions
        hints = getattr(target, "__annotations__", {})
    found: dict[str, type] = {}
    for hint in hints.values():
        for cls in _classes(hint):
            found[f"{cls.__module__}:{cls.__qualname__}"] = cls
    return found


def _classes(hint: Any) -> Iterator[type]:
    if isinstance(hint, type):
        yield hint
        for inner in _field_types(hint):
            if isinstance(inner, type) and inner is not hint:
                yield inner
    for part in typing.get_args(hint):
        yield from _classes(part)


def _field_types(cls: type) -> list[Any]:
    return list(getattr(cls, "__annotations__", {}).values())

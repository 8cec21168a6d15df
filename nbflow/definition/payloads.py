"""Is a payload certain to be refused? Asked where only a workflow's schema is at hand.

The schema is the one that `schemas` makes and an app's catalogue holds. It says less
than the signature, and pydantic takes more than it says: what is in doubt passes, and
is validated by the engine that starts the run. Neighbour: `inputs`, which knows all.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from nbflow.definition.shown import show
from nbflow.errors import InvalidInput

CONVERTS = "converts"
"""Key of a schema whose values a function of the user's may turn into others."""
_DEPTH = 50
_SCALARS: Mapping[str, Any] = {
    "integer": {"type": "int"},
    "number": {"type": "float"},
    "boolean": {"type": "bool"},
}
_WORDS: Mapping[str, str] = {
    "integer": "should be a whole number",
    "number": "should be a number",
    "boolean": "should be true or false",
    "string": "should be text",
    "array": "should be a list",
    "object": "should be a mapping",
    "null": "should be null",
}

_BOUNDS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "minimum": ("at least", operator.ge),
    "exclusiveMinimum": ("above", operator.gt),
    "maximum": ("at most", operator.le),
    "exclusiveMaximum": ("below", operator.lt),
}
_NO_VALUE: Any = object()

_Schema = Mapping[str, Any]
_Problem = tuple[str, Any, str]
"""Place (one as `pages[0].url`, "" for all of the input), value and rule."""


def check_payload(schema: _Schema, payload: Any, *, workflow: str) -> None:
    """Refuse a payload that no engine with this signature would take.

    Args:
        schema: the JSON schema of the workflow's input.
        payload: as it was given; None where nothing was.
        workflow: the workflow's name, for messages.

    Raises:
        InvalidInput: names the workflow and each field, value and rule.
    """
    is_fields = isinstance(schema.get("properties"), Mapping)
    if payload is None and not is_fields:
        return  # a single parameter called `input` gets None
    given = {} if payload is None else payload
    found = list(
        _of_fields(schema, given) if is_fields else _refused(schema, schema, given, "")
    )
    if found:
        told = "; ".join(_told(*each) for each in found)
        raise InvalidInput(
            f"invalid input for workflow {workflow!r}, as the app's catalogue has it: "
            f"{told}. No run was started.",
            problems={place: rule for place, _, rule in found if place},
            workflow=workflow,
        )


def _told(place: str, value: Any, rule: str) -> str:
    if value is _NO_VALUE:
        return f"field {place!r} {rule}"
    return (
        f"field {place!r} = {show(value)}: {rule}" if place else f"{show(value)} {rule}"
    )


def _of_fields(schema: _Schema, given: Any) -> Iterator[_Problem]:
    """What is certain to be refused of an input that has fields."""
    fields = schema["properties"]
    if type(given) is not dict:
        if _is_plain(given):
            names = ", ".join(fields) or "no fields"
            yield "", given, f"is no mapping of its fields ({names})"
        return
    for name in schema.get("required", ()):
        if name not in given:
            yield name, _NO_VALUE, "is missing"
    for name, value in given.items():
        if name in fields:
            yield from _refused(schema, fields[name], value, name)
        elif schema.get("additionalProperties") is False:
            near = get_close_matches(str(name), fields, n=1)
            known = ", ".join(fields) or "none"
            hint = f"did you mean {near[0]!r}?" if near else f"its fields: {known}"
            yield str(name), _NO_VALUE, f"is unknown ({hint})"


def _refused(
    root: _Schema, schema: Any, value: Any, place: str, depth: int = 0
) -> Iterator[_Problem]:
    """What is certain to be refused of a value."""
    if not isinstance(schema, Mapping) or schema.get(CONVERTS) or depth > _DEPTH:
        return
    if not _is_plain(value):
        return
    if "$ref" in schema:
        target = _resolve(root, schema["$ref"])
        yield from _refused(root, target, value, place, depth + 1)
        return
    for key in ("anyOf", "oneOf"):
        choices = schema.get(key)
        if isinstance(choices, list) and choices:
            found = [
                list(_refused(root, each, value, place, depth + 1)) for each in choices
            ]
            if all(found):
                yield _shared(found) or (place, value, "fits none of its types")
            return
    rule = _rule(schema, value)
    if rule is not None:
        yield place, value, rule
    elif type(value) is list and schema.get("type") == "array":
        for n, each in enumerate(value):
            inner = schema.get("items")
            yield from _refused(root, inner, each, f"{place}[{n}]", depth + 1)
    elif type(value) is dict and isinstance(schema.get("properties"), Mapping):
        # Names may be aliases there: only what goes by a known one is looked at.
        for name, inner in schema["properties"].items():
            if name in value:
                its = f"{place}.{name}" if place else name
                yield from _refused(root, inner, value[name], its, depth + 1)


def _shared(found: list[list[_Problem]]) -> _Problem | None:
    """The problem of the one choice that is no null."""
    real = [each[0] for each in found if each[0][2] != _WORDS["null"]]
    return real[0] if len(real) == 1 else None


def _rule(schema: _Schema, value: Any) -> str | None:
    """The rule that a value breaks for certain, whatever pydantic converts."""
    allowed = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(allowed, list) and all(type(each) is str for each in allowed):
        if value in allowed:
            return None
        return f"should be one of {', '.join(map(repr, allowed))}"
    kind = schema.get("type")
    if allowed is not None or not isinstance(kind, str) or kind not in _WORDS:
        return None
    if not _may_be(kind, value):
        return _WORDS[kind]
    return _out_of_range(schema, value) if type(value) in (int, float) else None


def _may_be(kind: str, value: Any) -> bool:
    if kind in _SCALARS:
        fits: bool = _validator(kind).isinstance_python(value)
        return fits
    if kind == "null":
        return value is None
    if kind == "array":
        return type(value) is list
    if kind == "object":
        return type(value) is dict
    return value is not None and type(value) not in (list, dict)  # numbers may be times


@cache
def _validator(kind: str) -> Any:
    from pydantic_core import SchemaValidator  # who only reads does without it

    return SchemaValidator(_SCALARS[kind])


def _out_of_range(schema: _Schema, value: float) -> str | None:
    for key, (words, is_kept) in _BOUNDS.items():
        bound = schema.get(key)
        if type(bound) in (int, float) and not is_kept(value, bound):
            return f"should be {words} {bound}"
    return None


def _is_plain(value: Any) -> bool:
    """Whether it is of a type that JSON has: nobody else's conversion takes it."""
    return value is None or type(value) in (bool, int, float, str, list, dict)


def _resolve(root: _Schema, reference: object) -> Any:
    known = root.get("$defs")
    if not isinstance(known, Mapping) or not isinstance(reference, str):
        return None
    return known.get(reference.removeprefix("#/$defs/"))

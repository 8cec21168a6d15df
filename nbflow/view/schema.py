"""JSON schemas of inputs and questions, for forms: what to begin with, what is wrong.

Pure, and only what pydantic writes: an engine validates again, with the real types, so
what is not understood here passes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

_DEPTH = 40
_NESTED = 3
"""Levels of objects whose fields are listed."""
_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_BOUNDS: tuple[tuple[str, str, Callable[[Any, Any], bool]], ...] = (
    ("minimum", "at least", lambda value, bound: value >= bound),
    ("exclusiveMinimum", "more than", lambda value, bound: value > bound),
    ("maximum", "at most", lambda value, bound: value <= bound),
    ("exclusiveMaximum", "less than", lambda value, bound: value < bound),
)


_LIMITS = (
    ("minimum", "at least"),
    ("exclusiveMinimum", "more than"),
    ("maximum", "at most"),
    ("exclusiveMaximum", "less than"),
    ("multipleOf", "a multiple of"),
)
_LENGTHS = (("minLength", "maxLength", "character"), ("minItems", "maxItems", "item"))


class Problem(NamedTuple):
    """What is wrong with one place of a value; `path` as in "pages[0].url"."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


def resolve(schema: Any, root: Schema) -> Schema:
    """A schema itself, where it only refers to a definition."""
    for _ in range(20):
        if not isinstance(schema, Mapping):
            return {}
        place = schema.get("$ref")
        if not isinstance(place, str) or not place.startswith("#/"):
            break
        found: Any = root
        for part in place[2:].split("/"):
            found = found.get(part, {}) if isinstance(found, Mapping) else {}
        schema = found
    return schema if isinstance(schema, Mapping) else {}


def branches(schema: Any, root: Schema, depth: int = 0) -> list[Schema]:
    """What a value may be: the branches of a union, else the schema itself."""
    schema = resolve(schema, root)
    some = _items(schema, "anyOf") or _items(schema, "oneOf")
    if not some or depth > _DEPTH:
        return [schema]
    return [each for branch in some for each in branches(branch, root, depth + 1)]


def choices(schema: Schema, root: Schema | None = None) -> list[Any] | None:
    """All values that there are, where they are few: of a bool, a Literal, an Enum."""
    found: list[Any] = []
    for each in branches(schema, root or schema):
        if "const" in each:
            found.append(each["const"])
        elif isinstance(each.get("enum"), list):
            found += each["enum"]
        elif each.get("type") == "boolean":
            found += [True, False]
        elif each.get("type") == "null":
            found.append(None)
        else:
            return None
    return found or None


def kind(schema: Schema, root: Schema | None = None) -> str:
    """What a schema takes, in words: "text", "a whole number or null", "a or b"."""
    root = root or schema
    known = choices(schema, root)
    if known is not None and any(isinstance(each, str) for each in known):
        shown = [each if isinstance(each, str) else _shown(each) for each in known]
        return " or ".join(shown[:8]) + (" or …" if len(shown) > 8 else "")
    words = [_word(each, root) for each in branches(schema, root)]
    return " or ".join(dict.fromkeys(words))


def rules(schema: Schema) -> list[str]:
    """The bounds of a value in words: "1 to 10", "at least 3 characters"."""
    told = []
    low, high = schema.get("minimum"), schema.get("maximum")
    if isinstance(low, int | float) and isinstance(high, int | float):
        told.append(f"{low:,} to {high:,}")
        schema = {k: schema[k] for k in schema if k not in ("minimum", "maximum")}
    for key, words in _LIMITS:
        if isinstance(schema.get(key), int | float):
            told.append(f"{words} {schema[key]:,}")
    for fewest, longest, noun in _LENGTHS:
        least, most = schema.get(fewest), schema.get(longest)
        if isinstance(least, int) and isinstance(most, int):
            told.append(f"{least:,} to {most:,} {noun}s")
        elif isinstance(least, int) and least > 0:
            told.append(f"at least {least:,} {noun}{'s' * (least != 1)}")
        elif isinstance(most, int):
            told.append(f"at most {most:,} {noun}{'s' * (most != 1)}")
    return told


def described(schema: Schema, root: Schema | None = None) -> str:
    """What a schema takes, with its bounds: "a whole number, 1 to 10"."""
    root = root or schema
    parts = [kind(schema, root)]
    for each in branches(schema, root):
        parts += rules(each)
    return ", ".join(parts)


def places(
    schema: Schema, root: Schema | None = None, path: str = "", depth: int = 0
) -> Iterator[tuple[str, Schema, bool]]:
    """The fields of an object and of those in it: path, schema, whether one must be.

    Paths are as in "page.url", and "pages[].url" for each item of a list.
    """
    root = root or schema
    found = resolve(schema, root)
    required = _items(found, "required")
    for name, each in _members(found).items():
        own = {**resolve(each, root), **_aside(each)}
        place, is_required = _field(path, str(name)), name in required
        inner = _inner(own, root) if depth < _NESTED else None
        # Of an object that must be there, its fields say all.
        if inner is None or not is_required or "properties" not in own:
            yield place, own, is_required
        if inner is not None:
            suffix, members = inner
            yield from places(members, root, f"{place}{suffix}", depth + 1)


def _inner(schema: Schema, root: Schema) -> tuple[str, Schema] | None:
    """The object that a field holds, itself or as items of a list."""
    for branch in branches(schema, root):
        if _members(branch):
            return "", branch
        items = branch.get("items")
        if isinstance(items, Mapping):
            for each in branches(items, root):
                if _members(each):
                    return "[]", each
    return None


def takes(schema: Schema, root: Schema | None = None) -> set[str]:
    """The JSON types that a schema takes; "any" where it does not say."""
    return {_type_of(each) for each in branches(schema, root or schema)}


def field(schema: Schema, name: str) -> Schema:
    """The schema of one field of an object; of an unknown one, that of anything."""
    found = resolve(schema, schema)
    return resolve(_members(found).get(name), schema)


def missing(schema: Schema, given: Mapping[str, Any]) -> list[str]:
    """The fields that must be given and are not."""
    required = _items(resolve(schema, schema), "required")
    return [str(name) for name in required if name not in given]


def fields(schema: Schema) -> Iterator[tuple[str, Schema, bool]]:
    """The fields of an object: name, schema, whether it must be given."""
    found = resolve(schema, schema)
    required = _items(found, "required")
    for name, each in _members(found).items():
        yield str(name), {**resolve(each, schema), **_aside(each)}, name in required


def example(schema: Schema, root: Schema | None = None, depth: int = 0) -> Any:
    """A value to begin with: defaults, else empty ones of the right type."""
    root = root or schema
    if isinstance(schema, Mapping) and "default" in schema:
        return schema["default"]
    found = branches(schema, root)[0]
    if "default" in found:
        return found["default"]
    if "const" in found:
        return found["const"]
    if isinstance(found.get("enum"), list) and found["enum"]:
        return found["enum"][0]
    if found.get("type") == "object" or "properties" in found:
        if depth > 5:
            return {}
        required = _items(found, "required")
        return {
            name: example(each, root, depth + 1)
            for name, each in _members(found).items()
            if name in required or "default" in _mapping(each)
        }
    empty = {"string": "", "integer": 0, "number": 0.0, "boolean": False, "array": []}
    return empty.get(str(found.get("type")))


def problems(value: Any, schema: Schema) -> list[Problem]:
    """What of a JSON value does not fit a schema; nothing, as far as can be told."""
    return list(_problems(value, schema, schema, "", 0))


def _problems(
    value: Any, schema: Any, root: Schema, path: str, depth: int
) -> Iterable[Problem]:
    if depth > _DEPTH:
        return
    schema = resolve(schema, root)
    if _items(schema, "anyOf") or _items(schema, "oneOf"):
        yield from _of_union(value, schema, root, path, depth)
        return
    for each in _items(schema, "allOf"):
        yield from _problems(value, each, root, path, depth + 1)
    allowed = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(allowed, list):
        if not any(_equal(value, each) for each in allowed):
            near = get_close_matches(str(value), map(str, allowed), n=1)
            hint = f", did you mean {near[0]}?" if near else ""
            yield Problem(path, f"{_shown(value)} is not {kind(schema, root)}{hint}")
        return
    expected = schema.get("type")
    if expected is not None and not _is_of(value, str(expected)):
        what = _WORDS.get(str(expected), str(expected))
        yield Problem(path, f"{_shown(value)} is not {what}")
        return
    if isinstance(value, Mapping):
        yield from _of_object(value, schema, root, path, depth)
    elif isinstance(value, list):
        yield from _of_list(value, schema, root, path, depth)
    else:
        yield from _of_size(value, schema, path)


def _of_union(
    value: Any, schema: Schema, root: Schema, path: str, depth: int
) -> Iterable[Problem]:
    some = branches(schema, root)
    found = [list(_problems(value, each, root, path, depth + 1)) for each in some]
    if not all(found):
        return
    # Of the same shape, so its own problems tell more than that it is none of them.
    near = [
        each
        for each, branch in zip(found, some, strict=True)
        if _is_of(value, str(branch.get("type")))
    ]
    if len(near) == 1:
        yield from near[0]
    else:
        yield Problem(path, f"{_shown(value)} is not {kind(schema, root)}")


def _of_object(
    value: Mapping[str, Any], schema: Schema, root: Schema, path: str, depth: int
) -> Iterable[Problem]:
    properties = _members(schema)
    for name in _items(schema, "required"):
        if isinstance(name, str) and name not in value:
            yield Problem(_field(path, name), "is missing")
    more = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in properties:
            yield from _problems(
                item, properties[name], root, _field(path, name), depth + 1
            )
        elif more is False:
            near = get_close_matches(name, properties, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            yield Problem(_field(path, name), f"is unknown{hint}")
        elif isinstance(more, Mapping):
            yield from _problems(item, more, root, _field(path, name), depth + 1)


def _of_list(
    value: Sequence[Any], schema: Schema, root: Schema, path: str, depth: int
) -> Iterable[Problem]:
    first = _items(schema, "prefixItems")
    rest = schema.get("items")
    for place, item in enumerate(value):
        wanted = first[place] if place < len(first) else rest
        if isinstance(wanted, Mapping):
            yield from _problems(item, wanted, root, f"{path}[{place}]", depth + 1)
    yield from _of_length(len(value), schema, "Items", "item", path)


def _of_size(value: Any, schema: Schema, path: str) -> Iterable[Problem]:
    if isinstance(value, str):
        yield from _of_length(len(value), schema, "Length", "character", path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        for name, words, holds in _BOUNDS:
            bound = schema.get(name)
            if isinstance(bound, int | float) and not holds(value, bound):
                yield Problem(path, f"{_shown(value)} is not {words} {bound}")


def _of_length(
    length: int, schema: Schema, what: str, noun: str, path: str
) -> Iterable[Problem]:
    least, most = schema.get(f"min{what}"), schema.get(f"max{what}")
    if isinstance(least, int) and length < least:
        yield Problem(path, f"needs at least {least} {noun}{'s' * (least != 1)}")
    if isinstance(most, int) and length > most:
        yield Problem(path, f"takes at most {most} {noun}{'s' * (most != 1)}")


def _type_of(schema: Schema) -> str:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(values, list) and all(isinstance(each, str) for each in values):
        return "string"
    return str(schema.get("type") or "any")


def _items(schema: Schema, name: str) -> list[Any]:
    found = schema.get(name)
    return found if isinstance(found, list) else []


def _mapping(value: Any) -> Schema:
    return value if isinstance(value, Mapping) else {}


def _members(schema: Schema) -> Schema:
    return _mapping(schema.get("properties"))


def _aside(schema: Any) -> dict[str, Any]:
    """What stands beside a reference: its default, its description."""
    return {
        k: v for k, v in _mapping(schema).items() if k in ("default", "description")
    }


def _word(schema: Schema, root: Schema) -> str:
    expected = schema.get("type")
    if expected == "array" and isinstance(schema.get("items"), Mapping):
        item = kind(schema["items"], root)
        return "a list of objects" if item == "an object" else f"a list of {item}"
    if expected is None:
        return str(schema.get("title") or "any value")
    return _WORDS.get(str(expected), str(expected))


def _is_of(value: Any, expected: str) -> bool:
    if expected == "integer":
        whole = isinstance(value, float) and value.is_integer()
        return (isinstance(value, int) and not isinstance(value, bool)) or whole
    if expected == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    known: Mapping[str, type | tuple[type, ...]] = {
        "string": str,
        "boolean": bool,
        "array": list,
        "object": Mapping,
        "null": type(None),
    }
    return isinstance(value, known.get(expected, object))


def _equal(value: Any, other: Any) -> bool:
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def _field(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"

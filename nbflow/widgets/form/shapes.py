"""From a JSON schema to what a form asks: one `Shape` a field; pure.

The schema is that of a workflow's input, as pydantic writes it. What no control fits
is asked for as JSON. Neighbour: `fields` makes controls of shapes.
"""

import datetime as dt
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from nbflow.model import safe_text
from nbflow.view.schema import rules

ABSENT: Final[Any] = type("Absent", (), {"__repr__": lambda self: "ABSENT"})()
"""No value: the field is left out."""

MAX_DEPTH = 4
"""Models inside of models that become forms; deeper ones are asked for as JSON."""

# JavaScript keeps integers up to here.
SAFE_INTEGER = 2**53 - 1
_LONG = 120
_FORMATS = {
    "date": "date",
    "date-time": "datetime",
    "time": "time",
    "password": "password",
}
_KEYS_OF_REFERENCE = ("$ref", "allOf")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a form asks for under one name."""

    name: str
    kind: str
    """integer number boolean string text password choice date datetime time json
    group"""
    required: bool = True
    optional: bool = False
    """Whether null is a value beside those of its kind."""
    default: Any = ABSENT
    hint: str = ""
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[Any, ...] = ()
    fields: "tuple[Shape, ...]" = ()
    aware: bool = True
    """Of a datetime: whether it carries a time zone."""
    extra: bool = False
    """Of a group: whether fields of other names may be given."""


def input_shape(schema: Mapping[str, Any]) -> Shape:
    """The shape of a workflow's whole input."""
    definitions = schema.get("$defs") or {}
    found = _shape("input", schema, definitions, required=True, seen=())
    if found.kind != "group" and isinstance(schema.get("properties"), Mapping):
        # Fields by name beside any others, which the form asks for as JSON.
        found = _group("input", schema, definitions, ())
    return found


def fits(shape: Shape, value: Any) -> bool:
    """Whether the shape's control can hold a value and give it back unchanged."""
    if value is ABSENT:
        return True
    if value is None and shape.optional:
        return True
    return _FITS[shape.kind](shape, value)


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same; 1 and True are not."""
    return written(left) == written(right)


def written(value: Any, indent: int | None = None) -> str:
    """A value as JSON text that shows nothing but what it says."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    if safe_text(text, multiline=True) != text:
        text = json.dumps(value, indent=indent)  # escapes instead of hidden signs
    return text


def _shape(
    name: str,
    schema: Mapping[str, Any],
    definitions: Mapping[str, Any],
    *,
    required: bool,
    seen: tuple[str, ...],
) -> Shape:
    """The shape of one field; JSON where its default or type fits no control."""
    schema, seen, is_cycle = _resolve(schema, definitions, seen)
    inner, optional = _without_null(schema)
    if optional:
        inner, seen, is_inner_cycle = _resolve(inner, definitions, seen)
        is_cycle = is_cycle or is_inner_cycle
    default = schema.get("default", ABSENT)
    kind = "json" if is_cycle else _kind(inner)
    if kind == "string" and isinstance(default, str) and "\n" in default:
        kind = "text"
    made = Shape(
        name,
        kind,
        required,
        optional,
        default,
        _hint(schema, inner, kind),
        *_bounds(inner),
        choices=_choices(inner) if kind == "choice" else (),
        aware=_aware(inner, default),
    )
    if kind == "group":
        if len(seen) > MAX_DEPTH:
            made = _as_json(made, inner)
        else:
            group = _group(name, inner, definitions, seen)
            made = replace(made, fields=group.fields)
    if optional and default is ABSENT and not required:
        made = _as_json(made, inner)  # left out, null and values: only text says all
    return made if fits(made, default) else _as_json(made, inner)


def _group(
    name: str,
    schema: Mapping[str, Any],
    definitions: Mapping[str, Any],
    seen: tuple[str, ...],
) -> Shape:
    required = schema.get("required") or ()
    fields = tuple(
        _shape(each, inner, definitions, required=each in required, seen=seen)
        for each, inner in _properties(schema).items()
    )
    return Shape(name, "group", fields=fields, extra=_is_open(schema))


def _resolve(
    schema: Any, definitions: Mapping[str, Any], seen: tuple[str, ...]
) -> tuple[Mapping[str, Any], tuple[str, ...], bool]:
    """A schema without reference; the references followed; whether one was before."""
    schema = schema if isinstance(schema, Mapping) else {}
    while True:
        parts = schema.get("allOf")
        if isinstance(parts, list) and len(parts) == 1:
            target = parts[0]
        elif "$ref" in schema:
            key = str(schema["$ref"]).rpartition("/")[2]
            key = key.replace("~1", "/").replace("~0", "~")
            if key in seen:
                return schema, seen, True
            seen = (*seen, key)
            target = definitions.get(key)
        else:
            return schema, seen, False
        own = {key: schema[key] for key in schema if key not in _KEYS_OF_REFERENCE}
        schema = {**(target if isinstance(target, Mapping) else {}), **own}


def _without_null(schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """The schema of what is not null, and whether null is allowed beside it."""
    options = schema.get("anyOf")
    if not isinstance(options, list):
        return schema, False
    others = [each for each in options if each != {"type": "null"}]
    if len(others) == len(options) or not others:
        return schema, False
    inner = others[0] if len(others) == 1 else {"anyOf": others}
    kept = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**kept, **inner} if isinstance(inner, Mapping) else kept, True


def _kind(schema: Mapping[str, Any]) -> str:
    if "const" in schema or isinstance(schema.get("enum"), list):
        return "choice" if schema.get("enum", [0]) else "json"
    if _is_decimal(schema):
        return "string"
    match schema.get("type"):
        case "integer" | "number" | "boolean" as kind:
            return str(kind)
        case "string":
            found = _FORMATS.get(str(schema.get("format")), "string")
            is_long = found == "string" and (schema.get("maxLength") or 0) > _LONG
            return "text" if is_long else found
        case "object" if _properties(schema) and not _is_open(schema):
            return "group"
    return "json"


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, Mapping) else {}


def _is_open(schema: Mapping[str, Any]) -> bool:
    return schema.get("additionalProperties") not in (None, False)


def _is_decimal(schema: Mapping[str, Any]) -> bool:
    """Whether it is a `Decimal`: written as text, to lose nothing."""
    return schema.get("format") == "decimal"


def _choices(schema: Mapping[str, Any]) -> tuple[Any, ...]:
    return (schema["const"],) if "const" in schema else tuple(schema["enum"])


def _aware(schema: Mapping[str, Any], default: Any) -> bool:
    zone = schema.get("timezone")
    if zone in ("naive", "aware"):
        return bool(zone == "aware")
    moment = _parsed(dt.datetime.fromisoformat, default)
    return moment is None or moment.tzinfo is not None


def _bounds(
    schema: Mapping[str, Any],
) -> tuple[float | None, float | None, float | None]:
    """Lowest and highest value and step; a float's open bounds are left to the rule."""
    low, high = schema.get("minimum"), schema.get("maximum")
    limit: float = sys.float_info.max
    if schema.get("type") == "integer":
        limit = SAFE_INTEGER
        if low is None and "exclusiveMinimum" in schema:
            low = schema["exclusiveMinimum"] + 1
        if high is None and "exclusiveMaximum" in schema:
            high = schema["exclusiveMaximum"] - 1
    low = low if low is not None and abs(low) <= limit else None
    high = high if high is not None and abs(high) <= limit else None
    if low is not None and high is not None and low > high:
        low = high = None  # no value keeps both: the rule will say so
    step = schema.get("multipleOf")
    return low, high, step if step is not None and abs(step) <= limit else None


def _as_json(shape: Shape, schema: Mapping[str, Any]) -> Shape:
    own = shape.hint if shape.kind == "json" else _hint(schema, schema, "json")
    hint = own if not shape.hint or own.startswith(shape.hint) else shape.hint
    return replace(shape, kind="json", fields=(), choices=(), hint=hint)


def _hint(outer: Mapping[str, Any], schema: Mapping[str, Any], kind: str) -> str:
    """What a field is for, and its rules, in one line."""
    told = outer.get("description") or schema.get("description")
    # A model's docstring tells of the model; pydantic indents what it takes of it.
    parts = [" ".join(str(told).split())] if told else []
    parts += list(_rules(schema, kind))
    return " · ".join(parts)


def _rules(schema: Mapping[str, Any], kind: str) -> list[str]:
    told = rules(schema)
    if kind == "string" and isinstance(schema.get("pattern"), str):
        told.append(f"matches {schema['pattern']}")
    if kind == "json":
        told.append(_JSON_WORDS.get(str(schema.get("type")), "JSON"))
    elif kind == "string" and schema.get("format") in _FORMAT_WORDS:
        told.append(_FORMAT_WORDS[schema["format"]])
    elif kind == "string" and _is_decimal(schema):
        told.append("decimal number")
    return told


_JSON_WORDS = {
    "array": 'JSON list, as in ["a", "b"]',
    "object": 'JSON object, as in {"a": 1}',
    "string": 'JSON text, in "quotes"',
}
_FORMAT_WORDS = {
    "path": "path",
    "uuid": "UUID",
    "duration": "duration, as in PT1H30M",
    "binary": "bytes, as text",
}


# Which values a control gives back as they are


def _fits_integer(shape: Shape, value: Any) -> bool:
    if type(value) is not int or abs(value) > SAFE_INTEGER:
        return False
    return _is_within(shape, value)


def _fits_number(shape: Shape, value: Any) -> bool:
    if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
        return False
    return float(value) == value and _is_within(shape, value)


def _is_within(shape: Shape, value: float) -> bool:
    return (shape.low is None or value >= shape.low) and (
        shape.high is None or value <= shape.high
    )


def _fits_string(shape: Shape, value: Any) -> bool:
    return isinstance(value, str) and safe_text(value) == value


def _fits_text(shape: Shape, value: Any) -> bool:
    return isinstance(value, str) and safe_text(value, multiline=True) == value


def _fits_choice(shape: Shape, value: Any) -> bool:
    return any(same(each, value) for each in shape.choices)


def _fits_date(shape: Shape, value: Any) -> bool:
    return _parsed(dt.date.fromisoformat, value) is not None


def _fits_time(shape: Shape, value: Any) -> bool:
    moment = _parsed(dt.time.fromisoformat, value)
    return moment is not None and moment.tzinfo is None


def _fits_datetime(shape: Shape, value: Any) -> bool:
    moment = _parsed(dt.datetime.fromisoformat, value)
    return moment is not None and (moment.tzinfo is not None) == shape.aware


def _fits_group(shape: Shape, value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    fields = {each.name: each for each in shape.fields}
    return all(name in fields and fits(fields[name], value[name]) for name in value)


def _parsed(parse: Callable[[str], Any], value: Any) -> Any:
    try:
        return parse(value) if isinstance(value, str) else None
    except ValueError:
        return None


_FITS: Mapping[str, Callable[[Shape, Any], bool]] = {
    "integer": _fits_integer,
    "number": _fits_number,
    "boolean": lambda shape, value: isinstance(value, bool),
    "string": _fits_string,
    "text": _fits_text,
    "password": _fits_string,
    "choice": _fits_choice,
    "date": _fits_date,
    "datetime": _fits_datetime,
    "time": _fits_time,
    "json": lambda shape, value: True,
    "group": _fits_group,
}

KINDS = frozenset(_FITS)
"""Each has a control in `controls`, but for groups, which `fields` makes."""

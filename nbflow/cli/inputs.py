"""A workflow's input out of `-i field=value` and `--input`."""

import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbflow.cli.failures import Usage
from nbflow.errors import InvalidInput

Schema = Mapping[str, Any]


def read_input(fields: Sequence[str], whole: str | None, schema: Schema) -> Any:
    """The payload to invoke a workflow with; None when nothing was given.

    Args:
        fields: texts "field=value"; they win over `whole`.
        whole: JSON, "@file" or "-" for standard input.
        schema: the workflow's `input_schema`, which says what is text.

    Raises:
        Usage: naming the argument and what is wrong with it.
    """
    payload = None if whole is None else read_json(whole, "--input")
    if not fields:
        return payload
    if payload is None:
        payload = {}
    if not isinstance(payload, dict):
        raise Usage(
            f"-i {fields[0]}: --input is no object, so it takes no fields: give one "
            "or the other"
        )
    return payload | dict(_field(text, schema) for text in fields)


def _field(text: str, schema: Schema) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Usage(f"-i {text}: give a field and its value, as in -i depth=2")
    known = _resolve(schema, schema).get("properties", {}).get(name, {})
    if _is_text(known, schema):
        return name, value
    try:
        return name, json.loads(value)
    except ValueError:
        if _takes(known, schema, "string"):
            return name, value
    raise Usage(
        f"-i {name}={value}: the value is no JSON, and {name!r} is "
        f"{_expected(known, schema)}. Quote JSON for the shell, as in "
        f"-i '{name}={_example(known, schema)}'"
    )


@contextmanager
def naming_fields(payload: Any, schema: Schema) -> Iterator[None]:
    """Say how to type the fields that an input lacks, where it is refused.

    Args:
        payload: what `read_input` gave.
        schema: the workflow's `input_schema`.

    Raises:
        Usage: the refusal, and the arguments to add.
    """
    try:
        yield
    except InvalidInput as error:
        given = payload if isinstance(payload, dict) else {}
        known = _resolve(schema, schema)
        lacking = [name for name in known.get("required", ()) if name not in given]
        if not lacking or not (payload is None or isinstance(payload, dict)):
            raise
        words = " ".join(_to_type(name, known, schema) for name in lacking)
        raise Usage(f"{error} Add {words}") from None


def _to_type(name: str, known: Schema, root: Schema) -> str:
    field = known.get("properties", {}).get(name, {})
    kind = _expected(field, root)
    return f"-i {shlex.quote(name)}=…" + (
        "" if kind == "of type any" else f" ({kind.removeprefix('of type ')})"
    )


def read_json(text: str, source: str) -> Any:
    """A value given as JSON, as "@file", or as "-" for standard input.

    Raises:
        Usage: naming `source` and what is wrong with it.
    """
    if text == "-":
        source, text = "standard input", _read_stdin()
    elif text.startswith("@"):
        name = text[1:]
        try:
            text = Path(name).expanduser().read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise Usage(f"{source} @{name}: the file cannot be read: {why}") from None
        source = name
    try:
        return json.loads(text)
    except ValueError as error:
        raise Usage(f"{source} is no JSON: {error}") from None
    except RecursionError:
        raise Usage(f"{source} is nested too deeply: flatten it") from None


def _read_stdin() -> str:
    try:
        return sys.stdin.read().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Usage(f"standard input is no text: {error}") from None


def _resolve(schema: Schema, root: Schema) -> Schema:
    for _ in range(20):
        place = schema.get("$ref")
        if not isinstance(place, str) or not place.startswith("#/"):
            break
        found: Any = root
        for part in place[2:].split("/"):
            found = found.get(part, {}) if isinstance(found, Mapping) else {}
        schema = found
    return schema


def _options(schema: Schema, root: Schema) -> list[Schema]:
    """What a value may be: the branches of a union, else the schema itself."""
    schema = _resolve(schema, root)
    branches = schema.get("anyOf") or schema.get("oneOf")
    if not branches:
        return [schema]
    return [each for branch in branches for each in _options(branch, root)]


def _types(schema: Schema) -> set[str]:
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        if all(isinstance(value, str) for value in values):
            return {"string"}
    kind = schema.get("type")
    # No type at all: anything, text among it.
    return {str(kind)} if kind else {"any"}


def _is_text(schema: Schema, root: Schema) -> bool:
    """Whether a field takes text and nothing else but null."""
    kinds = set().union(*map(_types, _options(schema, root)))
    return "string" in kinds and kinds <= {"string", "null"}


def _takes(schema: Schema, root: Schema, kind: str) -> bool:
    kinds = set().union(*map(_types, _options(schema, root)))
    return bool(kinds & {kind, "any"})


def _expected(schema: Schema, root: Schema) -> str:
    kinds = sorted(set().union(*map(_types, _options(schema, root))))
    return "of type " + " or ".join(kinds)


def _example(schema: Schema, root: Schema) -> str:
    kinds = set().union(*map(_types, _options(schema, root)))
    for kind, text in (
        ("array", '["a", "b"]'),
        ("object", '{"a": 1}'),
        ("boolean", "true"),
        ("integer", "3"),
    ):
        if kind in kinds:
            return text
    return "1.5"

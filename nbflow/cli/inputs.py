"""A workflow's input out of `-i field=value` and `--input`."""

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbflow.cli.failures import Usage
from nbflow.errors import InvalidInput
from nbflow.view import schema as schemas
from nbflow.view.schema import Schema


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
    known = schemas.field(schema, name)
    if _is_text(known, schema):
        return name, value
    try:
        return name, json.loads(value)
    except ValueError:
        if schemas.takes(known, schema) & {"string", "any"}:
            return name, value
    raise Usage(
        f"-i {name}={value}: the value is no JSON, and {name!r} is "
        f"{schemas.kind(known, schema)}. Quote JSON for the shell, as in "
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
        lacking = schemas.missing(schema, given)
        if not lacking or not (payload is None or isinstance(payload, dict)):
            raise
        words = " ".join(_to_type(name, schema) for name in lacking)
        raise Usage(f"{error} Add {words}") from None


def _to_type(name: str, schema: Schema) -> str:
    known = schemas.field(schema, name)
    word = f"-i {shlex.quote(name)}=…"
    if "any" in schemas.takes(known, schema):
        return word
    return f"{word} ({schemas.kind(known, schema)})"


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


def _is_text(known: Schema, root: Schema) -> bool:
    """Whether a field takes text and nothing else but null."""
    kinds = schemas.takes(known, root)
    return "string" in kinds and kinds <= {"string", "null"}


def _example(known: Schema, root: Schema) -> str:
    kinds = schemas.takes(known, root)
    for kind, text in (
        ("array", '["a", "b"]'),
        ("object", '{"a": 1}'),
        ("boolean", "true"),
        ("integer", "3"),
    ):
        if kind in kinds:
            return text
    return "1.5"

"""Which `-i` values are text and which are JSON."""

import datetime as dt
import enum
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, TypeAdapter

from nbflow.cli.failures import Usage
from nbflow.cli.inputs import naming_fields, read_input
from nbflow.errors import InvalidInput


class Color(enum.Enum):
    RED = "red"


class Point(BaseModel):
    x: int


def schema_of(annotation: Any) -> dict[str, Any]:
    class Input(BaseModel):
        value: annotation

    return TypeAdapter(Input).json_schema()


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (str, "42", "42"),
        (str, "null", "null"),
        (str | None, "42", "42"),
        (int, "42", 42),
        (bool, "true", True),
        (float, "1.5", 1.5),
        (list[str], '["a"]', ["a"]),
        (int | str, "42", 42),
        (int | str, "abc", "abc"),
        (dt.date, "2026-01-01", "2026-01-01"),
        (Color, "red", "red"),
        (Literal["a", "b"], "a", "a"),
        (Literal[1, 2], "1", 1),
        (Point, '{"x": 1}', {"x": 1}),
        (Any, "42", 42),
        (Any, "some text", "some text"),
        (str, "a=b", "a=b"),
    ],
)
def test_a_value_is_read_by_its_type(annotation: Any, text: str, value: Any) -> None:
    assert read_input([f"value={text}"], None, schema_of(annotation)) == {
        "value": value
    }


@pytest.mark.parametrize("annotation", [int, bool, list[str], Point, dict[str, int]])
def test_text_for_another_type_is_refused(annotation: Any) -> None:
    with pytest.raises(Usage, match="is no JSON"):
        read_input(["value=abc"], None, schema_of(annotation))


def test_unknown_fields_are_left_to_the_workflow() -> None:
    assert read_input(["other=x"], None, schema_of(int)) == {"other": "x"}


def test_nothing_is_no_input() -> None:
    assert read_input([], None, {}) is None
    assert read_input([], "[1]", {}) == [1]


def test_a_byte_order_mark_is_no_part_of_the_json(tmp_path: Path) -> None:
    path = tmp_path / "given.json"
    path.write_text('{"x": 1}', encoding="utf-8-sig")
    assert read_input([], f"@{path}", {}) == {"x": 1}


def test_json_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(Usage, match="nested too deeply"):
        read_input([], "[" * 100_000, {})


@pytest.mark.parametrize(
    ("annotation", "added"),
    [
        (int, "Add -i value=… (a whole number)"),
        (int | None, "Add -i value=… (a whole number or null)"),
        (list[str], "Add -i value=… (a list of text)"),
        (Any, "Add -i value=…"),
    ],
)
def test_what_is_missing_is_named_as_it_is_typed(annotation: Any, added: str) -> None:
    with (
        pytest.raises(Usage, match="No value.") as told,
        naming_fields(None, schema_of(annotation)),
    ):
        raise InvalidInput("No value.")
    assert str(told.value) == f"No value. {added}"


@pytest.mark.parametrize("payload", [{"value": "x"}, [1]])
def test_what_is_wrong_in_another_way_stays_as_it_is(payload: Any) -> None:
    with pytest.raises(InvalidInput), naming_fields(payload, schema_of(int)):
        raise InvalidInput("It is wrong.")

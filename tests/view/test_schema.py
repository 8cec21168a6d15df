"""Forms out of JSON schemas, as pydantic writes them."""

import json
from enum import Enum
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from nbflow.view.schema import (
    choices,
    described,
    example,
    fields,
    kind,
    places,
    problems,
)


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Page(BaseModel):
    url: str = Field(min_length=1)
    depth: int = Field(default=2, ge=0, le=9)


class Job(BaseModel):
    model_config = {"extra": "forbid"}
    pages: list[Page]
    color: Color = Color.RED
    note: str | None = None
    weights: dict[str, float] = {}
    pair: tuple[int, str] = (1, "a")


def schema_of(kind_of: Any) -> dict[str, Any]:
    return TypeAdapter(kind_of).json_schema()


def told(value: Any, kind_of: Any) -> list[str]:
    return [str(each) for each in problems(value, schema_of(kind_of))]


def test_a_good_value_has_no_problems() -> None:
    good = {"pages": [{"url": "a"}], "note": None, "weights": {"a": 1}, "pair": [1, ""]}
    assert told(good, Job) == []


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({}, "pages: is missing"),
        ({"pages": 3}, "pages: 3 is not a list"),
        ({"pages": [{"url": ""}]}, "pages[0].url: needs at least 1 character"),
        ({"pages": [{"url": 1}]}, "pages[0].url: 1 is not text"),
        (
            {"pages": [{"url": "a", "depth": 10}]},
            "pages[0].depth: 10 is not at most 9",
        ),
        (
            {"pages": [{"url": "a", "depth": True}]},
            "pages[0].depth: true is not a whole number",
        ),
        ({"pages": [], "pagse": 1}, "pagse: is unknown, did you mean 'pages'?"),
        (
            {"pages": [], "color": "rde"},
            "color: 'rde' is not red or blue, did you mean red?",
        ),
        ({"pages": [], "note": 4}, "note: 4 is not text or null"),
        ({"pages": [], "weights": {"a": "b"}}, "weights.a: 'b' is not a number"),
        ({"pages": [], "pair": ["x", "y"]}, "pair[0]: 'x' is not a whole number"),
        ([], "[] is not an object"),
    ],
)
def test_a_problem_names_place_value_and_rule(value: Any, problem: str) -> None:
    assert told(value, Job) == [problem]


def test_all_problems_are_told_at_once() -> None:
    assert len(told({"pages": [{}, {"url": 1}], "color": 5, "x": 1}, Job)) == 4


def test_choices_are_buttons() -> None:
    assert choices(schema_of(bool)) == [True, False]
    assert choices(schema_of(Color)) == ["red", "blue"]
    assert choices(schema_of(Literal["a", 2])) == ["a", 2]
    assert choices(schema_of(Literal["a"] | None)) == ["a", None]
    assert choices(schema_of(str)) is None
    assert choices(schema_of(bool | int)) is None
    assert choices(schema_of(Job)) is None


def test_a_type_is_said_in_words() -> None:
    assert kind(schema_of(int | None)) == "a whole number or null"
    assert kind(schema_of(Literal["a", "b"])) == "a or b"
    assert kind(schema_of(list[str])) == "a list of text"
    assert kind({}) == "any value"


def test_an_example_has_the_defaults_and_empty_required_fields() -> None:
    assert example(schema_of(Job)) == {
        "pages": [],
        "color": "red",
        "note": None,
        "weights": {},
        "pair": [1, "a"],
    }
    assert example(schema_of(Page)) == {"url": "", "depth": 2}
    assert example(schema_of(Literal["x", "y"])) == "x"


def test_fields_are_listed_with_what_must_be_given() -> None:
    listed = [(name, needed) for name, _, needed in fields(schema_of(Page))]
    assert listed == [("url", True), ("depth", False)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-20, 20) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["pages", "url", "depth", "color", "x"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(json_values, st.sampled_from([Job, Page, Color, bool, int | None, list[Page]]))
def test_what_pydantic_takes_as_it_is_has_no_problems(value: Any, type_of: Any) -> None:
    try:
        TypeAdapter(type_of).validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return
    assert told(value, type_of) == []


WORDS = [
    "type",
    "properties",
    "required",
    "anyOf",
    "allOf",
    "items",
    "enum",
    "const",
    "prefixItems",
    "default",
    "additionalProperties",
    "minLength",
    "minimum",
    "$ref",
    "$defs",
    "a",
]
odd_schemas = st.recursive(
    st.none() | st.integers(0, 3) | st.sampled_from(["object", "array", "#/$defs/a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values, st.dictionaries(st.sampled_from(WORDS), odd_schemas, max_size=6))
def test_no_schema_however_odd_makes_it_fail(value: Any, schema: Any) -> None:
    problems(value, schema)
    choices(schema)
    kind(schema)
    list(fields(schema))
    example(schema)


def test_a_schema_that_refers_to_itself_ends() -> None:
    loop = {"$ref": "#/$defs/A", "$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}]}}}
    assert problems(1, loop) == []
    union = {"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}]}}}
    assert choices(union) is None


class Order(BaseModel):
    """Something in which the fields of others are."""

    who: Page
    count: int = Field(ge=1, le=10)
    share: float = Field(default=0.5, gt=0, lt=1)
    tags: list[str] = Field(default=[], max_length=3)
    pages: list[Page] = []
    other: Page | None = None


def test_hints_name_each_field_by_its_path_with_its_bounds() -> None:
    schema = schema_of(Order)
    told = [
        (path, described(each, schema), is_required)
        for path, each, is_required in places(schema)
    ]
    assert told == [
        ("who.url", "text, at least 1 character", True),
        ("who.depth", "a whole number, 0 to 9", False),
        ("count", "a whole number, 1 to 10", True),
        ("share", "a number, more than 0, less than 1", False),
        ("tags", "a list of text, at most 3 items", False),
        ("pages", "a list of objects", False),
        ("pages[].url", "text, at least 1 character", True),
        ("pages[].depth", "a whole number, 0 to 9", False),
        ("other", "an object or null", False),
        ("other.url", "text, at least 1 character", True),
        ("other.depth", "a whole number, 0 to 9", False),
    ]


class Knot(BaseModel):
    name: str
    below: "list[Knot]" = []


def test_hints_of_what_holds_itself_come_to_an_end() -> None:
    found = [path for path, _, _ in places(schema_of(Knot))]
    assert found[:4] == ["name", "below", "below[].name", "below[].below"]
    assert len(found) == 8

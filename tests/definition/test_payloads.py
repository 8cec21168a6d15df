"""What a workflow's schema alone refuses, and what only its signature can."""

import dataclasses
import datetime as dt
import enum
from decimal import Decimal
from typing import Annotated, Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from nbflow.definition.inputs import InputModel
from nbflow.definition.payloads import check_payload
from nbflow.errors import InvalidInput


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Grade(enum.Enum):
    A = "a"

    @classmethod
    def _missing_(cls, value: object) -> "Grade":
        return cls.A


class Page(BaseModel):
    model_config = ConfigDict(populate_by_name=True, coerce_numbers_to_str=True)
    url: str = Field(alias="address")
    depth: int = 1
    inner: Optional["Page"] = None


class Span(BaseModel):
    model_config = ConfigDict(ser_json_timedelta="float")
    time: dt.timedelta


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


async def plain(ctx: Any, name: str, copies: int = 1) -> None: ...
async def lax(ctx: Any, x: Annotated[int, BeforeValidator(lambda _: 1)]) -> None: ...
async def even(ctx: Any, x: Annotated[int, AfterValidator(abs)]) -> None: ...
async def whole(ctx: Any, input: list[int]) -> None: ...
async def whole_page(ctx: Any, input: Page) -> None: ...
async def more(ctx: Any, a: int = 1, **more: float) -> None: ...
async def bounded(ctx: Any, x: Annotated[int, Field(ge=1, lt=9)]) -> None: ...
async def optional(ctx: Any, x: int | None, y: Literal["a", "b"] = "a") -> None: ...
async def pages(ctx: Any, pages: list[Page], size: Size = Size.SMALL) -> None: ...
async def rest(
    ctx: Any,
    at: dt.datetime | None = None,
    grade: Grade = Grade.A,
    d: Decimal = Decimal(1),
    span: Span | None = None,
    point: Point | None = None,
    tags: set[str] | frozenset[int] | None = None,
    table: dict[str, list[int]] | None = None,
    flag: bool = False,
    pair: tuple[int, str] | None = None,
    raw: bytes = b"",
) -> None: ...


FUNCTIONS = [plain, lax, even, whole, whole_page, more, bounded, optional, pages, rest]


def problems(fn: Any, payload: Any) -> dict[str, str]:
    try:
        check_payload(InputModel(fn).input_schema, payload, workflow=fn.__name__)
    except InvalidInput as error:
        return error.problems or {"": str(error)}
    return {}


@pytest.mark.parametrize(
    ("fn", "payload", "place", "rule"),
    [
        (plain, None, "name", "is missing"),
        (plain, {"nam": "x", "name": "x"}, "nam", "is unknown (did you mean 'name'?)"),
        (plain, {"name": "x", "copies": "y"}, "copies", "should be a whole number"),
        (plain, {"name": "x", "copies": 1.5}, "copies", "should be a whole number"),
        (plain, {"name": None}, "name", "should be text"),
        (bounded, {"x": 0}, "x", "should be at least 1"),
        (bounded, {"x": 9}, "x", "should be below 9"),
        (optional, {"x": "y"}, "x", "should be a whole number"),
        (optional, {"x": 1, "y": "c"}, "y", "should be one of 'a', 'b'"),
        (pages, {"pages": {}}, "pages", "should be a list"),
        (pages, {"pages": [{"depth": []}]}, "pages[0].depth", "whole number"),
        (pages, {"pages": [], "size": "xl"}, "size", "should be one of 's', 'l'"),
        (rest, {"flag": "perhaps"}, "flag", "should be true or false"),
        (rest, {"point": {"x": "far"}}, "point.x", "should be a number"),
    ],
)
def test_what_no_engine_would_take_is_named(
    fn: Any, payload: Any, place: str, rule: str
) -> None:
    found = problems(fn, payload)
    assert list(found) == [place]
    assert rule in found[place]
    with pytest.raises(InvalidInput):
        InputModel(fn).validate_payload(payload)


def test_the_message_names_workflow_field_value_and_rule() -> None:
    schema = InputModel(plain).input_schema
    with pytest.raises(InvalidInput) as caught:
        check_payload(schema, {"copies": "y"}, workflow="plain")
    assert str(caught.value) == (
        "invalid input for workflow 'plain', as the app's catalogue has it: field "
        "'name' is missing; field 'copies' = 'y': should be a whole number. No run was "
        "started."
    )
    with pytest.raises(InvalidInput, match=r"7 is no mapping of its fields \(name, c"):
        check_payload(schema, 7, workflow="plain")


@pytest.mark.parametrize(
    ("fn", "payload"),
    [
        (lax, {"x": "long"}),
        (plain, {"name": "x", "copies": "12"}),
        (plain, {"name": "x", "copies": 2.0}),
        (whole, None),
        (whole, ["1", 2]),
        (whole_page, {"url": "x"}),
        (more, {"a": "1", "b": "2"}),
        (pages, {"pages": [{"url": 7}], "size": Size.LARGE}),
        (pages, {"pages": [Page(url="x")]}),
        (rest, {"at": 17, "grade": "z", "d": "1.5", "span": {"time": "PT1S"}}),
        (rest, {"tags": ["a"], "pair": [1, "x"], "flag": "yes", "raw": "x"}),
    ],
)
def test_what_pydantic_converts_passes(fn: Any, payload: Any) -> None:
    assert problems(fn, payload) == {}
    InputModel(fn).validate_payload(payload)


ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.floats(),
    st.sampled_from(["", "1", "a", "s", "1.0", "true", "2026-01-01", "PT1S", " 2 "]),
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["x", "y", "url", "address", "depth", "inner", "time"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("fn", FUNCTIONS)
@given(data=st.data())
def test_nothing_is_refused_that_an_engine_would_take(fn: Any, data: Any) -> None:
    model = InputModel(fn)
    names = [field.name for field in model.fields]
    fields = st.dictionaries(st.sampled_from([*names, "other"]), VALUES, max_size=4)
    payload = data.draw(VALUES if model.whole else st.one_of(fields, VALUES))
    if problems(fn, payload):
        with pytest.raises(InvalidInput):
            model.validate_payload(payload)


def test_a_schema_of_a_stranger_does_no_harm() -> None:
    endless = {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}
    for schema in (endless, {"type": 7}, {"$ref": []}, {"anyOf": [7, None]}, {}):
        check_payload(schema, {"x": 1}, workflow="w")

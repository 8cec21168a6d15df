"""Fields: which control for which type, and any value back from its form."""

import dataclasses
import datetime as dt
import decimal
import enum
import json
import pathlib
import uuid
from typing import Annotated, Any, Literal

import ipywidgets
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, NaiveDatetime, SecretStr

from nbflow.definition.inputs import InputModel
from nbflow.widgets.elements import tree
from nbflow.widgets.form.fields import Group
from nbflow.widgets.form.shapes import Shape, input_shape

HOSTILE = "<img src=x onerror=alert(1)> $x^2$"


class Mode(enum.Enum):
    FAST = "fast"
    CAREFUL = "careful"


class Source(BaseModel):
    url: str = Field("https://example.org", description="where the table is")
    since: dt.date = dt.date(2026, 1, 1)
    tries: int = Field(3, ge=0, le=9)


class Node(BaseModel):
    name: str = ""
    below: list["Node"] = []
    next: "Node | None" = None


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.5


def shape_of(annotation: Any, default: Any = ...) -> Shape:
    """The shape of one parameter."""
    if default is ...:

        async def fn(ctx, x): ...
    else:

        async def fn(ctx, x=default): ...

    fn.__annotations__ = {"x": annotation}
    (shape,) = input_shape(InputModel(fn).input_schema).fields
    return shape


def control_of(annotation: Any, default: Any = ...) -> Any:
    """The widget of one parameter."""
    group = Group(Shape("", "group", fields=(shape_of(annotation, default),)))
    return group.fields["x"]._control.widget


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (int, ipywidgets.IntText),
        (Annotated[int, Field(ge=1, le=5)], ipywidgets.BoundedIntText),
        (Annotated[int, Field(gt=1)], ipywidgets.BoundedIntText),
        (float, ipywidgets.FloatText),
        (Annotated[float, Field(le=2.5)], ipywidgets.BoundedFloatText),
        (bool, ipywidgets.Checkbox),
        (str, ipywidgets.Text),
        (Annotated[str, Field(max_length=5_000)], ipywidgets.Textarea),
        (SecretStr, ipywidgets.Password),
        (Literal["a", 1, True], ipywidgets.Dropdown),
        (Mode, ipywidgets.Dropdown),
        (dt.date, ipywidgets.DatePicker),
        (dt.datetime, ipywidgets.DatetimePicker),
        (NaiveDatetime, ipywidgets.NaiveDatetimePicker),
        (dt.time, ipywidgets.TimePicker),
        (pathlib.Path, ipywidgets.Text),
        (decimal.Decimal, ipywidgets.Text),
        (uuid.UUID, ipywidgets.Text),
        (list[int], ipywidgets.Textarea),
        (dict[str, int], ipywidgets.Textarea),
        (int | str, ipywidgets.Textarea),
        (Any, ipywidgets.Textarea),
        (Source, ipywidgets.VBox),
        (Point, ipywidgets.VBox),
        (int | None, ipywidgets.IntText),
        (Mode | None, ipywidgets.Dropdown),
    ],
)
def test_each_type_has_its_control(annotation, kind):
    assert type(control_of(annotation)) is kind


def test_bounds_are_the_controls_own():
    control = control_of(Annotated[int, Field(gt=1, le=5, multiple_of=2)])
    assert (control.min, control.max, control.step) == (2, 5, 2)
    assert control.value == 2


def test_a_default_that_no_control_can_hold_is_shown_as_json():
    assert type(control_of(int, 2**60)) is ipywidgets.Textarea
    assert type(control_of(Annotated[int, Field(le=5)], 9)) is ipywidgets.Textarea
    assert type(control_of(str, "\x1b[31m")) is ipywidgets.Textarea
    assert control_of(str, "\x1b[31m").value == '"\\u001b[31m"'
    assert type(control_of(str, "two\nlines")) is ipywidgets.Textarea


def test_a_naive_default_is_asked_for_without_a_time_zone():
    kind = type(control_of(dt.datetime, dt.datetime(2026, 1, 1)))
    assert kind is ipywidgets.NaiveDatetimePicker


def test_models_of_themselves_end_in_json():
    form = Group(Shape("", "group", fields=(shape_of(Node),)))
    node = form.fields["x"]._control
    assert isinstance(node, Group)
    assert type(node.fields["next"]._control.widget) is ipywidgets.Textarea
    value = {"name": "a", "below": [{"name": "b"}], "next": {"name": "c"}}
    form.set({"x": value})
    assert form.get() == {"x": value}


def test_hostile_names_and_texts_are_text():
    schema = {
        "type": "object",
        "required": ["menu"],
        "properties": {
            HOSTILE: {
                "type": "string",
                "description": HOSTILE + "\x1b\u202e",
                "default": HOSTILE,
            },
            "menu": {"enum": [HOSTILE, "\u202e", ""], "description": "x" * 9_999},
        },
    }
    group = Group(input_shape(schema))
    group.tell({HOSTILE: HOSTILE + "\n\x00", "menu": "\ud800"})
    for each in tree(group.widget):
        assert not isinstance(each, ipywidgets.HTML | ipywidgets.HTMLMath)
        for trait in ("value", "description", "tooltip"):
            text = getattr(each, trait, None)
            if isinstance(text, str):
                assert text.isprintable()
                text.encode()
        if isinstance(each, ipywidgets.Label):
            assert "mathjax_ignore" in each._dom_classes
        if isinstance(each, ipywidgets.Dropdown):
            assert all(label.isprintable() for label in each._options_labels)
    assert group.get() == {HOSTILE: HOSTILE, "menu": HOSTILE}


# Any input of a family of types

_TEXT = st.text(max_size=12).filter(lambda t: t.isprintable() or t.isascii())
_LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (Annotated[int, Field(ge=-3, le=7)], st.integers(-3, 7)),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (Annotated[float, Field(ge=0)], st.floats(0, 1e9)),
    (bool, st.booleans()),
    (str, _TEXT),
    (Literal["a", 1, True, None], st.sampled_from(["a", 1, True, None])),
    (Mode, st.sampled_from(Mode)),
    (dt.date, st.dates()),
    (dt.datetime, st.datetimes()),
    (dt.datetime, st.datetimes(timezones=st.just(dt.UTC))),
    (dt.time, st.times()),
    (dt.timedelta, st.timedeltas(dt.timedelta(-9_999), dt.timedelta(9_999))),
    (uuid.UUID, st.uuids()),
    (decimal.Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=3)),
    (Any, st.recursive(st.none() | st.integers() | _TEXT, st.lists, max_leaves=5)),
    (int | str, st.integers() | _TEXT),
]


def _containers(inner: Any) -> Any:
    def of(pair: Any) -> Any:
        kind, values = pair
        return st.sampled_from(
            [
                (list[kind], st.lists(values, max_size=3)),
                (dict[str, kind], st.dictionaries(_TEXT, values, max_size=3)),
                (kind | None, st.none() | values),
                (tuple[kind, int], st.tuples(values, st.integers())),
            ]
        )

    return inner.flatmap(of) | st.dictionaries(
        st.sampled_from("abcdef"), inner, min_size=1, max_size=3
    ).map(_model)


def _model(fields: dict[str, Any]) -> Any:
    annotations: Any = {name: (kind, ...) for name, (kind, _) in fields.items()}
    made = pydantic.create_model("Inner", **annotations)
    values = {name: values for name, (_, values) in fields.items()}
    return made, st.fixed_dictionaries(values).map(lambda given: made(**given))


_TYPES = st.recursive(st.sampled_from(_LEAVES), _containers, max_leaves=4)


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_any_value_comes_back_from_its_form(data):
    kind, values = data.draw(_TYPES)
    first, second = data.draw(values), data.draw(values)

    async def fn(ctx, x, y=first): ...

    fn.__annotations__ = {"x": kind, "y": kind}
    inputs = InputModel(fn)
    group = Group(input_shape(inputs.input_schema), boxed=False)
    adapter = pydantic.TypeAdapter(dict[str, kind])
    wanted = inputs.validate_payload({"x": second})
    payload = json.loads(adapter.dump_json({"x": second, "y": first}))
    if adapter.validate_python(payload) != wanted:
        return  # a type of which JSON loses something
    group.set({"x": payload["x"]})
    assert inputs.validate_payload(group.get()) == wanted
    group.set(payload)
    assert inputs.validate_payload(group.get()) == wanted

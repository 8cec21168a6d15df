"""The controls of a form's fields: widgets whose values are plain JSON, both ways."""

import datetime as dt
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import ipywidgets

from nbflow.widgets.elements import text_line
from nbflow.widgets.form.shapes import ABSENT, KINDS, SAFE_INTEGER, Shape, same, written

_EMPTY = "is missing"


class Problem(ValueError):
    """What is typed is no value."""


class Control(Protocol):
    """One control: a widget, and its value as JSON."""

    widget: Any

    def get(self) -> Any: ...
    def set(self, value: Any) -> None: ...


class _Simple:
    """A control whose widget holds the value as it is."""

    def __init__(self, widget: Any) -> None:
        self.widget = widget

    def get(self) -> Any:
        return self.widget.value

    def set(self, value: Any) -> None:
        self.widget.value = value


class _Choice:
    """A menu; the widget's value is the place of the chosen one."""

    def __init__(self, choices: tuple[Any, ...]) -> None:
        self._choices = choices
        texts = [each for each in choices if isinstance(each, str)]
        labels = [
            text_line(each if isinstance(each, str) else written(each))
            for each in choices
        ]
        if len(set(labels)) < len(labels) or "" in texts:
            labels = [text_line(written(each)) for each in choices]
        self.widget = ipywidgets.Dropdown(
            options=[(label, place) for place, label in enumerate(labels)], value=0
        )

    def get(self) -> Any:
        return self._choices[self.widget.value]

    def set(self, value: Any) -> None:
        places = range(len(self._choices))
        self.widget.value = next(k for k in places if same(self._choices[k], value))


class _Moment:
    """A picker of days, times, or both."""

    def __init__(self, widget: Any, parse: Callable[[str], Any], noun: str) -> None:
        self.widget = widget
        self._parse = parse
        self._noun = noun

    def get(self) -> Any:
        if self.widget.value is None:
            raise Problem(f"choose a {self._noun}")
        return self.widget.value.isoformat()

    def set(self, value: Any) -> None:
        self.widget.value = self._parse(value)


class Json:
    """JSON as text. Empty text leaves the field out."""

    def __init__(self, required: bool) -> None:
        self._required = required
        self.widget = ipywidgets.Textarea(rows=2, continuous_update=False)
        self.widget.add_class("nbflow-code")

    def get(self) -> Any:
        text = self.widget.value
        if not text.strip():
            if self._required:
                raise Problem(_EMPTY)
            return ABSENT
        try:
            return json.loads(text)
        except ValueError as error:
            raise Problem(_json_problem(error)) from None
        except RecursionError:
            raise Problem("is nested too deeply") from None

    def set(self, value: Any) -> None:
        text = written(value)
        if len(text) > 60:
            text = written(value, indent=2)
        self.widget.rows = min(max(text.count("\n") + 1, 2), 12)
        self.widget.value = text


def make_control(kind: str, shape: Shape) -> Control:
    """The control of a kind, for a field of that shape; groups are made by `fields`."""
    return _MAKERS[kind](shape)


def _json_problem(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"is no JSON: {error.msg} (line {error.lineno}, column {error.colno})"
    return f"is no JSON: {error}"  # an integer of too many digits


def _integer(shape: Shape) -> Control:
    least = -SAFE_INTEGER if shape.low is None else int(shape.low)
    most = SAFE_INTEGER if shape.high is None else int(shape.high)
    value = min(max(0, least), most)
    if shape.low is None and shape.high is None:
        return _Simple(ipywidgets.IntText(value=value, step=_step(shape)))
    return _Simple(
        ipywidgets.BoundedIntText(value=value, min=least, max=most, step=_step(shape))
    )


def _step(shape: Shape) -> int:
    return max(int(shape.step or 1), 1)


def _number(shape: Shape) -> Control:
    low, high = shape.low, shape.high
    least = -sys.float_info.max if low is None else float(low)
    most = sys.float_info.max if high is None else float(high)
    value = min(max(0.0, least), most)
    if low is None and high is None:
        return _Simple(ipywidgets.FloatText(value=value, step=shape.step))
    return _Simple(
        ipywidgets.BoundedFloatText(value=value, min=least, max=most, step=shape.step)
    )


def _datetime(shape: Shape) -> Control:
    make = ipywidgets.DatetimePicker if shape.aware else ipywidgets.NaiveDatetimePicker
    return _Moment(make(), dt.datetime.fromisoformat, "day and time")


_MAKERS: Mapping[str, Callable[[Shape], Control]] = {
    "integer": _integer,
    "number": _number,
    "boolean": lambda shape: _Simple(ipywidgets.Checkbox(indent=False)),
    "string": lambda shape: _Simple(ipywidgets.Text()),
    "text": lambda shape: _Simple(ipywidgets.Textarea(rows=4)),
    "password": lambda shape: _Simple(ipywidgets.Password()),
    "choice": lambda shape: _Choice(shape.choices),
    "date": lambda shape: _Moment(
        ipywidgets.DatePicker(), dt.date.fromisoformat, "day"
    ),
    "time": lambda shape: _Moment(
        ipywidgets.TimePicker(step=1), dt.time.fromisoformat, "time"
    ),
    "datetime": _datetime,
    "json": lambda shape: Json(shape.required),
}

assert {*_MAKERS, "group"} == KINDS

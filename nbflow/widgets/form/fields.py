"""A field of a form: label, control, hint, and what is wrong with its value.

Values are plain JSON, in both directions. A value that the control of its type cannot
hold is shown as JSON text. `shapes` says which control, `controls` makes it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ipywidgets

from nbflow.widgets.elements import label, text_line
from nbflow.widgets.form.controls import Control, Json, Problem, make_control
from nbflow.widgets.form.shapes import ABSENT, Shape, fits


class Group:
    """Fields in a box: the form of a model, or of the whole input.

    Args:
        shape: of the group.
        on_change: called when a field has another value.
        boxed: whether there is a frame around it.
    """

    def __init__(
        self,
        shape: Shape,
        on_change: Callable[[], None] = lambda: None,
        *,
        boxed: bool = True,
    ) -> None:
        self.fields = {each.name: Field(each, on_change) for each in shape.fields}
        self._extra: Field | None = None
        if shape.extra:
            more = Shape("other fields", "json", required=False, hint="JSON object")
            self._extra = Field(more, on_change)
        self.widget = ipywidgets.VBox([each.widget for each in self._all()])
        self.widget.add_class("nbflow-group" if boxed else "nbflow-fields")

    def get(self) -> dict[str, Any]:
        """Values by name.

        Raises:
            Problem: a field holds no value; it says so itself.
        """
        values = {}
        is_wrong = False
        for name, field in self.fields.items():
            try:
                value = field.get()
            except Problem:
                is_wrong = True
            else:
                if value is not ABSENT:
                    values[name] = value
        more = self._get_extra()
        if is_wrong or more is None:
            raise Problem("has fields without a value")
        return {**more, **values}

    def told(self) -> dict[str, str]:
        """What the fields show, by name, for people; says nothing at them."""
        return {name: field.told() for name, field in self.fields.items()}

    def set(self, value: Mapping[str, Any]) -> None:
        """Show values by name; a field that none is given for shows its default."""
        for name, field in self.fields.items():
            field.set(value.get(name, field.shape.default))
        if self._extra is not None:
            others = {key: value[key] for key in value if key not in self.fields}
            self._extra.set(others or ABSENT)

    def tell(self, problems: Mapping[str, str]) -> dict[str, str]:
        """Say at the fields what is wrong, by place; what is of none of them."""
        left = {}
        for place, text in problems.items():
            found = self._find(place)
            if found is None:
                left[place] = text
            else:
                field, rest = found
                field.tell(rest, text)
        return left

    def wrong(self) -> list[str]:
        """The paths of the fields that say what is wrong with them."""
        return [path for each in self._all() for path in each.wrong()]

    def clear(self) -> None:
        """Forget what was wrong."""
        for field in self._all():
            field.clear()

    def freeze(self, disabled: bool) -> None:
        """Have nothing changed, or everything changeable again."""
        for field in self._all():
            field.freeze(disabled)

    def _all(self) -> Iterator["Field"]:
        yield from self.fields.values()
        if self._extra is not None:
            yield self._extra

    def _get_extra(self) -> dict[str, Any] | None:
        if self._extra is None:
            return {}
        try:
            value = self._extra.get()
        except Problem:
            return None
        if value is ABSENT:
            return {}
        if not isinstance(value, dict):
            self._extra.tell("", 'is no JSON object, as in {"a": 1}')
            return None
        return value

    def _find(self, place: str) -> "tuple[Field, str] | None":
        """The field that a place begins with, and what follows its name."""
        # Names may hold dots and brackets, so the longest that fits is meant.
        for name in sorted(self.fields, key=len, reverse=True):
            rest = place[len(name) :]
            if place.startswith(name) and (not rest or rest[0] in ".["):
                return self.fields[name], rest.removeprefix(".")
        return None


class Field:
    """One field: its label, control, toggle, hint and problem.

    Args:
        shape: of its values.
        on_change: called when it has another one.
    """

    def __init__(
        self, shape: Shape, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self.shape = shape
        self._on_change = on_change
        self._label = label(shape.name, "nbflow-name")
        if shape.required:
            self._label.add_class("nbflow-required")
        self._hint = label(shape.hint, "nbflow-hint")
        self._problem = label("", "nbflow-problem")
        self._problem.layout.display = "none"
        self._wrong_at = ""  # the place inside of the value
        self._toggle = self._make_toggle()
        self._is_frozen = False
        self._control = self._make(shape.kind)
        self.widget = ipywidgets.GridBox()
        self.widget.add_class("nbflow-field")
        self._arrange()
        self.set(shape.default)

    def get(self) -> Any:
        """The value as JSON, or ABSENT where the field is left out.

        Raises:
            Problem: what is typed is no value; shown at the field.
        """
        self._say("")
        if self._toggle is not None and self._toggle.value:
            return None if self.shape.optional else ABSENT
        try:
            return self._control.get()
        except Problem as error:
            if not isinstance(self._control, Group):
                self._say(str(error))
            raise

    def told(self) -> str:
        """What it shows, for people; never what is to be typed unseen."""
        if self._toggle is not None and self._toggle.value:
            return "none" if self.shape.optional else "default"
        if isinstance(self._control, Group):
            parts = (f"{name}={text}" for name, text in self._control.told().items())
            return f"({', '.join(parts)})"
        if self.shape.kind == "password":
            return "(not shown)"
        try:
            value = self._control.get()
        except Problem:
            return "(no value yet)"
        return "(no value yet)" if value is ABSENT else repr(value)

    def set(self, value: Any) -> None:
        """Show a value; one that the control cannot hold is shown as JSON."""
        if self._toggle is not None:
            is_off = value is None if self.shape.optional else value is ABSENT
            self._toggle.value = is_off
            if is_off:
                return
        if value is ABSENT:
            return
        if not fits(self.shape, value) and not isinstance(self._control, Json):
            self._control = self._make("json")
            self._arrange()
        self._control.set(value)

    def tell(self, place: str, text: str) -> None:
        """Say what is wrong with the value, or with a place inside of it."""
        if isinstance(self._control, Group) and place:
            left = self._control.tell({place: text})
            if not left:
                return
        if self._problem.value:
            return  # the first is enough to go on with
        inside = f"{place}: " if place else ""
        self._say(f"{inside}{text}", place)

    def clear(self) -> None:
        """Forget what was wrong."""
        self._say("")
        if isinstance(self._control, Group):
            self._control.clear()

    def wrong(self) -> list[str]:
        """Its path if it says what is wrong, and those of such fields inside of it."""
        name = self.shape.name
        inner = self._control.wrong() if isinstance(self._control, Group) else []
        places = [self._wrong_at] if self._problem.value else []
        return [_path(name, place) for place in [*places, *inner]]

    def freeze(self, disabled: bool) -> None:
        """Have it not changed, or changeable again."""
        self._is_frozen = disabled
        if self._toggle is not None:
            self._toggle.disabled = disabled
        self._enable()

    def _make_toggle(self) -> Any:
        """What turns the value off: to null, or to what the function has."""
        shape = self.shape
        if shape.kind == "json":
            return None  # null and nothing can be typed
        if not shape.optional and (shape.required or shape.default is not ABSENT):
            return None
        word = "none" if shape.optional else "default"
        toggle = ipywidgets.Checkbox(
            description=word, indent=False, tooltip=text_line(f"{word}: {shape.name}")
        )
        toggle.add_class("nbflow-toggle")
        toggle.observe(lambda change: self._toggled(), "value")
        return toggle

    def _make(self, kind: str) -> Control:
        if kind == "group":
            return Group(self.shape, self._on_change)
        control = make_control(kind, self.shape)
        control.widget.tooltip = text_line(self.shape.name)
        control.widget.layout.width = "auto"
        control.widget.add_class("nbflow-control")
        control.widget.observe(lambda change: self._typed(), "value")
        return control

    def _arrange(self) -> None:
        is_group = isinstance(self._control, Group)
        row = [self._control.widget]
        if self._toggle is not None:
            row.append(self._toggle)
        held = ipywidgets.VBox(row) if is_group else ipywidgets.HBox(row)
        held.add_class("nbflow-held")
        parts = [self._label, held]
        parts += [self._hint] if self.shape.hint else []
        self.widget.children = [*parts, self._problem]
        self._enable()

    def _toggled(self) -> None:
        self._enable()
        self._on_change()

    def _typed(self) -> None:
        """The user has changed it: say at once if it can be no value."""
        self._on_change()
        if isinstance(self._control, Json):
            try:
                self.get()
            except Problem:
                return
        self._say("")

    def _enable(self) -> None:
        is_off = self._toggle is not None and self._toggle.value
        disabled = self._is_frozen or is_off
        if isinstance(self._control, Group):
            self._control.freeze(disabled)
            self._control.widget.layout.display = "none" if is_off else None
        else:
            self._control.widget.disabled = disabled

    def _say(self, text: str, place: str = "") -> None:
        self._wrong_at = place
        self._problem.value = text_line(text)
        self._problem.layout.display = None if text else "none"
        if text:
            self.widget.add_class("nbflow-wrong")
        else:
            self.widget.remove_class("nbflow-wrong")


def _path(name: str, place: str) -> str:
    """A place inside of a field, as in "order.who", "pages[0].url"."""
    return f"{name}.{place}" if place and not place.startswith("[") else name + place

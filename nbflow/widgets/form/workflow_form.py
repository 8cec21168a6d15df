"""`WorkflowForm`: asks for a workflow's input, starts runs of it, and shows them."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import ipywidgets

from nbflow import durations, names
from nbflow._notices import told_to
from nbflow.client import Client, RunHandle
from nbflow.errors import InvalidInput, InvalidOption, NbflowError, RunIdConflict
from nbflow.widgets import acting, places
from nbflow.widgets.elements import (
    button,
    close_tree,
    hear_while_busy,
    label,
    style,
    text_line,
)
from nbflow.widgets.form.controls import Problem
from nbflow.widgets.form.fields import Field, Group
from nbflow.widgets.form.shapes import ABSENT, Shape, input_shape
from nbflow.widgets.given import check_view, client_of
from nbflow.widgets.runs_view import ViewOfRun, run_view
from nbflow.workflows import Workflow

MAX_VIEWS = 5
"""Runs that stay shown below the form."""

_OPTIONS = (
    ("run_id", "run id", "an existing run of it is attached, taken or resumed"),
    ("label", "label", "what lists of runs show and filter by"),
    ("delay", "delay", "how long it waits before it starts, as in 30s or 1h30m"),
    ("retries", "retries", "tries after the first"),
)


class WorkflowForm(ipywidgets.VBox):
    """A form for a workflow's input; each Invoke starts a run and shows it below.

    Args:
        workflow: a workflow of this notebook, or the name of one in the client's app,
            which may be served by another process.
        client: the app; that of the workflow or notebook if None.
        view: makes the widget for a run that was started; the live view if None.

    Raises:
        WorkflowNotFound: the client's app knows no workflow of that name.
        TypeError: `workflow` is neither, `client` is none, or `view` cannot be called.
    """

    _is_closed = True  # until it is made: there is nothing to close

    def __init__(
        self,
        workflow: Workflow[..., Any] | str,
        client: Client | None = None,
        *,
        view: ViewOfRun | None = None,
    ) -> None:
        check_view("WorkflowForm", view)
        start, name, schema = _target(workflow, client)
        super().__init__()
        self._view_of = run_view if view is None else view
        self._start, self._name = start, name
        self._is_closed = False
        self._views: list[Any] = []
        shape = input_shape(schema)
        # An input that is taken whole and is no model is one field of its own.
        self._is_single = shape.kind != "group"
        if self._is_single:
            shape = Shape("", "group", fields=(shape,))
        self._group = Group(shape, lambda: places.redraw(self), boxed=False)
        self._dom_classes = ("nbflow", "nbflow-form")
        self._make_controls()

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else self._told_fields()
        return f"<WorkflowForm of {self._name!r}: {state}>"

    def _told_fields(self) -> str:
        fields = ", ".join(self._group.fields) or "no fields"
        return text_line(fields)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return places.bundle(self, super()._repr_mimebundle_)

    def _ipython_display_(self) -> None:
        places.display(self, super()._repr_mimebundle_)

    # Its values

    @property
    def value(self) -> Any:
        """The input as it is typed now, as JSON; may be set.

        Raises:
            ValueError: a field holds no value; it says so itself.
        """
        value = self._payload()
        return None if value is ABSENT else value

    @value.setter
    def value(self, value: Any) -> None:
        self._group.clear()
        self._group.set({"input": value} if self._is_single else value)

    @property
    def runs(self) -> list[Any]:
        """The views of the runs it has started, newest first."""
        return list(self._views)

    def invoke(self) -> None:
        """Start a run with what is typed, as the button does; does not wait.

        What is wrong is shown at the field, or below the button.
        """
        if self._is_closed or self._button.disabled:
            return
        self._say("")
        self._group.clear()
        for field in self._options.values():
            field.clear()
        try:
            value = self._payload()
            options = self._given_options()
        except Problem:
            self._say_wrong()
            return
        self._button.disabled = True
        acting.start(lambda: self._act(value, options))

    def picture(self) -> list[str]:
        """The form as text."""
        fields = (f"  {name} = {text}" for name, text in self._group.told().items())
        return [repr(self)[1:-1], *fields, *map(repr, self._views)]

    def close(self) -> None:
        """Close it with the views below; the runs go on. A picture stays."""
        if self._is_closed:
            return
        places.freeze(self)
        self._is_closed = True
        close_tree(self)
        super().close()

    # The parts

    def _make_controls(self) -> None:
        self._button = button(
            "Invoke", self.invoke, button_style="primary", icon="play"
        )
        self._message = label("", "nbflow-message")
        self._message.layout.display = "none"
        self._note = label("", "nbflow-hint")
        self._note.layout.display = "none"
        self._options = {
            key: Field(Shape(name, "string", required=False, default="", hint=hint))
            for key, name, hint in _OPTIONS
        }
        options = ipywidgets.VBox([each.widget for each in self._options.values()])
        options._dom_classes = ("nbflow-fields",)
        self._folded = ipywidgets.Accordion([options], titles=("Options",))
        self._folded._dom_classes = ("nbflow-options",)
        self._shown = ipywidgets.VBox()
        self._shown._dom_classes = ("nbflow-started",)
        title = label(self._name, "nbflow-title")
        foot = ipywidgets.HBox([self._button, self._message, self._note])
        foot._dom_classes = ("nbflow-foot", "nbflow-act")
        self.children = [
            style(),
            title,
            self._group.widget,
            self._folded,
            foot,
            self._shown,
        ]
        hear_while_busy(self)

    # Starting a run

    def _payload(self) -> Any:
        values = self._group.get()
        return values.get("input", ABSENT) if self._is_single else values

    def _given_options(self) -> dict[str, Any]:
        """The options that are typed, each checked by its rule."""
        given: dict[str, Any] = {}
        is_wrong = False
        for key, field in self._options.items():
            text = field.get().strip()
            if not text:
                continue
            try:
                given[key] = _CHECKS[key](text)
            except (NbflowError, ValueError) as error:
                is_wrong = True
                field.tell("", str(error))
        if is_wrong:
            self._folded.selected_index = 0
            raise Problem("options are wrong")
        return given

    def _act(self, value: Any, options: dict[str, Any]) -> None:
        """In a thread of its own: start the run, show it or what is wrong."""
        notes: list[str] = []
        try:
            with told_to(notes.append):
                handle = self._start(value, options)
                view = self._view_of(handle)
        except Exception as error:
            self._show_error(error)
        else:
            self._add(view)
        finally:
            if not self._is_closed:
                self._put(self._note, notes[-1] if notes else "")
                self._button.disabled = False

    def _add(self, view: Any) -> None:
        if self._is_closed:
            close_tree(view)
            return
        self._views.insert(0, view)
        old, self._views[MAX_VIEWS:] = self._views[MAX_VIEWS:], []
        self._shown.children = tuple(self._views)
        places.redraw(self)
        close_tree(*old)
        hear_while_busy(self._shown)

    def _show_error(self, error: Exception) -> None:
        if self._is_closed:
            return
        if isinstance(error, InvalidInput):
            self._show_problems(error)
        elif isinstance(error, RunIdConflict):
            self._at_option("run_id", error)
        elif isinstance(error, InvalidOption) and error.option in self._options:
            self._at_option(error.option, error)
        else:
            kind = type(error).__name__
            self._say(
                str(error) if isinstance(error, NbflowError) else f"{kind}: {error}"
            )

    def _show_problems(self, error: InvalidInput) -> None:
        problems: Mapping[str, str] = error.problems
        if "input" not in self._group.fields:
            # The place of a model that is taken whole begins with its parameter.
            problems = {
                place.removeprefix("input."): problems[place] for place in problems
            }
        left = self._group.tell(problems)
        if problems and not left:
            self._say_wrong()
        else:
            self._say(str(error))

    def _at_option(self, key: str, error: Exception) -> None:
        self._folded.selected_index = 0
        self._options[key].tell("", str(error))
        self._say_wrong()

    def _say_wrong(self) -> None:
        """Name the fields that are marked: they may be out of sight."""
        marked = self._group.wrong()
        for each in self._options.values():
            marked += each.wrong()
        self._say(f"correct what is marked: {', '.join(marked)}")

    def _say(self, text: str) -> None:
        self._put(self._message, text)

    def _put(self, widget: Any, text: str) -> None:
        widget.value = text_line(text)
        widget.layout.display = None if text else "none"


Start = Callable[[Any, dict[str, Any]], RunHandle[Any]]


def _target(
    workflow: Workflow[..., Any] | str, client: Client | None
) -> tuple[Start, str, Mapping[str, Any]]:
    """How a run is started, the workflow's name, and the schema of its input."""
    if client is not None:
        client_of("WorkflowForm", client)
    if isinstance(workflow, str):
        chosen = client_of("WorkflowForm", client)
        schema = chosen.workflows.get(workflow).input_schema or {}
        return _by_name(chosen, workflow), workflow, schema
    if not isinstance(workflow, Workflow):
        raise TypeError(
            f"WorkflowForm({workflow!r}): give a workflow, as @workflow makes it, or "
            "the name of one"
        )
    if client is None:
        return _by_call(workflow), workflow.name, workflow.input_schema
    return _by_name(client, workflow.name), workflow.name, workflow.input_schema


def _by_name(client: Client, name: str) -> Start:
    """Through a client: whichever process serves the app."""

    def start(value: Any, options: dict[str, Any]) -> RunHandle[Any]:
        given = None if value is ABSENT else value
        handle: RunHandle[Any]
        handle = client.workflows.invoke(name, input=given, **options)
        return handle

    return start


def _by_call(workflow: Workflow[..., Any]) -> Start:
    """As the notebook would: this process's engine is started if there is none."""

    def start(value: Any, options: dict[str, Any]) -> RunHandle[Any]:
        chosen = workflow.options(**options)
        if value is ABSENT:
            handle = chosen.invoke()
        elif workflow.spec.inputs.whole:
            handle = chosen.invoke(value)
        else:
            handle = chosen.invoke(**value)
        handle._confirm()
        return handle

    return start


def _retries(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise InvalidOption(
            f"retries={text!r} is no whole number from 0", option="retries", value=text
        )
    return int(text)


def _delay(text: str) -> float | str:
    with suppress(ValueError):
        return durations.parse(float(text), what="delay")
    return durations.parse(text, what="delay")


_CHECKS: Mapping[str, Callable[[str], Any]] = {
    "run_id": names.check_run_id,
    "label": names.check_label,
    "delay": _delay,
    "retries": _retries,
}

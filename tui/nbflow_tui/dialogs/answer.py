"""Answer a question that a run asks: buttons where the choices are few, else a form."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Input

from nbflow.client import Client
from nbflow.model import EventType, Run, safe_text
from nbflow.view import Line, Look, Span, line
from nbflow.view.schema import Schema, choices, described, example, problems, resolve
from nbflow_tui.dialogs.base import Dialog, Say
from nbflow_tui.dialogs.editor import JsonEditor
from nbflow_tui.pending import Sent

_BUTTONS = 12


class Question(NamedTuple):
    """What a step asks."""

    text: str
    schema: Schema


class AnswerDialog(Dialog):
    """Answer the step of a run.

    Args:
        client: of its app.
        run: the run.
        step: the name of the step that asks.
        look: what the terminal can show.
    """

    DEFAULT_CSS = """
    AnswerDialog #form { height: auto; margin-top: 1; }
    AnswerDialog #choices { height: auto; }
    AnswerDialog #choices Button { margin: 0 1 0 0; }
    AnswerDialog #choices.-many { layout: vertical; }
    """
    send_label = "Answer"

    def __init__(
        self, client: Client, run: Run, step: str, look: Look | None = None
    ) -> None:
        super().__init__(client, f"{run.workflow} asks  {run.run_id}")
        self.run_record = run
        self.step = step
        self.look = look or Look()
        self.question: Question | None = None
        self._answers: list[Any] = []
        self._chosen: tuple[Any] | None = None

    def body(self) -> Iterable[Widget]:
        """The question, and later its form."""
        yield Say(line(Span(f"step {self.step}", "dim")), id="question")
        yield Vertical(id="form")

    def start(self) -> None:
        """Read the question."""
        self.query_one("#send", Button).display = False
        run_id, step = self.run_record.run_id, self.step
        self.load(
            lambda: read_question(self.client, run_id, step),
            self._show,
            "reading the question…",
        )

    def _show(self, question: Question | None) -> None:
        if question is None:
            self.fail(f"Step {self.step} asks nothing any more.")
            return
        self.question = question
        lines: list[Line | str] = [line(Span(f"step {self.step}", "dim"))]
        self.query_one("#question", Say).say(*lines, question.text)
        form = self.query_one("#form", Vertical)
        few = choices(question.schema)
        if few is not None and len(few) <= _BUTTONS:
            self._answers = few
            is_bool = few == [True, False]
            row = Horizontal(
                *(
                    Button(
                        Content(_label(each, is_bool=is_bool)),
                        "primary" if not place else "default",
                        id=f"choice-{place}",
                        compact=True,
                    )
                    for place, each in enumerate(few)
                ),
                id="choices",
                classes="-many" if len(few) > 4 else "",
            )
            form.mount(row)
            self.call_after_refresh(
                lambda: self.query_one("#choice-0").focus(scroll_visible=False)
            )
            return
        self.query_one("#send", Button).display = True
        if _is_typed(question.schema):
            form.mount(
                Say(line(Span(described(question.schema), "dim"))), Input(id="answer")
            )
            self.call_after_refresh(
                lambda: self.query_one("#answer").focus(scroll_visible=False)
            )
            return
        editor = JsonEditor(example(question.schema), question.schema, id="editor")
        form.mount(editor)
        self.call_after_refresh(lambda: editor.area.focus(scroll_visible=False))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """A choice is an answer at once."""
        name = event.button.id or ""
        if name.startswith("choice-"):
            event.stop()
            self._chosen = (self._answers[int(name.removeprefix("choice-"))],)
            self.action_send()
            return
        super().on_button_pressed(event)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter sends what was typed."""
        event.stop()
        self.action_send()

    def call(self) -> Callable[[], Sent] | None:
        """Send the answer."""
        if self.question is None:
            return None
        found = self._read(self.question)
        if found is None:
            return None
        (value,) = found
        run, step = self.run_record, self.step

        def answer() -> Sent:
            is_kept = not self.client.is_served()
            self.client.runs.answer(run.run_id, step, value)
            note = self.kept("answer") if is_kept else f"{step} is answered"
            return Sent("answer", run.app, (run.run_id,), note, is_kept)

        return answer

    def _read(self, question: Question) -> tuple[Any] | None:
        if self._answers:
            chosen, self._chosen = self._chosen, None
            return chosen
        if _is_typed(question.schema):
            value = typed(self.query_one("#answer", Input).value, question.schema)
            faults = [str(each) for each in problems(value, question.schema)]
            if faults:
                self.fail(*faults)
                return None
            return (value,)
        value, is_good = self.query_one(JsonEditor).check()
        return (value,) if is_good else None


def read_question(client: Client, run_id: str, step: str) -> Question | None:
    """What a step asks; None where it does not wait for an answer."""
    found: Question | None = None
    for event in client.runs.events(run_id):
        if event.step != step:
            continue
        if event.type is EventType.STEP_WAITING and event.data.get("question"):
            schema = event.data.get("schema")
            known = schema if isinstance(schema, Mapping) else {}
            found = Question(str(event.data["question"]), known)
        elif event.type in (
            EventType.STEP_COMPLETED,
            EventType.STEP_CANCELED,
            EventType.STEP_TIMED_OUT,
        ):
            found = None
    return found


def typed(text: str, schema: Schema) -> Any:
    """What was typed in one line: text where that is asked for, else JSON."""
    expected = resolve(schema, schema).get("type")
    if expected == "string":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_typed(schema: Schema) -> bool:
    """Whether one line is enough: text or a number."""
    found = resolve(schema, schema)
    return found.get("type") in ("string", "integer", "number")


def _label(value: Any, *, is_bool: bool) -> str:
    if is_bool:
        return "Yes" if value else "No"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = safe_text(text)
    return text if len(text) <= 40 else f"{text[:39]}…"

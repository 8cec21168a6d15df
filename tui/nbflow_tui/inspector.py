"""What there is to read of the selected run or step: values, error, attempts, source.

Values are read and decoded in a worker thread, one at a time: the newest wish wins.
"""

import datetime as dt
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeAlias

from textual import events
from textual.binding import Binding, BindingType

from nbflow.client import Client
from nbflow.errors import NbflowError
from nbflow.model import Run, Step
from nbflow.view import Line, Look, Span, line
from nbflow.view.documents import (
    attempt_lines,
    error_lines,
    json_lines,
    plain_lines,
    run_document,
    step_facts,
    value_text,
    wrapped,
)
from nbflow_tui.lines import LineList

TABS = ("Overview", "Input", "Output", "Error", "Tries", "Source", "Events")
_GLANCE, _GLANCE_LINES = 4_000, 24
EVENTS = TABS.index("Events")


class Subject(NamedTuple):
    """What is inspected: a run, or a step of it."""

    app: str
    run_id: str
    step: str | None = None

    @property
    def title(self) -> str:
        """How it is called."""
        return self.step or self.run_id


Rows: TypeAlias = tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One tab of a subject, ready to be shown."""

    subject: Subject
    tab: int
    lines: Rows
    text: str  # whole, for the clipboard and the pager


class TextRow(NamedTuple):
    """A line of a text on the screen."""

    place: int
    line: Line


class TextList(LineList[TextRow]):
    """A text to read, wrapped to the width, with a search."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "next(1)", "next", id="text.next", show=False),
        Binding("N", "next(-1)", "before", id="text.before", show=False),
    ]

    BLURRED = ""

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.document: Document | None = None
        self.blank: Line = ()
        self.search = ""
        self._wrapped_at = 0

    def key_of(self, item: TextRow) -> Hashable:
        """The number of the line."""
        return item.place

    def draw(self, item: TextRow, width: int, now: dt.datetime) -> Line:
        """The line, what was searched for marked."""
        if not self.search:
            return item.line
        return tuple(_marked(item.line, self.search.casefold()))

    def empty(self) -> Line:
        """Why there is nothing."""
        return self.blank

    def take(self, document: Document) -> None:
        """Show a text, from its beginning where it is another one."""
        old, self.document = self.document, document
        is_same = old is not None and (old.subject, old.tab) == (
            document.subject,
            document.tab,
        )
        if is_same and old is not None and old.lines == document.lines:
            return
        self._wrap()
        if not is_same:
            self.move_to(0)

    def on_resize(self, event: events.Resize) -> None:
        """Another width: the text is wrapped anew."""
        if self.columns != self._wrapped_at:
            self._wrap()

    def _wrap(self) -> None:
        if self.document is None:
            return
        self._wrapped_at = self.columns
        lines = wrapped(self.document.lines, self.columns - 1)
        rows = [TextRow(place, each) for place, each in enumerate(lines)]
        self.set_items(rows, dt.datetime.now(dt.UTC), anchored=False)

    def look_for(self, text: str) -> None:
        """Mark a text wherever it is, and go to the next place."""
        self.search = text
        self.repaint()
        if text:
            self.move_to(self.cursor - 1)
            self.action_next(1)

    def action_next(self, by: int) -> None:
        """To the next line that holds what is searched for."""
        wanted = self.search.casefold()
        count = len(self.items)
        for step in range(1, count + 1):
            place = (self.cursor + by * step) % count
            text = "".join(span.text for span in self.items[place].line)
            if wanted and wanted in text.casefold():
                self.move_to(place)
                return


def document(client: Client, subject: Subject, tab: int, look: Look) -> Document:
    """Read what one tab says of a subject; may take its time."""
    now = dt.datetime.now(dt.UTC)
    try:
        lines, text = _read(client, subject, TABS[tab], look, now)
    except NbflowError as error:
        lines, text = [line(Span(str(error), "bad"))], str(error)
    return Document(subject, tab, tuple(lines), text)


def _read(
    client: Client, subject: Subject, tab: str, look: Look, now: dt.datetime
) -> tuple[Sequence[Line], str]:
    run = client.runs.get(subject.run_id)
    if subject.step is None:
        return _of_run(client, run, tab, look, now)
    step = client.runs.step(subject.run_id, subject.step)
    return _of_step(client, run, step, tab, look, now)


def _of_run(
    client: Client, run: Run, tab: str, look: Look, now: dt.datetime
) -> tuple[Sequence[Line], str]:
    if tab == "Input":
        return _value(value_text(lambda: run.input))
    if tab == "Output":
        if run.status == "completed":
            return _value(value_text(lambda: run.result))
        return [_dim("no result: the run is " + run.status)], ""
    if tab == "Error":
        if run.error is None:
            return [_dim("no error")], ""
        return error_lines(run.error), f"{run.error.traceback}\n{run.error}"
    if tab == "Tries":
        text = f"try {run.attempt} of {max(run.retries + 1, run.attempt)}"
        more = f", recovered {run.recoveries} times" if run.recoveries else ""
        return [line(f"{text}{more}")], text
    if tab == "Source":
        return _source(client, run)
    found = run_document(run, look, now)
    if run.error is not None:
        found += [(), *error_lines(run.error)]
    _add(found, "input", value_text(lambda: run.input))
    if run.status == "completed":
        _add(found, "output", value_text(lambda: run.result))
    return found, run.run_id


def _of_step(
    client: Client, run: Run, step: Step, tab: str, look: Look, now: dt.datetime
) -> tuple[Sequence[Line], str]:
    if tab == "Input":
        return _value(value_text(lambda: _arguments(step)))
    if tab == "Output":
        if step.status == "completed":
            return _value(value_text(lambda: step.result))
        return [_dim(f"no value: the step is {step.status.replace('_', ' ')}")], ""
    if tab == "Error":
        errors = [each.error for each in step.attempts if each.error is not None]
        error = step.error or (errors[-1] if errors else None)
        if error is None:
            return [_dim("no error")], ""
        return error_lines(error), f"{error.traceback}\n{error}"
    if tab == "Tries":
        return attempt_lines(step, look, now), ""
    if tab == "Source":
        return _source(client, run)
    found = step_facts(step, look, now)
    if step.error is not None:
        found += [(), *error_lines(step.error)]
    if len(step.attempts) > 1:
        found += [(), *attempt_lines(step, look, now)]
    _add(found, "input", value_text(lambda: _arguments(step)))
    if step.status == "completed":
        _add(found, "output", value_text(lambda: step.result))
    return found, step.name


def _add(found: list[Line], title: str, text: str) -> None:
    """The beginning of a value; all of it is in its tab."""
    lines = json_lines(text[:_GLANCE])
    found += [(), line(Span(title, "strong")), *lines[:_GLANCE_LINES]]
    if len(text) > _GLANCE or len(lines) > _GLANCE_LINES:
        found.append(_dim("…"))


def _arguments(step: Step) -> object:
    given = step.args
    kwargs = getattr(given, "kwargs", None)
    positional = list(given) if isinstance(given, tuple) else given
    if not kwargs:
        return positional
    return {"args": positional, "kwargs": kwargs}


def _source(client: Client, run: Run) -> tuple[Sequence[Line], str]:
    known = next((w for w in client.workflows.list() if w.name == run.workflow), None)
    if known is None or known.source is None:
        return [_dim("the source of this workflow was not recorded")], ""
    head: list[Line] = []
    if run.definition and known.definition and run.definition != known.definition:
        head = [line(Span("edited since this run began", "warn")), ()]
    return [*head, *plain_lines(known.source)], known.source


def _value(text: str) -> tuple[Sequence[Line], str]:
    return json_lines(text), text


def _dim(text: str) -> Line:
    return line(Span(text, "dim"))


def _marked(spans: Line, wanted: str) -> list[Span]:
    """What was searched for stands out; within each span."""
    found: list[Span] = []
    for text, role in spans:
        folded, place = text.casefold(), 0
        if len(folded) != len(text):
            found.append(Span(text, role))
            continue
        while (at := folded.find(wanted, place)) >= 0:
            found += [
                Span(text[place:at], role),
                Span(text[at : at + len(wanted)], "warn"),
            ]
            place = at + len(wanted)
        found.append(Span(text[place:], role))
    return [span for span in found if span.text]

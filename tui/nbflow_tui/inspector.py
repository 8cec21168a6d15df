"""What there is to read of the selected run or step: values, error, attempts, source.

`document` reads one tab of it, as lines; `details` shows it, and calls it in a worker.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from nbflow.client import Client
from nbflow.errors import NbflowError
from nbflow.model import Run, RunEvent, Step
from nbflow.view import Line, Look, Span, line, plain, plural
from nbflow.view.documents import (
    attempt_lines,
    error_lines,
    glance_lines,
    json_lines,
    plain_lines,
    run_document,
    shown_part,
    step_facts,
    value_text,
)
from nbflow_tui import clock

TABS = ("Overview", "Input", "Output", "Error", "Tries", "Source", "Events")
_GLANCE = 24
"""Lines of a value that the overview shows."""
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
    json: tuple[str, ...] = ()  # of a value, its lines as far as they are shown


def plain_text(lines: Iterable[Line]) -> str:
    """Lines as a text."""
    return "\n".join(plain(each) for each in lines)


def told(event: RunEvent) -> str:
    """All of an event, to be read in full width."""
    head = f"{event.index}  {event.type}  {event.timestamp.astimezone():%F %T.%f %z}"
    said = event.data.get("message")
    parts = [head, f"step {event.step}" if event.step else ""]
    parts += [str(said) if isinstance(said, str) else ""]
    return "\n\n".join([*filter(None, parts), value_text(lambda: event.data)])


def document(client: Client, subject: Subject, tab: int, look: Look) -> Document:
    """Read what one tab says of a subject; may take its time."""
    now = clock.now()
    try:
        lines, text = _read(client, subject, TABS[tab], look, now)
    except NbflowError as error:
        lines, text = [line(Span(str(error), "bad"))], str(error)
    is_value = TABS[tab] in ("Input", "Output") and bool(text)
    json = shown_part(text) if is_value else ()
    return Document(subject, tab, tuple(lines), text, json)


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
        times = plural(run.recoveries, "time")
        more = f", recovered {times}" if run.recoveries else ""
        return [line(f"{text}{more}")], f"{text}{more}"
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
        lines = attempt_lines(step, look, now)
        return lines, plain_text(lines)
    if tab == "Source":
        return _source(client, run)
    found = step_facts(step, look, now)
    if step.error is not None:
        found += [(), *error_lines(step.error)]
    if len(step.attempts) > 1:
        found += [(), *attempt_lines(step, look, now)]
    given = value_text(lambda: _arguments(step))
    if given != "[]":
        _add(found, "input", given)
    if step.status == "completed":
        _add(found, "output", value_text(lambda: step.result))
    return found, step.name


def _add(found: list[Line], title: str, text: str) -> None:
    """The beginning of a value; all of it is in its tab."""
    found += [(), line(Span(title, "strong")), *glance_lines(text, _GLANCE)]


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

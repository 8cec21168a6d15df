"""All that is known of one step or of the run, for the pane below the rows.

Pure over records; at most 32 KB.
"""

from collections.abc import Callable, Iterable
from typing import Any

from nbflow.errors import NbflowError
from nbflow.model import (
    ErrorInfo,
    EventType,
    Run,
    RunEvent,
    RunStatus,
    Step,
    StepStatus,
)
from nbflow.view import took
from nbflow.view.frames import Cells, cell_of, no_cells, with_cells
from nbflow.widgets.run.head import LINES, log_line
from nbflow.widgets.run.protocol import Detail, Failure, Try, Value
from nbflow.widgets.run.texts import ERROR, LOG, NAME, line, lines, millis, size
from nbflow.widgets.run.values import value_of

LIMIT = 32_000
"""Bytes of a detail as JSON."""

_TEXT = 3_000
_TRACEBACK = 8_000
_ATTEMPTS = 50


def run_detail(
    run: Run, events: Iterable[RunEvent] = (), cells: Cells = no_cells
) -> Detail:
    """What is known of the run itself.

    Args:
        run: its record.
        events: its log lines are shown; others are left out.
        cells: names the cells of frames.
    """
    facts: list[list[str | None]] = [
        ["run", run.run_id],
        ["app", run.app],
        ["label", run.label],
        ["tries", str(run.attempt) if run.attempt > 1 else None],
        ["took", took(run.duration) or None],
        ["recovered", str(run.recoveries) if run.recoveries else None],
        ["parent", run.parent],
        ["started by step", run.parent_step],
        ["rerun of", run.rerun_of],
        ["from step", run.from_step],
        ["reason", run.cancel_reason or run.skip_reason],
    ]
    facts += [["header", f"{name}: {value}"] for name, value in run.headers.items()]
    facts += [["waits", reason] for reason in run.waiting]
    result = None
    if run.status is RunStatus.COMPLETED:
        result = _looked_at(lambda: run.result, "run.result()")
    return _fitted(
        {
            "row": 0,
            "title": line(run.workflow, NAME),
            "kind": "workflow",
            "status": run.status.value,
            "facts": _facts(facts),
            "input": _looked_at(lambda: run.input, "run.run.input"),
            "result": result,
            "error": _failure(run.error, cells),
            "attempts": [],
            "log": _log(events, None, 0),
            "snippet": f"run = nbflow.Client(app={run.app!r}).runs.handle("
            f"{run.run_id!r}); run.result()",
            "run_id": None,
        }
    )


def step_detail(
    step: Step,
    row: int,
    events: Iterable[RunEvent] = (),
    cells: Cells = no_cells,
    why: str | None = None,
) -> Detail:
    """What is known of a step.

    Args:
        step: its record.
        row: the number of its row.
        events: its log lines are shown; others are left out.
        cells: names the cells of frames.
        why: why it may not start yet.
    """
    snippet = _snippet(step, "run[{}]")
    place = None if step.flow_place is None else str(step.flow_place + 1)
    is_queued = step.status is StepStatus.QUEUED
    facts: list[list[str | None]] = [
        ["branch", step.branch],
        ["kind", step.kind.value],
        ["took", took(step.duration) or None],
        ["flow key", step.flow_key],
        ["place", place if is_queued else None],
        ["why not yet", why],
        ["waits for event", step.event if step.kind == "wait" else None],
        ["until", _when(step.due_at) if step.ended_at is None else None],
        ["run", step.child_run_id],
        ["cached from", step.cached_from],
        ["stale", "its function was edited since" if step.stale else None],
        ["executed afresh", "by an edit" if step.superseded else None],
        ["key", step.key],
    ]
    result = None
    if step.status is StepStatus.COMPLETED:
        result = _looked_at(lambda: step.result, snippet)
    return _fitted(
        {
            "row": row,
            "title": line(step.name, NAME),
            "kind": step.kind.value,
            "status": step.status.value,
            "facts": _facts(facts),
            "input": _arguments(step),
            "result": result,
            "error": _failure(step.error, cells),
            "attempts": _attempts(step),
            "log": _log(events, step.name, row),
            "snippet": snippet,
            "run_id": step.child_run_id,
        }
    )


def holder_detail(
    row: int, title: str, kind: str, status: str, counts: list[int | None]
) -> Detail:
    """What is known of a map or a group: how many of its steps do what."""
    names = ("done", "failed", "running", "waiting", "total")
    return {
        "row": row,
        "title": line(title, NAME),
        "kind": kind,
        "status": status,
        "facts": [
            [name, f"{count:,}"]
            for name, count in zip(names, counts, strict=True)
            if count is not None
        ],
        "input": None,
        "result": None,
        "error": None,
        "attempts": [],
        "log": [],
        "snippet": f"run[{title!r}]",
        "run_id": None,
    }


def _looked_at(read: Callable[[], Any], more: str) -> Value:
    try:
        value = read()
    except NbflowError as error:  # damaged, or of a codec that is not here
        text = line(f"{type(error).__name__}: {error}", _TEXT)
        return {"text": text, "table": None, "image": None, "more": more}
    return value_of(value, more, _TEXT)


def _arguments(step: Step) -> Value | None:
    more = _snippet(step, "run.steps[{}].args")
    if step.kind != "run":
        return None

    def read() -> Any:
        args: Any = step.args
        kwargs = getattr(args, "kwargs", {})
        if len(args or ()) == 1 and not kwargs:
            return args[0]  # a table of its own, if it is one
        return {**dict(enumerate(args or (), 1)), **kwargs}

    return _looked_at(read, more)


def _snippet(step: Step, pattern: str) -> str:
    """Python that names a step; nothing for a name that nobody would type."""
    return pattern.format(repr(step.name)) if len(step.name) <= 2 * NAME else ""


def _failure(error: ErrorInfo | None, cells: Cells) -> Failure | None:
    if error is None:
        return None
    traceback = error.traceback
    return {
        "type": line(error.type, NAME),
        "message": lines(error.message, 2_000),
        "traceback": lines(with_cells(traceback, cells)[-_TRACEBACK:], _TRACEBACK),
        "cell": cell_of(traceback, cells),
    }


def _attempts(step: Step) -> list[Try]:
    return [
        {
            "number": each.number,
            "status": each.status.value,
            "started": millis(each.started_at),
            "ended": millis(each.ended_at),
            "due": millis(each.retry_at),
            "error": None if each.error is None else line(str(each.error), ERROR),
        }
        for each in step.attempts[-_ATTEMPTS:]
    ]


def _log(events: Iterable[RunEvent], step: str | None, row: int) -> list[list[Any]]:
    found = [
        event
        for event in events
        if event.type is EventType.LOG and (step is None or event.step == step)
    ]
    return [log_line(event, row) for event in found[-LINES:]]


def _facts(facts: list[list[str | None]]) -> list[list[str]]:
    return [[str(name), line(text, LOG)] for name, text in facts if text]


def _when(moment: Any) -> str | None:
    return None if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _fitted(detail: Detail) -> Detail:
    """Leave out what does not fit: old log lines, then pictures, then tables."""
    while size(detail) > LIMIT and len(detail["log"]) > 20:
        detail["log"] = detail["log"][len(detail["log"]) // 2 :]
    for value in (detail["input"], detail["result"]):
        if value is not None and size(detail) > LIMIT and value["image"] is not None:
            value["image"] = None
    for value in (detail["input"], detail["result"]):
        while value is not None and value["table"] and size(detail) > LIMIT:
            rows = value["table"]["rows"]
            if not rows:
                value["table"] = None
                break
            value["table"]["rows"] = rows[: len(rows) // 2]
    while size(detail) > LIMIT and detail["attempts"]:
        detail["attempts"] = detail["attempts"][1 + len(detail["attempts"]) // 2 :]
    while size(detail) > LIMIT and detail["log"]:
        detail["log"] = detail["log"][1 + len(detail["log"]) // 2 :]
    error = detail["error"]
    while error is not None and size(detail) > LIMIT and error["traceback"]:
        error["traceback"] = error["traceback"][1 + len(error["traceback"]) // 2 :]
    for value in (detail["input"], detail["result"]):
        while value is not None and size(detail) > LIMIT and value["text"]:
            value["text"] = value["text"][: len(value["text"]) // 2]
    return detail

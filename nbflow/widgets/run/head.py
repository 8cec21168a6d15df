"""The run itself as its view's header shows it, and the lines that it has logged."""

import itertools
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from nbflow.model import RESUMABLE_RUN, EventType, Run, RunEvent, RunStatus
from nbflow.view import Board
from nbflow.view.families import Facts
from nbflow.view.schema import example
from nbflow.view.words import preview_text
from nbflow.widgets.run.protocol import Head, Question
from nbflow.widgets.run.texts import (
    ERROR,
    LINE,
    LOG,
    NAME,
    line,
    maybe,
    millis,
    plain_number,
    size,
)

LINES = 200
"""Log lines that a view keeps."""
LOG_BYTES = 56_000
"""Of log lines in a snapshot."""
DELTA_LOG_BYTES = 20_000
"""Of log lines in a message."""

_QUESTIONS = _REASONS = 20
_SCHEMA_BYTES = 8_000
_QUESTIONS_BYTES = 16_000


def head_of(
    board: Board,
    app: str,
    *,
    waiting: Iterable[str] = (),
    engine: str = "live",
    end: Run | None = None,
    problem: str | None = None,
    unbegun: int = 0,
    questions: Iterable[Question] = (),
) -> Head:
    """The header of a run.

    Args:
        board: the run.
        app: the app's name.
        waiting: why it does not go on.
        engine: "live", or "left" where no engine goes on with it.
        end: the record of a run that has ended, where the board was not told so far.
        problem: why it cannot be followed any more.
        unbegun: items of its maps that have not begun.
        questions: of it and of the child runs in view.
    """
    status = board.status if end is None else end.status
    ended = board.ended if end is None else end.ended_at
    due = board.retry_at
    if due is None and board.started is None:
        due = board.not_before
    text = board.reason
    if status is RunStatus.COMPLETED:
        text = preview_text(board.preview) or text
    return {
        "run_id": line(board.run_id, NAME),
        "app": app,
        "workflow": line(board.workflow, NAME),
        "label": maybe(board.label, NAME),
        "status": "unknown" if problem and not board.is_known else status.value,
        "attempt": board.attempt,
        "queued": millis(board.queued),
        "started": millis(board.started),
        "ended": millis(ended),
        "due": millis(due),
        "counts": {key.value: n for key, n in board.counts.items() if n},
        "total": sum(board.counts.values()) + unbegun,
        "progress": _progress(board.progress),
        "error": maybe(board.error, ERROR),
        "text": maybe(text, LINE),
        "waiting": [line(each, ERROR) for each in waiting][:_REASONS],
        "problem": maybe(problem, ERROR),
        "can": [] if problem else _can(status, ended is not None),
        "questions": _some(questions),
        "engine": "ended" if ended is not None else engine,
    }


def questions_of(asking: Mapping[int, Facts]) -> list[Question]:
    """What steps ask, of which there may be hundreds: the first ones, by row."""
    first = itertools.islice(sorted(asking.items()), _QUESTIONS)
    return [_question(facts, row) for row, facts in first]


class Log:
    """The last lines that a run has logged, and those that were not sent yet."""

    def __init__(self) -> None:
        self._lines: deque[list[Any]] = deque(maxlen=LINES)
        self._new: deque[list[Any]] = deque(maxlen=LINES)

    @property
    def has_changes(self) -> bool:
        """Whether there are lines to send."""
        return bool(self._new)

    def take(self, event: RunEvent, row: int) -> None:
        """Keep what a log event says; other events say nothing."""
        if event.type is not EventType.LOG:
            return
        said = log_line(event, row)
        last = self._new[-1] if self._new else None
        if event.data.get("replace") and last is not None and last[3:] == said[3:]:
            self._new.pop()  # a progress bar draws over its own line
            if self._lines:
                self._lines.pop()
        self._lines.append(said)
        self._new.append(said)

    def take_new(self) -> list[list[Any]]:
        """The lines of the next message."""
        new, self._new = _newest(self._new, DELTA_LOG_BYTES), deque(maxlen=LINES)
        return new

    def whole(self) -> list[list[Any]]:
        """The lines that are kept and were sent.

        The others come with the next message: lines are appended, so a page that had
        them in a snapshot too would show them twice.
        """
        kept = list(self._lines)
        return _newest(kept[: len(kept) - len(self._new)], LOG_BYTES)


def log_line(event: RunEvent, row: int) -> list[Any]:
    """A log event as [time, level, text, row, source]."""
    data = event.data
    return [
        millis(event.timestamp),
        str(data.get("level") or "info"),
        line(data.get("message") or "", LOG),
        row,
        str(data.get("source") or ""),
    ]


def plain_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON schema that stands for itself, in the few words of `Question`."""
    names = schema.get("$defs")
    known = names if isinstance(names, Mapping) else {}
    made = _resolved({k: v for k, v in schema.items() if k != "$defs"}, known, 8)
    if not isinstance(made, dict) or size(made) > _SCHEMA_BYTES:
        return {"type": "string", "description": "the answer as JSON"}
    fields = made.get("properties")
    for name, part in fields.items() if isinstance(fields, dict) else ():
        if isinstance(part, dict):
            _suit(name, part)
    return made


def _suit(name: str, part: dict[str, Any]) -> None:
    """Make the schema of a field what a form shows: as the other forms do."""
    if part.get("title") == name.replace("_", " ").title():  # that is pydantic's
        del part["title"]
    if part.get("properties") and "default" not in part and not part.get("nullable"):
        part["default"] = example(part)


def _resolved(value: Any, known: Mapping[str, Any], depth: int) -> Any:
    if depth <= 0:
        return {}
    if isinstance(value, list):
        return [_resolved(each, known, depth) for each in value]
    if isinstance(value, float):
        return plain_number(value)
    if not isinstance(value, Mapping):
        return line(value, ERROR) if isinstance(value, str) else value
    reference = value.get("$ref")
    if isinstance(reference, str):
        found = known.get(reference.removeprefix("#/$defs/"), {})
        # Its title is the name of a class; that of a field is what users know.
        named = {k: v for k, v in found.items() if k != "title"}
        return _resolved({**named, **_others(value)}, known, depth - 1)
    parts = value.get("allOf")
    if isinstance(parts, list) and len(parts) == 1 and isinstance(parts[0], Mapping):
        return _resolved({**parts[0], **_others(value)}, known, depth - 1)
    union = value.get("anyOf")
    if isinstance(union, list) and {"type": "null"} in union and len(union) == 2:
        real: Any = next((each for each in union if each != {"type": "null"}), {})
        inner = {k: v for k, v in value.items() if k != "anyOf"}
        return _resolved({**real, **inner, "nullable": True}, known, depth - 1)
    made = {str(key): _resolved(part, known, depth - 1) for key, part in value.items()}
    if "const" in made:
        made["enum"] = [made.pop("const")]
    return made


def _others(value: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in value.items() if k not in ("$ref", "allOf")}


def _some(questions: Iterable[Question]) -> list[Question]:
    kept: list[Question] = []
    left = _QUESTIONS_BYTES
    for each in questions:
        left -= size(each)
        if kept and left < 0:
            break
        kept.append(each)
    return kept


def _question(facts: Facts, row: int) -> Question:
    return {
        "row": row,
        "step": line(facts.name, NAME),
        "text": line(facts.question or "", 4 * ERROR),
        "schema": plain_schema(facts.schema or {"type": "string"}),
        "until": millis(facts.until),
    }


def _progress(facts: Facts | None) -> str | None:
    if facts is None:
        return None
    done, total = plain_number(facts.done), plain_number(facts.total)
    share = None if done is None else f"{done:,}"
    if done is not None and total:
        share = f"{round(100 * done / total)} %"
    return " · ".join(filter(None, (share, maybe(facts.note, LINE)))) or None


def _can(status: RunStatus, is_ended: bool) -> list[str]:
    if not is_ended:
        return ["cancel"]
    can = ["rerun"]
    if status in RESUMABLE_RUN:
        can.insert(0, "resume")
    return can


def _newest(lines: Iterable[list[Any]], left: int) -> list[list[Any]]:
    """The last lines that go into a message."""
    kept: list[list[Any]] = []
    for each in reversed(list(lines)):
        left -= size(each) + 2
        if left < 0:
            break
        kept.append(each)
    return kept[::-1]

"""What is known of a run or a step, as lines to read: values, errors, attempts.

Pure; the text of a value comes whole, and is cut for the screen by whoever shows it.
"""

import dataclasses
import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator

from nbflow.model import Attempt, ErrorInfo, Run, Step, StepStatus, safe_text
from nbflow.view.folding import closed_at_first, folds, visible
from nbflow.view.frames import with_cells
from nbflow.view.tables import run_facts
from nbflow.view.text import Line, Span, cells, line, pad
from nbflow.view.values import to_json
from nbflow.view.words import Look, badge, clock, plural, took, until, word

SHOWN = 64 * 1024
"""Characters of a text that are shown; the rest is for a pager."""

_TOKEN = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<text>"(?:[^"\\]|\\.)*")'
    r"|(?P<word>\b(?:true|false|null)\b)"
)
_OWN = re.compile(r'^\s*(?:File "|Cell )')


def value_text(load: Callable[[], object]) -> str:
    """A recorded value as indented JSON; why it cannot be shown, if so."""
    try:
        return to_json(load(), indent=2)
    except Exception as error:  # a lost blob, a damaged record: said in its place
        return f"<{type(error).__name__}: {error}>"


def shown_part(text: str) -> tuple[str, ...]:
    """The lines of a text that are shown, safe for a terminal."""
    return tuple(_some(text).splitlines())


def json_lines(text: str) -> list[Line]:
    """JSON with its keys and texts told apart."""
    return [json_line(each) for each in shown_part(text)] + more_lines(text)


def json_line(text: str) -> Line:
    """One line of JSON with its keys and texts told apart."""
    spans: list[Span] = []
    place = 0
    for found in _TOKEN.finditer(text):
        spans.append(Span(text[place : found.start()]))
        role = {"key": "busy", "text": "good", "word": "again"}[
            found.lastgroup or "key"
        ]
        spans.append(Span(found[0], role))
        place = found.end()
    return line(*spans, text[place:])


def more_lines(text: str) -> list[Line]:
    """How much of a text is not shown, if it is not all."""
    left = len(text) - SHOWN
    return (
        [line(Span(f"… {plural(left, 'character')} more", "warn"))] if left > 0 else []
    )


def glance_lines(text: str, count: int) -> list[Line]:
    """The beginning of JSON, at most `count` lines, what lies deep folded."""
    lines = shown_part(text)
    known = folds(lines)
    closed = closed_at_first(known)
    places = list(visible(len(lines), known, closed))
    found = [
        json_line(
            known[place].told(lines[place], lines[known[place].last])
            if place in closed
            else lines[place]
        )
        for place in places[:count]
    ]
    return [*found, line(Span("…", "dim"))] if len(places) > count else found


def plain_lines(text: str) -> list[Line]:
    """A text as it is, source code for one."""
    found = [line(each.replace("\t", "    ")) for each in _some(text).splitlines()]
    return found + more_lines(text)


def error_lines(error: ErrorInfo) -> list[Line]:
    """An error: what it is, what it says, where it was raised in the user's code."""
    head, *rest = error.message.splitlines() or [""]
    found = [line(Span(error.type, "bad"), Span(f": {head}" if head else "", "strong"))]
    found += [line(each) for each in rest]
    if error.step:
        found.append(line(Span("in step ", "dim"), error.step))
    if error.run_id:
        found.append(line(Span("of run ", "dim"), error.run_id))
    if error.traceback:
        found.append(())
        for each in with_cells(error.traceback).splitlines():
            role = "busy" if _OWN.match(each) else ""
            found.append(line(Span(each, role)))
    return found


def attempt_lines(step: Step, look: Look, now: dt.datetime) -> list[Line]:
    """The attempts of a step, with what went wrong in each."""
    if not step.attempts:
        return [line(Span("no attempt was made", "dim"))]
    found: list[Line] = []
    for attempt in step.attempts:
        found.append(_attempt_line(attempt, look, now))
        if attempt.error is not None:
            found.append(line("     ", Span(_first(str(attempt.error)), "bad")))
        is_open = step.status is StepStatus.RETRYING
        if attempt is step.attempts[-1] and is_open and attempt.retry_at:
            found.append(
                line("     ", Span(f"again {until(attempt.retry_at, now)}", "again"))
            )
    return found


def step_facts(step: Step, look: Look, now: dt.datetime) -> list[Line]:
    """What is known of a step beside its values."""
    return _aligned(_step_facts(step, look, now))


def run_document(run: Run, look: Look, now: dt.datetime) -> list[Line]:
    """What is known of a run beside its values."""
    head = line(badge(run.status, look), " ", word(run.status))
    shown = dataclasses.replace(run, preview=None)  # the result comes whole
    return [head, *(each[1:] for each in run_facts(shown, look, now))]


def wrapped(lines: Iterable[Line], width: int) -> Iterator[Line]:
    """Lines broken where they are longer than `width` cells, where it can at blanks."""
    width = max(width, 1)
    for each in lines:
        room = width
        part: list[Span] = []
        for text, role in each:
            left = text
            while left:
                taken = _taken(left, room)
                if not taken and room < width:
                    yield tuple(part)
                    room, part = width, []
                    continue
                taken = taken or left[0]
                if len(taken) < len(left):
                    taken = _to_a_word(taken, left)
                part.append(Span(taken, role))
                room -= cells(taken)
                left = left[len(taken) :]
                if left:
                    yield tuple(part)
                    room, part = width, []
        yield tuple(part)


def _to_a_word(taken: str, text: str) -> str:
    """As much of it as ends before a word, where that leaves half of it or more."""
    if text[len(taken)] == " " or taken.endswith(" "):
        return taken
    end = taken.rfind(" ") + 1
    return taken[:end] if end * 2 > len(taken) else taken


def _taken(text: str, room: int) -> str:
    """The beginning of a text that fits."""
    if text.isascii():
        return text[: max(room, 0)]
    low, high = 0, min(len(text), max(room, 0) * 8)
    while low < high:
        middle = (low + high + 1) // 2
        if cells(text[:middle]) <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def _step_facts(step: Step, look: Look, now: dt.datetime) -> Iterator[tuple[str, Line]]:
    yield "step", line(Span(step.name, "strong"))
    yield "kind", line(step.kind.value)
    yield "status", line(badge(step.status, look), " ", word(step.status))
    if step.queued_at is not None:
        yield "queued", line(clock(step.queued_at, now))
    if step.started_at is not None:
        yield "started", line(clock(step.started_at, now))
    if step.queued_at is not None and step.started_at is not None:
        waited = (step.started_at - step.queued_at).total_seconds()
        yield "waited", line(took(max(waited, 0.0)))
    if step.duration is not None:
        yield "took", line(took(step.duration))
    if step.due_at is not None:
        yield "due", line(until(step.due_at, now))
    if len(step.attempts) > 1:
        yield "attempts", line(Span(str(len(step.attempts)), "again"))
    if step.flow_key:
        yield "queue", line(step.flow_key)
    if step.event:
        yield "event", line(step.event)
    if step.child_run_id:
        yield "child", line(step.child_run_id)
    if step.cached_from:
        yield "cached", line(Span(f"from {step.cached_from}", "rest"))
    if step.stale:
        yield "stale", line(Span("its function was edited since", "warn"))
    if step.superseded:
        yield "afresh", line(Span("executed anew: its arguments had changed", "warn"))
    if step.key:
        yield "key", line(Span(step.key, "dim"))


def _aligned(facts: Iterable[tuple[str, Line]]) -> list[Line]:
    known = list(facts)
    width = max((cells(name) for name, _ in known), default=0)
    return [line(Span(pad(name, width), "dim"), "  ", fact) for name, fact in known]


def _attempt_line(attempt: Attempt, look: Look, now: dt.datetime) -> Line:
    when = "" if attempt.started_at is None else clock(attempt.started_at, now)
    return line(
        badge(attempt.status, look),
        f" try {attempt.number}  ",
        word(attempt.status),
        Span(f"  {when}  {took(attempt.duration)}", "dim"),
    )


def _some(text: str) -> str:
    return safe_text(text[:SHOWN], multiline=True)


def _first(text: str) -> str:
    return text.partition("\n")[0]

"""Lists and single records as lines: runs, one run's facts, events, a plan."""

import datetime as dt
from collections.abc import Iterable, Sequence

from nbflow.model import (
    EVENT_DATA,
    RUN_STATUS_AFTER,
    STEP_STATUS_AFTER,
    EventType,
    Plan,
    Run,
    RunEvent,
    RunStatus,
    StepStatus,
)
from nbflow.view.board import error_line, first_line, moment
from nbflow.view.text import Line, Span, cells, line, pad
from nbflow.view.words import (
    Look,
    ago,
    badge,
    clock,
    date,
    mark,
    number,
    plural,
    preview_text,
    took,
    until,
    word,
)

_LEVELS = {"debug": "dim", "info": "", "warning": "warn", "error": "bad"}


def table(rows: Sequence[Sequence[Line]], *, right: Sequence[int] = ()) -> list[Line]:
    """Rows as lines with aligned columns; `right`: columns that end together."""
    widths = [
        max((sum(cells(span.text) for span in row[column]) for row in rows), default=0)
        for column in range(len(rows[0]) if rows else 0)
    ]
    lines = []
    for row in rows:
        parts: list[Span | Line] = []
        for column, cell in enumerate(row):
            blanks = widths[column] - sum(cells(span.text) for span in cell)
            fill = Span(" " * blanks)
            is_last = column == len(row) - 1
            parts += [fill, cell] if column in right else [cell]
            if not is_last:
                parts.append(Span("  " if column in right else f"{fill.text}  "))
        lines.append(line(*parts))
    return lines


def runs_table(runs: Iterable[Run], look: Look, now: dt.datetime) -> list[Line]:
    """One line a run, newest first: status, workflow, id, when, how long, why."""
    listed = list(runs)
    apps = {run.app for run in listed}
    return table(
        [_run_cells(run, look, now, len(apps) > 1) for run in listed], right=(4,)
    )


def run_brief(run: Run, look: Look, now: dt.datetime) -> Line:
    """A run in one line, for lists of a few."""
    return line(
        badge(run.status, look),
        f" {run.workflow}  ",
        Span(run.run_id, "dim"),
        "  ",
        word(run.status),
        "  ",
        Span(_when(run, now), "dim"),
    )


def run_facts(
    run: Run, look: Look, now: dt.datetime, input: str | None = None
) -> list[Line]:
    """What is known of one run beside its steps, one fact a line.

    Args:
        run: the run.
        look: what can be shown.
        now: the time.
        input: the run's input as text, to be shown among the facts.
    """
    facts = list(_facts_of(run, now, input))
    width = max((cells(name) for name, _ in facts), default=0)
    return [
        line("  ", Span(pad(name, width), "dim"), "  ", fact) for name, fact in facts
    ]


def event_line(
    event: RunEvent, look: Look, now: dt.datetime, since: dt.datetime | None = None
) -> Line:
    """An event as people read it: time, number, what happened, what it says.

    Args:
        event: the event.
        look: what can be shown.
        now: the time.
        since: tell how long after this it was, not the time of day.
    """
    status = STEP_STATUS_AFTER.get(event.type) or RUN_STATUS_AFTER.get(event.type)
    if status is None and event.type is EventType.RUN_RETRYING:
        status = StepStatus.RETRYING  # of runs, that is no status
    sign = badge(status, look) if status is not None else Span(" ")
    at = _time_of(event, now) if since is None else _after(event, since)
    return line(
        Span(at, "dim"),
        Span(f" {event.index:>4}  ", "dim"),
        sign,
        " ",
        said(event, now),
    )


def _time_of(event: RunEvent, now: dt.datetime) -> str:
    local = event.timestamp.astimezone()
    at = f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"
    is_today = local.date() == now.astimezone().date()
    return at if is_today else f"{date(event.timestamp, now)} {at}"


def _after(event: RunEvent, since: dt.datetime) -> str:
    """ "+4.250", "+1:04:00.000", as wide as a time of day."""
    millis = round((event.timestamp - since).total_seconds() * 1000)
    minutes, rest = divmod(abs(millis), 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:.3f}"
    if hours or minutes:
        head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
        text = f"{head}:{text:0>6}"
    return f"{'-' if millis < 0 else '+'}{text}".rjust(12)


def said(event: RunEvent, now: dt.datetime) -> Line:
    """What an event tells, without its time: "fetch completed in 1.2 s"."""
    subject = event.step or "run"
    if event.type is EventType.LOG:
        level = str(event.data.get("level") or "info")
        where = f"{event.step}: " if event.step else ""
        text = str(event.data.get("message") or "")
        return line(Span(where, "dim"), Span(text, _LEVELS.get(level, "")))
    if event.type is EventType.PROGRESS:
        return line(subject, Span(f"  {_progress(event)}", "dim"))
    if event.type is EventType.DATA:
        return line(
            subject,
            Span(f"  data {event.data.get('name')}: ", "dim"),
            _cut_text(str(event.data.get("data"))),
        )
    return _told(event, subject, now)


def _told(event: RunEvent, subject: str, now: dt.datetime) -> Line:
    status = STEP_STATUS_AFTER.get(event.type) or RUN_STATUS_AFTER.get(event.type)
    role = mark(status).role if status is not None else "again"
    parts: list[Span | str] = [
        Span(subject, "strong"),
        " ",
        Span(_verb(event, now), role),
    ]
    error = error_line(event.data.get("error"))
    if error is not None:
        parts += ["  ", Span(error, "bad" if role == "bad" else "warn")]
    details = ", ".join(_details(event, now))
    if details:
        parts += ["  ", Span(details, "dim")]
    return line(*parts)


def _verb(event: RunEvent, now: dt.datetime) -> str:
    """What happened: "completed in 1.2 s", "failed, next try at 14:03:05"."""
    verb = event.type.value.partition(".")[2].replace("_", " ")
    tries = f" (try {event.attempt})" if (event.attempt or 1) > 1 else ""
    duration = event.data.get("duration")
    if isinstance(duration, int | float) and not event.data.get("cached_from"):
        verb += f" {'in' if verb == 'completed' else 'after'} {took(duration)}"
    elif event.type in (EventType.STEP_RETRYING, EventType.RUN_RETRYING):
        due = moment(event.data.get("retry_at"))
        return f"failed{tries}, next try {f'at {clock(due, now)}' if due else 'later'}"
    elif event.type is EventType.STEP_INVOKING:
        verb = "invokes"
    return verb + tries


def plan_line(plan: Plan) -> Line:
    """What a resume will do: "keeps 6 steps, runs 6, 1 stale, about 40 s"."""
    parts = [f"keeps {plural(len(plan.kept) + len(plan.stale), 'step')}"]
    parts.append(f"runs {len(plan.to_run):,}" if plan.to_run else "runs what follows")
    if plan.stale:
        parts.append(f"{len(plan.stale):,} stale")
    if plan.duration is not None:
        parts.append(f"about {took(plan.duration)} last time")
    return line(", ".join(parts))


def plan_lines(plan: Plan) -> list[Line]:
    """A plan with the names of its steps."""
    lines = [plan_line(plan)]
    for title, names, role in (
        ("kept", plan.kept, "good"),
        ("stale", plan.stale, "warn"),
        ("to run", plan.to_run, "busy"),
    ):
        lines += [
            line("  ", Span(pad(title if not place else "", 6), role), "  ", name)
            for place, name in enumerate(names)
        ]
    return lines


def _run_cells(run: Run, look: Look, now: dt.datetime, is_mixed: bool) -> list[Line]:
    name = f"{run.app}/{run.workflow}" if is_mixed else run.workflow
    child = ("↳ " if look.unicode else "> ") if run.parent else ""
    return [
        line(badge(run.status, look), " ", word(run.status)),
        line(Span(child, "dim"), Span(name, "strong")),
        line(run.run_id),
        line(Span(_when(run, now), "dim")),
        line(Span(took(_lasted(run, now)), "dim")),
        line(*_why(run)),
    ]


def _when(run: Run, now: dt.datetime) -> str:
    return "" if run.queued_at is None else ago(run.queued_at, now)


def _lasted(run: Run, now: dt.datetime) -> float | None:
    if run.duration is not None or run.started_at is None:
        return run.duration
    return max((now - run.started_at).total_seconds(), 0)


def _why(run: Run) -> Iterable[Span]:
    """What matters most of a run in a list."""
    if run.label:
        yield Span(f"[{run.label}] ", "strong")
    yield run_note(run)


def run_note(run: Run) -> Span:
    """Its error, what it waits for, or what came of it: one line; empty for nothing."""
    if run.error is not None:
        return Span(first_line(str(run.error)), "bad")
    if run.waiting:
        more = f" (+{len(run.waiting) - 1})" if len(run.waiting) > 1 else ""
        return Span(f"{run.waiting[0]}{more}", "warn")
    if run.cancel_reason or run.skip_reason:
        return Span(first_line(run.cancel_reason or run.skip_reason or ""), "dim")
    is_told = run.status is RunStatus.COMPLETED
    return Span(first_line(preview_text(run.preview)) if is_told else "", "dim")


def _facts_of(
    run: Run, now: dt.datetime, input: str | None
) -> Iterable[tuple[str, Line]]:
    yield "app", line(run.app)
    if run.label:
        yield "label", line(run.label)
    if input is not None:
        yield "input", line(input)
    if run.queued_at is not None:
        yield "begun", line(f"{clock(run.queued_at, now)} ({ago(run.queued_at, now)})")
    if run.duration is not None:
        yield "took", line(took(run.duration))
    if run.not_before is not None and run.started_at is None:
        yield "starts", line(until(run.not_before, now))
    if run.attempt > 1:
        # Each resume adds tries, so there may be more than the limit of one life.
        limit = f" of {run.retries + 1}" if run.attempt <= run.retries + 1 else ""
        yield "tries", line(f"{run.attempt}{limit}")
    if run.recoveries:
        yield "recovered", line(plural(run.recoveries, "time"))
    if run.parent:
        step = f" (step {run.parent_step})" if run.parent_step else ""
        yield "parent", line(run.parent, Span(step, "dim"))
    if run.rerun_of:
        start = f" from step {run.from_step}" if run.from_step else ""
        yield "rerun of", line(run.rerun_of, Span(start, "dim"))
    for name, value in run.headers.items():
        yield "header", line(f"{name}: {value}")
    for reason in run.waiting:
        yield "waits", line(Span(reason, "warn"))
    if run.cancel_reason or run.skip_reason:
        yield "reason", line(run.cancel_reason or run.skip_reason or "")
    if run.status is RunStatus.COMPLETED and run.preview is not None:
        yield "result", line(first_line(run.preview))


def _progress(event: RunEvent) -> str:
    done, total = event.data.get("done"), event.data.get("total")
    text = number(done) if isinstance(done, int | float) else "?"
    if isinstance(total, int | float):
        text = f"{text}/{number(total)}"
    message = event.data.get("message")
    return f"{text} {message}" if message else text


def _details(event: RunEvent, now: dt.datetime) -> Iterable[str]:
    """What an event carries, in words; in the order of its type's fields."""
    for name in EVENT_DATA.get(event.type, ()):
        value = event.data.get(name)
        if value is None or value == [] or value == {}:
            continue
        if name in ("error", "retry_at", "duration", "after"):
            continue  # told already
        elif name == "old_definition":
            continue  # a hash
        elif name in ("until", "not_before"):
            when = moment(value)
            yield f"{_WHEN[name]} {clock(when, now) if when else value}"
        elif name in ("kept", "stale") and isinstance(value, list):
            yield f"{name} {', '.join(map(str, value[:8]))}"
        elif name == "preview":
            if preview_text(value):
                yield _cut_text(preview_text(value))
        elif name in _BARE:
            yield _cut_text(str(value))
        elif name == "recoveries" and not value:
            continue
        elif name == "definition_changed":
            if value:
                yield "the code has changed"
        elif name != "kind" and not (name == "attempt" and value == 1):
            yield f"{name.replace('_', ' ')} {_cut_text(str(value))}"


_WHEN = {"until": "until", "not_before": "not before"}
_BARE = ("workflow", "reason", "child_run_id", "question", "input_preview")


def _cut_text(text: str) -> str:
    text = first_line(text)
    return text if len(text) <= 120 else f"{text[:119]}…"


def finding_line(state: str, what: str, text: str, look: Look) -> Line:
    """What a check has found; `state` is "ok", "note" or "wrong"."""
    sign, role = {
        "ok": ("✓" if look.unicode else "v", "good"),
        "note": ("∙" if look.unicode else ".", "warn"),
        "wrong": ("✗" if look.unicode else "x", "bad"),
    }[state]
    return line(Span(sign, role), " ", Span(pad(what, 12), "strong"), " ", text)

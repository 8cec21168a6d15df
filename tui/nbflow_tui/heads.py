"""The single lines round the panes, as pure functions of a snapshot."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path as Folder

from nbflow.model import UNFINISHED_RUN, StepStatus
from nbflow.view import (
    Filter,
    Line,
    Look,
    Span,
    ago,
    badge,
    clock,
    counts_line,
    line,
    number,
    passed,
    plural,
    took,
    totals,
    until,
    word,
)
from nbflow_tui.inspector import Subject
from nbflow_tui.snapshot import Path, Shown, Snapshot

_ROOM = 100
_NARROW = 64


def head(
    snapshot: Snapshot, home: Folder, look: Look, state: Line, width: int
) -> tuple[Line, Line]:
    """The first line: the home, how many runs of each status, the engines."""
    found = totals(app.counts for app in snapshot.apps)
    counts = counts_line(found, look, is_told=width >= _ROOM)
    where = snapshot.apps[0].name if len(snapshot.apps) == 1 else ""
    place = f"{where} · {_short(home)}" if where else _short(home)
    if width < _NARROW:
        place = where
    left = line(
        Span("nbflow", "strong"),
        Span(f"  {place}" if place else "", "dim"),
        "   ",
        counts,
    )
    served = sum(app.is_served for app in snapshot.apps)
    if not snapshot.apps:
        return left, state
    told = f"{plural(served, 'engine')}" if served else "no engine"
    return left, line(state, Span(told, "good" if served else "dim"))


def problem(snapshot: Snapshot, stuck: float, limit: float) -> Line:
    """What cannot be read, in words."""
    if stuck > limit:
        return line(
            Span(f"a store is locked or slow: waiting for {stuck:.0f} s", "warn"),
            Span(", what is shown is from before", "dim"),
        )
    if snapshot.problem is not None:
        return line(Span(snapshot.problem, "bad"))
    for app in snapshot.apps:
        if app.problem is not None:
            return line(Span(f"{app.name}: ", "strong"), Span(app.problem, "bad"))
    return ()


def no_runs(snapshot: Snapshot, home: Folder) -> Line:
    """Why the list is empty."""
    if not snapshot.is_whole and snapshot.want.filter:
        return line(Span(f" looking… {snapshot.looked:,} runs so far", "dim"))
    if snapshot.want.filter:
        return line(Span(" no run passes the filter; esc clears it", "dim"))
    if not snapshot.apps:
        return line(Span(f" no store in {home} yet: runs appear here", "dim"))
    return line(Span(" no runs yet", "dim"))


def runs_title(wanted: Filter, error: str, snapshot: Snapshot, look: Look) -> Line:
    """Which runs are listed."""
    if error:
        return line(Span(error, "bad"))
    if not wanted:
        return line(Span("Runs", "strong"))
    chips: list[Span | str] = [Span("Runs", "strong")]
    for chip in wanted.chips:
        chips += [" ", Span(f"[{chip}]", "busy")]
    if not snapshot.is_whole:
        chips.append(Span(f"  {snapshot.looked:,} looked at", "dim"))
    return line(*chips)


def run_head(shown: Shown | None, path: Path, look: Look) -> tuple[Line, Line]:
    """Which run is shown: after those that it was opened from."""
    if shown is None or shown.run is None:
        return line(Span(path[-1][1] if path else "", "dim")), ()
    parts: list[Span | str | Line] = []
    arrow = " › " if look.unicode else " > "
    for _, run_id in shown.path[:-1]:
        parts += [Span(run_id, "dim"), Span(arrow, "dim")]
    run = shown.run
    if run.parent and len(shown.path) == 1:
        parts += [Span(run.parent, "dim"), Span(arrow, "dim")]
    parts += [badge(run.status, look), " ", Span(run.workflow, "strong")]
    if run.label:
        parts.append(Span(f"  {run.label}", "dim"))
    return line(*parts), line(Span(run.run_id, "dim"))


def run_facts(shown: Shown | None, look: Look, now: dt.datetime) -> Line:
    """How far the shown run is."""
    if shown is None:
        return ()
    if shown.problem is not None:
        return line(Span(shown.problem, "bad"))
    run = shown.run
    if run is None:
        return line(Span("this run is not there (any more)", "warn"))
    parts: list[Span | Line] = [word(run.status)]
    if shown.is_left:
        parts.append(Span("no engine executes it", "warn"))
    if run.duration is not None:
        parts.append(Span(took(run.duration)))
    elif run.started_at is not None:
        parts.append(Span(passed(run.started_at, now)))
    elif run.not_before is not None:
        parts.append(Span(f"starts {until(run.not_before, now)}", "rest"))
    if run.queued_at is not None:
        when = f"{clock(run.queued_at, now)} ({ago(run.queued_at, now)})"
        parts.append(Span(when, "dim"))
        if run.started_at is not None:
            waited = (run.started_at - run.queued_at).total_seconds()
            if waited >= 0.5:
                parts.append(Span(f"queued {took(waited)}", "dim"))
    if run.attempt > 1:
        parts.append(Span(f"try {run.attempt}", "again"))
    if run.recoveries:
        parts.append(Span(f"recovered {plural(run.recoveries, 'time')}", "again"))
    if shown.progress is not None:
        parts.append(Span(_progress(shown.progress)))
    total = sum(shown.steps.values())
    if total:
        done = shown.steps.get(str(StepStatus.COMPLETED), 0)
        text = plural(total, "step") if done == total else f"{done:,}/{total:,} steps"
        parts.append(Span(text))
    if run.rerun_of:
        parts.append(Span(f"rerun of {run.rerun_of}", "dim"))
    if not shown.is_read:
        parts.append(Span(f"reading… {shown.event_count:,} events", "dim"))
    joined: list[Span | Line] = []
    for place, part in enumerate(parts):
        joined += [Span(look.dot(), "dim"), part] if place else [part]
    return line(*joined)


def no_steps(shown: Shown, look: Look) -> Line:
    """Why the timeline is empty."""
    run = shown.run
    if not shown.is_read:
        return line(Span(f" reading… {shown.event_count:,} events", "dim"))
    if run is None or run.status not in UNFINISHED_RUN:
        return line(Span(" this run has no steps", "dim"))
    return line(Span(" no step has begun", "dim"))


def tabs(names: Sequence[str], chosen: int) -> Line:
    """The tabs of the details."""
    parts: list[Span | str] = []
    for place, name in enumerate(names):
        parts += [" "] if parts else []
        parts.append(Span(name, "strong" if place == chosen else "dim"))
    return line(*parts)


def about(subject: Subject | None) -> Line:
    """What the details are about."""
    return () if subject is None else line(Span(subject.title, "dim"))


def _progress(progress: tuple[float, float | None, str | None]) -> str:
    done, total, note = progress
    text = f"{number(done)}/{number(total)}" if total else number(done)
    return f"{text} {note}" if note else text


def _short(home: Folder) -> str:
    folder = home.parent if home.name == ".nbflow" else home
    user = str(Folder.home())
    text = str(folder)
    return f"~{text[len(user) :]}" if text.startswith(f"{user}/") else text

"""`nbflow tui`: starts the terminal monitor, or prints once what it would show.

The snapshot is text for pipes, CI and bug reports: it needs no Textual, and is drawn by
the same functions over records.
"""

import argparse
import datetime as dt
import os
import shutil
import sys
from typing import Any, NamedTuple

from nbflow.cli import failures, output, places
from nbflow.cli.reading import run_object, step_object
from nbflow.cli.startup import settle
from nbflow.client import Client
from nbflow.client.asked import newest
from nbflow.errors import RunNotFound, StoreError
from nbflow.model import Run, RunStatus
from nbflow.view import (
    Board,
    Line,
    Span,
    clock,
    counts_line,
    error_text,
    line,
    paint,
    plural,
    run_facts,
    run_line,
    runs_table,
    totals,
)
from nbflow.view.timeline import timeline_lines

_WIDTH = 100
_CHILDREN = 50
"""Child runs that a snapshot reads."""


def monitor(options: argparse.Namespace) -> int:
    """Start the monitor; print a snapshot where there is nobody to watch it."""
    is_watched = sys.stdout.isatty() and sys.stdin.isatty()
    if options.snapshot or options.json or not is_watched:
        settle()
        return snapshot(options)
    try:
        from nbflow_tui import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("textual", "rich"):
            raise
        raise failures.Usage(
            "the monitor needs Textual: `pip install 'nbflow[tui]'`. Without it, "
            "`nbflow tui --snapshot` prints the runs once"
        ) from None
    names = app.theme_names()
    if options.theme not in names:
        raise failures.Usage(
            f"--theme {options.theme}: there is no such theme; give one of "
            f"{', '.join(names)}"
        )
    settle()
    run = None
    if options.run is not None:
        client, run_id = places.find_run(options, options.run)
        run = client.app, run_id
    return app.run(
        places.home_of(options),
        options.app,
        run=run,
        read_only=options.read_only,
        ascii=options.ascii,
        fps=options.fps,
        theme=options.theme,
    )


class Overview(NamedTuple):
    """What one app holds."""

    app: str
    is_served: bool
    counts: dict[str, int]
    runs: list[Run]
    error: str | None = None


def snapshot(options: argparse.Namespace) -> int:
    """Print the runs, or one run; 1 if that run failed or a store cannot be read."""
    if options.width is not None and not 10 <= options.width <= 1000:
        raise failures.Usage(f"--width {options.width}: give 10 to 1,000 columns")
    if not 0 <= options.limit <= 1000:
        raise failures.Usage(f"--limit {options.limit}: give a number from 0 to 1,000")
    if options.run is not None:
        return _run_snapshot(options, *places.find_run(options, options.run))
    apps = [_overview(client, options) for client in places.clients(options)]
    runs = sorted(
        (run for app in apps for run in app.runs),
        key=lambda run: run.queued_at or _now(),
        reverse=True,
    )[: options.limit]
    if options.json:
        output.write_json(_overview_object(options, apps, runs))
    else:
        _write(options, _overview_lines(options, apps, runs))
    for app in apps:
        if app.error is not None:
            failures.tell(f"app {app.app}: {app.error}")
    return 1 if any(app.error is not None for app in apps) else 0


def _overview(client: Client, options: argparse.Namespace) -> Overview:
    try:
        runs = newest(client.runs, limit=options.limit)[0] if options.limit else []
        counts = client.runs.counts()
        return Overview(client.app, client.is_served(), counts, runs)
    except StoreError as error:
        return Overview(client.app, False, {}, [], str(error))


def _overview_lines(
    options: argparse.Namespace, apps: list[Overview], runs: list[Run]
) -> list[Line]:
    look, now = output.look_of(sys.stdout), _now()
    counts = totals(app.counts for app in apps)
    served = [app.app for app in apps if app.is_served]
    if len(served) == len(apps):
        engines = "engines run" if len(apps) > 1 else "engine runs"
    elif served:
        engines = f"engine runs for {', '.join(served)}"
    else:
        engines = "no engine runs"
    facts = [_short_path(places.home_of(options))]
    facts.append(apps[0].app if len(apps) == 1 else plural(len(apps), "app"))
    facts += [engines] if apps else []
    facts.append(clock(now, now))
    dot = look.dot()
    lines = [
        line(Span("nbflow", "strong"), Span(f"  {dot.join(facts)}", "dim")),
        counts_line(counts, look, is_told=True) or line(Span("no runs", "dim")),
    ]
    if runs:
        lines += [line(), *runs_table(runs, look, now)]
        more = sum(counts.values()) - len(runs)
        if more > 0:
            # Children are counted, but listed by their parents.
            dots = "⋯" if look.unicode else "..."
            lines.append(line(Span(f"{dots} {plural(more, 'more run')}", "dim")))
    return lines


def _overview_object(
    options: argparse.Namespace, apps: list[Overview], runs: list[Run]
) -> dict[str, Any]:
    counts = totals(app.counts for app in apps)
    return {
        "home": str(places.home_of(options)),
        "at": _now(),
        "counts": {str(each): counts.get(each, 0) for each in RunStatus},
        "apps": [
            {
                "app": app.app,
                "is_served": app.is_served,
                "counts": {str(each): app.counts.get(each, 0) for each in RunStatus},
                "error": app.error,
            }
            for app in apps
        ],
        "runs": [run_object(run) for run in runs],
    }


def _run_snapshot(options: argparse.Namespace, client: Client, run_id: str) -> int:
    run = client.runs.get(run_id)
    if options.json:
        steps = [step_object(step) for step in client.runs.steps(run_id)]
        output.write_json(run_object(run) | {"steps": steps})
        return _run_code(run)
    look, now = output.look_of(sys.stdout), _now()
    board = _board(client, run)
    width = _width(options)
    facts = run_facts(run, look, now)
    lines = [run_line(board, look, now), *facts]
    drawn = timeline_lines(board, look, now, width=width)
    if drawn:
        lines += [line(), *drawn]
    if run.error is not None:
        lines.append(line())
        lines += [line(Span(each, "bad")) for each in error_text(run).splitlines()]
    _write(options, lines)
    return _run_code(run)


def _run_code(run: Run) -> int:
    return 1 if run.status is RunStatus.FAILED else 0


def _board(client: Client, run: Run) -> Board:
    """A run's events folded, with those of its children that are shown with it."""
    board = Board(run)
    for event in client.runs.events(run.run_id):
        board.apply(event)
    left = _CHILDREN
    waiting = [board]
    while waiting and left:
        parent = waiting.pop(0)
        for child_id in parent.open_children()[:left]:
            left -= 1
            child = Board(run_id=child_id)
            try:
                for event in client.runs.events(child_id):
                    child.apply(event)
            except (RunNotFound, StoreError):
                continue  # of another app, or gone
            parent.children[child_id] = child
            waiting.append(child)
    return board


def _width(options: argparse.Namespace) -> int:
    if options.width is not None:
        return int(options.width)
    if sys.stdout.isatty():
        return output.size_of(sys.stdout)[0]
    return shutil.get_terminal_size((_WIDTH, 24)).columns


def _write(options: argparse.Namespace, lines: list[Line]) -> None:
    look, width = output.look_of(sys.stdout), _width(options)
    for each in lines:
        output.write(paint(each, look, width).rstrip() + "\n")


def _short_path(path: os.PathLike[str]) -> str:
    text = os.fspath(path)
    home = os.path.expanduser("~")
    return f"~{text[len(home) :]}" if text.startswith(home + os.sep) else text


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)

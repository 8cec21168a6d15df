"""`nbflow runs`, `show`, `events` and `cancel`: what stores say, without an engine."""

import argparse
import datetime as dt
import sys
from dataclasses import fields
from typing import Any

from nbflow.cli import failures, output, places
from nbflow.client import Client
from nbflow.client.asked import newest
from nbflow.errors import StoreError
from nbflow.model import RESUMABLE_RUN, Run, Step
from nbflow.view import (
    Filter,
    FilterError,
    error_text,
    event_line,
    paint,
    parse_filter,
    run_page,
    runs_table,
)


def runs(options: argparse.Namespace) -> int:
    """List the runs of all apps, newest first."""
    if not 1 <= options.limit <= 1000:
        raise failures.Usage(f"--limit {options.limit}: give a number from 1 to 1,000")
    try:
        wanted = parse_filter(options.filter or "")
    except FilterError as error:
        raise failures.Usage(f"--filter: {error}") from None
    found: list[Run] = []
    is_whole = True
    code = 0
    for client in places.clients(options):
        if not wanted.takes_app(client.app):
            continue
        try:
            some, more = _newest(client, options, wanted)
        except StoreError as error:
            failures.tell(str(error))
            code = 1
            continue
        found += some
        is_whole = is_whole and not more
    found.sort(key=lambda run: run.queued_at or _now(), reverse=True)
    shown = found[: options.limit]
    if options.json:
        output.write_json([run_object(run) for run in shown])
        return code
    if not shown:
        print(f"no runs in {places.home_of(options)}", file=sys.stderr)
        return code
    output.write_lines(runs_table(shown, output.look_of(sys.stdout), _now()))
    if not is_whole or len(found) > len(shown):
        print(f"the newest {len(shown)}; --limit shows more", file=sys.stderr)
    return code


def _newest(
    client: Client, options: argparse.Namespace, wanted: Filter
) -> tuple[list[Run], bool]:
    """The newest runs of an app that are asked for, and whether there are more."""
    now = dt.datetime.now(dt.UTC)
    given = {
        "status": options.status,
        "workflow": options.workflow,
        "label": options.label,
        "search": options.search,
        "since": options.since,
    }
    asked = wanted.arguments(now)
    asked |= {name: value for name, value in given.items() if value is not None}
    return newest(
        client.runs,
        limit=options.limit,
        children=options.children,
        accepts=(lambda run: wanted.matches(run, now)) if wanted else None,
        **asked,
    )


def show(options: argparse.Namespace) -> int:
    """Show one run: its facts, its steps, its error."""
    client, run_id = places.find_run(options, options.run)
    run = client.runs.get(run_id)
    steps = client.runs.steps(run_id)
    if options.json:
        made = run_object(run) | {"steps": [step_object(step) for step in steps]}
        output.write_json([made])
        return 0
    look, now = output.look_of(sys.stdout), _now()
    given = output.to_json(_value(run, "input"))[:2000]
    width = output.size_of(sys.stdout)[0] if sys.stdout.isatty() else None
    fold = 10**9 if options.all else 10
    lines = run_page(run, steps, look, now, input=given, fold=fold, width=width)
    output.write_lines(lines)
    if run.error is not None:
        output.write(f"\n{error_text(run)}\n")
    _tell_next(options, client, run)
    return 0


def events(options: argparse.Namespace) -> int:
    """Print the events of a run, as far as they are there or until it has ended."""
    client, run_id = places.find_run(options, options.run)
    stream = client.runs.stream(run_id, tail=options.tail, live=options.follow)
    look, now = output.look_of(sys.stdout), _now()
    if options.json and not options.follow:
        output.write_json(list(stream))
        return 0
    width = output.size_of(sys.stdout)[0] if sys.stdout.isatty() else None
    with stream:
        for event in stream:
            if options.json:
                output.write(output.to_json(event) + "\n")
            else:
                text = paint(event_line(event, look, now), look, width)
                output.write(text.rstrip() + "\n")
            if options.follow:
                sys.stdout.flush()
    return 0


def cancel(options: argparse.Namespace) -> int:
    """Cancel runs; those that have ended stay as they are."""
    found = [places.find_run(options, prefix) for prefix in options.runs]
    for client, run_id in dict.fromkeys(found):
        run = client.runs.get(run_id)
        if run.is_ended:
            print(f"run {run_id} has ended already: {run.status}")
            continue
        canceled = client.runs.cancel(run_id, reason=options.reason)
        if canceled:
            print(f"run {run_id} is canceled")
        elif client.runs.get(run_id).is_ended:
            print(f"run {run_id} has ended meanwhile: {client.runs.get(run_id).status}")
    return 0


def run_object(run: Run) -> dict[str, Any]:
    """A run's record for JSON, with input and result."""
    made = _object(run)
    made["input"], made["result"] = _value(run, "input"), _value(run, "result")
    return made


def step_object(step: Step) -> dict[str, Any]:
    """A step's record for JSON."""
    return _object(step)


def _object(record: Run | Step) -> dict[str, Any]:
    made = {
        each.name: getattr(record, each.name)
        for each in fields(record)
        if not each.name.startswith("_")
    }
    return made | ({"name": record.name} if isinstance(record, Step) else {})


def _value(run: Run, name: str) -> Any:
    try:
        return getattr(run, name)
    except Exception as error:  # a lost blob must not hide the rest of the list
        return f"<{type(error).__name__}: {error}>"


def _tell_next(options: argparse.Namespace, client: Client, run: Run) -> None:
    """What can be done with the run."""
    is_served = client.is_served()
    is_stopped = run.status in RESUMABLE_RUN
    if not is_stopped and (run.is_ended or is_served):
        return
    target = places.target_of(client, run.workflow) or "TARGET"
    words = ("resume", run.run_id, *(() if is_served else (target,)))
    head = "" if is_stopped else "nobody executes it; "
    print(f"\n{head}go on: {places.command_line(options, *words)}", file=sys.stderr)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)

"""`nbflow run`, `resume` and `rerun`: execute a run here and follow it to its end."""

import argparse
import contextlib
import sys
from collections.abc import Callable
from typing import Any

from nbflow.cli import failures, following, inputs, output, places
from nbflow.cli.displays import Display, make_display
from nbflow.cli.loading import load
from nbflow.client import Client
from nbflow.client.asked import refresh_names
from nbflow.engine import Engine
from nbflow.errors import (
    EngineBusy,
    RunCanceled,
    RunFailed,
    RunNotFound,
    StoreError,
)
from nbflow.model import UNFINISHED_RUN, EventType, Plan, RunEvent, safe_text
from nbflow.view import Line, Span, line, plain, plan_line, plan_lines, plural, table

Handle = Any


class _Job:
    """What a command starts, and what it says of it.

    Attributes:
        client: of the app that the run is in.
        start: starts the run and returns its handle.
        known: the run's id, where it exists already.
        target: what `resume` needs to find the workflow again.
    """

    def __init__(self, options: argparse.Namespace, target: str | None) -> None:
        self.options = options
        self.target = target
        self.display: Display = make_display(options.json)
        self.client: Client
        self.start: Callable[[], Handle]
        self.known: str | None = None
        self.is_ours = True

    def resume_command(self, run_id: str) -> str:
        """The command that goes on with the run."""
        words = ["resume", run_id]
        return places.command_line(
            self.options, *words, *([self.target] if self.target else [])
        )

    def hint(self, event: RunEvent) -> str | None:
        """How to answer what a run asks."""
        if event.type != EventType.STEP_WAITING or not event.data.get("question"):
            return None
        words = ("answer", event.run_id, event.step or "", "VALUE")
        return f"nbflow: answer it with {places.command_line(self.options, *words)}"


def run(options: argparse.Namespace) -> int:
    """Run a workflow of a target."""
    if options.plan:
        return _print_plan(options)
    job = _Job(options, options.target)
    with following.own_output(job.display, is_json=options.json):
        loaded = load(options.target, job.display)
        payload = inputs.read_input(
            options.fields, options.input, loaded.workflow.input_schema
        )
        with _open(options, loaded, job) as engine:
            job.client = engine.client
            job.known = options.run_id

            def start() -> Handle:
                with inputs.naming_fields(payload, loaded.workflow.input_schema):
                    return engine.client.workflows.invoke(
                        loaded.workflow.name,
                        input=payload,
                        run_id=options.run_id,
                        label=options.label,
                    )

            job.start = start
            _tell_unfinished(job, engine.client, loaded.workflow.name)
            ended = _execute(job)
    return _tell_end(job, *ended)


def resume(options: argparse.Namespace) -> int:
    """Go on with a run, here or in the engine that serves its app."""
    client, run_id = places.find_run(options, options.run)
    refresh = refresh_names(options.refresh)
    if options.plan:
        plan = _plan_resume(options, client, run_id, refresh)
        if options.json:
            output.write_json(plan)
        else:
            output.write_lines(plan_lines(plan))
        return 0

    def start(job: _Job) -> Handle:
        record = job.client.runs.get(run_id)
        if record.status in UNFINISHED_RUN and not job.is_ours:
            return job.client.runs.handle(run_id)  # somebody is at it: look on
        plan = job.client.runs.resume(run_id, refresh=refresh, plan=True)
        job.display.note(f"nbflow: {plain(plan_line(plan))}")
        return job.client.runs.resume(run_id, refresh=refresh)

    return _take_up(options, client, run_id, start, known=run_id)


def follow_there(
    options: argparse.Namespace,
    client: Client,
    start: Callable[[], Handle],
    known: str | None,
) -> int:
    """Start a run that another process executes, and follow it from here."""
    job = _Job(options, None)
    job.client, job.start, job.known, job.is_ours = client, start, known, False
    with following.own_output(job.display, is_json=options.json):
        ended = _execute(job)
    return _tell_end(job, *ended)


def rerun(options: argparse.Namespace) -> int:
    """A new run of an old one's workflow."""
    client, run_id = places.find_run(options, options.run)

    def start(job: _Job) -> Handle:
        from_step = options.from_step
        if not options.fields and options.input is None:
            return job.client.runs.rerun(run_id, from_step=from_step)
        name = job.client.runs.get(run_id).workflow
        schema = job.client.workflows.get(name).input_schema or {}
        payload = inputs.read_input(options.fields, options.input, schema)
        with inputs.naming_fields(payload, schema):
            return job.client.runs.rerun(run_id, from_step=from_step, input=payload)

    return _take_up(options, client, run_id, start)


def _take_up(
    options: argparse.Namespace,
    client: Client,
    run_id: str,
    start: Callable[[_Job], Handle],
    known: str | None = None,
) -> int:
    """Start something in the run's app: in this process when a target is given.

    An engine that is alive does it itself, else this process becomes it.
    """
    job = _Job(options, options.target)
    job.known = known
    job.start = lambda: start(job)
    with following.own_output(job.display, is_json=options.json):
        engine = _engine_for(options, client, run_id, job)
        if engine is None:
            job.client, job.is_ours = client, False
            ended = _execute(job)
        else:
            job.client = engine.client
            with engine:
                ended = _execute(job)
    return _tell_end(job, *ended)


def _engine_for(
    options: argparse.Namespace, client: Client, run_id: str, job: _Job
) -> Engine | None:
    """An engine of this process for an app that has none; None where one is alive."""
    if options.target is None:
        if client.is_served():
            return None
        found = places.target_of(client, client.runs.get(run_id).workflow)
        words = (options.command, options.run, found or "TARGET")
        raise failures.Usage(
            f"no engine serves app {client.app!r}, so this process has to run it: name "
            "the notebook or module of its workflow, as in "
            f"`{places.command_line(options, *words)}`"
        )
    loaded = _load_for(client, run_id, options.target, job.display)
    _tell_other_app(loaded, client, job)
    engine = Engine(
        client.home, client.app, list(loaded.workflows.values()), recover=False
    )
    try:
        return engine.start()
    except EngineBusy as error:
        following.refuse_own(error)
        job.display.note(
            f"nbflow: process {error.pid or '?'} serves app {client.app!r} already and "
            "does it with its own code"
        )
        return None


def _open(options: argparse.Namespace, loaded: Any, job: _Job) -> Engine:
    """The engine for a target's own runs, once nobody else has it."""
    home = places.home_of(options)
    app = options.app or _app_of(loaded)
    served = list(loaded.workflows.values())
    return following.wait_for_engine(
        lambda: Engine(home, app, served, recover=False), job.display
    )


def _execute(job: _Job) -> tuple[str, following.Outcome | None]:
    """Start the run and follow it; its id and its outcome (None: it was left)."""
    display = job.display
    known = 0 if job.known is None else _last_index(job.client, job.known)
    handle = job.start()
    with following.interrupts() as asked:
        feed = following.Feed(job.client, handle.run_id, known)
        outcome = following.Outcome(handle)

        def leave() -> None:
            display.close(feed.board)
            if job.is_ours:
                failures.tell(f"left at once: {job.resume_command(handle.run_id)}")

        asked.on_second = leave
        is_ended = following.follow(
            feed, outcome, display, asked, lambda: _cancel(job, handle), job.hint
        )
        display.close(feed.board)
    return handle.run_id, outcome if is_ended else None


def _cancel(job: _Job, handle: Handle) -> bool:
    """The first Ctrl-C; whether to go on following."""
    if not job.is_ours:
        return False
    job.display.note("nbflow: canceling; Ctrl-C once more leaves at once")
    handle.cancel("interrupted")
    return True


def _tell_end(job: _Job, run_id: str, outcome: following.Outcome | None) -> int:
    """Print the result, or what went wrong and how to go on; the exit code."""
    show = places.command_line(job.options, "show", run_id)
    is_quiet = job.options.json
    if outcome is None:
        is_served = job.client.is_served()
        where = "goes on in its own process" if is_served else "waits to be served"
        failures.tell(f"run {run_id} {where}: {show}")
        return 1
    error = outcome.error
    if error is None:
        output.write_json(outcome.value)
        if not is_quiet:
            _hint(f"look closer: {show}")
        return 0
    if isinstance(error, RunFailed | RunCanceled):
        if not is_quiet:
            _tell_failure(error, run_id)
            _hint(f"go on:       {job.resume_command(run_id)}")
            _hint(f"look closer: {show}")
        return 1
    if isinstance(error, StoreError) and not is_quiet:
        failures.tell(str(error))
        _hint(f"go on:       {job.resume_command(run_id)}")
        return 1
    raise error


def _tell_failure(error: RunFailed | RunCanceled, run_id: str) -> None:
    if isinstance(error, RunCanceled):
        failures.tell(f"run {run_id} was canceled; finished steps are kept")
        return
    info = error.error
    if info is None:
        failures.tell(str(error))
        return
    if info.traceback:
        _hint(safe_text(info.traceback.rstrip(), multiline=True))
    step = f" in step {info.step!r}" if info.step else ""
    failures.tell(f"run {run_id} failed{step}: {info}")


def _hint(text: str) -> None:
    output.put(sys.stderr, text + "\n")


def _tell_unfinished(job: _Job, client: Client, workflow: str) -> None:
    """Name what a killed process has left behind."""
    from nbflow.notebook import with_workflow

    page = client.runs.list(status=UNFINISHED_RUN, limit=100)
    left = [
        each
        for each in page
        if each.parent is None and each.run_id != job.options.run_id
    ]
    if not left:
        return
    target = job.target or ""
    if left[0].workflow != workflow:
        target = with_workflow(target, left[0].workflow, instead=True)
    words = ("resume", left[0].run_id, target)
    first = places.command_line(job.options, *words)
    more = f" (and {len(left) - 1} more: nbflow runs)" if len(left) > 1 else ""
    verb = "waits" if len(left) == 1 else "wait"
    runs = plural(len(left), "run")
    job.display.note(f"nbflow: {runs} of an earlier process {verb}: {first}{more}")


def _last_index(client: Client, run_id: str) -> int:
    try:
        events = client.runs.events(run_id)
    except RunNotFound:
        return 0
    return events[-1].index if events else 0


def _load_for(client: Client, run_id: str, target: str, display: Display) -> Any:
    """Load the target with the run's workflow, where it names none itself."""
    from nbflow.notebook import with_workflow

    return load(with_workflow(target, client.runs.get(run_id).workflow), display)


def _plan_resume(
    options: argparse.Namespace, client: Client, run_id: str, refresh: Any
) -> Plan:
    """What a resume would do; with a target also which steps have become stale."""
    engine = None
    if options.target is not None:
        silent = make_display(is_json=True)
        with following.own_output(silent, is_json=True):
            loaded = _load_for(client, run_id, options.target, silent)
        served = list(loaded.workflows.values())
        engine = Engine(client.home, client.app, served, recover=False)
    with contextlib.ExitStack() as stack:
        # Where another process serves the app, it is planned without the code.
        with contextlib.suppress(EngineBusy):
            client = stack.enter_context(engine).client if engine else client
        return client.runs.resume(run_id, refresh=refresh, plan=True)


def _app_of(loaded: Any) -> str:
    from nbflow.definition.apps import LIMIT, app_name

    end = "-run"
    return app_name(loaded.stem)[: LIMIT - len(end)] + end


def _tell_other_app(loaded: Any, client: Client, job: _Job) -> None:
    """Say so when a target's own runs are in another app: it may be a wrong one."""
    from nbflow.definition.apps import app_name

    own = _app_of(loaded)
    if client.app not in (own, app_name(loaded.stem), loaded.workflow.app):
        job.display.note(
            f"nbflow: the run is of app {client.app!r} and goes on with the code of "
            f"{job.options.target}, whose own runs are in app {own!r}"
        )


def _print_plan(options: argparse.Namespace) -> int:
    """List what of a target would be executed, and why; run nothing of the workflow."""
    from nbflow.notebook import load_target

    with contextlib.redirect_stdout(sys.stderr):
        loaded = load_target(options.target)
    if options.json:
        output.write_json(
            {
                "target": options.target,
                "workflow": loaded.workflow.name,
                "app": options.app or _app_of(loaded),
                "cells": loaded.plan,
                "input_schema": loaded.workflow.input_schema,
            }
        )
        return 0
    app = options.app or _app_of(loaded)
    output.write(f"runs workflow {loaded.workflow.name!r} in app {app!r}\n")
    output.write_lines(_plan_rows(loaded))
    for warning in loaded.warnings:
        failures.tell(warning)
    return 0


def _plan_rows(loaded: Any) -> list[Line]:
    """One line for each part of a cell that is executed: where, and why."""
    rows = []
    for cell in loaded.cells:
        for place, (first, last, why) in enumerate(cell.lines):
            name = f"cell {cell.number}" if not place else ""
            span = f"line {first}" if first == last else f"lines {first}-{last}"
            rows.append([line("  ", Span(name, "strong")), line(span), line(why)])
    left_out = ", ".join(map(str, loaded.left_out))
    last = [line(Span(f"  left out: cells {left_out}", "dim"))] if left_out else []
    return [*table(rows), *last]

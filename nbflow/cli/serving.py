"""`nbflow serve`: engines for notebooks and modules, until they are told to stop."""

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from nbflow.cli import failures, following, output, places
from nbflow.cli.displays import Display, Lines
from nbflow.cli.loading import load
from nbflow.client import Client
from nbflow.definition.apps import app_name
from nbflow.engine import Engine
from nbflow.errors import StoreError
from nbflow.model import RunStatus
from nbflow.view import took

_LOOK = 0.25
"""Seconds between two looks at what runs."""
_NEWEST = 200


def serve(options: argparse.Namespace) -> int:
    """Serve the workflows of targets; take up what an engine before has left."""
    display = Lines(sys.stderr)
    with following.own_output(display, is_json=False):
        served = _collect(options, display)
        with following.interrupts() as asked, ExitStack() as stack:
            watches = []
            for app, workflows in served.items():
                engine = stack.enter_context(
                    _start(options, app, workflows, display, asked)
                )
                names = ", ".join(sorted(workflows))
                display.note(f"nbflow: serving app {app!r}: {names}")
                watches.append(_Watch(engine, display))
            display.note(
                "nbflow: Ctrl-C stops; unfinished runs go on at the next start"
            )
            asked.on_second = lambda: failures.tell("left at once")
            while not asked.count and all(watch.look() for watch in watches):
                time.sleep(_LOOK)
            display.note("nbflow: stopping")
    return 0 if asked.count else 1


def _collect(
    options: argparse.Namespace, display: Display
) -> dict[str, dict[str, Any]]:
    """The workflows of all targets, by app and name."""
    served: dict[str, dict[str, Any]] = {}
    places_of: dict[tuple[str, str], str] = {}
    for target in options.targets:
        loaded = load(target, display, every=True)
        for name, workflow in loaded.workflows.items():
            own = workflow.app if workflow.spec.has_own_app else None
            app = options.app or own or app_name(loaded.stem)
            other = places_of.setdefault((app, name), target)
            if other != target:
                raise failures.Usage(
                    f"workflow {name!r} of app {app!r} is in {other} and in {target}: "
                    "names are unique in an app; serve them apart, with --app"
                )
            served.setdefault(app, {})[name] = workflow
    return served


def _start(
    options: argparse.Namespace,
    app: str,
    workflows: dict[str, Any],
    display: Display,
    asked: following.Interrupts,
) -> Engine:
    home = places.home_of(options)
    return following.wait_for_engine(
        lambda: Engine(home, app, list(workflows.values())), display, asked
    )


class _Watch:
    """Tells in one line each what becomes of an engine's runs."""

    def __init__(self, engine: Engine, display: Display) -> None:
        self._engine = engine
        self._client = engine.client
        self._display = display
        self._known: dict[str, RunStatus] = {
            run.run_id: run.status for run in self._newest() if run.is_ended
        }

    def look(self) -> bool:
        """Tell what is new; whether the engine still lives."""
        if not self._engine.is_running:
            failures.tell(f"the engine of app {self._engine.app!r} has stopped")
            return False
        try:
            for run in reversed(self._newest()):
                if self._known.get(run.run_id) is not run.status:
                    self._known[run.run_id] = run.status
                    self._tell(run)
        except StoreError as error:
            failures.tell(str(error))
            return False
        return True

    def _newest(self) -> list[Any]:
        return list(self._client.runs.list(limit=_NEWEST))

    def _tell(self, run: Any) -> None:
        word = str(run.status)
        if run.is_ended and run.duration is not None:
            word += f" after {took(run.duration)}"
        why = f": {run.error}" if run.error is not None else ""
        self._display.note(f"{run.workflow} {run.run_id} {word}{why}".splitlines()[0])


def invoke(options: argparse.Namespace) -> int:
    """Invoke a workflow of whoever serves its app, and follow it like `run`."""
    from nbflow.cli import inputs, running

    app, slash, name = options.workflow.rpartition("/")
    if slash:
        options.app = app
    known = list(places.clients(options))
    client = places.only_client(options, known, "write APP/NAME")
    spec = client.workflows.get(name)
    payload = inputs.read_input(options.fields, options.input, spec.input_schema or {})

    def start() -> Any:
        with inputs.naming_fields(payload, spec.input_schema or {}):
            return client.workflows.invoke(
                name, input=payload, run_id=options.run_id, label=options.label
            )

    if options.detach:
        output.write(f"{start().run_id}\n")
        return 0
    if not client.is_served():
        print(
            f"nbflow: nobody serves app {client.app!r} now: the run waits for "
            f"`{_serve_command(options, client, name)}` or its kernel; Ctrl-C leaves "
            "it waiting",
            file=sys.stderr,
        )
    return running.follow_there(options, client, start, options.run_id)


def _serve_command(options: argparse.Namespace, client: Client, name: str) -> str:
    """The command that serves a workflow's app."""
    target = places.target_of(client, name)
    file = f"{client.app}.ipynb" if target is None else target.removesuffix(f"::{name}")
    is_own = app_name(Path(file).stem) == client.app
    words = ("serve", file, *(() if is_own else ("--app", client.app)))
    return places.command_line(options, *words)

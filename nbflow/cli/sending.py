"""`nbflow answer` and `nbflow send`: what runs wait for."""

import argparse

from nbflow.cli import inputs, places
from nbflow.view import plural


def answer(options: argparse.Namespace) -> int:
    """Answer a question of a run."""
    client, run_id = places.find_run(options, options.run)
    client.runs.answer(run_id, options.step, options.value)
    if client.is_served():
        print(f"run {run_id}: {options.step!r} is answered")
    return 0


def send(options: argparse.Namespace) -> int:
    """Send an event."""
    app, slash, name = options.event.rpartition("/")
    if slash:
        options.app = app
    run_id: str | None = None
    if options.run is not None:
        client, run_id = places.find_run(options, options.run)
    else:
        known = list(places.clients(options))
        client = places.only_client(options, known, "write APP/NAME")
    data = None if options.data is None else inputs.read_json(options.data, "the data")
    reached = client.events.send(name, data, run=run_id, event_id=options.event_id)
    if reached is None:
        return 0  # a note has said that it is kept
    if run_id is not None and reached:
        print(f"sent {name!r} to run {run_id}")
    elif reached:
        runs = plural(len(reached), "waiting run")
        print(f"sent {name!r} to {runs}: {', '.join(reached)}")
    else:
        print(f"nobody waits for {name!r} now, so nobody gets it; --run keeps it")
    return 0

"""`nbflow answer` and `nbflow send`: what runs wait for."""

import argparse

from nbflow.cli import failures, inputs, places
from nbflow.client import Client
from nbflow.view import plural


def answer(options: argparse.Namespace) -> int:
    """Answer a question of a run."""
    client, run_id = places.find_run(options, options.run)
    client.runs.answer(run_id, options.step, options.value)
    if places.is_served(client):
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
        client = only_client(options)
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


def only_client(options: argparse.Namespace) -> Client:
    """The app that is meant, where there is no doubt.

    Raises:
        Usage: the home has several, or none.
    """
    known = list(places.clients(options))
    if len(known) == 1:
        return known[0]
    names = ", ".join(client.app for client in known)
    raise failures.Usage(
        f"which app is meant? {places.home_of(options)} has {names}: write APP/NAME"
        if known
        else f"there is no app in {places.home_of(options)}: run a workflow first"
    )

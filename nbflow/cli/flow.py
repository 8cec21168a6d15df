"""`nbflow flow`: flow-control keys, listed and steered."""

import argparse
import datetime as dt
import sys

from nbflow.cli import failures, output, places
from nbflow.client import Client
from nbflow.view.flow import flow_lines


def flow(options: argparse.Namespace) -> int:
    """List the keys, or do to one what was asked for."""
    if options.do is None:
        return _list(options)
    if options.key is None:
        raise failures.Usage(f"nbflow flow {options.do}: give the KEY")
    client = _client(options)
    control = client.flow_control
    if options.do == "set":
        if options.rate is None and options.parallelism is None:
            raise failures.Usage(
                "nbflow flow set KEY: give --rate N [--period D], --parallelism N, or "
                "both; `nbflow flow reset KEY` takes set limits back"
            )
        control.set(
            options.key,
            rate=options.rate,
            period=options.period,
            parallelism=options.parallelism,
        )
    else:
        getattr(control, options.do)(options.key)
    if client.is_served():
        output.write_lines(
            flow_lines([control.get(options.key)], dt.datetime.now(dt.UTC)),
        )
    return 0


def _list(options: argparse.Namespace) -> int:
    found = [(client, client.flow_control.list()) for client in places.clients(options)]
    if options.json:
        output.write_json([key for _, keys in found for key in keys])
        return 0
    if not any(keys for _, keys in found):
        print(f"no flow-control keys in {places.home_of(options)}", file=sys.stderr)
        return 0
    for client, keys in found:
        if keys and len(found) > 1:
            print(f"app {client.app}")
        output.write_lines(flow_lines(keys, dt.datetime.now(dt.UTC)))
    return 0


def _client(options: argparse.Namespace) -> Client:
    """The app whose key is meant."""
    known = list(places.clients(options))
    if len(known) > 1:
        using = [
            client
            for client in known
            if any(key.key == options.key for key in client.flow_control.list())
        ]
        known = using or known
    return places.only_client(options, known, "give --app")

"""Where runs are: the home, its apps, and a run by the beginning of its id."""

import argparse
import shlex
from collections.abc import Iterator
from pathlib import Path

from nbflow.cli import failures
from nbflow.client import Client, homes
from nbflow.errors import AmbiguousRunId, RunNotFound, StoreError, WorkflowNotFound


def home_of(options: argparse.Namespace) -> Path:
    """The `.nbflow` folder of the command; it need not exist."""
    return homes.find_home(options.home)


def clients(options: argparse.Namespace) -> Iterator[Client]:
    """A client for each app of the home, or for the one that was named."""
    home = home_of(options)
    known = homes.apps(home)
    if options.app is not None:
        Client(home, options.app)  # refuses what is no app's name
        if options.app not in known:
            there = f"its apps: {', '.join(known)}" if known else "it has none"
            raise failures.Usage(f"there is no app {options.app!r} in {home}: {there}")
        known = [options.app]
    for app in known:
        yield Client(home, app)


def find_run(options: argparse.Namespace, prefix: str) -> tuple[Client, str]:
    """The run whose id begins so, searched over all apps, and a client of its app.

    Raises:
        RunNotFound, AmbiguousRunId: naming what was looked through, or what fits.
    """
    if not prefix.strip():
        raise failures.Usage("name a run: its id, or the beginning of it")
    found: list[tuple[Client, str]] = []
    several: list[str] = []
    unread: list[str] = []
    for client in clients(options):
        try:
            found.append((client, client.runs.find(prefix)))
        except RunNotFound:
            continue
        except AmbiguousRunId as error:
            several.append(str(error))
        except StoreError as error:
            unread.append(f"app {client.app!r} could not be read: {error}")
    exact = [pair for pair in found if pair[1] == prefix]
    if len(exact) == 1:
        return exact[0]
    if several:
        raise AmbiguousRunId(several[0], run_id=prefix)
    if len(found) > 1:
        shown = ", ".join(f"{run_id} (app {client.app})" for client, run_id in found)
        raise AmbiguousRunId(
            f"{prefix!r} is the beginning of several runs: {shown}. Give more of it, "
            "or --app.",
            run_id=prefix,
        )
    if found:
        return found[0]
    for each in unread:
        failures.tell(each)
    where = f"app {options.app!r} of " if options.app else ""
    raise RunNotFound(
        f"there is no run {prefix!r} in {where}{home_of(options)}: `nbflow runs` lists "
        "those there are; --home names another folder",
        run_id=prefix,
    )


def only_client(options: argparse.Namespace, known: list[Client], how: str) -> Client:
    """The one app that can be meant.

    Args:
        options: the command's.
        known: clients of those that can be.
        how: what to type to say which.

    Raises:
        Usage: there are several, or none.
    """
    if len(known) == 1:
        return known[0]
    home, names = home_of(options), ", ".join(client.app for client in known)
    raise failures.Usage(
        f"which app is meant? {home} has {names}: {how}"
        if known
        else f"there is no app in {home}: run a workflow first"
    )


def target_of(client: Client, workflow: str) -> str | None:
    """What loads a workflow again, where it is still there: a path and its name."""
    try:
        target = client.workflows.get(workflow).target
    except (WorkflowNotFound, StoreError):
        return None
    if target is None or not target.endswith(f"::{workflow}"):
        return None
    file = Path(target.removesuffix(f"::{workflow}"))
    if not file.is_file():
        return None
    here = Path.cwd()
    shown = file.relative_to(here) if file.is_relative_to(here) else file
    return f"{shown}::{workflow}"


def command_line(options: argparse.Namespace, *words: str) -> str:
    """A command to type, for the same home as this one."""
    place = [] if options.home is None else ["--home", str(options.home)]
    return shlex.join(["nbflow", *place, *words])

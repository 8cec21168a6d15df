"""What front ends ask alike: lists of runs, what was left behind, `--refresh`."""

from collections.abc import Callable
from typing import Any

from nbflow.client.client import Client
from nbflow.client.runs import Runs
from nbflow.errors import InvalidOption
from nbflow.model import UNFINISHED_RUN, Run

_PAGES = 50


def newest(
    runs: Runs,
    *,
    limit: int = 20,
    children: bool = False,
    since: Any = None,
    accepts: Callable[[Run], bool] | None = None,
    **filters: Any,
) -> tuple[list[Run], bool]:
    """The newest runs of an app that are asked for, and whether there are more.

    Without a filter, runs that others have started are left out: a list of their
    parents tells more.

    Args:
        runs: `client.runs`.
        limit: at most so many.
        children: also those that other runs have started.
        since: made since then.
        accepts: what else a run must pass.
        filters: those of `client.runs.list`.
    """
    is_filtered = accepts is not None or any(filters.values())
    found: list[Run] = []
    cursor: str | None = None
    size = limit + 1  # no more than is asked for, as long as nothing is left out
    for _ in range(_PAGES):
        page = runs.list(**filters, since=since, limit=min(size, 1000), cursor=cursor)
        size = max(limit, 100)
        found += [
            run
            for run in page
            if (is_filtered or children or not run.parent)
            and (accepts is None or accepts(run))
        ]
        cursor = page.cursor
        if cursor is None or len(found) > limit:
            break
    return found[:limit], cursor is not None or len(found) > limit


def left_behind(client: Client, workflow: str) -> list[Run]:
    """Unfinished runs of a workflow that nobody executes, newest first.

    Without those that another run has started, which goes on with them itself.
    """
    access = client._access
    page = client.runs.list(status=UNFINISHED_RUN, workflow=workflow)
    return [
        run
        for run in page
        if run.parent is None and not access.executes(access.find_row(run.run_id))
    ]


def is_held_elsewhere(client: Client) -> bool:
    """Whether an engine of another process has the app, or is only just letting go."""
    access = client._access
    return access.host() is None and access.holder() is not None


def refresh_names(given: list[str]) -> list[str] | str | None:
    """What `--refresh` asks for: names of steps, the word "stale", or nothing.

    Raises:
        InvalidOption: names and the word are mixed.
    """
    names = [name.strip() for text in given for name in text.split(",") if name.strip()]
    if "stale" in names and len(names) > 1:
        raise InvalidOption(
            "--refresh takes step names or the word stale, not both",
            option="refresh",
            value=names,
        )
    return "stale" if names == ["stale"] else names or None

"""Records as pandas tables; pandas is imported only when one is asked for."""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from nbflow.model import Run, Step

_RUN = [
    "run_id",
    "workflow",
    "status",
    "label",
    "queued_at",
    "started_at",
    "ended_at",
    "duration",
    "attempt",
    "parent",
    "rerun_of",
    "preview",
]
_STEP = [
    "branch",
    "group",
    "kind",
    "status",
    "queued_at",
    "started_at",
    "ended_at",
    "duration",
    "child_run_id",
    "stale",
    "cached_from",
    "superseded",
    "preview",
]


def runs_frame(runs: Iterable[Run]) -> Any:
    """One row a run."""
    rows = [
        {name: _plain(getattr(run, name)) for name in _RUN}
        | {"error": None if run.error is None else str(run.error)}
        for run in runs
    ]
    return _frame(rows, [*_RUN, "error"])


def steps_frame(steps: Iterable[Step]) -> Any:
    """One row a step."""
    rows = [
        {"step": step.name}
        | {name: _plain(getattr(step, name)) for name in _STEP}
        | {
            "attempts": len(step.attempts),
            "error": None if step.error is None else str(step.error),
        }
        for step in steps
    ]
    return _frame(rows, ["step", *_STEP, "attempts", "error"])


def _frame(rows: list[dict[str, Any]], columns: list[str]) -> Any:
    try:
        pandas = import_module("pandas")
    except ImportError as error:
        raise ImportError(
            "frame() makes a pandas table, and pandas is not installed: install it "
            "(`pip install pandas`), or use the records that list() and steps give"
        ) from error
    return pandas.DataFrame(rows, columns=columns)


def _plain(value: object) -> object:
    """Statuses and kinds as plain text: an enum looks foreign in a table."""
    return str(value) if isinstance(value, str) else value

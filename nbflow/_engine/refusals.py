"""What an engine and its clients refuse alike, in the same words."""

from nbflow._store.base import RunRow
from nbflow.errors import RunActive, RunFinished, RunNotFound, WorkflowNotFound
from nbflow.model import TERMINAL_RUN, UNFINISHED_RUN, RunStatus


def unknown_workflow(name: str, app: str, known: list[str]) -> WorkflowNotFound:
    """The error for a name that the app lacks: the known ones, nearest first."""
    from difflib import get_close_matches  # not needed unless something is wrong

    near = get_close_matches(name, known, n=len(known) or 1, cutoff=0.0)
    listed = ", ".join(repr(each) for each in near[:8])
    more = f" and {len(near) - 8} more" if len(near) > 8 else ""
    return WorkflowNotFound(
        f"there is no workflow {name!r} in app {app!r}. "
        + (f"It has {listed}{more}." if near else "It has none: define one first."),
        workflow=name,
    )


def unknown_run(
    run_id: str, app: str, place: str = "", blocker: str | None = None
) -> RunNotFound:
    """The error for a run that the app lacks.

    Args:
        run_id: what was asked for.
        app: the app.
        place: how to name its store, where that helps.
        blocker: what blocks the engine, which may have been asked for the run.
    """
    where = f" ({place})" if place else ""
    if blocker is not None:
        return RunNotFound(
            f"there is no run {run_id!r} in app {app!r}{where} so far: {blocker} holds "
            "the engine without an await, so what was invoked since is not recorded",
            run_id=run_id,
        )
    return RunNotFound(
        f"there is no run {run_id!r} in app {app!r}{where}: client.runs.list() shows "
        "those there are",
        run_id=run_id,
    )


def undefined(workflow: str) -> str:
    """What a run waits for whose workflow is not defined."""
    return f"waits for workflow {workflow!r} to be defined"


def refuse_ended(row: RunRow) -> None:
    """Raise for a run that events and answers do not reach any more.

    Raises:
        RunFinished: naming it and its status.
    """
    if row.status in TERMINAL_RUN:
        raise RunFinished(
            f"run {row.id} of {row.workflow!r} is {row.status}: it waits for nothing "
            "any more",
            run_id=row.id,
            workflow=row.workflow,
        )


def still_active(row: RunRow) -> RunActive:
    """The error for resuming a run that goes on."""
    return RunActive(
        f"run {row.id} of {row.workflow!r} is {row.status}: only a failed or canceled "
        "run can be resumed. Cancel it first, or wait for its end.",
        run_id=row.id,
        workflow=row.workflow,
    )


def refuse_completed(row: RunRow) -> None:
    """Raise for a run of which nothing is left to resume.

    Raises:
        RunFinished: naming it and what to do instead.
    """
    if row.status in (RunStatus.COMPLETED, RunStatus.SKIPPED):
        raise RunFinished(
            f"run {row.id} of {row.workflow!r} is {row.status}, there is nothing left "
            "to do: use rerun for a new run of it",
            run_id=row.id,
            workflow=row.workflow,
        )


def refuse_live(row: RunRow) -> None:
    """Raise for a run that has not ended.

    Raises:
        RunActive: naming it and what to do first.
    """
    if row.status in UNFINISHED_RUN:
        raise RunActive(
            f"run {row.id} of {row.workflow!r} is {row.status}: only ended runs can be "
            "deleted. Cancel it first.",
            run_id=row.id,
            workflow=row.workflow,
        )

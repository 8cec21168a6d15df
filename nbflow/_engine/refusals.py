"""What an engine and its clients refuse alike, in the same words."""

from nbflow._store.base import RunRow
from nbflow.errors import RunActive, WorkflowNotFound
from nbflow.model import UNFINISHED_RUN


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


def undefined(workflow: str) -> str:
    """What a run waits for whose workflow is not defined."""
    return f"waits for workflow {workflow!r} to be defined"


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
        )

"""Children in the caller's own app: made with its next commit."""

from collections.abc import Mapping
from typing import Any

from nbflow import names
from nbflow._engine.core import Core
from nbflow._engine.creation import new_journal, store_input
from nbflow._engine.journal import Journal
from nbflow._engine.options import child_options
from nbflow._engine.resuming import find_existing
from nbflow.definition.spec import WorkflowSpec
from nbflow.errors import InvokeDepthExceeded
from nbflow.model import step_label

MAX_DEPTH = 100


def check_depth(journal: Journal, key: str, workflow: str) -> None:
    """Refuse a child that would be too deep below the topmost caller.

    Raises:
        InvokeDepthExceeded: naming the step, the topmost run and the workflow.
    """
    if journal.depth >= MAX_DEPTH:
        raise InvokeDepthExceeded(
            f"step {step_label(key)!r} would be run number {MAX_DEPTH + 1} below "
            f"{journal.root_id}: invokes nest at most {MAX_DEPTH} deep. Look whether "
            f"{workflow!r} invokes itself without an end.",
            run_id=journal.id,
            step=step_label(key),
        )


def start_child(
    core: Core,
    parent: Journal,
    key: str,
    spec: WorkflowSpec,
    values: Mapping[str, Any],
    options: Mapping[str, Any],
) -> str:
    """Create a child with the parent's next commit, or find the run of that id."""
    run_id = options.get("run_id")
    stored = store_input(core.commits.put_blob, values)
    if run_id is not None:
        names.check_run_id(run_id)
        if find_existing(core, run_id, spec, stored) is not None:
            return str(run_id)
    label = options.get("label")
    if label is not None:
        names.check_label(label)
    journal = new_journal(
        core.commits,
        core.specs,
        spec,
        values,
        run_id=run_id,
        stored_input=stored,
        headers=options.get("headers"),
        label=label,
        options=child_options(options),
        parent=parent,
        parent_step=key,
    )
    core.launch(journal)
    return journal.id

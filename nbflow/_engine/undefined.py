"""Runs that cannot go on because the app does not define their workflow (any more).

The rule. An engine that serves a fixed set (`Engine(workflows=[…])`, `nbflow serve`,
`nbflow run`) will not get to know the workflow. A child that somebody waits for ends
there as failed, and its caller gets `WorkflowNotFound`, in the same app or in another;
defined again, it can be resumed like any failed run. What nobody waits for is left as
it is, and says what it waits for.

In a notebook a later cell may define the workflow. There such a run waits, whoever
waits for it waits too, and both say why. Once it is defined it goes on by itself where
the engine takes up runs by itself, or where a run that goes on waits for it; else it is
the user who resumes it, as any run that an engine has left.
"""

from nbflow import codecs
from nbflow._engine import failure
from nbflow._engine.core import Core
from nbflow._engine.ending import Ending
from nbflow._engine.journal import Journal, load_journal
from nbflow._engine.refusals import undefined, unknown_workflow
from nbflow._store.base import RunRow
from nbflow.errors import WorkflowNotFound
from nbflow.model import TERMINAL_RUN, RunStatus


def settle(core: Core, row: RunRow) -> None:
    """Deal with an unfinished run of a former engine whose workflow is not defined."""
    if core.specs.is_fixed and row.caller is not None:
        fail(core, row)
    else:
        hold(core, row)


def hold(core: Core, row: RunRow) -> Journal:
    """Let a run wait until its workflow is defined, and say so in its row."""
    journal = core.undefined.get(row.id)
    if journal is None:
        journal = core.undefined[row.id] = load_journal(core.commits, row)
    why = undefined(row.workflow)
    if row.status not in TERMINAL_RUN and row.reason != why:
        journal.reason = why
        journal.update()
        core.commits.flush_soon()
    return journal


def release(core: Core, run_id: str) -> Journal | None:
    """The run does not wait for a definition any more; its journal, if it did."""
    journal = core.undefined.pop(run_id, None)
    if journal is not None and journal.status not in TERMINAL_RUN:
        journal.reason = None
        journal.update()
        core.commits.flush_soon()
    return journal


def forget(core: Core, row: RunRow) -> RunRow:
    """The row, which does not say any more why it waited under a former engine."""
    if row.reason is None:
        return row
    row = row._replace(reason=None)
    load_journal(core.commits, row).update()
    return row


def fail(core: Core, row: RunRow) -> Ending:
    """End a run, for it will not go on; a user may resume it all the same."""
    journal = core.undefined.pop(row.id, None) or load_journal(core.commits, row)
    journal.reason = None
    ending = not_found(core, row)
    core.cancel_open(journal, "its parent failed", ("invoke",))
    core.end(journal, ending)
    return ending


def not_found(core: Core, row: RunRow) -> Ending:
    """How a run ends whose workflow is not defined."""
    known = [spec.name for spec in core.specs.known()]
    why = unknown_workflow(row.workflow, core.app, known)
    error = WorkflowNotFound(
        f"run {row.id} cannot go on: {why} Define it again, then resume the run.",
        run_id=row.id,
        workflow=row.workflow,
    )
    details = failure.describe(error, codecs.redact, run_id=row.id)
    return Ending(RunStatus.FAILED, error=details, is_undefined=True)

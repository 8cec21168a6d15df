"""Runs that somebody asks for by their id: found, waited for, resumed."""

from nbflow._engine.core import Core
from nbflow._engine.creation import read_input, run_flow
from nbflow._engine.ending import Waiter, read_ending
from nbflow._engine.history import annotated_classes
from nbflow._engine.journal import Journal, load_journal
from nbflow._engine.recovery import adopt, note_resumed
from nbflow._engine.refusals import refuse_completed, still_active, unknown_run
from nbflow._engine.undefined import fail, hold, not_found, release
from nbflow._store.base import RunRow
from nbflow.definition.spec import WorkflowSpec
from nbflow.errors import RunIdConflict, RunNotFound
from nbflow.model import UNFINISHED_RUN, RunStatus


def find_row(core: Core, run_id: str) -> RunRow:
    """The committed row of a run.

    Raises:
        RunNotFound: the app has no run of that id.
    """
    core.commits.commit()
    core.commits.commit_end(run_id)
    row = core.store.run(run_id)
    if row is None:
        raise unknown_run(run_id, core.app)
    return row


def find_existing(
    core: Core, run_id: str, spec: WorkflowSpec, stored: bytes
) -> Journal | RunRow | None:
    """The run of that id, taken up if it had stopped; None if there is none.

    Raises:
        RunIdConflict: it is of another workflow or was given another input.
    """
    core.commits.commit_end(run_id)
    live = core.live.get(run_id)
    known = live.journal if live is not None else core.parked.get(run_id)
    row = None if known is not None else core.store.run(run_id)
    if known is None and row is None:
        return None
    workflow, given = (
        (known.workflow, known.input)
        if known is not None
        else (row.workflow, row.input)  # type: ignore[union-attr]
    )
    if workflow != spec.name:
        raise RunIdConflict(
            f"run id {run_id!r} belongs to a run of {workflow!r}, so it cannot name a "
            f"run of {spec.name!r}: choose another run_id",
            run_id=run_id,
            workflow=spec.name,
        )
    if given != stored:
        raise RunIdConflict(
            f"run {run_id!r} of {workflow!r} was started with another input than the "
            "one given now: a run id stands for one input. Choose another run_id, or "
            "rerun it with the new input.",
            run_id=run_id,
            workflow=workflow,
        )
    if known is not None:
        return known
    assert row is not None
    if row.status in (RunStatus.FAILED, RunStatus.CANCELED):
        return resume(core, row, spec)
    if row.status in UNFINISHED_RUN:
        return adopt(core, row, spec, "user")
    return row


def join(core: Core, run_id: str, waiter: Waiter, *, is_resumed: bool) -> None:
    """Call `waiter` with the end of a run, in the transaction that ends it.

    A run that has ended is looked up; one that failed is resumed when its caller
    is itself a resumed one; one that nobody executes is taken up, once its workflow is
    defined.
    """
    run = core.live.get(run_id)
    journal = run.journal if run is not None else core.parked.get(run_id)
    if run_id in core.commits.ended:  # the store does not know yet
        waiter(core.commits.ended[run_id])
        return
    if journal is None:
        journal = take_up(core, run_id, waiter, is_resumed=is_resumed)
    if journal is not None:
        if journal.waiters is None:
            journal.waiters = []
        journal.waiters.append(waiter)


def take_up(
    core: Core, run_id: str, waiter: Waiter, *, is_resumed: bool
) -> Journal | None:
    """A run that is not live: its end is told at once, or it is entered again."""
    row = core.store.run(run_id)
    if row is None:
        raise RunNotFound(
            f"run {run_id!r} is not in app {core.app!r} any more, so nobody can wait "
            "for it: it was deleted",
            run_id=run_id,
        )
    failed = row.status in (RunStatus.FAILED, RunStatus.CANCELED)
    if row.status in UNFINISHED_RUN or (failed and is_resumed):
        spec = core.specs.find(row.workflow)
        if spec is None and core.specs.is_fixed:
            waiter(not_found(core, row) if failed else fail(core, row))
            return None
        if spec is None:
            return hold(core, row)
        if failed:
            return resume(core, row, spec)
        return adopt(core, row, spec, "recovery")
    target = core.specs.find(row.workflow)
    classes = annotated_classes(target.fn if target is not None else None)
    waiter(read_ending(core.store, row, classes))
    return None


def take_up_defined(core: Core) -> None:
    """Take up runs whose workflow has been defined since they were held for it."""
    for run_id, held in list(core.undefined.items()):
        spec = core.specs.find(held.workflow)
        if spec is None:
            continue
        row = core.store.run(run_id)
        if row is None or not (core.takes_up or held.waiters):
            release(core, run_id)
            continue
        try:
            if row.status in UNFINISHED_RUN:
                adopt(core, row, spec, "recovery")
            else:
                resume(core, row, spec)
        except Exception as exc:
            core.undefined.pop(run_id, None)
            core.fail_entering(held, exc)


def resume(
    core: Core,
    row: RunRow,
    spec: WorkflowSpec | None = None,
    refresh: list[str] | None = None,
    stale: list[str] | None = None,
) -> Journal:
    """Go on in place with a run that failed or was canceled, by the user's word.

    Args:
        core: the engine.
        row: the run.
        spec: today's definition; looked up by name if None.
        refresh: keys of steps whose values are not to be kept.
        stale: labels of steps that are kept although their function has changed.

    Raises:
        RunActive: it is still going on.
        RunFinished: it is completed or was skipped.
    """
    if row.id in core.live or row.id in core.parked:
        raise still_active(row)
    refuse_completed(row)
    spec = spec or core.specs.resolve(row.workflow)
    held = release(core, row.id)
    journal = load_journal(core.commits, row)
    journal.waiters = None if held is None else held.waiters
    journal.spec = spec
    journal.values = read_input(core.commits, row.input, spec)
    journal.flow = run_flow(spec, journal.options, journal.values)
    journal.ended = journal.last = journal.tail = journal.reason = None
    journal.preview = None
    journal.status = RunStatus.RUNNING.value
    note_resumed(core, journal, "user", spec, {"_refresh": refresh, "stale": stale})
    journal.update()  # with the event: a crash must not leave one without the other
    core.enter_soon(journal, "user")
    return journal

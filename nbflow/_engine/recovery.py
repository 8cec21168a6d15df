"""Taking up runs whose engine is gone."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from nbflow._engine import undefined
from nbflow._engine.core import Core
from nbflow._engine.creation import read_input, run_flow
from nbflow._engine.history import pending_retry
from nbflow._engine.journal import Journal, left_mark, load_journal
from nbflow._store.base import RunRow
from nbflow._store.payload import to_json
from nbflow.definition.source import same_definition
from nbflow.definition.spec import WorkflowSpec
from nbflow.model import EventType, RunStatus

log = logging.getLogger("nbflow")


def recover(core: Core, rows: Iterable[RunRow], by: str) -> list[str]:
    """Take up unfinished runs of an engine that is gone; the ids taken up.

    Those whose workflow is not defined (see `undefined`) are dealt with first.
    """
    taken = []
    core.takes_up = True
    for row, spec in left(core, rows):
        if row.id in core.commits.ended:
            continue  # with one that is not defined
        try:
            adopt(core, row, spec, by)
        except Exception as exc:  # one damaged run must not stop the others
            log.exception("run %s could not be taken up: %s", row.id, exc)
        else:
            taken.append(row.id)
    return taken


def left(core: Core, rows: Iterable[RunRow]) -> list[tuple[RunRow, WorkflowSpec]]:
    """The runs that may be taken up, with what defines them; settles the others."""
    found = []
    for row in rows:
        if row.id in core.live or row.id in core.parked:
            continue
        spec = core.specs.find(row.workflow)
        try:
            if spec is None:
                undefined.settle(core, row)
            else:
                found.append((undefined.forget(core, row), spec))
        except Exception as exc:
            log.exception("run %s could not be settled: %s", row.id, exc)
    return found


def adopt(core: Core, row: RunRow, spec: WorkflowSpec, by: str) -> Journal:
    """Take up a run whose engine is gone."""
    journal = undefined.release(core, row.id)
    if journal is None:
        journal = load_journal(core.commits, undefined.forget(core, row))
    journal.spec = spec
    journal.values = read_input(core.commits, row.input, spec)
    journal.flow = run_flow(spec, journal.options, journal.values)
    if row.status == RunStatus.QUEUED and row.attempt == 0:
        core.launch_later(journal)
        return journal
    due = pending_retry(core.store, journal.n, journal.recoveries)
    if by == "recovery":
        journal.recoveries += 1
    is_left = core.store.command(left_mark(journal)) is not None
    note_resumed(core, journal, by, spec, {"_left": is_left or None})
    journal.update()  # with the event: a crash must not leave one without the other
    if due is not None and due > core.clock.micros():
        core.commits.flush_soon()
        core.retry_body(journal, due)
    else:
        core.enter_soon(journal, by)
    return journal


def note_resumed(
    core: Core, journal: Journal, by: str, spec: WorkflowSpec, more: Mapping[str, Any]
) -> None:
    """The event that opens a further life of a run."""
    definition = core.specs.definition(spec)
    changed = not same_definition(journal.definition, definition)
    fields = {
        "by": by,
        "recoveries": journal.recoveries,
        "definition_changed": changed,
        **more,
    }
    journal.append(EventType.RUN_RESUMED.value, data=to_json(fields))
    if by == "user":
        journal.since = core.clock.micros()

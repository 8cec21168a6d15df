"""Going on with a run: what that would do, and the command that does it.

Apart from `operations`, which every reader loads: a plan compares code.
"""

import logging
from collections.abc import Iterable

from nbflow._engine.refusals import refuse_completed, still_active
from nbflow._store.base import RunRow
from nbflow.client import inbox, plans
from nbflow.client.access import Access, is_ended
from nbflow.client.fold import StepState, fold_steps
from nbflow.client.records import verify_run
from nbflow.model import Plan, RunStatus

log = logging.getLogger("nbflow")


def plan_resume(
    access: Access, run_id: str, refresh: str | Iterable[str] | None
) -> tuple[RunRow, plans.Decision]:
    """What a resume of the run would do.

    Raises:
        RunActive, RunFinished: there is nothing to resume.
        StepNotFound: `refresh` names a step that it does not have.
    """
    row = access.find_row(run_id)
    refuse_completed(row)
    if access.host() is not None and not is_ended(row) and access.executes(row):
        raise still_active(row)
    store = access.store()
    events = store.events(row.n)
    verify_run(row, events)
    spec = access.spec(row.workflow)
    fn = None if spec is None else spec.fn
    return row, plans.decide(row, events, fn, _last_completed(access, row), refresh)


def _last_completed(access: Access, row: RunRow) -> list[StepState]:
    """The steps of the workflow's last completed run."""
    store = access.store()
    page = store.runs(status=RunStatus.COMPLETED.value, workflow=row.workflow, limit=1)
    if not page.rows:
        return []
    return list(fold_steps(store.events(page.rows[0].n)).values())


def resume(access: Access, run_id: str, refresh: str | Iterable[str] | None) -> Plan:
    """Go on in place with a run; says first what that means."""
    row, decision = plan_resume(access, run_id, refresh)
    log.info("%s", plans.describe(row, decision.plan))
    command = {
        "kind": "resume",
        "run_id": run_id,
        "refresh": decision.refresh or None,
        "stale": decision.stale or None,
    }
    host = access.host()
    if host is not None:
        host.perform(command)
    else:
        inbox.send(access, [command])
    return decision.plan

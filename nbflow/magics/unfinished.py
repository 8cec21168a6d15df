"""Unfinished runs of an ended kernel: told, or resumed, when their workflow is defined.

What they have done is kept until the user says what to do with them.
"""

from typing import Any

from nbflow.client import Client
from nbflow.client.asked import left_behind
from nbflow.errors import NbflowError
from nbflow.magics import display
from nbflow.magics.session import Session
from nbflow.model import Run, StepStatus, safe_text
from nbflow.view import plan_line, plural


def tell_unfinished(session: Session, apart: str | None = None) -> None:
    """Look for unfinished runs of what has just been defined.

    Args:
        session: the shell.
        apart: the id of a run that is being taken up anyway.
    """
    for spec in session.new_definitions():
        client = Client(app=spec.app)
        try:
            left = left_behind(client, spec.name)
        except NbflowError:  # a store that cannot be read is told of when it is used
            continue
        new = [run for run in left if run.run_id not in {*session.told, apart}]
        session.told.update(run.run_id for run in new)
        if not new:
            continue
        if session.settings.unfinished == "resume":
            _resume(session, client, new)
        else:
            _tell(session, client, new)


def _tell(session: Session, client: Client, runs: list[Run]) -> None:
    text, first = _line(client, runs), runs[0]
    if not (session.is_interactive and display.is_kernel()):
        print(text)
        return
    from nbflow.widgets.unfinished import Unfinished

    def engage() -> None:
        session.engage(first.app)

    Unfinished(client, first.run_id, text, engage).display()


def _line(client: Client, runs: list[Run]) -> str:
    first = runs[0]
    kept = _kept(client, first)
    more = ""
    if len(runs) > 1:
        more = f" ({len(runs) - 1} more: `%workflow runs --workflow {first.workflow}`)"
    return safe_text(
        f"unfinished: run {first.run_id} of {first.workflow!r} waits with "
        f"{plural(kept, 'finished step')}: `%workflow resume {first.run_id}` goes on, "
        f"`%workflow cancel {first.run_id}` discards it{more}"
    )


def _resume(session: Session, client: Client, runs: list[Run]) -> None:
    for run in reversed(runs):
        session.engage(run.app)
        try:
            plan: Any = client.runs.resume(run.run_id, plan=True)
            client.runs.resume(run.run_id)
        except NbflowError as error:
            print(safe_text(f"run {run.run_id} cannot be resumed: {error}"))
            continue
        told = display.text_of([plan_line(plan)])
        print(safe_text(f"resumed: run {run.run_id} of {run.workflow!r} {told}"))


def _kept(client: Client, run: Run) -> int:
    steps = client.runs.steps(run.run_id)
    return sum(step.status is StepStatus.COMPLETED for step in steps)

"""Unfinished runs of an ended kernel: told, or resumed, when their workflow is defined.

What they have done is kept until the user says what to do with them.
"""

from typing import Any

from nbflow.client import Client
from nbflow.client.asked import is_held_elsewhere, left_behind
from nbflow.errors import NbflowError
from nbflow.magics import display
from nbflow.magics.session import Session
from nbflow.model import Run, StepStatus, safe_text
from nbflow.view import plan_line, plural

_LINES = 5
_LOOKS = 5


def tell_unfinished(session: Session, apart: str | None = None) -> None:
    """Look for unfinished runs of what has just been defined.

    Args:
        session: the shell.
        apart: the id of a run that is being taken up anyway.
    """
    looks = dict.fromkeys(session.new_definitions(), _LOOKS)
    for spec, left_looks in {**session.undecided, **looks}.items():
        session.undecided.pop(spec, None)
        client = Client.here(spec.app)
        try:
            left = left_behind(client, spec.name)
        except NbflowError:  # a store that cannot be read is told of when it is used
            continue
        if not left and left_looks > 1 and is_held_elsewhere(client):
            # A killed kernel may need a moment to end: look again after a cell.
            session.undecided[spec] = left_looks - 1
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
    shown, more = runs[:_LINES], runs[_LINES:]
    told = [(_line(client, run), _commands(run)) for run in shown]
    if not (session.is_interactive and display.is_kernel()):
        listed = f"%workflow runs --workflow {runs[0].workflow}"
        left = [f"and {plural(len(more), 'more run')}: `{listed}`"] if more else []
        print("\n".join([*map(": ".join, told), *left]))
        return
    from nbflow.widgets.unfinished import AllUnfinished, Unfinished

    def engage() -> None:
        session.engage(client.app)

    rows = [
        Unfinished(client, run.run_id, *texts, engage)
        for run, texts in zip(shown, told, strict=True)
    ]
    if len(runs) > 1:
        text = f"{len(runs)} runs of {runs[0].workflow!r} are unfinished"
        text += f"; the newest {len(shown)}:" if more else ":"
        ids = [run.run_id for run in more]
        AllUnfinished(client, rows, ids, safe_text(text), engage).display()
    for row in rows:
        row.display()


def _line(client: Client, run: Run) -> str:
    kept = plural(_kept(client, run), "finished step")
    return safe_text(
        f"unfinished: run {run.run_id} of {run.workflow!r} waits with {kept}"
    )


def _commands(run: Run) -> str:
    return safe_text(
        f"`%workflow resume {run.run_id}` goes on, `%workflow cancel {run.run_id}` "
        "discards it"
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

"""Ends that no body brings about: limits of time and of crashes."""

from nbflow import codecs, durations
from nbflow._engine import failure
from nbflow._engine.ending import Ending
from nbflow._engine.journal import Journal
from nbflow._engine.memo import Memo
from nbflow.errors import RecoveryLimit, RunTimedOut
from nbflow.model import RunStatus, step_label

RECOVERIES = 5
"""Crashes without a new outcome after which a run is given up."""


def timed_out(journal: Journal) -> Ending:
    """The end of a run whose time-out is up."""
    began = "first start" if journal.since == journal.started else "last resume"
    error = RunTimedOut(
        f"run {journal.id} of {journal.workflow!r} did not end within its timeout of "
        f"{durations.show(journal.timeout() or 0)}, counted from its {began}"
    )
    details = failure.describe(error, codecs.redact, run_id=journal.id)
    return Ending(RunStatus.FAILED, error=details, exception=error)


def given_up(journal: Journal, memo: Memo) -> Ending:
    """The end of a run that keeps killing its engine."""
    running = [
        step_label(key)
        for key, partial in memo.partial.items()
        if partial.attempt > partial.failed
    ]
    named = ", ".join(map(repr, running)) or "none recorded"
    error = RecoveryLimit(
        f"run {journal.id} of {journal.workflow!r} was cut off "
        f"{memo.idle_recoveries} times by the end of its engine without a new "
        f"outcome; running then, as far as recorded: {named}. Correct what kills "
        "the process, then resume the run.",
        run_id=journal.id,
    )
    details = failure.describe(error, codecs.redact, run_id=journal.id)
    return Ending(RunStatus.FAILED, error=details, exception=error)

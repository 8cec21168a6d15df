"""What a row says until the event of a command is there."""

import datetime as dt

from nbflow_tui.pending import Pending, Sent

from nbflow.model import Run, RunStatus

THEN = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)


def a_run(status: RunStatus, ended: dt.datetime | None = None) -> Run:
    return Run(run_id="r", app="a", workflow="w", status=status, ended_at=ended)


def test_a_canceled_run_says_so_until_it_has_ended() -> None:
    pending = Pending()
    pending.add(Sent("cancel", "a", ("r",)))
    assert pending.word(a_run(RunStatus.RUNNING)) == "canceling…"
    assert not pending.settle(a_run(RunStatus.RUNNING))
    assert pending.word(a_run(RunStatus.CANCELED)) is None
    assert pending.settle(a_run(RunStatus.CANCELED))
    assert not len(pending)


def test_a_resumed_run_says_so_until_it_goes_on_or_has_ended_again() -> None:
    pending = Pending()
    pending.add(Sent("resume", "a", ("r",), ended_at=THEN))
    assert pending.word(a_run(RunStatus.FAILED, THEN)) == "resuming…"
    assert pending.word(a_run(RunStatus.RUNNING)) is None
    later = THEN + dt.timedelta(seconds=1)
    assert pending.settle(a_run(RunStatus.FAILED, later))


def test_a_command_that_no_engine_took_is_kept() -> None:
    pending = Pending()
    pending.add(Sent("cancel", "a", ("r",), is_kept=True))
    assert pending.word(a_run(RunStatus.RUNNING)) == "cancel kept"


def test_other_runs_and_other_commands_say_nothing() -> None:
    pending = Pending()
    pending.add(Sent("cancel", "b", ("r",)))
    pending.add(Sent("answer", "a", ("r",)))
    assert pending.word(a_run(RunStatus.RUNNING)) is None

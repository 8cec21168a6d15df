"""What a former life has left, and what a call of the next one gets of it."""

import json
from typing import Any

import pytest

from nbflow._engine.memo import Memo, Verdict, patience, read_memo
from nbflow._store.base import EventRow

F, G, NO_FUNCTION = b"ffffff", b"gggggg", b"\0" * 6
RESUMED = "run.resumed"


def mark(arguments: object, function: bytes = F) -> bytes:
    return f"{arguments!r:>10}"[:10].encode() + function


class Log:
    """Events of a run, one commit each unless said otherwise."""

    def __init__(self) -> None:
        self.rows: list[EventRow] = []
        self.at = 0
        self.add("run.queued").add("run.started", attempt=1)

    def add(
        self,
        type: str,
        step: str | None = None,
        mark: bytes | None = None,
        *,
        attempt: int | None = None,
        together: bool = False,
        after: float = 0.0,
        **data: Any,
    ) -> "Log":
        self.at += round(after * 1e6)
        idx = len(self.rows) + 1
        tx = self.rows[-1].tx if together else idx
        text = json.dumps(data, separators=(",", ":")).encode() if data else None
        self.rows.append(
            EventRow(1, idx, tx, type, self.at, step, attempt, mark, b"", text)
        )
        return self

    def started(self, step: str, attempt: int = 1) -> "Log":
        return self.add("step.started", step, attempt=attempt)

    def done(self, step: str, arguments: object = "", function: bytes = F) -> "Log":
        self.started(step)
        return self.add("step.completed", step, mark(arguments, function))

    def failed(self, step: str, arguments: object = "", **data: Any) -> "Log":
        self.started(step)
        return self.add("step.failed", step, mark(arguments), **data)

    def canceled(self, step: str, arguments: object = "", **more: Any) -> "Log":
        return self.add("step.canceled", step, mark(arguments), **more)

    def resumed(self, **data: Any) -> "Log":
        return self.add(RESUMED, by="user", **data)

    def recovered(self, **data: Any) -> "Log":
        return self.add(RESUMED, by="recovery", **data)

    @property
    def memo(self) -> Memo:
        return read_memo(self.rows)


def verdict(
    memo: Memo,
    step: str,
    arguments: object = "",
    function: bytes = F,
    *,
    known: bool = True,
    changed: bool = False,
    item_of: str | None = None,
    can_wait: bool = True,
) -> Verdict:
    return memo.match(
        step,
        mark(arguments, function),
        known=known,
        changed=changed,
        item_of=item_of,
        can_wait=can_wait,
    )[0]


def test_what_is_not_recorded_is_executed() -> None:
    assert verdict(Log().done("s").memo, "other") is Verdict.EXECUTE
    assert verdict(Log().started("s").memo, "s") is Verdict.EXECUTE


@pytest.mark.parametrize("type", ["completed", "failed", "timed_out"])
def test_every_outcome_is_taken(type: str) -> None:
    memo = Log().started("s").add(f"step.{type}", "s", mark(1)).memo
    assert verdict(memo, "s", 1) is Verdict.TAKE


def test_an_edited_function_leaves_the_value_and_makes_it_stale() -> None:
    assert verdict(Log().done("s", 1).memo, "s", 1, G) is Verdict.STALE


def test_other_arguments_are_a_conflict_in_the_same_code() -> None:
    assert verdict(Log().done("s", 1).memo, "s", 2) is Verdict.CONFLICT


def test_other_arguments_supersede_in_edited_code() -> None:
    assert verdict(Log().done("s", 1).memo, "s", 2, changed=True) is Verdict.SUPERSEDE


def test_arguments_that_cannot_be_compared_leave_the_value() -> None:
    memo = Log().done("s", 1).done("t", 1).memo
    assert verdict(memo, "s", 2, known=False) is Verdict.UNSURE
    assert verdict(memo, "t", 2, known=False, changed=True) is Verdict.UNSURE


def test_another_kind_is_a_conflict_or_superseded_whatever_the_arguments() -> None:
    memo = Log().done("s", 1, NO_FUNCTION).memo
    assert verdict(memo, "s", 1) is Verdict.CONFLICT
    assert verdict(memo, "s", 1, known=False) is Verdict.CONFLICT
    assert verdict(memo, "s", 1, changed=True) is Verdict.SUPERSEDE


def test_a_superseded_outcome_is_gone_and_the_next_one_counts() -> None:
    log = Log().done("s", 1).add("step.superseded", "s")
    assert verdict(log.memo, "s", 1) is Verdict.EXECUTE
    assert verdict(log.done("s", 2).memo, "s", 2) is Verdict.TAKE


# Values of other branches and items


def test_the_value_that_another_branch_recorded_for_the_arguments_is_taken() -> None:
    memo = Log().done("f~0\x1fs", 0).done("f~1\x1fs", 1).memo
    assert verdict(memo, "f~0\x1fs", 1) is Verdict.MOVED
    assert verdict(memo, "f~1\x1fs", 0) is Verdict.MOVED


def test_each_value_is_given_once() -> None:
    memo = Log().done("f~0\x1fs", 0).done("f~1\x1fs", 1).done("f~2\x1fs", 2).memo
    assert verdict(memo, "f~0\x1fs", 1) is Verdict.MOVED
    assert verdict(memo, "f~2\x1fs", 1) is Verdict.CONFLICT


def test_the_value_of_another_id_or_function_never_is() -> None:
    log = Log().done("f~0\x1fs", 0).done("f~1\x1ft", 1).done("s[1]", 1)
    assert verdict(log.memo, "f~0\x1fs", 1) is Verdict.CONFLICT
    assert verdict(log.memo, "s[1]", 0) is Verdict.CONFLICT
    log.done("f~2\x1fs", 1, G)
    assert verdict(log.memo, "f~0\x1fs", 1) is Verdict.CONFLICT


def test_edited_code_takes_no_value_away_from_another_branch() -> None:
    memo = Log().done("f~0\x1fs", 0).done("f~1\x1fs", 1).memo
    assert verdict(memo, "f~0\x1fs", 1, changed=True) is Verdict.SUPERSEDE
    assert verdict(memo, "f~1\x1fs", 1, changed=True) is Verdict.TAKE


def items(memo: Memo, *arguments: object, changed: bool = True) -> list[Verdict]:
    return [
        verdict(memo, f"m[{place}]", each, changed=changed, item_of="m")
        for place, each in enumerate(arguments)
    ]


def test_an_item_of_an_edited_list_takes_the_value_of_an_equal_item() -> None:
    log = Log().done("m[0]", "a").done("m[1]", "b").done("m[2]", "c")
    assert items(log.memo, "b", "c", "d") == [
        Verdict.MOVED,
        Verdict.MOVED,
        Verdict.EXECUTE,
    ]
    assert items(log.memo, "new", "a", "b", "c") == [
        Verdict.SUPERSEDE,
        Verdict.MOVED,
        Verdict.MOVED,
        Verdict.MOVED,
    ]
    assert items(log.memo, "a", "b", "c", changed=False) == [Verdict.TAKE] * 3


def test_equal_items_take_one_value_each() -> None:
    log = Log().done("m[0]", "a").done("m[1]", "a").done("m[2]", "b")
    assert items(log.memo, "b", "a", "a", "a") == [
        Verdict.MOVED,
        Verdict.TAKE,
        Verdict.MOVED,
        Verdict.EXECUTE,
    ]


def test_items_take_nothing_from_another_branch_or_map() -> None:
    memo = Log().done("f~0\x1fm[0]", "a").done("n[0]", "a").memo
    assert items(memo, "a") == [Verdict.EXECUTE]


# Canceled steps


def test_a_canceled_step_waits_for_the_body_to_cancel_it_again() -> None:
    memo = Log().started("s").canceled("s").memo
    assert verdict(memo, "s") is Verdict.PENDING
    assert verdict(memo, "s", can_wait=False) is Verdict.TAKE


def test_what_the_body_saw_counts_not_what_was_written() -> None:
    """Cancelled after the outcome was written, before it was handed over."""
    memo = Log().done("s").add("step.canceled", "s").memo
    assert verdict(memo, "s") is Verdict.PENDING


@pytest.mark.parametrize("end", ["run.failed", "run.retrying", "run.canceled"])
def test_what_a_failing_body_canceled_is_in_doubt(end: str) -> None:
    memo = Log().done("a").started("b").canceled("b").add(end).memo
    assert verdict(memo, "b") is Verdict.DOUBTED
    assert verdict(memo, "b", can_wait=False) is Verdict.EXECUTE


def test_an_outcome_that_a_failing_body_did_not_see_counts_again() -> None:
    memo = Log().done("a").done("b", 1).add("step.canceled", "b").add("run.failed").memo
    assert verdict(memo, "b", 1) is Verdict.TAKE
    assert [each.key for each in memo.ordered()] == ["a", "b"]


def test_what_a_body_canceled_and_then_went_on_is_its_own_doing() -> None:
    log = Log().done("winner").started("loser").canceled("loser").done("next")
    assert verdict(log.add("run.failed").memo, "loser") is Verdict.PENDING


def test_another_branch_that_ends_meanwhile_does_not_show_that_it_went_on() -> None:
    log = Log().started("other").failed("a").started("b").canceled("b")
    log.add("step.completed", "other", mark("")).add("run.failed")
    assert verdict(log.memo, "b") is Verdict.DOUBTED


def test_what_was_canceled_after_a_failure_put_aside_is_in_doubt() -> None:
    log = Log().failed("a").started("b").canceled("b").done("next").add("run.failed")
    assert verdict(log.memo, "b") is Verdict.PENDING
    assert verdict(log.resumed().memo, "b") is Verdict.DOUBTED


def test_what_was_canceled_before_it_is_not() -> None:
    log = Log().done("a").started("b").canceled("b").done("c").failed("d")
    assert verdict(log.add("run.failed").resumed().memo, "b") is Verdict.PENDING


def test_edited_code_may_not_cancel_a_step_again() -> None:
    log = Log().started("s").canceled("s", after=4.0).done("next").add("run.failed")
    memo = log.resumed(definition_changed=True).memo
    assert verdict(memo, "s") is Verdict.REVISED
    assert verdict(memo, "s", can_wait=False) is Verdict.EXECUTE
    assert 4.0 < patience(memo.outcomes["s"]) < 10.0


def test_a_step_in_doubt_that_was_executed_then_is_no_more() -> None:
    log = Log().started("b").canceled("b").add("run.failed").resumed().done("b")
    assert verdict(log.memo, "b") is Verdict.TAKE
    assert not log.memo.doubted


# Resume and recovery


def test_a_resume_keeps_values_and_puts_failures_aside() -> None:
    log = Log().done("a").failed("b").add("run.failed").resumed()
    assert verdict(log.memo, "a") is Verdict.TAKE
    assert verdict(log.memo, "b") is Verdict.EXECUTE


def test_a_retry_of_the_body_and_a_recovery_keep_failures() -> None:
    log = Log().failed("b").add("run.retrying")
    assert verdict(log.memo, "b") is Verdict.TAKE
    assert verdict(log.recovered().memo, "b") is Verdict.TAKE


def test_a_failure_put_aside_lets_later_steps_have_other_arguments() -> None:
    log = Log().failed("a").done("b", 0).failed("c").add("run.failed").resumed()
    assert verdict(log.memo, "b", 1) is Verdict.SUPERSEDE
    log.done("a").add("step.superseded", "b").done("b", 1).recovered()
    assert verdict(log.memo, "b", 2) is Verdict.CONFLICT


def test_a_resume_changes_nothing_for_what_came_before_any_failure() -> None:
    log = Log().done("b", 0).failed("c").add("run.failed").resumed()
    assert verdict(log.memo, "b", 1) is Verdict.CONFLICT


def test_refreshed_steps_are_executed_and_their_values_found_nowhere() -> None:
    log = Log().done("f~0\x1fs", 0).done("f~1\x1fs", 1).done("t", 0)
    memo = log.add("run.failed").resumed(_refresh=["f~1\x1fs"]).memo
    assert verdict(memo, "f~1\x1fs", 1) is Verdict.EXECUTE
    assert verdict(memo, "t", 1) is Verdict.SUPERSEDE
    assert verdict(memo, "f~0\x1fs", 1) is Verdict.CONFLICT


def test_code_that_was_edited_before_a_crash_is_still_another_one_after_it() -> None:
    log = Log().done("a", 0).add("run.failed").resumed(definition_changed=True)
    assert verdict(log.recovered().memo, "a", 1) is Verdict.SUPERSEDE
    assert verdict(log.done("b", 0).recovered().memo, "b", 1) is Verdict.CONFLICT


def test_what_was_copied_from_another_run_may_get_other_arguments() -> None:
    log = Log()
    log.rows.clear()
    log.add("run.queued").done("a", 0).add("run.started", attempt=1).done("b", 0)
    assert verdict(log.memo, "a", 1) is Verdict.SUPERSEDE
    assert verdict(log.memo, "b", 1) is Verdict.CONFLICT


def test_a_step_without_outcome_goes_on_where_it_was() -> None:
    log = Log().started("s").add("step.retrying", "s", attempt=1, _retry_at=77)
    left = log.memo.partial["s"]
    assert (left.attempt, left.failed, left.retry_at) == (1, 1, 77)
    left = log.started("s", attempt=2).memo.partial["s"]
    assert (left.attempt, left.failed, left.retry_at) == (2, 1, None)
    left = log.add("run.canceled").resumed().memo.partial["s"]
    assert (left.attempt, left.failed, left.retry_at) == (0, 0, None)


def test_deadlines_and_children_are_found_again() -> None:
    log = Log().add("step.sleeping", "nap", _until=5)
    log.add("step.invoking", "kid", child_run_id="r-1", _until=6)
    partial = log.memo.partial
    assert partial["nap"].until == 5
    assert (partial["kid"].child, partial["kid"].until) == ("r-1", 6)


def test_a_failed_child_is_taken_up_again_by_a_resume() -> None:
    log = Log().add("step.invoking", "kid", child_run_id="r-1")
    log.add("step.failed", "kid", mark(""), child_run_id="r-1").add("run.failed")
    left = log.resumed().memo.partial["kid"]
    assert (left.child, left.is_retried) == ("r-1", True)


def test_recoveries_without_a_new_outcome_are_counted() -> None:
    log = Log().done("a").recovered().recovered()
    assert log.memo.idle_recoveries == 2
    assert log.failed("b").memo.idle_recoveries == 0
    assert log.recovered().resumed().memo.idle_recoveries == 0


@pytest.mark.parametrize(
    "waiting",
    [
        Log().add("step.sleeping", "nap", _until=5),
        Log().add("step.invoking", "kid", child_run_id="r-1"),
        Log().add("step.waiting", "event", event="paid"),
        Log().add("step.queued", "s"),
        Log().started("s").add("step.retrying", "s", attempt=1, _retry_at=5),
        Log().add("run.retrying", _retry_at=5),
        Log().started("s").add("run.retrying", _retry_at=5),
    ],
)
def test_recoveries_of_a_run_that_only_waits_do_not_count(waiting: Log) -> None:
    assert waiting.recovered().recovered().memo.idle_recoveries == 0


def test_recoveries_of_a_run_at_work_count_even_if_it_waits_as_well() -> None:
    log = Log().add("step.sleeping", "nap", _until=5).started("s").recovered()
    assert log.memo.idle_recoveries == 1
    log = Log().add("run.retrying", _retry_at=5).add("run.started", attempt=2)
    assert log.recovered().memo.idle_recoveries == 1


def test_an_engine_that_was_closed_properly_does_not_count() -> None:
    log = Log().started("s").recovered(_left=True)
    assert log.memo.idle_recoveries == 0
    assert log.recovered().memo.idle_recoveries == 1


# The order


def test_outcomes_are_in_the_order_of_their_commits() -> None:
    log = Log().started("b").started("a")
    log.add("step.completed", "a").add("step.failed", "b", together=True)
    log.add("step.completed", "now", kind="now", _value=1)
    log.started("c").canceled("c").add("step.timed_out", "d")
    ordered = log.memo.ordered()
    assert [each.key for each in ordered] == ["a", "b", "d"]
    assert ordered[0].tx == ordered[1].tx != ordered[2].tx


def test_a_step_in_doubt_has_its_turn_behind_its_commit() -> None:
    log = Log().started("b").done("a").canceled("b")
    log.add("step.completed", "c", mark(""), together=True)
    log.add("step.completed", "d", mark("")).add("run.failed")
    memo = log.memo
    assert memo.doubted == set()  # c and d were called later: the body went on
    memo.doubted.add("b")
    ordered = memo.ordered()
    assert [each.key for each in ordered] == ["a", "c", "b", "d"]
    assert len({each.tx for each in ordered}) == 4

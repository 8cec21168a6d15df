"""Steps as they are folded from events."""

from nbflow._text import step_key
from nbflow.client.fold import body_retry, fold_steps, select
from nbflow.model import StepStatus

SECOND = 1_000_000
START = 1_767_225_600 * SECOND  # 2026-01-01

ERROR = {"type": "OSError", "message": "down"}


def states(script):
    return fold_steps(script.events)


def test_steps_come_in_order_of_first_appearance(script):
    script.add("step.started", "b", 1)
    script.step("a")
    script.add("step.completed", "b", 1, value=1)
    assert list(states(script)) == ["b", "a"]


def test_a_step_goes_through_its_attempts(script):
    script.add("step.started", "a", 1)
    script.add("step.retrying", "a", 1, error=ERROR, _retry_at=START + 99 * SECOND)
    state = states(script)["a"]
    assert state.status is StepStatus.RETRYING
    assert state.until == START + 99 * SECOND
    script.add("step.started", "a", 2)
    script.add("step.completed", "a", 2, value=1, duration=0.25)
    state = states(script)["a"]
    assert [t.status for t in state.tries] == [StepStatus.FAILED, StepStatus.COMPLETED]
    assert state.tries[0].error == ERROR
    assert state.tries[1].duration == 0.25
    assert state.started == state.tries[0].started
    assert state.seconds == 3.0  # the wait between the tries counts


def test_an_attempt_cut_off_by_a_crash_is_shown_as_canceled(script):
    script.add("step.started", "a", 1)
    script.resumed(by="recovery")
    script.add("step.started", "a", 1)
    state = states(script)["a"]
    assert [t.status for t in state.tries] == [StepStatus.CANCELED, StepStatus.RUNNING]
    assert state.started == state.tries[0].started


def test_an_unfinished_step_of_an_ended_run_is_canceled(script):
    script.add("step.started", "a", 1)
    script.end("failed", error=ERROR)
    state = states(script)["a"]
    assert state.status is StepStatus.CANCELED
    assert state.ended == script.now
    assert state.tries[0].status is StepStatus.CANCELED


def test_a_sleep_goes_on_when_its_run_is_resumed(script):
    script.add("step.sleeping", "nap", kind="sleep", _until=START + 99 * SECOND)
    script.end("canceled")
    assert states(script)["nap"].status is StepStatus.CANCELED
    script.resumed()
    state = states(script)["nap"]
    assert state.status is StepStatus.SLEEPING
    assert state.until == START + 99 * SECOND
    assert state.ended is None


def test_a_canceled_step_stays_so_although_it_had_a_value(script):
    script.step("a", 1)
    script.add("step.canceled", "a")
    state = states(script)["a"]
    assert state.status is StepStatus.CANCELED
    assert state.outcome is None


def test_times_of_a_step_count_from_its_execution_after_the_resume(script):
    script.add("step.started", "a", 1)
    script.add("step.failed", "a", 1, error=ERROR, attempts=1)
    script.end("failed", error=ERROR)
    script.resumed()
    script.add("step.started", "a", 1)
    script.add("step.completed", "a", 1, value=1, duration=0.5)
    state = states(script)["a"]
    assert state.error is None
    assert len(state.tries) == 2
    assert state.started == state.tries[1].started
    assert state.seconds == 0.5


def test_a_refreshed_step_has_no_value_until_it_has_run_again(script):
    script.step("a", 1)
    script.end("failed", error=ERROR)
    script.resumed(_refresh=["a"])
    state = states(script)["a"]
    assert state.status is StepStatus.QUEUED
    assert state.outcome is None
    script.step("a", 2)
    assert states(script)["a"].outcome == {"duration": 0.5, "_value": 2}


def test_stale_steps_are_marked_until_they_run_again(script):
    key = step_key("grp", "a")
    script.step(key, 1)
    script.end("failed", error=ERROR)
    script.resumed(stale=["grp/a"])
    assert states(script)[key].is_stale
    script.end("failed", error=ERROR)
    script.resumed(_refresh=[key])
    script.step(key, 2)
    assert not states(script)[key].is_stale


def test_a_superseded_step_says_so_with_its_new_value(script):
    script.step("a", 1)
    script.add("step.superseded", "a", old_definition="1:3.11:0")
    state = states(script)["a"]
    assert (state.is_superseded, state.outcome) == (True, None)
    script.step("a", 2)
    state = states(script)["a"]
    assert state.is_superseded
    assert state.outcome["_value"] == 2


def test_an_invoke_knows_its_child_and_limit(script):
    script.add("step.invoking", "kid", kind="invoke", child_run_id="r-2", _until=START)
    state = states(script)["kid"]
    assert (state.status, state.child) == (StepStatus.INVOKING, "r-2")
    script.add("step.timed_out", "kid", kind="invoke", child_run_id="r-2", error=ERROR)
    state = states(script)["kid"]
    assert (state.status, state.child) == (StepStatus.TIMED_OUT, "r-2")


def test_steps_interrupted_by_a_failed_body_wait_for_its_retry(script):
    script.add("step.started", "a", 1)
    script.add("run.retrying", attempt=1, error=ERROR, _retry_at=START + 9 * SECOND)
    assert states(script)["a"].status is StepStatus.QUEUED
    assert body_retry(script.events) == START + 9 * SECOND
    script.add("run.started", attempt=2)
    assert body_retry(script.events) is None


def test_the_group_is_the_nearest_one_around(script):
    task = step_key(step_key("outer", "fetch~0"), "a")
    script.step(task)
    script.step(step_key("fetch~1", "a"))
    script.step(step_key(step_key("g", "x~1", 1), "a"))
    states = list(fold_steps(script.events).values())
    assert [state.group for state in states] == ["outer", None, "x~1:1"]
    assert [state.branch for state in states] == ["outer/fetch~0", "fetch~1", "g/x~1:1"]


def test_progress_and_logs_make_no_steps(script):
    script.add("log", "a", 1, message="hi", level="info", source="print")
    assert states(script) == {}


class TestSelect:
    def select(self, script, name):
        found, is_one = select(fold_steps(script.events).values(), name)
        return [state.label for state in found], is_one

    def test_the_step_written_so_comes_first(self, script):
        script.step("a")
        script.step(step_key("a", "b"))
        assert self.select(script, "a") == (["a"], True)
        assert self.select(script, "a/b") == (["a/b"], True)

    def test_items_of_a_map_come_in_item_order(self, script):
        for place in (2, 0, 10, 1):
            script.step(f"m[{place}]")
        expected = ["m[0]", "m[1]", "m[2]", "m[10]"]
        assert self.select(script, "m") == (expected, False)

    def test_a_group_gives_its_members(self, script):
        script.step(step_key("g", "a"))
        script.step(step_key(step_key("g", "t~0"), "b"))
        script.step("g2")
        assert self.select(script, "g") == (["g/a", "g/t~0/b"], False)

    def test_an_id_that_only_one_branch_has_is_enough(self, script):
        script.step(step_key("t~0", "a"))
        assert self.select(script, "a") == (["t~0/a"], True)
        script.step(step_key("t~1", "a"))
        assert self.select(script, "a") == (["t~0/a", "t~1/a"], False)

    def test_an_unknown_name_gives_nothing(self, script):
        assert self.select(script, "a") == ([], False)

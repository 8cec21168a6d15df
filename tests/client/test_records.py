"""Public records made of stored rows."""

import datetime as dt
import json
import pickle
import time
from collections.abc import Iterator
from uuid import UUID

import pytest

from nbflow import StoreDamaged
from nbflow._store.base import RunQueries
from nbflow._text import step_key
from nbflow.client.fold import body_retry, fold_steps
from nbflow.client.reasons import waiting_lines
from nbflow.client.records import event_record, run_record, step_records, verify_run
from nbflow.model import RunStatus, StepKind, StepStatus

SECOND = 1_000_000
START = 1_767_225_600 * SECOND  # 2026-01-01

ERROR = {
    "type": "OSError",
    "message": "down",
    "traceback": "tb",
    "step": "a",
    "run_id": "r-1",
    "_class": "builtins:OSError",
}


def record(script, **options):
    reader: RunQueries = script.commit()
    return run_record(script.row, reader, "app", **options)


def steps(script):
    return step_records(script.row, script.events, script.commit())


class TestRuns:
    def test_a_completed_run_has_its_result_and_a_preview(self, script):
        script.end("completed", value={"a": (1, 2)})
        run = record(script)
        assert run.status is RunStatus.COMPLETED
        assert run.result == {"a": (1, 2)}
        assert run.preview == "{'a': (1, 2)}"
        assert run.duration == 3.0
        assert run.ended_at == dt.datetime(2026, 1, 1, 0, 0, 3, tzinfo=dt.UTC)

    def test_a_large_result_is_read_when_it_is_asked_for(self, script):
        script.end("completed", value="x" * 20_000)
        run = record(script)
        assert run.preview is None
        assert run.result == "x" * 20_000

    def test_a_failed_run_has_its_error(self, script):
        script.end("failed", error=ERROR)
        run = record(script)
        assert str(run.error) == "OSError: down"
        assert run.error.step == "a"
        assert run.result is None

    def test_reasons_belong_to_their_status(self, script):
        script.end("canceled", reason="enough")
        run = record(script)
        assert (run.cancel_reason, run.skip_reason) == ("enough", None)

    def test_relatives_are_named_by_their_ids(self, script, new_script):
        script.commit()
        child = new_script("r-2", 2, script.store)
        child.row = child.row._replace(
            parent=1, parent_step=step_key("g", "kid"), root=1, depth=1, rerun_of=1
        )
        run = record(child)
        assert (run.parent, run.root_run_id, run.rerun_of) == ("r-1", "r-1", "r-1")
        assert (run.parent_step, run.depth) == ("g/kid", 1)
        assert record(script).children == ("r-2",)

    def test_the_input_is_what_the_workflow_was_given(self, script):
        script.row = script.row._replace(input=b'{"_value":{"n":1}}')
        assert record(script).input == {"n": 1}
        whole = script.row._replace(input=b'{"_value":{"input":[1]}}')
        assert run_record(whole, script.commit(), "app").input == [1]

    def test_retries_are_the_runs_own_else_the_workflows(self, script):
        assert record(script).retries == 3
        assert record(script, retries=7).retries == 7
        script.row = script.row._replace(options=b'{"retries": 1}')
        assert record(script, retries=7).retries == 1

    def test_a_delayed_run_says_from_when_it_may_start(self, script):
        script.row = script.row._replace(status="queued", started=None, wake=START)
        assert record(script).not_before == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def test_it_still_says_so_when_it_has_started(self, new_script):
        text = "2026-01-01T00:00:00+00:00"
        script = new_script(not_before=text)
        assert record(script).not_before == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def test_a_record_outlives_pickling(self, script):
        script.end("completed", value=[1])
        assert pickle.loads(pickle.dumps(record(script))).result == [1]


class TestSteps:
    def test_a_step_has_value_arguments_and_key(self, script):
        script.step(step_key("g", "a"), (1, 2), _args={"args": [7], "kwargs": {"k": 8}})
        (step,) = steps(script)
        assert (step.name, step.branch, step.group) == ("g/a", "g", "g")
        assert step.result == (1, 2)
        assert step.args == (7,)
        assert step.args.kwargs == {"k": 8}
        assert step.preview == "(1, 2)"
        assert (step.duration, len(step.key)) == (0.5, 32)

    def test_the_key_is_the_one_that_the_step_itself_is_given(self, script):
        from nbflow._engine.core import Core

        script.step("a")
        (step,) = steps(script)
        assert step.key == Core.step_key(script, "r-1", "a")

    def test_a_failed_step_has_error_and_attempts(self, script):
        script.add("step.started", "a", 1)
        script.add("step.retrying", "a", 1, error=ERROR, _retry_at=START)
        script.add("step.started", "a", 2)
        script.add("step.failed", "a", 2, error=ERROR, attempts=2)
        (step,) = steps(script)
        assert (step.status, str(step.error)) == (StepStatus.FAILED, "OSError: down")
        assert [each.number for each in step.attempts] == [1, 2]
        assert step.attempts[0].retry_at == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        assert str(step.attempts[1].error) == "OSError: down"
        assert step.preview == "'OSError: down'"

    def test_recorded_clock_and_ids_have_their_types(self, script):
        script.add("step.completed", "now", kind="now", _value=START)
        text = "12345678-1234-4234-8234-123456789012"
        script.add("step.completed", "uuid", kind="uuid", _value=text)
        now, uuid = steps(script)
        assert now.result == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        assert now.preview == "2026-01-01T00:00:00+00:00"
        assert (uuid.result, uuid.kind) == (UUID(text), StepKind.UUID)

    def test_a_cached_step_names_the_run_it_is_from(self, script):
        script.add("step.completed", "a", 1, value=1, cached_from="r-0", duration=0.0)
        (step,) = steps(script)
        assert (step.cached_from, step.result, step.duration) == ("r-0", 1, 0.0)

    def test_a_step_outlives_pickling(self, script):
        script.step("a", [1])
        (step,) = steps(script)
        assert pickle.loads(pickle.dumps(step)).result == [1]


class TestDamage:
    def test_a_changed_value_is_found_with_its_step(self, script):
        script.step("a", 1)
        script.end("completed", value=1)
        bad = script.events[3]._replace(data=b'{"duration":0.5,"_value":2}')
        events = [*script.events[:3], bad, *script.events[4:]]
        with pytest.raises(
            StoreDamaged, match=r"run 'r-1': event 4 \(step.completed of step 'a'\)"
        ):
            verify_run(script.row, events)

    def test_a_missing_event_is_found(self, script):
        script.step("a", 1)
        with pytest.raises(StoreDamaged, match="event 3 is missing"):
            verify_run(script.row, [*script.events[:2], script.events[3]])

    def test_a_missing_end_is_found(self, script):
        script.step("a", 1)
        script.end("completed", value=1)
        with pytest.raises(StoreDamaged, match="event 5 is missing"):
            verify_run(script.row, script.events[:-1])

    def test_an_exchanged_journal_is_found_by_the_runs_row(self, script):
        script.end("completed", value=1)
        script.row = script.row._replace(tail=b"0" * 16)
        with pytest.raises(StoreDamaged, match="last event"):
            verify_run(script.row, script.events)

    def test_a_changed_result_is_found_when_one_run_is_read(self, script):
        script.end("completed", value=1)
        script.events[-1] = script.events[-1]._replace(data=b'{"_value":2}')
        with pytest.raises(StoreDamaged, match=r"event 3 \(run.completed\)"):
            record(script)

    def test_a_sound_run_passes(self, script):
        script.step("a", 1)
        script.end("completed", value=1)
        verify_run(script.row, script.events)


class TestEvents:
    def event(self, script, index: int = -1):
        return event_record(script.events[index], "r-1", script.commit())

    def test_private_keys_are_not_shown(self, script):
        script.add("step.retrying", "a", 1, error=ERROR, _retry_at=1, retry_at="…")
        event = self.event(script)
        assert event.data["retry_at"] == "…"
        assert "_retry_at" not in event.data
        assert "_class" not in event.data["error"]
        assert (event.step, event.attempt, event.index) == ("a", 1, 3)

    def test_every_key_of_the_type_is_there(self, script):
        script.step("a", [1])
        assert self.event(script, -2).data == {"kind": "run"}
        assert self.event(script).data == {
            "preview": "[1]",
            "duration": 0.5,
            "cached_from": None,
        }
        assert self.event(script, 1).data == {"attempt": 1}

    def test_emitted_data_are_decoded(self, script):
        script.add("data", "a", 1, name="row", key=None, value={"p": (1, 2)})
        event = self.event(script)
        assert event.data == {"name": "row", "key": None, "data": {"p": (1, 2)}}

    def test_data_are_json_for_all_but_emitted_values(self, script):
        script.step("a", [1])
        script.add("step.failed", "b", 1, error=ERROR)
        script.commit()
        for place in range(len(script.events)):
            json.dumps(self.event(script, place).data)

    def test_steps_are_written_as_people_read_them(self, script):
        script.step(step_key("g", "a", 1))
        assert self.event(script).step == "g/a:1"


class TestReasons:
    @pytest.fixture(autouse=True)
    def far_east(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Reasons are read by people: their clock is the one on the wall."""
        monkeypatch.setenv("TZ", "IST-5:30")
        time.tzset()
        yield
        monkeypatch.undo()
        time.tzset()

    def lines(self, script, now: int = START):
        states = fold_steps(script.events).values()
        return waiting_lines(script.row, states, body_retry(script.events), now)

    def test_each_reason_is_a_line_with_its_time(self, script):
        due = START + 50_600 * SECOND
        script.add("step.sleeping", "pause", kind="sleep", _until=due)
        script.add("step.invoking", "kid", kind="invoke", child_run_id="r-2")
        script.add("step.started", "fetch", 1)
        script.add("step.retrying", "fetch", 1, _retry_at=START + 5 * SECOND)
        script.add("step.waiting", "w", kind="wait", event="paid", _until=due)
        assert self.lines(script) == [
            "sleeping until 19:33:20 (step 'pause')",
            "invoking child r-2 (step 'kid')",
            "retrying fetch in 5 s",
            "waiting for event 'paid' until 19:33:20 (step 'w')",
        ]

    def test_far_times_have_their_date(self, script):
        due = START + 200_000 * SECOND
        script.add("step.sleeping", "pause", kind="sleep", _until=due)
        assert self.lines(script) == [
            "sleeping until 2026-01-03 13:03:20 (step 'pause')"
        ]

    def test_a_body_that_is_to_be_retried_says_when(self, script):
        script.add("run.retrying", attempt=1, _retry_at=START + 5 * SECOND)
        assert self.lines(script) == ["retrying the body in 5 s"]
        assert self.lines(script, START + 9 * SECOND) == ["retrying the body now"]

    def test_a_delayed_run_says_from_when(self, script):
        script.row = script.row._replace(status="queued", wake=START)
        assert self.lines(script) == ["not before 05:30:00"]

    def test_an_ended_run_waits_for_nothing(self, script):
        script.add("step.sleeping", "pause", kind="sleep", _until=START)
        script.end("canceled")
        assert self.lines(script) == []

    def test_many_reasons_are_counted(self, script):
        for place in range(30):
            script.add("step.sleeping", f"p[{place}]", kind="sleep", _until=START)
        lines = self.lines(script)
        assert (len(lines), lines[-1]) == (21, "and 10 more")

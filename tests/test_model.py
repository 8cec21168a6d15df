"""The records: statuses and transitions, lazy payloads, safe text, step keys."""

import dataclasses
import datetime as dt
import pickle
import threading
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow import model
from nbflow._text import NUMBER, SEGMENT
from nbflow.model import (
    Attempt,
    ErrorInfo,
    Event,
    EventType,
    FlowKey,
    FlowWaiter,
    Lazy,
    Page,
    Plan,
    Run,
    RunEvent,
    RunStatus,
    Step,
    StepKind,
    StepStatus,
    safe_text,
)

NOON = dt.datetime(2026, 1, 2, 12, 0, 0, tzinfo=dt.UTC)
LATER = NOON + dt.timedelta(seconds=90)
EVIL = "\x1b]52;c;aGk=\x07\n\u202eabc\u2028\x9b2J\ud800"


def a_run(**fields: Any) -> Run:
    base: dict[str, Any] = {"run_id": "r1", "app": "shop", "workflow": "order"}
    return Run(**base | {"status": RunStatus.RUNNING} | fields)


def a_step(**fields: Any) -> Step:
    base: dict[str, Any] = {
        "id": "fetch",
        "kind": StepKind.RUN,
        "status": StepStatus.RUNNING,
    }
    return Step(**base | fields)


def an_event(**fields: Any) -> RunEvent:
    base: dict[str, Any] = {"v": 1, "run_id": "r1", "index": 4, "timestamp": NOON}
    return RunEvent(**base | {"type": EventType.STEP_STARTED} | fields)


class TestWords:
    def test_statuses_are_those_of_the_contract(self) -> None:
        runs = "queued running completed failed canceled skipped"
        steps = (
            "queued running retrying sleeping waiting invoking "
            "completed failed canceled timed_out"
        )
        kinds = "run sleep wait ask send invoke start map now random uuid"
        assert " ".join(RunStatus) == runs
        assert " ".join(StepStatus) == steps
        assert " ".join(StepKind) == kinds

    def test_each_event_type_has_its_data(self) -> None:
        assert set(model.EVENT_DATA) == set(EventType)
        assert model.EVENT_DATA[EventType.LOG] == (
            "message",
            "level",
            "attributes",
            "source",
        )

    def test_events_that_end_a_run(self) -> None:
        assert {kind.value for kind in model.TERMINAL_EVENTS} == {
            "run.completed",
            "run.failed",
            "run.canceled",
            "run.skipped",
        }

    def test_events_lead_to_statuses(self) -> None:
        assert set(model.RUN_STATUS_AFTER.values()) == set(RunStatus)
        assert set(model.STEP_STATUS_AFTER.values()) == set(StepStatus)


class TestRecords:
    @pytest.mark.parametrize(
        ("kind", "names"),
        [
            (
                Run,
                "run_id app workflow status input result error label headers parent "
                "parent_step children root_run_id depth attempt retries queued_at "
                "started_at ended_at duration not_before definition rerun_of from_step "
                "cancel_reason skip_reason recoveries waiting preview",
            ),
            (
                Step,
                "id branch group kind status args result error attempts child_run_id "
                "event match due_at flow_key flow_place queued_at started_at ended_at "
                "duration key stale cached_from superseded preview",
            ),
            (Attempt, "number status started_at ended_at duration error retry_at"),
            (ErrorInfo, "type message traceback step run_id"),
            (Event, "name id data timestamp"),
            (RunEvent, "v run_id index type timestamp step attempt data"),
            (Plan, "kept stale to_run duration"),
            (
                FlowKey,
                "key rate period parallelism running paused pinned waiting next_start",
            ),
        ],
    )
    def test_have_the_fields_of_the_contract(self, kind: type, names: str) -> None:
        fields = {field.name for field in dataclasses.fields(kind)}
        public = {name for name in fields if not name.startswith("_")}
        lazy = {name[1:] for name in fields - public} & set(dir(kind))
        assert public | lazy == set(names.split())

    def test_are_frozen_and_hashable(self) -> None:
        records: list[Any] = [
            a_run(headers={"a": "b"}),
            a_step(attempts=[Attempt(1, StepStatus.RUNNING)], match={"data.a": 1}),
            an_event(data={"a": [1]}),
            Event("paid", "e1", {"order": 17}, NOON),
            FlowKey("api", waiting=[FlowWaiter("r1", None, 1, NOON, "busy")]),
            ErrorInfo("ValueError", "x"),
            Plan(),
        ]
        for record in records:
            assert hash(record) == hash(dataclasses.replace(record))
            assert record == dataclasses.replace(record)
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(record, dataclasses.fields(record)[0].name, "other")

    def test_duration_is_filled_in_from_the_times(self) -> None:
        times: dict[str, Any] = {"started_at": NOON, "ended_at": LATER}
        assert a_run(**times).duration == 90.0
        assert a_step(**times).duration == 90.0
        assert Attempt(1, StepStatus.FAILED, **times).duration == 90.0
        assert a_run(started_at=NOON).duration is None
        assert a_step(**times, duration=1.5).duration == 1.5
        assert a_run(started_at=LATER, ended_at=NOON).duration == 0.0

    def test_payloads_are_decoded_on_access_only(self) -> None:
        asked: list[str] = []

        def load(name: str) -> Any:
            def payload() -> str:
                asked.append(name)
                return name

            return payload

        run = a_run(_input=load("input"), _result=load("result"))
        assert asked == []
        assert run.input == "input"
        assert run.result is None
        done = dataclasses.replace(run, status=RunStatus.COMPLETED)
        assert done.result == "result"
        step = a_step(status=StepStatus.COMPLETED, _args=load("a"), _result=load("v"))
        assert (step.args, step.result) == ("a", "v")
        assert asked == ["input", "result", "a", "v"]

    def test_absent_payloads_are_none(self) -> None:
        assert (a_run().input, a_run().result, a_run().children) == (None, None, ())
        assert (a_step().args, a_step().result) == (None, None)

    def test_children_are_looked_up_when_asked_for(self) -> None:
        assert a_run(_children=lambda: ("r2", "r3")).children == ("r2", "r3")

    def test_step_says_its_name_and_branch(self) -> None:
        assert a_step().name == "fetch"
        assert a_step(branch="crawl~0", id="fetch:2").name == "crawl~0/fetch:2"

    def test_run_knows_whether_it_is_ended(self) -> None:
        assert not a_run().is_ended
        assert all(a_run(status=s).is_ended for s in model.TERMINAL_RUN)

    @pytest.mark.parametrize(
        "record",
        [
            a_run(run_id=EVIL, workflow=EVIL, preview="x" * 10_000),
            a_step(id=EVIL, branch=EVIL, preview="x" * 10_000),
            an_event(step=EVIL, data={"x": "y" * 10_000}),
            Event(EVIL, EVIL, "x" * 10_000),
            FlowKey(EVIL),
            ErrorInfo(EVIL, EVIL, "x" * 10_000),
        ],
        ids=lambda record: type(record).__name__,
    )
    def test_repr_is_short_and_safe(self, record: object) -> None:
        assert repr(record).isprintable()
        assert len(repr(record)) < 300

    def test_pickle_carries_the_values(self) -> None:
        run = a_run(status=RunStatus.COMPLETED, _result=Lazy(lambda: {"a": (1, 2)}))
        copy = pickle.loads(pickle.dumps(run))
        assert copy == run
        assert copy.result == {"a": (1, 2)}


class TestErrorInfo:
    def test_reads_as_type_and_message(self) -> None:
        assert str(ErrorInfo("ValueError", "too large")) == "ValueError: too large"
        assert str(ErrorInfo("TimeoutError", "")) == "TimeoutError"

    def test_comes_back_from_its_stored_form(self) -> None:
        info = ErrorInfo("E", "m", "tb", "fetch", "r1", "mod:E")
        back = ErrorInfo.from_stored(info.to_stored())
        assert back == info
        assert back._class == "mod:E"
        assert "_class" not in ErrorInfo("E", "m").to_stored()

    def test_reads_damaged_and_richer_forms(self) -> None:
        assert ErrorInfo.from_stored({}) == ErrorInfo("Exception", "")
        assert ErrorInfo.from_stored({"type": "E", "_args": [1]}) == ErrorInfo("E", "")


class TestRunEvent:
    def test_is_one_line(self) -> None:
        event = an_event(
            step="crawl~0/fetch",
            attempt=2,
            data={"kind": "run", "place": None, "tags": ["a", 1]},
        )
        assert str(event) == (
            '12:00:00 #4 step.started crawl~0/fetch attempt=2 kind=run tags=["a", 1]'
        )

    def test_names_the_attempt_once(self) -> None:
        started = an_event(type=EventType.RUN_STARTED, attempt=1, data={"attempt": 1})
        assert str(started).count("attempt=1") == 1

    @given(
        st.text(),
        st.dictionaries(st.text(max_size=9), st.text() | st.binary() | st.integers()),
    )
    def test_line_is_safe_whatever_it_holds(
        self, step: str, data: dict[str, Any]
    ) -> None:
        line = str(an_event(step=step, data={**data, EVIL: EVIL}))
        assert len(line.splitlines()) == 1
        assert safe_text(line) == line
        line.encode()

    def test_long_values_are_cut(self) -> None:
        line = str(an_event(step="s" * 999, data={"message": "\x1b" * 9_999}))
        assert len(line) < 400
        assert line.endswith("…")


class TestLazy:
    def test_decodes_once(self) -> None:
        calls: list[int] = []

        def load() -> list[int]:
            calls.append(1)
            return [1, 2]

        lazy = Lazy(load)
        assert lazy() is lazy()
        assert calls == [1]

    def test_error_is_raised_each_time(self) -> None:
        lazy = Lazy(lambda: 1 // 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                lazy()

    def test_gives_its_value_to_many_threads(self) -> None:
        lazy = Lazy(lambda: "value")
        seen: list[str] = []
        threads = [
            threading.Thread(target=lambda: seen.append(lazy())) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == ["value"] * 8


class TestSafeText:
    @pytest.mark.parametrize(
        ("text", "safe"),
        [
            ("plain, ünïcode 数据 👩‍🔬", "plain, ünïcode 数据 👩‍🔬"),
            ("\x1b[2J", r"\x1b[2J"),
            ("a\nb\tc\r", r"a\x0ab\x09c\x0d"),
            ("\x7f\x9b", r"\x7f\x9b"),
            ("\u2028\u2029", r"\u2028\u2029"),
            ("\u202eabc\u2066\u200f\u061c", r"\u202eabc\u2066\u200f\u061c"),
            ("\ud800", r"\ud800"),
            ("", ""),
        ],
    )
    def test_makes_what_steers_visible(self, text: str, safe: str) -> None:
        assert safe_text(text) == safe

    def test_may_keep_lines(self) -> None:
        assert safe_text("a\n\tb\r\x0b", multiline=True) == "a\n\tb\\x0d\\x0b"

    @given(st.text(st.characters()))
    def test_leaves_nothing_that_steers(self, text: str) -> None:
        safe = safe_text(text)
        categories = {unicodedata.category(c) for c in safe}
        assert not categories & {"Cc", "Cs", "Zl", "Zp"}
        bidi = {unicodedata.bidirectional(c) for c in safe}
        assert not bidi & {
            "LRE",
            "RLE",
            "PDF",
            "LRO",
            "RLO",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        }
        assert safe_text(safe) == safe


class TestStepKeys:
    def test_are_shown_with_slash_and_colon(self) -> None:
        branch = model.step_key("", "crawl~0", 0)
        key = model.step_key(branch, "fetch", 2)
        assert key == "crawl~0\x1ffetch\x1e2"
        assert model.step_label(key) == "crawl~0/fetch:2"
        assert model.split_step(key) == ("crawl~0", "fetch:2")

    def test_of_the_body_have_no_branch(self) -> None:
        assert model.step_key("", "fetch") == "fetch"
        assert model.split_step("fetch") == ("", "fetch")

    def test_generated_number_never_meets_a_users_own(self) -> None:
        assert model.step_key("", "a", 1) != model.step_key("", "a:1")
        assert model.step_key("a", "b") != model.step_key("", "a/b")

    segments = st.tuples(
        st.text(st.characters(min_codepoint=32), min_size=1), st.integers(0, 9)
    )

    @given(st.lists(segments, min_size=1, max_size=4))
    def test_are_as_unlike_as_what_they_name(self, path: list[tuple[str, int]]) -> None:
        key = ""
        for id, number in path:
            key = model.step_key(key, id, number)
        read = [s.partition(NUMBER) for s in key.split(SEGMENT)]
        assert [(id, int(n or 0)) for id, _, n in read] == path


@given(st.datetimes(timezones=st.just(dt.UTC)))
def test_moments_are_exact_microseconds(moment: dt.datetime) -> None:
    assert model.from_micros(model.to_micros(moment)) == moment
    assert model.from_micros(0) == model.EPOCH


def test_moment_of_another_zone_is_the_same_moment() -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    assert model.to_micros(NOON.astimezone(zone)) == model.to_micros(NOON)


def test_page_is_a_list_with_a_cursor() -> None:
    page = Page([1, 2], "next")
    assert page == [1, 2]
    assert page.cursor == "next"
    assert Page().cursor is None

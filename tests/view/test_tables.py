"""Lists of runs, events and plans."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow.model import ErrorInfo, EventType, Plan, Run, RunEvent, RunStatus
from nbflow.view import (
    Look,
    event_line,
    line,
    paint,
    plain,
    plan_line,
    plan_lines,
    run_brief,
    run_facts,
    runs_table,
    said,
    table,
)

NOW = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
LOOK = Look()


def event(
    type: str, step: str | None = None, attempt: int | None = None, /, **data: Any
) -> RunEvent:
    return RunEvent(1, "r-1", 7, EventType(type), NOW, step, attempt, data)


def run(**fields: Any) -> Run:
    given: dict[str, Any] = {
        "run_id": "r-1",
        "app": "demo",
        "workflow": "main",
        "status": RunStatus.COMPLETED,
        "queued_at": NOW - dt.timedelta(seconds=90),
        "started_at": NOW - dt.timedelta(seconds=90),
        "ended_at": NOW - dt.timedelta(seconds=88),
    }
    return Run(**given | fields)


def test_columns_are_aligned_whatever_the_script() -> None:
    made = table([[line("日本"), line("1")], [line("abcde"), line("22")]], right=(1,))
    assert [plain(each) for each in made] == ["日本    1", "abcde  22"]


def test_a_run_in_a_list_says_when_how_long_and_what() -> None:
    (row,) = runs_table([run(preview="42")], LOOK, NOW)
    assert plain(row) == "✓ completed  main  r-1  1 min ago  2 s  42"


def test_apps_are_named_where_there_are_several() -> None:
    rows = runs_table([run(), run(app="other")], LOOK, NOW)
    assert "demo/main" in plain(rows[0])
    assert "other/main" in plain(rows[1])


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"status": RunStatus.FAILED, "error": ErrorInfo("OSError", "no\nway")},
            "OSError: no",
        ),
        ({"status": RunStatus.CANCELED, "cancel_reason": "enough"}, "enough"),
        ({"status": RunStatus.RUNNING, "waiting": ("for it", "more")}, "for it (+1)"),
        ({"label": "nightly"}, "[nightly]"),
        ({"parent": "r-0"}, "↳ main"),
    ],
)
def test_a_list_shows_what_matters_most(fields: dict[str, Any], text: str) -> None:
    assert text in plain(runs_table([run(**fields)], LOOK, NOW)[0])


def test_the_facts_of_a_run_are_one_a_line() -> None:
    lines = [plain(each) for each in run_facts(run(preview="42"), LOOK, NOW)]
    assert "  app     demo" in lines
    assert "  took    2 s" in lines
    assert "  result  42" in lines
    assert "main  r-1  completed" in plain(run_brief(run(), LOOK, NOW))
    lines = [plain(each) for each in run_facts(run(rerun_of="r-0"), LOOK, NOW, "{}")]
    assert "  input     {}" in lines
    assert "  rerun of  r-0" in lines


def test_tries_of_several_lives_have_no_limit() -> None:
    def tries(attempt: int) -> str:
        facts = run_facts(run(attempt=attempt, retries=3), LOOK, NOW)
        return next(text for text in map(plain, facts) if "tries" in text)

    assert tries(2).endswith("  2 of 4")
    assert tries(6).endswith("  6")


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (event("step.started", "a", 1, kind="run"), "a started"),
        (event("step.started", "a", 2, kind="run"), "a started (try 2)"),
        (
            event("step.completed", "a", 1, duration=1.25, preview="42"),
            "a completed in 1.2 s  42",
        ),
        (
            event("step.completed", "a", cached_from="r-0", duration=0.0),
            "a completed  cached from r-0",
        ),
        (
            event("step.failed", "a", 4, error={"type": "E", "message": "m\nn"}),
            "a failed (try 4)  E: m",
        ),
        (event("log", "a", message="hello", level="info"), "a: hello"),
        (event("log", message="hello", level="warning"), "hello"),
        (event("progress", "a", done=1, total=2, message="x"), "a  1/2 x"),
        (event("data", "a", name="item", data=[1]), "a  data item: [1]"),
        (
            event("run.canceled", reason="enough", by="user"),
            "run canceled  enough, by user",
        ),
        (
            event("step.invoking", "a", child_run_id="r-2", workflow="w"),
            "a invokes  r-2, w",
        ),
        (event("run.resumed", by="user", recoveries=0), "run resumed  by user"),
        (
            event("step.timed_out", "a", error={"type": "E", "message": "m"}, after=2),
            "a timed out  E: m",
        ),
        (event("step.superseded", "a", old_definition="1:3.11:ab"), "a superseded"),
    ],
)
def test_events_read_as_sentences(told: RunEvent, text: str) -> None:
    assert plain(said(told, NOW)) == text


def test_a_retry_says_why_and_when() -> None:
    due = (NOW + dt.timedelta(seconds=4)).isoformat()
    text = plain(
        said(event("step.retrying", "a", 1, error={"type": "E"}, retry_at=due), NOW)
    )
    assert text.startswith("a failed, next try at ")
    assert text.endswith(":04  E")


def test_an_event_line_has_time_and_number() -> None:
    text = plain(event_line(event("run.started", attempt=1), LOOK, NOW))
    assert text.endswith("    7  ▸ run started")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "+0.000"),
        (4.25, "+4.250"),
        (59.9996, "+1:00.000"),
        (64, "+1:04.000"),
        (3_600 + 124.5, "+1:02:04.500"),
        (360_000, "+100:00:00.000"),
        (-0.001, "-0.001"),
    ],
)
def test_an_event_line_can_tell_how_long_after_the_start_it_was(
    seconds: float, text: str
) -> None:
    made = event("run.started", attempt=1)
    start = made.timestamp - dt.timedelta(seconds=seconds)
    told = plain(event_line(made, LOOK, NOW, start))
    assert told == f"{text:>12}    7  ▸ run started"


@given(
    st.sampled_from(list(EventType)),
    st.dictionaries(
        st.sampled_from(
            ["error", "until", "done", "message", "preview", "data", "kept"]
        ),
        st.none() | st.text() | st.floats() | st.lists(st.text()),
    ),
    st.integers(0, 100),
)
def test_any_event_is_one_safe_line(
    kind: EventType, data: dict[str, Any], width: int
) -> None:
    made = RunEvent(1, "r-1", 1, kind, NOW, "a", 1, data)
    text = paint(event_line(made, LOOK, NOW), LOOK, width)
    assert not any(ord(char) < 32 for char in text)


def test_a_plan_in_one_line() -> None:
    plan = Plan(tuple("abcde"), ("f",), tuple("ghijkl"), 40.0)
    text = plain(plan_line(plan))
    assert text == "keeps 6 steps, runs 6, 1 stale, about 40 s last time"
    assert plain(plan_line(Plan())) == "keeps 0 steps, runs what follows"


def test_a_plan_names_its_steps() -> None:
    lines = [plain(each) for each in plan_lines(Plan(("a", "b"), (), ("c",)))]
    assert lines[1:] == ["  kept    a", "          b", "  to run  c"]

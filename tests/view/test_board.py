"""Runs as rows, from their events and from their records."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow.model import EventType, RunEvent, RunStatus, Step, StepKind, StepStatus
from nbflow.view import (
    Board,
    Look,
    family_name,
    paint,
    plain,
    run_line,
    run_rows,
    shorten,
    summary,
)

START = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
LOOK = Look()


class Story:
    """Feeds events into a board, a tenth of a second apart."""

    def __init__(self) -> None:
        self.board = Board(run_id="r-1")
        self.index = 0
        self.tell("run.queued", workflow="main")
        self.tell("run.started", attempt=1)

    @property
    def now(self) -> dt.datetime:
        return START + dt.timedelta(seconds=self.index / 10)

    def tell(
        self,
        type: str,
        step: str | None = None,
        attempt: int | None = None,
        /,
        **data: Any,
    ) -> None:
        self.index += 1
        event = RunEvent(
            1, "r-1", self.index, EventType(type), self.now, step, attempt, data
        )
        self.board.apply(event)

    def step(self, name: str, **outcome: Any) -> None:
        self.tell("step.started", name, 1, kind="run")
        self.tell("step.completed", name, 1, **outcome)

    def rows(self, **options: Any) -> list[str]:
        rows = run_rows(self.board, LOOK, self.now, **options)
        return [paint(row.line, LOOK).rstrip() for row in rows]

    @property
    def header(self) -> str:
        return plain(run_line(self.board, LOOK, self.now))


@pytest.mark.parametrize(
    ("step", "family"),
    [
        ("ask[17]", "ask"),
        ("ask[a/b]:2", "ask"),
        ("fetch:3", "fetch"),
        ("fetch_all~0/parse~12/load", "fetch_all/parse/load"),
        ("group/step", "group/step"),
        ("[1]", "[1]"),
        ("plain", "plain"),
    ],
)
def test_steps_of_one_call_site_have_one_family(step: str, family: str) -> None:
    assert family_name(step) == family


def test_a_finished_step_shows_its_time_and_value() -> None:
    story = Story()
    story.step("fetch", duration=1.25, preview="{'title': 'x'}")
    assert story.rows() == ["  ✓ fetch  1.2 s  {'title': 'x'}"]


def test_a_running_step_shows_how_long_and_how_far() -> None:
    story = Story()
    story.tell("step.started", "train", 1, kind="run")
    story.tell("progress", "train", 1, done=11, total=40, message="loss 0.1")
    assert story.rows() == ["  ▸ train  0.1 s  ━━━━──────────── 11/40 loss 0.1"]


def test_a_retrying_step_says_which_try_when_and_why() -> None:
    story = Story()
    story.tell("step.started", "load", 1, kind="run")
    due = (story.now + dt.timedelta(seconds=4.05)).isoformat()
    error = {"type": "OSError", "message": "refused\nby the other side"}
    story.tell("step.retrying", "load", 1, error=error, retry_at=due)
    assert story.rows() == ["  ↻ load  0.1 s  try 2 in 4 s · OSError: refused"]


def test_sleeping_waiting_and_invoking_say_what_for() -> None:
    story = Story()
    due = (story.now + dt.timedelta(seconds=9.3)).isoformat()
    story.tell("step.sleeping", "nap", until=due)
    story.tell("step.waiting", "ok", kind="ask", question="Go?")
    story.tell("step.invoking", "sub", child_run_id="r-2", workflow="child")
    nap, ok, sub = story.rows()
    assert "wakes in 9 s" in nap
    assert "asks: Go?" in ok
    assert "child r-2" in sub


def test_hidden_kinds_of_steps_are_neither_shown_nor_counted() -> None:
    story = Story()
    story.tell("step.completed", "now", kind="now")
    assert story.rows() == []
    assert "step" not in story.header


def test_items_of_a_map_are_one_row() -> None:
    story = Story()
    for item in range(6):
        story.tell("step.started", f"ask[{item}]", 1, kind="run")
    for item in range(4):
        story.tell("step.completed", f"ask[{item}]", 1)
    error = {"type": "OSError", "message": "gone"}
    story.tell("step.retrying", "ask[4]", 1, error=error)
    family, retrying = story.rows()
    assert family.split("s  ")[1] == "4 done, 1 running, 1 retrying"
    assert "ask[4]" in retrying
    assert "OSError: gone" in retrying


def test_a_map_that_tells_its_total_has_a_bar() -> None:
    story = Story()
    for item in range(5):
        story.tell("step.started", f"ask[{item}]", 1, kind="run")
    story.tell("step.completed", "ask[0]", 1)
    story.tell("progress", "ask", done=1, total=10)
    assert story.rows()[0].endswith("━╸────────────── 1/10 done, 4 running")


def test_a_finished_family_counts_all() -> None:
    story = Story()
    for item in range(4000):
        story.step(f"ask[{item}]")
    assert len(story.rows()) == 1
    assert story.rows()[0].endswith("4,000/4,000 done")
    assert "4,000 steps" in story.header


def test_failed_members_of_a_family_have_rows_but_few() -> None:
    story = Story()
    for item in range(10):
        story.tell("step.started", f"ask[{item}]", 1, kind="run")
        story.tell(
            "step.failed", f"ask[{item}]", 1, error={"type": "E", "message": "m"}
        )
    assert len(story.rows()) == 4
    assert "0/10 done, 10 failed" in story.rows()[0]


def test_few_steps_of_a_loop_stay_rows_of_their_own() -> None:
    story = Story()
    for name in ("fetch", "fetch:1", "fetch:2"):
        story.step(name)
    assert len(story.rows()) == 3
    assert len(story.rows(fold=2)) == 1


def test_steps_of_a_child_run_are_shown_while_it_goes_on() -> None:
    story = Story()
    story.tell("step.invoking", "sub", child_run_id="r-2", workflow="child")
    assert story.board.open_children() == ["r-2"]
    child = story.board.children["r-2"] = Story().board
    child.apply(RunEvent(1, "r-2", 3, EventType.STEP_STARTED, story.now, "load", 1))
    assert [row.split()[1] for row in story.rows()] == ["sub", "load"]
    story.tell("step.completed", "sub", child_run_id="r-2")
    assert len(story.rows()) == 1
    assert story.board.open_children() == ["r-2"]
    child.apply(RunEvent(1, "r-2", 4, EventType.RUN_COMPLETED, story.now))
    assert story.board.open_children() == []


def test_the_end_of_a_run_ends_its_open_steps() -> None:
    story = Story()
    story.tell("step.started", "a", 1, kind="run")
    story.tell(
        "run.failed", error={"type": "ValueError", "message": "no"}, duration=1.5
    )
    assert story.board.is_ended
    assert story.board.error == "ValueError: no"
    assert story.header == "✗ main  r-1  failed · 1.5 s · 0/1 steps"
    assert "⊘ a" in story.rows()[0]


def test_a_resumed_run_waits_on_and_runs_the_rest_again() -> None:
    story = Story()
    story.tell("step.started", "a", 1, kind="run")
    story.tell("step.sleeping", "nap")
    story.step("done")
    story.tell("run.canceled", reason="interrupted")
    story.tell("run.resumed", by="user", stale=["done"])
    assert story.board.status is RunStatus.RUNNING
    statuses = {name: str(facts.status) for name, facts in story.board.steps.items()}
    assert statuses == {"a": "queued", "nap": "sleeping", "done": "completed"}
    assert "stale" in story.rows()[2]


def test_a_body_that_is_retried_says_when() -> None:
    story = Story()
    due = (story.now + dt.timedelta(seconds=60)).isoformat()
    story.tell("run.retrying", attempt=1, retry_at=due)
    assert "next try" in story.header
    story.tell("run.started", attempt=2)
    story.index += 1
    assert "next try" not in story.header


def test_a_superseded_step_begins_afresh() -> None:
    story = Story()
    story.step("a", duration=5.0, preview="old")
    story.tell("step.superseded", "a")
    story.step("a", duration=0.5, preview="new")
    assert story.rows() == ["  ✓ a  500 ms  new"]


def test_tries_are_counted() -> None:
    story = Story()
    for attempt in (1, 2, 3):
        story.tell("step.started", "a", attempt, kind="run")
    story.tell("step.completed", "a", 3, duration=0.0, preview="'ok'")
    assert story.rows() == ["  ✓ a  300 ms  3 tries · 'ok'"]


def test_records_and_events_give_the_same_rows() -> None:
    story = Story()
    story.step("fetch", duration=1.25, preview="'x'")
    recorded = Board(run_id="r-1")
    recorded.add(
        Step(
            id="fetch",
            kind=StepKind.RUN,
            status=StepStatus.COMPLETED,
            duration=1.25,
            preview="'x'",
        )
    )
    rows = run_rows(recorded, LOOK, story.now)
    assert [paint(row.line, LOOK) for row in rows] == story.rows()


def test_too_many_rows_keep_what_goes_on_and_say_what_is_hidden() -> None:
    story = Story()
    for name in "abcdefgh":
        story.step(name)
    story.tell("step.started", "i", 1, kind="run")
    story.step("j")
    rows = run_rows(story.board, LOOK, story.now)
    lines = [plain(each).split()[:2] for each in shorten(rows, 4, LOOK)]
    assert lines == [["⋯", "7"], ["✓", "h"], ["▸", "i"], ["✓", "j"]]
    assert "7 completed" in plain(shorten(rows, 4, LOOK)[0])


@pytest.mark.parametrize("height", range(12))
def test_shortened_rows_fit_the_height(height: int) -> None:
    story = Story()
    for name in "abcdefgh":
        story.step(name)
    rows = run_rows(story.board, LOOK, story.now)
    assert len(shorten(rows, height, LOOK)) == min(height, 8)


def test_the_summary_counts_by_status() -> None:
    story = Story()
    story.step("a")
    story.tell("step.started", "b", 1, kind="run")
    assert plain(summary(story.board)) == "1 done, 1 running"


KINDS = st.sampled_from([kind.value for kind in EventType])
NAMES = st.one_of(
    st.none(), st.sampled_from(["a", "a:1", "m[0]", "m[1]", "t~0/x", "m"])
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
NAMED = [
    *("error", "retry_at", "until", "done", "total", "message", "preview", "stale"),
    *("duration", "reason", "child_run_id", "kind", "workflow", "question"),
    *("event", "cached_from", "not_before"),
]
FIELDS = st.dictionaries(
    st.sampled_from(NAMED),
    JUNK,
    max_size=5,
)


@given(st.lists(st.tuples(KINDS, NAMES, FIELDS), max_size=30), st.integers(1, 200))
def test_any_events_can_be_drawn_at_any_width(
    events: list[tuple[str, str | None, dict[str, Any]]], width: int
) -> None:
    story = Story()
    for kind, step, data in events:
        story.tell(kind, step, None, **data)
    for rows in (story.rows(), story.rows(width=width, fold=2)):
        assert not any("\x1b" in row or "\n" in row for row in rows)
    assert "\n" not in story.header
    counts = story.board.counts
    assert sum(counts.values()) == len(story.board.steps)
    assert min(counts.values(), default=0) >= 0


def test_a_total_told_before_any_item_is_no_step() -> None:
    story = Story()
    story.tell("progress", "ask", done=0, total=4000)
    assert story.rows() == []
    for item in range(32):
        story.tell("step.started", f"ask[{item}]", 1, kind="run")
    for item in range(20):
        story.tell("step.completed", f"ask[{item}]", 1)
    assert "20/4,000 done, 12 running" in story.rows()[0]
    assert set(story.board.steps) == {f"ask[{item}]" for item in range(32)}


def test_totals_of_maps_that_share_a_row_add_up() -> None:
    story = Story()
    for name in ("ask", "ask:1", "each~0/ask"):
        story.tell("progress", name, done=0, total=100)
    for item in range(5):
        story.step(f"ask:1[{item}]")
        story.tell("step.started", f"each~0/ask[{item}]", 1, kind="run")
    assert "5/200 done" in story.rows()[0]


@given(st.lists(st.tuples(KINDS, NAMES, FIELDS), max_size=30))
def test_call_sites_are_the_same_whenever_they_are_asked_for(
    events: list[tuple[str, str | None, dict[str, Any]]],
) -> None:
    early, late = Story(), Story()
    assert not early.board.families
    for story in (early, late):
        for kind, step, data in events:
            story.tell(kind, step, None, **data)
    found, wanted = late.board.families, early.board.families
    assert list(found) == list(wanted)
    for name, family in wanted.items():
        assert list(found[name].members) == list(family.members)
        assert found[name].totals == family.totals
        assert found[name].tally.counts == family.tally.counts

"""The rows of a view: what they show, and how they are told in small messages."""

import itertools
import json
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow.view import Board
from nbflow.widgets.run.protocol import ROW
from nbflow.widgets.run.rows import MESSAGE_BYTES, MESSAGE_ROWS, Rows
from tests.widgets.story import START, Page, Story

FIELD = {name: place for place, name in enumerate(ROW)}


def page_of(story: Story) -> Page:
    return Page(story.rows().whole())


def field(page: Page, row: str, name: str) -> Any:
    return page.row(row)[FIELD[name]]


def test_the_browser_knows_the_fields_of_a_row_in_their_order() -> None:
    script = files("nbflow.widgets").joinpath("run/script/row.js").read_text("utf-8")
    assert f'"{" ".join(ROW)}"' in script


def test_a_finished_step_is_a_short_row() -> None:
    story = Story()
    story.step("fetch", preview="'page'")
    ms = round(START.timestamp() * 1000)
    assert story.rows().whole() == [
        [2, 0, "run", "fetch", "completed", 1, None, ms + 300, ms + 400, None, "'page'"]
    ]


def test_maps_groups_and_branches_hold_their_steps() -> None:
    story = Story()
    story.step("ask[0]")
    story.step("ask[a/b]")
    story.step("load\x1fparse")
    story.step("work~0\x1fparse")
    story.step("work~0\x1fask[1]")
    story.step("https://host/a")
    assert page_of(story).names() == [
        *("ask", "  [0]", "  [a/b]", "load", "  parse"),
        *("work~0", "  parse", "  ask", "    [1]", "https://host/a"),
    ]


def test_a_loop_gathers_under_its_call_site_from_the_fourth_call_on() -> None:
    story = Story()
    for number in range(3):
        story.step(f"poll\x1e{number}" if number else "poll")
    rows = story.rows()
    page = Page(rows.whole())
    assert page.names() == ["poll", "poll:1", "poll:2"]
    story.events.clear()
    story.step("poll\x1e3")
    rows.take("r-1", story.events)
    page.take(rows.take_changes())
    assert page.names() == ["poll", "  poll", "  poll:1", "  poll:2", "  poll:3"]
    site = min(page.rows.values(), key=lambda row: row[0])
    assert site[2] == "map"
    assert site[FIELD["counts"]] == [4, 0, 0, 0, None]


def test_branches_of_one_function_gather_too() -> None:
    story = Story()
    for number in range(4):
        story.step(f"work~{number}\x1ffetch")
    page = page_of(story)
    assert page.names()[:3] == ["work", "  work~0", "    fetch"]
    assert page.rows[min(page.rows)][FIELD["counts"]] == [4, 0, 0, 0, None]


def test_a_map_tells_its_total_before_its_items_are_there() -> None:
    story = Story()
    story.tell("progress", "ask", None, done=0, total=4000, message=None)
    story.step("ask[0]")
    page = page_of(story)
    assert field(page, "ask", "counts") == [1, 0, 0, 0, 4000]
    assert field(page, "ask", "status") == "running"
    story.tell("progress", "ask", None, done=4000, total=4000, message=None)
    story.tell("run.canceled", reason="enough")
    assert field(page_of(story), "ask", "status") == "canceled"


def test_a_group_counts_the_items_to_come_of_its_maps() -> None:
    story = Story()
    story.step("all\x1fprepare")
    story.tell("progress", "all\x1fask", None, done=0, total=20, message=None)
    story.step("all\x1fask[0]")
    page = page_of(story)
    assert field(page, "ask", "counts") == [1, 0, 0, 0, 20]
    assert field(page, "all", "counts") == [2, 0, 0, 0, 21]
    assert field(page, "all", "status") == "running"


def test_branches_that_gather_keep_the_totals_of_their_maps() -> None:
    story = Story()
    for number in range(4):
        branch = f"work~{number}"
        story.tell("progress", f"{branch}\x1fask", None, done=0, total=5, message=None)
        story.step(f"{branch}\x1fask[0]")
    page = page_of(story)
    assert page.rows[min(page.rows)][FIELD["counts"]] == [4, 0, 0, 0, 20]


def test_attempts_and_pauses_are_spans() -> None:
    story = Story()
    story.tell("step.queued", "load", kind="run", flow_key="api", place=2)
    story.tell("step.started", "load", 1, kind="run")
    story.tell("step.retrying", "load", 1, error="down", retry_at=story.now.isoformat())
    story.tell("step.started", "load", 2, kind="run")
    story.tell("step.completed", "load", 2)
    page = page_of(story)
    assert [span[0] for span in field(page, "load", "spans")] == ["q", "r", "b", "r"]
    spans = field(page, "load", "spans")
    assert all(one[2] == two[1] for one, two in itertools.pairwise(spans))
    assert spans[-1][2] == field(page, "load", "ended")


def test_flags_tell_stale_cached_kept_queued_and_what_can_be_opened() -> None:
    story = Story()
    story.step("old")
    story.step("cheap", cached_from="r-0")
    story.tell("step.invoking", "sub", child_run_id="r-2", workflow="child")
    story.tell("run.failed", error={"type": "E", "message": "x"})
    story.tell("run.resumed", by="user", stale=["old"])
    story.tell("step.queued", "next", kind="run", flow_key="api", place=2)
    page = page_of(story)
    flags = {
        name: field(page, name, "flags") for name in ("old", "cheap", "sub", "next")
    }
    assert flags == {"old": "sk", "cheap": "ck", "sub": "l", "next": "p"}
    assert field(page, "next", "text") == "place 3 in the queue of 'api'"
    assert field(page, "sub", "run") == "r-2"


def test_failures_are_sent_first() -> None:
    story = Story()
    for number in range(600):
        story.step(f"ok-{number}")
    story.fail("load\x1fbroken")
    told = story.rows().take_changes()
    assert [row[3] for row in told[:2]] == ["load", "broken"]
    assert len(told) == MESSAGE_ROWS


def test_no_message_is_too_large_and_nothing_is_lost() -> None:
    story = Story()
    for number in range(900):
        story.step(f"é{number}" + "n" * 150, preview="v" * 300)
    rows = story.rows()
    page = Page()
    while rows.has_changes:
        told = rows.take_changes()
        assert len(told) <= MESSAGE_ROWS
        assert len(json.dumps(told, ensure_ascii=False).encode()) <= MESSAGE_BYTES
        page.take(told)
    assert list(page.rows.values()) == rows.whole()


def test_beyond_the_limit_finished_items_fold_into_their_map() -> None:
    story = Story()
    for number in range(300):
        story.step(f"ask[{number}]")
    story.fail("ask[bad]")
    story.tell("step.started", "ask[busy]", 1, kind="run")
    rows = story.rows(max_rows=100)
    page = Page(rows.whole())
    assert page.names() == ["ask", "  [bad]", "  [busy]"]
    assert field(page, "ask", "flags") == "l"
    assert field(page, "ask", "counts") == [300, 1, 1, 0, None]
    assert "open to see" in field(page, "ask", "text")

    ask = page.row("ask")[0]
    assert rows.open_fold(ask, True)
    while rows.has_changes:
        page.take(rows.take_changes())
    assert len(page.rows) == 303
    rows.open_fold(ask, False)
    while rows.has_changes:
        page.take(rows.take_changes())
    assert page.names() == ["ask", "  [bad]", "  [busy]"]


def test_items_that_are_to_fold_are_not_told_before() -> None:
    story = Story()
    for number in range(300):
        story.step(f"ask[{number}]")
    rows = Rows(Board(run_id="r-1"), max_rows=100)
    rows.take("r-1", story.events)
    told = []
    while rows.has_changes:
        told += rows.take_changes()
    assert [row[FIELD["name"]] for row in told] == ["ask"]


def test_an_opened_child_run_is_shown_below_its_step_until_it_is_closed() -> None:
    story, child = Story(), Story("r-2", "child")
    story.tell("step.invoking", "sub", child_run_id="r-2", workflow="child")
    child.step("inner")
    rows = story.rows()
    page = Page(rows.whole())
    row = page.row("sub")[0]
    rows.open_run(row, Board(run_id="r-2"))
    rows.take("r-2", child.events)
    page.take(rows.take_changes())
    assert page.names() == ["sub", "  inner"]
    assert Page(rows.whole()).names() == ["sub", "  inner"]
    assert rows.close_run("r-2") == ["r-2"]
    page.take(rows.take_changes())
    assert page.names() == ["sub"]


KEYS = st.sampled_from(
    [
        *(
            "a",
            "a\x1e1",
            "a\x1e2",
            "a\x1e3",
            "a\x1e4",
            "m[0]",
            "m[1]",
            "m[2]",
            "m[x/y]",
        ),
        *("g\x1fa", "g\x1fm[0]", "w~0\x1fa", "w~1\x1fa", "w~2\x1fa", "w~3\x1fa"),
        *("[", "a[", "]", "m[]", "x~1", "x:1", "\u202e", "<b>", "a/b", ":1", "~0"),
    ]
)
TYPES = st.sampled_from(
    [
        *("step.queued", "step.started", "step.retrying", "step.sleeping"),
        *("step.waiting", "step.invoking", "step.completed", "step.failed"),
        *("step.canceled", "step.timed_out", "step.superseded", "progress", "log"),
    ]
)
RUN_TYPES = st.sampled_from(
    ["run.retrying", "run.failed", "run.resumed", "run.started"]
)
TOLD = st.one_of(
    st.tuples(TYPES, KEYS), st.tuples(RUN_TYPES, st.none()), st.just(("send", None))
)


@given(st.lists(TOLD, max_size=60), st.integers(1, 6), st.integers(0, 20))
def test_a_snapshot_and_what_follows_give_the_next_snapshot(
    told: list[tuple[str, str | None]], limit: int, max_rows: int
) -> None:
    story = Story()
    rows = Rows(Board(run_id="r-1"), max_rows=max_rows or 10_000)
    early, merged = Page(rows.whole()), Page()
    for type, key in told:
        if type == "send":
            early.take(rows.take_changes(limit))
            continue
        story.events.clear()
        story.tell(type, key, 1, by="user", child_run_id="r-9", done=1, total=3)
        rows.take("r-1", story.events)
    last = rows.whole()
    while rows.has_changes:
        message = rows.take_changes(limit)
        early.take(message)
    merged.take(rows.whole())
    assert early.rows == merged.rows
    if not max_rows:
        assert merged.rows == {row[0]: row for row in last}
    assert len(json.dumps(last)) < 1_000_000


@given(st.lists(st.tuples(TYPES, KEYS), min_size=1, max_size=40))
def test_counts_of_holders_are_those_of_their_steps(
    told: list[tuple[str, str | None]],
) -> None:
    story = Story()
    for type, key in told:
        story.tell(type, key, 1)
    tree = story.rows().main.tree
    for node in tree.walk():
        below = [each for each in tree.walk(node) if each.is_step]
        if not node.is_step:
            assert sum(node.counts.values()) == len(below)
            assert all(count >= 0 for count in node.counts.values())


@pytest.mark.parametrize(
    "text", ["\x1b[31mred", "a\nb", "\u202edrow", "\ud800", "x" * 999]
)
def test_hostile_texts_are_one_safe_line(text: str) -> None:
    story = Story()
    story.fail("step " + text, text)
    row = story.rows().whole()[0]
    sent = json.dumps(row, ensure_ascii=False).encode()  # lone surrogates would fail
    for sign in ("\x1b", "\n", "\u202e"):
        assert sign.encode() not in sent
        assert sign not in row[3]
    assert len(sent) < 1_000

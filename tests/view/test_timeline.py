"""A run as a timeline: what a row shows of a step, and how a line is drawn."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow.model import EventType, RunEvent, StepStatus
from nbflow.view import Board, Look, cells, plain, width_of
from nbflow.view.axis import Scale
from nbflow.view.bars import Piece, bar_cells
from nbflow.view.timeline import (
    Columns,
    Zoom,
    extent,
    scale_of,
    timeline_lines,
    track_line,
    zoomed,
)
from nbflow.view.tracks import Life, Track, opens_by_itself, tracks
from nbflow.view.tree import Tree

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
UNICODE, ASCII = Look(unicode=True), Look(unicode=False)


def at(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


class Told:
    """A board told event by event."""

    def __init__(self, run_id: str = "r-1") -> None:
        self.board = Board(run_id=run_id)
        self.count = 0
        self("run.queued", 0, workflow="wf")
        self("run.started", 0)

    def __call__(
        self,
        what: str,
        seconds: float,
        step: str | None = None,
        attempt: int | None = None,
        **data: Any,
    ) -> "Told":
        self.count += 1
        event = RunEvent(
            1,
            self.board.run_id,
            self.count,
            EventType(what),
            at(seconds),
            step,
            attempt,
            data,
        )
        self.board.apply(event)
        return self

    def rows(self, *, opened: bool = False) -> list[Track]:
        tree = Tree(self.board)
        tree.place((*self.board.steps.values(), *self.board.maps.values()))
        if opened:
            return list(tracks(tree, lambda key, node: True))
        return list(tracks(tree, opens_by_itself))

    def text(self, width: int = 60, now: float = 10, look: Look = UNICODE) -> list[str]:
        lines = timeline_lines(self.board, look, at(now), width=width)
        return [plain(each).rstrip() for each in lines]


@pytest.fixture
def told() -> Told:
    return Told()


def ran(told: Told, step: str, start: float, end: float) -> None:
    told("step.started", start, step, 1, kind="run")
    told("step.completed", end, step, 1, duration=end - start)


def test_steps_are_rows_with_bars_where_they_ran(told: Told) -> None:
    ran(told, "fetch", 0, 5)
    ran(told, "store", 5, 10)
    told("run.completed", 10, duration=10.0)
    head, fetch, store = told.text()
    assert head.split() == ["0", "5s"]
    assert fetch.split() == ["✓", "fetch", "━" * 13 + "┊", "5", "s"]
    assert store.split()[:2] == ["✓", "store"]
    assert head.index("5s") == store.index("━")


def test_each_attempt_and_each_pause_has_its_stretch(told: Told) -> None:
    error = {"type": "OSError", "message": "502"}
    told("step.started", 0, "load", 1, kind="run")
    told("step.retrying", 3, "load", 1, error=error, retry_at=at(6).isoformat())
    told("step.started", 6, "load", 2, kind="run")
    told("step.completed", 9, "load", 2)
    told("run.completed", 9, duration=9.0)
    (row,) = told.rows()
    assert [piece.letter for piece in row.pieces] == ["r", "b", "r"]
    assert [piece.is_failed for piece in row.pieces] == [True, False, False]
    bar = told.text(80)[1]
    assert bar.index("✗") < bar.index("┈") < bar.rindex("━")


def test_opened_a_retried_step_shows_its_attempts(told: Told) -> None:
    told("step.started", 0, "load", 1, kind="run")
    told("step.retrying", 3, "load", 1, error={"type": "E"}, retry_at=None)
    told("step.started", 6, "load", 2, kind="run")
    rows = told.rows(opened=True)
    assert [row.name for row in rows] == ["load", "try 1", "try 2"]
    assert [row.status for row in rows[1:]] == ["failed", "running"]


def test_a_backoff_counts_down(told: Told) -> None:
    told("step.started", 0, "load", 1, kind="run")
    due = at(14).isoformat()
    told("step.retrying", 3, "load", 1, error={"type": "E"}, retry_at=due)
    assert "try 2 in 4 s" in told.text(100, now=10)[1]
    assert "try 2 now" in told.text(100, now=15)[1]


def test_a_sleep_says_when_it_ends(told: Told) -> None:
    told("step.sleeping", 1, "rest", until=at(40).isoformat())
    (row,) = told.rows()
    assert row.due == ("wakes", at(40))
    assert "wakes in 30 s" in told.text(100)[1]


def test_a_question_comes_before_its_limit(told: Told) -> None:
    until = at(40).isoformat()
    told("step.waiting", 1, "ok", kind="ask", question="Ship it?", until=until)
    line = told.text(110)[1]
    assert line.index("asks: Ship it?") < line.index("ends in 30 s")


def test_time_in_a_queue_is_drawn_before_the_bar(told: Told) -> None:
    told("step.queued", 0, "call", kind="run", flow_key="api", place=2)
    (row,) = told.rows()
    assert plain(row.note) == "queued: api, place 3"
    told("step.started", 5, "call", 1, kind="run")
    told("step.completed", 10, "call", 1, duration=5.0)
    told("run.completed", 10, duration=10.0)
    bar = told.text(80)[1]
    assert bar.index("·") < bar.index("━")


def test_many_items_are_one_row_with_counts(told: Told) -> None:
    for item in range(6):
        ran(told, f"work[{item}]", item, item + 1)
    told("step.started", 6, "work[6]", 1, kind="run")
    (row,) = told.rows()
    assert row.name == "work"
    assert row.is_open is False
    assert plain(row.note) == "6/7, 1 running"
    assert len(told.rows(opened=True)) == 8


def test_a_child_run_is_named_and_can_be_opened(told: Told) -> None:
    told("step.invoking", 1, "sub", child_run_id="r-2", workflow="part")
    (row,) = told.rows()
    assert (row.child, row.is_open, plain(row.note)) == ("r-2", False, "part")
    child = Told("r-2")
    ran(child, "inner", 2, 3)
    tree, below = Tree(told.board), Tree(child.board)
    tree.place(told.board.steps.values())
    below.place(child.board.steps.values())
    rows = list(tracks(tree, lambda key, node: True, {"r-2": below}))
    assert [(each.name, each.depth, each.run_id) for each in rows] == [
        ("sub", 0, "r-1"),
        ("inner", 1, "r-2"),
    ]


def test_a_day_of_sleep_is_folded_by_itself_and_drawn_whole_on_wish(told: Told) -> None:
    ran(told, "before", 0, 2)
    told("step.sleeping", 2, "night", until=at(36_000).isoformat())
    told("step.completed", 36_000, "night")
    ran(told, "after", 36_000, 36_002)
    told("run.completed", 36_002, duration=36_002.0)
    rows, life = told.rows(), Life.of(told.board)
    folded = scale_of(rows, life, 60, at(36_002))
    assert len(folded.folded()) == 1
    assert folded.at(at(2)) > 10
    whole = scale_of(rows, life, 60, at(36_002), is_compact=False)
    assert whole.folded() == []
    assert whole.at(at(2)) < 1


def test_a_run_that_goes_on_leaves_room_to_the_right(told: Told) -> None:
    told("step.started", 0, "work", 1, kind="run")
    _, end = extent(told.rows(), Life.of(told.board), at(60))
    assert end > at(60)


def test_failed_steps_stand_out_without_colour(told: Told) -> None:
    told("step.started", 0, "load", 1, kind="run")
    told("step.failed", 3, "load", 1, error={"type": "OSError", "message": "gone"})
    told("run.failed", 4, error={"type": "OSError", "message": "gone"})
    unicode, ascii = told.text(110)[1], told.text(110, look=ASCII)[1]
    assert unicode.count("✗") == 2  # the row's sign, the bar's end
    assert "OSError: gone" in unicode
    assert ascii.isascii()
    assert ascii.split()[:2] == ["x", "load"]


def test_narrow_screens_have_words_instead_of_bars(told: Told) -> None:
    told("step.sleeping", 1, "rest", until=at(40).isoformat())
    (line,) = told.text(44)
    assert "╌" not in line
    assert "wakes" in line


PIECES = st.lists(
    st.builds(
        lambda letter, start, size, is_open: Piece(
            letter, at(start), None if is_open else at(start + size)
        ),
        st.sampled_from("qrbswih"),
        st.floats(-10, 1000),
        st.floats(0, 1000),
        st.booleans(),
    ),
    max_size=8,
)


@given(PIECES, st.integers(1, 200), st.sampled_from([UNICODE, ASCII]))
def test_a_bar_has_as_many_cells_as_its_scale(
    pieces: list[Piece], width: int, look: Look
) -> None:
    scale = Scale(START, at(1000), width)
    drawn = bar_cells(pieces, scale, look, at(500))
    assert len(drawn) == width
    assert all(cells(char) == 1 for char, _ in drawn)
    assert look.unicode or "".join(char for char, _ in drawn).isascii()


@given(
    st.text(max_size=60),
    st.text(max_size=60),
    st.integers(0, 300),
    st.integers(0, 12),
    PIECES,
)
def test_no_name_and_no_text_breaks_a_line(
    name: str, said: str, width: int, depth: int, pieces: list[Piece]
) -> None:
    told = Told()
    told("step.waiting", 1, name or "x", kind="ask", question=said, until=None)
    row = told.rows()[-1]._replace(depth=depth, pieces=tuple(pieces))
    scale = Scale(START, at(1000), Columns.of(width).bar)
    drawn = track_line(row, scale, UNICODE, at(500), width)
    assert width_of(drawn) <= max(width, 0)
    text = plain(drawn)
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in text)


@pytest.mark.parametrize("status", list(StepStatus))
def test_every_status_is_drawn(told: Told, status: StepStatus) -> None:
    kind = {
        "running": "step.started",
        "timed_out": "step.timed_out",
    }.get(status, f"step.{status}")
    told("step.started", 0, "x", 1, kind="run")
    told(kind, 1, "x", 1)
    assert told.rows()[0].status is status
    assert told.text(100)[1].strip()


# Zoom


def test_zooming_in_halves_the_time_about_a_moment_and_out_gives_all_of_it() -> None:
    start, end = at(0), at(100)
    zoom = zoomed(None, start, end, 0.5, at(30))
    assert zoom is not None
    assert zoom.within(start, end) == (at(5), at(55))
    closer = zoomed(zoom, start, end, 0.5)
    assert closer is not None
    assert closer.within(start, end) == (at(17.5), at(42.5))
    assert zoomed(zoom, start, end, 2) is None


def test_a_zoom_stays_on_the_axis() -> None:
    start, end = at(0), at(100)
    for about, expected in ((at(-50), (at(0), at(50))), (at(500), (at(50), at(100)))):
        zoom = zoomed(None, start, end, 0.5, about)
        assert zoom is not None
        assert zoom.within(start, end) == expected


def test_a_zoom_at_the_right_edge_goes_with_what_goes_on() -> None:
    zoom = Zoom(10)
    assert zoom.within(at(0), at(100)) == (at(90), at(100))
    assert zoom.within(at(0), at(200)) == (at(190), at(200))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 4, "‹         "),
        (96, 99, "         ›"),
        (40, 100, "━━━━━━━━━━"),
        (45, 100, " ━━━━━━━━━"),
    ],
)
def test_what_lies_beyond_the_edges_of_a_zoom_is_not_drawn(
    start: float, end: float, expected: str
) -> None:
    scale = Scale(at(42), at(67), 10, origin=at(0))
    piece = Piece("r", at(start), at(end), "bad", is_failed=True)
    drawn = "".join(char for char, _ in bar_cells([piece], scale, UNICODE, at(99)))
    assert drawn == expected

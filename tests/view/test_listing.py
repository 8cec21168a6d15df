"""A run as one line of a list."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow.model import ErrorInfo, Run, RunStatus
from nbflow.view import Look, plain, width_of
from nbflow.view.board import Board
from nbflow.view.documents import json_lines, wrapped
from nbflow.view.listing import Doing, Entry, counts_line, doing, list_line
from nbflow.view.text import Line, Span, line

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
UNICODE, ASCII = Look(unicode=True), Look(unicode=False)


def ago(seconds: float) -> dt.datetime:
    return NOW - dt.timedelta(seconds=seconds)


def run(**more: Any) -> Run:
    given = {
        "run_id": "r-1",
        "app": "shop",
        "workflow": "nightly",
        "status": RunStatus.RUNNING,
        "queued_at": ago(63),
        "started_at": ago(62),
    }
    return Run(**(given | more))


def text(entry: Entry, width: int = 60, look: Look = UNICODE, **more: Any) -> str:
    return plain(list_line(entry, look, NOW, width, **more)).rstrip()


def test_a_live_run_tells_what_it_does_and_since_when() -> None:
    entry = Entry(("shop", "r-1"), run(), Doing("running", (Span("fetch"),)))
    assert text(entry).split() == ["▸", "nightly", "fetch", "1", "min", "02", "s"]


def test_a_sleeping_run_tells_until_when() -> None:
    due = ("wakes", NOW + dt.timedelta(seconds=9))
    entry = Entry(("shop", "r-1"), run(), Doing("sleeping", (Span("night"),), due))
    assert "◷ nightly" in text(entry)
    assert "wakes in 9 s · night" in text(entry)


def test_a_run_that_nobody_executes_says_so() -> None:
    entry = Entry(("shop", "r-1"), run(), Doing("running"), is_left=True)
    assert "no engine" in text(entry)


def test_a_failed_run_tells_its_error() -> None:
    failed = run(
        status=RunStatus.FAILED,
        ended_at=NOW,
        error=ErrorInfo("ValueError", "no such day\nmore"),
    )
    shown = text(Entry(("shop", "r-1"), failed), 100)
    assert "✗ nightly" in shown
    assert "ValueError: no such day" in shown
    assert "more" not in shown


def test_a_run_that_is_to_begin_later_says_when() -> None:
    later = run(
        status=RunStatus.QUEUED,
        started_at=None,
        not_before=NOW + dt.timedelta(seconds=30),
    )
    assert doing(later, None).due == ("starts", later.not_before)
    assert "starts in 30 s" in text(Entry(("shop", "r-1"), later, doing(later, None)))


def test_a_queued_run_says_why_it_has_not_begun() -> None:
    queued = run(status=RunStatus.QUEUED, started_at=None)
    told = doing(queued, Board(queued), "api, place 2")
    assert "api, place 2" in text(Entry(("shop", "r-1"), queued, told))
    assert doing(queued, Board(queued)).text[0].text == "queued"


def test_what_was_asked_of_it_is_said_in_place_of_its_state() -> None:
    entry = Entry(("shop", "r-1"), run(), Doing("running"), note="canceling…")
    assert "canceling…" in text(entry)


def test_the_app_is_named_where_there_are_several() -> None:
    entry = Entry(("shop", "r-1"), run(), Doing("running"))
    assert "shop" not in text(entry)
    assert "shop" in text(entry, is_mixed=True)


def test_marks_folds_and_depth_stand_before_the_name() -> None:
    entry = Entry(("shop", "r-1"), run(), Doing("running"), 1, False, 3)
    assert text(entry).startswith("  ▹ ▸ nightly")
    assert text(entry._replace(is_open=True)).startswith("  ▿ ▸ nightly")
    assert text(entry, is_marked=True).startswith("  ● ▸ nightly")
    assert text(entry, look=ASCII).startswith("  + > nightly")


def test_counts_are_signs_numbers_and_on_wish_words() -> None:
    counts = {"completed": 99871, "failed": 2, "running": 3}
    assert plain(counts_line(counts, UNICODE)) == "▸ 3  ✗ 2  ✓ 99,871"
    told = plain(counts_line(counts, UNICODE, is_told=True))
    assert told == "▸ 3 running   ✗ 2 failed   ✓ 99,871 completed"


@pytest.mark.parametrize("width", [0, 1, 5, 20, 44, 72, 96, 300])
def test_every_width_is_kept(width: int) -> None:
    entry = Entry(("shop", "r-1"), run(label="release 7"), Doing("running"))
    assert width_of(list_line(entry, UNICODE, NOW, width, is_mixed=True)) <= width


@given(st.text(max_size=40), st.text(max_size=80), st.integers(0, 160))
def test_no_name_and_no_error_breaks_a_line(name: str, said: str, width: int) -> None:
    failed = run(
        workflow=name,
        label=said or None,
        status=RunStatus.FAILED,
        ended_at=NOW,
        error=ErrorInfo(name or "E", said),
    )
    drawn = list_line(Entry(("shop", "r-1"), failed), UNICODE, NOW, width)
    assert width_of(drawn) <= width
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in plain(drawn))


@given(st.lists(st.text(max_size=60), max_size=5), st.integers(1, 40))
def test_wrapping_loses_nothing(texts: list[str], width: int) -> None:
    lines: list[Line] = [line(each) for each in texts]
    shown = list(wrapped(lines, max(width, 2)))
    assert "".join(map(plain, shown)) == "".join(map(plain, lines))


def test_keys_and_texts_of_json_are_told_apart() -> None:
    (_, entry, _) = json_lines('{\n  "a": "b"\n}')
    assert [(span.text, span.role) for span in entry] == [
        ("  ", ""),
        ('"a"', "busy"),
        (": ", ""),
        ('"b"', "good"),
    ]

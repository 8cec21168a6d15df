"""Signs, words and times."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow.model import RunStatus, StepStatus
from nbflow.view import (
    MARKS,
    ROLES,
    Look,
    ago,
    badge,
    bar,
    cells,
    line,
    mark,
    number,
    paint,
    passed,
    plural,
    until,
    width_of,
)

NOW = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
ASCII = Look(unicode=False)


@pytest.mark.parametrize("status", [*RunStatus, *StepStatus])
def test_every_status_has_a_narrow_sign_a_word_and_a_role(
    status: RunStatus | StepStatus,
) -> None:
    found = mark(status)
    assert cells(found.sign) == 1
    assert found.ascii.isascii()
    assert len(found.ascii) == 1
    assert found.word
    assert found.role in ROLES


@pytest.mark.parametrize("look", [Look(), ASCII], ids=["unicode", "ascii"])
def test_different_work_has_different_signs(look: Look) -> None:
    signs = [look.sign(m) for name, m in MARKS.items() if name != "timed_out"]
    signs += [look.fold(is_open=True), look.fold(is_open=False)]
    assert len(set(signs)) == len(signs)


def test_a_terminal_without_unicode_gets_ascii_only() -> None:
    text = paint(line(badge("running", ASCII), " ", *bar(1, 3, 9, ASCII)), ASCII)
    assert text == "> ###------"


def test_no_colour_means_no_escape_sequence() -> None:
    assert "\x1b" not in paint(line(badge("failed", Look())), Look(color=False))
    assert paint(line(badge("failed", Look())), Look(color=True)).startswith(
        "\x1b[1;31m"
    )


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.integers(0, 50), st.booleans())
def test_a_bar_has_exactly_its_width(
    done: float, total: float, width: int, unicode: bool
) -> None:
    drawn = bar(done, total, width, Look(unicode))
    assert width_of(drawn) == width


def test_a_bar_is_full_only_at_the_end() -> None:
    assert paint(bar(999, 1000, 10, Look()), Look()) == "━" * 9 + "╸"
    assert paint(bar(1000, 1000, 10, Look()), Look()) == "━" * 10


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "now"),
        (5, "5 s ago"),
        (61, "1 min ago"),
        (2 * 3600 + 5, "2 h ago"),
        (3 * 86400, "3 d ago"),
    ],
)
def test_ago_uses_one_unit(seconds: float, text: str) -> None:
    assert ago(NOW - dt.timedelta(seconds=seconds), NOW) == text


def test_long_ago_is_a_date() -> None:
    assert ago(NOW - dt.timedelta(days=30), NOW) == "Apr 4"
    assert ago(NOW - dt.timedelta(days=300), NOW).endswith(", 2025")


def test_until_counts_down_in_whole_seconds() -> None:
    assert until(NOW + dt.timedelta(seconds=3.2), NOW) == "in 4 s"
    assert until(NOW - dt.timedelta(seconds=1), NOW) == "now"
    assert "(in 3 min 05 s)" in until(NOW + dt.timedelta(seconds=185), NOW)


def test_passed_is_calm_to_watch() -> None:
    assert passed(NOW - dt.timedelta(seconds=0.61), NOW) == "0.6 s"
    assert passed(NOW - dt.timedelta(seconds=185), NOW) == "3 min 05 s"
    assert passed(NOW + dt.timedelta(seconds=5), NOW) == "0.0 s"


def test_numbers_are_grouped() -> None:
    assert number(3990) == "3,990"
    assert number(3990.0) == "3,990"
    assert number(0.25) == "0.25"
    assert number(1e300) == "1e+300"
    assert plural(1, "step") == "1 step"
    assert plural(3990, "step") == "3,990 steps"

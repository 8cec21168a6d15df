"""Time on cells: where moments lie, what is folded, what the ruler says."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow.view import Look, plain
from nbflow.view.axis import FOLDED, Scale, Stretch, horizon, idle, ruler

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
UNICODE, ASCII = Look(unicode=True), Look(unicode=False)


def at(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


def test_moments_lie_in_proportion() -> None:
    scale = Scale(START, at(10), 40)
    assert [scale.at(at(each)) for each in (0, 2.5, 5, 10)] == [0, 10, 20, 40]


def test_what_lies_outside_is_at_the_edges() -> None:
    scale = Scale(START, at(10), 40)
    assert scale.at(at(-5)) == 0
    assert scale.at(at(99)) == 40


def test_a_folded_stretch_takes_a_few_cells_and_others_share_the_rest() -> None:
    scale = Scale(START, at(3610), 43, [Stretch(at(5), at(3605))])
    assert scale.at(at(5)) == 20
    assert scale.at(at(3605)) == 20 + FOLDED
    assert scale.at(at(3610)) == 43
    assert scale.folded() == [(20, 23, 3600.0)]


def test_the_ruler_tells_the_time_since_the_start() -> None:
    text = plain(ruler(Scale(START, at(20), 60), UNICODE))
    assert text.split() == ["0", "5s", "10s", "15s"]
    assert text.index("10s") == 30


def test_the_ruler_shows_where_time_is_folded() -> None:
    folds = [Stretch(at(5), at(3605))]
    assert "⋯⋯⋯" in plain(ruler(Scale(START, at(3610), 60, folds), UNICODE))
    assert "~~~" in plain(ruler(Scale(START, at(3610), 60, folds), ASCII))


def test_long_stretches_without_work_are_idle() -> None:
    busy = [Stretch(at(0), at(2)), Stretch(at(1), at(3)), Stretch(at(103), at(105))]
    (found,) = idle(busy, START, at(105))
    assert at(3) < found.start < at(6)
    assert at(100) < found.end < at(103)


def test_short_pauses_are_not_idle() -> None:
    busy = [Stretch(at(0), at(2)), Stretch(at(4), at(10))]
    assert idle(busy, START, at(10)) == []


def test_the_horizon_of_a_live_run_stays_for_a_while() -> None:
    ends = {horizon(START, at(each)) for each in range(60, 70)}
    assert len(ends) <= 2
    assert min(ends) > at(60)


@given(
    st.integers(-2, 300),
    st.floats(0, 1e8),
    st.lists(st.tuples(st.floats(0, 1e8), st.floats(0, 1e8)), max_size=6),
    st.floats(-1e8, 2e8),
)
def test_every_moment_has_a_cell_and_every_ruler_fits(
    width: int, seconds: float, pairs: list[tuple[float, float]], moment: float
) -> None:
    folds = sorted(Stretch(at(min(p)), at(max(p))) for p in pairs)
    scale = Scale(START, at(seconds), width, folds)
    assert 0 <= scale.at(at(moment)) <= scale.width
    assert scale.at(at(moment)) <= scale.at(at(moment + 1)) + 1e-6
    assert len(plain(ruler(scale, UNICODE))) <= scale.width


@pytest.mark.parametrize(
    ("first", "seconds", "expected"),
    [
        (60, 4, ["1m", "1m01", "1m02", "1m03", "1m04"]),
        (62, 0.8, ["1m02.0", "1m02.2", "1m02.4", "1m02.6", "1m02.8"]),
        (3600, 40, ["1h", "1h00m10", "1h00m20", "1h00m30", "1h00m40"]),
        (86400, 14400, ["1d", "1d01", "1d02", "1d03", "1d04"]),
        (86400, 2400, ["1d", "1d00h10", "1d00h20", "1d00h30", "1d00h40"]),
    ],
)
def test_a_zoomed_ruler_still_counts_from_the_start_of_the_run(
    first: float, seconds: float, expected: list[str]
) -> None:
    left = at(first)
    scale = Scale(left, at(first + seconds), 60, origin=START)
    assert [label for _, label in scale.ticks()][: len(expected)] in (
        expected,
        expected[:-1],
    )

"""How often views send: ten times a second in sight, never more than 100 in all."""

import pytest

from nbflow.widgets.run.pace import Pace


def test_before_hello_nothing_is_due() -> None:
    assert Pace().due(1, 0) == float("inf")
    assert Pace(is_there=True).due(1, 0) < 0


def test_views_in_sight_send_ten_times_a_second_others_twice() -> None:
    assert Pace(is_there=True, sent=5.0).due(1, 0) == pytest.approx(5.1)
    assert Pace(is_there=True, is_visible=False, sent=5.0).due(0, 1) == 5.5


@pytest.mark.parametrize("visible", [0, 1, 5, 10, 30, 200])
@pytest.mark.parametrize("hidden", [0, 1, 10, 50, 300])
def test_all_views_together_stay_in_the_budget(visible: int, hidden: int) -> None:
    fast = visible / Pace().interval(visible, hidden)
    slow = hidden / Pace(is_visible=False).interval(visible, hidden)
    assert fast + slow <= 100.001


def test_a_browser_that_lags_gets_less_and_recovers() -> None:
    pace = Pace(is_there=True)
    for now in range(10):
        pace.lag(now)
    assert pace.interval(1, 0) == 2.0
    for now in range(10, 100, 5):
        pace.note_sent(now)
    assert pace.interval(1, 0) == 0.1

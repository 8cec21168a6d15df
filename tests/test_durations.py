"""What may be written as a duration, and how one is shown."""

import datetime as dt
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow import durations
from nbflow.errors import InvalidDuration

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30.0),
        ("1h30m", 5_400.0),
        ("1.5h", 5_400.0),
        ("2d", 172_800.0),
        ("1w", 604_800.0),
        ("0s", 0.0),
        (0, 0.0),
        (3, 3.0),
        (2.5, 2.5),
        (Fraction(1, 4), 0.25),
        (dt.timedelta(minutes=1, milliseconds=5), 60.005),
        (durations.LONGEST, durations.LONGEST),
    ],
)
def test_reads_what_users_write(value: object, seconds: float) -> None:
    parsed = durations.parse(value)
    assert parsed == pytest.approx(seconds)
    assert type(parsed) is float


@pytest.mark.parametrize(
    "value",
    [
        *["", "30", "1x", " 1s", "1s ", "-1s", "1 h", "1.s", ".5s", "1S", "٣s", "1s\n"],
        *[True, False, None, b"1s", [1], object(), 1j, dt.datetime.now(dt.UTC)],
    ],
    ids=lambda value: (
        f"{value!r:.9}" if isinstance(value, str) else type(value).__name__
    ),
)
def test_refuses_what_is_no_duration(value: object) -> None:
    with pytest.raises(InvalidDuration, match=r"^delay=.* is no duration: give a"):
        durations.parse(value, what="delay")


@pytest.mark.parametrize(
    "value",
    [
        *[-1, -0.001, math.nan, math.inf, -math.inf, 10**400, 10**5_000, "101w" * 99],
        durations.LONGEST + 1,
        dt.timedelta(seconds=-1),
        dt.timedelta.max,
        "9" * 900 + "w",
    ],
    ids=lambda value: str(type(value).__name__),
)
def test_refuses_what_is_out_of_range(value: object) -> None:
    with pytest.raises(InvalidDuration, match=r"^timeout=.* is out of range: a dur"):
        durations.parse(value)


def test_message_names_thing_value_rule_and_next_action() -> None:
    with pytest.raises(InvalidDuration) as caught:
        durations.parse("5 minutes", what="retry_delay")
    assert str(caught.value) == (
        "retry_delay='5 minutes' is no duration: give a timedelta, a number of "
        'seconds, or text such as "250ms", "30s", "1h30m", "2d" or "1w"'
    )


def test_message_of_a_wild_value_is_short_and_safe() -> None:
    for value in ("\x1b[2J" * 1_000, object(), 10**10_000):
        with pytest.raises(InvalidDuration) as caught:
            durations.parse(value)
        assert len(str(caught.value)) < 300
        assert str(caught.value).isprintable()


parts = st.tuples(st.integers(0, 999), st.sampled_from(sorted(UNITS)))


@given(st.lists(parts, min_size=1, max_size=4))
def test_text_is_the_sum_of_its_parts(given_parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{count}{unit}" for count, unit in given_parts)
    total = sum(count * UNITS[unit] for count, unit in given_parts)
    assert durations.parse(text) == pytest.approx(total)


@given(st.floats(0, durations.LONGEST))
def test_seconds_stay_what_they_are(seconds: float) -> None:
    assert durations.parse(seconds) == seconds


@given(
    st.none()
    | st.booleans()
    | st.text()
    | st.integers()
    | st.floats()
    | st.timedeltas()
    | st.binary()
)
def test_anything_is_either_seconds_in_range_or_refused(value: object) -> None:
    try:
        seconds = durations.parse(value)
    except InvalidDuration:
        return
    assert 0 <= seconds <= durations.LONGEST


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0004, "0.4 ms"),
        (0.25, "250 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (1.23, "1.2 s"),
        (30, "30 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3_599.9, "59 min 59 s"),
        (3_600, "1 h 00 min"),
        (86_399, "23 h 59 min"),
        (86_400, "1 d 00 h"),
        (1_000_000, "11 d 13 h"),
        (-3, "-3 s"),
        (math.nan, "?"),
        (math.inf, "?"),
    ],
)
def test_shows_durations_as_people_read_them(seconds: float, text: str) -> None:
    assert durations.show(seconds) == text


@given(st.floats(0, durations.LONGEST))
def test_shown_duration_is_short_and_near(seconds: float) -> None:
    text = durations.show(seconds)
    assert len(text) <= 12
    assert "60" not in text.split()[2:3]
    words = text.split()
    scale = {"ms": 0.001, "s": 1, "min": 60, "h": 3_600, "d": 86_400}
    value = sum(
        float(number) * scale[unit]
        for number, unit in zip(words[::2], words[1::2], strict=True)
    )
    assert abs(value - seconds) <= max(0.051, scale[words[-1]])

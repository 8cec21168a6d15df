"""Back-off, limits and options: what they accept, how they merge and are stored."""

import datetime as dt
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow import policy
from nbflow.errors import InvalidDuration, InvalidOption
from nbflow.policy import (
    UNSET,
    Backoff,
    FlowControl,
    RunOptions,
    StepOptions,
    delay_for,
)


def slower(retried: int) -> float:
    return 2.0 * retried


def key_of(value: Any) -> str:
    return f"user-{value['user']}"


def rng() -> random.Random:
    return random.Random(1)


class TestBackoff:
    def test_grows_by_its_factor_up_to_its_longest(self) -> None:
        backoff = Backoff("1s", 2, "10s", jitter=0)
        delays = [delay_for(backoff, n, rng()) for n in range(6)]
        assert delays == [1, 2, 4, 8, 10, 10]

    def test_default_starts_with_a_second(self) -> None:
        assert 0.8 <= delay_for(None, 0, rng()) <= 1.2
        assert 0.8 <= delay_for(UNSET, 0, rng()) <= 1.2
        assert 240 <= delay_for(None, 50, rng()) <= 360

    @given(
        first=st.floats(0, 1e9),
        factor=st.floats(1, 1_000),
        longest=st.floats(0, 1e9),
        jitter=st.floats(0, 1),
        retried=st.integers(0, 10**6),
        seed=st.integers(),
    )
    def test_stays_within_its_jitter_and_a_day(
        self,
        first: float,
        factor: float,
        longest: float,
        jitter: float,
        retried: int,
        seed: int,
    ) -> None:
        backoff = Backoff(first, factor, longest, jitter)
        delay = delay_for(backoff, retried, random.Random(seed))
        assert 0 <= delay <= 86_400
        assert delay <= longest * (1 + jitter) * 1.000001
        base = Backoff(first, factor, longest, 0)
        least = delay_for(base, retried, rng()) * (1 - jitter)
        assert delay >= min(least, 86_400) * 0.999999

    @given(st.integers(0, 400), st.floats(1, 10))
    def test_without_jitter_it_never_shrinks(self, retried: int, factor: float) -> None:
        backoff = Backoff("10ms", factor, "1h", 0)
        now, later = (delay_for(backoff, n, rng()) for n in (retried, retried + 1))
        assert now <= later

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"factor": 0.5}, r"^factor=0.5 is not allowed: give a number between 1"),
            ({"factor": True}, "^factor=True"),
            ({"factor": float("nan")}, "^factor=nan"),
            ({"factor": "2"}, "^factor='2'"),
            ({"jitter": -0.1}, "^jitter=-0.1 .* between 0 and 1"),
            ({"jitter": 1.1}, "^jitter=1.1"),
        ],
    )
    def test_refuses_wrong_numbers(self, fields: dict[str, Any], message: str) -> None:
        with pytest.raises(InvalidOption, match=message) as caught:
            Backoff(**fields)
        assert caught.value.option in fields

    @pytest.mark.parametrize("field", ["first", "max"])
    def test_refuses_wrong_durations(self, field: str) -> None:
        with pytest.raises(InvalidDuration, match=f"^{field}='soon' is no duration"):
            Backoff(**{field: "soon"})  # type: ignore[arg-type]


class TestDelay:
    @pytest.mark.parametrize(
        ("given_policy", "delays"),
        [
            ("30s", [30, 30, 30]),
            (2.5, [2.5, 2.5, 2.5]),
            (dt.timedelta(minutes=1), [60, 60, 60]),
            (["1s", "5s"], [1, 5, 5]),
            (("1s", 0), [1, 0, 0]),
            (slower, [0, 2, 4]),
            (lambda n: "2d", [86_400] * 3),
            ("7d", [86_400] * 3),
        ],
    )
    def test_is_what_the_policy_says_clamped_to_a_day(
        self, given_policy: Any, delays: list[float]
    ) -> None:
        assert [delay_for(given_policy, n, rng()) for n in range(3)] == delays

    @pytest.mark.parametrize("wrong", [-1, "soon", None, float("nan")])
    def test_refuses_what_a_callable_makes_of_it(self, wrong: Any) -> None:
        with pytest.raises(InvalidDuration, match=r"^retry_delay="):
            delay_for(lambda retried: wrong, 0, rng())


class TestFlowControl:
    def test_takes_limits(self) -> None:
        limits = FlowControl("api", rate=60, period="1m", parallelism=2, over="skip")
        assert (limits.key, limits.rate, limits.parallelism) == ("api", 60, 2)
        assert FlowControl("cafe\u0301").key == "caf\u00e9"

    @pytest.mark.parametrize(
        ("fields", "option"),
        [
            ({"key": ""}, "key"),
            ({"key": "a\nb"}, "key"),
            ({"key": None}, "key"),
            ({"rate": 0}, "rate"),
            ({"rate": True}, "rate"),
            ({"rate": 1.5}, "rate"),
            ({"parallelism": 0}, "parallelism"),
            ({"parallelism": "2"}, "parallelism"),
            ({"period": 0}, "period"),
            ({"over": "drop"}, "over"),
        ],
    )
    def test_refuses_wrong_ones_by_name(
        self, fields: dict[str, Any], option: str
    ) -> None:
        with pytest.raises(InvalidOption) as caught:
            FlowControl(**{"key": "api"} | fields)
        assert caught.value.option == option
        assert caught.value.value == fields[option]

    def test_period_is_a_duration(self) -> None:
        with pytest.raises(InvalidDuration, match=r"^period='often'"):
            FlowControl("api", period="often")

    def test_key_may_depend_on_the_input(self) -> None:
        limits = FlowControl(key_of, rate=3).for_input({"user": 7})
        assert limits == FlowControl("user-7", rate=3)
        assert limits.for_input({"user": 8}) is limits

    def test_callable_must_give_a_key(self) -> None:
        with pytest.raises(InvalidOption, match=r"^flow-control key <int> is no text"):
            FlowControl(lambda value: 3).for_input({})  # type: ignore[arg-type,return-value]


class TestOptions:
    def test_are_unset_until_given(self) -> None:
        assert RunOptions().given() == {}
        assert StepOptions(retries=0, timeout=None).given() == {
            "retries": 0,
            "timeout": None,
        }
        assert not UNSET
        assert repr(UNSET) == "UNSET"

    def test_merged_lets_what_is_given_win(self) -> None:
        base = StepOptions(retries=3, timeout="1m", cache=True)
        over = StepOptions(retries=0, timeout=None)
        assert base.merged(over) == StepOptions(retries=0, timeout=None, cache=True)
        assert base.merged(StepOptions()) is base

    def test_retry_on_is_made_a_tuple(self) -> None:
        assert StepOptions(retry_on=OSError).retry_on == (OSError,)
        assert StepOptions(retry_on=(OSError, KeyError)).given()["retry_on"] == (
            OSError,
            KeyError,
        )

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("retries", -1),
            ("retries", True),
            ("retries", 1.0),
            ("retries", None),
            ("retries", "3"),
            ("retry_delay", []),
            ("retry_on", "OSError"),
            ("retry_on", (OSError, 3)),
            ("flow_control", "api"),
            ("process", 1),
            ("at_most_once", None),
        ],
    )
    def test_wrong_ones_are_refused_by_name(self, option: str, value: object) -> None:
        with pytest.raises(
            InvalidOption, match=f"^{option}=.* is not allowed: give"
        ) as e:
            StepOptions(**{option: value})  # type: ignore[arg-type]
        assert (e.value.option, e.value.value) == (option, value)

    @pytest.mark.parametrize("option", ["timeout", "cache", "retry_delay"])
    def test_wrong_durations_are_refused_by_name(self, option: str) -> None:
        with pytest.raises(InvalidDuration, match=f"^{option}='soon'"):
            StepOptions(**{option: "soon"})  # type: ignore[arg-type]

    def test_wrong_duration_in_a_list_is_refused(self) -> None:
        with pytest.raises(InvalidDuration, match=r"^retry_delay=-1"):
            RunOptions(retry_delay=["1s", -1])


options = st.fixed_dictionaries(
    {},
    optional={
        "retries": st.integers(0, 100),
        "retry_delay": st.none()
        | st.floats(0, 1e6)
        | st.lists(st.floats(0, 1e6), min_size=1, max_size=4)
        | st.builds(Backoff, st.floats(0, 9), st.floats(1, 9), st.floats(0, 9)),
        "timeout": st.none() | st.floats(0, 1e6),
        "flow_control": st.none()
        | st.builds(
            FlowControl,
            st.text("abc", min_size=1),
            rate=st.none() | st.integers(1, 9),
            period=st.floats(0.001, 1e6),
            parallelism=st.none() | st.integers(1, 9),
            over=st.sampled_from(["wait", "skip"]),
        ),
    },
)


class TestStored:
    def test_nothing_given_is_nothing_stored(self) -> None:
        assert RunOptions().to_stored() is None
        assert RunOptions.from_stored(None) == RunOptions()

    @pytest.mark.parametrize("kind", [RunOptions, StepOptions])
    @given(given_options=options)
    def test_comes_back_equal(self, kind: Any, given_options: dict[str, Any]) -> None:
        before = kind(**given_options)
        assert kind.from_stored(before.to_stored()) == before

    @given(first=options, second=options)
    def test_merging_before_or_after_is_the_same(
        self, first: dict[str, Any], second: dict[str, Any]
    ) -> None:
        one, two = RunOptions(**first), RunOptions(**second)
        stored = [RunOptions.from_stored(o.to_stored()) for o in (one, two)]
        assert stored[0].merged(stored[1]) == one.merged(two)

    def test_durations_are_stored_as_seconds(self) -> None:
        given_options = StepOptions(
            timeout="1m", cache=dt.timedelta(hours=1), retry_delay=["1s", 2]
        )
        assert json.loads(given_options.to_stored() or b"") == {
            "timeout": 60.0,
            "cache": 3_600.0,
            "retry_delay": [1.0, 2.0],
        }

    def test_flags_stay_flags(self) -> None:
        before = StepOptions(cache=True, process=False, at_most_once=True)
        assert StepOptions.from_stored(before.to_stored()) == before

    def test_code_is_left_out(self) -> None:
        assert StepOptions(retry_on=OSError).to_stored() is None
        delays: list[Any] = [slower, lambda n: 1.0, list.append]
        for delay in delays:
            before = RunOptions(retry_delay=delay, retries=1)
            assert RunOptions.from_stored(before.to_stored()) == RunOptions(retries=1)

    def test_callable_does_not_go_to_another_app(self) -> None:
        with pytest.raises(InvalidOption, match=r"^retry_delay=.*give a dur") as caught:
            RunOptions(retry_delay=slower).to_stored(across_apps=True)
        assert caught.value.option == "retry_delay"

    def test_key_must_be_text_by_then(self) -> None:
        limits = FlowControl(key_of)
        with pytest.raises(InvalidOption, match=r"^key=<function> .*`for_input`"):
            RunOptions(flow_control=limits).to_stored()
        resolved = RunOptions(flow_control=limits.for_input({"user": 7}))
        assert b"user-7" in (resolved.to_stored() or b"")

    def test_option_of_a_later_version_is_left_out(self) -> None:
        stored = b'{"retries": 2, "priority": 1}'
        assert RunOptions.from_stored(stored) == RunOptions(retries=2)


def test_default_retries_are_those_of_the_contract() -> None:
    assert policy.DEFAULT_RETRIES == 3
    assert policy.LONGEST_DELAY == 86_400
    assert (Backoff().first, Backoff().factor) == ("1s", 2)
    assert (Backoff().max, Backoff().jitter) == ("5m", 0.2)

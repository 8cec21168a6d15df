import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus

import httpx
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow import errors
from nbflow._engine.retry import Failure, GiveUp, Retry, RetryRules, decide, warning
from nbflow.policy import Backoff

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MICROS = int(NOW.timestamp()) * 1_000_000
DEFAULT = RetryRules()
EXPLICIT = RetryRules(explicit=True)
DAY = 86_400


def after(error, retried=0, rules=DEFAULT):
    return decide(Failure.of(error), retried, rules, random.Random(1), MICROS)


def answered(status, headers=None):
    request = httpx.Request("GET", "http://example.com")
    response = httpx.Response(status, headers=headers, request=request)
    return httpx.HTTPStatusError("answered", request=request, response=response)


def invalid_model():
    class Model(pydantic.BaseModel):
        number: int

    with pytest.raises(pydantic.ValidationError) as caught:
        Model(number="x")
    return caught.value


MISTAKES = [
    NameError("x"),
    UnboundLocalError("x"),
    SyntaxError("x"),
    ModuleNotFoundError("x"),
    NotImplementedError(),
    TypeError("x"),
    AttributeError("x"),
    KeyError("x"),
    IndexError("x"),
    AssertionError(),
    ZeroDivisionError(),
    invalid_model(),
    answered(404),
]


def name_of(value):
    return type(value).__name__


@pytest.mark.parametrize("error", MISTAKES, ids=name_of)
def test_mistakes_are_not_retried(error):
    decision = after(error)
    assert isinstance(decision, GiveUp)
    assert "retries= given explicitly" in decision.reason


@pytest.mark.parametrize("error", MISTAKES, ids=name_of)
def test_mistakes_are_retried_when_retries_was_given(error):
    assert isinstance(after(error, rules=EXPLICIT), Retry)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        OSError("x"),
        TimeoutError(),
        RuntimeError("x"),
        errors.StepTimeout("x"),
        httpx.ConnectError("refused"),
    ],
    ids=name_of,
)
def test_other_errors_are_retried(error):
    assert isinstance(after(error), Retry)


@pytest.mark.parametrize(
    "error",
    [
        errors.NonRetriableError("x"),
        errors.NotSerializable("x"),
        errors.InvokedRunFailed("x"),
        errors.StepError("x"),
        errors.MapError("x"),
        SystemExit(),
        KeyboardInterrupt(),
        GeneratorExit(),
    ],
    ids=name_of,
)
def test_some_errors_are_never_retried(error):
    assert isinstance(after(error, rules=EXPLICIT), GiveUp)


@pytest.mark.parametrize("status", range(400, 500))
def test_client_errors_are_retried_only_where_they_pass(status):
    assert isinstance(after(answered(status)), Retry) == (status in (408, 425, 429))


@pytest.mark.parametrize("status", [500, 502, 503, 599])
def test_server_errors_are_retried(status):
    assert isinstance(after(answered(status)), Retry)


@pytest.mark.parametrize("attribute", ["status_code", "status"])
@pytest.mark.parametrize("on_response", [True, False])
def test_the_status_is_found_where_libraries_keep_it(attribute, on_response):
    error = carrying(**{attribute: HTTPStatus.NOT_FOUND}, on_response=on_response)
    assert Failure.of(error).status == 404
    assert isinstance(after(error), GiveUp)


@pytest.mark.parametrize("status", ["404", True, 4, 4040, None, 404.0])
def test_what_is_no_http_status_means_nothing(status):
    assert Failure.of(carrying(status=status)).status is None


def carrying(on_response=False, **attributes):
    error = RuntimeError("x")
    target = error
    if on_response:
        target = error.response = type("Response", (), {})()  # type: ignore[attr-defined]
    for name, value in attributes.items():
        setattr(target, name, value)
    return error


class Grudging(RuntimeError):
    @property
    def response(self):
        raise RuntimeError("there is no answer yet")

    @property
    def status(self):
        raise KeyError("status")


def test_attributes_that_raise_are_passed_over():
    assert Failure.of(Grudging()).status is None
    assert isinstance(after(Grudging()), Retry)


class ValidationError(ValueError):
    """Of some other library: only pydantic's is a mistake."""


def test_validation_errors_of_others_are_retried():
    assert isinstance(after(ValidationError("x")), Retry)


def test_tries_are_used_up():
    rules = RetryRules(retries=2)
    decisions = [after(OSError(), retried, rules) for retried in range(4)]
    assert [isinstance(one, Retry) for one in decisions] == [True, True, False, False]
    assert decisions[2].reason == "out of tries: 3 made"


def test_no_retries_means_one_try():
    assert isinstance(after(OSError(), rules=RetryRules(retries=0)), GiveUp)


def test_retry_on_narrows():
    rules = RetryRules(explicit=True, retry_on=(ConnectionError,))
    assert isinstance(after(ConnectionResetError(), rules=rules), Retry)
    assert "retry_on" in after(ValueError(), rules=rules).reason


def test_retry_on_does_not_lift_the_exclusion_of_mistakes():
    rules = RetryRules(retry_on=(Exception,))
    assert isinstance(after(NameError(), rules=rules), GiveUp)


@pytest.mark.parametrize(
    ("wanted", "delay"),
    [
        (7, 7),
        ("2m", 120),
        (timedelta(hours=1), 3_600),
        (NOW + timedelta(seconds=9), 9),
        (NOW - timedelta(seconds=9), 0),
        ("2d", DAY),
    ],
)
def test_retry_after_error_sets_the_delay(wanted, delay):
    assert after(errors.RetryAfterError("later", wanted)) == Retry(delay, delay)


def test_retry_after_error_is_retried_whatever_retry_on_says():
    rules = RetryRules(retry_on=(OSError,))
    assert after(errors.RetryAfterError("later", 1), rules=rules) == Retry(1, 1)


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ("later", "'later'"),
        (-1, "-1"),
        (float("nan"), "nan"),
        (None, "None"),
        (datetime(2026, 1, 1), "<datetime>"),
    ],
)
def test_a_retry_after_that_makes_no_sense_gives_the_usual_delay(wanted, shown):
    error = errors.RetryAfterError("later", wanted)
    decision = after(error)
    assert isinstance(decision, Retry)
    assert decision.hold is None
    for each in (error, ExceptionGroup("some", [OSError(), error])):
        assert f"retry_after={shown} is no time" in warning(Failure.of(each))
    assert warning(Failure.of(errors.RetryAfterError("later", 1))) is None


@pytest.mark.parametrize(
    ("headers", "delay"),
    [
        ({"Retry-After": "20"}, 20),
        ({"retry-after": "1.5"}, 1.5),
        ({"RETRY-AFTER": " 3 "}, 3),
        ({"retry-after-ms": "250", "retry-after": "20"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "20"}, 20),
        ({"retry-after": format_datetime(NOW + timedelta(minutes=2))}, 120),
        ({"retry-after": format_datetime(NOW - timedelta(minutes=2))}, 0),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:30 -0000"}, 30),
        ({"retry-after": "9999999"}, DAY),
    ],
)
def test_the_header_sets_the_delay_and_the_hold(headers, delay):
    assert after(answered(429, headers)) == Retry(delay, delay)


@pytest.mark.parametrize("text", ["", "soon", "-5", "nan", "inf", "1e999", "٣x"])
def test_a_header_that_makes_no_sense_is_passed_over(text):
    error = carrying(on_response=True, headers={"retry-after": text})
    assert Failure.of(error).retry_after is None


@pytest.mark.parametrize("headers", [None, 5, "retry-after: 5", ["retry-after"]])
def test_headers_of_odd_types_are_passed_over(headers):
    assert isinstance(after(carrying(on_response=True, headers=headers)), Retry)


def test_header_names_and_values_may_be_bytes():
    headers = {b"Retry-After": b"4"}
    assert after(carrying(on_response=True, headers=headers)) == Retry(4, 4)


def test_the_hold_is_told_when_tries_are_out():
    decision = after(answered(429, {"retry-after": "20"}), retried=3)
    assert isinstance(decision, GiveUp)
    assert decision.hold == 20


def test_one_final_error_in_a_group_decides():
    both = ExceptionGroup("x", [OSError(), ExceptionGroup("y", [NameError("z")])])
    assert isinstance(after(both), GiveUp)
    assert isinstance(after(both, rules=EXPLICIT), Retry)


def test_a_group_of_passing_errors_waits_for_the_longest():
    waits = [answered(429, {"retry-after": text}) for text in ("2", "5")]
    assert after(ExceptionGroup("x", [*waits, OSError()])) == Retry(5, 5)


def test_a_retry_delay_that_fails_ends_the_tries():
    rules = RetryRules(delay=lambda retried: 1 / 0)
    assert after(OSError(), rules=rules) == GiveUp(
        "retry_delay failed with ZeroDivisionError: division by zero"
    )


@given(
    retried=st.integers(0, 10_000),
    first=st.floats(0, 1e7),
    factor=st.floats(1, 1_000),
    longest=st.floats(0, 1e7),
    jitter=st.floats(0, 1),
)
def test_backoff_delays_stay_within_a_day(retried, first, factor, longest, jitter):
    rules = RetryRules(10_001, delay=Backoff(first, factor, longest, jitter))
    decision = after(OSError(), retried, rules)
    assert isinstance(decision, Retry)
    assert 0 <= decision.delay <= DAY
    assert decision.delay <= longest * (1 + jitter)


@given(
    delays=st.lists(st.floats(0, 1e7), min_size=1, max_size=5),
    retried=st.integers(0, 20),
)
def test_listed_delays_are_taken_in_order_and_the_last_one_stays(delays, retried):
    rules = RetryRules(21, delay=delays)
    expected = min(delays[min(retried, len(delays) - 1)], DAY)
    assert after(OSError(), retried, rules) == Retry(expected)


@given(seconds=st.floats(allow_nan=True, allow_infinity=True))
def test_no_header_gives_a_delay_out_of_range(seconds):
    decision = after(answered(503, {"retry-after": str(seconds)}))
    assert isinstance(decision, Retry)
    assert 0 <= decision.delay <= DAY


@given(text=st.text(max_size=40))
def test_no_text_in_a_header_breaks_the_decision(text):
    error = carrying(on_response=True, headers={"retry-after": text})
    assert isinstance(after(error), Retry)


def test_equal_seeds_give_equal_jitter():
    assert after(OSError()) == after(OSError())

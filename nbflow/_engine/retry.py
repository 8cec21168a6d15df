"""Decides whether a failed attempt is tried again, and when. Pure.

What a failure says about retrying is first read off the exception (`Failure.of`); the
libraries that raised it are recognised by shape and never imported.
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any

from nbflow import durations
from nbflow.errors import (
    DefinitionError,
    InvalidDuration,
    MapError,
    NonRetriableError,
    RetryAfterError,
    StepError,
)
from nbflow.policy import (
    DEFAULT_RETRIES,
    LONGEST_DELAY,
    RetryDelay,
    delay_for,
)

# More of the same would fail the same way: a typo must fail at once.
MISTAKES: tuple[type[BaseException], ...] = (
    NameError,
    SyntaxError,
    ImportError,
    NotImplementedError,
    TypeError,
    AttributeError,
    LookupError,
    AssertionError,
    ArithmeticError,
)
# Request time-out, too early, too many requests: the same request may succeed later.
_PASSING_STATUS = frozenset({408, 425, 429})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RetryRules:
    """The resolved retry options of one step or body.

    `explicit` tells that the user gave `retries=`, which lifts the exclusion of
    mistakes. `retry_on` None means every type.
    """

    retries: int = DEFAULT_RETRIES
    explicit: bool = False
    delay: RetryDelay | None = None
    retry_on: tuple[type[BaseException], ...] | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after `delay` seconds; `hold` as in `GiveUp`."""

    delay: float
    hold: float | None = None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not try again, for `reason`.

    `hold`: for how many seconds the other side asked not to be called, if it did.
    """

    reason: str
    hold: float | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """What an exception says about trying again."""

    error: BaseException
    status: int | None = None  # of an HTTP answer
    retry_after: float | datetime | None = None  # seconds, or an aware datetime
    misread: str | None = None  # what stood there instead, as messages show it

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """Read `error`; attributes that raise or make no sense are passed over."""
        if isinstance(error, RetryAfterError):
            given = _attribute(error, "retry_after")
            wanted = _wanted(given)
            misread = durations.shown(given) if wanted is None else None
            return cls(error, None, wanted, misread)
        response = _attribute(error, "response")
        retry_after = _retry_after(_attribute(response, "headers"))
        if retry_after is None:
            retry_after = _retry_after(_attribute(error, "headers"))
        return cls(error, _status(response, error), retry_after)


def decide(
    failure: Failure, retried: int, rules: RetryRules, rng: random.Random, now: int
) -> Retry | GiveUp:
    """Decide what follows a failed attempt.

    Args:
        failure: of the attempt.
        retried: tries made after the first so far; 0 when the first one failed.
        rules: options of the step or body.
        rng: for the jitter of a back-off.
        now: wall-clock time in microseconds UTC, against which dates are read.
    """
    failures = _leaves(failure)
    holds = [hold for one in failures if (hold := _hold(one, now)) is not None]
    hold = max(holds, default=None)
    for one in failures:
        reason = _final(one, rules)
        if reason is not None:
            return GiveUp(reason, hold)
    if retried >= rules.retries:
        return GiveUp(f"out of tries: {retried + 1} made", hold)
    if hold is not None:
        return Retry(hold, hold)
    try:
        delay = delay_for(rules.delay, retried, rng)
    except Exception as error:
        # A callable of the user's; its mistake must not hang or loop the run.
        return GiveUp(f"retry_delay failed with {type(error).__name__}: {error}")
    return Retry(_clamp(delay))


def warning(failure: Failure) -> str | None:
    """What to tell of a `RetryAfterError` whose `retry_after` says no time."""
    for one in _leaves(failure):
        if one.misread is not None:
            return (
                f"RetryAfterError: retry_after={one.misread} is no time to wait, so "
                "the usual delay is taken: give a duration of 0 or more, or an aware "
                "datetime"
            )
    return None


def _leaves(failure: Failure) -> list[Failure]:
    """The failures inside an exception group; one that may not be retried decides."""
    error = failure.error
    if not isinstance(error, BaseExceptionGroup):
        return [failure]
    return [leaf for one in error.exceptions for leaf in _leaves(Failure.of(one))]


def _final(failure: Failure, rules: RetryRules) -> str | None:
    """Why this failure is not retried however many tries are left, or None."""
    error = failure.error
    name = type(error).__name__
    if not isinstance(error, Exception):
        return f"{name} ends the code that raised it and is never retried"
    if isinstance(error, NonRetriableError | DefinitionError):
        return f"{name} is never retried"
    if isinstance(error, StepError | MapError):
        return f"{name}: its steps are out of tries already"
    if isinstance(error, RetryAfterError):
        return None
    if rules.retry_on is not None and not isinstance(error, rules.retry_on):
        return f"{name} is none of the types in retry_on"
    if rules.explicit:
        return None
    if isinstance(error, MISTAKES) or _is_validation_error(error):
        return f"{name} would fail again; retries= given explicitly retries it too"
    status = failure.status
    if status is not None and 400 <= status < 500 and status not in _PASSING_STATUS:
        return f"HTTP {status} would fail again; retries= given explicitly retries it"
    return None


def _is_validation_error(error: BaseException) -> bool:
    return any(
        kind.__name__ == "ValidationError"
        and kind.__module__.partition(".")[0] in ("pydantic", "pydantic_core")
        for kind in type(error).__mro__
    )


def _hold(failure: Failure, now: int) -> float | None:
    wanted = failure.retry_after
    if isinstance(wanted, datetime):
        wanted = (wanted - _EPOCH) / timedelta(seconds=1) - now / 1e6
    return None if wanted is None else _clamp(wanted)


def _clamp(delay: float) -> float:
    return min(max(delay, 0.0), LONGEST_DELAY)


def _attribute(thing: object, name: str) -> object:
    try:
        return getattr(thing, name, None)
    except Exception:  # a property may raise, as httpx's do before there is an answer
        return None


def _status(response: object, error: BaseException) -> int | None:
    for thing in (response, error):
        for name in ("status_code", "status"):
            value = _attribute(thing, name)
            if (
                isinstance(value, int)
                and not isinstance(value, bool)
                and 100 <= value < 600
            ):
                return value
    return None


def _wanted(value: object) -> float | datetime | None:
    """A `RetryAfterError`'s duration or datetime; None if it is neither."""
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else None
    try:
        return durations.parse(value, what="retry_after")
    except InvalidDuration:
        return None


def _retry_after(headers: Any) -> float | datetime | None:
    fields: dict[str, str] = {}
    try:
        for key, value in headers.items():
            fields[_text(key).lower()] = _text(value).strip()
    except Exception:  # not headers at all
        return None
    seconds = _number(fields.get("retry-after-ms"), 1000)
    if seconds is None:
        seconds = _number(fields.get("retry-after"), 1)
    if seconds is not None:
        return seconds
    return _date(fields.get("retry-after"))


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _number(text: str | None, divisor: float) -> float | None:
    try:
        number = float(text or "") / divisor
    except ValueError:
        return None
    return number if isfinite(number) and number >= 0 else None


def _date(text: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, IndexError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)

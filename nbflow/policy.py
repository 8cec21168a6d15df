"""Options of runs and steps: how often, after what delay, how long, under which limits.

Validated where they are given, so that a wrong one fails at the definition. Knows
`errors`, `durations` and `names`.
"""

import dataclasses
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, Self

from nbflow import durations
from nbflow.durations import Duration
from nbflow.errors import InvalidOption
from nbflow.names import check_flow_key

DEFAULT_RETRIES = 3
MOST_RETRIES = 1_000_000
LONGEST_DELAY = durations.DAY


class Unset(Enum):
    """The type of `UNSET`: an option that was not given, where None says something."""

    UNSET = "unset"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Backoff:
    """A delay that grows with each retry: `first`, then `factor` times as long, …

    It is at most `max`, and spread by `jitter` (0.2: between 80 % and 120 %), so that
    what failed together does not return together. Raises InvalidDuration,
    InvalidOption.
    """

    first: Duration = "1s"
    factor: float = 2
    max: Duration = "5m"
    jitter: float = 0.2

    def __post_init__(self) -> None:
        durations.parse(self.first, what="first")
        durations.parse(self.max, what="max")
        _number_between("factor", self.factor, 1, 1_000)
        _number_between("jitter", self.jitter, 0, 1)

    def delay(self, retried: int, rng: random.Random) -> float:
        """Return the seconds before the retry that follows `retried` retries."""
        first, longest = durations.parse(self.first), durations.parse(self.max)
        try:
            grown = first * float(self.factor) ** retried
        except OverflowError:
            grown = math.inf if first else 0.0
        spread = 1 + float(self.jitter) * (2 * rng.random() - 1)
        return min(grown, longest) * spread


RetryDelay = Backoff | Duration | Sequence[Duration] | Callable[[int], Duration]
RetryOn = type[BaseException] | tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True)
class FlowControl:
    """Limits that all steps which share `key` keep together.

    At most `parallelism` executions at once, and at most `rate` starts in any window
    of `period`; over the limit they wait, or with `over="skip"` a run is skipped.
    Without limits it takes those that the key was given. `key` may be a callable of
    the input. Raises InvalidOption, InvalidDuration.
    """

    key: str | Callable[[Any], str]
    rate: int | None = None
    period: Duration = "1s"
    parallelism: int | None = None
    over: Literal["wait", "skip"] = "wait"

    def __post_init__(self) -> None:
        if not callable(self.key):
            object.__setattr__(self, "key", check_flow_key(self.key))
        for option, value in (("rate", self.rate), ("parallelism", self.parallelism)):
            if value is not None:
                _whole(option, value, 1, 1_000_000)
        if not durations.parse(self.period, what="period"):
            raise InvalidOption(
                "period=0 is no window: give a duration greater than 0",
                option="period",
                value=self.period,
            )
        if self.over not in ("wait", "skip"):
            raise _invalid("over", self.over, 'either "wait" or "skip"')

    def for_input(self, value: object) -> "FlowControl":
        """Return a copy whose key is text; a callable is called with the input.

        Raises what the callable raises, and InvalidOption when it gives no key.
        """
        if not callable(self.key):
            return self
        return dataclasses.replace(self, key=check_flow_key(self.key(value)))


def delay_for(
    policy: RetryDelay | Unset | None, retried: int, rng: random.Random
) -> float:
    """Return the seconds before the next try, between 0 and 24 hours.

    `retried` counts the retries made so far, from 0. None is the default backoff; the
    last entry of a list holds for all further retries. A callable may raise anything,
    InvalidDuration when it gives no duration.
    """
    if policy is None or isinstance(policy, Unset):
        policy = DEFAULT_DELAY
    if isinstance(policy, Backoff):
        seconds = policy.delay(retried, rng)
    elif callable(policy):
        seconds = durations.parse(policy(retried), what="retry_delay")
    elif isinstance(policy, Sequence) and not isinstance(policy, str):
        entry = policy[min(retried, len(policy) - 1)]
        seconds = durations.parse(entry, what="retry_delay")
    else:
        seconds = durations.parse(policy, what="retry_delay")
    return min(max(seconds, 0.0), LONGEST_DELAY)


class _Options:
    """What both kinds of options have in common; subclasses are dataclasses."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for option, value in self.given().items():
            _CHECKS[option](value)
        if isinstance(kinds := getattr(self, "retry_on", None), type):
            object.__setattr__(self, "retry_on", (kinds,))

    def given(self) -> dict[str, Any]:
        """Return the options that are set."""
        values = ((f.name, getattr(self, f.name)) for f in dataclasses.fields(self))  # type: ignore[arg-type]
        return {name: value for name, value in values if value is not UNSET}

    def merged(self, over: Self) -> Self:
        """Return these options with those set in `over` in their place."""
        given = over.given()
        return dataclasses.replace(self, **given) if given else self  # type: ignore[type-var]

    def to_stored(self, *, across_apps: bool = False) -> bytes | None:
        """Return the options as JSON, None when none is set.

        A callable `retry_delay` is left out, as is `retry_on`: a store names no code.
        With `across_apps` it is refused, since nothing there could stand in for it.
        Raises InvalidOption; also for a FlowControl whose key is still a callable.
        """
        stored: dict[str, object] = {}
        for option, value in self.given().items():
            if option == "retries":
                stored[option] = value
            elif callable(value) and across_apps:
                raise _invalid(option, value, "a duration, a list of them or a Backoff")
            elif not callable(value) and option != "retry_on":
                stored[option] = _stored(value)
        return json.dumps(stored).encode() if stored else None

    @classmethod
    def from_stored(cls, stored: bytes | None) -> Self:
        """Read what `to_stored` gave; options of a later version are left out."""
        if stored is None:
            return cls()
        known = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        values = {
            option: _restored(option, value)
            for option, value in json.loads(stored).items()
            if option in known
        }
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions(_Options):
    """Options of a workflow or of one of its runs; UNSET where not given."""

    retries: int | Unset = UNSET
    retry_delay: RetryDelay | Unset | None = UNSET
    timeout: Duration | Unset | None = UNSET
    flow_control: FlowControl | Unset | None = UNSET
    delay: Duration | Unset | None = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOptions(_Options):
    """Options of a step; UNSET where not given.

    `retry_on` is made a tuple and is not stored.
    """

    retries: int | Unset = UNSET
    retry_delay: RetryDelay | Unset | None = UNSET
    retry_on: RetryOn | Unset | None = UNSET
    timeout: Duration | Unset | None = UNSET
    flow_control: FlowControl | Unset | None = UNSET
    cache: bool | Duration | Unset | None = UNSET
    process: bool | Unset = UNSET
    at_most_once: bool | Unset = UNSET


def check_retries(value: object) -> None:
    """Check `retries=`: a whole number of tries after the first."""
    _whole("retries", value, 0, MOST_RETRIES)


def check_retry_delay(value: object) -> None:
    """Check `retry_delay=`; what a callable gives is checked when it is called."""
    if value is None or isinstance(value, Backoff) or callable(value):
        return
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if not value:
            raise _invalid("retry_delay", value, "at least one duration in the list")
        for entry in value:
            durations.parse(entry, what="retry_delay")
        return
    durations.parse(value, what="retry_delay")


def check_retry_on(value: object) -> None:
    """Check `retry_on=`: an exception type or a tuple of them."""
    kinds = value if isinstance(value, tuple) else (value,)
    if value is not None and not all(_is_exception(kind) for kind in kinds):
        raise _invalid("retry_on", value, "an exception type or a tuple of them")


def _check_flow_control(value: object) -> None:
    if value is not None and not isinstance(value, FlowControl):
        raise _invalid("flow_control", value, 'FlowControl("key", …) or None')


def _check_cache(value: object) -> None:
    if value is not None and not isinstance(value, bool):
        durations.parse(value, what="cache")


def _flag(option: str) -> Callable[[object], None]:
    def check(value: object) -> None:
        if not isinstance(value, bool):
            raise _invalid(option, value, "True or False")

    return check


def _duration(option: str) -> Callable[[object], None]:
    def check(value: object) -> None:
        if value is not None:
            durations.parse(value, what=option)

    return check


_CHECKS: Mapping[str, Callable[[object], None]] = {
    "retries": check_retries,
    "retry_delay": check_retry_delay,
    "retry_on": check_retry_on,
    "timeout": _duration("timeout"),
    "flow_control": _check_flow_control,
    "delay": _duration("delay"),
    "cache": _check_cache,
    "process": _flag("process"),
    "at_most_once": _flag("at_most_once"),
}


def _stored(value: Any) -> object:
    """Return an option's value as JSON: durations as seconds, the rest as it is."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Backoff):
        fields = dataclasses.asdict(value)
        seconds = {name: durations.parse(fields[name]) for name in ("first", "max")}
        return {"$backoff": fields | seconds}
    if isinstance(value, FlowControl):
        if callable(value.key):
            raise _invalid("key", value.key, "text here (`for_input` makes it text)")
        return dataclasses.asdict(value) | {"period": durations.parse(value.period)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [durations.parse(entry) for entry in value]
    return durations.parse(value)


def _restored(option: str, stored: Any) -> Any:
    if isinstance(stored, dict) and option == "retry_delay":
        return Backoff(**stored["$backoff"])
    if isinstance(stored, dict) and option == "flow_control":
        return FlowControl(**stored)
    return stored


def _is_exception(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)


def _whole(option: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _invalid(option, value, "a whole number")
    if not least <= value <= most:
        raise _invalid(option, value, f"a whole number between {least} and {most:,}")


def _number_between(option: str, value: object, least: float, most: float) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:  # type: ignore[operator]
        raise _invalid(option, value, f"a number between {least} and {most:,}")


def _invalid(option: str, value: object, rule: str) -> InvalidOption:
    shown = durations.shown(value)
    return InvalidOption(
        f"{option}={shown} is not allowed: give {rule}", option=option, value=value
    )


DEFAULT_DELAY = Backoff()  # last: it is validated by the functions above

"""Which options hold for a step or a body: the call's, the step's, the run's, the
workflow's, in this order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from nbflow import durations
from nbflow._engine.retry import RetryRules
from nbflow.errors import FlowKeyError, InvalidOption
from nbflow.policy import (
    DEFAULT_RETRIES,
    UNSET,
    FlowControl,
    RunOptions,
    StepOptions,
    Unset,
)

_KNOWN = frozenset(StepOptions.__dataclass_fields__) | {"kwargs"}
_INVOKE = frozenset(
    {
        "run_id",
        "headers",
        "label",
        "retries",
        "retry_delay",
        "flow_control",
        "timeout",
        "abandon",
    }
)


NO_OPTIONS = RunOptions()
"""Those of a run that was given none; compared by identity."""


@dataclass(frozen=True, slots=True)
class StepPolicy:
    """The resolved options of one step; durations in seconds.

    `cache` is the greatest age of an outcome that may be used, None for no caching.
    """

    retry: RetryRules
    timeout: float | None = None
    cache: float | None = None
    at_most_once: bool = False
    flow: FlowControl | None = None
    process: bool = False


def step_policy(
    workflow: RunOptions,
    run: RunOptions,
    options: Mapping[str, Any],
    own: StepOptions | None = None,
    flow: FlowControl | None = None,
    input: Callable[[], Any] = lambda: None,
) -> StepPolicy:
    """Resolve the options of a step.

    Args:
        workflow: the workflow's options.
        run: those of this run.
        options: those of the call.
        own: those of the step itself.
        flow: the run's flow control, its key as text.
        input: the run's input, for keys that are made from it.

    Raises:
        InvalidOption, InvalidDuration: naming the option, its value and the rule.
    """
    base = StepOptions(**_retry_options(workflow.merged(run)))
    given = StepOptions(
        **{
            name: _normal(name, value)
            for name, value in options.items()
            if _check_known(name) and name != "kwargs"
        }
    )
    if own is not None:
        base = base.merged(own)
    final = base.merged(given)
    once = final.at_most_once is True
    if once and (given.retries or (own is not None and own.retries)):
        raise InvalidOption(
            f"retries={given.retries or (own and own.retries)} and at_most_once=True "
            "exclude each other: a step that may not be called twice has no second "
            "try. Leave one of them out.",
            option="retries",
            value=final.retries,
        )
    if once:
        final = replace(final, retries=0)
    if final.flow_control is not UNSET:
        flow = flow_of(final.flow_control, input)
    cache = final.cache
    age: float | None = None
    if cache is True:
        age = float("inf")
    elif cache is not UNSET and cache is not None and cache is not False:
        age = durations.parse(cache, what="cache")
    timeout = final.timeout
    return StepPolicy(
        retry=_rules(final),
        timeout=None
        if timeout is UNSET or timeout is None
        else durations.parse(timeout, what="timeout"),
        cache=age,
        at_most_once=once,
        flow=flow,
        process=final.process is True,
    )


def flow_of(
    given: FlowControl | Unset | None, input: Callable[[], Any]
) -> FlowControl | None:
    """A flow control with its key as text; None for none.

    Raises:
        FlowKeyError: the callable that makes the key from the input has failed.
    """
    if given is None or isinstance(given, Unset):
        return None
    if not callable(given.key):
        return given
    try:
        return given.for_input(input())
    except Exception as exc:
        name = getattr(given.key, "__qualname__", "key")
        raise FlowKeyError(
            f"the flow-control key could not be made: {name} raised "
            f"{type(exc).__name__}: {exc}. It takes the input and returns text"
        ) from exc


def body_rules(workflow: RunOptions, run: RunOptions) -> RetryRules:
    """How the body of a run is retried."""
    return _rules(workflow.merged(run))


def check_invoke_options(options: Mapping[str, Any]) -> None:
    """Refuse options that an invoke does not have."""
    for name in options:
        if name not in _INVOKE:
            rest = 'The input is one value: its fields go in as {"name": value}'
            raise _unknown(name, _INVOKE, "an invoke", rest)


def child_options(options: Mapping[str, Any]) -> RunOptions:
    """Those options of an invoke that are the child's own."""
    names = ("retries", "retry_delay", "flow_control")
    given = {name: options[name] for name in names if name in options}
    return RunOptions(**given) if given else NO_OPTIONS


def _rules(options: RunOptions | StepOptions) -> RetryRules:
    retries = options.retries
    delay = options.retry_delay
    retry_on = getattr(options, "retry_on", UNSET)
    return RetryRules(
        retries=DEFAULT_RETRIES if retries is UNSET else int(retries),
        explicit=retries is not UNSET,
        delay=None if delay is UNSET else delay,
        retry_on=None if retry_on is UNSET else retry_on,
    )


def _retry_options(options: RunOptions) -> dict[str, Any]:
    given = options.given()
    return {key: given[key] for key in ("retries", "retry_delay") if key in given}


def _normal(name: str, value: Any) -> Any:
    if name == "retry_on" and isinstance(value, type):
        return (value,)
    return value


def _check_known(name: str) -> bool:
    if name not in _KNOWN:
        rest = "Arguments of the function go after it, or into kwargs={…}"
        raise _unknown(name, _KNOWN, "a step", rest)
    return True


def _unknown(name: str, known: frozenset[str], what: str, rest: str) -> InvalidOption:
    near = " or ".join(map(repr, get_close_matches(name, known)))
    hint = f"did you mean {near}?" if near else f"known: {', '.join(sorted(known))}"
    return InvalidOption(
        f"{name!r} is no option of {what} ({hint}). {rest}.",
        option=name,
    )

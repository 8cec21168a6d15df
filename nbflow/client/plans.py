"""What a resume would do: pure decisions over the events of a run and today's code."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbflow import durations
from nbflow._engine.memo import ARGUMENTS, read_memo
from nbflow._store.base import EventRow, RunRow
from nbflow._text import split_key
from nbflow.client.fold import StepState, fold_steps, select, unknown_step
from nbflow.definition.source import function_hash, static_steps, unwrap
from nbflow.errors import InvalidOption
from nbflow.model import EventType, Plan, StepKind

STALE = "stale"
_HIDDEN = frozenset({StepKind.NOW.value, StepKind.RANDOM.value, StepKind.UUID.value})
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Decision:
    """A plan, and what the engine must be told to follow it."""

    plan: Plan
    refresh: list[str]  # step keys
    stale: list[str]  # step labels


def decide(
    row: RunRow,
    events: Sequence[EventRow],
    fn: Callable[..., Any] | None,
    former: Iterable[StepState] = (),
    refresh: str | Iterable[str] | None = None,
) -> Decision:
    """Say what a resume keeps and what it runs.

    Args:
        row: the run.
        events: all of its events.
        fn: today's function of the workflow; None where this process has none.
        former: the steps of the workflow's last completed run.
        refresh: names of steps whose values are not to be kept, or "stale".

    Raises:
        StepNotFound: `refresh` names a step that the run does not have.
        InvalidOption: `refresh="stale"` without the workflow's code at hand.
    """
    states = fold_steps(events)
    memo = read_memo(events)
    outcomes = memo.outcomes
    # Canceled by a body that was failing: executed again, so far as one can tell.
    pending = {
        key
        for key, outcome in outcomes.items()
        if _is_canceled(outcome) and key not in memo.doubted
    }
    kept = {
        key: state
        for key, state in states.items()
        if key in outcomes and outcomes[key].is_kept
    }
    stale = {key for key, state in kept.items() if fn and is_stale(state, fn)}
    dropped = _dropped(row, kept, states, stale, fn, refresh)
    again = [
        state
        for key, state in states.items()
        if key in dropped or (key not in kept and key not in pending)
    ]
    former = list(former)
    to_run = _to_run(again, states.values(), fn, former)
    shown = [(k, s) for k, s in kept.items() if k not in dropped]
    return Decision(
        Plan(
            kept=tuple(
                state.label
                for key, state in shown
                if key not in stale and state.kind not in _HIDDEN
            ),
            stale=tuple(state.label for key, state in shown if key in stale),
            to_run=tuple(to_run),
            duration=_duration(to_run, former, states.values()),
        ),
        [key for key in kept if key in dropped],
        [state.label for key, state in shown if key in stale],
    )


def describe(row: RunRow, plan: Plan) -> str:
    """The line that every resume says first."""
    parts = [f"kept {_listed(plan.kept)}"]
    if plan.stale:
        parts.append(f"stale {_listed(plan.stale)}")
    parts.append(f"to run {_listed(plan.to_run)}")
    time = ""
    if plan.duration is not None:
        time = f"; that took {durations.show(plan.duration)} last time"
    return f"resume {row.id} of {row.workflow!r}: {', '.join(parts)}{time}"


def is_stale(state: StepState, fn: Callable[..., Any]) -> bool:
    """Whether the text of a step's function differs from the one that was recorded."""
    if state.kind != StepKind.RUN or not state.mark or len(state.mark) <= ARGUMENTS:
        return False
    function = find_function(state.function, fn)
    if function is None:
        return False
    return function_hash(function) != state.mark[ARGUMENTS:]


def find_function(name: str, fn: Callable[..., Any]) -> Callable[..., Any] | None:
    """What a name stands for in a workflow's function, if it can be called."""
    inner = unwrap(fn)
    found = getattr(inner, "__globals__", {}).get(name)
    code = getattr(inner, "__code__", None)
    if found is None and code is not None and name in code.co_freevars:
        cell = inner.__closure__[code.co_freevars.index(name)]
        try:
            found = cell.cell_contents
        except ValueError:  # not bound yet
            found = None
    if not callable(found):
        return None
    target = unwrap(found)
    return target if callable(target) else None


def _dropped(
    row: RunRow,
    kept: Mapping[str, StepState],
    states: Mapping[str, StepState],
    stale: set[str],
    fn: Callable[..., Any] | None,
    refresh: str | Iterable[str] | None,
) -> set[str]:
    """Keys of the steps whose recorded values are not to be used."""
    if refresh is None:
        return set()
    dropped: set[str] = set()
    for name in [refresh] if isinstance(refresh, str) else list(refresh):
        found, _ = select(states.values(), name)
        if not found and name == STALE:
            if fn is None:
                raise InvalidOption(
                    f"refresh='stale' of run {row.id!r} needs the code of workflow "
                    f"{row.workflow!r} in this process, to compare with: define or "
                    "import it first, or name the steps",
                    option="refresh",
                    value=STALE,
                )
            dropped |= stale
        elif not found:
            raise unknown_step(row, name, [state.label for state in states.values()])
        dropped |= {state.key for state in found if state.key in kept}
    return dropped


def _is_canceled(outcome: Any) -> bool:
    return outcome is not None and outcome.type == EventType.STEP_CANCELED


def _to_run(
    again: Iterable[StepState],
    recorded: Iterable[StepState],
    fn: Callable[..., Any] | None,
    former: Iterable[StepState],
) -> list[str]:
    """What is to run: what was cut off or failed, then what is still to come.

    The last completed run knows items and branches, today's text what is new in it.
    """
    recorded, former = list(recorded), list(former)
    labels = [state.label for state in again if state.kind not in _HIDDEN]
    known = {state.label for state in recorded}
    labels += [
        state.label
        for state in former
        if state.kind not in _HIDDEN and state.label not in known
    ]
    named = {id for state in (*recorded, *former) for id in _in_code(state.key)}
    labels += [id for id in static_steps(fn) if id not in named] if fn else []
    return list(dict.fromkeys(labels))


def _in_code(key: str) -> tuple[str, str]:
    """The id as it may stand in the code: whole, and without the item of a map."""
    id = split_key(key)[1]
    return id, id.rpartition("[")[0]


def _duration(
    labels: Iterable[str], former: Iterable[StepState], recorded: Iterable[StepState]
) -> float | None:
    """How long these took last time; None where nothing is known of any."""
    # One that was cut off says nothing of how long it takes.
    known = {
        state.label: state.seconds for state in recorded if state.interrupted is None
    }
    known |= {state.label: state.seconds for state in former}
    measured = [known[label] for label in labels if known.get(label) is not None]
    return sum(each for each in measured if each is not None) if measured else None


def _listed(labels: Sequence[str]) -> str:
    if not labels:
        return "nothing"
    shown = ", ".join(labels[:_SHOWN])
    more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    return f"{shown}{more}"

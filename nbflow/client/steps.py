"""The steps of a run as a list that also takes names, and their functions to call."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, SupportsIndex, overload

from nbflow._store.base import RunRow
from nbflow.client.fold import StepState, unknown_step
from nbflow.client.records import Queries, step_arguments
from nbflow.codecs import Unresolved
from nbflow.errors import StepNotFound
from nbflow.model import Step, StepKind


class StepList(list[Step]):
    """Steps of a run, in order of their first appearance; `steps["ask[17]"]` is one."""

    def __init__(self, row: RunRow, steps: Iterable[Step] = ()) -> None:
        super().__init__(steps)
        self._row = row

    @overload
    def __getitem__(self, place: SupportsIndex | str) -> Step: ...
    @overload
    def __getitem__(self, place: slice) -> list[Step]: ...
    def __getitem__(self, place: SupportsIndex | slice | str) -> Step | list[Step]:
        """A step by its place or its name ("id", "branch/id").

        Raises:
            StepNotFound: no step has that name; names those there are.
        """
        if not isinstance(place, str):
            return super().__getitem__(place)
        named = [step for step in self if step.name == place]
        found = named or [step for step in self if step.id == place]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(repr(step.name) for step in found[:20])
            raise StepNotFound(
                f"run {self._row.id!r} has {len(found)} steps {place!r} in different "
                f"branches: {names}. Name one of them in full.",
                run_id=self._row.id,
                step=place,
            )
        raise unknown_step(self._row, place, [step.name for step in self])

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)


def caller_of(
    row: RunRow,
    fn: Callable[..., Any] | None,
    queries: Queries,
    classes: Mapping[str, type],
) -> Callable[[StepState], Callable[[], Any]]:
    """What makes the `.call()` of each step of a run."""

    def make(state: StepState) -> Callable[[], Any]:
        return lambda: call_step(row, state, fn, queries, classes)

    return make


def call_step(
    row: RunRow,
    state: StepState,
    fn: Callable[..., Any] | None,
    queries: Queries,
    classes: Mapping[str, type],
) -> Any:
    """Call today's function of a step with the recorded arguments.

    Raises:
        StepNotFound: the step calls no function, none of that name is at hand, or an
            argument was not recorded; names which and what to do.
    """
    if state.kind != StepKind.RUN:
        raise _refusal(row, state, f"is a {state.kind!r}, which calls no function")
    if fn is None:
        raise _refusal(
            row,
            state,
            f"calls {state.function!r}, but workflow {row.workflow!r} is not defined "
            "in this process: define or import it first",
        )
    from nbflow.client import plans  # who reads does not compare code

    function = plans.find_function(state.function, fn)
    if function is None:
        raise _refusal(
            row,
            state,
            f"calls {state.function!r}, and there is no function of that name beside "
            f"workflow {row.workflow!r}: call it yourself with step.args",
        )
    arguments = step_arguments(state, queries, classes)
    values = [*enumerate(arguments, 1), *arguments.kwargs.items()]
    for place, value in values:
        if isinstance(value, Unresolved):
            raise _refusal(
                row,
                state,
                f"has an argument {place!r} that was not recorded ({value!r}): call "
                f"{state.function!r} yourself, with step.args and a value for it",
            )
    return function(*arguments, **arguments.kwargs)


def _refusal(row: RunRow, state: StepState, what: str) -> StepNotFound:
    return StepNotFound(
        f"step {state.label!r} of run {row.id!r} {what}",
        run_id=row.id,
        workflow=row.workflow,
        step=state.label,
    )

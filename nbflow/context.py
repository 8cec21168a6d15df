"""What a workflow body holds in its hand: `Context`, and `current()`.

`Context` is a typed face over a `Scope`, which does the work: the engine's live run,
or the in-place scope of `nbflow.testing.inline`.
"""

import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import (
    Any,
    Literal,
    Protocol,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)
from uuid import UUID

from nbflow.definition.spec import Target
from nbflow.errors import ErrorDetails
from nbflow.model import Event, safe_text
from nbflow.policy import Backoff, FlowControl

T = TypeVar("T")
Duration: TypeAlias = timedelta | float | str
"""A `timedelta`, a number of seconds, or text such as `"1h30m"`."""
RetryDelay: TypeAlias = (
    Duration | Sequence[Duration] | Backoff | Callable[[int], Duration]
)
Level: TypeAlias = Literal["debug", "info", "warning", "error"]


class StepKeywords(TypedDict, total=False):
    """Options of one step; what is left out comes from the step or workflow."""

    kwargs: Mapping[str, Any] | None
    retries: int
    retry_delay: RetryDelay
    retry_on: type[BaseException] | tuple[type[BaseException], ...]
    timeout: Duration | None
    flow_control: FlowControl | None
    cache: bool | Duration | None
    process: bool
    at_most_once: bool


class InvokeKeywords(TypedDict, total=False):
    """Options of one invoke; they override the child's own."""

    run_id: str | None
    headers: Mapping[str, str] | None
    label: str | None
    retries: int
    retry_delay: RetryDelay
    flow_control: FlowControl | None
    timeout: Duration | None
    abandon: bool


@dataclass(frozen=True, slots=True)
class StepInfo:
    """The running step, as its function sees it through `nbflow.current().step`.

    Attributes:
        id: the step's name.
        key: the same on every attempt and after every restart: hand it to other
            systems as an idempotency key.
        attempt: counts from 1.
        dir: a folder of this step that outlives attempts, for checkpoints; deleted
            with the run. Made when first asked for.
    """

    id: str
    key: str
    attempt: int
    _dir: Callable[[], Path]

    @property
    def dir(self) -> Path:
        """The step's folder; it exists when this returns."""
        return self._dir()


@dataclass(frozen=True, slots=True)
class InvokeOutcome:
    """How an invoked run ended: what `ctx.try_invoke` returns.

    Attributes:
        run_id: the child's id; None when it never came to exist.
        body: its result; None unless it completed.
        error: why it did not complete; None if it did.
    """

    run_id: str | None
    body: Any = None
    is_failed: bool = False
    is_canceled: bool = False
    is_timed_out: bool = False
    is_skipped: bool = False
    error: ErrorDetails | None = None


class StartedRun(Protocol):
    """A detached child: `await` it for its result, now or after a restart."""

    @property
    def run_id(self) -> str:
        """The child's id."""
        ...

    def __await__(self) -> Any:
        """The child's result; raises as `ctx.invoke` does."""
        ...


class Scope(Protocol):
    """What executes the calls of a `Context`."""

    @property
    def facts(self) -> "RunFacts":
        """Plain data of the run."""
        ...

    def step(
        self,
        id: str | None,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        options: StepKeywords,
    ) -> Awaitable[Any]: ...
    def map(
        self,
        id: str,
        target: Callable[..., Any] | Target,
        items: Iterable[Any],
        key: Callable[[Any], object] | None,
        limit: int,
        errors: str,
        options: Mapping[str, Any],
    ) -> Awaitable[list[Any]]: ...
    def invoke(
        self,
        id: str,
        target: Target | str,
        input: Any,
        mode: Literal["invoke", "try", "start"],
        options: InvokeKeywords,
    ) -> Awaitable[Any]: ...
    def sleep(
        self, id: str, duration: Duration | None, until: datetime | None
    ) -> Awaitable[None]: ...
    def wait_for_event(
        self,
        id: str,
        event: str,
        match: Mapping[str, Any] | None,
        timeout: Duration | None,
    ) -> Awaitable[Event | None]: ...
    def ask(
        self, id: str, question: str, type: Any, timeout: Duration | None
    ) -> Awaitable[Any]: ...
    def send_event(
        self, id: str, name: str, data: Any, run: str | None
    ) -> Awaitable[None]: ...
    def group(self, name: str) -> AbstractAsyncContextManager[None]: ...
    def log(
        self, message: str, level: str, source: str, attributes: Mapping[str, Any]
    ) -> None: ...
    def progress(
        self, done: float, total: float | None, message: str | None
    ) -> None: ...
    def emit(self, name: str, data: Any, key: str | None) -> None: ...
    def now(self) -> datetime: ...
    def random(self) -> float: ...
    def uuid(self) -> UUID: ...
    def cancel(self, reason: str | None) -> None: ...
    def current_step(self) -> StepInfo | None: ...
    def resource(self, owner: Any, factory: Callable[[], T]) -> T: ...


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Plain data of a run, as its body sees it. Attempts count from 1."""

    run_id: str
    workflow: str
    app: str
    input: Any
    headers: Mapping[str, str]
    label: str | None
    attempt: int
    parent: str | None
    root_run_id: str
    depth: int


class Context:
    """The run that a workflow body belongs to; its methods are durable steps.

    Every awaited call is a step: when its value is handed to the body, that value is
    already in the store, and no later life of the run executes the step again.
    """

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __repr__(self) -> str:
        if isinstance(self._scope, _OutsideScope):
            return "<Context outside of a run>"
        facts = self._scope.facts
        return f"<Context of {facts.workflow} {facts.run_id}>"

    @overload
    def run(
        self,
        id: str,
        fn: Callable[..., Awaitable[T]],
        /,
        *args: Any,
        **options: Unpack[StepKeywords],
    ) -> Awaitable[T]: ...
    @overload
    def run(
        self,
        id: str,
        fn: Callable[..., T],
        /,
        *args: Any,
        **options: Unpack[StepKeywords],
    ) -> Awaitable[T]: ...
    @overload
    def run(
        self,
        fn: Callable[..., Awaitable[T]],
        /,
        *args: Any,
        **options: Unpack[StepKeywords],
    ) -> Awaitable[T]: ...
    @overload
    def run(
        self, fn: Callable[..., T], /, *args: Any, **options: Unpack[StepKeywords]
    ) -> Awaitable[T]: ...
    def run(
        self, first: Any, /, *args: Any, **options: Unpack[StepKeywords]
    ) -> Awaitable[Any]:
        """Call a function as a durable step: `ctx.run([id,] fn, *args, **options)`.

        An async function runs on the engine's loop, a sync one in a worker thread, or
        in a process of its own. Of a generator function each item is an event as it
        comes, and the value is the list of all (of pieces of text the whole). The
        id is the function's name where none is given; the n-th call of one id in a
        branch is numbered when it is *called*, so ids may repeat.

        Args:
            first: the step's id, or the function.
            args: the function's positional arguments, recorded where a codec knows
                them.
            options: `kwargs` (keyword arguments of the function), `retries` (tries
                after the first), `retry_delay`, `retry_on` (exception types),
                `timeout` (a duration, per attempt), `cache` (True or a duration: take
                an earlier outcome of the same function and arguments in this app),
                `at_most_once` (never call it twice), `flow_control` (limits that it
                keeps with all of the same key; None: not even its run's), `process`
                (run a sync function in a process of its own, killed on time-out and
                cancel).

        Returns:
            An awaitable of the function's value, as it was stored.

        Raises:
            StepError: out of tries; also an instance of the original exception type.
            NotSerializable: the value cannot be stored.
            NonDeterminismError: a recorded step is asked for with other arguments.
            NestedStep: called inside a step.
        """
        if isinstance(first, str):
            if not args:
                raise TypeError(
                    f"ctx.run({first!r}) got no function: pass the function after the "
                    f"id, as in ctx.run({first!r}, fetch, url)"
                )
            return self._scope.step(first, args[0], args[1:], options)
        return self._scope.step(None, first, args, options)

    def map(
        self,
        id: str,
        fn: Callable[..., Any] | Target,
        items: Iterable[Any],
        *,
        key: Callable[[Any], object] | None = None,
        limit: int = 32,
        errors: Literal["raise", "return"] = "raise",
        **options: Any,
    ) -> Awaitable[list[Any]]:
        """Run a function, or invoke a workflow, once per item, in parallel.

        Args:
            id: name of the whole; the steps are `id[0]`, `id[1]` … or `id[key(item)]`.
            fn: a function of one argument, or a workflow of one.
            items: the items; all of them run to their end.
            key: names an item; without it, an item of an edited list keeps the value
                recorded for an equal item.
            limit: how many at once.
            errors: `"raise"` a `MapError` after the last item, or `"return"` the
                exceptions in place of the values.
            options: those of `ctx.run`, or of `ctx.invoke` for a workflow.

        Returns:
            An awaitable of the results, in the order of the items.

        Raises:
            MapError: some items failed; `.results` and `.errors` in item order.
        """
        return self._scope.map(id, fn, items, key, limit, errors, options)

    def invoke(
        self,
        id: str,
        target: Target | str,
        input: Any = None,
        **options: Unpack[InvokeKeywords],
    ) -> Awaitable[Any]:
        """Start a child run of a workflow and wait for its result.

        The child is a run of its own with own retries and limits; re-issued after a
        crash there is still exactly one. When the caller stops waiting (time-out,
        cancel, failure) the child is cancelled with it, unless `abandon=True`.

        Args:
            id: the step's name.
            target: a workflow, or the name of one in this app.
            input: mapping of its fields (the payload itself where it takes `input`).
            options: `run_id` (an existing run of it is attached, taken or resumed),
                `headers`, `label`, `retries`, `retry_delay`, `flow_control`, `timeout`
                (seconds or text, from now), `abandon`.

        Returns:
            An awaitable of the child's result.

        Raises:
            InvokeError: one of its kinds, never retried: `WorkflowNotFound`,
                `InvokedRunFailed`, `InvokedRunCanceled`, `InvokeTimedOut`,
                `InvokeDepthExceeded`, `InvalidInput`, `RunIdConflict`.
        """
        return self._scope.invoke(id, target, input, "invoke", options)

    def try_invoke(
        self,
        id: str,
        target: Target | str,
        input: Any = None,
        **options: Unpack[InvokeKeywords],
    ) -> Awaitable[InvokeOutcome]:
        """As `invoke`, but the child's end is returned and never raised."""
        return self._scope.invoke(id, target, input, "try", options)

    def start(
        self,
        id: str,
        target: Target | str,
        input: Any = None,
        **options: Unpack[InvokeKeywords],
    ) -> Awaitable[StartedRun]:
        """Start a child run and go on; durable when it returns.

        The child is cancelled with a cancelled parent, not by its completion or
        failure. The handle can be awaited for the result, also after a restart.
        """
        return self._scope.invoke(id, target, input, "start", options)

    def sleep(
        self,
        id: str,
        duration: Duration | None = None,
        *,
        until: datetime | None = None,
    ) -> Awaitable[None]:
        """Sleep for a duration or until an aware datetime, through restarts too.

        The deadline is stored once, in UTC; a past one is due at once. A sleeping run
        costs no thread.

        Raises:
            InvalidDuration: neither or both are given, or the value is none.
        """
        return self._scope.sleep(id, duration, until)

    def wait_for_event(
        self,
        id: str,
        event: str,
        *,
        match: Mapping[str, Any] | None = None,
        timeout: Duration | None = None,
    ) -> Awaitable[Event | None]:
        """Wait until an event of that name is sent, through restarts too.

        Each event is delivered once. Those sent with `run=` are kept until their run
        waits; others reach whoever waits at that moment. Costs no thread.

        Args:
            id: the step's name.
            event: name of the event.
            match: dotted paths and their values, as in `{"data.order": 17}`.
            timeout: from now, seconds or text; none by default.

        Returns:
            An awaitable of the `Event`, or of None on time-out.
        """
        return self._scope.wait_for_event(id, event, match, timeout)

    @overload
    def ask(
        self, id: str, question: str, *, timeout: Duration | None = None
    ) -> Awaitable[bool | None]: ...
    @overload
    def ask(
        self, id: str, question: str, type: type[T], *, timeout: Duration | None = None
    ) -> Awaitable[T | None]: ...
    @overload
    def ask(
        self, id: str, question: str, type: Any, *, timeout: Duration | None = None
    ) -> Awaitable[Any]: ...
    def ask(
        self,
        id: str,
        question: str,
        type: Any = bool,
        *,
        timeout: Duration | None = None,
    ) -> Awaitable[Any]:
        """Ask a person, and wait for the answer, through restarts too.

        Answered with `client.runs.answer(run_id, id, value)`, `nbflow answer RUN ID
        VALUE`, or where the run is shown.

        Args:
            id: the step's name.
            question: what is asked.
            type: of the answer: bool, str, a number, a Literal or Enum of choices, or
                a pydantic model (a form).
            timeout: from now, seconds or text; none by default.

        Returns:
            An awaitable of the answer, or of None on time-out.

        Raises:
            InvalidOption: of such a type no form can be made.
        """
        return self._scope.ask(id, question, type, timeout)

    def send_event(
        self, id: str, name: str, data: Any = None, *, run: str | None = None
    ) -> Awaitable[None]:
        """Send an event, once, to a run or to all of this app that wait for it now.

        Args:
            id: the step's name.
            name: of the event.
            data: any value that can be stored.
            run: id of a run for which it is kept until that run waits.

        Raises:
            RunNotFound, RunFinished: there is no such run, or it is over.
        """
        return self._scope.send_event(id, name, data, run)

    def group(self, name: str) -> AbstractAsyncContextManager[None]:
        """Show the steps inside as one group; their ids are its own."""
        return self._scope.group(name)

    def log(self, message: str, level: Level = "info", **attributes: Any) -> None:
        """Add a line to the log of the running step or body."""
        self._scope.log(message, level, "ctx", attributes)

    def progress(
        self, done: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Say how far the running step or body has come."""
        self._scope.progress(done, total, message)

    def emit(self, name: str, data: Any, key: str | None = None) -> None:
        """Add data to the run's events; of equal keys the last one counts.

        Raises:
            NotSerializable: `data` cannot be stored.
        """
        self._scope.emit(name, data, key)

    def now(self) -> datetime:
        """The time in UTC, recorded: the same on every re-entry."""
        return self._scope.now()

    def random(self) -> float:
        """A random number in [0, 1), recorded: the same on every re-entry."""
        return self._scope.random()

    def uuid(self) -> UUID:
        """A random UUID, recorded: the same on every re-entry."""
        return self._scope.uuid()

    def cancel(self, reason: str | None = None) -> None:
        """End this run as canceled, its children with it. Does not return."""
        self._scope.cancel(reason)

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._scope.facts.run_id

    @property
    def workflow(self) -> str:
        """The workflow's name."""
        return self._scope.facts.workflow

    @property
    def app(self) -> str:
        """The workflow's app."""
        return self._scope.facts.app

    @property
    def input(self) -> Any:
        """The run's validated input."""
        return self._scope.facts.input

    @property
    def headers(self) -> Mapping[str, str]:
        """What the invoker passed beside the input."""
        return self._scope.facts.headers

    @property
    def label(self) -> str | None:
        """The run's label."""
        return self._scope.facts.label

    @property
    def attempt(self) -> int:
        """The try of this body, from 1."""
        return self._scope.facts.attempt

    @property
    def parent(self) -> str | None:
        """Id of the run that invoked this one."""
        return self._scope.facts.parent

    @property
    def root_run_id(self) -> str:
        """Id of the topmost run of the tree."""
        return self._scope.facts.root_run_id

    @property
    def depth(self) -> int:
        """How many runs stand above this one."""
        return self._scope.facts.depth

    @property
    def step(self) -> StepInfo | None:
        """The running step, None in the body."""
        return self._scope.current_step()


current_context: ContextVar[Context | None] = ContextVar("context", default=None)


class _OutsideScope:
    """Stands in where no run is: `log` and `progress` print, the rest explains."""

    def log(
        self, message: str, level: str, source: str, attributes: Mapping[str, Any]
    ) -> None:
        more = "".join(f" {key}={value!r}" for key, value in attributes.items())
        print(safe_text(f"{level}: {message}{more}"), file=sys.stderr)

    def progress(self, done: float, total: float | None, message: str | None) -> None:
        of = "" if total is None else f"/{total:g}"
        text = f"{done:g}{of} {message or ''}".rstrip()
        print(safe_text(text), file=sys.stderr)

    def emit(self, name: str, data: Any, key: str | None) -> None:
        """Nobody listens."""

    def current_step(self) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(
            f"nbflow.current() was asked for {name!r} outside a run: only log, "
            "progress and emit work there. Call it inside a workflow body or a step."
        )


def current() -> Context:
    """The context of the running body or step.

    Outside a run it is one whose `log` and `progress` print, so that a step's function
    can be called as a plain function.
    """
    context = current_context.get()
    return Context(_OutsideScope()) if context is None else context

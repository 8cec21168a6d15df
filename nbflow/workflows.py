"""What users write: `@workflow`, `@step`, `reference` and `resource`.

A `Workflow` is the face of a `WorkflowSpec`; `.invoke` hands it to this process's
engine.
"""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import asdict, is_dataclass, replace
from functools import update_wrapper
from typing import (
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from pydantic import BaseModel, TypeAdapter, ValidationError

from nbflow import codecs, names
from nbflow._engine.hosts import OpenHost
from nbflow.client import RunHandle
from nbflow.codecs import Unresolved
from nbflow.context import Context, Duration, RetryDelay, StepKeywords, current_context
from nbflow.definition import registry
from nbflow.definition.apps import default_app
from nbflow.definition.inputs import UNKNOWN, InputModel
from nbflow.definition.spec import StepSpec, Target, WorkflowSpec
from nbflow.engine import process_host
from nbflow.errors import DefinitionError, InvalidInput, InvalidOption, InvokeError
from nbflow.policy import FlowControl, RunOptions, StepOptions

P = ParamSpec("P")
T = TypeVar("T")

_STEP_OPTIONS = frozenset(StepOptions.__dataclass_fields__)


class WorkflowKeywords(TypedDict, total=False):
    """Options of `@workflow`."""

    name: str | None
    app: str | None
    retries: int
    retry_delay: RetryDelay | None
    timeout: Duration | None
    flow_control: FlowControl | None
    on_failure: "Target | str | None"


class RunKeywords(TypedDict, total=False):
    """Options of one run."""

    run_id: str | None
    headers: Mapping[str, str] | None
    label: str | None
    retries: int
    retry_delay: RetryDelay | None
    timeout: Duration | None
    flow_control: FlowControl | None
    delay: Duration | None


class Workflow(Generic[P, T]):
    """A durable workflow: invoke it, and its finished steps are never lost.

    Attributes:
        spec: the definition, as engines use it.
    """

    __nbflow_workflow__ = True

    def __init__(self, spec: WorkflowSpec, run: RunKeywords | None = None) -> None:
        self.spec = spec
        self._run: RunKeywords = {} if run is None else run
        update_wrapper(self, spec.fn, updated=())

    def __repr__(self) -> str:
        return f"<Workflow {self.name!r} of app {self.app!r}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"workflow {self.name!r} was called like a function: use "
            f"{self.fn.__name__}.invoke(…) to start a run, ctx.invoke(…) inside "
            f"another workflow, or {self.fn.__name__}.fn(ctx, …) for the plain function"
        )

    @property
    def name(self) -> str:
        """The workflow's name, unique in its app."""
        return self.spec.name

    @property
    def app(self) -> str:
        """The namespace it belongs to."""
        return self.spec.app

    @property
    def target_app(self) -> str | None:
        """None: `ctx.invoke` runs it in the caller's app."""
        return None

    @property
    def fn(self) -> Callable[..., Any]:
        """The plain function."""
        return self.spec.fn

    @property
    def input_schema(self) -> dict[str, Any]:
        """JSON schema of the input."""
        return self.spec.inputs.input_schema

    @property
    def output_schema(self) -> dict[str, Any] | None:
        """JSON schema of the result; None without a return annotation."""
        return self.spec.inputs.output_schema

    @property
    def source(self) -> str | None:
        """The function's text; None when Python cannot find it."""
        return self.spec.source

    @property
    def definition(self) -> str:
        """Hash of the body and the functions beside it that it names."""
        return self.spec.definition

    def options(self, **options: Unpack[RunKeywords]) -> "Workflow[P, T]":
        """A copy to invoke with other options.

        Args:
            options: `run_id` (an existing run of it is attached, taken or resumed),
                `headers`, `label`, `retries`, `retry_delay`, `timeout` and `delay`
                (durations).

        Raises:
            DefinitionError: one of its kinds, naming the option, value and rule.
        """
        merged: RunKeywords = {**self._run, **options}
        check_run_keywords(merged)
        return Workflow(self.spec, merged)

    def invoke(self, *args: P.args, **kwargs: P.kwargs) -> RunHandle[T]:
        """Start a run, called as the function is, without the context.

        Returns at once; the run's record is committed before any of its code runs. An
        engine of the app is started in this process if there is none.

        Raises:
            InvalidInput: naming workflow, field, value and rule; nothing is recorded.
            EngineBusy: another process runs the app's engine.
        """
        try:
            values = self.spec.inputs.validate_call(args, kwargs)
        except InvalidInput as error:
            hint = self._hint(error)
            if hint is None:
                raise
            told = f"{error} {hint}"
            problems = error.problems
        else:
            return start_run(process_host(self.app), self.spec, values, self._run)
        raise InvalidInput(told, problems=problems, workflow=self.name)

    def _hint(self, error: InvalidInput) -> str | None:
        """Where the options of a run go that were given with its input."""
        wrong = error.problems.items()
        known = RunKeywords.__annotations__
        given = [
            f"{name}=…" for name, rule in wrong if rule == UNKNOWN if name in known
        ]
        if not given:
            return None
        call = f"{self.fn.__name__}.options({', '.join(given)}).invoke(…)"
        return f"Options of a run are set before: {call}."


def start_run(
    host: OpenHost, spec: WorkflowSpec, values: Mapping[str, Any], run: RunKeywords
) -> RunHandle[Any]:
    """Hand a validated invocation to an engine."""
    wake = None
    if run.get("delay") is not None:
        wake = host.wake_after(run["delay"])
    ticket = host.invoke(
        spec,
        values,
        run_id=run.get("run_id"),
        headers=run.get("headers"),
        label=run.get("label"),
        options=run_options(run),
        wake=wake,
    )
    return RunHandle(ticket.run_id, host=host, ticket=ticket, workflow=spec.name)


def run_options(run: RunKeywords) -> RunOptions | None:
    """Those options of a run that are recorded with it."""
    known = RunOptions.__dataclass_fields__
    given = {key: value for key, value in run.items() if key in known}
    given.pop("delay", None)
    return RunOptions(**given) if given else None  # type: ignore[arg-type]


def check_run_keywords(run: RunKeywords) -> None:
    """Validate options of a run where they are given."""
    for key in run:
        if key not in RunKeywords.__annotations__:
            known = ", ".join(sorted(RunKeywords.__annotations__))
            raise InvalidOption(
                f"{key!r} is no option of a run; known: {known}", option=key
            )
    run_id = run.get("run_id")
    if run_id is not None:
        names.check_run_id(run_id)
    label = run.get("label")
    if label is not None:
        names.check_label(label)
    run_options(run)


Body = Callable[Concatenate[Context, P], Coroutine[Any, Any, T]]


@overload
def workflow(
    fn: Callable[Concatenate[Context, P], Coroutine[Any, Any, T]], /
) -> Workflow[P, T]: ...
@overload
def workflow(fn: Callable[Concatenate[Context, P], T], /) -> Workflow[P, T]: ...
@overload
def workflow(**options: Unpack[WorkflowKeywords]) -> "_Decorator": ...
def workflow(fn: Any = None, /, **options: Any) -> Any:
    """Make a function a durable workflow: `@workflow` or `@workflow(retries=5)`.

    The parameters after `ctx` are the input's fields, validated before anything runs.
    An `async def` body calls its steps through `ctx`; a plain `def` is one durable unit
    in a thread of its own.

    Args:
        fn: the function; its first parameter receives the `Context`.
        options: `name` (the function's), `app` (that of the notebook or module),
            `retries` (tries after the first, 3) and `retry_delay`, for the body and
            as default of its steps, `timeout` (of the whole run, waits included,
            from its first start or from when a user resumed it), `flow_control`
            (limits of its steps, and of its body until the first of them),
            `on_failure` (a workflow that is started when a run has failed for good).

    Raises:
        DefinitionError: one of its kinds, naming the thing, its value and the rule.
    """
    if fn is None:
        return _Decorator(options)
    return _define(fn, options)


class _Decorator:
    """`@workflow(…)` before it meets its function."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        _check_workflow_keywords(options)
        self._options = options

    @overload
    def __call__(
        self, fn: Callable[Concatenate[Context, P], Coroutine[Any, Any, T]]
    ) -> Workflow[P, T]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[Context, P], T]) -> Workflow[P, T]: ...
    def __call__(self, fn: Any) -> Any:
        return _define(fn, self._options)


def _define(fn: Any, options: Mapping[str, Any]) -> Workflow[Any, Any]:
    if not inspect.isfunction(fn):
        raise DefinitionError(
            f"@workflow got {type(fn).__name__} {fn!r}: it takes a function, as in "
            "`@workflow` above `async def name(ctx, …)`"
        )
    name = names.check_workflow_name(options.get("name") or fn.__name__)
    app = options.get("app")
    app = default_app(fn.__module__) if app is None else names.check_app(app)
    given = {
        key: options[key]
        for key in ("retries", "retry_delay", "timeout", "flow_control")
        if key in options
    }
    spec = WorkflowSpec(
        name=name,
        app=app,
        fn=fn,
        inputs=InputModel(fn, name=name),
        options=RunOptions(**given),
        on_failure=options.get("on_failure"),
        has_own_app=options.get("app") is not None,
    )
    registry.add(spec)
    return Workflow(spec)


def _check_workflow_keywords(options: Mapping[str, Any]) -> None:
    for key in options:
        if key not in WorkflowKeywords.__annotations__:
            known = ", ".join(sorted(WorkflowKeywords.__annotations__))
            raise InvalidOption(
                f"{key!r} is no option of @workflow; known: {known}", option=key
            )


class Reference(Generic[T]):
    """A workflow that is addressed without being imported; made by `reference`."""

    def __init__(
        self, name: str, app: str | None, input: Any = None, output: Any = None
    ) -> None:
        self.name = names.check_workflow_name(name)
        self.target_app = None if app is None else names.check_app(app)
        self._input = None if input is None else TypeAdapter(input)
        self._output = None if output is None else TypeAdapter(output)
        self.output = output

    def __repr__(self) -> str:
        where = f" of app {self.target_app!r}" if self.target_app else ""
        return f"<reference to workflow {self.name!r}{where}>"

    @property
    def spec(self) -> WorkflowSpec | None:
        """None: it is looked up by name when it is invoked."""
        return None

    def payload(self, input: Any) -> Any:
        """The input in plain types, as another process can read it.

        Raises:
            InvalidInput: it is not of the type that was given as `input`.
        """
        adapter = self._input
        if adapter is not None:
            try:
                input = adapter.validate_python(input)
            except ValidationError as exc:
                problems = "; ".join(
                    f"{'.'.join(map(str, each['loc'])) or 'input'}: {each['msg']}"
                    for each in exc.errors()
                )
                raise InvalidInput(
                    f"the input for workflow {self.name!r} does not fit: {problems}",
                    workflow=self.name,
                ) from None
        if isinstance(input, BaseModel):
            return input.model_dump()
        if is_dataclass(input) and not isinstance(input, type):
            return asdict(input)
        return input

    def result(self, value: Any) -> T:
        """A result as the type that was given as `output`.

        Raises:
            InvokeError: it does not fit; names the workflow, each value and rule.
        """
        if self._output is None:
            return value  # type: ignore[no-any-return]
        try:
            made: T = self._output.validate_python(_bare(value), from_attributes=True)
        except ValidationError as exc:
            where = f" of app {self.target_app!r}" if self.target_app else ""
            problems = "; ".join(
                f"{'.'.join(map(str, each['loc'])) or 'it'} is "
                f"{codecs.preview(each['input'])}: {each['msg']}"
                for each in exc.errors()
            )
            raise InvokeError(
                f"the result of workflow {self.name!r}{where} is no "
                f"{_type_name(self.output)}: {problems}. Correct output= of the "
                "reference, or the workflow, and resume the run",
                workflow=self.name,
            ) from None
        return made


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _bare(value: Any) -> Any:
    """A value without the classes that only the other process has."""
    if isinstance(value, Unresolved):
        return _bare(value.data)
    if isinstance(value, dict):
        return {key: _bare(each) for key, each in value.items()}
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(map(_bare, value))
    return value


@overload
def reference(
    name: str, *, app: str | None = None, input: Any = None, output: type[T]
) -> Reference[T]: ...
@overload
def reference(
    name: str, *, app: str | None = None, input: Any = None, output: Any = None
) -> Reference[Any]: ...
def reference(
    name: str, *, app: str | None = None, input: Any = None, output: Any = None
) -> Reference[Any]:
    """Address a workflow of another notebook or process, without importing it.

    For `ctx.invoke`, `ctx.try_invoke` and `ctx.start`. The other app is served on this
    machine, in the same home: by its kernel, or by `nbflow serve`.

    Args:
        name: the workflow's name.
        app: its app; the caller's if None.
        input: type of its input, which is validated before anything is sent.
        output: type of its result, which the value is made.

    Raises:
        DefinitionError: one of its kinds, naming the value and the rule.
    """
    return Reference(name, app, input, output)


class Step(Generic[P, T]):
    """A function that is a durable step inside a run, and itself outside of one."""

    def __init__(self, spec: StepSpec) -> None:
        self.__nbflow_step__ = spec
        update_wrapper(self, spec.fn, updated=())

    def __repr__(self) -> str:
        return f"<Step {self.id!r}>"

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None:
            return self
        bound = self.fn.__get__(instance, owner)
        return Step(replace(self.__nbflow_step__, fn=bound))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """In a workflow's body an awaitable step; elsewhere the plain call."""
        context = current_context.get()
        if context is None or context.step is not None:
            result: T = self.fn(*args, **kwargs)
            return result
        given: StepKeywords = {"kwargs": kwargs} if kwargs else {}
        call: Any = context._scope.step(None, self, args, given)
        return call  # type: ignore[no-any-return]

    @property
    def fn(self) -> Callable[..., Any]:
        """The plain function."""
        return self.__nbflow_step__.fn

    @property
    def id(self) -> str:
        """The step's name."""
        return self.__nbflow_step__.id

    def options(self, **options: Any) -> "Step[P, T]":
        """A copy with other options (those of `ctx.run`, and `id`)."""
        spec = self.__nbflow_step__
        id = options.pop("id", spec.id)
        merged = spec.options.merged(_step_options(options))
        return Step(StepSpec(spec.fn, names.check_id(id), merged))


@overload
def step(fn: Callable[P, Awaitable[T]], /) -> Step[P, Awaitable[T]]: ...
@overload
def step(fn: Callable[P, T], /) -> Step[P, Any]: ...
@overload
def step(*, id: str | None = None, **options: Any) -> Callable[..., Any]: ...
def step(fn: Any = None, /, *, id: str | None = None, **options: Any) -> Any:
    """Make a function a step: `await fn(…)` in a workflow's body is durable.

    Outside a run it just executes: a sync function returns its value, an async one
    its coroutine.

    Args:
        fn: the function, sync or async.
        id: the step's name; the function's if None.
        options: those of `ctx.run`.
    """
    if fn is None:
        checked = _step_options(options)
        return lambda function: _make_step(function, id, checked)
    return _make_step(fn, id, _step_options(options))


def _make_step(fn: Any, id: str | None, options: StepOptions) -> Step[Any, Any]:
    if not callable(fn):
        raise DefinitionError(
            f"@step got {type(fn).__name__} {fn!r}: it takes a function"
        )
    return Step(StepSpec(fn, names.check_id(id or fn.__name__), options))


def _step_options(options: Mapping[str, Any]) -> StepOptions:
    for key in options:
        if key not in _STEP_OPTIONS:
            raise InvalidOption(
                f"{key!r} is no option of a step; known: "
                f"{', '.join(sorted(_STEP_OPTIONS))}",
                option=key,
            )
    retry_on = options.get("retry_on")
    if isinstance(retry_on, type):
        options = {**options, "retry_on": (retry_on,)}
    return StepOptions(**options)

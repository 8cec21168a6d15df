"""The body of a run: entered, ended, retried; and everything that it may call.

`LiveRun` is the engine's implementation of `context.Scope`.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from datetime import datetime
from functools import cached_property, partial
from types import TracebackType
from typing import Any, Literal
from uuid import UUID

from nbflow import codecs, names
from nbflow._engine import (
    capture,
    failure,
    invokes,
    mapping,
    retry,
    said,
    sleeps,
    waits,
)
from nbflow._engine.branches import Branch, current_branch, current_step
from nbflow._engine.ending import Ending, stored_error
from nbflow._engine.functions import function_facts, refuse_coroutine
from nbflow._engine.life import Life
from nbflow._engine.limits import timed_out
from nbflow._engine.options import body_rules
from nbflow._engine.results import as_stored, encode_result
from nbflow._engine.steps import StepCall
from nbflow._engine.timers import iso
from nbflow._store.payload import from_json, to_json, value_member
from nbflow.context import (
    Context,
    InvokeKeywords,
    RunFacts,
    StepInfo,
    StepKeywords,
    current_context,
)
from nbflow.definition.spec import Target
from nbflow.errors import Canceled, InvokedRunFailed, StepError
from nbflow.model import EventType, RunStatus, from_micros

_NOTHING: Mapping[str, Any] = {}


class LiveRun(Life):
    """The body of a run, and everything that it may call."""

    @cached_property
    def facts(self) -> RunFacts:
        """What the body may know of its run."""
        journal = self.journal
        return RunFacts(
            journal.id,
            journal.workflow,
            self.core.app,
            self.spec.inputs.payload(self.values),
            journal.header_map(),
            journal.label,
            journal.attempt,
            journal.parent_id,
            journal.root_id,
            journal.depth,
        )

    # The life

    def begin(self) -> None:
        """Enter the body; the run's record is committed."""
        if self.is_closed:
            return
        # Not in that of whoever commits: it may be another run's body.
        context = self.core.context.copy()
        body = self._drive(context.run(self._enter))
        self._body = asyncio.Task(body, loop=self.loop, context=context)
        self._arm_deadline()

    def _enter(self) -> Context:
        """Set the body's context variables, in its own context."""
        ctx = Context(self)
        current_branch.set(Branch(self, "", None, False))
        current_step.set(None)
        current_context.set(ctx)
        capture.current_sink.set(self)
        return ctx

    async def _drive(self, ctx: Context) -> None:
        try:
            args, kwargs = self.spec.inputs.call(self.values)
            if self.spec.is_async:
                value = await self.spec.fn(ctx, *args, **kwargs)
            else:
                work = partial(self.spec.fn, ctx, *args, **kwargs)
                value = await self._in_thread(work)
        except BaseException as exc:
            self._body = None  # it returns by itself, and a circle would keep both
            capture.finish(self)
            self._raised(exc)
        else:
            self._body = None
            capture.finish(self)
            self._returned(value)

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        core = self.core
        future = core.threads.run(self.loop, copy_context(), work)
        slot, self.journal.slot = self.journal.slot, None  # until the thread has ended
        try:
            outcome = await future
        finally:
            if slot is not None:
                core.threads.when_ended(future, partial(core.flow.leave, slot))
        return outcome.unwrap()

    def _returned(self, value: Any) -> None:
        if self.is_closed:
            return
        try:
            payload = encode_result(value, self.spec.fn, self.spec.name)
            member = value_member(payload, self.core.commits.put_blob)
        except Exception as exc:
            self._raised(exc)
            return
        if not payload.plain:
            value = as_stored(payload, self.spec.fn)
        self.finish(Ending(RunStatus.COMPLETED, value=value, member=member))

    def _raised(self, exc: BaseException) -> None:
        """The body ended badly: try again, or fail."""
        if self.is_closed:
            if failure.control(exc) is None:
                self.core.note_late(self.journal.id, exc)
            return
        control = failure.control(exc)
        if isinstance(control, Canceled):
            return
        details = self._details(exc)
        failed = retry.Failure.of(exc)
        decision = retry.decide(
            failed,
            self.journal.attempt - 1 - self.journal.spent,
            body_rules(self.spec.options, self.journal.options),
            self.core.clock.random,
            self.core.clock.micros(),
        )
        if isinstance(decision, retry.GiveUp):
            self.finish(Ending(RunStatus.FAILED, error=details, exception=exc))
            return
        told = retry.warning(failed)
        if told is not None:
            said.log(self, told, "warning", "engine", None, None)
        retry_at = self.core.clock.micros() + round(decision.delay * 1e6)
        self.journal.append(
            EventType.RUN_RETRYING.value,
            attempt=self.journal.attempt,
            data=to_json(
                {
                    "error": details,
                    "retry_at": iso(retry_at),
                    "_retry_at": retry_at,
                }
            ),
        )
        self.close()
        self.core.commits.flush_soon()
        self.core.retry_body(self.journal, retry_at)

    def _details(self, exc: BaseException) -> dict[str, Any]:
        """What is recorded of the error: a step's own, where one was not caught."""
        leaf = exc
        while isinstance(leaf, BaseExceptionGroup) and len(leaf.exceptions) == 1:
            leaf = leaf.exceptions[0]
        if isinstance(leaf, StepError) and leaf.error is not None:
            return stored_error(leaf.error)
        invoked = getattr(leaf, "error", None)
        if isinstance(leaf, InvokedRunFailed) and invoked is not None:
            return stored_error(invoked)
        return failure.describe(exc, codecs.redact, run_id=self.journal.id)

    def _arm_deadline(self) -> None:
        due = self.journal.deadline()
        if due is not None:
            self._deadline = self.core.timers.call_at(due, self._expire)

    def _expire(self) -> None:
        if not self.is_closed:
            self.finish(timed_out(self.journal))

    def end_canceled(self, reason: str | None, by: str) -> None:
        """End the run as canceled; what it is doing is interrupted, not used."""
        # `ctx.cancel` raises by itself where it is called.
        raises = asyncio.current_task(self.loop) if by == "workflow" else None
        self.finish(Ending(RunStatus.CANCELED, reason=reason, by=by), raises)

    def leave(self) -> None:
        """The engine closes: interrupt the body, record nothing."""
        self.close()

    # Steps

    def step(
        self,
        id: str | None,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        options: StepKeywords,
    ) -> StepCall:
        """A step that calls `fn`."""
        spec = getattr(fn, "__nbflow_step__", None)
        if id is None:
            refuse_coroutine("?", fn)
            id = spec.id if spec is not None else function_facts(fn).label
        branch = self.branch_for(id)
        key = branch.key(names.check_id(id))
        if spec is not None:
            fn = spec.fn
        elif not callable(fn):
            refuse_coroutine(id, fn)
        if key == self.journal.from_step and self.journal.step_input is not None:
            args = tuple(self.journal.step_input)
        if not options and spec is None:
            return StepCall(self, key, fn, args, _NOTHING, self.defaults)
        policy = self.policy(spec.options if spec is not None else None, options)
        kwargs = options.get("kwargs") or _NOTHING
        return StepCall(self, key, fn, args, kwargs, policy)

    def map(
        self,
        id: str,
        target: Callable[..., Any] | Target,
        items: Iterable[Any],
        key: Callable[[Any], object] | None,
        limit: int,
        errors: str,
        options: Mapping[str, Any],
    ) -> Any:
        """One step or child per item."""
        branch = self.branch_for(names.check_id(id))
        return mapping.start(
            self, branch, id, target, items, key, limit, errors, options
        )

    def invoke(
        self,
        id: str,
        target: Target | str,
        input: Any,
        mode: Literal["invoke", "try", "start"],
        options: InvokeKeywords,
    ) -> Any:
        """A step that starts a child run."""
        branch = self.branch_for(names.check_id(id))
        key = branch.key(id)
        return invokes.InvokeCall(self, key, target, input, mode, options)

    def sleep(self, id: str, duration: Any, until: datetime | None) -> Any:
        """A step that ends at a stored time."""
        branch = self.branch_for(names.check_id(id))
        return sleeps.SleepCall(self, branch.key(id), duration, until)

    def wait_for_event(
        self, id: str, event: str, match: Mapping[str, Any] | None, timeout: Any
    ) -> Any:
        """A step that ends with an event."""
        branch = self.branch_for(names.check_id(id))
        name = names.check_event_name(event)
        return waits.WaitCall(self, branch.key(id), name, match, timeout)

    def ask(self, id: str, question: str, type: Any, timeout: Any) -> Any:
        """A step that ends with a person's answer."""
        branch = self.branch_for(names.check_id(id))
        return waits.AskCall(self, branch.key(id), question, type, timeout)

    def send_event(self, id: str, name: str, data: Any, run: str | None) -> Any:
        """A step that sends an event."""
        branch = self.branch_for(names.check_id(id))
        return waits.SendCall(self, branch.key(id), name, data, run)

    def group(self, name: str) -> AbstractAsyncContextManager[None]:
        """A branch of that name."""
        self.branch_for(names.check_id(name, what="group name"))
        return _Group(name)

    # What the run says

    def log(
        self, message: str, level: str, source: str, attributes: Mapping[str, Any]
    ) -> None:
        """A line of the running step or body."""
        said.log(self, str(message), level, source, attributes, current_step.get())

    def progress(self, done: float, total: float | None, message: str | None) -> None:
        """How far the running step or body has come."""
        said.progress(self, done, total, message, current_step.get())

    def emit(self, name: str, data: Any, key: str | None) -> None:
        """Data for whoever watches the run."""
        scope = current_step.get()
        payload = codecs.encode(data, given="data")
        member = value_member(payload, self.core.commits.put_blob)
        head = to_json({"name": names.check_event_name(name), "key": key})
        said.say(self, EventType.DATA.value, head[:-1] + b"," + member + b"}", scope)

    def line(self, text: str, level: str, source: str, replace: bool) -> None:
        """A line that the body prints or logs."""
        said.log(self, text, level, source, None, None, replace)

    def resource(self, owner: Any, factory: Callable[[], Any]) -> Any:
        """The engine's object of a resource, made on the loop at first use."""
        made = self.core.resources
        if owner in made:
            return made[owner]
        if self.on_loop():
            made[owner] = factory()
            return made[owner]
        return asyncio.run_coroutine_threadsafe(
            _make(self, owner, factory), self.loop
        ).result()

    # Values that a body may not make itself

    def now(self) -> datetime:
        """The recorded time."""
        return from_micros(self._value("now", self.core.clock.micros))

    def random(self) -> float:
        """A recorded random number."""
        number: float = self._value("random", self.core.clock.random.random)
        return number

    def uuid(self) -> UUID:
        """A recorded random UUID."""
        return UUID(self._value("uuid", lambda: str(self.core.clock.uuid())))

    def _value(self, kind: str, make: Callable[[], Any]) -> Any:
        key = self.branch_for(kind).key(kind)
        if self.memo is not None:
            found = self.memo.outcomes.get(key)
            if found is not None:
                return from_json(found.data)["_value"]
        value = make()
        data = to_json({"kind": kind, "_value": value})
        self.journal.append(EventType.STEP_COMPLETED.value, key, data=data)
        self.core.commits.flush_later()
        return value

    def cancel(self, reason: str | None) -> None:
        """End the run from inside."""
        message = f"run {self.journal.id} canceled itself"
        if self.on_loop():
            self.core.cancel_live(self, reason, "workflow")
        else:
            self.loop.call_soon_threadsafe(
                self.core.cancel_live, self, reason, "workflow"
            )
        raise Canceled(message, run_id=self.journal.id)

    def current_step(self) -> StepInfo | None:
        """The running step."""
        scope = current_step.get()
        return scope.info() if scope is not None else None


async def _make(run: LiveRun, owner: Any, factory: Callable[[], Any]) -> Any:
    return run.resource(owner, factory)


class _Group:
    """`async with ctx.group(name)`: the task's branch for as long as it is open."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._former: Branch | None = None

    async def __aenter__(self) -> None:
        self._former = current_branch.get()
        if self._former is not None:
            current_branch.set(self._former.group(self._name))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not GeneratorExit:  # else Python closes it, in any context
            current_branch.set(self._former)

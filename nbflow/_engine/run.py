"""One life of a run: its body, its tasks, and everything the body may call.

A life begins when a body is entered (first start, retry, resume, recovery) and ends
with the body. `LiveRun` is the engine's implementation of `context.Scope`.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from datetime import datetime
from functools import cached_property, partial
from math import isfinite
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from nbflow import codecs, names
from nbflow._engine import (
    capture,
    failure,
    history,
    invokes,
    mapping,
    retry,
    sleeps,
    waits,
)
from nbflow._engine.branches import Branch, current_branch, current_step
from nbflow._engine.ending import Ending, stored_error
from nbflow._engine.gate import Gate
from nbflow._engine.limits import timed_out
from nbflow._engine.memo import Memo
from nbflow._engine.options import StepPolicy, body_rules, step_policy
from nbflow._engine.steps import (
    StepCall,
    StepScope,
    encode,
    function_facts,
    refuse_coroutine,
)
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
from nbflow.errors import (
    Canceled,
    ContextClosed,
    InvokedRunFailed,
    NestedStep,
    StepError,
)
from nbflow.model import EventType, RunStatus, from_micros, step_label

if TYPE_CHECKING:
    from nbflow._engine.core import Child, Core
    from nbflow._engine.journal import Journal

LINGER = 0.5
"""Seconds that code may keep swallowing its cancellation before it is left behind."""

_NOTHING: Mapping[str, Any] = {}


class LiveRun:
    """A run whose body is being executed."""

    def __init__(
        self, core: "Core", journal: "Journal", memo: Memo | None, is_changed: bool
    ) -> None:
        assert journal.spec is not None
        self.core = core
        self.loop = core.loop
        self.journal = journal
        self.spec = journal.spec
        self.memo = memo
        self.is_changed = is_changed
        self.is_closed = False
        self.is_live = memo is None  # whether a step was executed in this life
        self.gate: Gate | None = None
        if memo is not None:
            self.gate = Gate(self.loop, lambda: self.is_single)
            self.gate.expect(memo.ordered())
        self.children: dict[str, Child] = {}
        self.defaults = core.specs.default_policy(journal)
        self.settled: list[tuple[str, asyncio.Future[Any], Any]] = []
        self._body: asyncio.Task[Any] | None = None
        self._started: list[asyncio.Task[Any]] = []  # by the body
        self._many = 64
        self._deadline: Any = None
        self.values = journal.values

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

    @property
    def is_single(self) -> bool:
        """Whether the body's task is all there is of the run."""
        started = self._started
        while started and started[-1].done():
            started.pop()
        return not started

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """The tasks of the run that have not ended."""
        tasks = [task for task in self._started if not task.done()]
        if self._body is not None and not self._body.done():
            tasks.append(self._body)
        return tasks

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Own a task that code of the body has started."""
        # Not a set with a callback for each: that would cost every task a loop turn.
        started = self._started
        started.append(task)
        if len(started) > self._many:
            started[:] = [task for task in started if not task.done()]
            self._many = max(64, 2 * len(started))

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
        outcome = await self.core.threads.run(self.loop, copy_context(), work)
        return outcome.unwrap()

    def _returned(self, value: Any) -> None:
        if self.is_closed:
            return
        try:
            payload = encode(value, self, self.spec.fn)
            member = value_member(payload, self.core.commits.put_blob)
        except Exception as exc:
            self._raised(exc)
            return
        if not payload.plain:
            value = codecs.decode(
                payload.text,
                {part.digest: part.data for part in payload.parts}.__getitem__,
                self.classes(self.spec.fn),
            )
        self._finish(Ending(RunStatus.COMPLETED, value=value, member=member))

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
        decision = retry.decide(
            retry.Failure.of(exc),
            self.journal.attempt - 1 - self.journal.spent,
            body_rules(self.spec.options, self.journal.options),
            self.core.clock.random,
            self.core.clock.micros(),
        )
        if isinstance(decision, retry.GiveUp):
            self._finish(Ending(RunStatus.FAILED, error=details, exception=exc))
            return
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
        self._close()
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
            self._finish(timed_out(self.journal))

    def fail_leaving(self, key: str, attempt: int, exc: BaseException) -> None:
        """A step raised SystemExit or its like: the run fails, the engine lives."""
        details = failure.describe(
            exc, codecs.redact, step=step_label(key), run_id=self.journal.id
        )
        data = to_json({"error": details, "attempts": attempt})
        self.journal.append(EventType.STEP_FAILED.value, key, attempt, data=data)
        self._finish(Ending(RunStatus.FAILED, error=details, exception=exc))

    def end_canceled(self, reason: str | None, by: str) -> None:
        """End the run as canceled; what it is doing is interrupted, not used."""
        # `ctx.cancel` raises by itself where it is called.
        raises = asyncio.current_task(self.loop) if by == "workflow" else None
        self._finish(Ending(RunStatus.CANCELED, reason=reason, by=by), raises)

    def leave(self) -> None:
        """The engine closes: interrupt the body, record nothing."""
        self._close()

    def _finish(self, ending: Ending, raises: asyncio.Task[Any] | None = None) -> None:
        if self.is_closed:
            return
        self._close(raises)
        self.core.finish(self, ending)

    def _close(self, raises: asyncio.Task[Any] | None = None) -> None:
        """End this life; a task that `raises` by itself is given a moment for it."""
        self.is_closed = True
        self.core.release(self.journal)
        if self.gate is not None:
            self.gate.close()
        if self._deadline is not None:
            self._deadline.cancel()
        if self._body is None and not self._started:
            return  # the usual end: nothing else is going on
        self._interrupt(self.tasks, self.loop.time() + LINGER, raises)

    def _interrupt(
        self,
        tasks: list[asyncio.Task[Any]],
        until: float,
        spared: asyncio.Task[Any] | None = None,
    ) -> None:
        """Cancel tasks until they end; code that swallows it for ever is left."""
        left = [task for task in tasks if not task.done()]
        for task in left:
            if task is not spared:
                task.cancel()
        if not left:
            return
        if self.loop.time() < until:
            self.loop.call_later(0.05, self._interrupt, left, until)
        else:
            self.core.note_left_behind(self.journal.id, left)

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

    def policy(self, own: Any, options: Mapping[str, Any]) -> StepPolicy:
        """The options of a step: the call's, else the step's, else the workflow's."""
        return step_policy(self.spec.options, self.journal.options, options, own)

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

    def branch_for(self, id: str) -> Branch:
        """The branch that calls; raises where no step may be called."""
        step = current_step.get()
        if step is not None:
            raise NestedStep(
                f"step {id!r} was called inside step {step_label(step.key)!r}: steps "
                "do not nest, for an inner one could not be recorded on its own. Call "
                "it from the workflow's body, or as a plain function.",
                run_id=self.journal.id,
                step=id,
            )
        branch = current_branch.get()
        if branch is None or branch.run is not self or not self._on_loop():
            raise self._wrong_place(id)
        self.check_open(id)
        return branch

    def _wrong_place(self, id: str) -> ContextClosed:
        self.check_open(id)
        sync = "" if self.spec.is_async else " Make the workflow an `async def`."
        return ContextClosed(
            f"step {id!r} was called outside the body of run {self.journal.id}: ctx "
            "belongs to the workflow's body and the tasks it starts, not to threads "
            f"or other runs.{sync}",
            run_id=self.journal.id,
            step=id,
        )

    def check_open(self, key: str) -> None:
        """Raise when this life is over."""
        if self.is_closed:
            raise ContextClosed(
                f"step {step_label(key)!r} was called after run {self.journal.id} had "
                "ended: await every step before the workflow returns",
                run_id=self.journal.id,
                step=step_label(key),
            )

    def settle(self, key: str) -> Awaitable[Any]:
        """Wait for the commit of an outcome, and for its turn among the others."""
        future: asyncio.Future[Any] = self.loop.create_future()
        self.deliver(key, future, None)
        return self.wait_turn(future, key)

    def deliver(self, key: str, future: "asyncio.Future[Any]", value: Any) -> None:
        """Hand `value` over in its turn, once the present batch is committed."""
        if not self.settled:
            self.core.commits.after(self._hand_over)
        self.settled.append((key, future, value))
        self.core.commits.flush_soon()

    async def wait_turn(self, future: "asyncio.Future[Any]", key: str) -> None:
        """Wait; a step whose outcome the body no longer wants counts as canceled."""
        try:
            await future
        except asyncio.CancelledError:
            if not self.is_closed:
                if self.gate is not None:
                    self.gate.took(key)
                self.journal.append(EventType.STEP_CANCELED.value, key)
                self.core.commits.flush_later()
            raise

    def _hand_over(self) -> None:
        settled, self.settled = self.settled, []
        if self.is_single and (self.gate is None or not self.gate.is_replaying):
            for _, future, value in settled:
                if not future.done():
                    future.set_result(value)
            return
        if self.gate is None:
            self.gate = Gate(self.loop, lambda: self.is_single)
        self.gate.deliver(settled)

    def supersede(self, key: str) -> None:
        """Note that a recorded outcome does not count any more."""
        if self.gate is not None:
            self.gate.took(key)
        data = to_json({"old_definition": self.journal.former_definition})
        self.journal.append(EventType.STEP_SUPERSEDED.value, key, data=data)
        self.core.commits.flush_later()

    def recorded_arguments(self, key: str) -> str:
        """The arguments that the store holds for a step, as text."""
        return history.recorded_arguments(self.core.store, self.journal.n, key)

    def classes(self, fn: Any) -> Mapping[str, type]:
        """Classes that annotations name, for values of types no module holds."""
        return history.annotated_classes(fn)

    # What the run says

    def log(
        self, message: str, level: str, source: str, attributes: Mapping[str, Any]
    ) -> None:
        """A line of the running step or body."""
        self.write_log(str(message), level, source, attributes, current_step.get())

    def progress(self, done: float, total: float | None, message: str | None) -> None:
        """How far the running step or body has come."""
        self.write_progress(done, total, message, current_step.get())

    def emit(self, name: str, data: Any, key: str | None) -> None:
        """Data for whoever watches the run."""
        scope = current_step.get()
        payload = codecs.encode(data)
        member = value_member(payload, self.core.commits.put_blob)
        head = to_json({"name": names.check_event_name(name), "key": key})
        self._say(EventType.DATA.value, head[:-1] + b"," + member + b"}", scope)

    def line(self, text: str, level: str, source: str, replace: bool) -> None:
        """A line that the body prints or logs."""
        self.write_log(text, level, source, None, None, replace)

    def write_log(
        self,
        message: str,
        level: str,
        source: str,
        attributes: Mapping[str, Any] | None,
        scope: StepScope | None,
        replace: bool = False,
    ) -> None:
        """Append a log line."""
        fields: dict[str, Any] = {
            "message": codecs.redact(message),
            "level": level,
            "source": source,
        }
        if attributes:
            fields["attributes"] = {
                key: codecs.preview(value) for key, value in attributes.items()
            }
        if replace:
            fields["replace"] = True
        self._say(EventType.LOG.value, to_json(fields), scope)

    def write_progress(
        self,
        done: float,
        total: float | None,
        message: str | None,
        scope: StepScope | None,
    ) -> None:
        """Append a progress event."""
        fields = {
            "done": _number(done),
            "total": _number(total),
            "message": None if message is None else codecs.redact(str(message)),
        }
        self._say(EventType.PROGRESS.value, to_json(fields), scope)

    def _say(self, type: str, data: bytes, scope: StepScope | None) -> None:
        if not self._on_loop():
            if self.is_closed:
                self._refuse_late()
            self.loop.call_soon_threadsafe(self._append_said, type, data, scope)
            return
        if self.is_closed:
            self._refuse_late()
        self._append_said(type, data, scope)

    def _append_said(self, type: str, data: bytes, scope: StepScope | None) -> None:
        if self.is_closed:
            return
        if scope is None:
            if not self.is_live and self.gate is not None and self.gate.is_replaying:
                return  # said in a former life already
            self.journal.append(type, data=data)
        else:
            self.journal.append(type, scope.key, scope.attempt, None, data)
        self.core.commits.flush_later()

    def _refuse_late(self) -> None:
        raise Canceled(
            f"run {self.journal.id} has ended: what this code still does is not used",
            run_id=self.journal.id,
        )

    def _on_loop(self) -> bool:
        return threading.get_ident() == self.core.commits.thread

    def resource(self, owner: Any, factory: Callable[[], Any]) -> Any:
        """The engine's object of a resource, made on the loop at first use."""
        made = self.core.resources
        if owner in made:
            return made[owner]
        if self._on_loop():
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
        if self._on_loop():
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


def _number(value: Any) -> float | None:
    """A count as JSON can hold it: numpy's are none of its numbers."""
    try:
        number = value if type(value) is int else float(value)
        return number if isfinite(number) else None
    except (TypeError, ValueError, OverflowError):
        return None


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

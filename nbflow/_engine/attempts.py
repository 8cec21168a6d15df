"""One attempt of a step: its function is called, on the loop or in a thread."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextvars import copy_context
from functools import partial
from inspect import isasyncgen, isawaitable
from types import CodeType
from typing import Any, Protocol, cast

from nbflow._engine import capture, said, streams
from nbflow._engine.branches import current_step
from nbflow._engine.functions import FunctionFacts, function_facts, is_async
from nbflow._engine.life import Life
from nbflow._engine.options import StepPolicy
from nbflow._engine.threads import Outcome
from nbflow._text import split_key
from nbflow.context import StepInfo
from nbflow.errors import StepTimeout, WrongLoop
from nbflow.model import step_label

_OTHER_LOOP = re.compile(r"(bound to|attached to) a different (event )?loop")
ATOMS = frozenset({int, str, float, bool, type(None), bytes, tuple})
"""Types of values that nobody awaits or changes."""


class Call(Protocol):
    """What an attempt needs of the call of a step."""

    run: Life
    key: str
    fn: Callable[..., Any]
    facts: FunctionFacts
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    policy: StepPolicy
    thread: "asyncio.Future[Any]"
    """That of a thread which goes on although the step was canceled."""


class StepScope:
    """A running attempt: where its prints, logs and progress go."""

    __slots__ = ("__weakref__", "attempt", "key", "run")

    def __init__(self, run: Life, key: str, attempt: int) -> None:
        self.run = run
        self.key = key
        self.attempt = attempt

    def line(self, text: str, level: str, source: str, replace: bool) -> None:
        """A line of output."""
        said.log(self.run, text, level, source, None, self, replace)

    def progress(self, done: float, total: float | None, message: str | None) -> None:
        """How far it has come."""
        said.progress(self.run, done, total, message, self)

    def info(self) -> StepInfo:
        """What the function may know of its step."""
        core, journal = self.run.core, self.run.journal
        return StepInfo(
            step_label(self.key),
            core.step_key(journal.id, self.key),
            self.attempt,
            partial(core.step_dir, journal.id, self.key),
        )


class Waiting(Exception):
    """A thread ran out of its time: the error, and the work that still goes on."""

    def __init__(self, error: StepTimeout, thread: "asyncio.Future[Any]") -> None:
        super().__init__()
        self.error = error
        self.thread = thread


async def make_attempt(call: Call, attempt: int) -> Any:
    """Call the function once."""
    fn, timeout = call.fn, call.policy.timeout
    in_process = call.policy.process
    if call.run.core.stubs:
        call.fn = _stubbed(call)
        in_process = in_process and call.fn is fn
        fn, call.facts = call.fn, function_facts(call.fn)
    scope = StepScope(call.run, call.key, attempt)
    step = current_step.set(scope)
    sink = capture.current_sink.set(scope)
    try:
        if in_process:
            value = await _in_process(call, timeout)
        elif timeout is not None:
            value = await _timed(call, scope, timeout)
        elif call.facts.is_async:
            value = await fn(*call.args, **call.kwargs)
        else:
            value = await _in_thread(call)
        if type(value) not in ATOMS:
            if isawaitable(value):
                value = await value
            elif isasyncgen(value):
                value = await _collect(call, cast(Any, value), timeout)
        return value
    except RuntimeError as exc:
        if _OTHER_LOOP.search(str(exc)):
            raise _wrong_loop(call, exc) from exc
        raise
    finally:
        current_step.reset(step)
        capture.current_sink.reset(sink)
        capture.finish(scope)


def _wrong_loop(call: Call, error: RuntimeError) -> WrongLoop:
    return WrongLoop(
        f"step {step_label(call.key)!r} used an async object that belongs to another "
        f"event loop ({error}): make it with nbflow.resource(factory) and call that "
        "in the step, so that it is made on the engine's loop",
        run_id=call.run.journal.id,
        step=step_label(call.key),
    )


def attempt_code() -> CodeType:
    """The code of a running attempt: a frame of it holds the step's scope."""
    return make_attempt.__code__


def _stubbed(call: Call) -> Callable[..., Any]:
    stubs = call.run.core.stubs or {}
    label = step_label(call.key)
    id = split_key(call.key)[1]
    found = stubs.get(label) or stubs.get(id)
    if found is None and id.endswith("]"):  # an item of ctx.map
        found = stubs.get(id.rpartition("[")[0])
    return found or call.fn


async def _in_process(call: Call, timeout: float | None) -> Any:
    """Call the function in a process of its own, which is killed when time is up."""
    if timeout is not None and timeout <= 0:
        raise _step_timeout(call, timeout)
    run = call.run
    begun = run.loop.create_future()
    future = run.core.processes.run(
        run.loop, copy_context(), call.fn, call.args, call.kwargs, begun
    )
    try:
        if not await _ends_in_time(future, begun, timeout):
            raise _step_timeout(call, timeout or 0.0)
        return _unwrap(call, future.result())
    finally:
        future.cancel()


async def _collect(
    call: Call, items: "AsyncGenerator[Any, None]", timeout: float | None
) -> Any:
    """Run an async generator to its end."""
    try:
        async with asyncio.timeout(timeout) as limit:
            return await streams.collect(items)
    except TimeoutError:
        if limit.expired():
            raise _step_timeout(call, timeout or 0.0) from None
        raise
    finally:
        await items.aclose()


async def _in_thread(call: Call) -> Any:
    work = partial(streams.whole, call.fn, *call.args, **call.kwargs)
    threads = call.run.core.threads
    run = call.run
    future = threads.run(run.loop, copy_context(), work, None, run.is_over)
    try:
        return _unwrap(call, await future)
    except asyncio.CancelledError:
        call.thread = future
        raise


def _unwrap(call: Call, outcome: Outcome[Any]) -> Any:
    """A thread's value; raises its error, where a coroutine may raise such."""
    error = outcome.error
    if isinstance(error, StopIteration | asyncio.CancelledError):
        raise RuntimeError(
            f"step {step_label(call.key)!r} raised {type(error).__name__}"
        ) from error
    return outcome.unwrap()


async def _timed(call: Call, scope: StepScope, timeout: float) -> Any:
    fn, core = call.fn, call.run.core
    if not is_async(fn):
        return await _timed_thread(call, timeout)
    deadline = core.loop.time() + timeout
    try:
        async with asyncio.timeout_at(deadline) as limit:
            if timeout <= 0:
                await asyncio.sleep(0)
            value = await fn(*call.args, **call.kwargs)
    except TimeoutError:
        if limit.expired():
            raise _step_timeout(call, timeout) from None
        raise
    if core.loop.time() > deadline:  # the function swallowed the interrupt
        raise _step_timeout(call, timeout)
    return value


async def _timed_thread(call: Call, timeout: float) -> Any:
    if timeout <= 0:
        raise _step_timeout(call, timeout)
    loop = call.run.loop
    work = partial(streams.whole, call.fn, *call.args, **call.kwargs)
    begun = loop.create_future()
    run = call.run
    future = run.core.threads.run(loop, copy_context(), work, begun, run.is_over)
    try:
        is_done = await _ends_in_time(future, begun, timeout)
    except asyncio.CancelledError:
        future.cancel()  # it is not called any more, or its outcome is late
        call.thread = future
        raise
    if not is_done:
        raise Waiting(_step_timeout(call, timeout), future)
    return _unwrap(call, future.result())


async def _ends_in_time(
    future: "asyncio.Future[Any]", begun: "asyncio.Future[None]", timeout: float | None
) -> bool:
    """Wait for a call's outcome; until a thread or process takes it, nothing counts."""
    await asyncio.wait({future, begun}, return_when=asyncio.FIRST_COMPLETED)
    done, _ = await asyncio.wait({future}, timeout=timeout)
    return bool(done)


def _step_timeout(call: Call, timeout: float) -> StepTimeout:
    return StepTimeout(
        f"step {step_label(call.key)!r} took longer than its timeout of {timeout:g} s",
        run_id=call.run.journal.id,
        step=step_label(call.key),
    )

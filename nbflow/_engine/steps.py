"""Steps that call a function: taken from the memo, or executed and recorded.

The path of a step that succeeds at once is the hot one: number, fingerprint, memo
look-up, `step.started` (written behind, it rides with the outcome), the call,
`step.completed`, one commit, and the value goes to the body. Nothing is handed to a
body that is not in the store.
"""

import asyncio
import os
import re
import sys
import warnings
from collections.abc import Callable, Generator, Mapping
from contextvars import copy_context
from functools import lru_cache, partial
from inspect import isawaitable, iscoroutine, iscoroutinefunction
from types import CodeType, FrameType, FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from nbflow import codecs
from nbflow._engine import cache, capture, failure, retry
from nbflow._engine.admission import Slot
from nbflow._engine.branches import current_step, split_key
from nbflow._engine.memo import Recorded, Verdict, patience
from nbflow._engine.options import StepPolicy
from nbflow._engine.threads import Outcome
from nbflow._engine.timers import iso
from nbflow._store.payload import (
    INLINE_LIMIT,
    from_json,
    load_value,
    store_parts,
    to_json,
    value_member,
)
from nbflow.context import StepInfo
from nbflow.definition.source import function_hash, function_label, held_arguments
from nbflow.errors import (
    NonDeterminismError,
    NotSerializable,
    PayloadTooLarge,
    StepError,
    StepOutcomeUnknown,
    StepTimeout,
    WrongLoop,
    step_error,
)
from nbflow.model import ErrorInfo, EventType, step_label

if TYPE_CHECKING:
    from nbflow._engine.run import LiveRun

_COMPLETED = EventType.STEP_COMPLETED.value
_FAILED = EventType.STEP_FAILED.value
_TIMED_OUT = EventType.STEP_TIMED_OUT.value
_QUEUED = EventType.STEP_QUEUED.value
_RETRYING = EventType.STEP_RETRYING.value
_CANCELED = EventType.STEP_CANCELED.value
_SUPERSEDED = EventType.STEP_SUPERSEDED.value

_OTHER_LOOP = re.compile(r"(bound to|attached to) a different (event )?loop")
_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_MOST_FACTS = 4_096  # functions: cells are run again and again
_COROUTINE = 0x80  # inspect.CO_COROUTINE
_ATOMS = frozenset({int, str, float, bool, type(None), bytes, tuple})
_CANCELED_BEFORE = (Verdict.PENDING, Verdict.DOUBTED, Verdict.REVISED)
_LEAVING = (SystemExit, KeyboardInterrupt, GeneratorExit)


class StepScope:
    """A running attempt: where its prints, logs and progress go."""

    __slots__ = ("__weakref__", "attempt", "key", "run")

    def __init__(self, run: "LiveRun", key: str, attempt: int) -> None:
        self.run = run
        self.key = key
        self.attempt = attempt

    def line(self, text: str, level: str, source: str, replace: bool) -> None:
        """A line of output."""
        self.run.write_log(text, level, source, None, self, replace)

    def progress(self, done: float, total: float | None, message: str | None) -> None:
        """How far it has come."""
        self.run.write_progress(done, total, message, self)

    def info(self) -> StepInfo:
        """What the function may know of its step."""
        core, journal = self.run.core, self.run.journal
        return StepInfo(
            step_label(self.key),
            core.step_key(journal.id, self.key),
            self.attempt,
            partial(core.step_dir, journal.id, self.key),
        )


class FunctionFacts(NamedTuple):
    """What the engine asks of a step's function, found once per function."""

    label: str
    hash: bytes
    is_async: bool
    held: tuple[Any, ...]


_facts: dict[CodeType, FunctionFacts] = {}


def function_facts(fn: Callable[..., Any]) -> FunctionFacts:
    """The facts of a function; remembered for plain ones, by their code."""
    if type(fn) is not FunctionType or fn.__dict__:
        held = held_arguments(fn)
        is_held = held if any(held) else ()
        return FunctionFacts(
            function_label(fn), function_hash(fn), is_async(fn), is_held
        )
    facts = _facts.get(fn.__code__)
    if facts is None:
        if len(_facts) > _MOST_FACTS:
            _facts.clear()
        facts = FunctionFacts(function_label(fn), function_hash(fn), is_async(fn), ())
        _facts[fn.__code__] = facts
    return facts


class StepCall:
    """A step that was called. Awaiting it executes it or takes what is recorded."""

    __slots__ = (
        "args",
        "arguments",
        "fn",
        "is_awaited",
        "item_of",
        "key",
        "kwargs",
        "mark",
        "policy",
        "run",
    )

    def __init__(
        self,
        run: "LiveRun",
        key: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        policy: StepPolicy,
        item_of: str | None = None,
    ) -> None:
        self.is_awaited = False
        self.run = run
        self.key = key
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.policy = policy
        self.item_of = item_of
        # Taken now, before anything runs: another branch may change an argument.
        self.arguments = arguments = codecs.fingerprint(args, kwargs)
        facts = function_facts(fn)
        if facts.held:  # a partial: what it holds are arguments, too
            held = codecs.fingerprint((args, *facts.held), kwargs)
            self.mark = held.mark + facts.hash
        else:
            self.mark = arguments.mark + facts.hash

    def __await__(self) -> Generator[Any, Any, Any]:
        if self.is_awaited:
            raise awaited_twice(self.key, "ctx.run")
        self.is_awaited = True
        run = self.run
        if run.memo is None and self.policy.cache is None and not run.is_closed:
            return _execute(self).__await__()  # a first life has nothing to look up
        return _perform(self).__await__()

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # Bound early: of an interpreter that ends, not even `sys` may be left.
        if not self.is_awaited and not self.run.is_closed and not is_finalizing():
            warnings.warn(
                f"step {step_label(self.key)!r} was called and never awaited"
                f"{_dropped_in(sys._getframe(1))}, so it was not executed: write "
                "`await ctx.run(…)`",
                RuntimeWarning,
                stacklevel=2,
            )


def _dropped_in(frame: FrameType) -> str:
    """The line that a call was dropped in, if it is the user's."""
    code = frame.f_code
    if code.co_filename.startswith(_PACKAGE):
        return ""
    return f" (line {frame.f_lineno}, in {code.co_name})"


def awaited_twice(key: str, call: str) -> RuntimeError:
    """The error for awaiting the same call of `ctx` again."""
    return RuntimeError(
        f"step {step_label(key)!r} was awaited twice: call {call} again for another "
        "step, or keep the value"
    )


def refuse_coroutine(id: str, fn: object) -> None:
    """Raise for what is no function, above all a coroutine that was called already."""
    if iscoroutine(fn):
        fn.close()
        raise TypeError(
            f"step {id!r} got a coroutine object as fn: pass the function and its "
            "arguments, as in ctx.run(id, fetch, url), so that it can be called again "
            "on a retry"
        )
    if not callable(fn):
        raise TypeError(
            f"step {id!r} got {type(fn).__name__} as fn: pass a function; a value "
            "needs no step"
        )


async def _perform(call: StepCall) -> Any:
    run = call.run
    run.check_open(call.key)
    if run.memo is not None:
        verdict, found = run.memo.match(
            call.key,
            call.mark,
            known=call.arguments.known,
            changed=run.is_changed,
            item_of=call.item_of,
            can_wait=True,
        )
        if found is not None:
            if verdict is Verdict.CONFLICT:
                _conflict(call, found)
            if verdict is Verdict.SUPERSEDE:
                run.supersede(call.key)
            elif verdict in _CANCELED_BEFORE:
                await _await_cancel(call, found, verdict)
            else:
                if verdict is Verdict.UNSURE:
                    _warn_unsure(call)
                return await _reuse(call, found, verdict)
    if call.policy.cache is not None:
        key = cache.cache_key(call.fn, call.mark, call.arguments)
        cached = cache.find(run.core.commits, key, call.policy.cache)
        if cached is not None:
            return await _take_cached(call, *cached)
    return await _execute(call)


async def take_turn(run: "LiveRun", found: Recorded, kind: str) -> dict[str, Any]:
    """Wait for the turn of a recorded outcome; its fields."""
    fields = _check_kind(run, found, kind)
    if found.type == _CANCELED:
        await run.loop.create_future()  # until the body cancels it again
    await _pass_gate(run, found.key)
    return fields


def _check_kind(run: "LiveRun", found: Recorded, kind: str) -> dict[str, Any]:
    fields = from_json(found.data)
    recorded = fields.get("kind", "run")
    if recorded != kind and found.type != _CANCELED:
        raise NonDeterminismError(
            f"step {step_label(found.key)!r} of run {run.journal.id} is recorded as "
            f"kind {recorded!r}, the code now asks for kind {kind!r}: one id stands "
            "for one kind of step. Give the new step another id.",
            run_id=run.journal.id,
            step=step_label(found.key),
        )
    return fields


async def _pass_gate(run: "LiveRun", key: str) -> None:
    """Wait for the turn of what is recorded under `key`."""
    gate = run.gate
    if gate is not None and not run.is_single:
        await run.wait_turn(gate.ask(key, None), key)
    elif gate is not None:
        gate.took(key)


async def _await_cancel(call: StepCall, found: Recorded, verdict: Verdict) -> None:
    """Give the body its chance to cancel a step again; returns if it does not."""
    run = call.run
    if verdict is Verdict.PENDING:
        await run.loop.create_future()
    elif verdict is Verdict.DOUBTED:
        await _pass_gate(run, call.key)
    else:
        await asyncio.sleep(patience(found))
    run.check_open(call.key)


async def _reuse(call: StepCall, found: Recorded, verdict: Verdict) -> Any:
    """Hand a recorded outcome over, in its turn; raise it where it is an error."""
    run = call.run
    if verdict is Verdict.MOVED and call.item_of is not None:
        # The item's place in the list has changed: from now on its outcome is there,
        # and comes in the order of the commit that says so.
        if run.gate is not None:
            run.gate.took(found.key)
        run.journal.append(_COMPLETED, call.key, None, call.mark, found.data)
        await run.settle(call.key)
        fields = from_json(found.data)
    else:
        fields = await take_turn(run, found, "run")
    if found.type == _COMPLETED:
        return load_value(fields, run.core.store.get_blob, run.classes(call.fn))
    raise _recorded_error(call, fields)


def _recorded_error(
    call: StepCall, fields: dict[str, Any], original: BaseException | None = None
) -> StepError:
    stored = fields["error"]
    return step_error(
        ErrorInfo.from_stored(stored),
        step_label(call.key),
        fields.get("attempts", 1),
        original,
        stored.get("_attributes"),
        tuple(stored["_args"]) if "_args" in stored else None,
        workflow=call.run.journal.workflow,
    )


async def _execute(call: StepCall) -> Any:
    run = call.run
    core, journal, policy = run.core, run.journal, call.policy
    run.is_live = True
    attempt = 1
    kept: tuple[Any] | None = None
    if run.memo is not None:
        attempt = await _pick_up(call)
        kept = core.take_unstored(journal.id, call.key, call.mark)
    while True:
        thread: asyncio.Future[Any] | None = None
        slot: Slot | None = None
        try:
            if policy.flow is not None or journal.slot is not None:
                slot = await _take_slot(call, attempt)
            began = core.clock.monotonic()
            if kept is not None:  # there may be a codec for it by now
                value, kept = kept[0], None
            else:
                journal.begin_step(call.key, attempt, _started_data(call))
                core.commits.flush_later()
                if policy.at_most_once or (slot and core.flow.is_rated(slot)):
                    await core.commits.committed()
                    began = core.clock.monotonic()
                value = await _attempt(call, attempt)
                if run.is_closed:  # it swallowed its cancellation: too late
                    raise asyncio.CancelledError
            value = _record_value(call, attempt, value, core.clock.monotonic() - began)
        except asyncio.CancelledError as exc:
            if run.is_closed or _is_requested():
                _note_canceled(call, attempt)
                raise
            error: BaseException = exc
        except _LEAVING as exc:
            if isinstance(exc, GeneratorExit) and run.is_closed:
                raise  # Python closes what was left behind
            if run.is_closed:
                raise asyncio.CancelledError from exc
            run.fail_leaving(call.key, attempt, exc)
            await run.loop.create_future()  # interrupted by the end of the run
        except _Waiting as exc:
            error, thread = exc.error, exc.thread
        except Exception as exc:
            error = exc
        except BaseException as exc:  # a panic of an extension, pytest's outcomes, …
            if failure.control(exc) is not None or run.is_closed:
                raise
            error = exc
        else:
            if slot is not None:  # free with the outcome's commit
                core.flow.leave(slot)
                slot = None
            if not (run.is_single and core.commits.commit_inline()):
                if run.is_closed:  # that commit has ended the engine
                    raise asyncio.CancelledError
                await run.settle(call.key)  # notes by itself that it is canceled
            return value
        finally:
            if slot is not None:
                _free_slot(call, slot, thread)
        if run.is_closed:
            raise asyncio.CancelledError from error
        attempt = await _after_failure(call, attempt, error, thread)


async def _take_slot(call: StepCall, attempt: int) -> Slot | None:
    """Wait for the step's turn under its flow-control key.

    The body's own slot becomes that of the first step, or is given back.
    """
    run, flow = call.run, call.run.core.flow
    journal, control = run.journal, call.policy.flow
    slot = journal.slot
    if slot is not None and control is not None and slot.key == control.key:
        journal.slot = None
        flow.hand_over(slot, call.key)
        return slot
    run.core.release(journal)
    if control is None:
        return None
    slot = flow.join(journal.n, call.key, attempt, control)
    if slot.started is None:
        fields = {"kind": "run"} | flow.shown(slot)
        journal.append(_QUEUED, call.key, attempt, None, to_json(fields))
        run.core.commits.flush_soon()
        await flow.turn(slot)
        run.check_open(call.key)
    return slot


def _free_slot(
    call: StepCall, slot: Slot, thread: "asyncio.Future[Any] | None"
) -> None:
    """An attempt has failed or was given up; a thread keeps its slot to its end."""
    leave = call.run.core.flow.leave
    if thread is None or thread.done():
        leave(slot)
    else:
        thread.add_done_callback(lambda _: leave(slot))


async def _pick_up(call: StepCall) -> int:
    """The attempt to make next, after what a former life has done."""
    run, key = call.run, call.key
    memo = run.memo
    assert memo is not None
    left = memo.partial.pop(key, None)
    if left is None:
        return 1
    if left.attempt > left.failed and call.policy.at_most_once:
        error = StepOutcomeUnknown(
            f"step {step_label(key)!r} was running when the engine stopped, and "
            "at_most_once=True forbids to call it again: look whether it took effect, "
            "then handle StepOutcomeUnknown in the workflow",
            run_id=run.journal.id,
            step=step_label(key),
        )
        raise await _give_up(call, left.attempt, error)
    if left.retry_at is not None:
        try:
            await run.core.timers.sleep_until(left.retry_at)
        except asyncio.CancelledError:
            _note_canceled(call, left.failed)
            raise
        run.check_open(key)
    return left.failed + 1


def _record_value(call: StepCall, attempt: int, value: Any, duration: float) -> Any:
    """Append the outcome; the value as it was stored."""
    run = call.run
    core = run.core
    try:
        payload = encode(value, run, call.fn)
        if payload.plain and len(payload.text) <= INLINE_LIMIT:
            member = b'"_value":' + payload.text
        else:
            member = value_member(payload, core.commits.put_blob)
    except (NotSerializable, PayloadTooLarge) as exc:
        core.keep_unstored(run.journal.id, call.key, call.mark, value)
        exc.run_id, exc.step = run.journal.id, step_label(call.key)
        raise
    if call.args or call.kwargs:
        _warn_changed_arguments(call)
    data = b'{"duration":%.6f,%b}' % (duration, member)
    idx = run.journal.complete_step(call.key, attempt, call.mark, data)
    if call.policy.cache is not None:
        key = cache.cache_key(call.fn, call.mark, call.arguments)
        cache.remember(core.commits, key, run.journal.n, idx)
    if not payload.plain:
        value = codecs.decode(
            payload.text,
            {part.digest: part.data for part in payload.parts}.__getitem__,
            run.classes(call.fn),
        )
    return value


def encode(value: Any, run: "LiveRun", fn: Any) -> codecs.Payload:
    """The stored form of what `fn` returned."""
    try:
        return codecs.encode(value)
    except NotSerializable:
        # Of a class that no module holds; annotations may name it, at a price.
        return codecs.encode(value, classes=run.classes(fn))


class _Waiting(Exception):
    """A thread ran out of its time: the error, and the work that still goes on."""

    def __init__(self, error: StepTimeout, thread: "asyncio.Future[Any]") -> None:
        super().__init__()
        self.error = error
        self.thread = thread


async def _attempt(call: StepCall, attempt: int) -> Any:
    """Call the function once."""
    if call.run.core.stubs:
        call.fn = _stubbed(call)
    fn, timeout = call.fn, call.policy.timeout
    scope = StepScope(call.run, call.key, attempt)
    step = current_step.set(scope)
    sink = capture.current_sink.set(scope)
    try:
        if timeout is not None:
            value = await _timed(call, scope, timeout)
        elif function_facts(fn).is_async:
            value = await fn(*call.args, **call.kwargs)
        else:
            value = await _in_thread(call)
        if type(value) not in _ATOMS and isawaitable(value):
            value = await value
        return value
    except RuntimeError as exc:
        if _OTHER_LOOP.search(str(exc)):
            raise _wrong_loop(call, exc) from exc
        raise
    finally:
        current_step.reset(step)
        capture.current_sink.reset(sink)
        capture.finish(scope)


def _wrong_loop(call: StepCall, error: RuntimeError) -> WrongLoop:
    return WrongLoop(
        f"step {step_label(call.key)!r} used an async object that belongs to another "
        f"event loop ({error}): make it with nbflow.resource(factory) and call that "
        "in the step, so that it is made on the engine's loop",
        run_id=call.run.journal.id,
        step=step_label(call.key),
    )


def attempt_code() -> CodeType:
    """The code of a running attempt: a frame of it holds the step's scope."""
    return _attempt.__code__


def _stubbed(call: StepCall) -> Callable[..., Any]:
    stubs = call.run.core.stubs or {}
    label = step_label(call.key)
    id = split_key(call.key)[1]
    return stubs.get(label) or stubs.get(id) or call.fn


async def _in_thread(call: StepCall) -> Any:
    work = partial(call.fn, *call.args, **call.kwargs)
    threads = call.run.core.threads
    outcome = await threads.run(call.run.loop, copy_context(), work)
    return _unwrap(call, outcome)


def _unwrap(call: StepCall, outcome: Outcome[Any]) -> Any:
    """A thread's value; raises its error, where a coroutine may raise such."""
    error = outcome.error
    if isinstance(error, StopIteration | asyncio.CancelledError):
        raise RuntimeError(
            f"step {step_label(call.key)!r} raised {type(error).__name__}"
        ) from error
    return outcome.unwrap()


async def _timed(call: StepCall, scope: StepScope, timeout: float) -> Any:
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


async def _timed_thread(call: StepCall, timeout: float) -> Any:
    if timeout <= 0:
        raise _step_timeout(call, timeout)
    loop = call.run.loop
    work = partial(call.fn, *call.args, **call.kwargs)
    begun = loop.create_future()
    future = call.run.core.threads.run(loop, copy_context(), work, begun)
    try:
        # Waiting for a thread does not count.
        await asyncio.wait({future, begun}, return_when=asyncio.FIRST_COMPLETED)
        done, _ = await asyncio.wait({future}, timeout=timeout)
    except asyncio.CancelledError:
        future.cancel()  # it is not called any more, or its outcome is late
        raise
    if not done:
        raise _Waiting(_step_timeout(call, timeout), future)
    return _unwrap(call, future.result())


def _step_timeout(call: StepCall, timeout: float) -> StepTimeout:
    return StepTimeout(
        f"step {step_label(call.key)!r} took longer than its timeout of {timeout:g} s",
        run_id=call.run.journal.id,
        step=step_label(call.key),
    )


async def _after_failure(
    call: StepCall,
    attempt: int,
    error: BaseException,
    thread: "asyncio.Future[Any] | None",
) -> int:
    """Record the failed attempt; the next one's number when it is due, or raise."""
    run = call.run
    core = run.core
    failed = retry.Failure.of(error)
    decision = retry.decide(
        failed,
        attempt - 1,
        call.policy.retry,
        core.clock.random,
        core.clock.micros(),
    )
    if decision.hold and call.policy.flow is not None:
        said = str(failed.status or type(error).__name__)
        until = core.clock.micros() + round(decision.hold * 1e6)
        core.flow.hold(str(call.policy.flow.key), until, said)
    if isinstance(decision, retry.GiveUp):
        raise await _give_up(call, attempt, error)
    retry_at = core.clock.micros() + round(decision.delay * 1e6)
    data = to_json(
        {
            "error": _details(call, error),
            "retry_at": iso(retry_at),
            "_retry_at": retry_at,
        }
    )
    run.journal.append(_RETRYING, call.key, attempt, None, data)
    core.commits.flush_soon()
    try:
        if thread is not None:  # its slot is taken until it has ended
            await thread
        await core.timers.sleep_until(retry_at)
    except asyncio.CancelledError:
        _note_canceled(call, attempt)
        raise
    run.check_open(call.key)
    return attempt + 1


async def _give_up(call: StepCall, attempt: int, error: BaseException) -> StepError:
    run = call.run
    details = _details(call, error)
    timed_out = isinstance(error, StepTimeout)
    fields = {"error": details, "attempts": attempt}
    if timed_out:
        fields["after"] = call.policy.timeout
    run.journal.append(
        _TIMED_OUT if timed_out else _FAILED,
        call.key,
        attempt,
        call.mark,
        to_json(fields),
    )
    await run.settle(call.key)
    raised = _recorded_error(call, fields, error)
    raised.__cause__ = error
    return raised


def _details(call: StepCall, error: BaseException) -> dict[str, object]:
    label, run_id = step_label(call.key), call.run.journal.id
    return failure.describe(error, codecs.redact, step=label, run_id=run_id)


def _is_requested() -> bool:
    """Whether somebody cancelled this task, not the function itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _note_canceled(call: StepCall, attempt: int) -> None:
    """The body cancelled the step: recorded, unless the run itself is ending."""
    run = call.run
    if not run.is_closed:
        run.journal.append(_CANCELED, call.key, attempt, call.mark)
        run.core.commits.flush_later()


async def _take_cached(call: StepCall, run_id: str, data: bytes) -> Any:
    """Record an earlier run's outcome as this step's."""
    run = call.run
    fields = from_json(data)
    value = load_value(fields, run.core.store.get_blob, run.classes(call.fn))
    member = {key: fields[key] for key in ("_value", "_blob") if key in fields}
    stored = to_json({"duration": 0.0, "cached_from": run_id} | member)
    run.journal.append(_COMPLETED, call.key, 1, call.mark, stored)
    await run.settle(call.key)
    return value


def _started_data(call: StepCall) -> bytes:
    arguments = call.arguments
    label = function_facts(call.fn).label
    is_id = call.key == label or split_key(call.key)[1] == label
    named = b"" if is_id else _function_member(label)
    if not call.args and not call.kwargs:
        return b"{" + named[:-1] + b"}" if named else b"{}"
    put = call.run.core.commits.put_blob
    text, is_inline = store_parts(
        codecs.Payload(arguments.text, arguments.parts, False), put
    )
    member = b'"_args":' + text if is_inline else b'"_args_blob":"' + text + b'"'
    return b"{" + named + member + b"}"


@lru_cache(_MOST_FACTS)
def _function_member(label: str) -> bytes:
    return to_json({"_fn": label})[1:-1] + b","


def _conflict(call: StepCall, found: Recorded) -> NoReturn:
    run = call.run
    label = step_label(call.key)
    _check_kind(run, found, "run")
    recorded = run.recorded_arguments(found.key)
    present = codecs.preview(_shown(call.args, call.kwargs))
    raise NonDeterminismError(
        f"step {label!r} of run {run.journal.id} is recorded with the arguments "
        f"{recorded}, the same code now calls it with {present}: a re-entered body "
        "must call its steps with equal arguments. Take clocks, random numbers and ids "
        "from ctx.now(), ctx.random() and ctx.uuid(), and put what reads files or the "
        "environment into a step.",
        run_id=run.journal.id,
        step=label,
    )


def _warn_unsure(call: StepCall) -> None:
    call.run.write_log(
        f"step {step_label(call.key)!r} is called with other arguments than recorded, "
        "but some of them cannot be compared: the recorded value is used",
        "warning",
        "engine",
        None,
        None,
    )


def _warn_changed_arguments(call: StepCall) -> None:
    if not call.arguments.known or all(type(arg) in _ATOMS for arg in call.args):
        return
    if codecs.fingerprint(call.args, call.kwargs).mark == call.arguments.mark:
        return
    call.run.write_log(
        f"step {step_label(call.key)!r} changed one of its arguments in place: a "
        "re-entered body will not see that change. Return the new value instead.",
        "warning",
        "engine",
        None,
        None,
    )


def _shown(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return args[0] if len(args) == 1 and not kwargs else (args, dict(kwargs))


def is_async(fn: Callable[..., Any]) -> bool:
    """Whether calling `fn` gives a coroutine: then it runs on the engine's loop."""
    if type(fn) is FunctionType:
        return bool(fn.__code__.co_flags & _COROUTINE)
    return iscoroutinefunction(fn) or iscoroutinefunction(
        getattr(fn, "__call__", None)  # noqa: B004
    )

"""Steps that call a function: taken from the memo, or executed and recorded.

The path of a step that succeeds at once is the hot one: number, fingerprint, memo
look-up, `step.started` (written behind, it rides with the outcome), the call,
`step.completed`, one commit, and the value goes to the body. Nothing is handed to a
body that is not in the store.
"""

import asyncio
import os
import sys
import warnings
from collections.abc import Callable, Generator, Mapping
from functools import lru_cache, partial
from types import FrameType
from typing import Any

from nbflow import codecs
from nbflow._engine import cache, failure, history, retry, said
from nbflow._engine.admission import Slot
from nbflow._engine.attempts import ATOMS, StepScope, Waiting, make_attempt
from nbflow._engine.calls import awaited_twice, check_kind, recall
from nbflow._engine.functions import function_facts
from nbflow._engine.life import Life
from nbflow._engine.memo import Partial, Recorded
from nbflow._engine.options import StepPolicy
from nbflow._engine.results import as_stored, encode
from nbflow._engine.timers import iso
from nbflow._store.payload import (
    INLINE_LIMIT,
    from_json,
    load_value,
    store_parts,
    to_json,
    value_member,
)
from nbflow._text import split_key
from nbflow.errors import (
    NonDeterminismError,
    NotSerializable,
    PayloadTooLarge,
    StepError,
    StepOutcomeUnknown,
    StepTimeout,
    step_error,
)
from nbflow.model import ErrorInfo, EventType, step_label

_COMPLETED = EventType.STEP_COMPLETED.value
_FAILED = EventType.STEP_FAILED.value
_TIMED_OUT = EventType.STEP_TIMED_OUT.value
_QUEUED = EventType.STEP_QUEUED.value
_RETRYING = EventType.STEP_RETRYING.value

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_MOST_LABELS = 4_096  # functions: cells are run again and again
_LEAVING = (SystemExit, KeyboardInterrupt, GeneratorExit)


class StepCall:
    """A step that was called. Awaiting it executes it or takes what is recorded."""

    __slots__ = (
        "args",
        "arguments",
        "facts",
        "fn",
        "is_awaited",
        "item_of",
        "key",
        "kwargs",
        "mark",
        "policy",
        "run",
        "thread",
    )
    thread: asyncio.Future[Any]

    def __init__(
        self,
        run: Life,
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
        self.facts = facts = function_facts(fn)
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

    def conflict(self, found: Recorded) -> NonDeterminismError:
        """The error for other arguments than the same code has recorded."""
        run = self.run
        label = step_label(self.key)
        check_kind(run, found, "run")
        recorded = history.recorded_arguments(run.core.store, run.journal.n, found.key)
        present = codecs.preview(_shown(self.args, self.kwargs))
        return NonDeterminismError(
            f"step {label!r} of run {run.journal.id} is recorded with the arguments "
            f"{recorded}, the same code now calls it with {present}: a re-entered "
            "body must call its steps with equal arguments. Take clocks, random "
            "numbers and ids from ctx.now(), ctx.random() and ctx.uuid(), and put "
            "what reads files or the environment into a step.",
            run_id=run.journal.id,
            step=label,
        )

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


async def _perform(call: StepCall) -> Any:
    run = call.run
    fields, is_completed, left = await recall(
        run,
        call.key,
        call.mark,
        kind="run",
        known=call.arguments.known,
        item_of=call.item_of,
        conflict=call.conflict,
    )
    if fields is not None:
        if is_completed:
            return load_value(fields, run.core.store.get_blob, run.classes(call.fn))
        raise _recorded_error(call, fields)
    if call.policy.cache is not None:
        key = cache.cache_key(call.fn, call.mark, call.arguments)
        cached = cache.find(run.core.commits, key, call.policy.cache)
        if cached is not None:
            return await _take_cached(call, *cached)
    return await _execute(call, left)


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


async def _execute(call: StepCall, left: Partial | None = None) -> Any:
    run = call.run
    core, journal, policy = run.core, run.journal, call.policy
    run.has_executed = True
    attempt = 1
    kept: tuple[Any] | None = None
    if run.memo is not None:
        if left is not None:
            attempt = await _pick_up(call, left)
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
                value = await make_attempt(call, attempt)
                if run.is_closed:  # it swallowed its cancellation: too late
                    raise asyncio.CancelledError
            value = _record_value(call, attempt, value, core.clock.monotonic() - began)
        except asyncio.CancelledError as exc:
            if run.is_closed or _is_requested():
                run.note_canceled(call.key, attempt, call.mark)
                raise
            error: BaseException = exc
        except _LEAVING as exc:
            if isinstance(exc, GeneratorExit) and run.is_closed:
                raise  # Python closes what was left behind
            if run.is_closed:
                raise asyncio.CancelledError from exc
            run.fail_leaving(call.key, attempt, exc)
            await run.loop.create_future()  # interrupted by the end of the run
        except Waiting as exc:
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
    core = call.run.core
    thread = thread or getattr(call, "thread", None)
    leave = partial(core.flow.leave, slot)
    if thread is None:
        leave()
    elif thread.done():
        core.threads.when_ended(thread, leave)
    else:  # it may be given up later, too
        thread.add_done_callback(lambda done: core.threads.when_ended(done, leave))


async def _pick_up(call: StepCall, left: Partial) -> int:
    """The attempt to make next, after what a former life has done."""
    run, key = call.run, call.key
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
            run.note_canceled(key, left.failed, call.mark)
            raise
        run.check_open(key)
    return left.failed + 1


def _record_value(call: StepCall, attempt: int, value: Any, duration: float) -> Any:
    """Append the outcome; the value as it was stored."""
    run = call.run
    core = run.core
    try:
        payload = encode(value, call.fn)
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
        value = as_stored(payload, call.fn)
    return value


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
        why = str(failed.status or type(error).__name__)
        until = core.clock.micros() + round(decision.hold * 1e6)
        core.flow.hold(str(call.policy.flow.key), until, why)
    if isinstance(decision, retry.GiveUp):
        raise await _give_up(call, attempt, error)
    told = retry.warning(failed)
    if told is not None:
        scope = StepScope(run, call.key, attempt)
        said.log(run, told, "warning", "engine", None, scope)
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
        run.note_canceled(call.key, attempt, call.mark)
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
    label = call.facts.label
    is_id = call.key == label or split_key(call.key)[1] == label
    named = b"" if is_id else _function_member(label)
    if not call.args and not call.kwargs:
        return b"{" + named[:-1] + b"}" if named else b"{}"
    text = arguments.text
    if not arguments.parts and len(text) <= INLINE_LIMIT:
        return b'{%b"_args":%b}' % (named, text)
    payload = codecs.Payload(text, arguments.parts, False)
    text, is_inline = store_parts(payload, call.run.core.commits.put_blob)
    member = b'"_args":' + text if is_inline else b'"_args_blob":"' + text + b'"'
    return b"{" + named + member + b"}"


@lru_cache(_MOST_LABELS)
def _function_member(label: str) -> bytes:
    return to_json({"_fn": label})[1:-1] + b","


def _warn_changed_arguments(call: StepCall) -> None:
    if not call.arguments.known or all(type(arg) in ATOMS for arg in call.args):
        return
    if codecs.fingerprint(call.args, call.kwargs).mark == call.arguments.mark:
        return
    said.log(
        call.run,
        f"step {step_label(call.key)!r} changed one of its arguments in place: a "
        "re-entered body will not see that change. Return the new value instead.",
        "warning",
        "engine",
        None,
        None,
    )


def _shown(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return args[0] if len(args) == 1 and not kwargs else (args, dict(kwargs))

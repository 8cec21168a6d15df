"""What all calls of `ctx` that make a step have in common."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from nbflow._engine import said
from nbflow._engine.life import Life
from nbflow._engine.memo import Partial, Recorded, Verdict, patience
from nbflow._store.payload import from_json
from nbflow.errors import NonDeterminismError, NonRetriableError
from nbflow.model import EventType, step_label

_COMPLETED = EventType.STEP_COMPLETED.value
_CANCELED = EventType.STEP_CANCELED.value
_CANCELED_BEFORE = (Verdict.PENDING, Verdict.DOUBTED, Verdict.REVISED)


class Recall(NamedTuple):
    """What former lives have left for a call.

    Attributes:
        fields: of the recorded outcome, whose turn has come; None if there is none.
        is_completed: whether that outcome is a value, and no error.
        left: how far the step had come, if it has no outcome.
    """

    fields: dict[str, Any] | None = None
    is_completed: bool = False
    left: Partial | None = None


NOTHING = Recall()


async def recall(
    run: Life,
    key: str,
    mark: bytes,
    *,
    kind: str,
    known: bool = True,
    changed: bool | None = None,
    item_of: str | None = None,
    conflict: Callable[[Recorded], Exception] | None = None,
) -> Recall:
    """Find what is recorded for a call, and wait for its turn.

    Args:
        run: the life that calls.
        key: the step's key.
        mark: fingerprint of its present arguments and function.
        kind: the kind of step: `run` calls a function, others do not.
        known: whether every argument has a fingerprint.
        changed: whether the code counts as changed; None: as the workflow's does.
        item_of: id of the `ctx.map` without key that the call belongs to.
        conflict: makes the error for a call with other arguments of unchanged code;
            None where arguments are no identity.
    """
    run.check_open(key)
    memo = run.memo
    if memo is None:
        return NOTHING
    is_function = kind == "run"
    verdict, found = memo.match(
        key,
        mark,
        known=known,
        changed=run.is_changed if changed is None else changed,
        item_of=item_of,
        can_wait=is_function,
    )
    if found is not None:
        if verdict is Verdict.CONFLICT and conflict is not None:
            raise conflict(found)
        if verdict is Verdict.SUPERSEDE:
            run.supersede(key)
        elif verdict in _CANCELED_BEFORE:
            await _await_cancel(run, found, verdict)
        else:
            if verdict is Verdict.UNSURE:
                _warn_unsure(run, key)
            if verdict is Verdict.MOVED and item_of is not None and is_function:
                fields = await _move(run, key, mark, found)
            else:
                fields = await _take_turn(run, found, kind)
            return Recall(fields, found.type == _COMPLETED)
    return Recall(left=memo.partial.pop(key, None))


async def _take_turn(run: Life, found: Recorded, kind: str) -> dict[str, Any]:
    """Wait for the turn of a recorded outcome; its fields."""
    fields = check_kind(run, found, kind)
    if found.type == _CANCELED:
        await run.loop.create_future()  # until the body cancels it again
    await _pass_gate(run, found.key)
    return fields


def check_kind(run: Life, found: Recorded, kind: str) -> dict[str, Any]:
    """The fields of a recorded outcome; raises if it is of another kind."""
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


async def _pass_gate(run: Life, key: str) -> None:
    """Wait for the turn of what is recorded under `key`."""
    gate = run.gate
    if gate is not None and not run.is_single:
        await run.wait_turn(gate.ask(key, None), key)
    elif gate is not None:
        gate.took(key)


async def _await_cancel(run: Life, found: Recorded, verdict: Verdict) -> None:
    """Give the body its chance to cancel a step again; returns if it does not."""
    if verdict is Verdict.PENDING:
        await run.loop.create_future()
    elif verdict is Verdict.DOUBTED:
        await _pass_gate(run, found.key)
    else:
        await asyncio.sleep(patience(found))
    run.check_open(found.key)


async def _move(run: Life, key: str, mark: bytes, found: Recorded) -> dict[str, Any]:
    """Record the outcome of an item whose place in the list has changed.

    From now on it is there, and comes in the order of the commit that says so.
    """
    if run.gate is not None:
        run.gate.took(found.key)
    run.journal.append(_COMPLETED, key, None, mark, found.data)
    await run.settle(key)
    return from_json(found.data)


def _warn_unsure(run: Life, key: str) -> None:
    said.log(
        run,
        f"step {step_label(key)!r} is called with other arguments than recorded, "
        "but some of them cannot be compared: the recorded value is used",
        "warning",
        "engine",
        None,
        None,
    )


def awaited_twice(key: str, call: str) -> NonRetriableError:
    """The error for awaiting the same call of `ctx` again."""
    return NonRetriableError(
        f"step {step_label(key)!r} was awaited twice: call {call} again for another "
        "step, or keep the value",
        step=step_label(key),
    )

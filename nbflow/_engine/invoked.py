"""What an invoke comes to: from the recorded fields to the caller's value or error."""

from collections.abc import Mapping
from typing import Any

from nbflow import codecs, errors
from nbflow._engine import failure
from nbflow._engine.ending import Ending
from nbflow.context import InvokeOutcome
from nbflow.errors import (
    InvokedRunCanceled,
    InvokedRunFailed,
    InvokeError,
    InvokeRateLimited,
    InvokeTimedOut,
)
from nbflow.model import ErrorInfo

_ERRORS: Mapping[str, type[InvokeError]] = {
    "failed": InvokedRunFailed,
    "canceled": InvokedRunCanceled,
    "timed_out": InvokeTimedOut,
    "skipped": InvokeRateLimited,
}


def end_fields(child: str, ending: Ending) -> dict[str, Any]:
    """What is recorded of a child that has ended without a value."""
    word = "refused" if ending.is_undefined else str(ending.status)
    error = ending.error
    if error is None:
        because = f": {ending.reason}" if ending.reason else ""
        error = {
            "type": _ERRORS[word].__name__,
            "message": f"run {child} was {word}{because}",
            "run_id": child,
        }
    return {"outcome": word, "error": error}


def error_of(fields: Mapping[str, Any], step: str, workflow: str) -> InvokeError:
    """The error that recorded fields stand for."""
    info = ErrorInfo.from_stored(fields.get("error") or {})
    word = fields.get("outcome", "failed")
    message = info.message
    if word == "failed":
        message = f"run {fields.get('child_run_id')} failed with {info}"
    return (_ERRORS.get(word) or _error_type(info.type))(
        message,
        error=info,
        run_id=fields.get("child_run_id"),
        step=step,
        workflow=workflow,
    )


def outcome_of(
    fields: Mapping[str, Any], value: Any, error: InvokeError | None
) -> InvokeOutcome:
    """What `ctx.try_invoke` returns.

    Args:
        fields: as recorded.
        value: the child's.
        error: why there is none; where the child is completed, what its value lacks.
    """
    word, stored = fields.get("outcome"), fields.get("error")
    is_misfit = error is not None and word is None and not stored
    if is_misfit and error is not None:
        stored = failure.describe(error, codecs.redact, step=error.step)
    return InvokeOutcome(
        fields.get("child_run_id"),
        body=value,
        is_failed=is_misfit or word in ("failed", "refused"),
        is_canceled=word == "canceled",
        is_timed_out=word == "timed_out",
        is_skipped=word == "skipped",
        error=ErrorInfo.from_stored(stored) if stored else None,
    )


def _error_type(name: str) -> type[InvokeError]:
    """The class of a recorded refusal."""
    kind = getattr(errors, name.rpartition(".")[2], InvokeError)
    return (
        kind
        if isinstance(kind, type) and issubclass(kind, InvokeError)
        else InvokeError
    )

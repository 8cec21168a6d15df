"""What a run says: log lines, progress and data, from any thread of its code."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from nbflow import codecs
from nbflow._engine.branches import RunningStep
from nbflow._engine.life import Life
from nbflow._store.payload import to_json
from nbflow.errors import Canceled, ContextClosed
from nbflow.model import EventType, RunStatus


def log(
    run: Life,
    message: str,
    level: str,
    source: str,
    attributes: Mapping[str, Any] | None,
    scope: RunningStep | None,
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
    say(run, EventType.LOG.value, to_json(fields), scope)


def progress(
    run: Life,
    done: float,
    total: float | None,
    message: str | None,
    scope: RunningStep | None,
) -> None:
    """Append a progress event."""
    fields = {
        "done": _number(done),
        "total": _number(total),
        "message": None if message is None else codecs.redact(str(message)),
    }
    say(run, EventType.PROGRESS.value, to_json(fields), scope)


def say(run: Life, type: str, data: bytes, scope: RunningStep | None) -> None:
    """Append an event of the body or a step."""
    if not run.on_loop():
        if run.is_closed:
            _refuse_late(run)
        run.loop.call_soon_threadsafe(_append, run, type, data, scope)
        return
    if run.is_closed:
        _refuse_late(run)
    _append(run, type, data, scope)


def _append(run: Life, type: str, data: bytes, scope: RunningStep | None) -> None:
    if run.is_closed:
        return
    if scope is None:
        if not run.has_executed and run.gate is not None and run.gate.is_replaying:
            return  # said in a former life already
        run.journal.append(type, data=data)
    else:
        run.journal.append(type, scope.key, scope.attempt, None, data)
    run.core.commits.flush_later()


def _refuse_late(run: Life) -> None:
    id, status = run.journal.id, run.journal.status
    if status in (RunStatus.COMPLETED, RunStatus.FAILED):
        raise ContextClosed(
            f"run {id} is {status}, so nothing can be added to it: log, progress and "
            "emit belong before the workflow returns",
            run_id=id,
        )
    raise Canceled(
        f"run {id} has ended: what this code still does is not used", run_id=id
    )


def _number(value: Any) -> float | None:
    """A count as JSON can hold it: numpy's are none of its numbers."""
    try:
        number = value if type(value) is int else float(value)
        return number if isfinite(number) else None
    except (TypeError, ValueError, OverflowError):
        return None

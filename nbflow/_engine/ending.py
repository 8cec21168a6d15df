"""How a life of a run has ended, on its way from the body to whoever waits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nbflow._store.base import RunQueries, RunRow
from nbflow._store.payload import from_json, load_value, to_json
from nbflow.model import ErrorInfo, RunStatus


@dataclass(slots=True)  # frozen ones take three times as long to make
class Ending:
    """The end of a run.

    Attributes:
        status: the terminal status.
        value: the result as it was stored, where the run is completed.
        member: its stored form, as a member of an event's data.
        error: the recorded error, where the run has failed.
        exception: the exception itself, in the process that saw it.
        reason: why it was canceled or skipped.
        by: who canceled it.
        is_undefined: whether it failed because its workflow is not defined any more.
    """

    status: RunStatus
    value: Any = None
    member: bytes = b'"_value":null'
    error: dict[str, Any] | None = None
    exception: BaseException | None = None
    reason: str | None = None
    by: str | None = None
    is_undefined: bool = False


def stored_error(error: object) -> dict[str, Any]:
    """The stored form of an error that is already a record."""
    if isinstance(error, ErrorInfo):
        return error.to_stored()
    return {"type": type(error).__name__, "message": str(error)}


Waiter = Callable[[Ending], None]


def read_ending(
    store: RunQueries, row: RunRow, classes: Mapping[str, type] | None = None
) -> Ending:
    """How an ended run has ended, from the store."""
    event = store.events(row.n, row.last - 1, 1)[0] if row.last else None
    fields = from_json(event.data if event is not None else None)
    status = RunStatus(row.status)
    if status is not RunStatus.COMPLETED:
        return Ending(
            status,
            error=fields.get("error"),
            reason=row.reason,
            is_undefined=bool(fields.get("_undefined")),
        )
    key = "_blob" if "_blob" in fields else "_value"
    member = to_json({key: fields[key]})[1:-1] if fields.get(key) is not None else None
    value = load_value(fields, store.get_blob, classes)
    if member is None:
        return Ending(status, value=value)
    return Ending(status, value=value, member=member)

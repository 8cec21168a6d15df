"""How a life of a run has ended, on its way from the body to whoever waits."""

from dataclasses import dataclass
from typing import Any

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
    """

    status: RunStatus
    value: Any = None
    member: bytes = b'"_value":null'
    error: dict[str, Any] | None = None
    exception: BaseException | None = None
    reason: str | None = None
    by: str | None = None


def stored_error(error: object) -> dict[str, Any]:
    """The stored form of an error that is already a record."""
    if isinstance(error, ErrorInfo):
        return error.to_stored()
    return {"type": type(error).__name__, "message": str(error)}

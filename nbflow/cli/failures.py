"""What is said when something goes wrong."""

import sys
import traceback

from nbflow.errors import (
    AmbiguousRunId,
    DefinitionError,
    InvalidInput,
    NbflowError,
    NotebookError,
    OffsetError,
    RunIdConflict,
    RunNotFound,
    StepNotFound,
    WorkflowNotFound,
)
from nbflow.model import safe_text

_USAGE = (
    AmbiguousRunId,
    DefinitionError,
    InvalidInput,
    OffsetError,
    RunIdConflict,
    RunNotFound,
    StepNotFound,
    WorkflowNotFound,
)


class Usage(Exception):
    """The arguments cannot be used; the message says which and why."""


def is_usage(error: NbflowError) -> bool:
    """Whether the error is about what was typed, not about what was run."""
    if isinstance(error, NotebookError):
        return error.__cause__ is None
    return isinstance(error, _USAGE)


def tell(message: str) -> None:
    """Say what is wrong on standard error, after the program's name."""
    print(f"nbflow: {safe_text(message, multiline=True)}", file=sys.stderr)


def user_frames(error: BaseException) -> str:
    """The traceback of an error, without the frames of nbflow and of imports."""
    inside = ("nbflow.", "importlib.", "asyncio.", "ast.")
    places = traceback.walk_tb(error.__traceback__)
    shown = [
        summary
        for (frame, _), summary in zip(
            places, traceback.extract_tb(error.__traceback__), strict=True
        )
        if not f"{frame.f_globals.get('__name__', '')}.".startswith(inside)
    ]
    head = ["Traceback (most recent call last):\n"] if shown else []
    last = traceback.format_exception_only(error)
    return "".join([*head, *traceback.format_list(shown), *last]).rstrip("\n")

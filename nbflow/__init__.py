"""nbflow: durable workflows for notebooks and scripts.

Public names are resolved when they are first used, so that importing nbflow costs
next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbflow import codecs, errors, testing
    from nbflow.client import Client, RunHandle
    from nbflow.codecs import Secret, Unresolved
    from nbflow.context import Context, current
    from nbflow.engine import Engine, shutdown
    from nbflow.errors import *  # noqa: F403
    from nbflow.model import (
        Attempt,
        ErrorInfo,
        Plan,
        Run,
        RunEvent,
        RunStatus,
        StepStatus,
    )
    from nbflow.policy import Backoff
    from nbflow.resources import resource
    from nbflow.workflows import Step, Workflow, step, workflow

_HOME = {
    "Attempt": "model",
    "Backoff": "policy",
    "Client": "client",
    "Context": "context",
    "Engine": "engine",
    "ErrorInfo": "model",
    "Plan": "model",
    "Run": "model",
    "RunEvent": "model",
    "RunHandle": "client",
    "RunStatus": "model",
    "Secret": "codecs",
    "Step": "workflows",
    "StepStatus": "model",
    "Unresolved": "codecs",
    "Workflow": "workflows",
    "codecs": "",
    "current": "context",
    "errors": "",
    "resource": "resources",
    "shutdown": "engine",
    "step": "workflows",
    "testing": "",
    "workflow": "workflows",
}
_ERRORS = (
    "AmbiguousRunId",
    "Canceled",
    "ContextClosed",
    "DefinitionError",
    "DuplicateWorkflow",
    "EngineBusy",
    "EngineClosed",
    "EngineFenced",
    "EngineNotInherited",
    "FlowKeyError",
    "InvalidCursor",
    "InvalidDuration",
    "InvalidId",
    "InvalidInput",
    "InvalidName",
    "InvalidOffset",
    "InvalidOption",
    "InvalidRunId",
    "InvokeDepthExceeded",
    "InvokeError",
    "InvokeRateLimited",
    "InvokeSkipped",
    "InvokeTimedOut",
    "InvokedRunCanceled",
    "InvokedRunFailed",
    "MapError",
    "NbflowError",
    "NestedStep",
    "NonDeterminismError",
    "NonRetriableError",
    "NotAStore",
    "NotSerializable",
    "NotebookError",
    "OffsetAhead",
    "OffsetError",
    "OffsetExpired",
    "OffsetOtherStore",
    "PayloadTooLarge",
    "RecoveryLimit",
    "RetryAfterError",
    "RunActive",
    "RunCanceled",
    "RunError",
    "RunFailed",
    "RunFinished",
    "RunIdConflict",
    "RunNotFound",
    "RunSkipped",
    "RunTimedOut",
    "StepError",
    "StepNotFound",
    "StepOutcomeUnknown",
    "StepTimeout",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "StoreReadOnly",
    "StoreReplaced",
    "StoreTooNew",
    "UnsafeStore",
    "UnsupportedFileSystem",
    "WorkflowNotFound",
    "WrongLoop",
)
_HOME |= dict.fromkeys(_ERRORS, "errors")

__version__ = "0.1.0"
__all__ = sorted([*_HOME, "__version__"])  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'nbflow' has no attribute {name!r}")
    module = import_module(f"nbflow.{home or name}")
    value = getattr(module, name) if home else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)

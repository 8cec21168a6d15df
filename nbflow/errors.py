"""Every error nbflow raises.

NbflowError(Exception)            .run_id .step .attempt .workflow
├─ DefinitionError(ValueError)
│  ├─ InvalidId, InvalidName, InvalidRunId, InvalidDuration, DuplicateWorkflow
│  └─ InvalidOption               .option .value
├─ NonRetriableError
│  ├─ NonDeterminismError, NestedStep, PayloadTooLarge, StepOutcomeUnknown,
│  │  RecoveryLimit, FlowKeyError, ContextClosed, WrongLoop
│  ├─ NotSerializable(TypeError)  .path .value
│  └─ InvokeError                 .error
│     ├─ WorkflowNotFound(LookupError), InvokeTimedOut(TimeoutError),
│     │  InvokedRunFailed, InvokedRunCanceled, InvokeDepthExceeded,
│     │  RunIdConflict, InvalidInput(ValueError; .problems)
│     └─ InvokeSkipped
│        └─ InvokeRateLimited
├─ RetryAfterError                .retry_after
├─ StepError                      .error .attempts
├─ StepTimeout(TimeoutError)
├─ ProcessDied                     .exit_code
├─ MapError                       .results .errors
├─ RunError
│  ├─ RunFailed                   .error
│  │  └─ RunTimedOut
│  └─ RunCanceled, RunSkipped, RunNotFound(LookupError), AmbiguousRunId,
│     RunFinished, RunActive, StepNotFound(LookupError)
├─ OffsetError(ValueError)
│  └─ InvalidOffset, OffsetOtherStore, OffsetAhead, OffsetExpired
├─ InvalidCursor(ValueError)
├─ StoreError
│  ├─ StoreReadOnly, StoreFull, NotAStore, StoreTooNew, StoreDamaged,
│  │  StoreReplaced, UnsafeStore, UnsupportedFileSystem
│  ├─ EngineBusy                  .pid .host .since .notebook
│  └─ EngineFenced, EngineNotInherited, EngineClosed
└─ NotebookError(ValueError)

Canceled(BaseException)           passes through `except Exception` of user code
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TypedDict, Unpack

from nbflow import _rebuild
from nbflow._rebuild import ErrorDetails as ErrorDetails

MESSAGE_LIMIT = 2_000


class Where(TypedDict, total=False):
    """Where an error happened: keyword arguments that every error takes."""

    run_id: str | None
    step: str | None
    attempt: int | None
    workflow: str | None


class NbflowError(Exception):
    """Base of all errors of nbflow; the attributes are None where unknown."""

    run_id: str | None = None
    step: str | None = None
    attempt: int | None = None
    workflow: str | None = None

    def __init__(self, message: object = "", **where: Unpack[Where]) -> None:
        super().__init__(_cut(message))
        _locate(self, where)

    def __str__(self) -> str:
        # Not the builtin bases' way: KeyError quotes, OSError adds its errno.
        return str(self.args[0]) if len(self.args) == 1 else Exception.__str__(self)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild.reduce(self)


class DefinitionError(NbflowError, ValueError):
    """A workflow, a step or an option is written in a way that cannot work."""


class InvalidId(DefinitionError):
    """A step id or the name of a group breaks the rule for ids."""


class InvalidName(DefinitionError):
    """The name of a workflow, app or event breaks the rule for names."""


class InvalidRunId(DefinitionError):
    """A run id breaks the rule for run ids."""


class InvalidOption(DefinitionError):
    """An option has a value that it cannot take.

    `problems` says by field what is wrong with an answer or a form.
    """

    def __init__(
        self,
        message: object = "",
        *,
        option: str | None = None,
        value: object = None,
        problems: Mapping[str, str] | None = None,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, **where)
        self.option = option
        self.value = value
        self.problems = dict(problems or {})


class InvalidDuration(DefinitionError):
    """A duration is no timedelta, number of seconds or text such as "1h30m"."""


class DuplicateWorkflow(DefinitionError):
    """Two modules define one workflow name in one app."""


class NonRetriableError(NbflowError):
    """Raise it to fail a step or run at once, without further tries."""


class NonDeterminismError(NonRetriableError):
    """A body that was entered again asks for something else than it did before."""


class NestedStep(NonRetriableError):
    """A step used the context for another step, which only a body may do."""


class NotSerializable(NonRetriableError, TypeError):
    """A value has no stored form; `value` still holds it in this process."""

    def __init__(
        self,
        message: object = "",
        *,
        path: str = "",
        value: object = None,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, **where)
        self.path = path
        self.value = value


class PayloadTooLarge(NonRetriableError):
    """A value is larger than a store takes."""


class StepOutcomeUnknown(NonRetriableError):
    """A crash cut off a step that must not be executed twice."""


class RecoveryLimit(NonRetriableError):
    """The engine crashed again and again in a run that got no further."""


class FlowKeyError(NonRetriableError):
    """A flow-control key could not be made from the input."""


class ContextClosed(NonRetriableError):
    """A context was used after its run had ended."""


class WrongLoop(NonRetriableError):
    """An async object was used on another event loop than the one it belongs to."""


class InvokeError(NonRetriableError):
    """An invoked run gave no result; `run_id` and `workflow` are the child's."""

    def __init__(
        self,
        message: object = "",
        *,
        error: ErrorDetails | None = None,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, **where)
        self.error = error


class WorkflowNotFound(InvokeError, LookupError):
    """No workflow of that name is known in that app."""


class InvokedRunFailed(InvokeError):
    """The invoked run failed for good."""


class InvokedRunCanceled(InvokeError):
    """The invoked run was canceled."""


class InvokeTimedOut(InvokeError, TimeoutError):
    """The invoked run did not end within the time the caller gave it."""


class InvokeSkipped(InvokeError):
    """The invoked run was skipped and never started."""


class InvokeRateLimited(InvokeSkipped):
    """The limits of the invoked workflow skipped its run."""


class InvokeDepthExceeded(InvokeError):
    """Runs invoke runs deeper than allowed."""


class RunIdConflict(InvokeError):
    """The run id belongs to a run of another workflow or with another input."""


class InvalidInput(InvokeError, ValueError):
    """The input does not fit the workflow's signature.

    `problems` says what is wrong by place: `{"pages[0].url": "is missing"}`; it is
    empty where the input as a whole does not fit.
    """

    def __init__(
        self,
        message: object = "",
        *,
        problems: Mapping[str, str] | None = None,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, **where)
        self.problems = dict(problems or {})


class RetryAfterError(NbflowError):
    """Raise it in a step to have it tried again after `retry_after`.

    `retry_after` is a duration or an aware datetime.
    """

    def __init__(
        self,
        message: object = "",
        retry_after: float | str | dt.timedelta | dt.datetime = 0,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, **where)
        self.retry_after = retry_after


class StepError(NbflowError):
    """A step is out of tries; it is an instance of the original type as well."""

    error: ErrorDetails | None = None
    attempts: int = 0

    def __init__(
        self,
        message: object = "",
        *,
        error: ErrorDetails | None = None,
        attempts: int = 0,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, **where)
        self.error = error
        self.attempts = attempts


class StepTimeout(NbflowError, TimeoutError):
    """One attempt of a step took longer than its time-out."""


class ProcessDied(NbflowError):
    """The process of a step ended before its function had returned.

    `exit_code` is negative for a signal, as in `subprocess`.
    """

    def __init__(
        self,
        message: object = "",
        *,
        exit_code: int | None = None,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, **where)
        self.exit_code = exit_code


class MapError(NbflowError):
    """Items of a map failed: `results` is aligned with the items, None where failed."""

    def __init__(
        self,
        message: object = "",
        *,
        results: Sequence[object] = (),
        errors: Sequence[BaseException] = (),
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, **where)
        self.results = results
        self.errors = errors


class RunError(NbflowError):
    """A run has no result to give, or is in no state for what was asked."""


class RunFailed(RunError):
    """The run failed for good; `error` says with what."""

    def __init__(
        self,
        message: object = "",
        *,
        error: ErrorDetails | None = None,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, **where)
        self.error = error


class RunTimedOut(RunFailed):
    """The run did not end within its workflow's time-out."""


class RunCanceled(RunError):
    """The run was canceled."""


class RunSkipped(RunError):
    """The run was skipped by flow control and never started."""


class RunNotFound(RunError, LookupError):
    """No run has that id."""


class AmbiguousRunId(RunError):
    """The beginning of a run id fits several runs."""


class RunFinished(RunError):
    """The run has ended, and what was asked needs one that has not."""


class RunActive(RunError):
    """The run is still going on, and what was asked needs one that has ended."""


class StepNotFound(RunError, LookupError):
    """The run has no step of that name."""


class OffsetError(NbflowError, ValueError):
    """A stream cannot go on from that offset."""


class InvalidOffset(OffsetError):
    """The text is no offset."""


class OffsetOtherStore(OffsetError):
    """The offset belongs to another store or another run."""


class OffsetAhead(OffsetError):
    """The offset lies after the last event of the run."""


class OffsetExpired(OffsetError):
    """The events before that offset are gone."""


class InvalidCursor(NbflowError, ValueError):
    """The cursor does not belong to this list of runs."""


class StoreError(NbflowError):
    """The store, or the engine that holds it, cannot do what was asked."""


class StoreReadOnly(StoreError):
    """The store cannot be written by this process."""


class StoreFull(StoreError):
    """The disk has no room left; nothing of the write is stored."""


class NotAStore(StoreError):
    """The file is no store of nbflow; it was left as it is."""


class StoreTooNew(StoreError):
    """The store was written by a newer nbflow; it was left as it is."""


class StoreDamaged(StoreError):
    """The store's content does not agree with its digests or cannot be read."""


class StoreReplaced(StoreError):
    """The store's file was moved, deleted or replaced while it was open."""


class UnsafeStore(StoreError):
    """The store belongs to someone else or can be written by others."""


class UnsupportedFileSystem(StoreError):
    """The file system lacks the locks or the durability a store needs."""


class EngineBusy(StoreError):
    """Another process runs the engine of this app."""

    def __init__(
        self,
        message: object = "",
        *,
        pid: int | None = None,
        host: str | None = None,
        since: dt.datetime | None = None,
        notebook: str | None = None,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, **where)
        self.pid = pid
        self.host = host
        self.since = since
        self.notebook = notebook


class EngineFenced(StoreError):
    """A newer engine took over the store; this one must not write any more."""


class EngineNotInherited(StoreError):
    """The engine belongs to the parent of this forked process."""


class EngineClosed(StoreError):
    """The engine was closed and starts nothing more."""


class NotebookError(NbflowError, ValueError):
    """A notebook or a cell of it cannot be used as a workflow."""


class _Interrupt(BaseException):
    """Engine control flow: passes through `except Exception` of user code."""


class Canceled(_Interrupt):
    """The run of this code was canceled; raised by log, progress and emit."""

    run_id: str | None = None
    step: str | None = None
    attempt: int | None = None
    workflow: str | None = None

    def __init__(self, message: object = "", **where: Unpack[Where]) -> None:
        super().__init__(_cut(message))
        _locate(self, where)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild.reduce(self)


def step_error(
    error_info: ErrorDetails,
    step: str | None,
    attempts: int,
    original: BaseException | None = None,
    attributes: Mapping[str, object] | None = None,
    args: tuple[object, ...] | None = None,
    *,
    workflow: str | None = None,
) -> StepError:
    """Make the error that a step out of tries raises into the body.

    It reads as the original did and is an instance of the original's class too when
    that class is loaded, on the first pass and after a restart alike. The class is
    looked up by the record's "module:qualname" and never imported; no `__init__` of
    it is called. `attributes` are what `_rebuild.plain_attributes` kept of the
    original, `args` its own if they are plain (else the message); `original` only
    helps to find a class that no module holds (one local to a function).
    """
    message = _cut(error_info.message)
    path: str | None = getattr(error_info, "_class", None)
    kept = attributes or {}
    error = _rebuild.as_original(StepError, path, original, message, kept, args)
    if error is None:
        error = StepError(message)
        _rebuild.restore(error, kept)
    _locate(error, {"run_id": error_info.run_id, "step": step, "workflow": workflow})
    error.__dict__.update(error=error_info, attempts=attempts)
    return error


def _cut(message: object) -> str:
    text = str(message)
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 2] + " …"


def _locate(error: BaseException, where: Where) -> None:
    # Past `__setattr__`: a combined class may be a frozen dataclass.
    for name in Where.__annotations__:
        error.__dict__[name] = where.get(name)


for _public in list(globals().values()):
    # Tracebacks and pickles name the place that users import from.
    if isinstance(_public, type) and issubclass(_public, NbflowError | Canceled):
        _public.__module__ = "nbflow"

"""Steps that start a child run, and wait for it or not.

The child's record, its first event and the parent's `step.invoking` are one
transaction, so a re-entered parent always finds the child it has made. The child's
end and the parent's outcome are one transaction, too.
"""

import asyncio
from collections.abc import Generator, Mapping
from functools import partial
from typing import Any, Literal

from nbflow import codecs, durations, names
from nbflow._engine import failure, said
from nbflow._engine.calls import awaited_twice, recall
from nbflow._engine.children import check_depth, start_child
from nbflow._engine.core import Child
from nbflow._engine.elsewhere import ChildElsewhere
from nbflow._engine.ending import Ending
from nbflow._engine.invoked import end_fields, error_of, outcome_of
from nbflow._engine.life import Life
from nbflow._engine.memo import (
    NO_FUNCTION,
    NOT_ASKED,
    Asked,
    Partial,
    Recorded,
    read_asked,
)
from nbflow._engine.options import check_invoke_options
from nbflow._engine.resuming import join
from nbflow._store.payload import load_value, to_json
from nbflow.definition.spec import Target, WorkflowSpec
from nbflow.errors import (
    InvokeError,
    NbflowError,
    NonDeterminismError,
    RunNotFound,
    StoreError,
)
from nbflow.model import EventType, RunStatus, step_label

Mode = Literal["invoke", "try", "start", "join"]

_CALLS: Mapping[Mode, str] = {
    "invoke": "ctx.invoke",
    "try": "ctx.try_invoke",
    "start": "ctx.start",
}
_COMPLETED = EventType.STEP_COMPLETED.value
_FAILED = EventType.STEP_FAILED.value
_TIMED_OUT = EventType.STEP_TIMED_OUT.value
_INVOKING = EventType.STEP_INVOKING.value


class StartedChild:
    """The handle of a detached child; awaiting it is a step of its own."""

    def __init__(
        self,
        run: Life,
        id: str,
        run_id: str,
        target: Target | str,
        app: str | None = None,
        asked: Asked = NOT_ASKED,
    ) -> None:
        self._run = run
        self._id = id
        self._target = target
        self._app = app  # another one, and what has asked it for the child
        self._asked = asked
        self.run_id = run_id

    def __repr__(self) -> str:
        return f"<started run {self.run_id}>"

    def __await__(self) -> Generator[Any, Any, Any]:
        branch = self._run.branch_for(self._id)
        key = branch.key(f"{self._id}.result")
        call = InvokeCall(self._run, key, self.run_id, None, "join", {})
        call.app, call.asked, call.result_of = self._app, self._asked, self._target
        call.workflow = _address(self._target)[0]
        return call.__await__()


class InvokeCall:
    """An invoke that was called; awaiting it starts the child, or finds it."""

    __slots__ = (
        "_due",
        "_elsewhere",
        "_future",
        "_is_over",
        "_timer",
        "app",
        "asked",
        "child",
        "input",
        "is_awaited",
        "is_item",
        "item_of",
        "key",
        "kind",
        "mark",
        "mode",
        "options",
        "result_of",
        "run",
        "target",
        "workflow",
    )

    def __init__(
        self,
        run: Life,
        key: str,
        target: Target | str,
        input: Any,
        mode: Mode,
        options: Mapping[str, Any],
        item_of: str | None = None,
        is_item: bool = False,
    ) -> None:
        if options:
            check_invoke_options(options)
        if type(target) is not str and not hasattr(target, "target_app"):
            raise _no_target(key, target)
        self.run = run
        self.key = key
        self.target = target
        self.input = input
        self.mode = mode
        self.kind = "start" if mode == "start" else "invoke"
        self.options = options
        self.item_of = item_of
        self.is_item = is_item
        self.is_awaited = False
        self.child: str | None = None
        name, app = _address(target)
        self.app = app if app != run.core.app else None  # another one
        given = (name, input) if self.app is None else (name, input, self.app)
        self.mark = codecs.fingerprint(given, {}).mark + NO_FUNCTION
        self._future: asyncio.Future[Any] = run.loop.create_future()
        self._is_over = False
        self._timer: Any = None
        self._elsewhere: ChildElsewhere | None = None
        self._due: int | None = None  # when its time-out is up
        self.asked = NOT_ASKED  # by the `ctx.start` that it waits for
        self.workflow = name
        self.result_of = target  # a reference to it names the result's type

    def __await__(self) -> Generator[Any, Any, Any]:
        if self.is_awaited:
            raise awaited_twice(self.key, _CALLS[self.mode])
        self.is_awaited = True
        return self._perform().__await__()

    async def _perform(self) -> Any:
        fields, is_completed, left = await recall(
            self.run,
            self.key,
            self.mark,
            kind=self.kind,
            item_of=self.item_of,
            conflict=self._conflict,
        )
        if fields is None:
            self.run.executes()
            fields, is_completed = await self._execute(left)
        return self._result(fields, is_completed)

    async def _execute(self, left: Partial | None) -> tuple[dict[str, Any], bool]:
        """Start or find the child, wait as the mode says, record the outcome."""
        if left is not None and left.is_refreshed and self.options.get("run_id"):
            self._warn_same_run()
        if left is not None and left.child is None:
            left = None
        # A resume puts aside that the child was asked for.
        is_known = left is not None and not left.is_retried
        self._due = left.until if left is not None and is_known else None
        if self._due is None:
            self._due = self._until()
        try:
            self._find_child(left)
            if not is_known:
                self._note_invoking()
        except InvokeError as exc:
            return await self._refused(exc)
        assert self.child is not None
        is_detached = self.mode == "start"
        child = Child(self.child, is_detached, self._is_abandoned, self.app)
        self.run.children[self.child] = child
        if is_detached:
            return await self._detached()
        return await self._wait(is_resumed=left is not None and left.is_retried)

    async def _wait(self, *, is_resumed: bool) -> tuple[dict[str, Any], bool]:
        """Wait for the child's end, and record what it comes to."""
        assert self.child is not None
        if self._due is not None:
            self._timer = self.run.core.timers.call_at(self._due, self._timed_out)
        try:
            if self._elsewhere is None:
                join(self.run.core, self.child, self._ended, is_resumed=is_resumed)
            else:
                self._elsewhere.join(self._ended, self._refuse)
        except (InvokeError, RunNotFound) as exc:
            return await self._refused(exc)
        try:
            outcome: tuple[dict[str, Any], bool] = await self._future
        except asyncio.CancelledError:
            self._abandoned()
            raise
        return outcome

    @property
    def _is_abandoned(self) -> bool:
        """Whether the child goes on when the caller stops waiting."""
        return bool(self.options.get("abandon", False)) or self.mode == "join"

    def _find_child(self, left: Partial | None) -> None:
        """Start the child, or take the one that a former life has started.

        Raises:
            InvokeError: it cannot be started.
        """
        if left is not None:
            self.child = left.child
        elif self.mode == "join":
            self.child = str(self.target)
        elif self.app is None:
            self._start_child()
        else:
            check_depth(self.run.journal, self.key, self.workflow)
            run_id = self.options.get("run_id")
            if run_id is not None:
                names.check_run_id(run_id)
            self.child = run_id or self.run.core.clock.new_run_id()
        if self.app is None:
            return
        assert self.child is not None
        name, payload = self.workflow, None
        if self.mode != "join":
            payload = partial(_plain_payload, self.target, self.input)
        elsewhere = self._elsewhere = ChildElsewhere(
            self.run, self.app, self.child, self.key, name, payload, self.options
        )
        elsewhere.is_item = self.is_item
        if left is not None and not left.is_retried:
            elsewhere.asked = left.asked
        elif left is None and self.mode == "join":
            elsewhere.asked = self.asked
        else:
            elsewhere.prepare(is_new=left is None)

    def _start_child(self) -> None:
        run, core = self.run, self.run.core
        spec = core.specs.resolve(self.target)
        check_depth(run.journal, self.key, self.workflow)
        values = self._validated(spec)
        self.child = start_child(
            core, run.journal, self.key, spec, values, self.options
        )

    def _warn_same_run(self) -> None:
        run_id = self.options["run_id"]
        said.log(
            self.run,
            f"step {step_label(self.key)!r} is executed afresh, but run_id={run_id!r} "
            "stands for one run, whose result is taken again if it is completed: "
            "give another run_id, or leave it out",
            "warning",
            "engine",
            None,
            None,
        )

    def _note_invoking(self) -> None:
        """Record which child is waited for, and what will be sent for it."""
        asked = NOT_ASKED if self._elsewhere is None else self._elsewhere.asked
        fields = {
            "kind": self.kind,
            "child_run_id": self.child,
            "workflow": self.workflow,
            "app": self.app,
            "timeout": self.options.get("timeout") and self._timeout(),
            "_until": self._due,
            "_abandon": True if self._is_abandoned else None,
            **_stored_asked(asked),
        }
        run = self.run
        run.journal.append(_INVOKING, self.key, None, self.mark, to_json(fields))
        run.core.commits.flush_soon()

    def _refuse(self, error: InvokeError) -> None:
        """The other app's engine has refused to start the child."""
        if self._is_over or self.run.is_closed:
            return
        details = failure.describe(
            error, codecs.redact, step=step_label(self.key), run_id=self.run.journal.id
        )
        fields = {"kind": self.kind, "outcome": "refused", "error": details}
        self._record(_FAILED, to_json(fields), fields, False)

    # Its end

    def _validated(self, spec: WorkflowSpec) -> dict[str, Any]:
        given = _plain_payload(self.target, self.input)
        if not self.is_item or isinstance(given, Mapping):
            return spec.inputs.validate_payload(given)
        return spec.inputs.validate_call((given,))

    def _timeout(self) -> float:
        what = f"timeout of {step_label(self.key)!r}"
        return durations.parse(self.options["timeout"], what=what)

    def _until(self) -> int | None:
        if self.options.get("timeout") is None:
            return None
        return self.run.core.clock.micros() + round(self._timeout() * 1e6)

    async def _detached(self) -> tuple[dict[str, Any], bool]:
        """Have the child durable in its app, and leave it to itself."""
        run, elsewhere = self.run, self._elsewhere
        fields: dict[str, Any] = {
            "kind": "start",
            "child_run_id": self.child,
            "app": self.app,
            "_value": self.child,
        }
        if elsewhere is not None:
            await run.core.commits.committed()
            try:
                elsewhere.send()
            except InvokeError as exc:
                return await self._refused(exc)
            except StoreError as exc:
                return await self._refused(InvokeError(str(exc), run_id=self.child))
            fields.update(_stored_asked(elsewhere.asked))
        run.journal.append(_COMPLETED, self.key, None, self.mark, to_json(fields))
        await run.settle(self.key)
        return fields, True

    async def _refused(self, error: NbflowError) -> tuple[dict[str, Any], bool]:
        """The child never came to exist, or cannot be waited for."""
        details = failure.describe(
            error, codecs.redact, step=step_label(self.key), run_id=self.run.journal.id
        )
        fields = {"kind": self.kind, "outcome": "refused", "error": details}
        run = self.run
        run.journal.append(_FAILED, self.key, None, self.mark, to_json(fields))
        await run.settle(self.key)
        return fields, False

    def _ended(self, ending: Ending) -> None:
        """The child's end goes into the store together with the parent's outcome."""
        if self._is_over or self.run.is_closed:
            return
        head = {"kind": self.kind, "child_run_id": self.child}
        assert self.child is not None
        if ending.status is RunStatus.COMPLETED:
            stored = to_json(head)[:-1] + b"," + ending.member + b"}"
            self._record(_COMPLETED, stored, head | {"value": ending.value}, True)
            return
        fields = head | end_fields(self.child, ending)
        self._record(_FAILED, to_json(fields), fields, False)

    def _timed_out(self) -> None:
        if self._is_over or self.run.is_closed:
            return
        message = (
            f"step {step_label(self.key)!r} waited {self._timeout():g} s, its timeout, "
            f"for run {self.child}"
        )
        error = {"type": "InvokeTimedOut", "message": message, "run_id": self.child}
        fields = {
            "kind": self.kind,
            "child_run_id": self.child,
            "outcome": "timed_out",
            "after": self._timeout(),
            "error": error,
        }
        self._record(_TIMED_OUT, to_json(fields), fields, False)
        self._cancel_child("the caller's timeout has passed")

    def _record(
        self, type: str, stored: bytes, fields: dict[str, Any], is_completed: bool
    ) -> None:
        self._is_over = True
        self._stop_waiting()
        run = self.run
        if self.child is not None and self.mode != "start":
            run.children.pop(self.child, None)
        run.journal.append(type, self.key, None, self.mark, stored)
        run.deliver(self.key, self._future, (fields, is_completed))

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._elsewhere is not None:
            self._elsewhere.leave()

    def _abandoned(self) -> None:
        """The body no longer waits."""
        run = self.run
        self._stop_waiting()
        if run.is_closed:
            return
        run.note_canceled(self.key, None, self.mark)
        if not self._is_over:
            self._is_over = True
            self._cancel_child("the caller no longer waits")

    def _cancel_child(self, reason: str) -> None:
        child = self.run.children.pop(self.child or "", None)
        if child is None and not self._is_abandoned:
            child = Child(self.child or "", False, False, self.app)
        if child is not None and not child.is_abandoned:
            self.run.core.cancel_child(child, reason)

    def _result(self, fields: dict[str, Any], is_completed: bool) -> Any:
        run, label = self.run, step_label(self.key)
        if self.mode == "start" and is_completed:
            child, app = str(fields["child_run_id"]), fields.get("app")
            asked = read_asked(fields)
            return StartedChild(run, label, child, self.target, app, asked)
        value, error = None, None
        if not is_completed:
            error = error_of(fields, label, self.workflow)
        else:
            try:
                value = self._value(fields)
            except InvokeError as exc:
                exc.run_id, exc.step = fields.get("child_run_id"), label
                error = exc
        if self.mode == "try":
            return outcome_of(fields, value, error)
        if error is not None:
            raise error
        return value

    def _value(self, fields: dict[str, Any]) -> Any:
        """The child's result, as the type that a reference names."""
        if "value" in fields:
            value = fields["value"]
        else:
            core = self.run.core
            classes = core.specs.classes(self.workflow)
            value = load_value(fields, core.store.get_blob, classes)
        check = getattr(self.result_of, "result", None)
        return value if check is None else check(value)

    def _conflict(self, found: Recorded) -> NonDeterminismError:
        label = step_label(self.key)
        return NonDeterminismError(
            f"step {label!r} of run {self.run.journal.id} is recorded with another "
            f"workflow or input than {self.workflow!r} with "
            f"{codecs.preview(self.input)}, which the same code now asks for: a "
            "re-entered body must call its steps with equal arguments. Take clocks, "
            "random numbers and ids from ctx.now(), ctx.random() and ctx.uuid(), or "
            "put what makes them into a step.",
            run_id=self.run.journal.id,
            step=label,
        )


def _address(target: Target | str) -> tuple[str, str | None]:
    """A workflow runs in the caller's app; a reference may name another one."""
    return (
        (target, None)
        if isinstance(target, str)
        else (
            target.name,
            target.target_app,
        )
    )


def _plain_payload(target: Target | str, input: Any) -> Any:
    """An input as another app can read it: it need not have the classes."""
    check = getattr(target, "payload", None)
    return input if check is None else check(input)


def _stored_asked(asked: Asked) -> dict[str, Any]:
    """Fields of an event that say what is sent to another app."""
    resumes = True if asked.resumes else None
    return {"_command": asked.command, "_store": asked.store, "_resumes": resumes}


def _no_target(key: str, target: object) -> TypeError:
    name = getattr(target, "__name__", None) or type(target).__name__
    return TypeError(
        f"ctx.invoke({step_label(key)!r}) got {type(target).__name__} {name!r}: it "
        "takes a workflow, its name or a reference. A plain function is a step: "
        f"ctx.run({step_label(key)!r}, {name}, …)"
    )

"""`RunHandle`: one run in the hand of who started it, or looked it up."""

import sys
from collections.abc import Generator, Iterable, Sequence
from typing import Any, Generic, Literal, TypeVar, overload

from nbflow import durations
from nbflow._engine.ending import Ending
from nbflow._engine.hosts import OpenHost
from nbflow._engine.tickets import Ticket
from nbflow.client import frames, operations
from nbflow.client.access import Access
from nbflow.client.fold import StepState, fold_steps, select, unknown_step
from nbflow.client.offsets import START
from nbflow.client.records import step_value
from nbflow.client.steps import StepList
from nbflow.client.stream import EventList, Stream, read_events
from nbflow.client.waiting import Watch
from nbflow.errors import (
    NbflowError,
    RunCanceled,
    RunFailed,
    RunSkipped,
    RunTimedOut,
    StepError,
    StepNotFound,
)
from nbflow.model import ErrorInfo, Plan, Run, RunStatus, StepStatus, safe_text

T = TypeVar("T")

_MESSAGE = 1_500
"""Characters of an error's own message, so that what follows it is not cut off."""
_MISSING: Any = object()


class RunHandle(Generic[T]):
    """A run: its result, its steps, its events, and what can be done with it.

    `handle.result()` blocks, `await handle` does not; both give the workflow's value
    or raise. `handle["fetch"]` is the value of a step, and of a map or group the list
    of values so far.

    Args:
        run_id: the run.
        host: the engine of this process that executes it.
        ticket: what that engine gave for it.
        workflow: the workflow's name, where it is known.
        access: the app, where there is no `host`.
        command: id of a kept command that is still to start the run.
    """

    def __init__(
        self,
        run_id: str,
        *,
        host: OpenHost | None = None,
        ticket: Ticket | None = None,
        workflow: str | None = None,
        access: Access | None = None,
        command: str | None = None,
    ) -> None:
        if access is None:
            assert host is not None
            access = Access.of(host)
        self.run_id = run_id
        self._workflow = workflow
        self._access = access
        self._watch = Watch(access, run_id, ticket, host, command)

    def __repr__(self) -> str:
        name = f" of {self._workflow!r}" if self._workflow else ""
        try:
            return f"<run {self.run_id}{name}: {self._line()}>"
        except NbflowError as error:  # a display must not fail
            what = safe_text(str(error))[:120]
            return f"<run {self.run_id}{name}: {type(error).__name__}: {what}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def _ipython_display_(self) -> None:
        """In a notebook a run shows itself, live; elsewhere as its line of text."""
        ipython = sys.modules.get("IPython")
        if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
            raise NotImplementedError  # IPython goes on with its other ways
        # The one look upwards: nothing but a notebook may load the widgets.
        from nbflow.widgets.display import show

        try:
            show(self)
        except NbflowError as error:  # refused, or gone: its line says so
            raise NotImplementedError from error

    def __await__(self) -> Generator[Any, Any, T]:
        """Wait for the result without blocking the loop; raises as `result` does."""
        return self._wait_async().__await__()

    async def _wait_async(self) -> T:
        return self._settle(await self._watch.wait_async())

    # What it is

    @property
    def status(self) -> RunStatus:
        """What the run does now."""
        row = self._access.look_up(self.run_id)
        if row is not None:
            return RunStatus(row.status)
        self._raise_refusal()
        if self._is_pending():
            return RunStatus.QUEUED
        return self.run.status

    @property
    def run(self) -> Run:
        """The run's record."""
        self._raise_refusal()
        return operations.get_run(self._access, self.run_id)

    @property
    def steps(self) -> StepList:
        """The steps so far; `handle.steps["ask[17]"]` is one of them."""
        self._raise_refusal()
        return operations.list_steps(self._access, self.run_id)

    def __getitem__(self, name: str) -> Any:
        """The value of a step; of a map, group or branch the list of those so far.

        Raises:
            StepNotFound: there is no such step, or it has no value yet.
            StepError: it has failed; `.error` says with what.
        """
        if not isinstance(name, str):
            raise TypeError(
                f"handle[{name!r}]: a step is asked for by its name, as in "
                'handle["fetch"]'
            )
        self._raise_refusal()
        row = self._access.find_row(self.run_id)
        store = self._access.store()
        states = fold_steps(store.events(row.n)).values()
        found, is_one = select(states, name)
        if not found:
            raise unknown_step(row, name, [state.label for state in states])
        classes = self._access.classes(row.workflow)
        if is_one:
            self._check_value(found[0])
            return step_value(found[0], store, classes)
        return [
            step_value(state, store, classes)
            for state in found
            if state.status is StepStatus.COMPLETED
        ]

    def _check_value(self, state: StepState) -> None:
        if state.status is StepStatus.COMPLETED:
            return
        where: Any = {"run_id": self.run_id, "step": state.label}
        if state.error is not None:
            error = ErrorInfo.from_stored(state.error)
            raise StepError(
                f"step {state.label!r} of run {self.run_id} has no value: it is "
                f"{state.status} with {error}",
                error=error,
                attempts=len(state.tries) - state.earlier,
                **where,
            )
        raise StepNotFound(
            f"step {state.label!r} of run {self.run_id} has no value (yet): it is "
            f"{state.status}",
            **where,
        )

    def frame(self) -> Any:
        """The steps as a pandas DataFrame, one row a step.

        Raises:
            ImportError: pandas is not installed.
        """
        return frames.steps_frame(self.steps)

    # Its end

    def result(self, timeout: Any = None) -> T:
        """Block until the run has ended; what the workflow returned.

        Args:
            timeout: a duration; no limit if None.

        Raises:
            RunFailed: `.error` says with what; RunTimedOut where the workflow's
                time-out has ended it.
            RunCanceled, RunSkipped: it ended so.
            TimeoutError: `timeout` has passed. The run goes on.
            WrongLoop: called on an engine's own loop, which it would block.
        """
        seconds = None
        if timeout is not None:
            seconds = durations.parse(timeout, what="timeout")
        self._access.refuse_loop(f"result() of run {self.run_id}")
        ending = self._watch.wait(seconds)
        if ending is None:
            shown = durations.show(seconds or 0.0)
            raise TimeoutError(
                f"run {self.run_id} has not ended within {shown}: {self._line()}. It "
                "goes on: call result() again, or cancel() it."
            )
        return self._settle(ending)

    def _settle(self, ending: Ending) -> T:
        if ending.status is RunStatus.COMPLETED:
            value: T = ending.value
            return value
        name = f" of {self._workflow!r}" if self._name() else ""
        where: Any = {"run_id": self.run_id, "workflow": self._workflow}
        again = f"client.runs.resume({self.run_id!r})"
        if ending.status is RunStatus.SKIPPED:
            because = f": {ending.reason}" if ending.reason else ""
            raise RunSkipped(f"run {self.run_id}{name} was skipped{because}", **where)
        if ending.status is RunStatus.CANCELED:
            because = f": {ending.reason}" if ending.reason else ""
            raise RunCanceled(
                f"run {self.run_id}{name} was canceled{because}. {again} goes on with "
                "it; finished steps are kept.",
                **where,
            )
        error = ErrorInfo.from_stored(ending.error or {})
        shown = str(error)
        if len(shown) > _MESSAGE:
            shown = shown[:_MESSAGE] + " …"
        step = f" in step {error.step!r}" if error.step else ""
        kind = RunTimedOut if error.type.endswith("RunTimedOut") else RunFailed
        raise kind(
            f"{shown}\n\nrun {self.run_id}{name} failed{step}. Correct the cause, then "
            f"{again} goes on with it; finished steps are kept.",
            error=error,
            step=error.step,
            **where,
        ) from ending.exception

    # What can be done with it

    def cancel(self, reason: str | None = None) -> bool:
        """Cancel the run and its children; False when it had ended already."""
        self._raise_refusal()
        return bool(operations.cancel(self._access, [self.run_id], reason))

    @overload
    def resume(
        self,
        *,
        refresh: str | Iterable[str] | None = None,
        plan: Literal[False] = False,
    ) -> "RunHandle[T]": ...
    @overload
    def resume(
        self, *, refresh: str | Iterable[str] | None = None, plan: Literal[True]
    ) -> Plan: ...
    def resume(
        self, *, refresh: str | Iterable[str] | None = None, plan: bool = False
    ) -> "RunHandle[T] | Plan":
        """Go on in place with a failed or canceled run; see `client.runs.resume`."""
        self._raise_refusal()
        from nbflow.client import resumes  # who reads does not compare code

        if plan:
            return resumes.plan_resume(self._access, self.run_id, refresh)[1].plan
        resumes.resume(self._access, self.run_id, refresh)
        self._watch = Watch(self._access, self.run_id)
        return RunHandle(self.run_id, access=self._access, workflow=self._workflow)

    def rerun(
        self,
        *,
        from_step: str | None = None,
        input: Any = _MISSING,
        step_input: Sequence[Any] | None = None,
    ) -> "RunHandle[T]":
        """Start a new run of the same workflow; see `client.runs.rerun`."""
        self._raise_refusal()
        given: dict[str, Any] = {"from_step": from_step}
        if input is not _MISSING:
            given["input"] = input
        if step_input is not None:
            given["step_input"] = step_input
        run_id, command = operations.rerun(self._access, self.run_id, given)
        return RunHandle(
            run_id,
            access=self._access,
            workflow=self._workflow,
            command=command,
        )

    def events(self, offset: str = START, tail: int | None = None) -> EventList:
        """The events that are there, after `offset`; see `client.runs.events`."""
        self._raise_refusal()
        return read_events(self._access, self.run_id, offset, tail)

    def stream(
        self, offset: str = START, tail: int | None = None, live: bool = True
    ) -> Stream:
        """The events as they come; see `client.runs.stream`."""
        self._raise_refusal()
        return Stream(self._access, self.run_id, offset, tail, live)

    # Inside

    def _confirm(self) -> None:
        """Wait until the run's record is committed; raise why it was refused."""
        self._access.settle()
        ticket = self._watch.ticket
        if ticket is not None and ticket.ending is None and ticket.error is not None:
            raise ticket.error

    def _is_pending(self) -> bool:
        """Whether the run's record is on its way into the store."""
        ticket = self._watch.ticket
        if ticket is not None and not ticket.is_done:
            return True
        return not self._watch.is_recorded

    def _raise_refusal(self) -> None:
        """Raise why the engine did not start the run, if it did not."""
        ticket = self._watch.ticket
        error = None if ticket is None or ticket.ending is not None else ticket.error
        if error is not None and self._access.look_up(self.run_id) is None:
            raise error
        self._watch.check_command()

    def _name(self) -> str | None:
        if self._workflow is None:
            row = self._access.look_up(self.run_id)
            self._workflow = None if row is None else row.workflow
        return self._workflow

    def _line(self) -> str:
        """How the run stands, in one safe line."""
        row = self._access.look_up(self.run_id)
        if row is None:
            self._raise_refusal()
            if not self._watch.is_recorded:
                return "queued: the engine that is to start it is not there yet"
            if self._is_pending():
                return "queued"
            return f"unknown: app {self._access.app!r} has no such run (any more)"
        self._workflow = row.workflow
        run = operations.get_run(self._access, self.run_id)
        line = str(run.status)
        if run.duration is not None:
            line += f" after {durations.show(run.duration)}"
        elif run.started_at is not None and row.started is not None:
            passed = (self._access.micros() - row.started) / 1e6
            line += f" for {durations.show(max(passed, 0.0))}"
        if run.error is not None:
            line += f": {safe_text(str(run.error)).partition(chr(10))[0][:120]}"
        elif run.cancel_reason or run.skip_reason:
            line += f": {safe_text(str(run.cancel_reason or run.skip_reason))[:120]}"
        elif run.waiting:
            line += f"; {safe_text(run.waiting[0])}"
        return line

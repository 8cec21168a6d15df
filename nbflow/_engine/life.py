"""One life of a run, as its steps see it: where it stands, and how outcomes come back.

A life begins when a body is entered (first start, retry, resume, recovery) and ends
with the body. `run.py` adds the body, and what it may call.
"""

import asyncio
import threading
from collections.abc import Awaitable, Mapping
from typing import Any

from nbflow import codecs
from nbflow._engine import failure, history
from nbflow._engine.branches import Branch, current_branch, current_step
from nbflow._engine.core import Child, Core
from nbflow._engine.ending import Ending
from nbflow._engine.gate import Gate
from nbflow._engine.journal import Journal
from nbflow._engine.memo import Memo
from nbflow._engine.options import StepPolicy, step_policy
from nbflow._store.payload import to_json
from nbflow.errors import ContextClosed, NestedStep
from nbflow.model import EventType, RunStatus, step_label

LINGER = 0.5
"""Seconds that code may keep swallowing its cancellation before it is left behind."""

_CANCELED = EventType.STEP_CANCELED.value


class Life:
    """A run whose body is being executed."""

    def __init__(
        self, core: Core, journal: Journal, memo: Memo | None, is_changed: bool
    ) -> None:
        assert journal.spec is not None
        self.core = core
        self.loop = core.loop
        self.journal = journal
        self.spec = journal.spec
        self.memo = memo
        self.is_changed = is_changed
        self.is_closed = False
        self.has_executed = memo is None  # a step, in this life
        self.gate: Gate | None = None
        if memo is not None:
            self.gate = Gate(self.loop)
            self.gate.expect(memo.ordered())
        self.children: dict[str, Child] = {}
        self.defaults = core.specs.default_policy(journal)
        self.settled: list[tuple[str, asyncio.Future[Any], Any]] = []
        self._body: asyncio.Task[Any] | None = None
        self._started: list[asyncio.Task[Any]] = []  # by the body
        self._many = 64
        self._deadline: Any = None
        self.values = journal.values

    @property
    def is_single(self) -> bool:
        """Whether the body's task is all there is of the run."""
        started = self._started
        while started and started[-1].done():
            started.pop()
        return not started

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """The tasks of the run that have not ended."""
        tasks = [task for task in self._started if not task.done()]
        if self._body is not None and not self._body.done():
            tasks.append(self._body)
        return tasks

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Own a task that code of the body has started."""
        # Not a set with a callback for each: that would cost every task a loop turn.
        started = self._started
        started.append(task)
        if len(started) > self._many:
            started[:] = [task for task in started if not task.done()]
            self._many = max(64, 2 * len(started))

    def owns(self, task: asyncio.Task[Any]) -> bool:
        """Whether code of the body has started that task."""
        return any(each is task for each in list(self._started))

    def executes(self) -> None:
        """Note that a step waits, sleeps or invokes: the body itself holds nothing."""
        self.has_executed = True
        self.core.release(self.journal)

    # Its end

    def fail_leaving(self, key: str, attempt: int, exc: BaseException) -> None:
        """A step raised SystemExit or its like: the run fails, the engine lives."""
        details = failure.describe(
            exc, codecs.redact, step=step_label(key), run_id=self.journal.id
        )
        data = to_json({"error": details, "attempts": attempt})
        self.journal.append(EventType.STEP_FAILED.value, key, attempt, data=data)
        self.finish(Ending(RunStatus.FAILED, error=details, exception=exc))

    def is_over(self) -> bool:
        """Whether this life has ended; may be asked from any thread."""
        return self.is_closed

    def finish(self, ending: Ending, raises: asyncio.Task[Any] | None = None) -> None:
        """End the run."""
        if self.is_closed:
            return
        self.close(raises)
        self.core.finish(self.journal, self.children, ending)

    def close(self, raises: asyncio.Task[Any] | None = None) -> None:
        """End this life; a task that `raises` by itself is given a moment for it."""
        self.is_closed = True
        self.core.release(self.journal)
        if self.gate is not None:
            self.gate.close()
        if self._deadline is not None:
            self._deadline.cancel()
        if self._body is None and not self._started:
            return  # the usual end: nothing else is going on
        self._interrupt(self.tasks, self.loop.time() + LINGER, raises)

    def _interrupt(
        self,
        tasks: list[asyncio.Task[Any]],
        until: float,
        spared: asyncio.Task[Any] | None = None,
    ) -> None:
        """Cancel tasks until they end; code that swallows it for ever is left."""
        left = [task for task in tasks if not task.done()]
        for task in left:
            if task is not spared:
                task.cancel()
        if not left:
            return
        if self.loop.time() < until:
            self.loop.call_later(0.05, self._interrupt, left, until)
        else:
            self.core.note_left_behind(self.journal.id, left)

    # Calls

    def policy(self, own: Any, options: Mapping[str, Any]) -> StepPolicy:
        """The options of a step: the call's, else the step's, else the workflow's."""
        return step_policy(self.spec.options, self.journal.options, options, own)

    def branch_for(self, id: str) -> Branch:
        """The branch that calls; raises where no step may be called."""
        step = current_step.get()
        if step is not None:
            raise NestedStep(
                f"step {id!r} was called inside step {step_label(step.key)!r}: steps "
                "do not nest, for an inner one could not be recorded on its own. Call "
                "it from the workflow's body, or as a plain function.",
                run_id=self.journal.id,
                step=id,
            )
        branch = current_branch.get()
        if branch is None or branch.run is not self or not self.on_loop():
            raise self._wrong_place(id)
        self.check_open(id)
        return branch

    def _wrong_place(self, id: str) -> ContextClosed:
        self.check_open(id)
        sync = "" if self.spec.is_async else " Make the workflow an `async def`."
        return ContextClosed(
            f"step {id!r} was called outside the body of run {self.journal.id}: ctx "
            "belongs to the workflow's body and the tasks it starts, not to threads "
            f"or other runs.{sync}",
            run_id=self.journal.id,
            step=id,
        )

    def check_open(self, key: str) -> None:
        """Raise when this life is over."""
        if self.is_closed:
            raise ContextClosed(
                f"step {step_label(key)!r} was called after run {self.journal.id} had "
                "ended: await every step before the workflow returns",
                run_id=self.journal.id,
                step=step_label(key),
            )

    def on_loop(self) -> bool:
        """Whether this is the engine's own thread."""
        return threading.get_ident() == self.core.commits.thread

    def classes(self, fn: Any) -> Mapping[str, type]:
        """Classes that annotations name, for values of types no module holds."""
        return history.annotated_classes(fn)

    # Outcomes

    def settle(self, key: str) -> Awaitable[Any]:
        """Wait for the commit of an outcome, and for its turn among the others."""
        future: asyncio.Future[Any] = self.loop.create_future()
        self.deliver(key, future, None)
        return self.wait_turn(future, key)

    def deliver(self, key: str, future: "asyncio.Future[Any]", value: Any) -> None:
        """Hand `value` over in its turn, once the present batch is committed."""
        if not self.settled:
            self.core.commits.after(self._hand_over)
        self.settled.append((key, future, value))
        self.core.commits.flush_soon()

    async def wait_turn(self, future: "asyncio.Future[Any]", key: str) -> None:
        """Wait; a step whose outcome the body no longer wants counts as canceled."""
        try:
            await future
        except asyncio.CancelledError:
            self.note_canceled(key)
            raise

    def note_canceled(
        self, key: str, attempt: int | None = None, mark: bytes | None = None
    ) -> None:
        """The body canceled a step: recorded, unless the run itself is ending."""
        if self.is_closed:
            return
        if self.gate is not None:
            self.gate.took(key)
        self.journal.append(_CANCELED, key, attempt, mark)
        self.core.commits.flush_later()

    def _hand_over(self) -> None:
        settled, self.settled = self.settled, []
        if self.is_single and (self.gate is None or not self.gate.is_replaying):
            for _, future, value in settled:
                if not future.done():
                    future.set_result(value)
            return
        if self.gate is None:
            self.gate = Gate(self.loop)
        self.gate.deliver(settled)

    def supersede(self, key: str) -> None:
        """Note that a recorded outcome does not count any more."""
        if self.gate is not None:
            self.gate.took(key)
        data = to_json({"old_definition": self.journal.former_definition})
        self.journal.append(EventType.STEP_SUPERSEDED.value, key, data=data)
        self.core.commits.flush_later()

"""The registry of an engine's runs and of their lives, and what all of them share.

Everything here happens on the loop's thread. A run is live (it has a body now), parked
(it will have one: at a due time, or after the next commit), or in the store alone.
"""

import asyncio
import logging
from collections.abc import Callable, Container, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from nbflow import codecs
from nbflow._engine import branches, capture, failure, history, offspring
from nbflow._engine.apps import Apps
from nbflow._engine.clock import Clock
from nbflow._engine.commits import Commits, say
from nbflow._engine.creation import failure_payload, new_journal, queued_data
from nbflow._engine.ending import Ending
from nbflow._engine.flow import Flow
from nbflow._engine.journal import Journal, left_mark, load_journal
from nbflow._engine.limits import RECOVERIES, given_up, timed_out
from nbflow._engine.mailbox import Mailbox
from nbflow._engine.memo import Memo, read_memo
from nbflow._engine.processes import ProcessRunner
from nbflow._engine.refusals import unknown_run
from nbflow._engine.specs import Specs
from nbflow._engine.threads import ThreadRunner
from nbflow._engine.timers import Timers
from nbflow._store.base import CommandRow, WriterStore
from nbflow._store.paths import step_dir
from nbflow.definition.source import same_definition
from nbflow.definition.spec import WorkflowSpec
from nbflow.errors import EngineClosed, InvokeError
from nbflow.model import UNFINISHED_RUN, RunStatus
from nbflow.policy import FlowControl
from nbflow.resources import close_resource


@dataclass(frozen=True, slots=True)
class Child:
    """A child run, as its parent's life knows it."""

    run_id: str
    is_detached: bool
    is_abandoned: bool
    app: str | None = None  # another one


class Running(Protocol):
    """What the core asks of a run whose body is executed."""

    journal: Journal

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """Those that have not ended."""
        ...

    def begin(self) -> None:
        """Enter the body; the run's record is committed."""
        ...

    def end_canceled(self, reason: str | None, by: str) -> None:
        """End the run as canceled."""
        ...

    def leave(self) -> None:
        """Interrupt the body, record nothing."""
        ...


MakeRun = Callable[["Core", Journal, Memo | None, bool], Running]


class Core:
    """Runs the workflows of one app against one store.

    Args:
        loop: the loop it lives on; calls are made on its thread.
        store: the open writer.
        clock: time, ids and randomness.
        app: the app's name.
        find_spec: finds a workflow by name.
        known_specs: lists the known ones.
        make_run: makes a life of a run, from its journal, the memo of its former
            lives, and whether its code has changed since.
        is_fixed: whether no further workflows will be defined.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        store: WriterStore,
        clock: Clock,
        app: str,
        find_spec: Callable[[str], WorkflowSpec | None],
        known_specs: Callable[[], list[WorkflowSpec]],
        make_run: MakeRun,
        *,
        is_fixed: bool = False,
    ) -> None:
        self.loop = loop
        self.store = store
        self.clock = clock
        self.app = app
        self.commits = Commits(loop, store, clock, self.stop)
        self.specs = Specs(app, find_spec, known_specs, self.commits, is_fixed)
        self.timers = Timers(loop, clock)
        self.threads = ThreadRunner(clock, self._late_thread)
        self.processes = ProcessRunner(clock)
        self.context = copy_context()  # every life begins in a copy of it
        self.live: dict[str, Running] = {}
        self.parked: dict[str, Journal] = {}
        self.undefined: dict[str, Journal] = {}  # nobody defines their workflow
        self.takes_up = False  # what former engines have left, by itself
        self.resources: dict[Any, Any] = {}
        self.stuck_commands: set[str] = set()  # applied, but their files stay
        self.is_closing = False  # or stopped: no life begins any more
        self.stubs: Mapping[str, Callable[..., Any]] | None = None
        self.on_activity: Callable[[bool], None] | None = None
        self.on_stop: Callable[[BaseException], None] | None = None
        self._make_run = make_run
        self._unstored: dict[tuple[str, str], tuple[bytes, Any]] = {}
        self._is_capturing = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._left: list[asyncio.Task[Any]] = []  # interrupted, on their way out
        home = None if store.path is None else store.path.parent
        self.apps = Apps(loop, home, app, self.commits)
        self.mailbox = Mailbox(app, self.commits, self._number_of)
        self.flow = Flow(self.commits, self.timers)
        branches.install(loop)

    # The engine's life

    @property
    def stopped(self) -> BaseException | None:
        """What has ended the engine, if something has."""
        return self.commits.stopped

    def check_running(self) -> None:
        """Raise what stopped the engine, if it was stopped."""
        if self.stopped is not None:
            raise self.stopped

    def stop(self, error: BaseException) -> None:
        """Stop for good: the store cannot be trusted with anything more."""
        if self.stopped is not None:
            return
        self.is_closing = True
        self.flow.close()
        self.commits.stopped = error
        self._left = [task for run in self.live.values() for task in run.tasks]
        for run in list(self.live.values()):
            run.leave()
        self.live.clear()
        self.threads.close()
        self.processes.close()
        self.apps.close()
        self._release_capture()
        if self.on_stop is not None:
            self.on_stop(error)

    def drop(self) -> list[asyncio.Task[Any]]:
        """Forget all that is not committed: a crash, without the process's end.

        Returns the tasks that are still to end.
        """
        tasks = [task for run in self.live.values() for task in run.tasks]
        self.commits.drop()
        self.stop(EngineClosed(f"the engine of app {self.app!r} has crashed"))
        return [task for task in tasks if not task.done()]

    async def shutdown(self) -> None:
        """Start nothing more, interrupt bodies without an outcome, write the rest."""
        self.is_closing = True
        self.flow.close()
        lives = list(self.live.values())
        for run in lives:
            run.leave()
        self._left += [task for run in lives for task in run.tasks]
        tasks = [task for task in self._left if not task.done()]
        if tasks:
            await asyncio.wait(tasks, timeout=0.6)
        self.live.clear()
        if self.stopped is None:
            self.commits.paused = None  # the last try, should the disk have been full
            self.commits.write_begun()
            for run in lives:
                row = CommandRow(left_mark(run.journal), self.clock.micros(), b"{}")
                self.commits.batch.commands.append(row)
            self.commits.commit()
        self.commits.stopped = self.stopped or EngineClosed(
            f"the engine of app {self.app!r} was closed: open a new one, or invoke "
            "again"
        )
        for made in self.resources.values():
            try:
                await close_resource(made)
            except Exception as exc:
                say(f"closing a resource failed: {type(exc).__name__}: {exc}")
        self.threads.close()
        self.processes.close()
        self.apps.close()
        self._release_capture()

    # Runs

    def launch(self, journal: Journal, wake: int | None = None) -> None:
        """Record a new run and enter it, now or at `wake` (microseconds)."""
        if wake is not None and wake > self.clock.micros():
            journal.wake = wake
            journal.create(RunStatus.QUEUED, queued_data(journal))
            self.commits.flush_soon()
            self.launch_later(journal)
            return
        run = self._make_run(self, journal, None, False)  # may refuse it: no record
        if journal.flow is None or self._has_turn(journal, journal.flow):
            journal.create(RunStatus.RUNNING, queued_data(journal))
            self.admit(run)
            return
        assert journal.slot is not None
        waits = self.flow.shown(journal.slot)
        journal.create(RunStatus.QUEUED, queued_data(journal, waits))
        self._queue(journal, journal.flow)

    def _has_turn(self, journal: Journal, flow: FlowControl) -> bool:
        """Whether a body may start now, as far as its flow control goes."""
        if journal.slot is None:
            attempt = journal.attempt + 1
            journal.slot = self.flow.join(journal.n, None, attempt, flow)
        return journal.slot.started is not None

    def _queue(self, journal: Journal, flow: FlowControl) -> None:
        """Let a run wait for its turn; with `over="skip"` it ends instead."""
        slot = journal.slot
        assert slot is not None
        if flow.over == "skip":
            reason = f"flow control {slot.key!r}: {self.flow.why(slot)}"
            self.end(journal, Ending(RunStatus.SKIPPED, reason=reason))
            return
        self.parked[journal.id] = journal
        self.flow.when(slot, lambda: self._enter_first(journal))
        self.commits.flush_soon()

    def _enter_first(self, journal: Journal) -> None:
        """Enter a queued run, unless something else became of it."""
        if self.parked.get(journal.id) is not journal or self.is_closing:
            return
        if journal.flow is not None and not self._has_turn(journal, journal.flow):
            self._queue(journal, journal.flow)
            return
        del self.parked[journal.id]
        try:
            run = self._make_run(self, journal, None, False)
        except Exception as exc:
            self.fail_entering(journal, exc)
            return
        journal.status = RunStatus.RUNNING.value
        journal.wake = None
        journal.begin_attempt()
        journal.update()
        self.admit(run)

    def launch_later(self, journal: Journal) -> None:
        """Enter a run for the first time at its `not_before`."""
        self.parked[journal.id] = journal

        self.timers.call_at(journal.wake or 0, lambda: self._enter_first(journal))

    def admit(self, run: Running) -> None:
        """Let a life begin after the next commit."""
        if not self.is_closing:  # else it is the next engine's
            self.live[run.journal.id] = run
            self._hold_capture()
            self.commits.after(run.begin)
        self.commits.flush_soon()

    def enter(self, journal: Journal, by: str | None) -> None:
        """Enter a run again, with what its former lives have recorded.

        Args:
            journal: the run.
            by: who resumes it (`user`, `recovery`); None for a retry of the body.
        """
        if not self.commits.commit():  # the memo is read from the store
            self.enter_soon(journal, by)
            return
        events = self.store.events(journal.n)
        memo = read_memo(events)
        memo.forget_deleted(self._is_there)
        if by == "recovery" and memo.idle_recoveries >= RECOVERIES:
            self.end(journal, given_up(journal, memo))
            return
        flow = journal.flow
        if flow is not None and not memo.outcomes and not self._has_turn(journal, flow):
            slot = journal.slot
            assert slot is not None
            self.parked[journal.id] = journal
            self.flow.when(slot, lambda: self._enter_parked(journal, by))
            deadline = journal.deadline()
            if deadline is not None:
                self.timers.call_at(deadline, lambda: self._expire(journal))
            self.commits.flush_soon()
            return
        spec = journal.spec
        assert spec is not None
        definition = self.specs.definition(spec)
        is_changed = not same_definition(journal.definition, definition)
        run = self._make_run(self, journal, memo, is_changed)
        journal.former_definition = journal.definition
        journal.definition = definition
        journal.status = RunStatus.RUNNING.value
        journal.begin_attempt()
        # A life that a crash cut off used up no try of the body.
        journal.spent = journal.attempt - 1 - history.body_retries(events)
        journal.update()
        self.admit(run)

    def _is_there(self, run_id: str) -> bool:
        """Whether there is such a run."""
        is_known = run_id in self.live or run_id in self.parked
        return is_known or self.store.run(run_id) is not None

    def enter_soon(self, journal: Journal, by: str | None) -> None:
        """Enter a run again once the present batch is committed.

        What takes it up stays one transaction so, its command's outcome included.
        """
        self.parked[journal.id] = journal
        self.commits.after(lambda: self._enter_parked(journal, by))
        self.commits.flush_soon()

    def retry_body(self, journal: Journal, retry_at: int) -> None:
        """Enter the body again when its retry is due; its time-out may come before."""
        self.live.pop(journal.id, None)
        self.parked[journal.id] = journal
        if not self.live:
            self.commits.after(self._rest)
        deadline = journal.deadline()
        if deadline is not None and deadline < retry_at:
            self.timers.call_at(deadline, lambda: self._expire(journal))
        else:
            self.timers.call_at(retry_at, lambda: self._retry_due(journal))

    def _retry_due(self, journal: Journal) -> None:
        if self.parked.get(journal.id) is journal:  # else canceled, maybe resumed
            self._enter_parked(journal, None)

    def _expire(self, journal: Journal) -> None:
        """The time-out of a run between two tries of its body is up."""
        if self.parked.get(journal.id) is not journal or self.is_closing:
            return
        del self.parked[journal.id]
        self.cancel_open(journal, "its parent failed", ("invoke",))
        self.end(journal, timed_out(journal))

    def _enter_parked(self, journal: Journal, by: str | None) -> None:
        if self.parked.get(journal.id) is not journal or self.is_closing:
            return  # it was canceled meanwhile, and may wait in another life
        del self.parked[journal.id]
        try:
            self.enter(journal, by)
        except Exception as exc:
            self.fail_entering(journal, exc)

    def fail_entering(self, journal: Journal, exc: Exception) -> None:
        """A life cannot begin: nobody is left to raise it to, but some may wait."""
        say(
            f"nbflow: run {journal.id} could not be entered: "
            f"{type(exc).__name__}: {exc}",
            logging.ERROR,
        )
        details = failure.describe(exc, codecs.redact, run_id=journal.id)
        self.end(journal, Ending(RunStatus.FAILED, error=details, exception=exc))

    def finish(
        self, journal: Journal, children: Mapping[str, Child], ending: Ending
    ) -> None:
        """Record the end of a live run, for its parent too, and tell who waits."""
        self.live.pop(journal.id, None)
        canceled = set[str]()
        for child in list(children.values()):
            ends = not child.is_detached or ending.status is RunStatus.CANCELED
            if ends and not child.is_abandoned:
                self.cancel_child(child, f"its parent {ending.status}")
                canceled.add(child.run_id)
        # Those of former lives, which this one has not come to yet, end with it, too.
        if ending.status is RunStatus.CANCELED:
            both = ("invoke", "start")
            self.cancel_open(journal, "its parent was canceled", both, canceled)
        elif ending.status is RunStatus.FAILED:
            self.cancel_open(journal, "its parent failed", ("invoke",), canceled)
        self.end(journal, ending)
        if not self.live:
            self.commits.after(self._rest)

    def end(self, journal: Journal, ending: Ending) -> None:
        """Append the terminal event of a run and settle everybody who waits for it."""
        journal.record_end(ending)
        self.commits.ended[journal.id] = ending
        is_over = ending.status in (RunStatus.COMPLETED, RunStatus.SKIPPED)
        self.mailbox.forget_run(journal.n, is_over)
        self.release(journal)
        self.flow.forget(journal.n)
        if ending.status is RunStatus.FAILED:
            self._start_failure_workflow(journal, ending)
        if journal.waiters is not None:
            waiters, journal.waiters = journal.waiters, None
            for waiter in waiters:
                waiter(ending)
        self.commits.flush_soon()

    def release(self, journal: Journal) -> None:
        """Give back the slot of a body that computes no more, if it has one."""
        slot, journal.slot = journal.slot, None
        if slot is not None:
            self.flow.leave(slot)

    def _rest(self) -> None:
        if not self.live:
            self._release_capture()

    def cancel_live(self, run: Running, reason: str | None, by: str) -> None:
        """End a live run as canceled."""
        run.end_canceled(_plain(reason), by)

    def cancel_run(self, run_id: str, reason: str | None, by: str) -> bool:
        """Cancel a run and its tree; whether it was still going on."""
        reason = _plain(reason)
        run = self.live.get(run_id)
        if run is not None:
            run.end_canceled(reason, by)
            return True
        if run_id in self.commits.ended:
            return False
        journal = self.parked.pop(run_id, None) or self.undefined.get(run_id)
        if journal is None or journal.status not in UNFINISHED_RUN:
            row = self.store.run(run_id)
            if row is None:
                raise unknown_run(run_id, self.app)
            if row.status not in UNFINISHED_RUN:
                self.undefined.pop(run_id, None)
                return False
            journal = load_journal(self.commits, row)
        self.undefined.pop(run_id, None)
        self.cancel_open(journal, "its parent was canceled", ("invoke", "start"))
        self.end(journal, Ending(RunStatus.CANCELED, reason=reason, by=by))
        return True

    def cancel_child(self, child: Child, reason: str) -> None:
        """Cancel a child for its parent's sake, in whatever app it is."""
        if child.app is None:
            self.cancel_run(child.run_id, reason, "parent")
        else:
            self.apps.cancel(child.app, child.run_id, reason)

    def cancel_open(
        self,
        journal: Journal,
        reason: str,
        kinds: tuple[str, ...],
        canceled: Container[str] = (),
    ) -> None:
        """Cancel children that former lives have left, the `canceled` ones apart."""
        for run_id in history.open_children(self.store, journal.n, kinds):
            if run_id not in canceled:
                self.cancel_run(run_id, reason, "parent")
        for app, run_id in history.open_elsewhere(self.store, journal.n, kinds):
            if run_id not in canceled:
                self.apps.cancel(app, run_id, reason)

    def _start_failure_workflow(self, journal: Journal, ending: Ending) -> None:
        spec = journal.spec
        if spec is None or spec.on_failure is None or ending.error is None:
            return
        try:
            target = self.specs.resolve(spec.on_failure)
            payload = failure_payload(journal, ending)
            values = target.inputs.validate_payload(payload)
            started = new_journal(
                self.commits, self.specs, target, values, label=journal.label
            )
            self.launch(started)
        except InvokeError as exc:
            say(f"nbflow: on_failure of {journal.workflow!r} was not started: {exc}")

    def _number_of(self, run_id: str) -> int | None:
        """The number of a run that has not ended, where this engine has it."""
        run = self.live.get(run_id)
        journal = self.parked.get(run_id) if run is None else run.journal
        return None if journal is None else journal.n

    # Steps

    def step_key(self, run_id: str, key: str) -> str:
        """The same text on every attempt of a step, and of no other step."""
        text = f"{self.store.uid}\0{run_id}\0{key}"
        return sha256(text.encode()).hexdigest()[:32]

    def step_dir(self, run_id: str, key: str) -> Path:
        """A step's folder, made if missing."""
        store = self.store
        return step_dir(store.path, store.uid, run_id, self.step_key(run_id, key))

    def keep_unstored(self, run_id: str, key: str, mark: bytes, value: Any) -> None:
        """Hold a value that no codec knows, for a resume in this process."""
        self._unstored[run_id, key] = (mark, value)

    def take_unstored(self, run_id: str, key: str, mark: bytes) -> tuple[Any] | None:
        """The value that could not be stored in a former life."""
        kept = self._unstored.pop((run_id, key), None)
        return (kept[1],) if kept is not None and kept[0] == mark else None

    # Loose ends

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Hold a task of the engine's own until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def note_late(self, run_id: str, exc: BaseException) -> None:
        """Code of an ended run raised something: nobody else will hear of it."""
        if self.stopped is not None or isinstance(exc, GeneratorExit):
            return  # the engine itself is going
        say(
            f"nbflow: code of run {run_id}, which has ended, raised "
            f"{type(exc).__name__}: {exc}"
        )

    def note_left_behind(self, run_id: str, tasks: list[asyncio.Task[Any]]) -> None:
        """Code keeps swallowing its cancellation."""
        say(
            f"nbflow: {len(tasks)} task(s) of run {run_id}, which has ended, ignore "
            "their cancellation and were left behind; what they still do is not used"
        )

    def _late_thread(self, fn: Callable[[], Any], outcome: Any) -> None:
        if outcome.error is not None:
            say(
                "nbflow: a thread of a step that was given up raised "
                f"{type(outcome.error).__name__}: {outcome.error}"
            )

    def _hold_capture(self) -> None:
        if not self._is_capturing:
            self._is_capturing = True
            capture.install()
            offspring.install()
            if self.on_activity is not None:
                self.on_activity(True)

    def _release_capture(self) -> None:
        if self._is_capturing:
            self._is_capturing = False
            capture.uninstall()
            offspring.uninstall()
            if self.on_activity is not None:
                self.on_activity(False)


def _plain(reason: object) -> str | None:
    """A reason as text that can be stored: lone surrogates cannot."""
    return None if reason is None else str(reason).encode(errors="replace").decode()

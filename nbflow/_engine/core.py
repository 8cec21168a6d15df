"""The heart of an engine: one loop, one writer, the live runs of one app.

Everything here happens on the loop's thread. Rows are gathered in one batch and
committed at the end of the loop turn; what waits for that commit is called after it.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from contextvars import Context, copy_context
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from nbflow import codecs
from nbflow._engine import branches, capture, failure, history, launch
from nbflow._engine.clock import Clock
from nbflow._engine.ending import Ending
from nbflow._engine.flow import Flow
from nbflow._engine.journal import Journal, load_journal
from nbflow._engine.mailbox import Mailbox
from nbflow._engine.memo import Memo, read_memo
from nbflow._engine.options import NO_OPTIONS, StepPolicy, step_policy
from nbflow._engine.run import LiveRun, timed_out
from nbflow._engine.steps import StepCall
from nbflow._engine.threads import ThreadRunner
from nbflow._store.base import Batch, CacheRow, CommandRow, RunRow, WriterStore
from nbflow._store.payload import from_json
from nbflow.definition.source import (
    definition_hash,
    held_arguments,
    same_definition,
    unwrap,
)
from nbflow.definition.spec import Target, WorkflowSpec
from nbflow.errors import (
    EngineClosed,
    InvokeError,
    RecoveryLimit,
    RunNotFound,
    StoreError,
    StoreFull,
)
from nbflow.model import EventType, RunStatus, from_micros, step_label
from nbflow.resources import close_resource

log = logging.getLogger("nbflow")

LAZY = 0.005
"""Seconds after which records that nobody waits for are committed on their own."""
RECOVERIES = 5
"""Crashes without a new outcome after which a run is given up."""
_INLINE = 16
"""Commits that one run may make before other work gets its turn."""
_PAUSE = 1.0
"""Seconds between tries to commit on a full disk."""
_LONGEST_TIMER = 30.0
"""Seconds after which a long wait looks at the wall clock again: a machine that was
suspended, or whose clock was set, must not wait too long."""

Waiter = Callable[[Ending], None]


def say(message: str, level: int = logging.WARNING) -> None:
    """Log in nobody's name: else it would be a line of the run whose turn it is."""
    Context().run(log.log, level, "%s", message)


class Core:
    """Runs the workflows of one app against one store.

    Args:
        loop: the loop it lives on; calls are made on its thread.
        store: the open writer.
        clock: time, ids and randomness.
        app: the app's name.
        specs: finds a workflow by name, and lists the known ones.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        store: WriterStore,
        clock: Clock,
        app: str,
        find_spec: Callable[[str], WorkflowSpec | None],
        known_specs: Callable[[], list[WorkflowSpec]],
    ) -> None:
        self.loop = loop
        self.store = store
        self.clock = clock
        self.app = app
        self.find_spec = find_spec
        self.known_specs = known_specs
        self.thread = threading.get_ident()
        self.context = copy_context()  # every life begins in a copy of it
        self.threads = ThreadRunner(clock, self._late_thread)
        self.batch = Batch()
        self.begun: list[Journal] = []  # hold the start of a step that may end yet
        self.turn = 0
        self.live: dict[str, LiveRun] = {}
        self.waiting: dict[str, Journal] = {}  # between two tries of a body
        self.ended: dict[str, Ending] = {}  # by ends that are not committed yet
        self._policies: dict[WorkflowSpec, StepPolicy] = {}
        self._definitions: dict[WorkflowSpec, str] = {}
        self._definitions_of = -1
        self.resources: dict[Any, Any] = {}
        self.tickets: dict[str, list[Waiter]] = {}
        self.stuck_commands: set[str] = set()  # applied, but their files stay
        self.paused: StoreFull | None = None
        self.is_closing = False  # or stopped: no life begins any more
        self.stopped: BaseException | None = None
        self.on_commit: Callable[[], None] | None = None
        self.stubs: Mapping[str, Callable[..., Any]] | None = None
        self.on_activity: Callable[[bool], None] | None = None
        self.on_stop: Callable[[BaseException], None] | None = None
        self.next_run = store.next_run
        self._after: list[Callable[[], None]] = []
        self._flush: asyncio.Handle | None = None
        self._lazy: asyncio.TimerHandle | None = None
        self._inline = 0
        self._unwritten: dict[str, bytes] = {}  # blobs, for want of space
        self._unstored: dict[tuple[str, str], tuple[bytes, Any]] = {}
        self._is_capturing = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._left: list[asyncio.Task[Any]] = []  # interrupted, on their way out
        self.mailbox = Mailbox(self)
        self.flow = Flow(self)
        branches.install(loop)

    # Commits

    def after(self, call: Callable[[], None]) -> None:
        """Call something once the present batch is committed."""
        self._after.append(call)

    def flush_soon(self) -> None:
        """Commit at the end of this loop turn."""
        if self._flush is None:
            self._flush = self.loop.call_soon(self._flush_now)

    def flush_later(self) -> None:
        """Commit within a few milliseconds, with whatever comes till then."""
        if self.clock.virtual:
            self.flush_soon()  # waiting would move time
        elif self._lazy is None:
            self._lazy = self.loop.call_later(LAZY, self._flush_lazy)

    def commit_inline(self) -> bool:
        """Commit here and now, if nothing else wants the loop; whether it was done.

        A run of quick steps saves two loop turns a step this way.
        """
        if self._flush is not None or getattr(self.loop, "_ready", True):
            return False
        self._inline += 1
        if self._inline >= _INLINE:
            return False
        return self.commit()

    async def committed(self) -> None:
        """Wait until what was appended so far is durable."""
        future = self.loop.create_future()
        self.after(partial(_set_done, future))
        self.flush_soon()
        await future

    def _flush_now(self) -> None:
        self._flush = None
        self._inline = 0
        self.commit()

    def _flush_lazy(self) -> None:
        self._lazy = None
        self.commit()

    def commit(self) -> bool:
        """Write the batch in one transaction, then call what waited for it."""
        if self.paused is not None or self.stopped is not None:
            return False
        if self.begun:
            self._write_begun()
        batch = self.batch
        if batch:
            try:
                if self._unwritten:
                    self._write_blobs()
                self.store.commit(batch)
            except StoreFull as exc:
                self._pause(exc)
                return False
            except StoreError as exc:
                self.stop(exc)
                return False
            except Exception as exc:  # a row that cannot be bound: no retry helps
                self.stop(StoreError(f"a commit failed: {type(exc).__name__}: {exc}"))
                return False
            batch.clear()
            self.turn += 1
        after, self._after = self._after, []
        ended, self.ended = self.ended, {}
        for call in after:
            try:
                call()
            except Exception as exc:  # the others are owed their call
                _say_fault(call, exc)
        for run_id, ending in ended.items():
            for ticket in self.tickets.pop(run_id, ()):
                try:
                    ticket(ending)
                except Exception as exc:
                    _say_fault(ticket, exc)
        if self.on_commit is not None:
            self.on_commit()
        return True

    def _write_begun(self) -> None:
        for journal in self.begun:
            journal.write_begun()
        self.begun.clear()

    def put_blob(self, digest: str, data: bytes) -> None:
        """Keep an out-of-line value, at the latest with the commit that names it.

        On a full disk the engine pauses and holds it: what a step has computed must
        not be computed again for want of space.
        """
        try:
            self.store.put_blob(digest, data)
        except StoreFull as exc:
            if threading.get_ident() != self.thread:
                raise
            self._unwritten[digest] = data
            if self.paused is None:
                self._pause(exc)
        except StoreError as exc:
            if threading.get_ident() == self.thread:
                self.stop(exc)
            raise

    def _write_blobs(self) -> None:
        for digest, data in list(self._unwritten.items()):
            self.store.put_blob(digest, data)
            del self._unwritten[digest]

    def _pause(self, full: StoreFull) -> None:
        """The disk is full: nothing is lost, everything waits for space."""
        self.paused = full
        self.loop.call_later(_PAUSE, self._try_again)
        say(f"nbflow: paused, {full}")

    def _try_again(self) -> None:
        if self.stopped is not None:
            return
        self.paused = None
        if self.commit():
            say("nbflow: there is space again, going on")

    def stop(self, error: BaseException) -> None:
        """Stop for good: the store cannot be trusted with anything more."""
        if self.stopped is not None:
            return
        self.is_closing = True
        self.stopped = error
        self._left = [task for run in self.live.values() for task in run.tasks]
        for run in list(self.live.values()):
            run.leave()
        self.live.clear()
        self.threads.close()
        self._release_capture()
        if self.on_stop is not None:
            self.on_stop(error)

    def drop(self) -> list[asyncio.Task[Any]]:
        """Forget all that is not committed: a crash, without the process's end.

        Returns the tasks that are still to end.
        """
        tasks = [task for run in self.live.values() for task in run.tasks]
        self.batch.clear()
        self.begun.clear()
        self._after.clear()
        self.stop(EngineClosed(f"the engine of app {self.app!r} has crashed"))
        return [task for task in tasks if not task.done()]

    async def shutdown(self) -> None:
        """Start nothing more, interrupt bodies without an outcome, write the rest."""
        self.is_closing = True
        lives = list(self.live.values())
        for run in lives:
            run.leave()
        self._left += [task for run in lives for task in run.tasks]
        tasks = [task for task in self._left if not task.done()]
        if tasks:
            await asyncio.wait(tasks, timeout=0.6)
        self.live.clear()
        if self.stopped is None:
            self.paused = None  # the last try, should the disk have been full
            self._write_begun()
            for run in lives:
                id = launch.left_mark(run.journal)
                self.batch.commands.append(CommandRow(id, self.clock.micros(), b"{}"))
            self.commit()
        self.stopped = self.stopped or EngineClosed(
            f"the engine of app {self.app!r} was closed: open a new one, or invoke "
            "again"
        )
        for made in self.resources.values():
            try:
                await close_resource(made)
            except Exception as exc:
                say(f"closing a resource failed: {type(exc).__name__}: {exc}")
        self.threads.close()
        self._release_capture()

    # Runs

    def check_running(self) -> None:
        """Raise what stopped the engine, if it was stopped."""
        if self.stopped is not None:
            raise self.stopped

    def launch(self, journal: Journal) -> None:
        """Enter a run for the first time, once its record is committed."""
        run = LiveRun(self, journal, None, False)  # what refuses it leaves no record
        journal.create(RunStatus.RUNNING, launch.queued_data(journal))
        self.admit(run)

    def admit(self, run: LiveRun) -> None:
        """Let a life begin after the next commit."""
        if not self.is_closing:  # else it is the next engine's
            self.live[run.journal.id] = run
            self._hold_capture()
            self.after(run.begin)
        self.flush_soon()

    def enter(self, journal: Journal, by: str | None) -> None:
        """Enter a run again, with what its former lives have recorded.

        Args:
            journal: the run.
            by: who resumes it (`user`, `recovery`); None for a retry of the body.
        """
        if not self.commit():  # the memo is read from the store
            self.enter_soon(journal, by)
            return
        events = self.store.events(journal.n)
        memo = read_memo(events)
        if by == "recovery" and memo.idle_recoveries >= RECOVERIES:
            self._give_up_recovery(journal, memo)
            return
        spec = journal.spec
        assert spec is not None
        definition = self.definition(spec)
        is_changed = not same_definition(journal.definition, definition)
        run = LiveRun(self, journal, memo, is_changed)
        journal.former_definition = journal.definition
        journal.definition = definition
        journal.status = RunStatus.RUNNING.value
        journal.begin_attempt()
        # A life that a crash cut off used up no try of the body.
        journal.spent = journal.attempt - 1 - history.body_retries(events)
        journal.update()
        self.admit(run)

    def enter_soon(self, journal: Journal, by: str | None) -> None:
        """Enter a run again once the present batch is committed.

        What takes it up stays one transaction so, its command's outcome included.
        """
        self.waiting[journal.id] = journal
        self.after(lambda: self._enter_waiting(journal, by))
        self.flush_soon()

    def retry_body(self, journal: Journal, retry_at: int) -> None:
        """Enter the body again when its retry is due; its time-out may come before."""
        self.live.pop(journal.id, None)
        self.waiting[journal.id] = journal
        if not self.live:
            self.after(self._rest)
        deadline = journal.deadline()
        if deadline is not None and deadline < retry_at:
            self.call_at(deadline, lambda: self._expire(journal))
        else:
            self.call_at(retry_at, lambda: self._retry_due(journal))

    def pending_retry(self, journal: Journal) -> int | None:
        """When the body is to be tried again, if that is what the run waits for."""
        count = 10 + journal.recoveries  # each has an event behind the one sought
        for event in reversed(self.store.tail(journal.n, count)):
            if event.type == EventType.RUN_RETRYING:
                due: int | None = from_json(event.data).get("_retry_at")
                return due
            if event.type == EventType.RUN_STARTED:
                break
        return None

    def _retry_due(self, journal: Journal) -> None:
        if self.waiting.get(journal.id) is journal:  # else canceled, maybe resumed
            self._enter_waiting(journal, None)

    def _expire(self, journal: Journal) -> None:
        """The time-out of a run between two tries of its body is up."""
        if self.waiting.get(journal.id) is not journal or self.is_closing:
            return
        del self.waiting[journal.id]
        for run_id in launch.open_children(self, journal, ("invoke",)):
            self.cancel_run(run_id, "its parent failed", "parent")
        self.end(journal, timed_out(journal))

    def _enter_waiting(self, journal: Journal, by: str | None) -> None:
        if self.waiting.get(journal.id) is not journal or self.is_closing:
            return  # it was canceled meanwhile, and may wait in another life
        del self.waiting[journal.id]
        try:
            self.enter(journal, by)
        except Exception as exc:  # nobody is left to raise it to, but some may wait
            say(
                f"nbflow: run {journal.id} could not be entered: "
                f"{type(exc).__name__}: {exc}",
                logging.ERROR,
            )
            details = failure.describe(exc, codecs.redact, run_id=journal.id)
            self.end(journal, Ending(RunStatus.FAILED, error=details, exception=exc))

    def finish(self, run: LiveRun, ending: Ending) -> None:
        """Record the end of a run, for its parent too, and tell who waits."""
        journal = run.journal
        self.live.pop(journal.id, None)
        for child in list(run.children.values()):
            ends = not child.is_detached or ending.status is RunStatus.CANCELED
            if ends and not child.is_abandoned:
                word = str(ending.status)
                self.cancel_run(child.run_id, f"its parent {word}", "parent")
        if ending.status is RunStatus.CANCELED:
            for run_id in launch.open_children(self, journal, ("start",)):
                self.cancel_run(run_id, "its parent was canceled", "parent")
        self.end(journal, ending)
        if not self.live:
            self.after(self._rest)

    def end(self, journal: Journal, ending: Ending) -> None:
        """Append the terminal event of a run and settle everybody who waits for it."""
        launch.record_end(journal, ending)
        self.ended[journal.id] = ending
        self.mailbox.forget_run(journal.n)
        self.flow.forget(journal.n)
        if ending.status is RunStatus.FAILED:
            self._start_failure_workflow(journal, ending)
        if journal.waiters is not None:
            waiters, journal.waiters = journal.waiters, None
            for waiter in waiters:
                waiter(ending)
        self.flush_soon()

    def _rest(self) -> None:
        if not self.live:
            self._release_capture()

    def cancel_live(self, run: LiveRun, reason: str | None, by: str) -> None:
        """End a live run as canceled."""
        run.end_canceled(_plain(reason), by)

    def cancel_run(self, run_id: str, reason: str | None, by: str) -> bool:
        """Cancel a run and its tree; whether it was still going on."""
        reason = _plain(reason)
        run = self.live.get(run_id)
        if run is not None:
            run.end_canceled(reason, by)
            return True
        if run_id in self.ended:
            return False
        journal = self.waiting.pop(run_id, None)
        if journal is None:
            row = self.store.run(run_id)
            if row is None:
                raise RunNotFound(
                    f"there is no run {run_id!r} in app {self.app!r}: look it up with "
                    "`nbflow runs`",
                    run_id=run_id,
                )
            if row.status not in (RunStatus.QUEUED, RunStatus.RUNNING):
                return False
            journal = load_journal(self, row)
        for child in launch.open_children(self, journal):
            self.cancel_run(child, "its parent was canceled", "parent")
        self.end(journal, Ending(RunStatus.CANCELED, reason=reason, by=by))
        return True

    def _start_failure_workflow(self, journal: Journal, ending: Ending) -> None:
        spec = journal.spec
        if spec is None or spec.on_failure is None or ending.error is None:
            return
        try:
            target = self.resolve(spec.on_failure)
            values = target.inputs.validate_payload(
                launch.failure_payload(journal, ending)
            )
            self.start_root(target, values, label=journal.label)
        except InvokeError as exc:
            say(f"nbflow: on_failure of {journal.workflow!r} was not started: {exc}")

    def start_root(
        self,
        spec: WorkflowSpec,
        values: Mapping[str, Any],
        *,
        run_id: str | None = None,
        **more: Any,
    ) -> Journal:
        """Create and enter a run that nobody waits for inside the engine."""
        journal = launch.new_journal(self, spec, values, run_id=run_id, **more)
        self.launch(journal)
        return journal

    def start_child(
        self,
        parent: LiveRun,
        key: str,
        spec: WorkflowSpec,
        values: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> str:
        """Create a child run with the parent's next commit; its id."""
        return launch.start_child(self, parent.journal, key, spec, values, options)

    def join(self, run_id: str, waiter: Waiter, *, is_resumed: bool) -> None:
        """Call `waiter` with the end of a run, in the transaction that ends it.

        A run that has ended is looked up; one that failed is resumed when its caller
        is itself a resumed one; one that nobody executes is taken up.
        """
        run = self.live.get(run_id)
        journal = run.journal if run is not None else self.waiting.get(run_id)
        if run_id in self.ended:  # the store does not know yet
            waiter(self.ended[run_id])
            return
        if journal is None:
            journal = launch.take_up(self, run_id, waiter, is_resumed=is_resumed)
        if journal is not None:
            if journal.waiters is None:
                journal.waiters = []
            journal.waiters.append(waiter)

    def resolve(self, target: Target | str) -> WorkflowSpec:
        """The definition that a target stands for, here and now.

        Raises:
            WorkflowNotFound: the app has none of that name.
        """
        return launch.resolve(self, target)

    def recover(self, rows: Iterable[RunRow], by: str) -> list[str]:
        """Take up unfinished runs of an engine that is gone; the ids taken up."""
        taken = []
        for row in rows:
            if row.id not in self.live and row.id not in self.waiting:
                spec = self.find_spec(row.workflow)
                if spec is None:
                    continue
                try:
                    launch.adopt(self, row, spec, by)
                except Exception as exc:  # one damaged run must not stop the others
                    log.exception("run %s could not be taken up: %s", row.id, exc)
                else:
                    taken.append(row.id)
        return taken

    def _give_up_recovery(self, journal: Journal, memo: Memo) -> None:
        """Fail a run that keeps killing the engine."""
        running = [
            step_label(key)
            for key, partial in memo.partial.items()
            if partial.attempt > partial.failed
        ]
        named = ", ".join(map(repr, running)) or "none recorded"
        error = RecoveryLimit(
            f"run {journal.id} of {journal.workflow!r} was cut off "
            f"{memo.idle_recoveries} times by the end of its engine without a new "
            f"outcome; running then, as far as recorded: {named}. Correct what kills "
            "the process, then resume the run.",
            run_id=journal.id,
        )
        details = failure.describe(error, codecs.redact, run_id=journal.id)
        self.end(journal, Ending(RunStatus.FAILED, error=details, exception=error))

    # Time

    def iso(self, micros: int) -> str:
        """A stored time as users read it."""
        return from_micros(micros).isoformat()

    async def sleep_until(self, due: int) -> None:
        """Sleep until a wall-clock time in microseconds."""
        while (left := due - self.clock.micros()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(self._slice(left))

    def call_at(self, due: int, call: Callable[[], None]) -> "Timer":
        """Call something at a wall-clock time; the timer can be cancelled."""
        timer = Timer(self, due, call)
        timer.arm()
        return timer

    def _slice(self, left: int) -> float:
        seconds = left / 1e6
        return seconds if self.clock.virtual else min(seconds, _LONGEST_TIMER)

    def default_policy(self, journal: Journal) -> StepPolicy:
        """The options of a run's steps that have none of their own."""
        spec = journal.spec
        assert spec is not None
        if journal.options is not NO_OPTIONS:
            return step_policy(spec.options, journal.options, {})
        policy = self._policies.get(spec)
        if policy is None:
            policy = self._policies[spec] = step_policy(spec.options, NO_OPTIONS, {})
        return policy

    def definition(self, spec: WorkflowSpec) -> str:
        """Hash of a workflow as it is now, helpers included; made once a commit."""
        if self._definitions_of != self.turn:
            self._definitions_of = self.turn
            self._definitions.clear()
            self._policies.clear()
        known = self._definitions.get(spec)
        if known is None:
            known = self._definitions[spec] = spec.definition
        return known

    # Steps

    def step_key(self, run_id: str, key: str) -> str:
        """The same text on every attempt of a step, and of no other step."""
        text = f"{self.store.uid}\0{run_id}\0{key}"
        return sha256(text.encode()).hexdigest()[:32]

    def step_dir(self, run_id: str, key: str) -> Path:
        """A step's folder, made if missing."""
        return launch.step_dir(self.store, run_id, self.step_key(run_id, key))

    def keep_unstored(self, run_id: str, key: str, mark: bytes, value: Any) -> None:
        """Hold a value that no codec knows, for a resume in this process."""
        self._unstored[run_id, key] = (mark, value)

    def take_unstored(self, run_id: str, key: str, mark: bytes) -> tuple[Any] | None:
        """The value that could not be stored in a former life."""
        kept = self._unstored.pop((run_id, key), None)
        return (kept[1],) if kept is not None and kept[0] == mark else None

    def remember(self, call: StepCall, idx: int) -> None:
        """Note where the outcome of a cached step is."""
        key = _cache_key(call)
        if key is not None:
            now = self.clock.micros()
            self.batch.cache.append(CacheRow(key, call.run.journal.n, idx, now))

    def cached_outcome(self, call: StepCall) -> tuple[str, bytes] | None:
        """An earlier outcome that may stand for this step: its run and data."""
        age = call.policy.cache
        key = None if age is None else _cache_key(call)
        if age is None or key is None:
            return None
        event = self.store.cached(key)
        if event is None or event.at < self.clock.micros() - age * 1e6:
            return None
        row = self.store.run_by_number(event.run)
        return None if row is None else (row.id, event.data or b"{}")

    def recorded_arguments(self, n: int, key: str) -> str:
        """The arguments recorded for a step, as text for a message."""
        return history.recorded_arguments(self.store, n, key)

    def classes_of(self, fn: Any) -> Mapping[str, type]:
        """Classes named by the annotations of a function."""
        return history.annotated_classes(fn)

    def target_classes(self, target: Target | str) -> Mapping[str, type]:
        """Classes named by the annotations of a workflow."""
        spec = self.find_spec(target if isinstance(target, str) else target.name)
        return {} if spec is None else history.annotated_classes(spec.fn)

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
            if self.on_activity is not None:
                self.on_activity(True)

    def _release_capture(self) -> None:
        if self._is_capturing:
            self._is_capturing = False
            capture.uninstall()
            if self.on_activity is not None:
                self.on_activity(False)


def _plain(reason: object) -> str | None:
    """A reason as text that can be stored: lone surrogates cannot."""
    return None if reason is None else str(reason).encode(errors="replace").decode()


def _say_fault(call: Callable[..., None], exc: Exception) -> None:
    say(
        f"nbflow: {call!r}, called after a commit, raised {type(exc).__name__}: {exc}; "
        "the engine goes on. Please report this.",
        logging.ERROR,
    )


def _set_done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Timer:
    """A call at a wall-clock time."""

    __slots__ = ("_call", "_core", "_due", "_handle")

    def __init__(self, core: Core, due: int, call: Callable[[], None]) -> None:
        self._core = core
        self._due = due
        self._call = call
        self._handle: asyncio.TimerHandle | None = None

    def arm(self) -> None:
        """Set the loop's timer for the next look at the clock."""
        left = max(self._due - self._core.clock.micros(), 0)
        self._handle = self._core.loop.call_later(self._core._slice(left), self._ring)

    def cancel(self) -> None:
        """Forget the call."""
        if self._handle is not None:
            self._handle.cancel()

    def _ring(self) -> None:
        if self._core.clock.micros() < self._due:
            self.arm()
        else:
            self._call()


def _cache_key(call: StepCall) -> bytes | None:
    """What names the outcome of a cached step; None if no fingerprint tells it."""
    if not call.arguments.known:
        return None
    fn: Any = call.fn
    text = codecs.fingerprint((call.mark, call.arguments.text), {}).mark
    if not hasattr(fn, "__qualname__"):  # a partial, or an object with `__call__`
        args, kwargs = held_arguments(fn)
        fn = unwrap(fn)
        if not hasattr(fn, "__qualname__"):
            args, fn = (fn, *args), type(fn)  # what it holds decides, too
        held = codecs.fingerprint(args, kwargs)
        if not held.known:
            return None
        text += held.mark
    # With the functions beside it that it names: an edited helper gives other values.
    name = f"{fn.__module__}.{fn.__qualname__} {definition_hash(fn)}".encode()
    return sha256(name + call.mark + text).digest()[:16]

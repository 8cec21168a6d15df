"""The engine's core on a bench: virtual time, a store in memory, crashes on demand.

A `Lab` is one life of an engine on the test's own loop. `start` and `wait` drive a run,
`crash` ends the life as a kill would and gives the next one, `recover` or `resume` take
the run up again there.

    lab = Lab(workflow)
    run_id = lab.start(workflow, n=3)
    assert lab.wait(run_id, commits=5) is None  # five commits later
    lab = lab.crash()
    assert lab.recover() == [run_id]
    assert lab.wait(run_id).value == 6
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from nbflow._engine.clock import VirtualClock
from nbflow._engine.core import Core
from nbflow._engine.creation import new_journal
from nbflow._engine.ending import Ending, read_ending
from nbflow._engine.recovery import recover
from nbflow._engine.resuming import resume
from nbflow._engine.run import LiveRun
from nbflow._store.base import Batch, EventRow
from nbflow._store.memory import MemoryStore
from nbflow.definition.inputs import InputModel
from nbflow.definition.spec import WorkflowSpec
from nbflow.errors import StoreError
from nbflow.model import TERMINAL_RUN, EventType, RunStatus, step_label
from nbflow.policy import RunOptions

STUCK = 1e8
"""Virtual seconds after which a run that has not ended is taken to hang."""

_OUTCOMES = frozenset(
    {
        EventType.STEP_COMPLETED.value,
        EventType.STEP_FAILED.value,
        EventType.STEP_TIMED_OUT.value,
        EventType.STEP_CANCELED.value,
    }
)


def define(
    fn: Callable[..., Any], name: str | None = None, **options: Any
) -> WorkflowSpec:
    """A workflow of a function, under its own name if no other is given."""
    name = name or fn.__name__
    return WorkflowSpec(
        name=name,
        app="lab",
        fn=fn,
        inputs=InputModel(fn, name=name),
        options=RunOptions(**options),
    )


class Fuse:
    """Ends an engine's life after a number of commits: the store refuses all others."""

    def __init__(self) -> None:
        self.commits = 0
        self._left: int | None = None
        self._is_blown = False
        self._on_blow: Callable[[], None] | None = None

    def set(self, commits: int, on_blow: Callable[[], None]) -> None:
        """Blow after so many commits from now on."""
        self._left, self._on_blow = commits, on_blow

    def replace(self) -> None:
        """Let the next life commit again."""
        self._left, self._is_blown = None, False

    def __call__(self, point: str) -> None:
        if point == "before-begin" and self._is_blown:
            raise StoreError("this life of the lab's engine is over")
        if point == "after-commit":
            self.commits += 1
            if self._left is not None:
                self._left -= 1
                if self._left <= 0 and not self._is_blown:
                    self._is_blown = True
                    assert self._on_blow is not None
                    self._on_blow()


class Lab:
    """One life of an engine.

    Args:
        workflows: functions, or definitions made by `define`.
        store: of a former life; a new one if None.
        clock: a new one if None.
    """

    def __init__(
        self,
        *workflows: Callable[..., Any] | WorkflowSpec,
        store: MemoryStore | None = None,
        clock: VirtualClock | None = None,
    ) -> None:
        self.specs = {spec.name: spec for spec in map(_definition, workflows)}
        self.fuse = Fuse()
        self.store = MemoryStore(faults=self.fuse) if store is None else store
        if store is not None and isinstance(store._faults, Fuse):
            self.fuse = store._faults
            self.fuse.replace()
        self.clock = VirtualClock() if clock is None else clock
        self.loop = self.clock.new_loop()
        self.loop.set_exception_handler(self._unhandled)
        self.faults: list[dict[str, Any]] = []
        self.others: set[asyncio.Task[Any]] = set()
        self.core = Core(
            self.loop,
            self.store,
            self.clock,
            "lab",
            self.specs.get,
            lambda: list(self.specs.values()),
            LiveRun,
        )

    def _unhandled(
        self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]
    ) -> None:
        if "handle" in context:  # else a task of the body's, which nobody asked
            self.faults.append(context)

    def __del__(self) -> None:
        self.loop.close()  # a failed test has not come to `end`

    def start(self, name: str | Callable[..., Any], /, **values: Any) -> str:
        """Record a new run; `wait` lets it go. Its id."""
        spec = self.specs[name if isinstance(name, str) else name.__name__]
        values = spec.inputs.validate_call((), values)
        journal = new_journal(self.core.commits, self.core.specs, spec, values)
        self.core.launch(journal)
        return journal.id

    def run(self, name: str | Callable[..., Any], /, **values: Any) -> Ending:
        """Start a run and wait for its end."""
        return self.wait_for_end(self.start(name, **values))

    def wait_for_end(self, run_id: str) -> Ending:
        """Drive the engine until the run has ended."""
        ending = self.wait(run_id)
        assert ending is not None
        return ending

    def wait(self, run_id: str, *, commits: int | None = None) -> Ending | None:
        """Drive the engine until the run has ended; None if `commits` came first.

        After so many commits this life can write nothing more: `crash` is next.
        """
        ended: list[Ending] = []

        def note(ending: Ending) -> None:
            ended.append(ending)
            self.loop.stop()

        if run_id not in self.core.live and run_id not in self.core.parked:
            row = self.store.run(run_id)
            assert row is not None
            if row.status in TERMINAL_RUN:
                return read_ending(self.store, row)
        self.core.commits.tickets.setdefault(run_id, []).append(note)
        if commits is not None:
            self.fuse.set(commits, self.loop.stop)
        guard = self.loop.call_later(STUCK, self.loop.stop)
        self.loop.run_forever()
        guard.cancel()
        if not ended and commits is None:
            raise AssertionError(f"the run hangs; it went so far: {self.story(run_id)}")
        return ended[0] if ended else None

    def beside(self, code: Coroutine[Any, Any, Any]) -> None:
        """Run something that is not of any run, until this life ends."""
        self.others.add(self.loop.create_task(code))

    def let(self, seconds: float) -> None:
        """Let (virtual) time pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def crash(self, *workflows: Callable[..., Any] | WorkflowSpec) -> "Lab":
        """Drop what is not committed; the next life.

        Args:
            workflows: what the next life knows; the same as this one if left out.
        """
        store = self.end()
        clock = VirtualClock(self.clock.now())
        return Lab(*(workflows or self.specs.values()), store=store, clock=clock)

    def end(self) -> MemoryStore:
        """End this life; a writer for the next."""
        self.core.drop()
        for task in self.others:
            task.cancel()
        self.let(1.0)  # what the crash has interrupted unwinds unheard
        left = asyncio.all_tasks(self.loop)
        self.loop.close()
        assert not left, left
        assert not self.faults, self.faults
        return self.store.crash()

    def recover(self) -> list[str]:
        """Take up what a crash has left unfinished; the ids."""
        return recover(self.core, self.store.unfinished(), "recovery")

    def resume(self, run_id: str, *, refresh: list[str] | None = None) -> None:
        """Take up a failed or canceled run by the user's word."""
        row = self.store.run(run_id)
        assert row is not None
        resume(self.core, row, refresh=refresh)

    def copy(self, run_id: str) -> "Lab":
        """Another engine that has the run but not its end: `recover` replays it."""
        row = self.store.run(run_id)
        assert row is not None
        batch = Batch()
        batch.runs.append(
            row._replace(
                status=RunStatus.RUNNING.value,
                ended=None,
                outcome=None,
                last=None,
                tail=None,
            )
        )
        batch.events.extend(
            event for event in self.events(run_id) if event.idx != row.last
        )
        store = MemoryStore(faults=Fuse())
        store.commit(batch)
        store._shared.blobs.update(self.store._shared.blobs)
        clock = VirtualClock(self.clock.now())
        return Lab(*self.specs.values(), store=store.crash(), clock=clock)

    def events(self, run_id: str) -> list[EventRow]:
        """The committed events of a run."""
        row = self.store.run(run_id)
        return [] if row is None else list(self.store.events(row.n))

    def story(self, run_id: str, prefix: str = "step.") -> list[str]:
        """Type and step of a run's events, as in "step.completed branch~0/fetch"."""
        return [
            f"{event.type} {step_label(event.step or '')}".strip()
            for event in self.events(run_id)
            if event.type.startswith(prefix)
        ]

    def outcomes(self, run_id: str) -> dict[str, str]:
        """The last recorded outcome of each step, by key."""
        return {
            event.step: event.type
            for event in self.events(run_id)
            if event.step is not None and event.type in _OUTCOMES
        }


def _definition(workflow: Callable[..., Any] | WorkflowSpec) -> WorkflowSpec:
    return workflow if isinstance(workflow, WorkflowSpec) else define(workflow)

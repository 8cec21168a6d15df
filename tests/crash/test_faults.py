"""Every store operation fails in turn: the engine ends as if nothing had happened.

Each scenario is played undisturbed once, which counts its points; then once for every
point, with a fault there.
"""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from nbflow import Engine, StoreError, StoreFull
from nbflow._engine.clock import VirtualClock
from nbflow._store.memory import MemoryStore
from nbflow.client import Client
from nbflow.client.records import verify_run
from nbflow.model import EventType, step_label
from nbflow.testing import crash
from tests.crash import scenarios
from tests.crash.scenarios import EXPECTED, SCENARIOS, WORKFLOWS, World

OUTCOMES = (
    EventType.STEP_COMPLETED,
    EventType.STEP_FAILED,
    EventType.STEP_TIMED_OUT,
    EventType.STEP_CANCELED,
)
Fault = Callable[["Bench"], None]
pytestmark = pytest.mark.filterwarnings("ignore:no engine serves app")


class Bench:
    """A store in memory, engines on it one after the other, and one fault.

    Args:
        name: the scenario.
        at: number of the point at which the fault strikes; 0 for none.
        fault: what it does.
        points: names of the points that count; all if None.
    """

    def __init__(
        self,
        name: str,
        at: int = 0,
        fault: Fault | None = None,
        points: tuple[str, ...] | None = None,
    ) -> None:
        self.name, self.at, self.fault, self.points = name, at, fault, points
        self.reached = 0
        self.is_dead = False
        self.recorded: set[tuple[Any, ...]] = set()
        self.world = scenarios.world = World()
        self.clock = VirtualClock()
        self.store = MemoryStore(now=self.clock.micros(), faults=self._point)
        self.engine: Engine

    def play(self) -> Any:
        """Drive the scenario to its end, with another engine after a crash."""
        while True:
            try:
                self.open()
                result = SCENARIOS[self.name](self.client)
            except StoreError:
                if not self.is_dead:
                    raise
                self.bury()
                continue
            self.engine.close()
            return result

    def client(self) -> Client:
        """A client of the living engine."""
        if self.is_dead:
            raise StoreError("the disk is broken")
        return self.engine.client

    def play_with_a_stop(self) -> Any:
        """The same, where the first engine must stop and say why to everybody."""
        try:
            self.open()
            SCENARIOS[self.name](self.client)
        except StoreError as error:
            assert "the disk is broken" in str(error)
        assert self.is_dead
        host = self.engine._host
        if host is not None:  # else it could not even start
            with pytest.raises(StoreError, match="the disk is broken"):
                host.invoke(scenarios.child.spec, {"n": 1})
        self.bury()
        return self.play()

    def open(self) -> None:
        """The next engine on the store."""
        self.world.life += 1
        self.engine = Engine(
            app=scenarios.APP, workflows=WORKFLOWS, clock=self.clock, store=self.store
        )
        self.engine.start()

    def bury(self) -> None:
        """Make room for the next engine, and note what this one has recorded."""
        crash(self.engine)
        self.is_dead = False
        self.store = self.store.crash()
        for run_id, event in self.events():
            if event.step is not None:
                label = step_label(event.step)
                if event.type in OUTCOMES:
                    self.recorded.add((run_id, label))
                elif event.type == EventType.STEP_RETRYING:
                    self.recorded.add((run_id, label, event.attempt))

    def events(self) -> Any:
        reader = self.store.reader()
        for row in reader.runs(limit=1_000).rows:
            for event in reader.events(row.n):
                yield row.id, event

    def die(self) -> None:
        """From here on nothing reaches the store, and nothing of the engine goes on."""
        self.is_dead = True
        host = self.engine._host
        if host is not None and threading.get_ident() == host.thread_id:
            host.core.drop()
        raise StoreError("killed")

    def _point(self, point: str) -> None:
        if self.is_dead:
            raise StoreError("dead")
        if self.points is None or point in self.points:
            self.reached += 1
            if self.reached == self.at:
                assert self.fault is not None
                self.fault(self)

    def check(self) -> None:
        """Whether nothing recorded was executed again, and the store is whole."""
        seen: Counter[Any] = Counter()
        for execution in self.world.executions:
            life, run_id, _, label, attempt = execution
            seen[life, run_id, label, attempt] += 1
            if life > 1:
                assert (run_id, label) not in self.recorded, execution
                assert (run_id, label, attempt) not in self.recorded, execution
        assert set(seen.values()) <= {1}
        reader = self.store.reader()
        for row in reader.runs(limit=1_000).rows:
            assert row.ended is not None, row
            verify_run(row, reader.events(row.n))
            steps = [child.parent_step for child in reader.children(row.n)]
            assert len(steps) == len(set(steps))

    @property
    def attempted(self) -> Counter[Any]:
        """How many runs came to execute each attempt of each step, once or again."""
        return Counter(each[1:] for each in {one[1:] for one in self.world.executions})

    @property
    def executed(self) -> Counter[Any]:
        """How often each step was executed, whatever its run's id."""
        return Counter(execution[2:] for execution in self.world.executions)


def undisturbed(name: str, points: tuple[str, ...] | None = None) -> Bench:
    """The scenario as it goes without a fault; `.reached` is the number of points."""
    bench = Bench(name, points=points)
    assert bench.play() == EXPECTED[name]
    bench.check()
    return bench


@pytest.fixture(params=SCENARIOS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_crash_at_any_point_changes_nothing(name: str) -> None:
    calm = undisturbed(name)
    for at in range(1, calm.reached + 1):
        bench = Bench(name, at, Bench.die)
        result = bench.play()
        where = f"point {at} of {calm.reached}"
        assert bench.reached >= at, where
        # Where the end was committed, the handle finds it without another engine.
        assert bench.world.life == 2 or bench.is_dead, where
        bench.check()
        if name == "once":  # it is not called again, so its outcome may be unknown
            assert result in (0, EXPECTED[name]), where
            assert bench.executed["once", "charge", 1] <= 1, where
        else:
            assert result == EXPECTED[name], where
            assert bench.attempted == calm.attempted, where
    print(f"{name}: {calm.reached} points")


def test_a_full_disk_only_delays(name: str) -> None:
    def fill(bench: Bench) -> None:
        raise StoreFull("no space left")

    points = ("before-begin",)
    calm = undisturbed(name, points)
    for at in range(1, calm.reached + 1):
        bench = Bench(name, at, fill, points)
        result = bench.play()
        where = f"commit {at} of {calm.reached}"
        assert (result, bench.world.life) == (EXPECTED[name], 1), where
        assert bench.executed == calm.executed, where
        bench.check()
    print(f"{name}: {calm.reached} commits")


@pytest.mark.parametrize("times", [1, 3])
def test_a_full_disk_at_a_large_value_only_delays(times: int) -> None:
    def fill(bench: Bench) -> None:
        bench.at = bench.at + 1 if bench.reached < at + times - 1 else 0
        raise StoreFull("no space left")

    points = ("blob",)
    calm = undisturbed("sequence", points)
    assert calm.reached == 3  # the input, a step's argument and its value
    for at in range(1, calm.reached + 1):
        bench = Bench("sequence", at, fill, points)
        if at == 1:  # the invoke itself: nothing is recorded, the user tries again
            for _ in range(times):
                with pytest.raises(StoreFull, match="no space left"):
                    bench.play()
                bench.engine.close()
                bench.store = bench.store.crash()
        result = bench.play()
        where = f"blob {at} of {calm.reached}"
        assert result == EXPECTED["sequence"], where
        assert bench.executed == calm.executed, where
        bench.check()


def test_a_broken_store_stops_the_engine_and_the_next_one_goes_on(name: str) -> None:
    def fail(bench: Bench) -> None:
        bench.is_dead = True
        raise StoreError("the disk is broken")

    points = ("before-commit",)
    calm = undisturbed(name, points)
    for at in range(1, calm.reached + 1):
        bench = Bench(name, at, fail, points)
        result = bench.play_with_a_stop()
        where = f"commit {at} of {calm.reached}"
        assert bench.world.life == 2, where
        bench.check()
        assert result == EXPECTED[name] or name == "once", where
    print(f"{name}: {calm.reached} commits")

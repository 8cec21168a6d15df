"""The workflows that are measured, each with how one burst of it is timed."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nbflow import Context, Engine, workflow

APP = "benchmarks"

ticks = 0
"""Steps of `endless` so far."""


async def add_one(number: int) -> int:
    """The step: as little as a step can do."""
    return number + 1


async def tick() -> None:
    """A step that is counted where it happens."""
    global ticks
    ticks += 1


@workflow(app=APP)
async def sequential(ctx: Context, n: int) -> int:
    """W1: one step after the other."""
    number = 0
    for _ in range(n):
        number = await ctx.run("add", add_one, number)
    return number


@workflow(app=APP)
async def single(ctx: Context, number: int) -> int:
    """W2: one step."""
    return await ctx.run("add", add_one, number)


@workflow(app=APP)
async def child(ctx: Context, number: int) -> int:
    """W3: five steps."""
    for _ in range(5):
        number = await ctx.run("add", add_one, number)
    return number


@workflow(app=APP)
async def parent(ctx: Context, n: int) -> int:
    """W3: a child run for each number, all at once."""
    calls = (ctx.invoke("child", child, {"number": each}) for each in range(n))
    return sum(await asyncio.gather(*calls))


@workflow(app=APP)
async def parallel(ctx: Context, n: int) -> int:
    """W4: all steps at once."""
    calls = (ctx.run("add", add_one, each) for each in range(n))
    return sum(await asyncio.gather(*calls))


@workflow(app=APP)
async def endless(ctx: Context) -> None:
    """Steps until it is cancelled."""
    while True:
        await ctx.run("tick", tick)


WORKFLOWS = (sequential, single, child, parent, parallel, endless)


@contextmanager
def engine(home: Path, durability: str = "power") -> Iterator[Engine]:
    """An engine that serves the workflows of this module."""
    with Engine(home, APP, WORKFLOWS, durability) as opened:
        yield opened


def run_sequential(steps: int) -> None:
    """One run of so many steps."""
    _expect(sequential.invoke(steps).result(), steps)


def run_many(runs: int) -> None:
    """So many runs of one step, started at once as a cell would do it."""
    handles = [single.invoke(each) for each in range(runs)]
    total = sum([handle.result() for handle in handles])
    _expect(total, runs + _below(runs))


def run_tree(units: int) -> None:
    """A parent with children of five steps; a child and its steps are six units."""
    children = units // 6
    _expect(parent.invoke(children).result(), 5 * children + _below(children))


def run_parallel(steps: int) -> None:
    """One run whose steps are all started at once."""
    _expect(parallel.invoke(steps).result(), steps + _below(steps))


@dataclass(frozen=True)
class Workload:
    """A rate: `burst(size)` does `size` units, and is repeated within a round."""

    burst: Callable[[int], None]
    size: int
    unit: str
    durability: str = "power"

    def rate(self, home: Path, size: int, repeats: int) -> float:
        """Units a second in a new store; the engine's start is not counted."""
        with engine(home, self.durability):
            return self.rate_in_open(size, repeats)

    def rate_in_open(self, size: int, repeats: int) -> float:
        """Units a second in the engine that is open."""
        began = time.perf_counter()
        for _ in range(repeats):
            self.burst(size)
        return size * repeats / (time.perf_counter() - began)


RATES = {
    "W1": Workload(run_sequential, 1_000, "steps/s"),
    "W1-process": Workload(run_sequential, 1_000, "steps/s", "process"),
    "W2": Workload(run_many, 1_000, "runs/s"),
    "W3": Workload(run_tree, 600, "(steps + children)/s"),
    "W4": Workload(run_parallel, 1_000, "steps/s"),
}


def spin(seconds: float) -> float:
    """Rounds a second of a pure Python loop in this thread."""
    total = 0
    chunk = 10_000
    began = time.perf_counter()
    for chunks in itertools.count(1):
        for number in range(chunk):
            total += number
        passed = time.perf_counter() - began
        if passed >= seconds:
            return chunks * chunk / passed
    raise AssertionError


def spin_beside_steps(home: Path, seconds: float) -> tuple[float, float]:
    """The loop's rounds a second, and steps a second of a run beside it."""
    with engine(home):
        handle = endless.invoke()
        first = ticks
        while ticks == first:
            time.sleep(0.001)
        before, began = ticks, time.perf_counter()
        speed = spin(seconds)
        steps = (ticks - before) / (time.perf_counter() - began)
        handle.cancel()
    return speed, steps


def _below(n: int) -> int:
    return n * (n - 1) // 2


def _expect(value: object, expected: int) -> None:
    if value != expected:
        raise AssertionError(f"the workload returned {value!r}, not {expected}")

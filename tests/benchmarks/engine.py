"""Speed of the engine: python tests/benchmarks/engine.py [--json] [--only W1,W4] …

Each rate is measured in rounds, one warm-up first; in each round the raw limit
(`raw.py`: stdlib sqlite3 with the store's pragmas, one row and one commit a step) and
nbflow take turns, each in a new store. Printed are the medians of both and of the
rounds' ratios, so that a machine that is slow for a while spoils neither.

    W1          one run of 1,000 sequential steps; W1-process: durability="process"
    W2          1,000 runs of one step, started at once
    W3          a parent with 100 children of 5 steps
    W4          1,000 parallel steps of one run
    W5          kill -9 as step 501 of 1,000 begins; a new process goes on there
    W6          a new process, from its start to the end of its first run
    W7          peak memory of W1 and of W2
    W8          growth of the store in W1
    length      cost of a step in a run of 100,000 steps, against runs of 1,000
    store       cost of a step and of a run beside 100,000 finished runs, against none
    busy        steps while the main thread computes, and what the loop keeps

`--quick` is for trying the program out: a tenth of the size, one round; its numbers
mean nothing. Nothing else should use the machine while this runs.
"""

import argparse
import cProfile
import json
import os
import platform
import pstats
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from statistics import median

import raw
import workloads
from workloads import RATES, Workload

CHILDREN = Path(__file__).with_name("children.py")
GROWTH = 1.15
"""What counts as no growth of a cost: the noise of two series in one process."""


@dataclass(frozen=True)
class Row:
    """One line of the report; `raw` is the limit as measured in the same run."""

    workload: str
    value: float
    unit: str
    raw: float | None
    ratio: float | None
    goal: str
    met: bool


@dataclass(frozen=True)
class Goal:
    """A rate's goal: so many units a second, or so much of the raw limit, or both."""

    rate: float = 0.0
    ratio: float = 0.0

    def __str__(self) -> str:
        parts = []
        if self.rate:
            parts.append(f">= {self.rate:,.0f}/s")
        if self.ratio >= 1:
            parts.append(f"> {self.ratio:g} x raw")
        elif self.ratio:
            parts.append(f">= {self.ratio:.0%} of raw")
        return " and ".join(parts)

    def is_met(self, rate: float, ratio: float) -> bool:
        return rate >= self.rate and ratio >= self.ratio


GOALS = {
    "W1": Goal(ratio=0.85),
    "W1-process": Goal(ratio=0.32),
    "W2": Goal(rate=18_000, ratio=4),
    "W3": Goal(rate=25_000),
    "W4": Goal(rate=40_000),
}


class Bench:
    """The measuring: how often, how much, and where its stores are.

    Args:
        folder: for the stores; each is removed once it was measured.
        rounds: how often each thing is measured, after one warm-up.
        shrink: what sizes are divided by.
    """

    def __init__(self, folder: Path, rounds: int, shrink: int) -> None:
        self.rounds = rounds
        self.shrink = shrink
        self._folder = folder
        self._numbers = count()

    @contextmanager
    def home(self) -> Iterator[Path]:
        """A folder that nothing has used yet."""
        path = self._folder / str(next(self._numbers))
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path)

    def repeat(self, measure: Callable[[], tuple[float, ...]]) -> list[list[float]]:
        """Call it once for warmth and then for each round; its numbers by place."""
        measure()
        found = [measure() for _ in range(self.rounds)]
        return [list(column) for column in zip(*found, strict=True)]

    # Rates

    def rates(self, name: str) -> Iterator[Row]:
        """A workload of W1 to W4."""
        workload, goal = RATES[name], GOALS[name]
        size = max(workload.size // self.shrink, 60)
        repeats = 1 if name == "W1" else 5
        # As many rows as W1 has steps; a memo without fsync needs more to be timed.
        rows = size if workload.durability == "power" else size * repeats

        def measure() -> tuple[float, float]:
            with self.home() as home:
                limit = raw.rate(home / "raw.db", workload.durability, rows)
            with self.home() as home:
                return limit, workload.rate(home, size, repeats)

        limits, found = self.repeat(measure)
        rate = median(found)
        ratio = _ratio(found, limits)
        met = goal.is_met(rate, ratio)
        yield Row(name, rate, workload.unit, median(limits), ratio, str(goal), met)

    # Processes

    def restart(self, name: str) -> Iterator[Row]:
        """W5: from the start of a new process to the step where the last one died."""
        steps = 1_000 // self.shrink

        def measure() -> tuple[float, float, float]:
            with self.home() as home:
                limit, _ = _crash("raw-crash", home, steps)
            with self.home() as home:
                return limit, *_crash("crash", home, steps)

        limits, found, repeated = self.repeat(measure)
        value = median(found)
        yield Row(
            name,
            value,
            f"s to step {steps // 2 + 1}",
            median(limits),
            _ratio(found, limits),
            "<= 0.35 s",
            value <= 0.35,
        )
        again = max(repeated)
        yield Row(name, again, "steps re-run", None, None, "0", again == 0)

    def first_run(self, name: str) -> Iterator[Row]:
        """W6: from the start of a new process to the end of its first run."""

        def measure() -> tuple[float, float]:
            with self.home() as home:
                began = time.monotonic()
                limit = _child("raw-first", home) - began
            with self.home() as home:
                began = time.monotonic()
                return limit, _child("first", home) - began

        limits, found = self.repeat(measure)
        value = median(found)
        limit, ratio = median(limits), _ratio(found, limits)
        yield Row(name, value, "s to 1st run", limit, ratio, "<= 0.30 s", value <= 0.3)

    def memory(self, name: str) -> Iterator[Row]:
        """W7: the most memory that W1 and W2 take, each in a process of its own."""
        for kind, most in (("W1", 50), ("W2", 70)):
            size = 1_000 // self.shrink

            def measure(kind: str = kind, size: int = size) -> tuple[float, float]:
                with self.home() as home:
                    limit = _child("raw-memory", home, kind, size) / 1024
                with self.home() as home:
                    return limit, _child("memory", home, kind, size) / 1024

            limits, found = self.repeat(measure)
            value = median(found)
            limit, ratio = median(limits), _ratio(found, limits)
            goal = f"<= {most} MB"
            yield Row(name, value, f"MB in {kind}", limit, ratio, goal, value <= most)

    # Sizes

    def growth(self, name: str) -> Iterator[Row]:
        """W8: what 1,000 steps add to a store that was closed before and after."""
        steps = 1_000  # also when trying out: a store grows by pages
        with self.home() as home:
            path = home / "raw.db"
            raw.connect(path, "process").close()
            before = _bytes(home)
            raw.rate(path, "process", steps)
            limit = (_bytes(home) - before) / 1000
        with self.home() as home:
            with workloads.engine(home, "process"):
                pass
            before = _bytes(home)
            with workloads.engine(home, "process"):
                workloads.run_sequential(steps)
            value = (_bytes(home) - before) / 1000
        unit = f"KB per {steps:,} steps"
        met = value <= 250
        yield Row(name, value, unit, limit, value / limit, "<= 250 KB", met)

    def length(self, name: str) -> Iterator[Row]:
        """Cost of a step in a long run, against as many steps in short runs."""
        short, runs = 1_000 // self.shrink, 100 // self.shrink
        workload = RATES["W1-process"]

        def measure() -> tuple[float, float]:
            with self.home() as home:
                few = workload.rate(home, short, runs)
            with self.home() as home:
                return 1e6 / few, 1e6 / workload.rate(home, short * runs, 1)

        yield _growth_row(name, f"step of {short * runs:,}", *self.repeat(measure))

    def store(self, name: str) -> Iterator[Row]:
        """Costs beside many finished runs, against those in a new store."""
        size, runs = 1_000 // self.shrink, 100_000 // self.shrink**2
        with self.home() as full:
            self._fill(full, runs)
            for kind, unit in (("W1-process", "step"), ("W2", "run")):
                workload = RATES[kind]

                def measure(workload: Workload = workload) -> tuple[float, float]:
                    with self.home() as home:
                        empty = workload.rate(home, size, 5)
                    return 1e6 / empty, 1e6 / workload.rate(full, size, 5)

                shown = f"{unit} beside {runs:,} runs"
                yield _growth_row(name, shown, *self.repeat(measure))

    @staticmethod
    def _fill(home: Path, runs: int) -> None:
        with workloads.engine(home, "process"):
            for _ in range(0, runs, 1_000):
                workloads.run_many(min(runs, 1_000))

    # A computing main thread

    def busy(self, name: str) -> Iterator[Row]:
        """Steps a second beside a pure Python loop, and what the loop keeps."""
        seconds = 2.0 / self.shrink

        def measure() -> tuple[float, float, float, float]:
            with self.home() as home:
                limit = raw.rate(home / "raw.db", "power", 1_000 // self.shrink)
            alone = workloads.spin(seconds)
            with self.home() as home:
                beside, steps = workloads.spin_beside_steps(home, seconds)
            return limit, steps, alone, beside

        limits, steps, alone, beside = self.repeat(measure)
        value, limit = median(steps), median(limits)
        ratio = _ratio(steps, limits)
        yield Row(name, value, "steps/s", limit, ratio, ">= 400/s", value >= 400)
        kept = _ratio(beside, alone)
        value, limit = median(beside) / 1e6, median(alone) / 1e6
        yield Row(name, value, "M rounds/s", limit, kept, ">= 90 % kept", kept >= 0.9)


BENCHES: dict[str, Callable[[Bench, str], Iterator[Row]]] = {
    **dict.fromkeys(RATES, Bench.rates),
    "W5": Bench.restart,
    "W6": Bench.first_run,
    "W7": Bench.memory,
    "W8": Bench.growth,
    "length": Bench.length,
    "store": Bench.store,
    "busy": Bench.busy,
}


def _growth_row(name: str, what: str, before: list[float], after: list[float]) -> Row:
    ratio = _ratio(after, before)
    goal = f"<= {GROWTH:g} x, no growth"
    unit = f"us a {what}"
    return Row(name, median(after), unit, median(before), ratio, goal, ratio <= GROWTH)


def _ratio(values: list[float], limits: list[float]) -> float:
    return median(a / b for a, b in zip(values, limits, strict=True))


def _bytes(home: Path) -> int:
    return sum(each.stat().st_size for each in home.rglob("*") if each.is_file())


def _start(kind: str, home: Path, *args: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(CHILDREN), kind, str(home), *map(str, args)]
    # An installed package is compiled; the warm-up does it where it was not.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=False, env=env
    )


def _child(kind: str, home: Path, *args: object) -> float:
    done = _start(kind, home, *args)
    done.check_returncode()
    return float(done.stdout.split()[-1])


def _crash(kind: str, home: Path, steps: int) -> tuple[float, int]:
    """Seconds to the step where the first life died, and steps executed again."""
    log = home / "steps.log"
    if _start(kind, home, log, steps).returncode >= 0:
        raise AssertionError(f"{kind} was to be killed and was not")
    began = time.monotonic()
    _start(kind, home, log, steps).check_returncode()
    lines = [line.split() for line in log.read_text().splitlines()]
    second = {int(n): float(at) for life, n, at in lines if life == "2"}
    if max(second) != steps - 1:
        raise AssertionError(f"{kind} ended at step {max(second)} of {steps}")
    return second[steps // 2] - began, sum(n < steps // 2 for n in second)


def profile(name: str, folder: Path, shrink: int) -> None:
    """Print what the engine's thread does in a workload, warmed up before."""
    workload = RATES[name]
    size = max(workload.size // shrink, 60)
    profiler = cProfile.Profile()

    def hook(*_: object) -> None:
        sys.setprofile(None)
        if threading.current_thread().name.startswith("nbflow-engine"):
            profiler.enable()

    workload.rate(folder / "warm", size, 1)
    threading.setprofile(hook)
    try:
        rate = workload.rate(folder / "measured", size, 5)
    finally:
        threading.setprofile(None)  # type: ignore[arg-type]
    print(f"{name}: {rate:,.0f} {workload.unit} under the profiler, {size * 5:,} units")
    pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


def machine() -> str:
    """What the numbers were measured on."""
    cores = os.cpu_count()
    load = f", load {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {cores} cores, {platform.system()} "
        f"{platform.machine()}{load}"
    )


def line(row: Row) -> str:
    """A row as people read it."""
    limit = "" if row.raw is None else f"raw {_number(row.raw)}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} x"
    if row.ratio is not None and row.ratio < 1:
        ratio = f"{row.ratio:.1%}"
    return (
        f"{row.workload:11} {_number(row.value):>9} {row.unit:30} {limit:>14} "
        f"{ratio:>8}  {'met ' if row.met else 'MISS'}  {row.goal}"
    )


def _number(value: float) -> str:
    if value >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def selected(names: str | None) -> list[str]:
    """The benchmarks that were asked for, in the order of the table."""
    if names is None:
        return list(BENCHES)
    asked = [each.strip() for each in names.split(",")]
    unknown = [each for each in asked if each not in BENCHES]
    if unknown:
        known = ", ".join(BENCHES)
        sys.exit(f"--only names {', '.join(unknown)}, which is not among {known}")
    return [
        name
        for name in BENCHES
        if any(name in (each, f"{each}-process") for each in asked)
    ]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print a list of rows")
    parser.add_argument("--only", metavar="W1,W4", help="measure these alone")
    parser.add_argument("--rounds", type=int, default=5, help="after a warm-up (5)")
    parser.add_argument("--quick", action="store_true", help="try the program out")
    parser.add_argument(
        "--profile",
        metavar="W",
        choices=list(RATES),
        help="profile the engine's thread",
    )
    parser.add_argument("--dir", type=Path, help="folder for the stores")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    given = arguments()
    names = selected(given.only)
    shrink = 10 if given.quick else 1
    print(machine(), file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="nbflow-bench-", dir=given.dir) as folder:
        if given.profile:
            profile(given.profile, Path(folder), shrink)
            return
        bench = Bench(Path(folder), 1 if given.quick else max(given.rounds, 1), shrink)
        rows = []
        for name in names:
            for row in BENCHES[name](bench, name):
                rows.append(row)
                if not given.json:
                    print(line(row), flush=True)
    if given.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()

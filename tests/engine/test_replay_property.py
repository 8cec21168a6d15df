"""Whatever a body does side by side, a re-entered one gets every value back.

Random programs go through an undisturbed life and its replay, then through lives cut
off at random commits, a last one and its replay; steps take another time in each life.
`NBFLOW_PROGRAMS` says how many programs (400 if it is not set), `NBFLOW_SEED` the first
one: a failure names its seed and shows the program.
"""

import gc
import os
from collections.abc import Iterator

import pytest

from tests.engine.programs import examine

PROGRAMS = int(os.environ.get("NBFLOW_PROGRAMS", "400"))
FIRST = int(os.environ.get("NBFLOW_SEED", "0"))
CHUNK = 50

CHUNKS = range(FIRST, FIRST + PROGRAMS, CHUNK)
FEW = range(FIRST, FIRST + max(PROGRAMS // 8, 1), CHUNK)


# What a cancelled parent never came to await is no fault here. A mark, since pytest
# restores its own filters between a fixture and the test.
pytestmark = pytest.mark.filterwarnings("ignore:(coroutine|step) .* never awaited")


@pytest.fixture(autouse=True)
def unwinding() -> Iterator[None]:
    """Such leftovers are collected where that mark holds.

    Python collects wherever something is allocated, also in the constructors of named
    tuples, where it cannot even import what issues the warning.
    """
    gc.disable()
    yield
    gc.enable()
    gc.collect()


def last(first: int, chunks: range) -> int:
    return min(first + CHUNK, chunks.stop)


@pytest.mark.parametrize("first", CHUNKS)
def test_every_life_gives_each_step_its_own_value_in_the_recorded_order(
    first: int,
) -> None:
    for seed in range(first, last(first, CHUNKS)):
        examine(seed)


@pytest.mark.parametrize("first", FEW)
def test_so_it_is_when_the_body_has_time_outs_of_its_own(first: int) -> None:
    for seed in range(first, last(first, FEW)):
        examine(seed, time_outs=True)


@pytest.mark.parametrize("first", FEW)
def test_so_it_is_with_steps_in_threads(first: int) -> None:
    for seed in range(first, last(first, FEW)):
        examine(seed, threads=True)


@pytest.mark.parametrize("first", FEW)
def test_so_it_is_when_a_failed_run_is_mended_and_resumed(first: int) -> None:
    for seed in range(first, last(first, FEW)):
        examine(seed, mended=True)


@pytest.mark.parametrize("first", FEW)
def test_so_it_is_while_other_runs_keep_the_loop_busy(first: int) -> None:
    for seed in range(first, last(first, FEW)):
        examine(seed, noise=True, rounds=1)

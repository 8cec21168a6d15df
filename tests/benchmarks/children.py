"""What is measured in a process of its own: python children.py KIND FOLDER …

    first FOLDER                one run of one step in a new store
    crash FOLDER LOG STEPS      a run that is killed as its middle step begins; called
                                again, it goes on there
    memory FOLDER KIND SIZE     peak memory of W1 or W2
    raw-first, raw-crash, raw-memory    the same with sqlite3 alone

Prints what it found: a time of the system's monotonic clock, or kilobytes.
"""

import os
import sys
import time
from pathlib import Path

APP = "benchmarks"


def first(folder: str) -> None:
    """A script as users write it, from its import to its result."""
    from nbflow import Context, Engine, workflow

    async def greet(name: str) -> str:
        return f"hello {name}"

    @workflow(app=APP)
    async def main(ctx: Context, name: str) -> str:
        return await ctx.run("greet", greet, name)

    with Engine(folder, APP, [main]):
        main.invoke("world").result()
        print(time.monotonic())


def raw_first(folder: str) -> None:
    """A new database and one row."""
    import raw

    raw.steps(raw.connect(Path(folder) / "raw.db", "power"), 1)
    print(time.monotonic())


def crash(folder: str, log: str, steps: str) -> None:
    """The run under a fixed id: the first life dies, the second ends it."""
    from nbflow import Context, Engine, workflow

    note = _noter(log, int(steps) // 2)

    async def add(number: int) -> int:
        note(number)
        return number + 1

    @workflow(app=APP)
    async def main(ctx: Context, n: int) -> int:
        number = 0
        for _ in range(n):
            number = await ctx.run("add", add, number)
        return number

    with Engine(folder, APP, [main]):
        print(main.options(run_id="crash").invoke(int(steps)).result())


def raw_crash(folder: str, log: str, steps: str) -> None:
    """The same over a memo table."""
    import raw

    note = _noter(log, int(steps) // 2)
    connection = raw.connect(Path(folder) / "raw.db", "power")
    done = len(connection.execute("SELECT * FROM memo").fetchall())
    for number in range(done, int(steps)):
        note(number)
        raw.steps(connection, 1)


def memory(folder: str, kind: str, size: str) -> None:
    """One workload, and the most memory that the process ever had."""
    import workloads

    with workloads.engine(Path(folder)):
        workloads.RATES[kind].burst(int(size))
        print(_peak_kilobytes())


def raw_memory(folder: str, kind: str, size: str) -> None:
    """As many rows."""
    import raw

    raw.steps(raw.connect(Path(folder) / "raw.db", "power"), int(size))
    print(_peak_kilobytes())


def _noter(log: str, deadly: int):  # type: ignore[no-untyped-def]
    """Notes a step that begins; kills the process when the deadly one does so first."""
    is_first_life = not os.path.exists(log)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    life = 1 if is_first_life else 2

    def note(number: int) -> None:
        os.write(file, b"%d %d %f\n" % (life, number, time.monotonic()))
        if is_first_life and number == deadly:
            os.kill(os.getpid(), 9)

    return note


def _peak_kilobytes() -> int:
    # Not ru_maxrss where it can be helped: a child begins with its parent's.
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if sys.platform == "darwin" else peak
    line = next(each for each in status.splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1])


if __name__ == "__main__":
    kinds = (first, crash, memory, raw_first, raw_crash, raw_memory)
    by_name = {kind.__name__.replace("_", "-"): kind for kind in kinds}
    by_name[sys.argv[1]](*sys.argv[2:])

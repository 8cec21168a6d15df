"""An engine that is there to be killed, and its workflows.

As a program it is a nursery: for each line of its input, a JSON object, it forks one
engine, which lives until it is killed, or, where `last` is set, until all its runs have
ended. Forking spares the imports, so that hundreds of lives fit into a minute.

Everything that happens to a step is noted in one file of lines that are appended whole:
`ran RUN STEP ATTEMPT` when its function was called, `got RUN STEP VALUE` when the body
has its outcome, `new RUN` when an invoke has returned. Their order is the proof.
"""

import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import nbflow.engine
from nbflow import Context, Engine, StepError, current, workflow
from nbflow._engine.memo import read_memo
from nbflow._store.base import ReaderStore
from nbflow._store.sqlite import SqliteWriter

APP = "victim"
KINDS = ("chain", "fan", "family", "shaky", "stubborn")
LIVE = 5
"""Runs that a life keeps going."""
LONGEST = 60
"""Seconds that a life may take."""
PAUSE = 0.003
"""Seconds that a step takes."""

_notes = -1


def note(*words: object) -> None:
    if _notes >= 0:
        os.write(_notes, (" ".join(map(str, words)) + "\n").encode())


def ran() -> int:
    """Note that the running step's function was called; the attempt's number."""
    context = current()
    assert context.step is not None
    id = context.step.id.rpartition("/")[2]
    note("ran", context.run_id, id, context.step.attempt)
    return context.step.attempt


def got(ctx: Context, id: str, value: Any) -> Any:
    note("got", ctx.run_id, id, json.dumps(value))
    return value


async def add(a: int, b: int) -> int:
    ran()
    await asyncio.sleep(PAUSE)
    return a + b


def double(a: int) -> int:
    ran()
    time.sleep(PAUSE)
    return 2 * a


def bulky(size: int) -> str:
    """A value that is stored in a file of its own."""
    ran()
    return "x" * size


def fails_twice(a: int) -> int:
    if ran() < 3:
        raise ValueError("not yet")
    return a


async def always_fails() -> None:
    ran()
    raise ValueError("never")


@workflow(app=APP)
async def chain(ctx: Context, n: int) -> int:
    """Steps in sequence, async and sync, with one sleep and one large value."""
    total = n
    for i in range(8):
        total = got(ctx, f"add{i}", await ctx.run(f"add{i}", add, total, i))
    total = got(ctx, "twice", await ctx.run("twice", double, total))
    await ctx.sleep("nap", 0.005)
    got(ctx, "nap", None)
    return total + len(await ctx.run("bulky", bulky, 9_000 + n))


def chain_result(n: int) -> int:
    return 2 * (n + 28) + 9_000 + n


@workflow(app=APP)
async def fan(ctx: Context, n: int) -> list[int]:
    """Branches side by side, each with steps in sequence."""

    async def branch(b: int) -> int:
        total = n
        for i in range(4):
            id = f"b{b}-{i}"
            total = got(ctx, id, await ctx.run(id, add, total, b))
        await ctx.sleep(f"b{b}-nap", 0.002 * b)
        id = f"b{b}-end"
        return int(got(ctx, id, await ctx.run(id, double, total)))

    return list(await asyncio.gather(*(branch(b) for b in range(4))))


def fan_result(n: int) -> list[int]:
    return [2 * (n + 4 * b) for b in range(4)]


@workflow(app=APP)
async def leaf(ctx: Context, n: int) -> int:
    total = got(ctx, "first", await ctx.run("first", add, n, 1))
    return int(got(ctx, "second", await ctx.run("second", double, total)))


@workflow(app=APP)
async def family(ctx: Context, n: int) -> list[Any]:
    """Children: invoked, mapped, started; and a map over a function."""
    one = got(ctx, "one", await ctx.invoke("one", leaf, {"n": n}))
    started = await ctx.start("later", leaf, {"n": n + 1})
    got(ctx, "later", started.run_id)
    many = await ctx.map("many", leaf, [n, n + 1, n + 2], limit=2)
    plain = await ctx.map("plain", double, range(5))
    for name, values in (("many", many), ("plain", plain)):
        for i, value in enumerate(values):
            got(ctx, f"{name}[{i}]", value)
    return [one, many, plain, got(ctx, "later.result", await started)]


def family_result(n: int) -> list[Any]:
    def leaves(k: int) -> int:
        return 2 * (k + 1)

    many = [leaves(n), leaves(n + 1), leaves(n + 2)]
    return [leaves(n), many, [0, 2, 4, 6, 8], leaves(n + 1)]


CHILDREN = {"family": 5}


@workflow(app=APP)
async def shaky(ctx: Context, n: int) -> int:
    """Retries that succeed, and one that does not."""
    total = n
    for i in range(3):
        id = f"try{i}"
        options: dict[str, Any] = {"retries": 2, "retry_delay": 0.003}
        total += got(ctx, id, await ctx.run(id, fails_twice, i, **options))
    try:
        await ctx.run("never", always_fails, retries=1, retry_delay=0.003)
    except StepError as error:
        got(ctx, "never", error.attempts)
        total += error.attempts
    return total


def shaky_result(n: int) -> int:
    return n + 3 + 2


@workflow(app=APP, retries=3, retry_delay=0.004)
async def stubborn(ctx: Context, n: int) -> int:
    """A body that is entered again with its steps kept."""
    total = n
    for i in range(3):
        total = got(ctx, f"s{i}", await ctx.run(f"s{i}", add, total, i))
        if ctx.attempt <= i + 1:
            raise OSError("the body gives up for now")
    return total


def stubborn_result(n: int) -> int:
    return n + 3


WORKFLOWS = [chain, fan, leaf, family, shaky, stubborn]
RESULTS: dict[str, Callable[[int], Any]] = {
    "chain": chain_result,
    "fan": fan_result,
    "family": family_result,
    "shaky": shaky_result,
    "stubborn": stubborn_result,
}


def idle_recoveries(store: ReaderStore) -> int:
    """Crashes that some run has seen since its last outcome; five are fatal."""
    rows = store.runs(status=("queued", "running"), limit=1_000).rows
    memos = (read_memo(store.events(row.n)) for row in rows)
    return max((memo.idle_recoveries for memo in memos), default=0)


def killer(point: str, count: int) -> Callable[[str], None]:
    """Faults that kill this process the `count`-th time that `point` is reached."""
    left = count

    def faults(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return faults


def live(order: dict[str, Any]) -> None:
    """Serve, and keep some runs going, until killed."""
    global _notes
    signal.alarm(LONGEST)  # nobody outlives the test that is to kill it
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    _notes = os.open(order["notes"], flags, 0o600)
    if order.get("point"):
        faults = killer(order["point"], order["count"])
        nbflow.engine.SqliteWriter = partial(SqliteWriter, faults=faults)  # type: ignore[assignment,misc]
    with Engine(order["home"], APP, WORKFLOWS, order["durability"]) as engine:
        runs = engine.client.runs
        number = order["first"]
        while True:
            assert engine._host is not None
            engine._host.check()  # raises when it has stopped
            unfinished = runs.list(status=["queued", "running"])
            if order.get("last"):
                if not unfinished:
                    return
            elif order.get("calm"):
                if not idle_recoveries(engine.client._access.store()):
                    os.kill(os.getpid(), signal.SIGKILL)
            elif sum(run.parent is None for run in unfinished) < LIVE:
                kind, number = KINDS[number % len(KINDS)], number + 1
                invoke = engine.client.workflows.invoke
                invoke(kind, input={"n": number}, run_id=f"{kind}-{number}")
                note("new", f"{kind}-{number}")
                continue
            time.sleep(0.004)


def nurse(order: dict[str, Any]) -> int:
    """One life in a process of its own; how it ended, as `os.waitpid` says."""
    child = os.fork()
    if child == 0:
        try:
            live(order)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    timer = None
    if order.get("after") is not None:
        timer = threading.Timer(order["after"], os.kill, (child, signal.SIGKILL))
        timer.start()
    # Not reaped before the timer is gone: it must not hit somebody else.
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    if timer is not None:
        timer.cancel()
        timer.join()
    return os.waitpid(child, 0)[1]


def main() -> None:
    for line in sys.stdin:
        status = nurse(json.loads(line))
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    sys.modules["victim"] = sys.modules["__main__"]
    main()

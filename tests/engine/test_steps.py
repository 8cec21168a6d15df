"""Steps: outcomes, retries, time-outs, errors."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import pytest

import nbflow
from nbflow import Context, workflow
from nbflow._store.memory import MemoryStore
from nbflow.testing import TestEngine

pytestmark = pytest.mark.anyio
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Scale:
    """A callable with a fingerprint."""

    factor: int

    def __call__(self, n: int) -> int:
        return n * self.factor


class _Client:
    """A callable without one."""

    def __init__(self, factor: int) -> None:
        self.scale = Scale(factor)

    def __call__(self, n: int) -> int:
        return self.scale(n)


async def test_a_step_is_retried_three_times_and_then_raises_its_error(
    lab: TestEngine,
) -> None:
    calls = []

    def fetch() -> None:
        calls.append(1)
        raise OSError("no route")

    @workflow
    async def main(ctx: Context) -> str:
        try:
            await ctx.run(fetch, retry_delay="10s")
        except OSError as error:
            assert isinstance(error, nbflow.StepError)
            return f"{error} after {error.attempts}"
        return "never"

    assert await lab.run(main) == "no route after 4"
    assert len(calls) == 4
    assert lab.clock.now() - START == timedelta(seconds=30)


async def test_the_error_is_of_the_original_type_after_a_restart_too(
    lab: TestEngine,
) -> None:
    fetched = []
    is_waiting, goes_on = threading.Event(), threading.Event()

    def fetch() -> None:
        fetched.append(1)
        request = httpx.Request("GET", "http://x.test")
        httpx.Response(404, request=request).raise_for_status()

    def wait() -> None:
        is_waiting.set()
        goes_on.wait(60)

    @workflow
    async def main(ctx: Context) -> tuple[int, int]:
        try:
            await ctx.run(fetch)
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
        else:
            status = 0
        await ctx.run(wait)
        return status, len(fetched)

    handle = lab.start(main)
    assert is_waiting.wait(60)
    lab.crash()
    goes_on.set()
    assert await lab.client.runs.handle(handle.run_id) == (404, 1)


@pytest.mark.parametrize(
    "error",
    [
        NameError("a"),
        TypeError("a"),
        KeyError("a"),
        AssertionError("a"),
        ZeroDivisionError("a"),
        ImportError("a"),
        nbflow.NonRetriableError("a"),
    ],
)
async def test_mistakes_are_not_retried(lab: TestEngine, error: Exception) -> None:
    calls = []

    def fail() -> None:
        calls.append(1)
        raise error

    @workflow
    async def main(ctx: Context) -> None:
        await ctx.run(fail)

    with pytest.raises(nbflow.RunFailed):
        await lab.run(main)
    assert len(calls) == 1


async def test_explicit_retries_retry_mistakes_too(lab: TestEngine) -> None:
    outcomes = [KeyError("a"), KeyError("a"), "ok"]

    @workflow
    async def main(ctx: Context) -> str:
        return await ctx.run("s", str, retries=2)

    lab.stub("s", outcomes)
    assert await lab.run(main) == "ok"


async def test_retry_after_sets_the_next_delay(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> str:
        return await ctx.run("s", str)

    lab.stub("s", [nbflow.RetryAfterError("busy", "90s"), "ok"])
    assert await lab.run(main) == "ok"
    assert lab.clock.now() - START == timedelta(seconds=90)


async def test_a_retry_after_that_says_no_time_is_told(lab: TestEngine) -> None:
    @workflow(retry_delay=7)
    async def main(ctx: Context) -> str:
        done = await ctx.run("s", str)
        if ctx.attempt == 1:
            raise nbflow.RetryAfterError("busy", -5)
        return done

    lab.stub("s", [nbflow.RetryAfterError("busy", "soon"), "ok"])
    handle = lab.start(main)
    assert await handle == "ok"
    assert lab.clock.now() - START == timedelta(seconds=14)
    logs = [event for event in handle.events() if event.type == "log"]
    assert [(event.step, event.data["level"]) for event in logs] == [
        ("s", "warning"),
        (None, "warning"),
    ]
    assert "retry_after='soon' is no time" in logs[0].data["message"]
    assert "retry_after=-5 is no time" in logs[1].data["message"]


async def test_a_timeout_is_per_attempt_and_retried(lab: TestEngine) -> None:
    calls = []

    async def slow() -> None:
        calls.append(1)
        await asyncio.sleep(60)

    @workflow
    async def main(ctx: Context) -> str:
        try:
            await ctx.run(slow, timeout="5s", retries=1, retry_delay=0)
        except nbflow.StepTimeout as error:
            return str(error)
        return "never"

    assert await lab.run(main) == "step 'slow' took longer than its timeout of 5 s"
    assert len(calls) == 2
    assert lab.clock.now() - START == timedelta(seconds=10)


async def test_a_function_that_swallows_its_timeout_is_timed_out_all_the_same(
    lab: TestEngine,
) -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
        return "late"

    @workflow
    async def main(ctx: Context) -> str:
        return await ctx.run(stubborn, timeout=5, retries=0)

    with pytest.raises(nbflow.RunFailed, match="timeout of 5 s"):
        await lab.run(main)


@pytest.fixture
def one_thread() -> Iterator[nbflow.Engine]:
    """An engine on real time with a single thread for steps."""
    engine = nbflow.Engine(app="threads", workflows=(), store=MemoryStore())
    with engine:
        assert engine._host is not None
        engine._host.core.threads._limit = 1
        yield engine


def test_a_steps_timeout_does_not_count_waiting_for_a_thread(
    one_thread: nbflow.Engine,
) -> None:
    @workflow
    async def main(ctx: Context) -> list[None]:
        calls = (ctx.run(time.sleep, 0.4, timeout=2.5, retries=0) for _ in range(8))
        return await asyncio.gather(*calls)

    assert one_thread._specs is not None
    one_thread._specs["main"] = main.spec
    handle = one_thread.client.workflows.invoke("main")
    assert handle.result(60) == [None] * 8


@pytest.mark.parametrize("timeout", [None, 30])
def test_a_step_that_waits_for_a_thread_is_not_called_after_a_cancel(
    one_thread: nbflow.Engine, timeout: int | None
) -> None:
    calls: list[int] = []
    is_called, goes_on = threading.Event(), threading.Event()

    def hold(number: int) -> None:
        calls.append(number)
        is_called.set()
        goes_on.wait(60)

    @workflow
    async def main(ctx: Context) -> None:
        await asyncio.gather(*(ctx.run(hold, n, timeout=timeout) for n in range(3)))

    @workflow
    async def other(ctx: Context) -> int:
        return await ctx.run(int, 5)

    assert one_thread._specs is not None
    one_thread._specs |= {"main": main.spec, "other": other.spec}
    handle = one_thread.client.workflows.invoke("main")
    assert is_called.wait(60)
    handle.cancel()
    goes_on.set()
    assert one_thread.client.workflows.invoke("other").result(60) == 5
    assert calls == [0]


async def test_a_timeout_of_zero_is_up_at_once(lab: TestEngine) -> None:
    calls: list[int] = []

    @workflow
    async def main(ctx: Context) -> None:
        await ctx.run("note", calls.append, 1, timeout=0, retries=0)

    with pytest.raises(nbflow.RunFailed, match="timeout of 0 s"):
        await lab.run(main)
    assert calls == []


async def test_equal_ids_are_numbered_in_the_order_of_their_calls(
    lab: TestEngine,
) -> None:
    async def echo(value: int) -> int:
        await asyncio.sleep(10 - value)
        return value

    @workflow
    async def main(ctx: Context) -> list[int]:
        return await asyncio.gather(*(ctx.run("s", echo, n) for n in range(3)))

    handle = lab.start(main)
    assert await handle == [0, 1, 2]
    assert [step.id for step in handle.steps] == ["s", "s:1", "s:2"]


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda ctx: ctx.run("it", int), "'it' was awaited twice: call ctx.run again"),
        (lambda ctx: ctx.sleep("it", 1), "'it' was awaited twice: call ctx.sleep "),
        (lambda ctx: ctx.map("it", str, [1]), "'it' was awaited twice: call ctx.map "),
        (lambda ctx: ctx.map("it", str, []), "'it' was awaited twice: call ctx.map "),
        (lambda ctx: ctx.invoke("it", "_kid"), "call ctx.invoke again"),
        (lambda ctx: ctx.try_invoke("it", "_kid"), "call ctx.try_invoke again"),
        (lambda ctx: ctx.start("it", "_kid"), "call ctx.start again"),
    ],
)
async def test_one_call_is_awaited_once(
    lab: TestEngine, call: Callable[[Context], Awaitable[object]], named: str
) -> None:
    @workflow
    async def main(ctx: Context) -> None:
        it = call(ctx)
        await it
        await it

    lab.serve(workflow(_kid))
    handle = lab.start(main)
    with pytest.raises(nbflow.RunFailed, match=named):
        await handle
    assert handle.run.attempt == 1  # more of the same would fail the same way
    assert len(lab.client.runs.list(workflow="_kid")) <= 1
    assert len(handle.steps) <= 1


async def _kid(ctx: Context) -> None: ...


async def test_a_step_inside_a_step_is_refused_with_both_names(
    lab: TestEngine,
) -> None:
    @workflow
    async def main(ctx: Context) -> None:
        async def outer() -> None:
            await ctx.run("inner", lambda: 1)

        await ctx.run(outer)

    with pytest.raises(
        nbflow.RunFailed, match="'inner' was called inside step 'outer'"
    ):
        await lab.run(main)


@pytest.mark.filterwarnings("always:step 'lost' was called:RuntimeWarning")
async def test_a_step_that_is_not_awaited_is_named_with_its_line(
    lab: TestEngine,
) -> None:
    @workflow
    async def main(ctx: Context) -> None:
        ctx.run("lost", int)
        await ctx.run("one", int)

    handle = lab.start(main)
    await handle
    [line] = [event.data["message"] for event in handle.events() if event.type == "log"]
    number = main.fn.__code__.co_firstlineno + 2
    assert f"'lost' was called and never awaited (line {number}, in main)" in line


def test_a_step_that_is_not_awaited_is_silent_when_the_interpreter_ends() -> None:
    code = """
from types import SimpleNamespace
from nbflow._engine.steps import StepCall
call = StepCall.__new__(StepCall)
call.is_awaited, call.key, call.run = False, "lost", SimpleNamespace(is_closed=False)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


async def test_a_coroutine_object_is_refused(lab: TestEngine) -> None:
    async def fetch() -> None: ...

    @workflow
    async def main(ctx: Context) -> None:
        await ctx.run("fetch", fetch())  # type: ignore[arg-type]

    with pytest.raises(nbflow.RunFailed, match="'fetch' got a coroutine object as fn"):
        await lab.run(main)


async def test_what_cannot_be_stored_is_named_by_its_path(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> None:
        await ctx.run("make", lambda: {"rows": [1, object()]})

    with pytest.raises(
        nbflow.RunFailed, match=r'value\["rows"\]\[1\] is of type object'
    ):
        await lab.run(main)


async def test_system_exit_in_a_step_fails_the_run_and_the_engine_lives(
    lab: TestEngine,
) -> None:
    def leave() -> None:
        raise SystemExit(3)

    @workflow
    async def bad(ctx: Context) -> None:
        await ctx.run(leave)

    @workflow
    async def good(ctx: Context) -> int:
        return await ctx.run("one", lambda: 1)

    with pytest.raises(nbflow.RunFailed, match="SystemExit"):
        await lab.run(bad)
    assert await lab.run(good) == 1


@pytest.mark.parametrize("leaving", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("is_branch", [False, True])
async def test_a_body_whose_step_leaves_is_unwound(
    lab: TestEngine, leaving: type[BaseException], is_branch: bool
) -> None:
    seen: list[object] = []

    async def leave() -> None:
        raise leaving

    @workflow
    async def main(ctx: Context) -> None:
        async def branch() -> None:
            seen.append(asyncio.current_task())
            try:
                await ctx.run(leave)
            finally:
                seen.append("unwound")

        if is_branch:
            await asyncio.gather(branch())
        else:
            await branch()

    with pytest.raises(nbflow.RunFailed, match=leaving.__name__):
        await lab.run(main)
    await lab.run(workflow(name="other")(_nothing))
    task, word = seen
    assert word == "unwound"
    assert isinstance(task, asyncio.Task)
    assert task.done()


async def test_a_step_that_cancels_its_own_run_is_interrupted(lab: TestEngine) -> None:
    seen = []

    async def cancel() -> None:
        run_id = nbflow.current().run_id
        lab.client.runs.cancel(run_id)
        try:
            await asyncio.sleep(3_600)
            seen.append("slept on")
        finally:
            seen.append("unwound")

    @workflow
    async def main(ctx: Context) -> None:
        await ctx.run(cancel)

    with pytest.raises(nbflow.RunCanceled):
        await lab.run(main)
    await lab.run(workflow(name="other")(_nothing))
    assert seen == ["unwound"]
    assert lab.clock.now() - START < timedelta(minutes=2)


async def test_a_body_that_cancels_its_run_has_a_moment_to_clean_up(
    lab: TestEngine,
) -> None:
    seen = []

    @workflow
    async def main(ctx: Context) -> None:
        try:
            ctx.cancel()
        finally:
            await asyncio.sleep(0.01)
            seen.append("cleaned up")

    with pytest.raises(nbflow.RunCanceled):
        await lab.run(main)
    await lab.run(workflow(name="other")(_nothing))
    assert seen == ["cleaned up"]


async def test_a_body_that_swallows_its_own_cancel_is_interrupted(
    lab: TestEngine,
) -> None:
    seen = []

    @workflow
    async def main(ctx: Context) -> None:
        with suppress(BaseException):
            ctx.cancel()
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            seen.append("interrupted")

    with pytest.raises(nbflow.RunCanceled):
        await lab.run(main)
    await lab.run(workflow(name="other")(_nothing))
    assert seen == ["interrupted"]


async def test_the_key_of_a_step_is_the_same_on_every_attempt(lab: TestEngine) -> None:
    keys = []

    def fetch() -> None:
        step = nbflow.current().step
        assert step is not None
        keys.append((step.id, step.key, step.attempt))
        if len(keys) < 3:
            raise OSError

    @workflow
    async def main(ctx: Context) -> None:
        await ctx.run(fetch)

    await lab.run(main)
    assert [key[0] for key in keys] == ["fetch"] * 3
    assert len({key[1] for key in keys}) == 1
    assert [key[2] for key in keys] == [1, 2, 3]


async def test_prints_and_logs_of_a_step_are_its_own_lines(lab: TestEngine) -> None:
    def talk() -> None:
        print("hello")
        nbflow.current().log("logged", "warning", n=1)
        nbflow.current().progress(1, 2)

    @workflow
    async def main(ctx: Context) -> None:
        await ctx.run(talk)

    handle = lab.start(main)
    await handle
    logs = [e for e in handle.events() if e.type == "log"]
    assert [(e.step, e.data["message"]) for e in logs] == [
        ("talk", "hello"),
        ("talk", "logged"),
    ]
    assert any(e.type == "progress" for e in handle.events())


async def test_a_cached_step_is_not_executed_in_another_run(lab: TestEngine) -> None:
    calls = []

    def compute(n: int) -> int:
        calls.append(n)
        return n * n

    @workflow
    async def main(ctx: Context, n: int) -> int:
        return await ctx.run(compute, n, cache=True)

    first = lab.start(main, 4)
    assert await first == 16
    second = lab.start(main, 4)
    assert await second == 16
    assert await lab.run(main, 5) == 25
    assert calls == [4, 5]
    assert second.steps["compute"].cached_from == first.run_id


def _add(n: int) -> int:
    return n + 1


def _add_more(n: int) -> int:
    return n + 1000


def _first(n: int) -> int:
    return _add(n)


async def test_an_edited_helper_makes_a_cached_step_run_again(
    lab: TestEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    @workflow
    async def main(ctx: Context) -> tuple[int, float]:
        cached = await ctx.run(_first, 1, cache=True)
        return cached, await ctx.run("builtin", abs, -1.5, cache=True)

    assert await lab.run(main) == (2, 1.5)
    monkeypatch.setitem(globals(), "_add", _add_more)
    assert await lab.run(main) == (1001, 1.5)


@pytest.mark.parametrize(
    "make",
    [lambda n: partial(Scale.__call__, Scale(n)), Scale, lambda n: partial(Scale(n))],
)
async def test_what_partials_and_callable_objects_hold_tells_cached_outcomes_apart(
    lab: TestEngine, make: Callable[[int], Callable[[int], int]]
) -> None:
    @workflow
    async def main(ctx: Context, factor: int) -> int:
        return await ctx.run("scale", make(factor), 10, cache=True)

    values, sources = [], []
    for factor in (2, 2, 3):
        handle = lab.start(main, factor)
        values.append(await handle)
        sources.append(handle.steps["scale"].cached_from is not None)
    assert values == [20, 20, 30]
    assert sources == [False, True, False]


def _closing_over(n: int) -> Callable[[int], int]:
    return lambda x: x * n


def _with_default(n: int) -> Callable[[int], int]:
    def scale(x: int, factor: int = n) -> int:
        return x * factor

    return scale


@pytest.mark.parametrize(
    "make", [_closing_over, _with_default, lambda n: Scale(n).__call__]
)
async def test_what_a_function_takes_from_around_it_tells_cached_outcomes_apart(
    lab: TestEngine, make: Callable[[int], Callable[[int], int]]
) -> None:
    @workflow
    async def main(ctx: Context, factor: int) -> int:
        return await ctx.run("scale", make(factor), 10, cache=True)

    handles = [lab.start(main, factor) for factor in (2,)]
    assert await handles[0] == 20
    handles += [lab.start(main, factor) for factor in (2, 3)]
    assert [await each for each in handles] == [20, 20, 30]
    cached = [each.steps["scale"].cached_from for each in handles]
    assert cached == [None, handles[0].run_id, None]


@pytest.mark.parametrize(
    "make",
    [
        _Client,
        lambda n: _Client(n).__call__,
        lambda n: partial(_Client.__call__, _Client(n)),
    ],
)
async def test_a_callable_without_a_fingerprint_is_not_cached(
    lab: TestEngine, make: Callable[[int], Callable[[int], int]]
) -> None:
    @workflow
    async def main(ctx: Context, factor: int) -> int:
        return await ctx.run("scale", make(factor), 10, cache=True)

    assert [await lab.run(main, factor) for factor in (2, 3)] == [20, 30]


async def test_a_step_canceled_before_its_value_is_handed_over_is_canceled_once(
    lab: TestEngine,
) -> None:
    made = []

    async def make() -> int:
        made.append(1)
        return 1

    @workflow
    async def main(ctx: Context) -> None:
        async def branch() -> int:
            return await ctx.run(make)

        task = asyncio.create_task(branch())
        while not made:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    handle = lab.start(main)
    await handle
    of_step = [event.type for event in handle.events() if event.step is not None]
    assert of_step == ["step.started", "step.completed", "step.canceled"]


async def test_what_comes_after_the_end_of_a_run_is_not_recorded(
    lab: TestEngine,
) -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return "late"
        return "never"

    @workflow
    async def main(ctx: Context) -> None:
        async def cancel() -> None:
            await ctx.sleep("a while", "10s")
            ctx.cancel()

        await asyncio.gather(ctx.run(stubborn), cancel())

    handle = lab.start(main)
    with pytest.raises(nbflow.RunCanceled):
        await handle
    await lab.run(workflow(name="other")(_nothing))
    assert handle.events()[-1].type == "run.canceled"


async def _nothing(ctx: Context) -> None:
    await ctx.sleep("a minute", "1m")


async def test_a_step_that_panics_is_recorded_and_fails_its_run(lab: TestEngine):
    class Panic(BaseException):
        """As those of extensions written in Rust, or pytest's outcomes."""

    calls = []

    def boom() -> None:
        calls.append(1)
        raise Panic("at the disco")

    @workflow
    async def main(ctx: Context) -> str:
        try:
            await ctx.run(boom)
        except Exception as error:
            return f"{isinstance(error, nbflow.StepError)}: {error}"
        return "never"

    handle = lab.start(main)
    assert await handle == "True: at the disco"
    assert calls == [1]
    assert handle.steps["boom"].status == "failed"


async def test_what_may_not_be_called_twice_has_no_second_try(lab: TestEngine):
    calls = []

    def pay() -> None:
        calls.append(1)
        raise OSError("no answer")

    @workflow
    async def main(ctx: Context) -> None:
        await ctx.run(pay, at_most_once=True)

    @workflow
    async def eager(ctx: Context) -> None:
        await ctx.run(pay, at_most_once=True, retries=2)

    with pytest.raises(nbflow.RunFailed, match="no answer"):
        await lab.run(main)
    assert calls == [1]
    with pytest.raises(nbflow.RunFailed, match="exclude each other"):
        await lab.run(eager)
    assert calls == [1]


async def test_a_wrong_option_is_not_tried_again(lab: TestEngine):
    bodies = []

    @workflow
    async def main(ctx: Context) -> None:
        bodies.append(1)
        await ctx.run("", print)

    with pytest.raises(nbflow.RunFailed, match="is empty"):
        await lab.run(main)
    assert bodies == [1]


async def test_a_datetime_to_sleep_until_is_given_by_name(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> None:
        await ctx.sleep("nap", ctx.now())  # type: ignore[arg-type]

    with pytest.raises(nbflow.RunFailed, match=r"'nap'.*give it as until="):
        await lab.run(main)

"""Run handles on real engines."""

import asyncio
import logging
import os
import signal
import threading
import time

import pytest

import nbflow
from nbflow import (
    Client,
    Context,
    EngineClosed,
    RunCanceled,
    RunFailed,
    RunIdConflict,
    RunTimedOut,
    StepError,
    StepNotFound,
    WrongLoop,
    workflow,
)
from nbflow.model import RunStatus, StepStatus
from nbflow.testing import TestEngine

broken = True


def double(x: int) -> int:
    return 2 * x


def shaky(x: int) -> int:
    if broken:
        raise ValueError(f"no {x}")
    return x


async def later(x: int) -> int:
    return x


@workflow(retries=0)
async def numbers(ctx: Context, n: int) -> list[int]:
    first = await ctx.run("fetch", double, n)
    many = await ctx.map("ask", double, range(3))
    async with ctx.group("grp"):
        last = await ctx.run("b", later, 5)
    return [first, *many, last]


@workflow(retries=0)
async def flaky(ctx: Context, n: int) -> int:
    await ctx.run(double, n)
    return await ctx.run("shaky", shaky, n)


@workflow
async def endless(ctx: Context) -> None:
    await ctx.sleep("pause", "1h")


@workflow(timeout="50ms")
async def late(ctx: Context) -> None:
    await ctx.sleep("pause", "1h")


@workflow
async def blocking(ctx: Context, wait: str) -> None:
    handle = nbflow.Client(app="t").runs.handle(wait)
    handle.result()


@pytest.fixture
def failing():
    global broken
    broken = True
    yield
    broken = True


def mend() -> None:
    global broken
    broken = False


def test_a_handle_gives_the_result_and_the_steps(serve):
    handle = serve(numbers).client.workflows.invoke("numbers", input={"n": 4})
    assert handle.result(60) == [8, 0, 2, 4, 5]
    assert handle.status is RunStatus.COMPLETED
    assert handle.run.result == [8, 0, 2, 4, 5]
    assert (handle["fetch"], handle["ask"], handle["grp"]) == (8, [0, 2, 4], [5])
    assert handle["ask[2]"] == handle["ask"][2]
    assert handle["b"] == handle["grp/b"] == 5
    names = [step.name for step in handle.steps]
    assert names == ["fetch", "ask[0]", "ask[1]", "ask[2]", "grp/b"]


def test_steps_are_found_by_place_slice_and_name(serve):
    handle = serve(numbers).client.workflows.invoke("numbers", input={"n": 4})
    handle.result(60)
    steps = handle.steps
    assert steps["ask[1]"] is steps[2]
    assert [step.name for step in steps[-2:]] == ["ask[2]", "grp/b"]
    with pytest.raises(StepNotFound, match=r"no step 'nope'.*'fetch', 'ask\[0\]'"):
        steps["nope"]
    with pytest.raises(StepNotFound, match="no step 'nope'"):
        handle["nope"]
    with pytest.raises(TypeError, match="by its name"):
        handle[0]


def test_a_step_can_be_called_again_here(serve):
    handle = serve(numbers).client.workflows.invoke("numbers", input={"n": 4})
    handle.result(60)
    assert handle.steps["ask[2]"].call() == 4
    assert asyncio.run(handle.steps["b"].call()) == 5


def test_what_cannot_be_called_again_says_why(serve):
    @workflow
    async def odd(ctx: Context) -> None:
        ctx.now()
        await ctx.run("lock", lambda lock: None, threading.Lock())

    handle = serve(odd).client.workflows.invoke("odd")
    handle.result(60)
    with pytest.raises(StepNotFound, match="is a 'now', which calls no function"):
        handle.steps["now"].call()
    with pytest.raises(StepNotFound, match="no function of that name"):
        handle.steps["lock"].call()


def test_an_argument_that_was_not_recorded_is_named(serve):
    def use(lock):
        return None

    @workflow
    async def odd(ctx: Context) -> None:
        await ctx.run(use, threading.Lock())

    handle = serve(odd).client.workflows.invoke("odd")
    handle.result(60)
    with pytest.raises(StepNotFound, match=r"argument 1 that was not recorded"):
        handle.steps["use"].call()


def test_a_failed_run_raises_with_type_message_and_what_to_do(serve, failing):
    handle = serve(flaky).client.workflows.invoke("flaky", input={"n": 3})
    with pytest.raises(RunFailed) as info:
        handle.result(60)
    error = info.value
    assert str(error).startswith("ValueError: no 3\n")
    assert f"client.runs.resume({handle.run_id!r})" in str(error)
    assert "step 'shaky'" in str(error)
    assert (error.error.type, error.error.message) == ("ValueError", "no 3")
    assert (error.run_id, error.workflow, error.step) == (
        handle.run_id,
        "flaky",
        "shaky",
    )
    assert "in shaky" in error.error.traceback
    assert isinstance(error.__cause__, ValueError)


def test_a_message_too_long_does_not_push_out_what_to_do(serve):
    @workflow(retries=0)
    async def verbose(ctx: Context) -> None:
        raise ValueError("x" * 5_000)

    handle = serve(verbose).client.workflows.invoke("verbose")
    with pytest.raises(RunFailed, match=r"client\.runs\.resume"):
        handle.result(60)


def test_the_value_of_a_failed_step_is_its_error(serve, failing):
    handle = serve(flaky).client.workflows.invoke("flaky", input={"n": 3})
    with pytest.raises(RunFailed):
        handle.result(60)
    with pytest.raises(StepError, match="failed with ValueError: no 3") as info:
        handle["shaky"]
    assert (info.value.attempts, info.value.error.type) == (1, "ValueError")
    assert handle["double"] == 6


def test_a_running_step_has_no_value_yet(serve):
    handle = serve(endless).client.workflows.invoke("endless")
    next(event for event in handle.stream() if event.step == "pause")
    with pytest.raises(StepNotFound, match="it is sleeping"):
        handle["pause"]


def test_resume_goes_on_and_the_same_handle_waits_for_the_new_end(serve, failing):
    handle = serve(flaky).client.workflows.invoke("flaky", input={"n": 3})
    with pytest.raises(RunFailed):
        handle.result(60)
    mend()
    assert handle.resume().result(60) == 3
    assert handle.result(60) == 3


def test_a_resume_by_others_is_seen(serve, failing):
    engine = serve(flaky)
    handle = engine.client.workflows.invoke("flaky", input={"n": 3})
    with pytest.raises(RunFailed):
        handle.result(60)
    mend()
    engine.client.runs.resume(handle.run_id).result(60)
    assert handle.status is RunStatus.COMPLETED


def test_every_resume_says_first_what_it_will_do(serve, failing, caplog):
    handle = serve(flaky).client.workflows.invoke("flaky", input={"n": 3})
    with pytest.raises(RunFailed):
        handle.result(60)
    mend()
    plan = handle.resume(plan=True)
    assert (plan.kept, plan.to_run) == (("double",), ("shaky",))
    assert handle.status is RunStatus.FAILED
    with caplog.at_level(logging.INFO, "nbflow"):
        handle.resume().result(60)
    assert (
        f"resume {handle.run_id} of 'flaky': kept double, to run shaky" in caplog.text
    )


def test_a_timeout_of_the_workflow_has_its_own_type(serve):
    handle = serve(late).client.workflows.invoke("late")
    with pytest.raises(RunTimedOut, match="50 ms"):
        handle.result(60)


def test_a_canceled_run_raises_with_its_reason(serve):
    handle = serve(endless).client.workflows.invoke("endless")
    assert handle.cancel("enough") is True
    assert handle.cancel() is False
    with pytest.raises(RunCanceled, match="was canceled: enough"):
        handle.result(60)
    assert handle.run.cancel_reason == "enough"
    assert all(step.status is StepStatus.CANCELED for step in handle.steps)


def test_a_result_that_takes_too_long_raises_the_builtin_timeout(serve):
    handle = serve(endless).client.workflows.invoke("endless")
    with pytest.raises(TimeoutError, match=r"within 50 ms: running"):
        handle.result("50ms")
    with pytest.raises(TimeoutError):
        handle.result(timeout=0)
    assert handle.status is RunStatus.RUNNING


def test_a_result_is_there_at_once_when_the_run_has_ended(serve):
    engine = serve(numbers)
    run_id = engine.client.workflows.invoke("numbers", input={"n": 1}, wait="result")[0]
    assert engine.client.runs.handle(run_id).result(timeout=0)[0] == 2


def test_blocking_calls_on_an_engines_loop_are_refused(serve, monkeypatch, home):
    monkeypatch.setenv("NBFLOW_HOME", str(home))
    engine = serve(endless, blocking)
    sleeper = engine.client.workflows.invoke("endless")
    handle = engine.client.workflows.invoke("blocking", input={"wait": sleeper.run_id})
    with pytest.raises(RunFailed, match=r"await ctx\.invoke") as info:
        handle.result(60)
    assert isinstance(info.value.__cause__, WrongLoop)


def test_a_keyboard_interrupt_comes_through_at_once(serve):
    handle = serve(endless).client.workflows.invoke("endless")
    sent = []

    def interrupt() -> None:
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.1, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        handle.result(60)
    assert time.monotonic() - sent[0] < 20
    timer.join()


def test_a_refused_run_id_is_an_error_of_the_call(serve):
    client = serve(numbers, endless).client
    client.workflows.invoke("endless", run_id="mine")
    with pytest.raises(RunIdConflict, match="run of 'endless'"):
        client.workflows.invoke("numbers", input={"n": 1}, run_id="mine")


def test_an_existing_run_of_the_id_is_attached(serve):
    client = serve(numbers).client
    first = client.workflows.invoke("numbers", input={"n": 1}, run_id="mine")
    assert first.result(60)[0] == 2
    again = client.workflows.invoke("numbers", input={"n": 1}, run_id="mine")
    assert (again.run_id, again.result(60)[0]) == ("mine", 2)
    assert len(client.runs.list()) == 1


def test_waiting_ends_with_the_engine(serve):
    engine = serve(endless)
    handle = engine.client.workflows.invoke("endless")
    threading.Timer(0.1, engine.close).start()
    with pytest.raises(EngineClosed):
        handle.result(60)
    assert handle.status is RunStatus.RUNNING


def test_a_handle_goes_on_with_the_next_engine(serve, failing):
    engine = serve(flaky)
    handle = engine.client.workflows.invoke("flaky", input={"n": 3})
    with pytest.raises(RunFailed):
        handle.result(60)
    engine.close()
    mend()
    serve(flaky)
    assert handle.resume().result(60) == 3


def test_the_display_is_one_honest_line(serve, failing):
    client = serve(flaky, endless, numbers).client
    handle = client.workflows.invoke("endless")
    next(event for event in handle.stream() if event.step == "pause")
    assert "of 'endless': running for" in repr(handle)
    assert "sleeping until" in repr(handle)
    handle.cancel("so\n\x1b[31m")
    assert repr(handle).endswith(r"so\x0a\x1b[31m>")
    failed = client.workflows.invoke("flaky", input={"n": 3})
    with pytest.raises(RunFailed):
        failed.result(60)
    assert repr(failed).endswith("ValueError: no 3>")
    assert "\n" not in repr(failed)
    done = client.workflows.invoke("numbers", input={"n": 3})
    done.result(60)
    assert "completed after" in repr(done)

    class Printer:
        def text(self, text):
            self.said = text

    printer = Printer()
    done._repr_pretty_(printer, False)
    assert printer.said == repr(done)


def test_a_display_does_not_fail_where_the_run_is_gone(serve):
    client = serve(numbers).client
    handle = client.workflows.invoke("numbers", input={"n": 3})
    handle.result(60)
    client.runs.delete(handle.run_id)
    assert handle.run_id in repr(handle)


def test_a_run_is_awaited_on_asyncio(serve):
    client = serve(numbers, endless).client

    async def main():
        handles = [
            client.workflows.invoke("numbers", input={"n": i}) for i in range(20)
        ]
        results = await asyncio.gather(*handles)
        assert [result[0] for result in results] == [2 * i for i in range(20)]
        sleeper = client.workflows.invoke("endless")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sleeper, 0.05)
        ticks = 0
        waiter = asyncio.ensure_future(asyncio.wait_for(sleeper, 0.3))
        while not waiter.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert isinstance(waiter.exception(), TimeoutError)
        assert ticks > 10  # the loop went on
        sleeper.cancel()
        with pytest.raises(RunCanceled):
            await sleeper

    asyncio.run(main())


def test_a_run_is_awaited_on_trio(serve):
    trio = pytest.importorskip("trio")
    client = serve(numbers).client

    async def main():
        handle = client.workflows.invoke("numbers", input={"n": 4})
        assert (await handle)[0] == 8
        seen = [event.type async for event in handle.stream()]
        assert seen[-1] == "run.completed"

    trio.run(main)


def test_a_handle_of_a_test_engine_survives_its_crash():
    async def main():
        async with TestEngine() as engine:
            handle = engine.start(endless)
            next(event for event in handle.stream() if event.type == "run.started")
            engine.crash()
            assert await handle is None
            assert handle.status is RunStatus.COMPLETED

    asyncio.run(main())


def test_a_run_that_nobody_executes_is_said_once(serve, home):
    engine = serve(endless)
    handle = engine.client.workflows.invoke("endless")
    engine.close()
    handle = Client(home, "t").runs.handle(handle.run_id)
    with (
        pytest.warns(UserWarning, match="no engine serves app 't'") as caught,
        pytest.raises(TimeoutError),
    ):
        handle.result(0.3)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert handle.run.waiting[0] == "nobody executes it: its engine is gone"


def test_a_run_left_waiting_by_a_new_engine_is_said_once(serve):
    engine = serve(endless)
    run_id = engine.client.workflows.invoke("endless").run_id
    engine.close()
    handle = serve(endless, recover=False).client.runs.handle(run_id)
    with (
        pytest.warns(UserWarning, match="nobody executes") as caught,
        pytest.raises(TimeoutError),
    ):
        handle.result(1)
    assert len(caught) == 1

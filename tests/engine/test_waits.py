"""Waiting for events and for people: each delivered exactly once."""

import asyncio
import enum
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field

import nbflow
from nbflow import Context, RunFailed, RunHandle, workflow
from nbflow._engine.mailbox import stored_data
from nbflow._engine.matching import matches
from nbflow.errors import InvalidOption, RunFinished, RunNotFound, StepNotFound
from nbflow.model import Event, RunStatus
from nbflow.testing import TestEngine
from tests.engine.lab import Lab, define

pytestmark = pytest.mark.anyio


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Form(BaseModel):
    name: str
    copies: int = Field(ge=1)


@workflow(app="test")
async def waiting(ctx: Context, order: int | None = None) -> list[Any]:
    """Waits for one event, of an order if one is given."""
    match = None if order is None else {"data.order": order}
    event = await ctx.wait_for_event("paid", "payment", match=match)
    return ["nothing"] if event is None else [event.name, event.data]


@workflow(app="test")
async def patient(ctx: Context) -> list[Any]:
    """Waits for an hour."""
    event = await ctx.wait_for_event("paid", "payment", timeout="1h")
    return ["nothing"] if event is None else [event.name, event.data]


async def until_waiting(lab: TestEngine, *handles: RunHandle[Any]) -> None:
    """Let runs come to their waits."""
    for handle in handles:
        async for event in handle.stream():
            if event.type == "step.waiting":
                break


async def test_an_event_ends_the_wait(lab: TestEngine) -> None:
    handle = lab.start(waiting)
    await until_waiting(lab, handle)
    assert lab.client.events.send("payment", {"amount": 3}) == [handle.run_id]
    assert await handle == ["payment", {"amount": 3}]
    step = handle.steps["paid"]
    assert (step.kind, step.status, step.event) == ("wait", "completed", "payment")


async def test_a_wait_that_is_over_gives_none(lab: TestEngine) -> None:
    began = lab.clock.now()
    handle = lab.start(patient)
    assert await handle == ["nothing"]
    assert lab.clock.now() - began == timedelta(hours=1)
    assert handle.steps["paid"].status == "timed_out"


async def test_other_names_and_other_orders_are_not_taken(lab: TestEngine) -> None:
    one, two = lab.start(waiting, 1), lab.start(waiting, 2)
    await until_waiting(lab, one, two)
    assert lab.client.events.send("refund", {"order": 1}) == []
    assert lab.client.events.send("payment", {"order": 3}) == []
    assert lab.client.events.send("payment", {"order": 2}) == [two.run_id]
    assert lab.client.events.send("payment", {"order": 2}) == []
    assert await two == ["payment", {"order": 2}]
    assert one.status is RunStatus.RUNNING


async def test_every_run_that_waits_gets_the_event(lab: TestEngine) -> None:
    handles = [lab.start(waiting) for _ in range(5)]
    await until_waiting(lab, *handles)
    assert set(lab.client.events.send("payment", 7)) == {
        handle.run_id for handle in handles
    }
    assert [await handle for handle in handles] == [["payment", 7]] * 5


async def test_an_event_for_nobody_is_forgotten(lab: TestEngine) -> None:
    assert lab.client.events.send("payment", 7) == []
    assert await lab.run(patient) == ["nothing"]


async def test_an_event_for_a_run_is_kept_until_it_waits(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> list[Any]:
        await ctx.sleep("first", "1d")
        events = [await ctx.wait_for_event("paid", "payment") for _ in range(2)]
        return [event.data for event in events if event is not None]

    handle = lab.start(main)
    for number in range(2):
        lab.client.events.send("payment", number, run=handle.run_id)
    lab.crash()
    handle = lab.client.runs.handle(handle.run_id)
    assert await handle == [0, 1]


async def test_a_wait_outlives_the_engine(lab: TestEngine) -> None:
    handle = lab.start(waiting)
    await until_waiting(lab, handle)
    lab.crash()
    assert lab.client.events.send("payment", 9) == [handle.run_id]
    assert await lab.client.runs.handle(handle.run_id) == ["payment", 9]


async def test_an_event_is_not_delivered_again_after_a_crash(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> list[Any]:
        first = await ctx.wait_for_event("a", "payment")
        second = await ctx.wait_for_event("b", "payment")
        return [first and first.data, second and second.data]

    handle = lab.start(main)
    lab.serve(main)
    await until_waiting(lab, handle)
    lab.client.events.send("payment", 1)
    async for event in handle.stream():
        if event.type == "step.waiting" and event.step == "b":
            break
    lab.crash()
    lab.client.events.send("payment", 2)
    assert await lab.client.runs.handle(handle.run_id) == [1, 2]


async def test_the_same_id_sent_again_does_nothing(lab: TestEngine) -> None:
    handle = lab.start(waiting)
    await until_waiting(lab, handle)
    assert lab.client.events.send("payment", 1, event_id="e-1") == [handle.run_id]
    other = lab.start(waiting)
    await until_waiting(lab, other)
    assert lab.client.events.send("payment", 1, event_id="e-1") == []
    assert other.status is RunStatus.RUNNING


async def test_a_run_sends_once(lab: TestEngine) -> None:
    tries = []

    @workflow
    async def sender(ctx: Context) -> None:
        await ctx.send_event("tell", "payment", {"order": 5})
        tries.append(1)
        if len(tries) == 1:
            raise OSError("again")

    handle = lab.start(waiting, 5)
    await until_waiting(lab, handle)
    sent = lab.start(sender)
    await sent
    assert await handle == ["payment", {"order": 5}]
    assert [each.kind for each in sent.steps] == ["send"]
    assert tries == [1, 1]


async def test_an_event_for_a_run_that_is_over_is_an_error_to_catch_and_recorded(
    lab: TestEngine,
) -> None:
    tries = []

    @workflow
    async def main(ctx: Context, run: str) -> str:
        try:
            await ctx.send_event("tell", "payment", run=run)
        except RunFinished as error:
            tries.append(str(error))
            if len(tries) == 1:
                raise OSError("once more") from None
            return str(error)
        return "sent"

    done = lab.start(patient)
    await done
    handle = lab.start(main, done.run_id)
    assert "waits for nothing any more" in await handle
    assert tries[0] == tries[1]
    assert [(step.kind, step.status) for step in handle.steps] == [("send", "failed")]


async def test_a_wait_that_the_body_gives_up_takes_nothing(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> str:
        try:
            async with asyncio.timeout(60):
                await ctx.wait_for_event("paid", "payment")
        except TimeoutError:
            await ctx.sleep("later", "1d")
            return "gave up"
        return "paid"

    handle = lab.start(main)
    async for event in handle.stream():
        if event.type == "step.sleeping":
            break
    assert lab.client.events.send("payment") == []
    assert await handle == "gave up"


async def test_events_of_ended_and_unknown_runs_are_refused(lab: TestEngine) -> None:
    handle = lab.start(patient)
    await handle
    with pytest.raises(RunFinished, match="waits for nothing any more"):
        lab.client.events.send("payment", run=handle.run_id)
    with pytest.raises(RunNotFound):
        lab.client.events.send("payment", run="r-nobody")


async def test_what_is_prepared_reaches_who_waits_first(lab: TestEngine) -> None:
    lab.send("payment", 1)
    lab.answer("sure", "yes")

    @workflow
    async def main(ctx: Context) -> list[Any]:
        await ctx.sleep("first", "1d")
        event = await ctx.wait_for_event("paid", "payment", timeout=1)
        return [event and event.data, await ctx.ask("sure", "Are you?", timeout=1)]

    assert await lab.run(main) == [1, True]
    assert await lab.run(main) == [None, None]


# People


@pytest.mark.parametrize(
    ("type", "answer", "value"),
    [
        (bool, True, True),
        (bool, "yes", True),
        (bool, "false", False),
        (int, "17", 17),
        (str, "hello", "hello"),
        (Literal["a", "b"], "b", "b"),
        (Colour, "blue", Colour.BLUE),
        (Form, {"name": "x", "copies": 2}, Form(name="x", copies=2)),
        (Form, '{"name": "x", "copies": 2}', Form(name="x", copies=2)),
    ],
)
async def test_a_person_answers(lab: TestEngine, type, answer, value) -> None:
    @workflow
    async def main(ctx: Context) -> Any:
        return await ctx.ask("go on", "Shall we?", type)

    handle = lab.start(main)
    await until_waiting(lab, handle)
    lab.client.runs.answer(handle.run_id, "go on", answer)
    found = await handle
    assert found == value
    assert found.__class__ is value.__class__
    step = handle.steps["go on"]
    assert (step.kind, step.status) == ("ask", "completed")


async def test_a_wrong_answer_is_refused_and_the_question_stays(lab: TestEngine):
    @workflow
    async def main(ctx: Context) -> Form | None:
        return await ctx.ask("fill in", "Which?", Form)

    handle = lab.start(main)
    await until_waiting(lab, handle)
    with pytest.raises(InvalidOption, match="greater than or equal to 1"):
        lab.client.runs.answer(handle.run_id, "fill in", {"name": "x", "copies": 0})
    with pytest.raises(StepNotFound, match="Asking: 'fill in'"):
        lab.client.runs.answer(handle.run_id, "fill out", {})
    lab.client.runs.answer(handle.run_id, "fill in", {"name": "x", "copies": 1})
    assert await handle == Form(name="x", copies=1)
    with pytest.raises(RunFinished):
        lab.client.runs.answer(handle.run_id, "fill in", {"name": "x", "copies": 1})


class Opaque:
    """Nothing that a store could keep."""


def opaque_at_zero(n: int) -> Any:
    return n or Opaque()


Doubtful = Annotated[int, AfterValidator(opaque_at_zero)]


async def doubtful(ctx: Context) -> Any:
    return await ctx.ask("number", "Which?", Doubtful)


async def test_an_answer_that_cannot_be_stored_is_refused_and_may_be_given_again(
    lab: TestEngine,
) -> None:
    handle = lab.start(workflow(doubtful))
    await until_waiting(lab, handle)
    with pytest.raises(InvalidOption, match=r"Opaque.*The question stays open") as info:
        lab.client.runs.answer(handle.run_id, "number", 0)
    assert "to 'Which?' (step 'number')" in str(info.value)
    with pytest.raises(nbflow.NotSerializable):
        lab.client.runs.answer(handle.run_id, "number", Opaque())
    lab.client.runs.answer(handle.run_id, "number", 7)
    assert await handle == 7


def test_one_that_was_kept_for_the_run_and_cannot_be_stored_is_told_of() -> None:
    lab = Lab(doubtful)
    run_id = lab.start("doubtful")
    lab.let(1)
    lab = lab.crash()
    lab.core.mailbox.answer(run_id, "number", 0)  # nobody is there to check it
    assert lab.recover() == [run_id]
    lab.let(1)
    (line,) = [event for event in lab.events(run_id) if event.type == "log"]
    assert b"an answer to 'number' was not taken" in (line.data or b"")
    lab.core.mailbox.answer(run_id, "number", 7)
    assert lab.wait_for_end(run_id).value == 7
    lab.end()


async def test_each_that_waits_gets_an_event_of_its_own(lab: TestEngine) -> None:
    @workflow
    async def changes(ctx: Context) -> list[int]:
        event = await ctx.wait_for_event("paid", "payment", match={"data.order": 1})
        assert event is not None
        event.data["items"].append(len(event.data["items"]))
        return list(event.data["items"])

    handles = [lab.start(changes) for _ in range(3)]
    await until_waiting(lab, *handles)
    lab.client.events.send("payment", {"order": 1, "items": []})
    assert [await handle for handle in handles] == [[0]] * 3


async def test_a_question_without_answer_gives_none(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> bool | None:
        return await ctx.ask("go on", "Shall we?", timeout="2d")

    assert await lab.run(main) is None


async def test_a_question_outlives_the_engine(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> Any:
        return await ctx.ask("colour", "Which?", Colour)

    lab.serve(main)
    handle = lab.start(main)
    await until_waiting(lab, handle)
    lab.crash()
    lab.client.runs.answer(handle.run_id, "colour", "red")
    assert await lab.client.runs.handle(handle.run_id) is Colour.RED


async def test_no_form_can_be_made_of_a_function(lab: TestEngine) -> None:
    @workflow
    async def main(ctx: Context) -> None:
        await ctx.ask("go on", "Shall we?", print)

    with pytest.raises(RunFailed, match="no form can be made"):
        await lab.run(main)


async def test_a_wait_that_is_over_is_not_a_failure_to_a_resume(lab: TestEngine):
    works = []

    @workflow
    async def main(ctx: Context) -> Any:
        event = await ctx.wait_for_event("paid", "payment", timeout=1)
        await ctx.run("check", check)
        return event

    def check() -> None:
        if not works:
            raise ValueError("not yet")

    handle = lab.start(main)
    with pytest.raises(RunFailed):
        await handle
    works.append(1)
    plan = handle.resume(plan=True)
    assert plan.kept == ("paid",)
    handle.resume()
    assert await handle is None
    assert handle.run.status is RunStatus.COMPLETED
    assert handle.steps["paid"].status == nbflow.model.StepStatus.TIMED_OUT


# Odd matches


@pytest.mark.parametrize(
    "path", ["data.²", "data." + "1" * 5_000, "data.-1", "data._x", "", ".", "data.x.y"]
)
def test_a_path_that_leads_nowhere_matches_nothing(path: str) -> None:
    event = Event("payment", "e-1", [1, {"x": 2}], datetime.now(UTC))
    assert not matches(event, {path: 1})


@pytest.mark.parametrize("match", [{1: 2}, [("data", 1)], "data"])
async def test_a_match_that_maps_no_text_is_refused(lab: TestEngine, match) -> None:
    @workflow
    async def main(ctx: Context) -> None:
        await ctx.wait_for_event("paid", "payment", match=match)

    with pytest.raises(RunFailed, match="maps dotted paths to values"):
        await lab.run(main)


# Engines that come and go


def send(lab: Lab, name: str, data: Any = None, run_id: str | None = None) -> list[str]:
    stored = stored_data(data, lab.core.commits)
    return lab.core.mailbox.send(name, stored, run_id=run_id)


@pytest.mark.parametrize("is_live", [True, False])
def test_edited_code_waits_for_its_new_event_only(is_live: bool) -> None:
    async def main(ctx: Context) -> Any:
        event = await ctx.wait_for_event("paid", "payment")
        return event and event.name

    async def edited(ctx: Context) -> Any:
        event = await ctx.wait_for_event("paid", "receipt")
        return event and event.name

    lab = Lab(main)
    run_id = lab.start(main)
    lab.let(1)
    lab = lab.crash(define(edited, name="main"))
    if is_live:
        lab.recover()
        lab.let(1)
        assert send(lab, "payment") == []
    else:
        send(lab, "payment")
        lab.recover()
        lab.let(1)
    send(lab, "receipt")
    assert lab.wait_for_end(run_id).value == "receipt"
    assert send(lab, "payment") == send(lab, "receipt") == []
    lab.end()


async def twice(ctx: Context) -> list[Any]:
    """Waits for two events, for the second one a minute."""
    first = await ctx.wait_for_event("a", "payment")
    second = await ctx.wait_for_event("b", "payment", timeout=60)
    return [each and each.data for each in (first, second)]


def test_each_event_for_a_run_that_is_off_goes_to_a_wait_of_its_own() -> None:
    lab = Lab(twice)
    run_id = lab.start(twice)
    lab.let(1)
    lab = lab.crash()
    for number in range(2):
        send(lab, "payment", number, run_id)
    lab.recover()
    assert lab.wait_for_end(run_id).value == [0, 1]
    lab.end()


def test_a_wait_of_a_run_that_is_off_takes_one_event() -> None:
    lab = Lab(twice)
    run_id = lab.start(twice)
    lab.let(1)
    lab = lab.crash()
    assert [send(lab, "payment", number) for number in range(2)] == [[run_id], []]
    lab.recover()
    assert lab.wait_for_end(run_id).value == [0, None]
    assert lab.store.messages() == []
    lab.end()


def test_what_a_run_did_not_take_goes_with_its_end_if_that_is_for_good() -> None:
    works: list[int] = []

    async def main(ctx: Context) -> Any:
        await ctx.sleep("first", 5)
        if not works:
            raise ValueError
        event = await ctx.wait_for_event("paid", "payment")
        return event and event.data

    lab = Lab(define(main, retries=0))
    run_id = lab.start(main)
    lab.let(1)
    for number in range(2):
        send(lab, "payment", number, run_id)
    assert lab.wait_for_end(run_id).status == "failed"
    works.append(1)
    lab.resume(run_id)
    assert lab.wait_for_end(run_id).value == 0
    assert lab.store.messages() == []
    assert lab.core.mailbox._kept == {}
    lab.end()


def test_a_wait_that_is_refreshed_has_its_timeout_again() -> None:
    works: list[int] = []

    async def main(ctx: Context) -> Any:
        event = await ctx.wait_for_event("paid", "payment", timeout=60)
        if not works:
            raise ValueError
        return event

    lab = Lab(define(main, retries=0))
    run_id = lab.start(main)
    assert lab.wait_for_end(run_id).status == "failed"
    works.append(1)
    lab.resume(run_id, refresh=["paid"])
    assert lab.wait_for_end(run_id).status == "completed"
    assert lab.story(run_id) == ["step.waiting paid", "step.timed_out paid"] * 2
    lab.end()


def test_an_event_that_was_refused_may_be_sent_again() -> None:
    lab = Lab(twice)
    mailbox = lab.core.mailbox
    with pytest.raises(RunNotFound):
        mailbox.send("payment", b"{}", run_id="r-soon", event_id="e-1")
    run_id = lab.start(twice)
    assert mailbox.send("payment", b"{}", run_id=run_id, event_id="e-1") == [run_id]
    lab.end()


def test_an_event_that_a_given_up_wait_had_taken_is_for_the_next() -> None:
    """It comes in the very turn in which the body gives the wait up."""
    tasks: list[asyncio.Task[Any]] = []

    async def main(ctx: Context) -> Any:
        async def first() -> None:
            await ctx.wait_for_event("first", "payment")

        tasks.append(asyncio.create_task(first()))
        await asyncio.wait(tasks)
        event = await ctx.wait_for_event("second", "payment", timeout=5)
        return [tasks[0].cancelled(), event and event.data]

    def send_and_give_up() -> None:
        lab.core.mailbox.send("payment", b'{"_value":7}')
        tasks[0].cancel()

    lab = Lab(main)
    run_id = lab.start(main)
    lab.loop.call_later(10, send_and_give_up)
    assert lab.wait_for_end(run_id).value == [True, 7]
    lab.end()

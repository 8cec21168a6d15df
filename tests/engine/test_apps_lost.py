"""What becomes of a caller whose child cannot go on, or cannot be asked for."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import nbflow
from nbflow import (
    Client,
    Context,
    Engine,
    InvokeError,
    RunFailed,
    WorkflowNotFound,
    reference,
    workflow,
)
from nbflow._engine import apps
from nbflow._store import inbox
from nbflow.definition import registry
from nbflow.model import RunStatus

goes_on = threading.Event()
began = threading.Event()
calls: list[str] = []


def work(name: str = "work") -> str:
    calls.append(name)
    began.set()
    goes_on.wait(60)
    return "done"


@workflow(app="shop")
async def job(ctx: Context) -> str:
    return await ctx.run("work", work)


@workflow(app="shop")
async def other(ctx: Context) -> str:
    return "other"


@workflow(app="office")
async def main(ctx: Context) -> str:
    return await ctx.invoke("job", reference("job", app="shop"))


@workflow(app="office")
async def catches(ctx: Context) -> list[Any]:
    try:
        await ctx.invoke("job", reference("job", app="shop"))
    except WorkflowNotFound as exc:
        return [exc.run_id, str(exc)]
    return []


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    goes_on.clear()
    began.clear()
    calls.clear()
    yield
    goes_on.set()


@pytest.fixture
def serve(home: Path) -> Iterator[Callable[..., Engine]]:
    with ExitStack() as stack:
        yield lambda app, *flows, **more: stack.enter_context(
            Engine(home, app, flows or None, **more)
        )


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Callable[[], None]]:
    """Make this process forget a workflow; gives what defines it again."""

    def forget(flow: Any) -> Callable[[], None]:
        key = (flow.app, flow.name)
        spec = flow.spec
        monkeypatch.setitem(registry._defined, key, spec)
        del registry._defined[key]
        return lambda: monkeypatch.setitem(registry._defined, key, spec)

    return forget


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def only(client: Client) -> Any:
    (run,) = client.runs.list()
    return run


# A definition that has gone


def test_a_child_that_a_fixed_app_defines_no_more_settles_its_caller(serve):
    shop = serve("shop", job, other)
    office = serve("office", catches)
    handle = office.client.workflows.invoke("catches")
    assert began.wait(60)
    nbflow.testing.crash(shop)
    shop = serve("shop", other)
    run_id, message = handle.result(60)
    child = only(shop.client)
    assert (child.run_id, child.status) == (run_id, RunStatus.FAILED)
    assert child.error.type == "WorkflowNotFound"
    assert f"run {run_id} cannot go on" in message
    assert "no workflow 'job' in app 'shop'. It has 'other'." in message


def test_defined_again_it_is_resumed_with_its_caller(serve):
    shop = serve("shop", job, other)
    office = serve("office", main)
    handle = office.client.workflows.invoke("main")
    assert began.wait(60)
    nbflow.testing.crash(shop)
    shop = serve("shop", other)
    with pytest.raises(RunFailed, match="cannot go on") as caught:
        handle.result(60)
    assert caught.value.error.type == "WorkflowNotFound"
    shop.close()
    shop = serve("shop", job, other)
    goes_on.set()
    assert handle.resume().result(60) == "done"
    assert only(shop.client).status is RunStatus.COMPLETED


@workflow(app="shop")
async def parent(ctx: Context) -> str:
    return await ctx.invoke("child", "job")


def test_a_child_of_the_same_app_settles_its_caller_too(serve):
    shop = serve("shop", job, parent)
    handle = shop.client.workflows.invoke("parent")
    assert began.wait(60)
    nbflow.testing.crash(shop)
    shop = serve("shop", parent)
    handle = shop.client.runs.handle(handle.run_id)
    with pytest.raises(RunFailed, match="no workflow 'job'.*It has 'parent'") as caught:
        handle.result(60)
    assert caught.value.error.type == "WorkflowNotFound"
    child = shop.client.runs.get(handle.steps["child"].child_run_id)
    assert child.status is RunStatus.FAILED
    shop.close()
    goes_on.set()
    shop = serve("shop", job, parent)
    assert shop.client.runs.resume(handle.run_id).result(60) == "done"
    assert len(shop.client.runs.list()) == 2


def test_what_nobody_waits_for_waits_and_says_so(serve, home):
    shop = serve("shop", job, other)
    run_id = shop.client.workflows.invoke("job").run_id
    assert began.wait(60)
    nbflow.testing.crash(shop)
    shop = serve("shop", other)
    line = "waits for workflow 'job' to be defined"
    assert shop.client.runs.get(run_id).waiting[0] == line
    shop.close()
    goes_on.set()
    shop = serve("shop", job)
    assert shop.client.runs.handle(run_id).result(60) == "done"
    assert shop.client._access.store().run(run_id).reason is None


def test_in_a_notebook_the_caller_waits_until_the_cell_is_run(serve, forget):
    shop = serve("shop")
    handle = shop.client.workflows.invoke("parent")
    assert began.wait(60)
    nbflow.testing.crash(shop)
    define = forget(job)
    shop = serve("shop", recover=False)
    handle = shop.client.runs.handle(handle.run_id)
    handle.resume()
    child = handle.steps["child"].child_run_id
    told = f"child {child}: waits for workflow 'job' to be defined (step 'child')"
    until(lambda: told in handle.run.waiting)
    assert handle.status is RunStatus.RUNNING
    goes_on.set()
    define()
    assert handle.result(60) == "done"
    assert len(shop.client.runs.list()) == 2


def test_another_app_is_told_why_its_child_waits_in_a_notebook(serve, forget, home):
    shop = serve("shop")
    office = serve("office", main)
    handle = office.client.workflows.invoke("main")
    assert began.wait(60)
    nbflow.testing.crash(shop)
    define = forget(job)
    shop = serve("shop")
    line = "waits for workflow 'job' to be defined"
    until(lambda: any(line in each for each in handle.run.waiting))
    assert only(shop.client).waiting == (line,)
    goes_on.set()
    define()
    assert handle.result(60) == "done"


def test_a_canceled_caller_takes_the_waiting_child_along(serve, forget):
    shop = serve("shop")
    handle = shop.client.workflows.invoke("parent")
    assert began.wait(60)
    nbflow.testing.crash(shop)
    forget(job)
    shop = serve("shop")
    handle = shop.client.runs.handle(handle.run_id)
    until(lambda: any("to be defined" in line for line in handle.run.waiting))
    handle.cancel()
    until(lambda: {run.status for run in shop.client.runs.list()} == {"canceled"})
    assert not shop._host.core.undefined


# An app that has gone


def test_an_app_made_anew_settles_who_waits_for_the_old_one(serve, home):
    shop = serve("shop", job)
    office = serve("office", main)
    handle = office.client.workflows.invoke("main")
    assert began.wait(60)
    child = only(shop.client).run_id
    nbflow.testing.crash(shop)
    shutil.rmtree(home / "shop")
    with pytest.raises(RunFailed) as caught:
        handle.result(60)
    error = caught.value.error
    assert error.type == "InvokeError"
    assert "app 'shop' was deleted" in error.message
    assert child in error.message
    assert f"Resume run {handle.run_id}" in error.message
    goes_on.set()
    shop = serve("shop", job)
    assert handle.resume().result(60) == "done"
    assert only(shop.client).run_id != child


def test_so_it_does_where_the_caller_was_away_meanwhile(serve, home):
    shop = serve("shop", job)
    office = serve("office", main)
    run_id = office.client.workflows.invoke("main").run_id
    assert began.wait(60)
    nbflow.testing.crash(office)
    nbflow.testing.crash(shop)
    shutil.rmtree(home / "shop")
    shop = serve("shop", job)
    office = serve("office", main)
    with pytest.raises(RunFailed, match="another one put in its place"):
        office.client.runs.handle(run_id).result(60)
    assert shop.client.runs.list() == []


def test_a_child_that_was_deleted_settles_its_caller_and_is_not_run_again(serve):
    shop = serve("shop", job)
    office = serve("office", main)
    run_id = office.client.workflows.invoke("main").run_id
    assert began.wait(60)
    nbflow.testing.crash(office)
    goes_on.set()
    child = only(shop.client).run_id
    assert shop.client.runs.handle(child).result(60) == "done"
    shop.client.runs.delete(child)
    office = serve("office", main)
    with pytest.raises(RunFailed, match=f"no run '{child}' in app 'shop' any more"):
        office.client.runs.handle(run_id).result(60)
    assert shop.client.runs.list() == []


# Commands


def test_a_command_that_cannot_be_read_is_answered(serve, home, monkeypatch):
    shop = serve("shop", job)
    office = serve("office", main)

    def damage(self: apps.OtherApp, data: bytes, id: str) -> None:
        inbox.put(home / "shop", data[:9], id=id)

    monkeypatch.setattr(apps.OtherApp, "send", damage)
    handle = office.client.workflows.invoke("main")
    with pytest.raises(RunFailed, match="was not read: its file is not JSON"):
        handle.result(60)
    assert shop.client.runs.list() == []


def test_an_input_that_no_inbox_takes_is_refused_by_the_sender(serve, home):
    @workflow(app="shop")
    async def size(ctx: Context, input: str) -> int:
        return len(input)

    @workflow(app="office")
    async def sends(ctx: Context) -> list[str]:
        made = reference("size", app="shop")
        text = "x" * (inbox.LARGEST - 100)  # fits as a value, not with the rest
        with pytest.raises(nbflow.PayloadTooLarge) as caught:
            await ctx.invoke("size", made, text)
        return [str(caught.value)]

    shop = serve("shop", size)
    office = serve("office", sends)
    (message,) = office.client.workflows.invoke("sends").result(60)
    assert "larger than the 64.0 MiB that an engine takes" in message
    assert shop.client.runs.list() == []
    with pytest.raises(nbflow.PayloadTooLarge):
        inbox.encode({"x": "x" * inbox.LARGEST})


def test_the_input_is_made_into_a_command_once(serve):
    made = []

    class Made(BaseModel):
        def model_dump(self, **more: Any) -> dict[str, Any]:
            made.append(1)
            return {}

    @workflow(app="office")
    async def sends(ctx: Context) -> str:
        return await ctx.invoke("job", reference("job", app="shop"), Made())

    goes_on.set()
    serve("shop", job)
    office = serve("office", sends)
    assert office.client.workflows.invoke("sends").result(60) == "done"
    assert made == [1]


def test_awaiting_a_started_child_is_shown_also_after_a_restart(serve):
    @workflow(app="office")
    async def starts(ctx: Context) -> str:
        started = await ctx.start("later", reference("job", app="shop"))
        return await started

    serve("shop", job)
    office = serve("office", starts)
    handle = office.client.workflows.invoke("starts")
    for _ in range(2):
        until(lambda: any("later.result" in line for line in handle.run.waiting))
        child = handle.steps["later"].child_run_id
        assert handle.run.waiting == (f"invoking child {child} (step 'later.result')",)
        step = handle.steps["later.result"]
        assert (step.kind, step.status, step.child_run_id) == (
            "invoke",
            "invoking",
            child,
        )
        nbflow.testing.crash(office)
        office = serve("office", starts)
        handle = office.client.runs.handle(handle.run_id)
    goes_on.set()
    assert handle.result(60) == "done"
    types = [event.type for event in handle.events() if event.step == "later.result"]
    assert types == ["step.invoking", "step.completed"]


def test_a_cancel_noted_before_a_crash_is_sent_after_it(serve, home, monkeypatch):
    shop = serve("shop", job)
    office = serve("office", main)
    handle = office.client.workflows.invoke("main")
    assert began.wait(60)

    def crash(self: Any, note: Any) -> None:
        raise SystemError("killed before it was sent")

    with monkeypatch.context() as patch:
        patch.setattr(apps.Apps, "_send", crash)
        handle.cancel()
        until(lambda: handle.status is RunStatus.CANCELED)
        nbflow.testing.crash(office)
    assert only(shop.client).status is RunStatus.RUNNING
    office = serve("office", main)
    until(lambda: only(shop.client).status is RunStatus.CANCELED)
    until(lambda: not office._host.store.commands("send-"))


def test_a_cancel_is_sent_only_once_the_parents_end_is_committed(serve, monkeypatch):
    sent: list[RunStatus] = []
    shop = serve("shop", job)
    office = serve("office", main)
    handle = office.client.workflows.invoke("main")
    assert began.wait(60)
    send = apps.OtherApp.send

    def look(self: apps.OtherApp, data: bytes, id: str) -> None:
        sent.append(office._host.store.run(handle.run_id).status)
        send(self, data, id)

    monkeypatch.setattr(apps.OtherApp, "send", look)
    handle.cancel()
    until(lambda: only(shop.client).status is RunStatus.CANCELED)
    assert sent == ["canceled"]


def test_a_resumed_child_is_shown_as_waited_for(serve):
    @workflow(app="shop", retries=0)
    async def shaky(ctx: Context) -> str:
        if not is_mended:
            raise LookupError("not yet")
        return await ctx.run("work", work)

    @workflow(app="shop")
    async def calls_shaky(ctx: Context) -> str:
        return await ctx.invoke("here", "shaky")

    @workflow(app="office")
    async def far(ctx: Context) -> str:
        return await ctx.invoke("there", reference("shaky", app="shop"))

    is_mended: list[int] = []
    shop = serve("shop", shaky, calls_shaky)
    office = serve("office", far)
    handles = [
        shop.client.workflows.invoke("calls_shaky"),
        office.client.workflows.invoke("far"),
    ]
    for handle in handles:
        with pytest.raises(RunFailed, match="not yet"):
            handle.result(60)
    is_mended.append(1)
    for handle in handles:
        handle.resume()
        until(lambda: any("invoking child" in line for line in handle.run.waiting))
    goes_on.set()
    assert [handle.result(60) for handle in handles] == ["done", "done"]
    assert len(shop.client.runs.list()) == 3


# References


class Priced(BaseModel):
    price: int


@workflow(app="shop")
async def priced(ctx: Context, price: int) -> dict[str, Any]:
    return {"price": "a lot"}


@pytest.mark.parametrize("app", ["shop", None])
def test_a_reference_checks_input_and_result_in_any_app(serve, app):
    @workflow(app="office" if app else "shop")
    async def asks(ctx: Context, price: Any) -> list[Any]:
        made = reference("priced", app=app, input=Priced, output=Priced)
        outcome = await ctx.try_invoke("try", made, {"price": price})
        with pytest.raises(InvokeError) as caught:
            await ctx.invoke("raise", made, Priced(price=3))
        error = caught.value
        return [outcome.is_failed, outcome.error.type, str(error), error.step]

    engine = serve("office", asks) if app else serve("shop", asks, priced)
    if app:
        serve("shop", priced)
    is_failed, kind, message, step = engine.client.workflows.invoke(
        "asks", input={"price": 4}
    ).result(60)
    assert (is_failed, kind, step) == (True, "InvokeError", "raise")
    assert "the result of workflow 'priced'" in message
    assert "is no Priced: price is 'a lot': Input should be a valid integer" in message
    refused = engine.client.workflows.invoke("asks", input={"price": "x"})
    outcome = refused.result(60)
    assert outcome[1] == "InvalidInput"


def test_an_awaited_handle_has_the_type_that_the_reference_names(serve):
    @workflow(app="shop")
    async def cheap(ctx: Context) -> dict[str, int]:
        return {"price": 3}

    @workflow(app="office")
    async def starts(ctx: Context) -> int:
        made = reference("cheap", app="shop", output=Priced)
        return (await (await ctx.start("later", made))).price

    serve("shop", cheap)
    office = serve("office", starts)
    assert office.client.workflows.invoke("starts").result(60) == 3

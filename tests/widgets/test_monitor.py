"""`Monitor` and its queues; and what all widgets do where nobody can use them."""

import json
import os
import subprocess
import sys
from typing import Any

import nbformat
import pytest

from nbflow import Client, Context, FlowControl, workflow
from nbflow.widgets import Monitor, RunsView, ticker
from nbflow.widgets.elements import tree
from nbflow.widgets.queues import QueuesView
from tests import kernels

HOSTILE = "<img src=x onerror=alert(1)> $x^2$"


@workflow
async def quick(ctx: Context, x: int = 1) -> int:
    return x


@workflow
async def limited(ctx: Context, key: str = "api") -> None:
    limit = FlowControl(key, parallelism=1)
    await ctx.run("hold", wait_for_ever, flow_control=limit)


async def wait_for_ever() -> None:
    import asyncio

    await asyncio.Event().wait()


@pytest.fixture
def engine(serve):
    return serve(quick, limited)


@pytest.mark.parametrize("widget", [Monitor, RunsView, QueuesView])
def test_what_is_no_client_is_refused_by_name(widget):
    with pytest.raises(
        TypeError, match=rf"{widget.__name__}\('nightly'\): give a Client"
    ):
        widget("nightly")


def test_the_tabs_are_runs_start_and_queues(engine):
    engine.client.workflows.invoke("quick").result(60)
    monitor = Monitor(engine.client)
    assert monitor.tabs.titles == ("Runs", "Start", "Queues")
    assert repr(monitor) == "<Monitor of app 't': 1 run, 0 live>"
    assert monitor._repr_mimebundle_()["text/plain"] == repr(monitor)
    monitor.close()
    assert repr(monitor) == "<Monitor of app 't': closed>"


def test_only_the_tab_in_front_looks_at_the_store(engine, until):
    monitor = Monitor(engine.client)
    runs, queues = monitor.runs_view, monitor.queues_view
    runs._view_count = queues._view_count = 1
    until(lambda: runs in ticker._due and queues not in ticker._due)
    monitor.tabs.selected_index = 2
    until(lambda: queues in ticker._due and runs not in ticker._due)
    monitor.tabs.selected_index = 1
    until(lambda: not ticker._due.keys() & {runs, queues})
    monitor.close()


def test_a_picked_workflow_is_started_from_its_form(engine, card, until):
    monitor = Monitor(engine.client, view=card)
    monitor.tabs.selected_index = 1
    assert monitor._picker._options_labels == ("choose a workflow", "limited", "quick")
    monitor.pick("quick")
    assert monitor.form is not None
    monitor.form.value = {"x": 8}
    monitor.form._button.click()
    until(lambda: monitor.form.runs)
    assert monitor.form.runs[0].run.result(60) == 8
    former = monitor.form
    monitor.pick("limited")
    assert former.comm is None


def test_what_was_typed_stays_when_another_workflow_comes(home, serve):
    engine = serve(quick)
    engine.client.workflows.invoke("quick").result(60)
    monitor = Monitor(Client(home, "t"))
    monitor.pick("quick")
    form = monitor.form
    form.value = {"x": 5}
    engine.close()
    serve(quick, limited).client.workflows.invoke("quick").result(60)
    monitor.tabs.selected_index = 0
    monitor.tabs.selected_index = 1
    assert monitor._picker._options_labels == ("choose a workflow", "limited", "quick")
    assert monitor.form is form
    assert form.value == {"x": 5}


@pytest.fixture
def queues(engine, until):
    """A key that one run holds and two wait for."""
    for _ in range(3):
        engine.client.workflows.invoke("limited")
    until(lambda: [len(k.waiting) for k in engine.client.flow_control.list()] == [2])
    view = QueuesView(engine.client)
    view._view_count = 1
    yield view
    engine.client.runs.cancel(status=["queued", "running"])


def test_a_key_says_limits_who_runs_and_who_waits_why(queues, engine, texts):
    shown = texts(queues)
    assert shown[:3] == ["api", "1 at once", "1 running"]
    assert "1." in shown
    assert any("· hold" in text for text in shown)
    assert any("1 of 1 are running" in text for text in shown)
    assert repr(queues) == "<QueuesView of app 't': 1 key, 2 waiting>"


def test_a_key_is_paused_resumed_set_and_reset(queues, engine, until):
    card = queues._cards["api"]
    key = lambda: engine.client.flow_control.get("api")  # noqa: E731
    card._pause.click()
    until(lambda: key().paused and "paused" in card._state.value)
    card._pause.click()
    until(lambda: not key().paused and card._pause.description == "pause")
    card._set.click()
    assert card._form.layout.display is None
    assert (card._rate.value, card._parallelism.value) == ("", "1")
    card._parallelism.value = "2"
    card._form.children[-1].click()
    until(lambda: key().parallelism == 2 and key().running == 2)
    until(lambda: "limits set" in card._state.value)
    card._reset.click()
    until(lambda: not key().pinned)


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
def test_a_limit_that_is_none_is_refused_at_its_key(queues, text):
    card = queues._cards["api"]
    card._rate.value = text
    card._put_limits()
    assert repr(text) in card._problem.value


def test_a_period_that_is_none_is_refused_by_the_engine(queues, until):
    card = queues._cards["api"]
    card._rate.value, card._period.value = "5", "soon"
    card._put_limits()
    until(lambda: "soon" in card._problem.value)


def test_hostile_keys_are_text(engine, until, texts):
    engine.client.workflows.invoke("limited", input={"key": HOSTILE})
    until(lambda: engine.client.flow_control.list())
    view = QueuesView(engine.client)
    assert texts(view)[0] == HOSTILE
    for each in tree(view):
        if type(each).__name__ == "Label":
            assert "mathjax_ignore" in each._dom_classes
    engine.client.runs.cancel(status=["queued", "running"])


def test_without_a_store_there_is_nothing_to_steer(home, texts):
    monitor = Monitor(Client(home, "t"))
    assert "no flow-control key was used so far" in texts(monitor.queues_view)
    monitor.tabs.selected_index = 1
    assert monitor._message.value == "no workflow of this app was served so far"
    assert not home.exists()


def test_importing_nbflow_loads_no_widget():
    code = "import sys, nbflow, nbflow.widgets; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"ipywidgets", "IPython", "traitlets"} & set(done.stdout.split())


CELLS = (
    """
from nbflow import workflow, Context
from nbflow.widgets import Monitor, RunsView, WorkflowForm

@workflow(name="<b>mine")
async def mine(ctx: Context, x: int = 1) -> str:
    return "<script>alert(1)</script>"

mine.invoke().result(60)
""",
    "RunsView()",
    "WorkflowForm(mine)",
    "Monitor()",
)


def outputs_of(cells: Any, home: Any, **options: Any) -> list[dict[str, Any]]:
    """What each cell after the first shows, executed in a kernel."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
    )
    env = {**os.environ, "NBFLOW_HOME": str(home)}
    client = kernels.executor(notebook, timeout=120, **options)
    client.execute(env=env)
    return [
        output["data"]
        for cell in notebook.cells[1:]
        for output in cell.outputs
        if "data" in output
    ]


def test_with_nobody_there_a_plain_picture_is_shown(home):
    """nbclient answers no questions: nobody sits at the front end."""
    shown = outputs_of(CELLS, home)
    assert len(shown) == 3
    for each in shown:
        assert set(each) == {"text/plain", "text/html"}
        assert "\n" not in each["text/plain"]
        assert "<script" not in each["text/html"]
        assert "<b>" not in each["text/html"]
    assert "1 run, 0 live" in shown[0]["text/plain"]
    assert "✓ completed  &lt;b&gt;mine" in shown[0]["text/html"]
    assert "&lt;script&gt;" in json.dumps(shown[0])

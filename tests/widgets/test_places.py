"""What a front end gets: in a real kernel, with somebody there."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests import kernels

WIDGET = "application/vnd.jupyter.widget-view+json"
SETUP = """
import ipywidgets
from nbflow import Client, workflow, Context
from nbflow.widgets import Monitor, RunsView, WorkflowForm, places, ticker

@workflow
async def mine(ctx: Context, x: int = 1) -> int:
    return x

def alive(kind):
    every = ipywidgets.widgets.widget._instances.values()
    return sum(type(each).__name__ == kind for each in every)
"""


class Page:
    """A kernel, and the cells of a notebook that are run in it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(self, code: str, cell: str = "c") -> list[tuple[str, dict[str, Any]]]:
        """Run a cell as JupyterLab does; its displays, and changes of former ones."""
        content = {"code": code, "silent": False, "allow_stdin": True}
        session = self._client.session
        message = session.msg("execute_request", content, metadata={"cellId": cell})
        self._client.shell_channel.send(message)
        shown = []
        while True:
            got = self._client.get_iopub_msg(timeout=60)
            kind, content = got["msg_type"], got["content"]
            assert kind != "error", "\n".join(content["traceback"])
            if kind in ("display_data", "execute_result", "update_display_data"):
                shown.append((kind, content["data"]))
            is_own = got["parent_header"].get("msg_id") == message["header"]["msg_id"]
            if kind == "status" and content["execution_state"] == "idle" and is_own:
                return shown

    def text(self, code: str) -> str:
        """What an expression gives."""
        ((_, data),) = self.run(code, "other")
        return data["text/plain"]


@pytest.fixture
def page(home) -> Iterator[Page]:
    manager = kernels.manager()
    manager.start_kernel(env={**os.environ, "NBFLOW_HOME": str(home)})
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    try:
        made = Page(client)
        made.run(SETUP)
        yield made
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("code", ["RunsView()", "Monitor()", "WorkflowForm(mine)"])
def test_a_page_gets_the_widget_with_its_picture(page, code):
    ((kind, data),) = page.run(code)
    assert kind == "display_data"
    assert set(data) == {WIDGET, "text/plain", "text/html"}
    assert data["text/plain"].startswith(f"<{code.partition('(')[0]} of ")


def test_a_cell_that_is_run_again_closes_what_it_showed_before(page):
    page.run("RunsView()", "a")
    page.run("RunsView()", "b")
    assert page.text("alive('RunsView')") == "2"
    page.run("RunsView()", "a")
    assert page.text("alive('RunsView')") == "2"
    assert page.text("len(ticker._due)") == "2"


def test_a_run_and_a_list_in_one_cell_close_each_other(page):
    page.run("@workflow\nasync def held(ctx):\n    await ctx.wait_for_event('e', 'x')")
    page.run(
        "import threading\nfrom nbflow.widgets.run.hub import hub\n"
        "run = held.invoke()\n"
        "def settle():\n    done = threading.Event()\n    hub.post(done.set)\n"
        "    assert done.wait(60)",
        "b",
    )
    page.run("run", "a")
    assert page.text("settle(), alive('RunView')") == "(None, 1)"
    page.run("RunsView()", "a")
    assert page.text("settle(), alive('RunView'), alive('RunsView')") == "(None, 0, 1)"
    page.run("run", "a")
    assert page.text("settle(), alive('RunView'), alive('RunsView')") == "(None, 1, 0)"
    page.run("run.cancel()", "d")


def test_a_closed_widget_leaves_its_picture_where_it_was(page):
    page.run("mine.invoke().result(60); view = RunsView(); view", "a")
    ((kind, data),) = page.run("view.close()", "b")
    assert kind == "update_display_data"
    assert set(data) == {"text/plain", "text/html"}
    assert "1 run, 0 live" in data["text/plain"]
    assert "✓ completed  mine" in data["text/html"]
    assert page.text("len(ticker._due)") == "0"


def test_what_is_saved_of_a_widget_follows_it_and_goes_with_it(page):
    page.run("view = RunsView(); view", "a")
    page.run("keeper = places._keepers[view]", "b")
    assert page.text("keeper.of == view.model_id") == "True"
    assert "0 runs, 0 live" in page.text("keeper.text")
    page.run("mine.invoke().result(60); view.refresh()", "b")
    assert "1 run, 0 live" in page.text("keeper.text")
    assert "✓ completed  mine" in page.text("keeper.html")
    page.run("view.close(); del keeper", "b")
    assert page.text("len(places._keepers), alive('Keeper')") == "(0, 0)"


def test_what_is_saved_of_a_form_is_what_was_typed_but_no_password(page):
    page.run(
        "from pydantic import Field\nfrom typing import Annotated\n"
        "Word = Annotated[str, Field(json_schema_extra={'format': 'password'})]\n"
        "@workflow\n"
        "async def login(ctx: Context, user: str, word: Word = 'secret') -> str:\n"
        "    return user\n"
        "form = WorkflowForm(login)\nform",
        "a",
    )
    page.run("form.value = {'user': 'ada', 'word': 'hidden'}", "b")
    told = page.text("places._keepers[form].html")
    assert "user = &#x27;ada&#x27;" in told
    assert "word = (not shown)" in told
    assert "hidden" not in told
    assert "secret" not in told

"""Runs in a real kernel: what goes over the wire, and what is left in the notebook."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nbformat import v4

from tests import kernels
from tests.widgets.kernel import (
    SETUP,
    WIDGET,
    FrontEnd,
    bundles,
    content_of,
    is_idle,
    opened,
    unique,
)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    front = FrontEnd(tmp_path_factory.mktemp("kernel"))
    front.open_subshell()
    front.run(SETUP)
    yield front
    front.close()


def show(front: FrontEnd, code: str, **options: Any) -> dict[str, Any]:
    """Execute a cell that shows one run; the view that it opened."""
    (view,) = opened(front.run(code, **options))
    return view


def test_the_comm_opens_with_a_complete_snapshot(front: FrontEnd) -> None:
    heard = front.run("h = quick.invoke(20); h.result(); show(h)")
    (view,) = opened(heard)
    assert view["snapshot"]["head"]["status"] == "completed"
    assert len(view["snapshot"]["rows"]) == 21
    assert "_esm" in view
    (bundle,) = bundles(heard, "display_data")
    assert set(bundle) == {WIDGET, "text/plain"}
    assert "quick: completed, 20/20 steps" in bundle["text/plain"]


def test_a_page_that_comes_later_gets_the_present_state(front: FrontEnd) -> None:
    view = show(
        front, "h = quick.invoke(2); v = RunView(h); h.result(); time.sleep(.5)"
    )
    (reply,) = [
        each["content"]
        for each in front.run(
            "print(len(v.get_state()['snapshot']['rows']), v.snapshot)"
        )
        if each["msg_type"] == "stream"
    ]
    assert reply["text"] == "3 {}\n"
    assert len(view["snapshot"]["rows"]) <= 3


def test_nothing_is_sent_before_hello_and_the_rest_after_it(front: FrontEnd) -> None:
    heard = front.run("h = quick.invoke(5); v = RunView(h); h.result(); time.sleep(1)")
    (view,) = opened(heard)
    assert not [each for each in heard if content_of(each, view["id"])]
    front.tell(view["id"], t="hello", v=1, visible=True)
    seq = view["snapshot"]["seq"]
    while True:
        delta = front.custom(view["id"], "d")
        assert delta["seq"] == seq + 1
        seq += 1
        if delta.get("head", {}).get("status") == "completed":
            break
    front.tell(view["id"], t="resync", have=0)
    whole = front.custom(view["id"], "s")["snapshot"]
    assert whole["seq"] == seq
    assert len(whole["rows"]) == 6
    front.run("v.close()")


def test_commands_are_answered_while_a_cell_blocks(front: FrontEnd) -> None:
    view = show(front, "h = patient.invoke(); v = RunView(h); v", cell=unique())
    front.tell(view["id"], t="hello", v=1, visible=True)
    front.custom(view["id"], "d")
    blocking = front.start("while h.status != 'canceled': time.sleep(.05)")
    front.tell(view["id"], t="cancel", cmd=7)
    ack = front.custom(view["id"], "ack")
    assert (ack["cmd"], ack["ok"], ack["text"]) == (7, True, "canceled")
    front.until(lambda message: is_idle(message, blocking))


def test_details_and_plans_are_told(front: FrontEnd) -> None:
    view = show(front, "h = patient.invoke(); v = RunView(h)")
    front.tell(view["id"], t="hello", v=1, visible=True)
    found: list[int] = []
    while not found:
        front.tell(view["id"], t="resync", have=0)
        rows = front.custom(view["id"], "s")["snapshot"]["rows"]
        found = [row[0] for row in rows if row[3:5] == ["first", "completed"]]
    (first,) = found
    front.tell(view["id"], t="detail", row=first)
    detail = front.custom(view["id"], "t")["detail"]
    assert (detail["title"], detail["result"]["text"]) == ("first", "1")
    front.tell(view["id"], t="detail", row=0)
    assert front.custom(view["id"], "t")["detail"]["kind"] == "workflow"
    front.tell(view["id"], t="cancel", cmd=1)
    front.custom(view["id"], "ack")
    front.run(
        "import contextlib\nwith contextlib.suppress(nbflow.RunCanceled): h.result()"
    )
    front.tell(view["id"], t="plan")
    assert front.custom(view["id"], "p")["kept"] == 1
    front.tell(view["id"], t="resume", cmd=2, stale=False)
    assert front.custom(view["id"], "ack")["text"] == "resumed"
    front.run("assert h.status == 'running', h.status; h.cancel(); v.close()")


def test_a_person_answers_in_the_view(front: FrontEnd) -> None:
    view = show(front, "h = asks.invoke(); v = RunView(h)")
    front.tell(view["id"], t="hello", v=1, visible=True)
    question: dict[str, Any] = {}
    while not question:
        head = front.custom(view["id"], "d").get("head") or {}
        question = (head.get("questions") or [{}])[0]
    assert question["text"] == "Go <b>on</b>?"
    assert question["schema"] == {"type": "boolean"}
    front.tell(view["id"], t="answer", cmd=1, row=question["row"], value="what")
    refused = front.custom(view["id"], "ack")
    assert not refused["ok"]
    assert refused["problems"] == {"": "'what' is not true or false"}
    front.tell(view["id"], t="answer", cmd=2, row=question["row"], value=True)
    assert front.custom(view["id"], "ack")["ok"]
    front.run("assert h.result() is True; v.close()")


def test_a_finished_run_becomes_html_and_its_comm_closes(front: FrontEnd) -> None:
    view = show(front, "h = quick.invoke(3); show(h); h.result()", cell=unique())
    front.tell(view["id"], t="hello", v=1, visible=True)
    data = front.replaced(view)
    assert set(data) == {"text/html", "text/plain"}
    assert "<b>quick</b>" in data["text/html"]
    assert len(data["text/html"].encode()) <= 8_000
    front.closed(view)


def test_pointer_and_focus_keep_a_finished_run_live(front: FrontEnd) -> None:
    view = show(front, "h = patient.invoke(); show(h)", cell=unique())
    front.tell(view["id"], t="hello", v=1, visible=True)
    front.tell(view["id"], t="hold", on=True)
    front.custom(view["id"], "d")
    front.run("h.cancel(); time.sleep(4)")
    front.tell(view["id"], t="resync", have=0)
    assert front.custom(view["id"], "s")["snapshot"]["head"]["status"] == "canceled"
    front.tell(view["id"], t="hold", on=False)
    assert set(front.replaced(view)) == {"text/html", "text/plain"}


def test_a_browser_without_our_script_gets_the_basic_view(front: FrontEnd) -> None:
    view = show(front, "h = patient.invoke(); show(h)", cell=unique())
    data = front.replaced(view)
    assert data[WIDGET]["model_id"] != view["id"]
    assert "<b>patient</b>" in data["text/html"]
    (button,) = [
        each["content"]["comm_id"]
        for each in front.heard
        if each["msg_type"] == "comm_open"
        and each["content"]["data"]["state"].get("description") == "Cancel"
    ]
    blocking = front.start("while h.status != 'canceled': time.sleep(.05)")
    front.tell(button, event="click")
    front.until(lambda message: is_idle(message, blocking))
    assert set(front.replaced(view)) == {"text/html", "text/plain"}


def test_a_cell_that_is_executed_again_has_one_view(front: FrontEnd) -> None:
    cell = unique()
    first = show(front, "h = patient.invoke(); h", cell=cell)
    second = show(front, "h.cancel(); h = patient.invoke(); h", cell=cell)
    front.closed(first)
    front.tell(second["id"], t="hello", v=1, visible=True)
    front.custom(second["id"], "d")
    front.run("h.cancel()")


def test_a_thousand_events_a_second_are_few_messages(front: FrontEnd) -> None:
    front.run("""
@workflow
async def busy(ctx):
    async def item(i):
        await asyncio.sleep(.1)
    await ctx.map("ask", item, range(1500), limit=50)
""")
    view = show(front, "h = busy.invoke(); v = RunView(h)")
    front.tell(view["id"], t="hello", v=1, visible=True)
    sent: list[tuple[float, int]] = []
    head: dict[str, Any] = {}
    while head.get("status") != "completed":
        delta = front.custom(view["id"], "d")
        head = delta.get("head", head)
        sent.append((front.heard[-1]["at"], len(delta["rows"])))
    assert head["counts"] == {"completed": 1500}
    seconds = sent[-1][0] - sent[0][0]
    assert len(sent) <= 15 * seconds + 5
    assert max(rows for _, rows in sent) <= 500
    front.run("v.close()")


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A notebook that a program has executed, without a person."""
    folder = tmp_path_factory.mktemp("nbclient")
    cells = [
        SETUP,
        "quick.invoke(12)",
        "h = quick.invoke(300); RunView(h)",
        "show(h, 'none')",
        "show(h.run_id)",
    ]
    notebook = v4.new_notebook(cells=[v4.new_code_cell(code) for code in cells])
    resources = {"metadata": {"path": str(folder)}}
    kernels.executor(notebook, timeout=60, resources=resources).execute()
    return notebook


def test_the_last_cell_of_an_executed_notebook_shows_its_end(tmp_path: Path) -> None:
    # What is published after a cell's end reaches no program: none reads it any more.
    late = """
from nbflow import Context, workflow

@workflow
async def late(ctx: Context) -> None:
    await ctx.sleep("nap", 1)
"""
    cells = [SETUP, late, "RunView(late.invoke())"]
    notebook = v4.new_notebook(cells=[v4.new_code_cell(code) for code in cells])
    resources = {"metadata": {"path": str(tmp_path)}}
    kernels.executor(notebook, timeout=60, resources=resources).execute()
    (output,) = notebook.cells[-1].outputs
    assert "late: completed" in output.data["text/plain"]


@pytest.mark.parametrize("cell", [1, 2, 4])
def test_an_executed_notebook_shows_runs_to_their_end(executed: Any, cell: int) -> None:
    (output,) = executed.cells[cell].outputs
    assert set(output.data) == {"text/html", "text/plain"}
    assert "quick: completed" in output.data["text/plain"]
    assert "completed" in output.data["text/html"]
    assert len(output.data["text/html"].encode()) <= 60_000


def test_an_executed_notebook_holds_no_widgets(executed: Any) -> None:
    assert executed.cells[3].outputs == []
    assert WIDGET not in str(executed.cells)


def test_waiting_for_a_dead_run_does_not_hang(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "child = subprocess.run([sys.executable, '-c', SOURCE], capture_output=True, "
        "text=True)\n"
        "assert 'r-dead' in child.stdout, child\n"
        "show('r-dead')"
    )
    source = (
        "import os, nbflow\n"
        "from nbflow import workflow\n"
        "@workflow(app='main')\n"
        "async def waits(ctx): await ctx.sleep('nap', '10m')\n"
        "h = waits.options(run_id='r-dead').invoke()\n"
        "while not list(h.steps): pass\n"
        "print(h.run_id, flush=True); os._exit(0)\n"
    )
    cells = [SETUP, f"SOURCE = {source!r}", code]
    notebook = v4.new_notebook(cells=[v4.new_code_cell(each) for each in cells])
    resources = {"metadata": {"path": str(tmp_path)}}
    kernels.executor(notebook, timeout=60, resources=resources).execute()
    assert "waits: running" in notebook.cells[2].outputs[-1].data["text/plain"]

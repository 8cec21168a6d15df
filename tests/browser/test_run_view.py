"""The live view in a real JupyterLab: shown, clicked, reloaded, restarted."""

import re
from collections.abc import Callable

import nbformat
import pytest
from playwright.sync_api import Locator

from tests.browser.lab import Lab, Tab
from tests.browser.views import button, frozen, view

LOAD = "%load_ext nbflow"
WAITS = """%%workflow held(n: int = 3) --invoke --run-id held
for k in range(n):
    await ctx.run(f"step {k}", str, k)
await ctx.wait_for_event("paid", "payment")
return n"""

BLOCKS = """import pathlib, time
while not pathlib.Path("go").exists():
    time.sleep(0.05)"""
SEND = "import nbflow\nnbflow.Client().events.send('payment', 1)"

Opened = Callable[..., Tab]


def test_a_run_is_shown_live_and_as_html_when_it_has_ended(
    opened: Opened, lab: Lab
) -> None:
    tab = opened(LOAD, WAITS)
    tab.execute(0)
    tab.run(1)
    shown = view(tab, 1, "running")
    shown.get_by_text("step 2").wait_for()
    button(shown, "Cancel").click()
    frozen(tab, 1)
    assert "canceled" in tab.text(1)
    tab.save()
    lab.close_tab(tab)

    saved = nbformat.read(lab.root / tab.name, as_version=4)
    again = opened(notebook=saved)  # its kernel has executed nothing
    assert "canceled" in again.text(1)
    assert "step 2" in again.text(1)
    # Changed elsewhere it is not trusted: style and attributes are taken away.
    saved.cells.append(nbformat.v4.new_code_cell("1"))
    stranger = opened(notebook=saved, name="stranger.ipynb")
    assert "canceled" in stranger.text(1)
    assert "step 2" in stranger.text(1)
    assert stranger.show(1).locator("style").count() == 0


def test_cancel_is_heard_while_a_cell_blocks(opened: Opened, lab: Lab) -> None:
    tab = opened(LOAD, WAITS, BLOCKS)
    tab.execute(0)
    tab.run(1)
    view(tab, 1, "running")
    tab.run(2)
    tab.until(lambda: tab.state()["cells"][2]["state"] == "running", "it blocks")
    button(view(tab, 1), "Cancel").click()
    view(tab, 1, "canceled")
    assert tab.state()["cells"][2]["state"] == "running"
    (lab.root / tab.name).with_name("go").touch()
    tab.wait_idle()


def test_a_reloaded_page_shows_the_run_as_it_is_now(opened: Opened) -> None:
    tab = opened(LOAD, WAITS, SEND)
    tab.execute(0)
    tab.run(1)
    view(tab, 1, "running").get_by_text("paid", exact=True).wait_for()
    tab.save()
    tab.reload()
    view(tab, 1, "running").get_by_text("paid", exact=True).wait_for()
    tab.run(2)
    view(tab, 1, "completed")


def test_after_a_restart_unfinished_runs_are_resumed_or_discarded(
    opened: Opened,
) -> None:
    held = WAITS.replace(" --run-id held", "")
    tab = opened(LOAD, held, held.replace("held(", "other("))
    tab.execute(0)
    for cell in (1, 2):
        tab.run(cell)
        view(tab, cell, "running").get_by_text("paid", exact=True).wait_for()
    tab.restart()
    for cell in (1, 2):
        gone = tab.show(cell)
        gone.get_by_text(re.compile("the kernel was restarted")).wait_for()
        assert "step 2" in tab.text(cell)  # as HTML, which is there after a reload too
        assert gone.get_by_role("button").count() == 0

    tab.execute(0, 1, 2)
    told = tab.show(1)
    told.get_by_text("3 finished steps").wait_for()
    button(told, "Resume").click()
    told.locator(".nbf-run").nth(1).wait_for()  # beside the run that was started now
    for shown in told.locator(".nbf-run").all():
        shown.get_by_text("paid", exact=True).wait_for()
        button(shown, "Cancel").click()
        shown.locator(".nbf-badge", has_text="canceled").wait_for()
    told = tab.show(2)
    button(told, "Discard").click()
    told.get_by_text("is discarded: it is canceled").wait_for()


def test_an_interrupt_cancels_the_run_that_a_cell_waits_for(opened: Opened) -> None:
    shown = "run = held.invoke()\ndisplay(run)\n"
    waits = WAITS.replace("--invoke --run-id held", "--wait")
    tab = opened(LOAD, waits, f"{shown}await run", f"{shown}run.result()")
    tab.execute(0)
    for cell in (1, 2, 3):
        tab.run(cell)
        view(tab, cell, "running").get_by_text("paid", exact=True).wait_for()
        tab.interrupt()
        view(tab, cell, "canceled")
        tab.wait_idle()
        assert tab.outputs(cell)[-1]["output_type"] == "error"


def test_twenty_runs_are_followed_at_once_one_of_them_twice(opened: Opened) -> None:
    tab = opened(
        LOAD,
        WAITS.replace(" --invoke --run-id held", ""),
        "runs = [held.invoke(n=k) for k in range(20)]\ndisplay(*runs)",
        "runs[0]",
        SEND,
    )
    tab.execute(0, 1, 2, 3)
    first = view(tab, 3, "running")
    shown = tab.show(2).locator(".nbf-run")
    shown.nth(19).get_by_text("step 18", exact=True).wait_for()
    assert shown.count() == 20
    tab.run(4)
    for each in shown.all():
        each.locator(".nbf-badge", has_text="completed").wait_for()
    first.locator(".nbf-badge", has_text="completed").wait_for()


def test_a_run_of_another_notebook_is_followed_in_the_one_that_invoked_it(
    opened: Opened,
) -> None:
    one = opened(LOAD, WAITS, SEND, name="one.ipynb")
    one.execute(0)
    one.run(1)
    view(one, 1, "running")
    call = (
        "%%workflow calls --invoke --run-id held\n"
        "from nbflow import reference\n"
        "return await ctx.invoke('held', reference('held', app='one'), {'n': 2})"
    )
    other = opened(LOAD, call, name="other.ipynb")  # with a run of the same id
    other.execute(0)
    other.run(1)
    shown = view(other, 1, "running")
    shown.locator(".nbf-row .nbf-twisty").first.click()
    shown.get_by_text("paid", exact=True).wait_for()
    assert shown.get_by_text("step 1", exact=True).count() == 1
    assert shown.get_by_text("step 2", exact=True).count() == 0
    one.run(2)
    view(one, 1, "completed")
    view(other, 1, "completed").get_by_text("result 2").wait_for()


def test_a_failure_is_looked_at_corrected_and_resumed(opened: Opened) -> None:
    tab = opened(
        LOAD,
        "def part(n):\n    return 10 / n",
        "%%workflow parts --invoke\n"
        "await ctx.run('first', part, 5)\nreturn await ctx.run('second', part, 0)",
        "def part(n):\n    return 10 / max(n, 1)",
    )
    tab.execute(0, 1)
    tab.run(2)
    shown = view(tab, 2, "failed")
    shown.get_by_text("second", exact=True).click()
    shown.get_by_text("In[2], line 2", exact=True).wait_for()
    tab.execute(3)
    button(view(tab, 2), "Resume").click()
    shown.get_by_text(re.compile("keeps 1")).wait_for()
    shown.get_by_role("button", name=re.compile("^(Resume|Go on)")).last.click()
    view(tab, 2, "completed")


@pytest.mark.parametrize("choice", ["yes", "later"])
def test_a_question_is_answered_with_a_button(opened: Opened, choice: str) -> None:
    tab = opened(
        LOAD,
        "from typing import Literal",
        "%%workflow asks --invoke --as run\n"
        "return await ctx.ask('sure', 'Really?', Literal['yes', 'later'])",
        "run.result()",
    )
    tab.execute(0, 1)
    tab.run(2)
    button(view(tab, 2, "running"), choice).click()
    tab.execute(3)
    assert choice in tab.text(3)


def test_hostile_names_and_values_are_text(opened: Opened) -> None:
    evil = "<img src=x onerror=document.title=1> <script>1</script> \u202ex \x1b]0;x"
    tab = opened(
        LOAD,
        f"bad = {evil!r}\nhuge = bad * 100_000  # 5 MB\nimport sys",
        "%%workflow hostile --invoke\n"
        "await ctx.run('<b>bold</b>', str, bad)\nawait ctx.run('huge', str, huge)\n"
        "ctx.log(bad)\nprint(bad)\nprint(huge)\nctx.progress(1, 2, huge)\n"
        "await ctx.wait_for_event('w', 'x')",
    )
    tab.execute(0, 1)
    tab.run(2)
    shown = view(tab, 2, "running")
    for name in ("huge", "<b>bold</b>"):
        shown.get_by_text(name, exact=True).click()
        shown.locator(".nbf-details h3", has_text=name).wait_for()
        shown.locator(".nbf-details").get_by_text("<script>1</script>").first.wait_for()
    assert_plain(shown)
    button(shown, "Cancel").click()
    assert_plain(frozen(tab, 2))
    assert tab.page.title() != "1"
    assert len(str(tab.outputs(2))) < 50_000


def assert_plain(shown: Locator) -> None:
    """It holds no elements out of values, and no signs that rule the text around."""
    assert shown.locator("img, script").count() == 0
    text = shown.inner_text()
    assert "<script>1</script>" in text
    assert not set("\u202e\x1b") & set(text)
    assert len(shown.inner_html()) < 200_000

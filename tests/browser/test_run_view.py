"""The live view in a real JupyterLab: shown, clicked, reloaded, restarted."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator

from tests.browser.lab import Tab

LOAD = "%load_ext nbflow"
WAITS = """%%workflow held(n: int = 3) --invoke --run-id held
for k in range(n):
    await ctx.run(f"step {k}", str, k)
await ctx.wait_for_event("paid", "payment")
return n"""

Opened = Callable[..., Tab]


def view(tab: Tab, cell: int, status: str | None = None) -> Locator:
    """The live view below a cell, once it is there and says that status."""
    shown = tab.show(cell).locator(".nbf-run")
    shown.wait_for()
    if status is not None:
        shown.locator(".nbf-badge", has_text=status).wait_for()
    return shown


def button(place: Locator, name: str) -> Locator:
    return place.get_by_role("button", name=name)


def test_a_run_is_shown_live_and_as_html_when_it_has_ended(opened: Opened) -> None:
    tab = opened(LOAD, WAITS)
    tab.execute(0)
    tab.run(1)
    shown = view(tab, 1, "running")
    shown.get_by_text("step 2").wait_for()
    button(view(tab, 1), "Cancel").click()
    tab.page.mouse.move(0, 0)  # a view that is looked at stays
    tab.until(lambda: "text/html" in tab.outputs(1)[-1].get("data", {}), "it freezes")
    assert "canceled" in tab.text(1)
    tab.save()
    tab.reload()
    assert "canceled" in tab.text(1)
    assert "step 2" in tab.text(1)


def test_cancel_is_heard_while_a_cell_blocks(opened: Opened) -> None:
    tab = opened(LOAD, WAITS, "import time; time.sleep(8)\nprint('slept')")
    tab.execute(0)
    tab.run(1)
    view(tab, 1, "running")
    tab.run(2)
    button(view(tab, 1), "Cancel").click()
    view(tab, 1, "canceled")
    assert "slept" not in str(tab.outputs(2))
    tab.wait_idle()


def test_a_reloaded_page_shows_the_run_as_it_is_now(opened: Opened) -> None:
    send = "import nbflow\nnbflow.Client().events.send('payment', 1)"
    tab = opened(LOAD, WAITS, send)
    tab.execute(0)
    tab.run(1)
    view(tab, 1, "running").get_by_text("paid", exact=True).wait_for()
    tab.save()
    tab.reload()
    view(tab, 1, "running").get_by_text("paid", exact=True).wait_for()
    tab.run(2)
    view(tab, 1, "completed")


def test_after_a_restart_the_unfinished_run_is_offered_and_goes_on(
    opened: Opened,
) -> None:
    define = WAITS.replace(" --invoke --run-id held", "")
    tab = opened(LOAD, WAITS, define, "import nbflow")
    tab.execute(0)
    tab.run(1)
    view(tab, 1, "running").get_by_text("paid", exact=True).wait_for()
    tab.restart()
    view(tab, 1).get_by_text(re.compile("disconnected")).wait_for()
    tab.execute(0, 2)
    told = tab.show(2)
    told.get_by_text("3 finished steps").wait_for()
    button(told, "Resume").click()
    view(tab, 2, "running").get_by_text("paid", exact=True).wait_for()
    button(view(tab, 2), "Cancel").click()
    view(tab, 2, "canceled")


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
        f"bad = {evil!r}",
        "%%workflow hostile --invoke\n"
        "await ctx.run('<b>bold</b>', str, bad)\nctx.log(bad)\nprint(bad)\n"
        "await ctx.wait_for_event('w', 'x')",
    )
    tab.execute(0, 1)
    tab.run(2)
    shown = view(tab, 2, "running")
    shown.get_by_text("<b>bold</b>").click()
    shown.get_by_text("<script>1</script>").first.wait_for()
    assert shown.locator("img, script").count() == 0
    assert tab.page.title() != "1"
    button(view(tab, 2), "Cancel").click()
    tab.page.mouse.move(0, 0)
    tab.until(lambda: "text/html" in tab.outputs(2)[-1].get("data", {}), "it freezes")
    assert tab.show(2).locator("img, script").count() == 0

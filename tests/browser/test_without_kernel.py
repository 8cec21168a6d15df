"""What a saved notebook shows of runs, lists and forms when their kernel is gone."""

from collections.abc import Callable

import nbformat

from tests.browser.lab import Lab, Tab
from tests.browser.views import frozen, view

LOAD = """%load_ext nbflow
import ipywidgets
from nbflow.widgets import *"""
HELD = """%%workflow held(n: int = 3) --invoke --run-id held --as run
await ctx.run("first", str, 1)
await ctx.wait_for_event("paid", "payment")"""
# Each with what has come when it is there, and what a picture of it says.
SHOWN = {
    "RunsView()": ("waiting for event", ["1 run, 1 live", "waiting for event"]),
    "WorkflowForm(held)": ("Invoke", ["WorkflowForm of 'held'", "n = 3"]),
    "Monitor()": ("waiting for event", ["Monitor of", "1 run, 1 live"]),
    "ipywidgets.VBox([ipywidgets.Tab([RunView(run)])])": ("paid", ["first", "paid"]),
    "run": ("paid", ["held", "running", "first", "paid", "waits for event"]),
}

Opened = Callable[..., Tab]


def shown(opened: Opened) -> Tab:
    """A notebook that shows each of them, live."""
    tab = opened(LOAD, HELD, *SHOWN)
    tab.execute(*range(len(SHOWN) + 2))
    for cell, (text, _) in enumerate(SHOWN.values(), 2):
        tab.until(lambda c=cell, t=text: t in tab.text(c), f"cell {cell} shows it")
    return tab


def assert_pictured(tab: Tab, *remarks: str) -> None:
    """Every output is a picture that says what was there."""
    for cell, (_, texts) in enumerate(SHOWN.values(), 2):
        tab.until(lambda c=cell: len(tab.text(c)) > 9, "it is drawn")
        text = tab.text(cell)
        for wanted in texts:
            assert wanted in text
        assert any(remark in text for remark in remarks)
        assert tab.show(cell).get_by_role("button").count() == 0


def test_a_restart_leaves_all_as_it_was_last_seen(opened: Opened) -> None:
    tab = shown(opened)
    tab.restart()
    remarks = ("the kernel was restarted", "as saved at")
    tab.until(lambda: remarks[0] in tab.text(2), "the list says so")
    assert_pictured(tab, *remarks)
    tab.save()
    tab.reload()
    assert_pictured(tab, *remarks)


def test_a_saved_notebook_is_read_without_its_kernel(opened: Opened, lab: Lab) -> None:
    tab = shown(opened)
    tab.save()
    path = lab.root / tab.name
    tab.until(lambda: "as saved at" in path.read_text(), "it is saved")
    assert "widget-view" not in path.read_text()
    # The page goes on with what lives, also when it is loaded anew.
    tab.reload()
    for cell, (text, _) in enumerate(SHOWN.values(), 2):
        live = tab.show(cell).locator(".nbflow, .nbf-run").first
        live.get_by_text(text).first.wait_for()
    lab.close_tab(tab)
    saved = nbformat.read(path, as_version=4)
    assert_pictured(opened(notebook=saved), "as saved at")
    # Changed elsewhere it is not trusted: style and attributes are taken away.
    saved.cells.append(nbformat.v4.new_code_cell("1"))
    stranger = opened(notebook=saved, name="stranger.ipynb")
    assert_pictured(stranger, "as saved at")
    assert stranger.show(6).locator("style").count() == 0


def test_a_kernel_that_is_shut_down_leaves_runs_as_they_were(opened: Opened) -> None:
    boxed = "ipywidgets.VBox([ipywidgets.HTML('about it'), RunView(run)])"
    tab = opened(LOAD, HELD, boxed)
    tab.execute(0, 1, 2)
    for cell in (1, 2):
        view(tab, cell, "running").get_by_text("paid", exact=True).wait_for()
    tab.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()"
    )
    for cell in (1, 2):
        gone = tab.show(cell)
        gone.get_by_text("the kernel is gone: this is how it was last").wait_for()
        assert "paid" in gone.inner_text()
        assert gone.get_by_role("button").count() == 0


def test_what_ends_on_a_page_that_was_loaded_anew_leaves_its_picture(
    opened: Opened,
) -> None:
    tab = opened(LOAD, HELD, "RunsView()", "run", "run.cancel()")
    tab.execute(0, 1, 2, 3)
    tab.save()
    tab.reload()
    view(tab, 3, "running")
    tab.execute(4)
    tab.until(lambda: "canceled" in tab.text(2), "the list says so")
    assert "canceled" in frozen(tab, 3).inner_text()

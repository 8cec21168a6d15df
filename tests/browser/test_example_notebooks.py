"""The example notebooks in a real JupyterLab: run from top to bottom, and clicked."""

import re
from collections.abc import Callable
from pathlib import Path

import nbformat

from tests.browser.lab import Tab
from tests.browser.views import button, frozen, view

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

Opened = Callable[..., Tab]


class Example:
    """An example notebook in a tab; its cells by the ids that they have in the file."""

    def __init__(self, opened: Opened, name: str) -> None:
        self.notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
        # Nobody is to be too slow for it here.
        for cell in self.notebook.cells:
            cell.source = cell.source.replace('timeout="8s"', 'timeout="1h"')
        self.tab = opened(notebook=self.notebook, name=name)

    def cell(self, id: str) -> int:
        return next(k for k, each in enumerate(self.notebook.cells) if each.id == id)

    def run_all(self) -> None:
        """Run all cells, and wait until the last one has been run."""
        last = len(self.notebook.cells) - 1
        self.tab.run_all()
        self.tab.until(
            lambda: self.tab.state()["cells"][last]["count"], "the last cell is run"
        )
        self.tab.wait_idle()

    def failed(self) -> list[str]:
        """The ids of the cells that show an error."""
        return [
            each.id
            for each, now in zip(
                self.notebook.cells, self.tab.state()["cells"], strict=True
            )
            if any(output["output_type"] == "error" for output in now["outputs"])
        ]


def test_the_audit_is_run_unfolded_and_looked_at(opened: Opened) -> None:
    example = Example(opened, "01_quickstart.ipynb")
    example.run_all()
    assert example.failed() == []
    cell = example.cell("run")
    shown = view(example.tab, cell, "completed")
    tree = shown.locator(".nbf-tree")

    shown.get_by_text("audit", exact=True).click()
    tree.press("ArrowRight")
    item = shown.get_by_text("[anyio]", exact=True)
    item.wait_for()
    item.click()
    details = shown.locator(".nbf-details")
    details.locator("h3", has_text="anyio").wait_for()
    details.get_by_text("Package(name='anyio'").first.wait_for()
    tree.press("ArrowRight")  # the run that it has started
    shown.get_by_text("requirements", exact=True).wait_for()
    tree.press("ArrowLeft")
    shown.get_by_text("requirements", exact=True).wait_for(state="detached")
    tree.press("Escape")
    details.wait_for(state="hidden")


def test_the_invoke_notebook_runs_from_top_to_bottom(opened: Opened) -> None:
    example = Example(opened, "02_invoke.ipynb")
    example.run_all()
    assert example.failed() == []


def test_the_live_view_notebook_is_run_answered_and_invoked_from_its_form(
    opened: Opened,
) -> None:
    example = Example(opened, "03_live_view.ipynb")
    tab = example.tab
    example.run_all()
    assert example.failed() == ["density"]
    resumed = frozen(tab, example.cell("resume")).inner_text()
    assert re.search(r"density r-\w+ completed", resumed)

    publishing = example.cell("publish")
    button(view(tab, publishing, "running"), "yes").click()
    view(tab, publishing, "completed").get_by_text("write", exact=True).wait_for()

    form = tab.show(example.cell("form"))
    form.get_by_role("textbox").first.fill("json")
    button(form, "Invoke").click()
    form.locator(".nbf-badge", has_text="completed").wait_for()
    form.get_by_text("'modules': 5").first.wait_for()

    lists = tab.show(example.cell("monitor"))
    lists.get_by_text("5 runs").wait_for()
    button(lists, "density").click()
    button(lists, "Rerun").wait_for()

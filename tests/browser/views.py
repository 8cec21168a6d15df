"""What tests look at in the outputs of cells."""

from playwright.sync_api import Locator

from tests.browser.lab import Tab


def view(tab: Tab, cell: int, status: str | None = None) -> Locator:
    """The live view below a cell, once it is there and says that status."""
    shown = tab.show(cell).locator(".nbf-run")
    shown.wait_for()
    if status is not None:
        shown.locator(".nbf-badge", has_text=status).wait_for()
    return shown


def button(place: Locator, name: str) -> Locator:
    """A button in it, by its text."""
    return place.get_by_role("button", name=name)


def frozen(tab: Tab, cell: int) -> Locator:
    """What is below a cell when its live view has become HTML."""
    tab.page.mouse.move(0, 0)  # a view that is looked at stays
    tab.until(
        lambda: "text/html" in tab.outputs(cell)[-1].get("data", {}), "it freezes"
    )
    return tab.show(cell)

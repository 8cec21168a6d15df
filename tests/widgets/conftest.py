"""Real engines and real widgets; a page is what sets `_view_count`, as browsers do."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ipywidgets
import pytest

from nbflow.widgets.elements import tree
from tests.chromium import FLAGS, chromium
from tests.widgets.page import RunPage

SERVE = Path(__file__).parents[1] / "client" / "serve_process.py"


@pytest.fixture
def served(home: Path) -> Iterator[subprocess.Popen[str]]:
    """An engine of app "t" in another process, with workflows nap, fail and size."""
    process = subprocess.Popen(
        [sys.executable, SERVE, home],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.communicate("")


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    ipywidgets.Widget.close_all()


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Waits until a condition holds; its value."""

    def wait(condition: Callable[[], Any]) -> Any:
        end = time.monotonic() + 60
        while not (found := condition()):
            assert time.monotonic() < end, "it did not happen within a minute"
            threading.Event().wait(0.01)
        return found

    return wait


class Card(ipywidgets.VBox):
    """Stands for the live view of a run."""

    def __init__(self, run: Any) -> None:
        super().__init__([ipywidgets.Label(run.run_id)])
        self.run = run


@pytest.fixture
def card() -> type[Card]:
    return Card


@pytest.fixture
def texts() -> Callable[[Any], list[str]]:
    """All that a widget shows, text by text."""

    def read(widget: Any) -> list[str]:
        found = []
        for each in tree(widget):
            if each.layout.display == "none" or isinstance(each, ipywidgets.HTML):
                continue
            for trait in ("value", "description"):
                value = getattr(each, trait, None)
                if isinstance(value, str) and value:
                    found.append(value)
        return found

    return read


@pytest.fixture(scope="session")
def browser(playwright: Any, in_browser: Callable[..., Any]) -> Iterator[Any]:
    def launch() -> Any:
        from playwright.sync_api import expect

        expect.set_options(timeout=60_000)
        return playwright.chromium.launch(executable_path=program, args=FLAGS)

    program = chromium()
    found = in_browser(launch)
    yield found
    in_browser(found.close)


@pytest.fixture
def view(browser: Any, in_browser: Callable[..., Any]) -> Iterator[RunPage]:
    """A page without a run; the browser's console must stay without errors."""

    def show() -> RunPage:
        page = browser.new_page(viewport={"width": 1100, "height": 800})
        page.set_default_timeout(60_000)
        return RunPage(page)

    shown = in_browser(show)
    yield shown
    in_browser(shown.page.close)
    assert shown.problems == []

"""One JupyterLab and one browser for all tests here, which run in one process."""

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.chromium import chromium

if TYPE_CHECKING:
    from tests.browser.lab import Lab, Tab


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session")
def lab(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    in_browser: Callable[..., Any],
) -> Iterator["Lab"]:
    if find_spec("jupyterlab") is None:
        missing = "jupyterlab is missing: pip install -e '.[dev]'"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    chromium()
    from tests.browser.lab import Lab

    playwright = request.getfixturevalue("playwright")
    made = in_browser(Lab, playwright, tmp_path_factory.mktemp("lab"))
    yield made
    in_browser(made.close)


@pytest.fixture
def opened(
    lab: "Lab", request: pytest.FixtureRequest, in_browser: Callable[..., Any]
) -> Iterator[Callable[..., "Tab"]]:
    """Writes a notebook, or one of these cells, into the test's folder and opens it.

    At the end the page must have had nothing to complain of.
    """
    tabs: list[Tab] = []

    def make(*cells: str, name: str = "work.ipynb", notebook: Any = None) -> "Tab":
        folder = "".join(c if c.isalnum() else "-" for c in request.node.name)[:60]
        lab.write(f"{folder}/{name}", cells if notebook is None else notebook)
        tabs.append(lab.open(f"{folder}/{name}"))
        return tabs[-1]

    yield make
    for tab in tabs:
        in_browser(lab.close_tab, tab)
    assert [each for tab in tabs for each in tab.problems] == []

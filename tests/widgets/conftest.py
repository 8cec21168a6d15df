"""One Chromium for all tests of a process, a page of its own for each."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.widgets.page import FLAGS, RunPage, chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=chromium(), args=FLAGS.split()
        )
        yield found
        found.close()


@pytest.fixture
def view(browser: Any) -> Iterator[RunPage]:
    """A page without a run; the browser's console must stay without errors."""
    page = browser.new_page(viewport={"width": 1100, "height": 800})
    page.set_default_timeout(60_000)
    shown = RunPage(page)
    yield shown
    page.close()
    assert shown.problems == []

"""Where the real browser of the tests is, and how it is started."""

import os
import shutil

import pytest

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # Nothing but this machine: what needs a CDN fails.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


def chromium() -> str:
    """Chromium's program; without one, tests are skipped, in CI they fail."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if (found := shutil.which(name)) is not None:
            return found
    missing = "no Chromium on the path: apt-get install chromium fonts-dejavu-core"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)

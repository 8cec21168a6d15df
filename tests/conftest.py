"""Shared fixtures. Async tests run on asyncio through anyio's plugin."""

import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from nbflow.engine import Engine
from nbflow.testing import TestEngine

settings.register_profile("nbflow", deadline=None)  # no test depends on the machine
settings.load_profile("nbflow")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def lab() -> AsyncIterator[TestEngine]:
    """A real engine on virtual time, its store in memory."""
    async with TestEngine() as engine:
        yield engine


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / ".nbflow"


@pytest.fixture
def serve(home: Path) -> Iterator[Callable[..., Engine]]:
    """Starts engines of app "t" on the test's home; they are closed at its end."""
    engines: list[Engine] = []

    def start(*workflows: Any, **options: Any) -> Engine:
        engine = Engine(home, "t", workflows, "process", **options).start()
        engines.append(engine)
        return engine

    yield start
    for engine in engines:
        engine.close()


@pytest.fixture
def shut(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Shuts a folder to this user; root, whom nothing stops, becomes another one."""
    folders: list[Path] = []

    def shut(folder: Path) -> None:
        folders.append(folder)
        folder.chmod(0)
        if os.geteuid() == 0:
            for above in (tmp_path, *tmp_path.parents):
                if str(above) in ("/", "/tmp"):
                    break
                above.chmod(0o755)
            os.seteuid(65534)

    yield shut
    if os.getuid() == 0:
        os.seteuid(0)
    for folder in folders:
        folder.chmod(0o700)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB: no WAL is lengthened ahead on one as small."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="session")
def in_browser() -> Iterator[Callable[..., Any]]:
    """Calls something in the one thread that Playwright is used in.

    Its synchronous face keeps a loop running in its thread, where no other test could
    run one then. Tests that use this fixture are called in that thread.
    """
    with ThreadPoolExecutor(1, "browser") as thread:
        yield lambda call, *args: thread.submit(call, *args).result()


@pytest.fixture(scope="session")
def playwright(in_browser: Callable[..., Any]) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    started = in_browser(sync_playwright().start)
    yield started
    in_browser(started.stop)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    in_browser = pyfuncitem.funcargs.get("in_browser")
    if in_browser is None:
        return None
    names = pyfuncitem._fixtureinfo.argnames
    args = {name: pyfuncitem.funcargs[name] for name in names}
    in_browser(partial(pyfuncitem.obj, **args))
    return True

"""The monitor in a real terminal, over a real kernel that runs the quickstart."""

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from nbflow import Client
from nbflow.client import homes

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "notebooks" / "01_quickstart.ipynb"
PATIENCE = 120

pytestmark = [
    pytest.mark.skipif(
        shutil.which("tmux") is None and not os.environ.get("CI"),
        reason="needs tmux; CI installs it",
    ),
    # The kernel's client leaves its sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client"),
]

HELD = """
import asyncio
from pathlib import Path

async def hold():
    while not Path("go").exists():
        await asyncio.sleep(0.02)
    return "held enough"

@workflow
async def held(ctx: Context) -> str:
    await ctx.run("before", lambda: 1)
    return await ctx.run("hold", hold)

held_run = held.invoke()
held_run.run_id
"""


class Tmux:
    """A terminal with a shell in it, on a server of its own."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._server = f"nbflow-{uuid.uuid4().hex[:12]}"
        self._env = env | {"TMUX_TMPDIR": str(folder), "PS1": "ready$ "}
        self("new-session", "-d", "-x", "120", "-y", "36", "-s", "t", "sh")

    def __call__(self, *words: str) -> str:
        """One command of tmux; what it prints."""
        return subprocess.run(
            ["tmux", "-L", self._server, "-f", os.devnull, *words],
            env=self._env,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names for them."""
        self("send-keys", "-t", "t", *keys)

    def type(self, text: str) -> None:
        """Type a line, and enter."""
        self("send-keys", "-t", "t", "-l", text)
        self.press("Enter")

    def screen(self) -> str:
        """What is on the screen."""
        return self("capture-pane", "-p", "-t", "t")

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self("resize-window", "-t", "t", "-x", str(columns), "-y", str(rows))

    def until(self, *texts: str) -> str:
        """Wait until all of these are on the screen; the screen."""
        return self.until_so(lambda screen: all(text in screen for text in texts))

    def until_so(self, condition: Callable[[str], bool]) -> str:
        """Wait until the screen is as it should be; the screen."""
        deadline = time.monotonic() + PATIENCE
        while not condition(screen := self.screen()):
            assert time.monotonic() < deadline, f"it never came:\n{screen}"
            time.sleep(0.05)
        return screen

    def close(self) -> None:
        """End it with all that runs in it."""
        subprocess.run(
            ["tmux", "-L", self._server, "kill-server"],
            env=self._env,
            check=False,
            capture_output=True,
        )


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NBFLOW", "TMUX"))}
    for name in ("NO_COLOR", "COLUMNS", "LINES"):  # the terminal's own size counts
        kept.pop(name, None)
    return kept | {
        "NBFLOW_HOME": str(tmp_path / ".nbflow"),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tui'}",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TERM": "xterm-256color",
    }


@pytest.fixture
def tmux(tmp_path: Path, env: dict[str, str]) -> Iterator[Tmux]:
    terminal = Tmux(tmp_path, env)
    yield terminal
    terminal.close()


@pytest.fixture
def kernel(tmp_path: Path, env: dict[str, str]) -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel(
        startup_timeout=PATIENCE, cwd=str(tmp_path), env=env
    )
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def execute(kernel: BlockingKernelClient, code: str) -> None:
    reply = kernel.execute_interactive(
        code, timeout=PATIENCE, output_hook=lambda message: None
    )
    assert reply["content"]["status"] == "ok", reply["content"]


def quickstart_cells() -> list[str]:
    """The notebook's cells up to the run's result, for a few distributions only."""
    cells = nbformat.read(QUICKSTART, as_version=4).cells  # type: ignore[no-untyped-call]
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    place = next(n for n, each in enumerate(sources) if "main.invoke()" in each)
    run = sources[place].replace("main.invoke()", "main.invoke(limit=5)")
    assert run != sources[place]
    return [*sources[:place], run, sources[place + 1]]


def newest(home: Path, workflow: str) -> str:
    (app,) = homes.apps(home)
    page = Client(home, app).runs.list(workflow=workflow, limit=1)
    return str(page[0].status) if page else ""


def test_a_kernel_is_followed_and_steered(
    tmux: Tmux, kernel: BlockingKernelClient, tmp_path: Path
) -> None:
    home = tmp_path / ".nbflow"
    tmux.type("echo was here before")
    tmux.until("was here before")
    tmux.type(f"{sys.executable} -m nbflow tui; echo left with $?")
    tmux.until("nbflow", "quit")

    for cell in quickstart_cells():
        execute(kernel, cell)
    tmux.until("main", "completed")

    execute(kernel, HELD)
    tmux.until("held", "running")
    tmux.press("g")  # the cursor stays with its run, although newer ones come
    tmux.until("held", "running", "before", "hold")
    tmux.press("c")
    tmux.until("Cancel 1 run", "held")
    tmux.press("Enter")
    tmux.until_so(lambda screen: "Cancel 1 run" not in screen and "⊘" in screen)
    assert newest(home, "held") == "canceled"

    tmux.press("r")
    tmux.until("Resume held", "keeps 1 step")
    tmux.press("Enter")
    tmux.until_so(lambda screen: "Resume held" not in screen and "▸" in screen)
    assert newest(home, "held") == "running"
    (tmp_path / "go").touch()
    tmux.until_so(lambda screen: "▸" not in screen and "✓ held" in screen)
    assert newest(home, "held") == "completed"

    for columns, rows in ((50, 14), (20, 5), (160, 40), (120, 36)):
        tmux.resize(columns, rows)
        screen = tmux.until_so(lambda screen: "held" in screen)
        assert max(map(len, screen.splitlines())) <= columns

    tmux.press("q")
    screen = tmux.until("left with 0")
    assert "was here before" in screen
    assert "✓ held" not in screen


def test_ctrl_c_leaves_and_read_only_offers_nothing(tmux: Tmux, tmp_path: Path) -> None:
    tmux.type(f"{sys.executable} -m nbflow tui --read-only; echo left with $?")
    screen = tmux.until("read-only", "quit")
    assert "cancel" not in screen
    tmux.press("C-c")
    tmux.until("left with 0")


def test_ctrl_z_hands_the_terminal_back_also_below_another_program(
    tmux: Tmux, tmp_path: Path
) -> None:
    (tmp_path / "start").write_text(f"{sys.executable} -m nbflow tui\necho ended $?\n")
    tmux.type(f"sh {tmp_path / 'start'}")
    tmux.until("nbflow", "quit")
    for _ in range(3):
        tmux.press("C-z")
        tmux.until("Stopped")
        tmux.type("echo still $((40 + 2))")
        tmux.until("still 42")
        tmux.type("clear; fg")
        tmux.until("nbflow", "quit")
        tmux.press("?")
        tmux.until("In lists")
        tmux.press("Escape")
        tmux.until_so(lambda screen: "In lists" not in screen)
    tmux.press("q")
    tmux.until("ended 0")

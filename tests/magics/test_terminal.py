"""The magics in IPython's terminal, where there is no kernel."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.terminal.interactiveshell import TerminalInteractiveShell

from nbflow import RunStatus
from tests.magics.conftest import Shell, shell_of


def ipython(folder: Path, *words: str, text: str = "") -> str:
    env = {
        **os.environ,
        "NBFLOW_HOME": str(folder / ".nbflow"),
        "IPYTHONDIR": str(folder / ".ipython"),
        "NO_COLOR": "1",
        "TERM": "dumb",
    }
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "IPython",
            "--simple-prompt",
            "--colors=nocolor",
            *words,
        ],
        input=text,
        capture_output=True,
        text=True,
        cwd=folder,
        env=env,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.fixture
def terminal(_own_folder: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """The terminal's shell, with nobody typing."""
    monkeypatch.setenv("IPY_TEST_SIMPLE_PROMPT", "1")
    with shell_of(TerminalInteractiveShell) as made:
        yield made


class TestSession:
    def test_defines_invokes_and_awaits(self, terminal: Shell) -> None:
        cell = "%%workflow double(n: int = 2) -> int\nreturn n * 2"
        assert "double(n: int = 2) is defined" in terminal.ok(cell).text
        assert terminal.ok("%workflow invoke double -w -i n=21").result == "42"
        assert terminal.ok("await double.invoke(n=4)").result == "8"
        assert "completed" in terminal.ok("%workflow runs").text

    def test_errors_name_its_cells(self, terminal: Shell) -> None:
        done = terminal.run("%%workflow bad -w\n\n1 / 0")
        assert "Cell In[3], line 3" in done.traceback
        assert "site-packages" not in done.traceback

    def test_an_interrupted_await_cancels_its_run(self, terminal: Shell) -> None:
        terminal.ok(
            "%%workflow held -r --as run\nawait ctx.wait_for_event('w', 'never')"
        )
        # As Ctrl-C does: in the middle of the loop that the terminal runs.
        done = terminal.run(
            "import asyncio, signal\n"
            "asyncio.get_running_loop().call_later(\n"
            "    0.1, signal.raise_signal, signal.SIGINT)\n"
            "await run"
        )
        assert done.error is not None
        assert done.error["ename"] == "KeyboardInterrupt"
        assert done.text.startswith("Interrupted: run r-")
        assert len(done.text.splitlines()) == 1
        assert terminal.names["run"].status is RunStatus.CANCELED


def test_a_script_waits_for_its_runs(tmp_path: Path) -> None:
    script = tmp_path / "script.ipy"
    script.write_text(
        "%load_ext nbflow\nfrom nbflow import workflow\n"
        "@workflow\nasync def slow(ctx):\n"
        "    await ctx.sleep('s', 0.3)\n    return 5\n"
        "%workflow invoke slow --as run\nprint('was', run.status)\n"
    )
    assert "was completed" in ipython(tmp_path, str(script))

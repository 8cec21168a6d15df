"""Real shells and real kernels, each in a folder of its own."""

import atexit
import io
import os
import queue
import re
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.manager import KernelManager
from traitlets.config import Config

import nbflow

LIMIT = 60
_COLOR = re.compile(r"\x1b\[[0-9;]*m")


def plain(text: str) -> str:
    """Text without colours."""
    return _COLOR.sub("", text)


class Done:
    """What a cell has shown, and how it has ended."""

    def __init__(self) -> None:
        self.text = ""
        self.result: str | None = None
        self.error: dict[str, Any] | None = None
        self.status = ""

    def __repr__(self) -> str:
        return f"<{self.status}: {self.text!r} {self.result!r} {self.error!r}>"

    @property
    def traceback(self) -> str:
        """The error as it is shown."""
        assert self.error is not None
        return plain("\n".join(self.error["traceback"]))


class Kernel:
    """A kernel in a process of its own."""

    def __init__(self, folder: Path, notebook: str) -> None:
        self.folder = folder
        self.manager = KernelManager()
        env = {
            **os.environ,
            "JPY_SESSION_NAME": str(folder / notebook),
            "NBFLOW_HOME": str(folder / ".nbflow"),
            "IPYTHONDIR": str(folder / ".ipython"),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        self.manager.start_kernel(cwd=str(folder), env=env)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=LIMIT)

    def send(self, code: str, *, interactive: bool = True) -> str:
        """Ask to execute a cell; the id of the request."""
        request: str = self.client.execute(code, allow_stdin=interactive)
        return request

    def run(self, code: str, *, interactive: bool = True) -> Done:
        """Execute a cell to its end."""
        return self.finish(self.send(code, interactive=interactive))

    def ok(self, code: str, *, interactive: bool = True) -> Done:
        """Execute a cell that must not fail."""
        done = self.run(code, interactive=interactive)
        assert done.status == "ok", done
        return done

    def finish(self, request: str, *, until: str | None = None) -> Done:
        """Collect what a cell shows, to its end or until it has shown some text."""
        done = Done()
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=LIMIT)
            except queue.Empty:
                raise AssertionError(f"the kernel is silent; so far {done}") from None
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["header"]["msg_type"], message["content"]
            if kind == "stream":
                done.text += content["text"]
            elif kind == "display_data":
                done.text += content["data"].get("text/plain", "") + "\n"
            elif kind == "execute_result":
                done.result = content["data"]["text/plain"]
            elif kind == "error":
                done.error = content
            if until is not None and until in done.text:
                return done
            if kind == "status" and content["execution_state"] == "idle":
                break
        reply = self.client.get_shell_msg(timeout=LIMIT)
        while reply["parent_header"].get("msg_id") != request:
            reply = self.client.get_shell_msg(timeout=LIMIT)
        done.status = reply["content"]["status"]
        return done

    def restart(self) -> None:
        """Kill the process and start another, as "Restart" does."""
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=LIMIT)

    def close(self) -> None:
        """End it."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@contextmanager
def kernel_in(folder: Path, notebook: str = "demo.ipynb") -> Iterator[Kernel]:
    """A kernel for a block, with nbflow loaded."""
    kernel = Kernel(folder, notebook)
    try:
        kernel.ok("%load_ext nbflow\nimport nbflow\n%colors nocolor")
        yield kernel
    finally:
        kernel.close()


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One kernel for all tests of a module."""
    with kernel_in(tmp_path_factory.mktemp("kernel")) as made:
        yield made


class Shell:
    """A shell in this process, and what its cells have shown."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.ip = shell

    def run(self, code: str) -> Done:
        """Execute a cell."""
        done, shown = Done(), io.StringIO()
        with redirect_stdout(shown), redirect_stderr(shown):
            result = self.ip.run_cell(code, store_history=True)
        done.text = plain(shown.getvalue())
        error = result.error_before_exec or result.error_in_exec
        done.status = "error" if error is not None else "ok"
        done.result = None if result.result is None else repr(result.result)
        if error is not None:
            done.error = {
                "ename": type(error).__name__,
                "evalue": str(error),
                "traceback": done.text.splitlines(),
            }
        return done

    def ok(self, code: str) -> Done:
        """Execute a cell that must not fail."""
        done = self.run(code)
        assert done.status == "ok", done
        return done

    @property
    def names(self) -> dict[str, Any]:
        """The notebook's names."""
        names: dict[str, Any] = self.ip.user_ns
        return names


@contextmanager
def shell_of(kind: type[InteractiveShell]) -> Iterator[Shell]:
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    main, hook = sys.modules["__main__"], sys.displayhook
    ip = kind.instance(config=config)
    shell = Shell(ip)
    try:
        shell.ok("%load_ext nbflow")
        shell.ok(f"%nbflow app test-{uuid.uuid4().hex[:8]}")
        yield shell
    finally:
        ip.run_line_magic("unload_ext", "nbflow")
        nbflow.shutdown()
        atexit.unregister(ip.atexit_operations)
        ip.atexit_operations()
        kind.clear_instance()
        sys.modules["__main__"], sys.displayhook = main, hook


@pytest.fixture
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NBFLOW_HOME", str(tmp_path / ".nbflow"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / ".ipython"))


@pytest.fixture
def shell(_own_folder: None) -> Iterator[Shell]:
    """A plain shell with nbflow loaded, in an empty folder."""
    with shell_of(InteractiveShell) as made:
        yield made

"""A real JupyterLab in a real Chromium, for tests and for the browser benchmark.

A `Lab` is one server and one browser; `Lab.open` shows a notebook in a tab, as a `Tab`
that runs cells, restarts the kernel, reloads the page and looks at what is there. The
browser can reach nothing but this machine, so what needs a CDN fails.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import nbformat
from playwright.sync_api import Locator, Page, Playwright

from tests.chromium import FLAGS, chromium

PATIENCE = 90.0  # seconds; a loaded machine takes its time
_LOOK = 0.05

# The page's own application object: no menus, labels or shortcuts to depend on.
_STATE = """() => {
  const panel = window.jupyterapp?.shell?.currentWidget;
  const context = panel?.sessionContext;
  const kernel = context?.session?.kernel;
  const cells = panel?.content?.model?.cells;
  const found = [];
  for (let i = 0; cells && i < cells.length; i++) {
    const cell = cells.get(i);
    if (cell.type === "code")
      found.push({state: cell.executionState ?? null, count: cell.executionCount,
        outputs: cell.outputs.toJSON()});
    else found.push({state: null, count: null, outputs: []});
  }
  return {ready: !!context?.isReady, kernel: kernel?.status ?? null, cells: found};
}"""
_RUN = """i => {
  const panel = window.jupyterapp.shell.currentWidget;
  panel.content.activeCellIndex = i;
  window.jupyterapp.commands.execute("notebook:run-cell");
}"""
_SHOW = """i => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = i;
  return notebook.scrollToItem?.(i, "start");
}"""
_KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"

Theme = Literal["light", "dark"]


def notebook(*cells: str) -> nbformat.NotebookNode:
    """A notebook of code cells."""
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell(source) for source in cells]
    made.metadata.kernelspec = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    return made


class Tab:
    """One notebook open in the browser."""

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.name = name
        self.problems: list[str] = []
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.problems.append(f"page: {error}"))

    def _note_console(self, message: Any) -> None:
        if message.type == "error":
            self.problems.append(message.text[:500])

    # Acting

    def run(self, *cells: int) -> None:
        """Run cells, one after the other; returns at once."""
        for index in cells:
            self.page.evaluate(_RUN, index)

    def execute(self, *cells: int) -> None:
        """Run cells and wait until the kernel has done with them."""
        for index in cells:
            self.run(index)
            self.wait_idle()

    def run_all(self) -> None:
        """Run all cells; returns at once."""
        self._command("notebook:run-all-cells")

    def interrupt(self) -> None:
        """As the stop button does."""
        self.page.evaluate(f"() => {{ {_KERNEL}.interrupt(); }}")

    def restart(self) -> None:
        """Restart the kernel, and wait until it is there."""
        self.page.evaluate(f"() => {_KERNEL}.restart()")
        self.wait_idle()

    def reload(self) -> None:
        """Load the page anew."""
        self.page.reload(wait_until="domcontentloaded")
        self.wait_ready()

    def save(self) -> None:
        """Save the notebook, as the user does."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")

    def _command(self, name: str) -> None:
        self.page.evaluate(
            "name => { window.jupyterapp.commands.execute(name); }", name
        )

    # Looking

    def state(self) -> dict[str, Any]:
        """Kernel and cells, as the page knows them."""
        found: dict[str, Any] = self.page.evaluate(_STATE)
        return found

    def outputs(self, cell: int) -> list[dict[str, Any]]:
        """The outputs of a cell, as they would be saved."""
        found: list[dict[str, Any]] = self.state()["cells"][cell]["outputs"]
        return found

    def show(self, cell: int) -> Locator:
        """Scroll to a cell; what it shows below its code."""
        self.page.evaluate(_SHOW, cell)
        place = self.page.locator(f'.jp-Cell[data-windowed-list-index="{cell}"]')
        return place.locator(".jp-Cell-outputWrapper")

    def text(self, cell: int) -> str:
        """What a reader sees below a cell's code."""
        return self.show(cell).inner_text(timeout=PATIENCE * 1000)

    def wait_ready(self) -> None:
        """Wait until the notebook is open and its kernel there."""
        self.until(lambda: self._is_ready(), "the notebook opens")

    def _is_ready(self) -> bool:
        state = self.state()
        return state["ready"] and state["kernel"] in ("idle", "busy")

    def wait_idle(self) -> None:
        """Wait until the kernel is idle and no cell runs."""
        since: list[float] = []

        def is_quiet() -> bool:
            state = self.state()
            is_busy = state["kernel"] != "idle" or any(
                cell["state"] == "running" for cell in state["cells"]
            )
            if is_busy:
                since.clear()
                return False
            since.append(time.monotonic())
            return since[-1] - since[0] > 0.3

        self.until(is_quiet, "the kernel is idle")

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until a condition holds; its value.

        Raises:
            AssertionError: it did not come to hold; says what was waited for.
        """
        end = time.monotonic() + PATIENCE
        while True:
            try:
                value = condition()
            except Exception as error:  # the page is just loading
                value, failure = None, f" ({error})"
            else:
                failure = ""
            if value:
                return value
            assert time.monotonic() < end, f"never: {what}{failure}"
            self.page.wait_for_timeout(_LOOK * 1000)

    def shot(self, path: Path) -> Path:
        """A picture of the page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(path))
        return path


class Lab:
    """A Jupyter server and a browser, both ended by `close`.

    Args:
        playwright: started, in this thread.
        folder: the server's root, for notebooks; and its own folder for settings.
        theme: of JupyterLab.
        size: of the page, in pixels.
        environment: for the server and its kernels.
    """

    def __init__(
        self,
        playwright: Playwright,
        folder: Path,
        theme: Theme = "light",
        size: tuple[int, int] = (1200, 900),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.root = folder / "notebooks"
        self.root.mkdir(parents=True)
        self._token = secrets.token_hex(16)
        self._port = _free_port()
        self._log = (folder / "server.log").open("w")
        self._server = self._start(folder, theme, environment or {})
        try:
            self._wait_for_server()
            self._browser = playwright.chromium.launch_persistent_context(
                str(folder / "profile"),
                executable_path=chromium(),
                headless=True,
                args=FLAGS,
                viewport={"width": size[0], "height": size[1]},
                color_scheme=theme,
            )
        except BaseException:
            self._stop_server()
            raise

    def write(self, name: str, cells: nbformat.NotebookNode | Iterable[str]) -> Path:
        """Write a notebook below the server's root."""
        made = cells if isinstance(cells, dict) else notebook(*cells)
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(made, path)
        return path

    def open(self, name: str) -> Tab:
        """Open a notebook in a tab of its own."""
        page = self._browser.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        tab = Tab(page, name)
        page.goto(self._url(name), wait_until="domcontentloaded")
        tab.wait_ready()
        page.evaluate("() => window.jupyterapp.shell.collapseLeft?.()")
        return tab

    def close_tab(self, tab: Tab) -> None:
        """Close a tab and end its kernel."""
        tab.page.close()
        for session in self.api("sessions"):
            if session["path"] == tab.name:
                self.api(f"sessions/{session['id']}", "DELETE")

    def api(self, path: str, method: str = "GET") -> Any:
        """Ask the server itself."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/api/{path}",
            method=method,
            headers={"Authorization": f"token {self._token}"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def close(self) -> None:
        """End the kernels, the browser and the server."""
        try:
            for kernel in self.api("kernels"):
                self.api(f"kernels/{kernel['id']}", "DELETE")
            self._browser.close()
        finally:
            self._stop_server()

    def _url(self, name: str) -> str:
        address = f"http://127.0.0.1:{self._port}/lab/tree/{name}"
        return f"{address}?token={self._token}&reset"

    def _start(
        self, folder: Path, theme: Theme, environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True)
        quiet = {
            "checkForUpdates": False,
            "fetchNews": "false",
            "doNotDisturbMode": True,
        }
        _write_json(settings / "notification.jupyterlab-settings", quiet)
        look = {"theme": f"JupyterLab {theme.capitalize()}"}
        _write_json(settings / "themes.jupyterlab-settings", look)
        environment = dict(os.environ) | {
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTER_PLATFORM_DIRS": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **environment,
        }
        environment.pop("NBFLOW_HOME", None)
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab"),
                *("--allow-root", "--no-browser", "--ip=127.0.0.1"),
                *(f"--port={self._port}", "--ServerApp.port_retries=0"),
                f"--IdentityProvider.token={self._token}",
                "--LabApp.expose_app_in_browser=True",
                f"--ServerApp.root_dir={self.root}",
            ],
            cwd=self.root,
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def _wait_for_server(self) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.api("status")
            except (urllib.error.URLError, ConnectionError):
                code = self._server.poll()
                assert code is None, f"jupyterlab ended with {code}: {self._log.name}"
                assert time.monotonic() < end, "jupyterlab does not answer"
                time.sleep(0.1)
            else:
                return

    def _stop_server(self) -> None:
        self._server.send_signal(signal.SIGTERM)
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._log.close()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))

"""What a kernel accepts, the loader without a kernel accepts too, with one meaning."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from nbflow.errors import NotebookError
from nbflow.notebook import is_workflow, load_target
from nbflow.notebook.cells import read_cell
from tests.magics.conftest import Shell

SETUP = "from nbflow import FlowControl, workflow\nBASE = 10"
CELLS = (
    "%%workflow body\nreturn BASE",
    "%%workflow body(n: int = 2, k: str = ')') -> int --retries 5 -r -i n=5\nreturn n",
    "%%workflow body(n: dict = {'a': [1, 2]})\nreturn n['a']",
    "%%workflow body-of-work --timeout 30s --retry-delay 2.5\nreturn 1",
    "%%workflow body --retry-delay=1m30s --label 'two words' --wait\nreturn 1",
    "%%workflow body --flow-control FlowControl('k', rate=BASE)\nreturn 1",
    "%%workflow body -> dict[str, int] -w --view none --quiet\nreturn {'a': 1}",
    "%%workflow body -rw -i {'n': \"it's\"} --as run --run-id r-1\nreturn None",
    "%%workflow body\ntext = f'''\n a {BASE}\n'''\nif text:\n    return text",
    "%%workflow body\n# nothing to do",
    "%%workflow body\ndef inner():\n    return BASE\nreturn inner()",
    "%%workflow body --retries 1\nasync def body(ctx, n: int = 1):\n    return n",
    "%%workflow big-one\nX = 1\nasync def big_one(ctx):\n    return X",
    "%%workflow body\ndef body(ctx):\n    return BASE",
    "%%workflow named\n@workflow(name='named')\nasync def other(ctx): return 3",
    "%%workflow body\n@workflow(retries=4)\nasync def body(ctx): return 4",
    "%%workflow\n@workflow\nasync def first(ctx): return 5",
    "%%workflow class\nreturn 6",
)


def facts(made: Any) -> tuple[Any, ...]:
    """What a workflow is, as its users see it."""
    options = made.spec.options
    return (
        made.name,
        made.input_schema,
        made.output_schema,
        (options.retries, options.retry_delay, options.timeout, options.flow_control),
        made.fn.__name__,
        made.source.strip() if made.source else None,
    )


@pytest.fixture(autouse=True)
def _own_modules() -> Iterator[None]:
    """What a test loads ends with it."""
    path, known = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - known:
        if name.startswith("nbflow_notebook_"):
            del sys.modules[name]


@pytest.mark.parametrize("cell", CELLS)
def test_both_readers_make_the_same_workflow(
    shell: Shell, tmp_path: Path, cell: str
) -> None:
    shell.ok(SETUP)
    done = shell.run(cell)  # a run that it starts may refuse its input
    defined = [each for each in shell.names.values() if is_workflow(each)]
    assert defined, done
    path = tmp_path / "demo.ipynb"
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(SETUP), nbformat.v4.new_code_cell(cell)]
    )
    nbformat.write(notebook, path)
    shell.ok("%nbflow app other")  # one app has one workflow of a name
    loaded = load_target(str(path))
    assert facts(loaded.workflow) == facts(defined[-1])


@pytest.mark.parametrize(
    "line",
    [
        "%%workflow a --retris 3",
        "%%workflow a -i n=5",
        "%%workflow a(n",
        "%%workflow a --retries x",
        "%%workflow a --view full",
        "%%workflow a -r -i n = 5",
        "%%workflow --timeout 3",
    ],
)
def test_both_readers_refuse_with_the_same_words(shell: Shell, line: str) -> None:
    with pytest.raises(NotebookError) as caught:
        read_cell(3, f"{line}\nreturn 1", "cell 3 of demo.ipynb")
    told = str(caught.value).removeprefix("cell 3 of demo.ipynb: ")
    assert told in shell.run(f"{line}\nreturn 1").text


def execute(folder: Path, *cells: str) -> Any:
    """Execute a notebook as nbconvert and papermill do."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
    )
    client = NotebookClient(
        notebook,
        timeout=60,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute()
    finally:
        folder.joinpath("out.json").write_text(json.dumps(notebook))
    return notebook


@pytest.fixture
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBFLOW_HOME", str(tmp_path / ".nbflow"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / ".ipython"))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")


@pytest.mark.usefixtures("_own_home")
class TestExecutedNotebooks:
    def test_runs_are_waited_for_and_shown_as_they_ended(self, tmp_path: Path) -> None:
        done = execute(
            tmp_path,
            "%load_ext nbflow",
            "%%workflow slow --invoke --as run\nawait ctx.sleep('s', 0.5)\nreturn 5",
            "print(run.status)",
            "%workflow invoke slow --wait",
        )
        (shown,) = done.cells[1].outputs
        assert shown.output_type == "display_data"
        assert set(shown.data) == {"text/html", "text/plain"}
        assert "completed" in shown.data["text/plain"]
        assert done.cells[2].outputs[0].text == "completed\n"
        assert done.cells[3].outputs[-1].data["text/plain"] == "5"

    def test_a_failed_run_fails_the_notebook(self, tmp_path: Path) -> None:
        with pytest.raises(CellExecutionError) as caught:
            execute(tmp_path, "%load_ext nbflow", "%%workflow bad --invoke\n\n1 / 0")
        assert caught.value.ename == "RunFailed"
        assert caught.value.evalue == "ZeroDivisionError: division by zero"
        assert "site-packages" not in str(caught.value)

    @pytest.mark.parametrize("line", ["%workflow shwo", "%%workflow a --retris 3\n1"])
    def test_a_usage_error_fails_the_notebook(self, tmp_path: Path, line: str) -> None:
        with pytest.raises(CellExecutionError):
            execute(tmp_path, "%load_ext nbflow", line)
        cells = json.loads((tmp_path / "out.json").read_text())["cells"]
        text = "".join(each.get("text", "") for each in cells[1]["outputs"])
        assert "did you mean" in text
        assert len(text.strip().splitlines()) == 1

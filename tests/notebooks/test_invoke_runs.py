"""The page on invoke, executed by a real kernel: each system's examples hold."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

PAGE = Path(__file__).parents[2] / "notebooks" / "02_invoke.ipynb"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the cells have printed and displayed."""
    home = tmp_path_factory.mktemp("invoke") / ".nbflow"
    notebook = nbformat.read(PAGE, as_version=4)
    client = NotebookClient(notebook, timeout=120, kernel_name="python3")
    root = str(PAGE.parents[1])
    client.execute(env={**os.environ, "NBFLOW_HOME": str(home), "PYTHONPATH": root})
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert all(output.output_type != "error" for output in outputs)
    return [
        output.get("text") or output["data"]["text/plain"]
        for output in outputs
        if output.get("name") != "stderr"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Square of 4 is 16.",
        "25",
        "3.14059",
        "[0, 1, 4, 9, 16]",
        "WorkflowNotFound: there is no workflow 'compute_sqare'",
        "failed with OSError: no answer",
        "InvokeTimedOut: step 'sleeper' waited 0.2 s",
        "3 tries",
        "['test for ada', False, False, True]",
        "12 paid, shipped: True, 49",
        "{'result': 144}",
        "['run.queued', 'run.started', 'run.completed']",
        "(True, 1)",
    ],
)
def test_the_page_shows(shown: list[str], text: str) -> None:
    assert any(text in each for each in shown)

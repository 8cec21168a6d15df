"""The page on invoke, executed by a real kernel: each system's examples hold."""

import json
import os
import subprocess
import sys
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
        "step 'invoke-with-timeout' waited 0.2 s, its timeout, for run ",
        "('long_sleep', 'canceled')",
        "[2.0, 3.0, [0, 1, 4, 9, 16]]",
        "InvokedRunFailed: run ",
        "WorkflowNotFound: there is no workflow 'compute_sqare'",
        "InvokeRateLimited: run ",
        "3 tries of d",
        "['test for ada', False, False]",
        "('done', False, False), (None, True, False), (None, False, True)",
        "'test for ada'",
        "12 paid, shipped: True, 49",
        "{'words': 3, 'characters': 24}",
        "InvalidInput: 2 problems in the input for workflow 'summarize'",
        "('completed', 'summarize', {'text': 'Summarize this document.'}, True)",
        "['run.queued', 'run.started', 'step.started', 'step.completed', ",
        "(5, True)",
        "(True, 1)",
    ],
)
def test_the_page_shows(shown: list[str], text: str) -> None:
    assert any(text in " ".join(each.split()) for each in shown)


def test_its_main_is_run_from_a_shell(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nbflow", "run", str(PAGE), "-i", "number=7"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={
            **os.environ,
            "NBFLOW_HOME": str(tmp_path / ".nbflow"),
            "PYTHONPATH": str(PAGE.parents[1]),
        },
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == "Square of 7 is 49."

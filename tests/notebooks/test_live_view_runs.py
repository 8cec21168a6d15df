"""`notebooks/03_live_view.ipynb`, executed as nbconvert and papermill do."""

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests import kernels

PAGE = Path(__file__).parents[2] / "notebooks" / "03_live_view.ipynb"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outputs by cell."""
    home = tmp_path_factory.mktemp("live") / ".nbflow"
    notebook = nbformat.read(PAGE, as_version=4)
    client = kernels.executor(notebook, timeout=120, kernel_name="python3")
    root = str(PAGE.parents[1])
    client.execute(env={**os.environ, "NBFLOW_HOME": str(home), "PYTHONPATH": root})
    return {cell.id: cell.get("outputs", []) for cell in notebook.cells}


def test_runs_are_kept_as_html_and_nothing_needs_a_kernel(
    outputs: dict[str, Any],
) -> None:
    shown = [each for cell in outputs.values() for each in cell if "data" in each]
    kinds = {kind for each in shown for kind in each["data"]}
    assert kinds <= {"text/html", "text/plain"}
    assert "completed" in outputs["count"][0]["data"]["text/html"]


def test_the_failure_is_corrected_and_the_finished_steps_are_kept(
    outputs: dict[str, Any],
) -> None:
    (error,) = [each for each in outputs["density"] if each.output_type == "error"]
    assert error.evalue == "ZeroDivisionError: division by zero"
    kept, left = eval(outputs["plan"][0]["data"]["text/plain"])
    assert kept > 20
    assert left == ("divide",)
    assert "completed" in outputs["resume"][0]["data"]["text/html"]


def test_a_question_that_nobody_answers_is_over_in_time(
    outputs: dict[str, Any],
) -> None:
    assert "nobody has said yes" in outputs["publish"][0]["data"]["text/html"]

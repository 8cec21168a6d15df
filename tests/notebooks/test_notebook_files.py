"""What every notebook of the project keeps to."""

from pathlib import Path

import nbformat
import pytest

from nbflow.notebook import load_target

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_valid_clean_and_has_readable_cell_ids(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    # Ids that Jupyter draws are eight digits; these say what the cell is about.
    assert all(id.replace("-", "").isalpha() for id in ids)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_loads_without_a_kernel_and_without_warnings(path: Path) -> None:
    loaded = load_target(str(path), every=True)
    assert loaded.workflows
    assert loaded.warnings == ()

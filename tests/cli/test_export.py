"""`nbflow export`: a module out of a notebook file, without a kernel."""

from pathlib import Path

import nbformat

from .conftest import Cli

CELLS = (
    "%load_ext nbflow",
    "import math\nfrom pathlib import Path",
    "def helper(x):\n    # keeps its comment\n    return math.sqrt(x)",
    "Path('executed').touch()",
    "%%time\n%%workflow child(n: int)\nreturn await ctx.run(helper, n)",
    "%%workflow all-of-it(n: int = 4) -> float --retries 1\n"
    "return await ctx.invoke('c', 'child', {'n': n})",
    "%workflow invoke all-of-it -w",
)


def write(folder: Path, *cells: str) -> None:
    made = [nbformat.v4.new_code_cell(cell) for cell in cells]
    notebook = nbformat.v4.new_notebook(cells=made)
    nbformat.write(notebook, folder / "demo.ipynb")


def test_the_module_runs_by_itself(cli: Cli) -> None:
    write(cli.folder, *CELLS)
    told = cli("export", "demo.ipynb::all-of-it", "flow.py").stdout
    assert told == "all-of-it is in flow.py: nbflow run flow.py::all-of-it\n"
    assert not (cli.folder / "executed").exists()
    (cli.folder / "demo.ipynb").unlink()
    assert cli("run", "flow.py::all-of-it", "-i", "n=9").stdout == "3.0\n"


def test_without_a_name_it_is_the_workflow_that_would_run(cli: Cli) -> None:
    write(cli.folder, *CELLS)
    text = cli("export", "demo.ipynb", "-").stdout
    assert text.startswith('"""Workflow \'all-of-it\', exported from a notebook."""')
    assert "# keeps its comment" in text
    assert "@nbflow.workflow\nasync def child(ctx, *, n: int):" in text
    assert "executed" not in text
    assert "%" not in text


def test_a_file_is_not_replaced_unasked(cli: Cli) -> None:
    write(cli.folder, *CELLS)
    (cli.folder / "mine.py").write_text("mine")
    told = cli("export", "demo.ipynb", "mine.py", code=2).stderr
    assert told == "nbflow: mine.py is there already: --force replaces it\n"
    assert (cli.folder / "mine.py").read_text() == "mine"
    cli("export", "demo.ipynb", "mine.py", "--force")
    assert "all_of_it" in (cli.folder / "mine.py").read_text()


def test_what_cannot_be_exported_is_told_in_one_line(cli: Cli) -> None:
    write(cli.folder, *CELLS, "F = !ls", "%%workflow uses\nreturn F")
    for words, told in (
        (("demo.ipynb::chidl", "a.py"), "Did you mean 'child'?"),
        (("demo.ipynb::uses", "a.py"), "cell 8 of demo.ipynb, line 1: 'F = !ls' is"),
        (("flows.py::page", "a.py"), "flows.py::page is no notebook"),
        (("nope.ipynb", "a.py"), "there is no file"),
        (("demo.ipynb::child", "a.txt"), "a.txt: give a file that ends in .py"),
        (("demo.ipynb::child", "no/a.py"), "no/a.py cannot be written"),
    ):
        (line,) = cli("export", *words, code=2).stderr.splitlines()
        assert told in line
    assert not (cli.folder / "a.py").exists()

"""A module with a workflow and all that it needs, made of a notebook's cells.

The slice is the one that `nbflow run notebook.ipynb::NAME` executes. `nbflow export`
takes the cells of a file, `%workflow export` those that the kernel has executed.
"""

import ast
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from nbflow.errors import NotebookError
from nbflow.notebook.cells import Cell, read_cells
from nbflow.notebook.load import existing_file, split_target
from nbflow.notebook.selection import select
from nbflow.notebook.statements import Statement


class Exported(NamedTuple):
    """A module that was made: its workflow, its text, and what may be missing."""

    name: str
    text: str
    warnings: tuple[str, ...]


def export_target(target: str) -> Exported:
    """The module for `notebook.ipynb[::workflow]`; no cell is executed.

    Without a workflow it is the one that `nbflow run` would run.

    Raises:
        NotebookError: no such notebook or workflow, or it needs what only IPython has.
    """
    place, name = split_target(target)
    if Path(place).suffix != ".ipynb":
        raise NotebookError(
            f"{target} is no notebook: give notebook.ipynb[::workflow]. Workflows of "
            "files and modules are plain Python already."
        )
    path = existing_file(place, None)
    return export_cells(read_cells(path), path.name, name)


def export_cells(cells: Sequence[Cell], place: str, name: str | None) -> Exported:
    """The module for a workflow of these cells.

    Args:
        cells: in the order in which they are executed.
        place: how messages name the notebook.
        name: the workflow; the one that `nbflow run` would run if None.

    Raises:
        NotebookError: the workflow is not in the cells, or needs what only IPython has.
    """
    selection = select(cells, place, name, every=False)
    imports: list[str] = []
    parts: list[str] = []
    for _, group in selection.by_cell():
        statements = [statement for statement, _ in group]
        for statement, decorator in _without_makers(statements):
            text = _text(statement)
            if isinstance(statement.node, ast.Import | ast.ImportFrom):
                if text not in imports:
                    imports.append(text)
                continue
            parts.append(f"{decorator}\n{text}" if decorator else text)
    if any(part.startswith("@nbflow.workflow") for part in parts):
        imports = [each for each in imports if each != "import nbflow"]
        imports.insert(_after_future(imports), "import nbflow")
    wanted = name or selection.wanted or ""
    head = f'"""Workflow {wanted!r}, exported from a notebook."""'
    made = "\n\n".join([head, "\n".join(imports), *_spaced(parts)]) + "\n"
    return Exported(wanted, made, tuple(selection.warnings))


def check_file(file: str, name: str, *, force: bool) -> Path:
    """The file that a module may be written to.

    Raises:
        NotebookError: it is no `.py`, or there already and not to be replaced.
    """
    path = Path(file).expanduser()
    if path.suffix != ".py":
        raise NotebookError(f"{file}: give a file that ends in .py, as in {name}.py")
    if path.exists() and not force:
        raise NotebookError(f"{path} is there already: --force replaces it")
    return path


def write(path: Path, exported: Exported) -> str:
    """Write the module; what to say of it.

    Raises:
        NotebookError: the file cannot be written.
    """
    try:
        path.write_text(exported.text, encoding="utf-8")
    except OSError as error:
        raise NotebookError(f"{path} cannot be written: {error.strerror}") from None
    command = shlex.join(["nbflow", "run", f"{path}::{exported.name}"])
    return f"{exported.name} is in {path}: {command}"


def _without_makers(
    statements: list[Statement],
) -> Iterator[tuple[Statement, str | None]]:
    """Statements with the decorator that stands for the line a magic ends with."""
    makers = {}
    for statement in statements:
        made = _made_by_magic(statement.node)
        if made is not None:
            makers[made[0]] = made[1]
    for statement in statements:
        if _made_by_magic(statement.node) is not None:
            continue
        node = statement.node
        decorator = None
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            decorator = None if node.decorator_list else makers.get(node.name)
        yield statement, decorator


def _made_by_magic(node: ast.stmt) -> tuple[str, str] | None:
    """Name and decorator of `f = __import__('nbflow').workflow(…)(f)`."""
    if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
        return None
    value: ast.expr = node.value
    if isinstance(value, ast.IfExp):
        value = value.orelse
    if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Call)):
        return None
    if ast.unparse(value.func.func) != "__import__('nbflow').workflow":
        return None
    variable = node.targets[0].id
    given = [
        ast.unparse(each)
        for each in value.func.keywords
        if not (each.arg == "name" and ast.unparse(each.value) == repr(variable))
    ]
    options = f"({', '.join(given)})" if given else ""
    return variable, f"@nbflow.workflow{options}"


def _text(statement: Statement) -> str:
    """The statement as it stands in its cell."""
    lines = statement.cell.text.split("\n")
    first, last = statement.lines.start, statement.lines.stop - 1
    node = statement.node
    if _is_alone(statement):
        return "\n".join(lines[first - 1 : last]).rstrip()
    return ast.get_source_segment(statement.cell.text, node) or ast.unparse(node)


def _is_alone(statement: Statement) -> bool:
    """Whether its lines hold no other statement, as `a = 1; b = 2` does."""
    lines = set(statement.lines)
    others = [each for each in statement.cell.tree.body if each is not statement.node]
    return not any(
        lines & set(range(each.lineno, (each.end_lineno or each.lineno) + 1))
        for each in others
    )


def _after_future(imports: list[str]) -> int:
    return sum(each.startswith("from __future__") for each in imports)


def _spaced(parts: list[str]) -> list[str]:
    """Definitions two lines apart, as formatters want them."""
    kinds = ("@", "def ", "async def ", "class ")
    return [f"\n{part}" if part.startswith(kinds) else part for part in parts]

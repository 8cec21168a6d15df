"""`%workflow export NAME FILE.py`: a module with a workflow and all that it needs.

The slice is the one that `nbflow run notebook.ipynb::NAME` executes, made of what this
kernel has executed so far.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from nbflow.errors import NotebookError
from nbflow.magics import cell as cells_of
from nbflow.magics.session import Session
from nbflow.notebook.cells import Cell, read_cell
from nbflow.notebook.selection import select
from nbflow.notebook.statements import Statement

_PLACE = "this notebook"


def export(session: Session, name: str, file: str, *, force: bool = False) -> str:
    """Write the module; what to say of it.

    Args:
        session: the shell.
        name: the workflow.
        file: the file, ending in `.py`.
        force: replace a file that is there.

    Raises:
        NotebookError: no such workflow, a needed line is IPython's, or the file is
            there already.
    """
    if cells_of.find(session, name) is None:
        raise NotebookError(str(cells_of.unknown(session, name, _names(session))))
    path = Path(file).expanduser()
    if path.suffix != ".py":
        raise NotebookError(f"{file}: give a file that ends in .py, as in {name}.py")
    if path.exists() and not force:
        raise NotebookError(f"{path} is there already: --force replaces it")
    text, warnings = module_text(_history(session), name)
    path.write_text(text, encoding="utf-8")
    told = "".join(f"\nwarning: {each}" for each in warnings)
    return f"{name} is in {path}: nbflow run {path}::{name}{told}"


def module_text(cells: list[Cell], name: str) -> tuple[str, list[str]]:
    """The module's text, and warnings.

    Raises:
        NotebookError: the workflow is not in the cells, or needs what only IPython has.
    """
    selection = select(cells, _PLACE, name, every=False)
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
    head = f'"""Workflow {name!r}, exported from a notebook."""'
    return "\n\n".join([head, "\n".join(imports), *_spaced(parts)]) + "\n", list(
        selection.warnings
    )


def _history(session: Session) -> list[Cell]:
    """The cells that were executed, in that order, without those that are no Python."""
    found = []
    for number, source in enumerate(_inputs(session)):
        if not source.strip():
            continue
        try:
            found.append(read_cell(number, source, f"cell {number} of {_PLACE}"))
        except NotebookError:
            continue
    return found


def _inputs(session: Session) -> list[str]:
    history = session.shell.history_manager
    return [] if history is None else list(history.input_hist_raw)


def _names(session: Session) -> list[str]:
    return [info.name for info in session.client().workflows.list()]


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

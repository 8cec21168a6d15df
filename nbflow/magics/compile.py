"""Compiles what stands below `%%workflow`: a body, or a cell that holds functions.

The text that is compiled is the text that tracebacks, the debugger and `inspect` see,
under the file name IPython gives the cell; line n of the cell is line n of it.
"""

import ast
import inspect
import re
from types import FunctionType
from typing import Any, NamedTuple

from IPython.core.interactiveshell import InteractiveShell

from nbflow.definition.syntax import parse
from nbflow.errors import NotebookError
from nbflow.magics.tracebacks import CellSyntaxError
from nbflow.notebook.magic import Head, function_text, lines_in_strings

_SHELL = re.compile(r"\s*[!%]|.*=\s*[!%]")
_WORDS = re.compile(r"\s*([^\W\d]\w*)[ \t]+[^\s=(.,]")  # as "pip install x"


class Cell(NamedTuple):
    """The cell that is executed: its number, its whole text, and the lines of it that
    stand above the magic's.
    """

    number: int
    raw: str
    above: tuple[str, ...] = ()

    @property
    def head(self) -> str:
        """What keeps the lines below it where they stand in the cell."""
        return "".join(f"# {line}".rstrip() + "\n" for line in self.above)


def compile_body(
    shell: InteractiveShell, head: Head, body: str, cell: Cell
) -> FunctionType:
    """The function that a body stands for; its globals are the notebook's.

    Args:
        shell: the shell, whose names it sees.
        head: the magic's line.
        body: what stands below it.
        cell: where it stands.

    Raises:
        CellSyntaxError: with the line of the cell.
        Exception: what a default value or an annotation raised.
    """
    text = cell.head + function_text(head, body)
    if not _parses(text):
        plain = _without_shell_syntax(shell, body)
        text = cell.head + function_text(head, plain)
    file = _remember(shell, text, cell)
    tree = _parse(text, file, shell)
    namespace: dict[str, Any] = {}
    # Not bound in the notebook yet: a body that cannot be a workflow leaves no trace.
    exec(_compile(tree, file, "exec", shell), shell.user_ns, namespace)
    made: FunctionType = namespace[head.function]
    if inspect.isasyncgenfunction(made):
        raise NotebookError(
            f"the body of {head.name!r} has a yield, and a workflow returns its "
            "result: use return, or yield in a step, whose items are seen as they come"
        )
    return made


def run_functions(shell: InteractiveShell, body: str, cell: Cell) -> tuple[str, Any]:
    """Execute a cell that holds functions; its file name and its last expression.

    Raises:
        CellSyntaxError: with the line of the cell.
        Exception: what the cell raised.
    """
    head = cell.head + "\n"
    text = head + body
    if not _parses(text):
        text = head + _without_shell_syntax(shell, body)
    file = _remember(shell, text, cell)
    tree = _parse(text, file, shell)
    last = (
        tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    )
    # Both before either is executed: a cell that is no Python leaves no trace.
    code = _compile(tree, file, "exec", shell)
    shown = None
    if last is not None:
        expression = ast.Expression(last.value)  # type: ignore[attr-defined]
        shown = _compile(expression, file, "eval", shell)
    exec(code, shell.user_ns)
    return file, None if shown is None else eval(shown, shell.user_ns)


def _parses(text: str) -> bool:
    try:
        parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


def _parse(text: str, file: str, shell: InteractiveShell) -> ast.Module:
    try:
        return parse(text, file)
    except SyntaxError as error:
        _hint_at_magic(error, shell)
        raise CellSyntaxError(error) from None
    except ValueError as error:  # null bytes
        raise NotebookError(f"the cell is no Python: {error}") from None


def _hint_at_magic(error: SyntaxError, shell: InteractiveShell) -> None:
    """Say of `pip install x` how it is written where it is not alone in its cell."""
    found = _WORDS.match(error.text or "")
    if found and shell.find_line_magic(found[1]) is not None:
        line = (error.text or "").strip()
        error.msg = f"{error.msg}. Did you mean %{line}?"


def _compile(tree: ast.AST, file: str, mode: str, shell: InteractiveShell) -> Any:
    try:
        return compile(tree, file, mode, shell.compile.flags, dont_inherit=True)  # type: ignore[call-overload]
    except SyntaxError as error:
        raise CellSyntaxError(error) from None


def _remember(shell: InteractiveShell, text: str, cell: Cell) -> str:
    """Make the text known to tracebacks and debuggers; its file name."""
    return shell.compile.cache(text, cell.number, raw_code=cell.raw)


def _without_shell_syntax(shell: InteractiveShell, body: str) -> str:
    """The body with `!commands` and `%magics` as calls, line by line where it was."""
    lines = _on_one_line(body).splitlines(keepends=True)
    if lines and lines[0].lstrip().startswith("%%"):
        raise NotebookError(
            f"{lines[0].split()[0]} cannot stand below %%workflow: a cell has one cell "
            "magic. Put it into a cell of its own."
        )
    try:
        made = shell.input_transformer_manager.do_token_transforms(lines)
    except SyntaxError:  # left to the parser, which says it better
        return body
    return "".join(made)


def _on_one_line(body: str) -> str:
    """Continued shell lines joined; empty lines after them keep the numbering."""
    lines = body.split("\n")
    inside = lines_in_strings(body)
    for place, text in enumerate(lines):
        if place + 1 in inside or not _SHELL.match(text):
            continue
        end = place
        while lines[end].endswith("\\") and end + 1 < len(lines):
            end += 1
        if end > place:
            joined = [
                lines[place],
                *(each.strip() for each in lines[place + 1 : end + 1]),
            ]
            lines[place] = " ".join(each.removesuffix("\\").rstrip() for each in joined)
            lines[place + 1 : end + 1] = [""] * (end - place)
    return "\n".join(lines)

"""Reads the code cells of a notebook as plain Python, line by line where it was.

IPython's own syntax is replaced by lines that parse, and remembered: only a cell that
is needed may complain about it. Neighbours: `magic` turns `%%workflow` cells into
functions, `statements` analyses what is read here.
"""

import ast
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbflow.definition.syntax import parse
from nbflow.errors import NotebookError
from nbflow.notebook import magic

SKIP, SETUP, PARAMETERS = "nbflow:skip", "nbflow:setup", "parameters"

_SHELL = re.compile(r"\s*(%|!|\?)|.*[\w\])]\?{1,2}\s*$")
_BINDS = re.compile(r"\s*([\w,\s]+?)\s*=\s*[%!]")
_TIMED = re.compile(r"%time\s+(?=\S)")
# Typed without a percent sign; IPython adds it.
_AUTOMAGIC = re.compile(
    r"\s*(pip|conda|mamba|uv|cd|ls|ll|pwd|cat|mkdir|rmdir|cp|mv|rm)(\s+[^=\s(.,]|$)"
)
# They set up a front end or the session; nothing that runs needs them.
_DROPPED = re.compile(
    r"\s*%(load_ext|reload_ext|unload_ext|autoreload|matplotlib|config|nbflow|xmode)\b"
)
_PYTHON_CELLS = ("%%time", "%%timeit", "%%capture", "%%prun")


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell: `text` parses; `shell` holds the lines of IPython's it had."""

    number: int
    text: str
    tree: ast.Module
    tags: frozenset[str] = frozenset()
    shell: dict[int, str] = field(default_factory=dict)
    file: str = ""

    @property
    def always(self) -> bool:
        """Whether a tag asks to execute it whole."""
        return SETUP in self.tags or PARAMETERS in self.tags


def read_cells(path: Path) -> list[Cell]:
    """The code cells that are not skipped, numbered as a clean "Run All" does.

    Raises:
        NotebookError: no notebook, not Python, or a syntax error in a cell.
    """
    cells = []
    for number, (source, tags) in enumerate(_sources(path), 1):
        if SKIP not in tags:
            where = f"cell {number} of {path.name}"
            file = f"{path.name}#cell-{number}"
            cells.append(read_cell(number, source, where, tags, file))
    return cells


def _sources(path: Path) -> list[tuple[str, frozenset[str]]]:
    notebook = _read(path)
    spec = notebook.metadata.get("kernelspec", {})
    language = notebook.metadata.get("language_info", {}).get("name")
    language = language or spec.get("language") or "python"
    if "python" not in str(language).lower():
        raise NotebookError(
            f"{path} is a notebook for {language}; nbflow executes Python only."
        )
    return [
        (cell.source, frozenset(cell.metadata.get("tags", ())))
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.strip()
    ]


def _read(path: Path) -> Any:
    try:
        import nbformat
    except ImportError as error:
        raise NotebookError(
            f"reading {path.name} needs the package nbformat: pip install nbformat"
        ) from error
    try:
        with warnings.catch_warnings():
            # About missing cell ids and the like, which do not matter to us.
            warnings.simplefilter("ignore")
            return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except OSError as error:
        raise NotebookError(f"{path} cannot be read: {error}") from error
    except Exception as error:  # nbformat has many ways to say the same
        is_other = isinstance(error, AttributeError | TypeError)
        why = "its JSON has another form" if is_other else _first_line(error)
        raise NotebookError(
            f"{path} is not a Jupyter notebook: {why}. Save it again "
            "from Jupyter, or give a .py file or a module."
        ) from None  # its frames tell of nbformat only


def read_cell(
    number: int,
    source: str,
    where: str,
    tags: frozenset[str] = frozenset(),
    file: str = "",
) -> Cell:
    """One code cell as plain Python.

    Args:
        number: how messages and plans name it.
        source: its text.
        where: the cell in a sentence, for errors.
        tags: its tags.
        file: the file name that its lines get.

    Raises:
        NotebookError: it is no Python.
    """
    text = _without_cell_magic(source, where)
    shell: dict[int, str] = {}
    while True:
        try:
            return Cell(number, text, parse(text, file), tags, shell, file)
        except SyntaxError as error:
            masked = _mask(text, error.lineno or 0, shell)
            if masked is None:
                raise NotebookError(_syntax_message(where, error, text)) from error
            text = masked
        except ValueError as error:  # null bytes
            raise NotebookError(f"{where} is no Python: {error}") from error


def _without_cell_magic(source: str, where: str) -> str:
    stripped = source.lstrip()
    if not stripped.startswith("%%"):
        return source
    lines = source.splitlines(keepends=True)
    first = next(index for index, line in enumerate(lines) if line.strip())
    word = stripped.split()[0]
    if word == "%%workflow":
        body = "".join(lines[first + 1 :])
        return "\n" * first + magic.as_function(lines[first].strip(), body, where)
    if word in _PYTHON_CELLS:
        lines[:first] = ["\n"] * first
        below = _without_cell_magic("".join(lines[first + 1 :]), where)
        return "\n" * (first + 1) + below  # which may be another magic's
    return "".join(f"# {line}" for line in lines)  # another language


def _mask(text: str, number: int, shell: dict[int, str]) -> str | None:
    """The text with the IPython line at `number` replaced; None if it is none."""
    lines = text.splitlines(keepends=True)
    if not 0 < number <= len(lines) or number in shell:
        return None
    line = lines[number - 1].rstrip("\n")
    binds = _BINDS.match(line)
    if not (binds or _SHELL.match(line) or _AUTOMAGIC.match(line)):
        return None
    timed = _TIMED.match(line)
    if timed:
        lines[number - 1] = line[timed.end() :] + "\n"
        return "".join(lines)
    indent = line[: len(line) - len(line.lstrip())]
    stand_in = f"{binds[1]} = None" if binds else "pass"
    lines[number - 1] = f"{indent}{stand_in}  # {line.strip()}\n"
    if not _DROPPED.match(line):
        shell[number] = line.strip()
    while line.endswith("\\") and number < len(lines):
        line = lines[number].rstrip("\n")
        lines[number] = f"# {line}\n"
        number += 1
    return "".join(lines)


def _syntax_message(where: str, error: SyntaxError, text: str) -> str:
    lines = text.splitlines()
    number = error.lineno or 1
    shown = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    return (
        f"{where}, line {number}: syntax error, {error.msg}: {shown!r}. "
        f"Correct it, or tag the cell {SKIP}."
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200].rstrip(".")

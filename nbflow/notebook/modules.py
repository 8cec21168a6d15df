"""Executes chosen statements as a module, and imports files and modules.

The module of a notebook stands in `sys.modules`, so that dataclasses, pydantic and
pickle find its classes; it has no `__file__`, as in a kernel.
"""

import ast
import asyncio
import builtins
import hashlib
import importlib
import importlib.util
import inspect
import linecache
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from nbflow.errors import NotebookError
from nbflow.notebook.cells import PARAMETERS, Cell

# Which notebook the file names in tracebacks belong to.
_owners: dict[str, Path] = {}


@dataclass(frozen=True, slots=True)
class Unit:
    """The statements of one cell that are executed."""

    cell: Cell
    nodes: list[ast.stmt]


def execute(
    path: Path, units: Sequence[Unit], parameters: Mapping[str, Any]
) -> ModuleType:
    """A fresh module in which the units have been executed in order.

    Raises:
        NotebookError: a cell failed; names it, the line and the error.
    """
    module = ModuleType(_module_name(path))
    vars(module)["__nbflow_path__"] = str(path)
    vars(module)["__builtins__"] = builtins
    vars(module)["display"] = print
    _on_path(path.parent)
    former = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module
    try:
        flags = 0
        waiting = dict(parameters)
        for unit in units:
            flags |= _future_flags(unit.nodes)
            _execute_cell(module, path, unit, flags)
            if PARAMETERS in unit.cell.tags:
                vars(module).update(waiting)
    except BaseException:
        if former is None:
            sys.modules.pop(module.__name__, None)
        else:
            sys.modules[module.__name__] = former
        raise
    return module


def import_file(path: Path) -> ModuleType:
    """Import a `.py` file under the name that an import statement would use.

    Raises:
        NotebookError: it cannot be executed.
    """
    root, parts = path.parent, [path.stem]
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    name = ".".join(parts)
    if is_dotted(name):
        _on_path(root)
        if _leads_to(name, path):
            return _import(name, str(path))
    return _import_apart(path)


def import_named(name: str, directory: Path) -> ModuleType:
    """Import a module by its dotted name, also from `directory`.

    Raises:
        NotebookError: there is none, or it cannot be executed.
    """
    _on_path(directory)
    try:
        found = importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        found = False
    except Exception as error:  # code of a parent package
        raise _failed(name, error) from error
    if not found:
        raise NotebookError(
            f"there is no module {name}. Name it as an import statement would, from "
            f"{directory} or an installed package."
        )
    return _import(name, name)


def is_dotted(name: str) -> bool:
    """Whether a text can be a module's name."""
    return all(part.isidentifier() for part in name.split("."))


def _execute_cell(module: ModuleType, path: Path, unit: Unit, flags: int) -> None:
    file = _register(unit.cell, path)
    flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = ast.Module(body=unit.nodes, type_ignores=[])
    where = f"cell {unit.cell.number} of {path.name}"
    try:
        code = compile(tree, file, "exec", flags=flags, dont_inherit=True)
        _run(code, vars(module), where)
    except NotebookError:
        raise
    except (Exception, SystemExit) as error:
        line = _line_of(error, file)
        at = f"{where}, line {line}" if line else where
        raise NotebookError(f"{at} failed: {_told(error)}") from error


def _run(code: CodeType, namespace: dict[str, Any], where: str) -> None:
    if not code.co_flags & inspect.CO_COROUTINE:
        exec(code, namespace)
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(eval(code, namespace))
        return
    raise NotebookError(
        f"{where} awaits at its top level, which cannot be done where an event loop "
        "runs already. Load the notebook in a thread."
    )


def _register(cell: Cell, path: Path) -> str:
    """Make the cell's text known to tracebacks and `inspect` under its file name."""
    lines = cell.text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    file = cell.file
    if _owners.setdefault(file, path) != path:  # a notebook of that name elsewhere
        file = f"{path.parent}/{file}"
    # No time stamp: the entry is never compared with the disk.
    linecache.cache[file] = (len(cell.text), None, lines, file)
    return file


def _future_flags(nodes: list[ast.stmt]) -> int:
    import __future__

    flags = 0
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for alias in node.names:
                feature = getattr(__future__, alias.name, None)
                flags |= getattr(feature, "compiler_flag", 0)
    return flags


def _module_name(path: Path) -> str:
    """Equal between processes, because values are stored by their class's name."""
    name = "nbflow_notebook_" + re.sub(r"\W", "_", path.stem)
    known = getattr(sys.modules.get(name), "__nbflow_path__", None)
    if known is None or known == str(path):
        return name
    # Another notebook of that name is loaded beside it.
    return f"{name}_{hashlib.sha256(str(path).encode()).hexdigest()[:6]}"


def _leads_to(name: str, path: Path) -> bool:
    loaded = sys.modules.get(name)
    if loaded is not None:
        file = getattr(loaded, "__file__", None)
        return bool(file) and Path(str(file)).resolve() == path
    try:
        spec = importlib.util.find_spec(name)
    except Exception:  # a parent package that fails says so when it is imported
        return True
    return bool(spec and spec.origin) and Path(str(spec.origin)).resolve() == path  # type: ignore[union-attr]


def _import(name: str, shown: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise _failed(shown, error) from error


def _import_apart(path: Path) -> ModuleType:
    """A file whose name another module has, or that is no name."""
    name = "nbflow_file_" + re.sub(r"\W", "_", path.stem)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    vars(module)["__nbflow_path__"] = str(path)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _failed(str(path), error) from error
    return module


def _failed(place: str, error: BaseException) -> NotebookError:
    return NotebookError(f"{place} cannot be loaded: {_told(error)}")


def _told(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"syntax error in line {error.lineno}: {error.msg}"
    if isinstance(error, SystemExit):
        return f"it ended the process (SystemExit: {error.code})"
    return f"{type(error).__name__}: {error}"


def _line_of(error: BaseException, file: str) -> int | None:
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _on_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

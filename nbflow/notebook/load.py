"""Loads the target of a command: `x.ipynb[::workflow]`, `x.py[::workflow]`,
`package.module[:workflow]`.

Neighbours: `selection` says what of a notebook to execute, `modules` finds and
executes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from nbflow.errors import NotebookError
from nbflow.notebook import modules
from nbflow.notebook.cells import PARAMETERS, Cell, read_cells
from nbflow.notebook.names import bound_names
from nbflow.notebook.selection import Selection, select, unknown_workflow
from nbflow.notebook.statements import Statement

_FORMS = "notebook.ipynb[::workflow], file.py[::workflow] or package.module[:workflow]"


@dataclass(frozen=True, slots=True)
class CellPlan:
    """A cell of which something is executed: its lines and the reason for each."""

    number: int
    file: str
    lines: tuple[tuple[int, int, str], ...]

    def __str__(self) -> str:
        parts = [f"{_span(first, last)} {why}" for first, last, why in self.lines]
        return f"cell {self.number}: {'; '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a target holds once it is loaded.

    `workflow` is the one to run: the named one, else the only one, else the one
    called `main`, else the last defined. `workflows` are all that were loaded, by
    name, in order of definition. `stem` names the app; `cells` and `plan` say what
    of a notebook was executed and why.
    """

    target: str
    stem: str
    path: Path | None
    module: ModuleType
    workflow: Any
    workflows: Mapping[str, Any]
    cells: tuple[CellPlan, ...] = ()
    left_out: tuple[int, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    @property
    def namespace(self) -> dict[str, Any]:
        """The names the target has defined."""
        return vars(self.module)

    @property
    def plan(self) -> list[str]:
        """One line a cell: what of it is executed and why; then what is not."""
        lines = [str(cell) for cell in self.cells]
        if self.left_out:
            numbers = ", ".join(map(str, self.left_out))
            lines.append(f"left out: cell{'s'[: len(self.left_out) > 1]} {numbers}")
        return lines


def is_workflow(value: object) -> bool:
    """Whether a value is a workflow."""
    return getattr(type(value), "__nbflow_workflow__", False) is True


def load_target(
    target: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    every: bool = False,
    directory: Path | None = None,
) -> Loaded:
    """Load the workflows of a notebook, file or module.

    The folder it lies in is put on `sys.path`, as a kernel and Python do.

    Args:
        target: `notebook.ipynb[::workflow]`, `file.py[::workflow]` or
            `package.module[:workflow]`.
        parameters: values that replace those of the notebook's cell tagged
            `parameters`.
        every: load all workflows of a notebook, not just what one of them needs.
        directory: what relative paths start from; by default the current folder.

    Raises:
        NotebookError: nothing is there, it cannot be executed, or it holds no such
            workflow; the message says where and what to do.
    """
    place, name = split_target(target)
    suffix = Path(place).suffix
    if suffix == ".ipynb":
        path = existing_file(place, directory)
        return _load_notebook(target, path, name, parameters or {}, every=every)
    if parameters:
        raise NotebookError(
            f"{target} has no cell tagged {PARAMETERS}: parameters are for notebooks. "
            "Pass values as the workflow's input."
        )
    if suffix == ".py":
        module = modules.import_file(existing_file(place, directory))
    elif modules.is_dotted(place):
        module = modules.import_named(place, directory or Path.cwd())
    else:
        raise NotebookError(f"{target!r} is no target. Give {_FORMS}.")
    return _loaded_module(target, module, name)


def with_workflow(target: str, workflow: str, *, instead: bool = False) -> str:
    """The target with a workflow named, as in `x.ipynb::fetch`.

    Args:
        target: a target, with or without a workflow.
        workflow: the workflow's name.
        instead: whether it takes the place of the one that is named already.
    """
    place, name = split_target(target)
    if name is not None and not instead:
        return target
    mark = "::" if Path(place).suffix in (".ipynb", ".py") else ":"
    return f"{place}{mark}{workflow}"


def _load_notebook(
    target: str,
    path: Path,
    name: str | None,
    parameters: Mapping[str, Any],
    *,
    every: bool,
) -> Loaded:
    cells = read_cells(path)
    selection = select(cells, path.name, name, every=every)
    warnings = [*selection.warnings, *_unknown_parameters(cells, parameters, path)]
    module = modules.execute(path, list(_units(selection)), parameters)
    workflows = _workflows(module, warnings, path.name)
    wanted = _chosen(module, workflows, selection.wanted if name is None else name)
    if wanted is None and name is None:
        wanted = _default(workflows)
    if wanted is None:
        raise unknown_workflow(name or "", workflows, path.name)
    plan = tuple(_plan(cell, group) for cell, group in selection.by_cell())
    used = {cell.number for cell in plan}
    left_out = tuple(cell.number for cell in cells if cell.number not in used)
    return Loaded(
        target,
        path.stem,
        path,
        module,
        wanted,
        workflows,
        plan,
        left_out,
        tuple(warnings),
    )


def _loaded_module(target: str, module: ModuleType, name: str | None) -> Loaded:
    warnings: list[str] = []
    found = _workflows(module, warnings, target)
    own = {
        key: value
        for key, value in found.items()
        if getattr(getattr(value, "fn", None), "__module__", None) == module.__name__
    }
    workflow = _chosen(module, found, name) if name else _default(own or found)
    file = getattr(module, "__file__", None)
    path = Path(file) if file else None
    if workflow is None:
        place = split_target(target)[0]
        if name:
            raise unknown_workflow(name, found, place)
        raise NotebookError(
            f"{place} defines no workflow. Put @workflow above an async "
            "function (from nbflow import workflow)."
        )
    stem = path.stem if path else module.__name__.rpartition(".")[2]
    return Loaded(target, stem, path, module, workflow, found, warnings=tuple(warnings))


def split_target(target: str) -> tuple[str, str | None]:
    """A target's file or module, and its workflow if it names one.

    Raises:
        NotebookError: it has none of the forms.
    """
    place, mark, name = target.partition("::")
    if not mark:
        head, colon, tail = target.rpartition(":")
        # Not the colon of a drive, as in C:\flows.py
        if colon and len(head) > 1 and not set(tail) & set("/\\"):
            place, mark, name = head, colon, tail
    if not place or (mark and not name):
        raise NotebookError(f"{target!r} is no target. Give {_FORMS}.")
    return place, name or None


def existing_file(place: str, directory: Path | None) -> Path:
    """The file of a target, as an absolute path.

    Raises:
        NotebookError: it is not there; names those that are.
    """
    path = (directory or Path.cwd()) / Path(place).expanduser()
    if path.is_file():
        return path.resolve()
    if path.is_dir():
        raise NotebookError(f"{path} is a folder, not a file. Give {_FORMS}.")
    near: list[str] = []
    if path.parent.is_dir():
        names = sorted(each.name for each in path.parent.glob(f"*{path.suffix}"))
        near = get_close_matches(path.name, names, n=3) or names[:3]
    there = f"; in that folder are: {', '.join(near)}" if near else ""
    raise NotebookError(f"there is no file {path}{there}.")


def _units(selection: Selection) -> Sequence[modules.Unit]:
    return [
        modules.Unit(cell, [statement.node for statement, _ in group])
        for cell, group in selection.by_cell()
    ]


def _unknown_parameters(
    cells: Sequence[Cell], parameters: Mapping[str, Any], path: Path
) -> list[str]:
    if not parameters:
        return []
    tagged = [cell for cell in cells if PARAMETERS in cell.tags]
    if not tagged:
        raise NotebookError(
            f"{path.name} has no cell tagged {PARAMETERS}, which is where "
            f"{', '.join(parameters)} would go. Tag the cell that sets them."
        )
    bound = set().union(*(bound_names(cell.tree.body) for cell in tagged))
    return [
        f"{path.name}: no cell tagged {PARAMETERS} sets {name!r}"
        for name in parameters
        if name not in bound
    ]


def _workflows(module: ModuleType, warnings: list[str], place: str) -> dict[str, Any]:
    """Those among the module's names, by workflow name; the last of a name counts."""
    found: dict[str, Any] = {}
    for value in list(vars(module).values()):
        for each in value if isinstance(value, list | tuple) else (value,):
            if not is_workflow(each):
                continue
            if found.get(each.name, each) is not each:
                warnings.append(
                    f"{place} defines workflow {each.name!r} twice; the last one counts"
                )
            found[each.name] = each
    return found


def _chosen(
    module: ModuleType, workflows: Mapping[str, Any], name: str | None
) -> Any | None:
    if name is None:
        return None
    if name in workflows:
        return workflows[name]
    value = vars(module).get(name)
    return value if is_workflow(value) else None


def _default(workflows: Mapping[str, Any]) -> Any | None:
    if "main" in workflows:
        return workflows["main"]
    return list(workflows.values())[-1] if workflows else None


def _plan(cell: Cell, group: list[tuple[Statement, str]]) -> CellPlan:
    lines = tuple(
        (statement.lines.start, statement.lines.stop - 1, why)
        for statement, why in group
    )
    return CellPlan(cell.number, cell.file, lines)


def _span(first: int, last: int) -> str:
    return f"line {first}" if first == last else f"lines {first}-{last}"

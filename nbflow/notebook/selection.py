"""Chooses the statements of a notebook that its workflows need, and says why.

A dependency slice: from the definitions back over the names that they and their
helpers read, to the last binding above each reader, with the statements that change
those objects. What only displays or starts runs is left out.
"""

import ast
import builtins
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NamedTuple

from nbflow.errors import NotebookError
from nbflow.notebook.cells import SETUP, Cell
from nbflow.notebook.names import dotted, root_name
from nbflow.notebook.statements import (
    Definition,
    Statement,
    analyse,
    calls,
    invoked_by_computed_name,
    texts,
)

_GIVEN = frozenset(dir(builtins)) | {"__name__", "__doc__", "display"}


class _Need(NamedTuple):
    name: str
    before: int  # position in the notebook of who reads it
    reader: str


@dataclass(slots=True)
class Selection:
    """The statements to execute, by position, each with the reason."""

    statements: list[Statement]
    chosen: dict[int, str] = field(default_factory=dict)
    wanted: str | None = None
    warnings: list[str] = field(default_factory=list)

    def by_cell(self) -> Iterator[tuple[Cell, list[tuple[Statement, str]]]]:
        """The cells with something to execute, in order."""
        groups: dict[int, list[tuple[Statement, str]]] = {}
        for index in sorted(self.chosen):
            statement = self.statements[index]
            group = groups.setdefault(statement.cell.number, [])
            group.append((statement, self.chosen[index]))
        for group in groups.values():
            yield group[0][0].cell, group


def select(
    cells: Sequence[Cell], place: str, workflow: str | None = None, *, every: bool
) -> Selection:
    """Choose what `workflow` needs; without a name the one that runs by default.

    Workflows that it invokes by a literal name come along. `every`: all of them.

    Raises:
        NotebookError: no or an unknown workflow, IPython's syntax or an invocation
            in a statement that is needed.
    """
    statements = analyse(cells)
    search = _Search(statements, place)
    roots = search.roots(workflow, every=every)
    search.run(roots)
    selection = search.selection
    for index in sorted(selection.chosen):
        _check(statements[index], search.variables, place)
    return selection


class _Search:
    """One search over the statements of one notebook."""

    def __init__(self, statements: list[Statement], place: str) -> None:
        self.statements = statements
        self.place = place
        self.selection = Selection(statements)
        self.defined = [
            (index, definition)
            for index, statement in enumerate(statements)
            for definition in statement.definitions
        ]
        self.variables = {definition.variable for _, definition in self.defined}
        self._needs: deque[_Need] = deque()
        self._asked: set[tuple[str, int]] = set()
        self._missing: dict[str, str] = {}
        self._limit = 0
        self._allowed = self._setup_only()
        self._binders: dict[str, list[int]] = {}
        self._changers: dict[str, list[int]] = {}
        for index, statement in enumerate(statements):
            if not self._allowed or statement.cell.number in self._allowed:
                for name in statement.binds:
                    self._binders.setdefault(name, []).append(index)
                for name in statement.changes:
                    self._changers.setdefault(name, []).append(index)

    def roots(self, workflow: str | None, *, every: bool) -> list[int]:
        """The statements that define what was asked for."""
        if not self.defined and workflow is None:
            raise NotebookError(
                f"{self.place} defines no workflow. Put @workflow above an async "
                "function (from nbflow import workflow)."
            )
        everything = sorted({index for index, _ in self.defined})
        self.selection.wanted = workflow or self._default()
        if every:
            return everything
        named = self._named(self.selection.wanted)
        if named is not None:
            return [named]
        if any(definition.name is None for _, definition in self.defined):
            return everything  # it may be one whose name is computed
        raise self._unknown(self.selection.wanted)

    def run(self, roots: list[int]) -> None:
        """Choose the roots, what they need, and the workflows they invoke by name."""
        chosen = self.selection.chosen
        self._tagged()
        waiting = list(roots)
        done: set[int] = set()
        known = {name for each in self.statements for name in each.binds}
        while waiting:
            root = waiting.pop(0)
            if root in done:
                continue
            done.add(root)
            self._limit = root + 1
            names = [repr(_shown(each)) for each in self.statements[root].definitions]
            reason = f"defines workflow {', '.join(names)}" if names else "asked for"
            self._choose(root, reason)
            self._settle()
            nodes = [self.statements[index].node for index in chosen]
            waiting += self._invoked(nodes, known)
        self._environment()
        self._report()

    def _invoked(self, nodes: list[ast.stmt], known: set[str]) -> list[int]:
        if any(invoked_by_computed_name(node, known) for node in nodes):
            return [index for index, _ in self.defined]
        mentioned = set().union(*map(texts, nodes)) if nodes else set()
        return [
            index
            for index, definition in self.defined
            if definition.name in mentioned and self._named(definition.name) == index
        ]

    def _default(self) -> str:
        """The only one, else the one called `main`, else the last defined."""
        names = [_shown(definition) for _, definition in self.defined]
        return "main" if "main" in names else names[-1]

    def _named(self, name: str | None) -> int | None:
        for index, definition in reversed(self.defined):
            if name == definition.name:
                return index
        for index, definition in reversed(self.defined):
            if name == definition.variable:
                return index
        # Imported, or made in a way that the text does not show.
        places = self._binders.get(name or "", ())
        return places[-1] if places else None

    def _unknown(self, name: str) -> NotebookError:
        return unknown_workflow(
            name, [_shown(definition) for _, definition in self.defined], self.place
        )

    def _setup_only(self) -> set[int]:
        """With cells tagged as setup: only those, and the ones with definitions."""
        tagged = {each.cell.number for each in self.statements if each.cell.always}
        if not any(SETUP in each.cell.tags for each in self.statements):
            return set()
        return tagged | {
            self.statements[index].cell.number for index, _ in self.defined
        }

    def _tagged(self) -> None:
        for index, statement in enumerate(self.statements):
            if statement.is_future:
                self._choose(index, "switches on a feature of the language")
            elif statement.cell.always and not _is_dropped(statement):
                tag = SETUP if SETUP in statement.cell.tags else "parameters"
                self._limit = index + 1
                self._choose(index, f"the cell is tagged {tag}")
                self._settle()

    def _environment(self) -> None:
        last = max(self.selection.chosen, default=-1)
        for index, statement in enumerate(self.statements[: max(last, 0)]):
            allowed = not self._allowed or statement.cell.number in self._allowed
            if allowed and statement.sets_environment:
                self._limit = index + 1
                self._choose(index, "sets up the environment")
                self._settle()

    def _choose(self, index: int, reason: str, viewpoint: int | None = None) -> None:
        statement = self.statements[index]
        self.selection.chosen.setdefault(index, reason)
        reader = _what(statement)
        for name in statement.reads:
            self._ask(name, index, reader)
        for name in statement.later:
            self._ask(name, index + 1 if viewpoint is None else viewpoint, reader)
            self._ask(name, max(self._limit, index + 1), reader)

    def _ask(self, name: str, before: int, reader: str) -> None:
        if (name, before) not in self._asked:
            self._asked.add((name, before))
            self._needs.append(_Need(name, before, reader))

    def _settle(self) -> None:
        while self._needs:
            self._resolve(self._needs.popleft())

    def _resolve(self, need: _Need) -> None:
        places = self._binders.get(need.name, [])
        above = [index for index in places if index < need.before]
        if not above and not places:
            if need.name not in _GIVEN:
                self._missing.setdefault(need.name, need.reader)
            return
        # Bound below only: functions look it up when they run.
        found = above or places[-1:]
        end = need.before if above else len(self.statements)
        for index in reversed(found):
            reason = f"defines {need.name}, which {need.reader} needs"
            self._choose(index, reason, need.before)
            if not self.statements[index].may_bind:
                break
        for changer in self._changers.get(need.name, ()):
            if index < changer < end:
                self._choose(changer, f"changes {need.name}", need.before)

    def _report(self) -> None:
        stars = [i for i, each in enumerate(self.statements) if each.imports_all]
        last = max(self.selection.chosen, default=-1)
        usable = [index for index in stars if index < last]
        for index in usable if self._missing else ():
            self._choose(index, "may define " + ", ".join(sorted(self._missing)))
            self._settle()
        for name, reader in self._missing.items() if not usable else ():
            self.selection.warnings.append(
                f"{self.place}: {reader} reads {name!r}, which no cell that may be "
                f"executed defines in plain Python{self._elsewhere(name)}."
            )

    def _elsewhere(self, name: str) -> str:
        for statement in self.statements:
            if name in statement.binds:
                return (
                    f" (cell {statement.cell.number} does, and has no tag {SETUP}, "
                    "which other cells have)"
                )
        return ""


def unknown_workflow(name: str, known: Iterable[str], place: str) -> NotebookError:
    """The error for a workflow that `place` does not define."""
    names = list(dict.fromkeys(known))
    near = get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return NotebookError(
        f"{place} defines no workflow {name!r}.{hint} "
        f"It defines: {', '.join(names) or 'none'}."
    )


def _check(statement: Statement, workflows: set[str], place: str) -> None:
    cell = statement.cell
    for number in statement.lines:
        if number in cell.shell:
            raise NotebookError(
                f"cell {cell.number} of {place}, line {number}: {cell.shell[number]!r} "
                f"is IPython's syntax, and {_what(statement)} is needed. Outside a "
                "notebook only plain Python runs: move that line to a cell of its own "
                "or write it in Python."
            )
    for call in calls(statement.node):
        if _invokes(call, workflows):
            raise NotebookError(
                f"cell {cell.number} of {place}, line {call.lineno}: "
                f"{ast.unparse(call)[:80]!r} starts a run, and {_what(statement)} is "
                "needed to define the workflow. Runs are not started while loading: "
                "make it a ctx.invoke in the workflow, or pass its result as input."
            )


def _invokes(call: ast.Call, workflows: set[str]) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr not in {"invoke", "invoke_many"}:
        return False
    return root_name(call.func) in workflows or dotted(call.func.value).endswith(
        "workflows"
    )


def _is_dropped(statement: Statement) -> bool:
    """A line of IPython's that nothing needs, such as `%matplotlib inline`."""
    return isinstance(statement.node, ast.Pass) and not any(
        number in statement.cell.shell for number in statement.lines
    )


def _what(statement: Statement) -> str:
    """The statement in a sentence: `'fetch'`, or its place."""
    names = sorted(statement.binds)
    if names:
        return ", ".join(map(repr, names[:3])) + (" …" if names[3:] else "")
    return f"line {statement.lines.start} of cell {statement.cell.number}"


def _shown(definition: Definition) -> str:
    return definition.name or definition.variable

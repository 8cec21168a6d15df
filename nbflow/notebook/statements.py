"""The top-level statements of a notebook and what each does to names.

Pure analysis of trees; `selection` decides with it what has to be executed.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nbflow.notebook.cells import Cell
from nbflow.notebook.names import (
    FUNCTIONS,
    bound_names,
    dotted,
    read_names,
    root_name,
    walk_scope,
)

# Methods that change what they are called on, or the library they belong to.
_CHANGING = frozenset(
    {
        *("append", "appendleft", "extend", "extendleft", "insert", "add", "update"),
        *("setdefault", "pop", "popitem", "popleft", "remove", "discard", "clear"),
        *("sort", "reverse", "rotate", "register", "unregister", "allow_pickle"),
        *("seed", "basicConfig", "addHandler", "setLevel", "load_state_dict"),
        *("filterwarnings", "simplefilter", "use", "put", "push"),
    }
)
_CHANGING_PREFIXES = ("set_", "add_", "register_", "configure", "enable_", "disable_")
# These change what the classes handed to them do.
_TAKING = frozenset({"register", "allow_pickle"})
_ENVIRONMENT = ("os.environ", "sys.path", "load_dotenv", "dotenv.load_dotenv")
_COMPOUND = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    ast.TryStar,
    ast.Match,
)
_FUNCTION_STATEMENTS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Definition:
    """A workflow as far as the text tells: `name` is None when it is computed."""

    variable: str
    name: str | None


@dataclass(slots=True)
class Statement:
    """One top-level statement.

    It `reads` names at once, and others `later`, when what it defines is used.
    """

    cell: Cell
    node: ast.stmt
    binds: set[str]
    reads: tuple[str, ...]
    later: tuple[str, ...]
    changes: set[str]
    definitions: tuple[Definition, ...] = ()

    @property
    def lines(self) -> range:
        """Its lines in the cell, decorators included."""
        decorators = getattr(self.node, "decorator_list", ())
        first = min([self.node.lineno, *(each.lineno for each in decorators)])
        return range(first, (self.node.end_lineno or self.node.lineno) + 1)

    @property
    def may_bind(self) -> bool:
        """Whether its bindings depend on how it goes, so that earlier ones count."""
        return isinstance(self.node, _COMPOUND)

    @property
    def is_future(self) -> bool:
        """Whether it switches on a feature of the language."""
        node = self.node
        return isinstance(node, ast.ImportFrom) and node.module == "__future__"

    @property
    def imports_all(self) -> bool:
        """Whether the names it binds cannot be read off it."""
        node = self.node
        return isinstance(node, ast.ImportFrom) and node.names[0].name == "*"

    @property
    def sets_environment(self) -> bool:
        """Whether it changes where modules are found or what programs are told."""
        spots = [*_targets(self.node), *(call.func for call in calls(self.node))]
        return any(
            dotted(_unindexed(spot)).startswith(_ENVIRONMENT)
            for spot in spots
            if not isinstance(spot, ast.Name) or spot.id == "load_dotenv"
        )


@dataclass(slots=True)
class Makers:
    """The names that make a function a workflow in this notebook.

    `own` are those of `nbflow.workflow`; `names` holds the notebook's own as well.
    """

    own: set[str] = field(default_factory=lambda: {"workflow"})
    names: set[str] = field(default_factory=lambda: {"workflow"})

    def makes(self, node: ast.AST) -> bool:
        """Whether a decorator or a called expression makes workflows."""
        if isinstance(node, ast.Call):
            return self.makes(node.func)
        if isinstance(node, ast.Attribute):
            return node.attr == "workflow"
        return isinstance(node, ast.Name) and node.id in self.names


def analyse(cells: Sequence[Cell]) -> list[Statement]:
    """Every top-level statement, in order."""
    statements = [_statement(cell, node) for cell in cells for node in cell.tree.body]
    makers = _makers(statements)
    for statement in statements:
        statement.definitions = tuple(_definitions(statement, makers))
    return statements


def calls(node: ast.AST) -> Iterator[ast.Call]:
    """The calls that a statement makes itself, not those of functions it defines."""
    return (each for each in walk_scope(node) if isinstance(each, ast.Call))


def texts(node: ast.AST) -> set[str]:
    """Every text constant in a statement."""
    return {
        each.value
        for each in ast.walk(node)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }


def invoked_by_computed_name(node: ast.AST, known: set[str]) -> bool:
    """Whether a body invokes a target whose name cannot be read off the text."""
    for call in ast.walk(node):
        if not (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr in {"invoke", "try_invoke", "start"}
            and len(call.args) > 1
        ):
            continue
        target = call.args[1]
        if isinstance(target, ast.Name):
            if target.id not in known:
                return True
        elif not isinstance(target, ast.Constant | ast.Attribute | ast.Call):
            return True
    return False


def _statement(cell: Cell, node: ast.stmt) -> Statement:
    reads = read_names(node)
    return Statement(
        cell,
        node,
        bound_names([node]),
        tuple(reads.now),
        tuple(reads.later),
        set(_changes(node)),
    )


def _changes(node: ast.stmt) -> Iterator[str]:
    """The names whose objects a statement changes, as far as the text tells."""
    for target in _targets(node):
        if not isinstance(target, ast.Name):
            name = root_name(target)
            if name:
                yield name
    for call in calls(node):
        if not isinstance(call.func, ast.Attribute):
            continue
        method = call.func.attr
        if method in _CHANGING or method.startswith(_CHANGING_PREFIXES):
            name = root_name(call.func)
            if name:
                yield name
            if method in _TAKING:
                yield from (each.id for each in call.args if isinstance(each, ast.Name))
    if isinstance(node, _FUNCTION_STATEMENTS):
        for decorator in node.decorator_list:
            inner = decorator.func if isinstance(decorator, ast.Call) else decorator
            if isinstance(inner, ast.Attribute) and inner.attr in _CHANGING:
                yield root_name(inner) or ""
    for each in ast.walk(node):
        if isinstance(each, ast.Global):
            yield from each.names


def _targets(node: ast.stmt) -> Iterator[ast.expr]:
    for each in walk_scope(node):
        if isinstance(each, ast.Assign | ast.Delete):
            yield from each.targets
        elif isinstance(each, ast.AugAssign | ast.AnnAssign | ast.For | ast.AsyncFor):
            yield each.target


def _unindexed(node: ast.AST) -> ast.AST:
    return node.value if isinstance(node, ast.Subscript) else node


def _makers(statements: list[Statement]) -> Makers:
    makers = Makers()
    for statement in statements:
        node = statement.node
        if isinstance(node, ast.ImportFrom):
            makers.own.update(
                alias.asname
                for alias in node.names
                if alias.name == "workflow" and alias.asname
            )
    makers.names |= makers.own
    known = 0
    while known != len(makers.names):  # a factory may use another one
        known = len(makers.names)
        for statement in statements:
            makers.names.update(_made_by(statement.node, makers))
    return makers


def _made_by(node: ast.stmt, makers: Makers) -> Iterator[str]:
    """Functions and decorators of the notebook's own that make workflows."""
    if isinstance(node, _FUNCTION_STATEMENTS):
        inside = (each for part in node.body for each in ast.walk(part))
        if any(_makes_inside(each, makers) for each in inside):
            yield node.name
    elif isinstance(node, ast.Assign) and _is_decorator(node.value, makers):
        yield from bound_names([node])


def _makes_inside(node: ast.AST, makers: Makers) -> bool:
    if isinstance(node, _FUNCTION_STATEMENTS):
        return any(makers.makes(each) for each in node.decorator_list)
    return isinstance(node, ast.Call) and makers.makes(node.func)


def _is_decorator(value: ast.expr, makers: Makers) -> bool:
    """`workflow(retries=2)`: options, and no function yet."""
    if not isinstance(value, ast.Call) or value.args:
        return False
    name = dotted(value.func)
    return name.endswith(".workflow") or name in makers.own


def _definitions(statement: Statement, makers: Makers) -> Iterator[Definition]:
    for node in walk_scope(statement.node):
        if isinstance(node, _FUNCTION_STATEMENTS):
            for decorator in node.decorator_list:
                if makers.makes(decorator):
                    yield Definition(node.name, _name_of(decorator, node.name))
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            value = node.value
            if isinstance(value, FUNCTIONS) or _is_decorator(value, makers):
                continue
            made = [call for call in calls(value) if makers.makes(call.func)]
            for variable in sorted(bound_names([node])) if made else ():
                yield Definition(variable, _assigned_name(value))


def _name_of(decorator: ast.expr, fallback: str) -> str | None:
    """What `name=` says, else the function's name; None when it is computed."""
    if isinstance(decorator, ast.Call):
        for each in decorator.keywords:
            if each.arg == "name":
                return _text(each.value)
            if each.arg is None:
                return None
    return fallback


def _assigned_name(value: ast.expr) -> str | None:
    """The name in `workflow(name="x")(f)` or `workflow(f)`."""
    function: str | None = None
    node = value
    while isinstance(node, ast.Call):
        name = _name_of(node, "")
        if name:
            return name
        if node.args and isinstance(node.args[0], ast.Name):
            function = node.args[0].id
        node = node.func
    return function


def _text(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None

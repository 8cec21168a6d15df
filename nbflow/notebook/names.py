"""Which names a piece of Python binds, reads at once, and reads when called later.

Worked out on the tree, not by `symtable`: from 3.12 on that lists the variables of
comprehensions as the module's own.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(slots=True)
class Reads:
    """Names of the module that code reads; a dict keeps them in order."""

    now: dict[str, None] = field(default_factory=dict)
    later: dict[str, None] = field(default_factory=dict)


def bound_names(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that statements bind in the scope they stand in."""
    names: set[str] = set()
    declared: set[str] = set()
    for node in nodes:
        for inner in walk_scope(node):
            names.update(_bound_by(inner))
            if isinstance(inner, ast.Global | ast.Nonlocal):
                declared.update(inner.names)
    return names - declared


def read_names(node: ast.stmt) -> Reads:
    """The names of the module that a statement of it reads."""
    reads = Reads()
    _visit(node, (), False, reads)
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        reads.now[node.target.id] = None
    return reads


def walk_scope(node: ast.AST) -> Iterator[ast.AST]:
    """The node and what belongs to its scope: not the bodies of inner functions."""
    yield node
    if isinstance(node, ast.ClassDef):
        inner: list[ast.AST] = [*node.decorator_list, *node.bases, *node.keywords]
    elif isinstance(node, FUNCTIONS):
        inner = [*getattr(node, "decorator_list", ()), *_defaults(node.args)]
    else:
        inner = list(ast.iter_child_nodes(node))
    for child in inner:
        if isinstance(node, COMPREHENSIONS):
            for each in walk_scope(child):
                # Its own variables stay inside; a walrus binds around it.
                if not (isinstance(each, ast.Name) and _stored(each)):
                    yield each
                if isinstance(each, ast.NamedExpr):
                    yield each.target
        else:
            yield from walk_scope(child)


def root_name(node: ast.AST) -> str | None:
    """`cfg` for `cfg["x"].y`, `cfg.options(1).invoke` and the like."""
    while True:
        if isinstance(node, ast.Attribute | ast.Subscript | ast.Await | ast.Starred):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            return node.id if isinstance(node, ast.Name) else None


def dotted(node: ast.AST) -> str:
    """`os.environ` for that expression; empty for what is no chain of names."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def _bound_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Store):
            yield node.id
    elif isinstance(node, DEFINITIONS):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0]
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        if node.name:
            yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest


def _visit(
    node: ast.AST, scopes: tuple[frozenset[str], ...], later: bool, reads: Reads
) -> None:
    if isinstance(node, ast.Name):
        if not _stored(node) and not any(node.id in scope for scope in scopes):
            (reads.later if later else reads.now)[node.id] = None
    elif isinstance(node, FUNCTIONS):
        _visit_function(node, scopes, later, reads)
    elif isinstance(node, ast.ClassDef):
        _visit_class(node, scopes, later, reads)
    elif isinstance(node, COMPREHENSIONS):
        own = frozenset(
            each.id
            for generator in node.generators
            for each in ast.walk(generator.target)
            if isinstance(each, ast.Name)
        )
        _visit(node.generators[0].iter, scopes, later, reads)
        _visit_all(ast.iter_child_nodes(node), (*scopes, own), later, reads)
    else:
        if isinstance(node, ast.AnnAssign):
            _visit_text(node.annotation, scopes, reads)
        _visit_all(ast.iter_child_nodes(node), scopes, later, reads)


def _visit_all(
    nodes: Iterable[ast.AST],
    scopes: tuple[frozenset[str], ...],
    later: bool,
    reads: Reads,
) -> None:
    for node in nodes:
        _visit(node, scopes, later, reads)


def _visit_function(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda,
    scopes: tuple[frozenset[str], ...],
    later: bool,
    reads: Reads,
) -> None:
    parameters = [
        each
        for each in ast.walk(node.args)
        if isinstance(each, ast.arg) and not _in_default(each, node.args)
    ]
    types = _type_parameters(node)
    outer = (*scopes, types) if types else scopes
    annotations = [each.annotation for each in parameters if each.annotation]
    body: list[ast.AST]
    if isinstance(node, ast.Lambda):
        body = [node.body]
    else:
        _visit_all(node.decorator_list, scopes, later, reads)
        annotations += [node.returns] if node.returns else []
        body = list(node.body)
    _visit_all(_defaults(node.args), scopes, later, reads)
    for annotation in annotations:
        _visit_text(annotation, outer, reads)
        _visit(annotation, outer, later, reads)
    own = frozenset({each.arg for each in parameters} | bound_names(body))
    inside = (*outer, own)
    _visit_all(body, inside, True, reads)
    if isinstance(node, ast.Lambda) and not later:
        # `sorted(rows, key=lambda row: WEIGHTS[row])` calls it on the spot.
        _visit_all(body, inside, False, reads)


def _visit_class(
    node: ast.ClassDef,
    scopes: tuple[frozenset[str], ...],
    later: bool,
    reads: Reads,
) -> None:
    types = _type_parameters(node)
    outer = (*scopes, types) if types else scopes
    _visit_all(node.decorator_list, scopes, later, reads)
    _visit_all([*node.bases, *node.keywords], outer, later, reads)
    own = frozenset(bound_names(node.body))
    for statement in node.body:
        # A class's names are not seen by its methods.
        sees = outer if isinstance(statement, FUNCTIONS) else (*outer, own)
        _visit(statement, sees, later, reads)


def _visit_text(
    annotation: ast.AST, scopes: tuple[frozenset[str], ...], reads: Reads
) -> None:
    """Names in annotations written as text, which are looked up later."""
    for each in ast.walk(annotation):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            try:
                tree = ast.parse(each.value.strip(), mode="eval")
            except (SyntaxError, ValueError):
                continue
            _visit(tree, scopes, True, reads)


def _in_default(parameter: ast.arg, args: ast.arguments) -> bool:
    """Whether a lambda in a default value brought this parameter."""
    return any(
        parameter is each for default in _defaults(args) for each in ast.walk(default)
    )


def _defaults(args: ast.arguments) -> list[ast.expr]:
    return [*args.defaults, *(each for each in args.kw_defaults if each)]


def _type_parameters(node: ast.AST) -> frozenset[str]:
    return frozenset(each.name for each in getattr(node, "type_params", ()))


def _stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store | ast.Del)

"""Finds the syntax tree behind a code object or class: in files, cells, notebooks.

Reads text through `linecache` only, which knows the cells of IPython and those that
`nbflow.notebook` executes. Neighbour: `source`, which hashes what is found here.
"""

import ast
import linecache
import sys
import textwrap
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from types import CodeType, FunctionType
from typing import Any, TypeAlias

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Node: TypeAlias = Definition | ast.Lambda

_FILES = 64


@dataclass(slots=True)
class _File:
    lines: list[str]
    functions: dict[tuple[int, str], ast.FunctionDef | ast.AsyncFunctionDef] = field(
        default_factory=dict
    )
    lambdas: dict[int, list[ast.Lambda]] = field(default_factory=dict)
    classes: dict[str, list[ast.ClassDef]] = field(default_factory=dict)


_files: OrderedDict[str, _File | None] = OrderedDict()
_texts: dict[str, list[str]] = {}


def find_function(
    code: CodeType, module: Mapping[str, Any] | None = None
) -> tuple[Node, list[str]] | None:
    """The node a code object was compiled from, and the lines of its file.

    None when there is no text, or when the text is no longer what was compiled as
    far as name, line and parameters tell. `module`: the globals, which lead to the
    text of modules in archives.
    """
    file = _file(code.co_filename, module)
    if file is None:
        return None
    node: Node | None
    if code.co_name == "<lambda>":
        node = _lambda_at(file.lambdas.get(code.co_firstlineno, []), code)
    else:
        node = file.functions.get((code.co_firstlineno, code.co_name))
        if node is not None and not _same_parameters(node.args, code):
            node = None
    return None if node is None else (node, file.lines)


def find_class(cls: type) -> tuple[Node, list[str]] | None:
    """The node of a class, found by its methods or else by its module's file."""
    places = [
        (function.__code__.co_filename, function.__code__.co_firstlineno)
        for function in own_functions(cls)
    ]
    if not places:
        path = getattr(sys.modules.get(cls.__module__), "__file__", None)
        places = [(path, 0)] if path and path.endswith(".py") else []
    for filename, line in places:
        file = _file(filename, None)
        nodes = file.classes.get(cls.__qualname__, []) if file else []
        for node in reversed(nodes):
            if file and (not line or node.lineno <= line <= (node.end_lineno or 0)):
                return node, file.lines
    return None


def own_functions(cls: type) -> list[FunctionType]:
    """The functions written in the class's body, also behind properties and the like.

    Generated ones (those of dataclasses) are left out.
    """
    found: list[FunctionType] = []
    for value in list(vars(cls).values()):
        inner: Any = value
        if isinstance(value, staticmethod | classmethod):
            inner = value.__func__
        elif isinstance(value, property):
            inner = value.fget
        elif isinstance(value, cached_property):
            inner = value.func
        # Decorated ones: the wrapper's code stands elsewhere.
        while not isinstance(inner, type) and "__wrapped__" in attributes(inner):
            inner = attributes(inner)["__wrapped__"]
        if (
            isinstance(inner, FunctionType)
            and inner.__qualname__.startswith(f"{cls.__qualname__}.")
            and not inner.__code__.co_filename.startswith("<string")
        ):
            found.append(inner)
    return found


def attributes(value: object) -> Mapping[str, Any]:
    """What stands in an object's own `__dict__`, without asking the object."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, Mapping) else {}


def own_text(node: Node) -> str:
    """The code of a node without its decorators, docstrings, comments, positions."""
    if isinstance(node, ast.Lambda) or not node.decorator_list:
        return ast.unparse(node)
    # Copied, because the tree is shared between threads.
    bare = copy(node)
    bare.decorator_list = []
    return ast.unparse(bare)


def user_text(node: Node, lines: list[str]) -> str:
    """The text of a node as its author wrote it, decorators included, dedented."""
    if isinstance(node, ast.Lambda):
        return ast.get_source_segment("".join(lines), node) or ast.unparse(node)
    return textwrap.dedent("".join(lines[first_line(node) - 1 : node.end_lineno]))


def first_line(node: Definition) -> int:
    """The line a definition begins on: that of its first decorator, if it has one."""
    return min([node.lineno, *(each.lineno for each in node.decorator_list)])


def parse(text: str, filename: str = "<unknown>") -> ast.Module:
    """`ast.parse` that leaves warnings about the text to those who compile it."""
    if "\\" not in text:  # only escapes warn at this stage
        return ast.parse(text, filename)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, filename)


def _file(filename: str, module: Mapping[str, Any] | None) -> _File | None:
    linecache.checkcache(filename)  # a module that was edited and reloaded
    lines = linecache.getlines(filename, dict(module) if module else None)
    if filename in _files and _texts.get(filename) is lines:
        return _files[filename]
    file = _indexed(filename, lines) if lines else None
    _files[filename], _texts[filename] = file, lines
    while len(_files) > _FILES:
        oldest, _ = _files.popitem(last=False)
        _texts.pop(oldest, None)
    return file


def _indexed(filename: str, lines: list[str]) -> _File | None:
    try:
        tree = parse("".join(lines), filename)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    file = _File(lines)
    for node, name in _walk(tree, ""):
        if isinstance(node, ast.Lambda):
            file.lambdas.setdefault(node.lineno, []).append(node)
        elif isinstance(node, ast.ClassDef):
            file.classes.setdefault(name, []).append(node)
            _drop_docstring(node)
        else:
            file.functions[first_line(node), node.name] = node
            _drop_docstring(node)
    return file


def _walk(node: ast.AST, prefix: str) -> Iterator[tuple[Node, str]]:
    for child in ast.iter_child_nodes(node):
        below = prefix
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child, prefix + child.name
            below = f"{prefix}{child.name}.<locals>."
        elif isinstance(child, ast.ClassDef):
            yield child, prefix + child.name
            below = f"{prefix}{child.name}."
        elif isinstance(child, ast.Lambda):
            yield child, f"{prefix}<lambda>"
            below = f"{prefix}<lambda>.<locals>."
        yield from _walk(child, below)


def _drop_docstring(node: Definition) -> None:
    first = node.body[0]
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        node.body[:1] = [] if len(node.body) > 1 else [ast.Pass()]


def _same_parameters(args: ast.arguments, code: CodeType) -> bool:
    named = [*args.posonlyargs, *args.args, *args.kwonlyargs]
    named += [each for each in (args.vararg, args.kwarg) if each]
    present = code.co_varnames[: len(named)]
    # endswith: inside a class `__x` is compiled as `_Class__x`
    return len(present) == len(named) and all(
        variable.endswith(each.arg)
        for variable, each in zip(present, named, strict=True)
    )


def _lambda_at(candidates: list[ast.Lambda], code: CodeType) -> ast.Lambda | None:
    fitting = [node for node in candidates if _same_parameters(node.args, code)]
    if len(fitting) < 2:
        return fitting[0] if fitting else None
    spots = {
        (line, column, end_line, end_column)
        for line, end_line, column, end_column in code.co_positions()
        if None not in (line, end_line, column, end_column)
        and (column, end_column) != (0, 0)  # the prologue belongs to no expression
    }
    if spots:
        around = [node for node in fitting if _covers(node.body, spots)]
    else:  # 3.12 has no places for a lambda that only returns a constant
        around = [node for node in fitting if _returns(node.body, code.co_consts)]
    # An outer lambda covers what the inner one does; the narrowest is the one.
    return min(around, key=_extent) if around else None


def _returns(body: ast.expr, constants: tuple[object, ...]) -> bool:
    return isinstance(body, ast.Constant) and repr(body.value) == repr(constants[-1])


def _covers(body: ast.expr, spots: set[tuple[Any, ...]]) -> bool:
    start = (body.lineno, body.col_offset)
    end = (body.end_lineno or body.lineno, body.end_col_offset or 0)
    return all(
        start <= (line, column) and (end_line, end_column) <= end
        for line, column, end_line, end_column in spots
    )


def _extent(node: ast.Lambda) -> tuple[int, int]:
    lines = (node.end_lineno or node.lineno) - node.lineno
    return lines, (node.end_col_offset or 0) - node.col_offset

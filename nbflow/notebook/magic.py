"""Turns a `%%workflow` cell into the function it stands for, without IPython.

The header takes the place of the magic's line, so that line n of the cell stays line
n of the source. The kernel's magic compiles the same text; the loader adds a line
after the last one that makes the function a workflow.
"""

import ast
import io
import keyword
import re
import tokenize
import unicodedata
from dataclasses import dataclass, field

from nbflow.definition.syntax import parse
from nbflow.errors import NotebookError
from nbflow.notebook.options import (
    Options,
    check_start,
    read_options,
    split,
    unquoted,
)

_MAGIC = "%%workflow"
_NAME = re.compile(r"\s*(?![-(\"'])([^\s(]+)\s*")
_QUOTED = re.compile(r"\s*((?P<quote>[\"'])(?:(?!(?P=quote))[^\\])*(?P=quote))\s*")
INDENT = "    "


@dataclass(frozen=True, slots=True)
class Head:
    """The magic's line: `%%workflow NAME(PARAMETERS) -> RETURNS --option value`."""

    name: str = ""
    parameters: str = ""
    returns: str = ""
    given: Options = field(default_factory=Options)

    @property
    def function(self) -> str:
        """The name as a Python name."""
        # As Python reads it: the parser normalizes names, so "ﬁt" and "fit" are one.
        read = unicodedata.normalize("NFKC", self.name)
        name = "".join(each if f"_{each}".isidentifier() else "_" for each in read)
        return (
            name if name.isidentifier() and not keyword.iskeyword(name) else f"_{name}"
        )

    @property
    def options(self) -> dict[str, str]:
        """The options of the workflow, as Python text."""
        return self.given.definition

    @property
    def signature(self) -> str:
        """The header of the function."""
        parameters = f", {_by_name(self.parameters)}" if self.parameters else ""
        returns = f" -> {self.returns}" if self.returns else ""
        return f"async def {self.function}(ctx{parameters}){returns}:"


def as_function(line: str, body: str, where: str) -> str:
    """The cell as plain Python, in which the function has become a workflow.

    Raises:
        NotebookError: the magic's line cannot be read.
    """
    head = parse_head(line, where)
    if not head.name:
        return "\n" + body
    options = "".join(f", {key}={value}" for key, value in head.options.items())
    name = head.function
    made = f"__import__('nbflow').workflow(name={head.name!r}{options})({name})"
    if is_function_cell(head, body):
        text = "\n" + body + ("" if body.endswith("\n") else "\n")
        if head.name in _named_by_decorators(body):
            return text
        is_made = f"getattr(type({name}), '__nbflow_workflow__', False)"
        return f"{text}\n{name} = {name} if {is_made} else {made}\n"
    return f"{function_text(head, body)}\n{name} = {made}\n"


def function_text(head: Head, body: str) -> str:
    """The function that a body stands for; ends with a line end."""
    text = f"{head.signature}\n{indented(body)}"
    text += "" if text.endswith("\n") else "\n"
    return text if _has_code(body) else f"{text}{INDENT}pass\n"


def parse_head(line: str, where: str = "") -> Head:
    """Read the magic's line.

    Args:
        line: with or without the magic's name.
        where: how errors name the cell.

    Raises:
        NotebookError: naming what is wrong with it.
    """
    try:
        return _read(line.strip().removeprefix(_MAGIC))
    except NotebookError as error:
        place = f"{where}: {_MAGIC}: " if where else ""
        raise NotebookError(f"{place}{error}") from None


def is_function_cell(head: Head, body: str) -> bool:
    """Whether the cell holds the function itself, and not its body.

    It does when the line has no name, and when the cell defines a function called so
    or a workflow of that name.
    """
    if not head.name:
        return True
    try:
        nodes = parse(body).body
    except SyntaxError:  # `return` and `await` parse, so this is IPython's or wrong
        return bool(re.search(rf"(?m)^(async\s+)?def\s+{head.function}\b", body))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = {node.name for node in nodes if isinstance(node, kinds)}
    return head.function in names or head.name in _named_by_decorators(body)


def lines_in_strings(text: str) -> set[int]:
    """Numbers of the lines that begin inside a string, as far as the text is Python."""
    inside: set[int] = set()
    try:
        opened = []
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            kind = tokenize.tok_name[token.type]
            if kind in ("FSTRING_START", "TSTRING_START"):
                opened.append(token.start[0])
            elif kind in ("FSTRING_END", "TSTRING_END"):
                inside.update(range(opened.pop() + 1, token.end[0] + 1))
            elif kind == "STRING":
                inside.update(range(token.start[0] + 1, token.end[0] + 1))
    except (tokenize.TokenError, SyntaxError):
        pass  # wrong or IPython's: whoever parses it will say so
    return inside


def indented(body: str) -> str:
    """The body moved right, but for lines that begin inside a string."""
    inside = lines_in_strings(body)
    # Only "\n": other separators of `splitlines` may stand in a string.
    return "\n".join(
        line if number in inside or not line.strip() else f"{INDENT}{line}"
        for number, line in enumerate(body.split("\n"), 1)
    )


def _read(rest: str) -> Head:
    found = _QUOTED.match(rest) or _NAME.match(rest)
    if found is None:
        options = read_options(rest)
        check_start(options)
        if options.definition:
            option = "--" + next(iter(options.definition)).replace("_", "-")
            raise NotebookError(
                f"{option} needs the workflow's name here, as in %%workflow nightly "
                f"{option} …; functions with @workflow take it there"
            )
        return Head(given=options)
    name, rest = unquoted(found[1]), rest[found.end() :]
    parameters = returns = ""
    if rest.startswith("("):
        end = _closing(rest)
        parameters, rest = rest[1:end].strip().rstrip(","), rest[end + 1 :].lstrip()
        _check_parameters(name, parameters)
    if rest.startswith("->"):
        returns, rest = _up_to_options(rest[2:])
        if not returns:
            raise NotebookError("-> needs a type after it, as in -> dict[str, int]")
    options = read_options(rest)
    check_start(options)
    return Head(name, parameters, returns, options)


def _check_parameters(name: str, parameters: str) -> None:
    """Refuse parameters that Python allows and an input cannot have."""
    read = _read_parameters(parameters)
    if read is None:  # no Python: whoever compiles it shows where
        return
    found = read[1]
    if found.vararg is not None:
        raise NotebookError(
            f"*{found.vararg.arg}: fields of an input need names. Take a list: "
            f"{name}({found.vararg.arg}: list)"
        )
    if found.posonlyargs:
        raise NotebookError(
            f"{name}({parameters}): the fields of an input are given by name; leave "
            "the / out"
        )
    if any(each.arg == "ctx" for each in (*found.args, *found.kwonlyargs)):
        raise NotebookError(
            f"{name}({parameters}): ctx is there without being named; leave it out"
        )


def _by_name(parameters: str) -> str:
    """The parameters as they stand after `ctx`: all of them by name."""
    read = _read_parameters(parameters)
    return f"*, {parameters}" if read is None else read[0]


def _read_parameters(parameters: str) -> tuple[str, ast.arguments] | None:
    """How the parameters are written after `ctx`; None where they are no Python."""
    # With a star of their own, or only `**more`, they take no other.
    for text in (f"*, {parameters}", parameters):
        try:
            (node,) = parse(f"def f({text}): ...").body
        except (SyntaxError, ValueError):
            continue
        if isinstance(node, ast.FunctionDef):
            return text, node.args
    return None


def _up_to_options(text: str) -> tuple[str, str]:
    for start, end in split(text):
        if text[start:end].startswith("-"):
            return text[:start].strip(), text[start:]
    return text.strip(), ""


def _closing(text: str) -> int:
    """Where the parenthesis that `text` begins with is closed."""
    depth = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            depth += (token.string in "([{") - (token.string in ")]}")
            if token.type == tokenize.OP and depth == 0:
                return token.start[1]
    except (tokenize.TokenError, SyntaxError):
        pass
    raise NotebookError(
        f"a parenthesis is never closed; the head stands in one line: {text[:60]}"
    )


def _named_by_decorators(body: str) -> set[str]:
    """What `@workflow(name="…")` in a cell names."""
    try:
        nodes = parse(body).body
    except SyntaxError:
        return set()
    return {
        each.value.value
        for node in nodes
        for decorator in getattr(node, "decorator_list", ())
        if isinstance(decorator, ast.Call)
        for each in decorator.keywords
        if each.arg == "name"
        and isinstance(each.value, ast.Constant)
        and isinstance(each.value.value, str)
    }


def _has_code(body: str) -> bool:
    return any(
        line.strip() and not line.strip().startswith("#") for line in body.splitlines()
    )

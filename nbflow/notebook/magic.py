"""Turns a `%%workflow` cell into the function it stands for, without IPython.

The header takes the place of the magic's line, so that line n of the cell stays line
n of the source. A line after the last one makes the function a workflow.
"""

import ast
import io
import keyword
import re
import shlex
import tokenize
from dataclasses import dataclass, field

from nbflow.definition.syntax import parse
from nbflow.errors import NotebookError

_MAGIC = "%%workflow"
_NAME = re.compile(r"\s*(?![-(])([^\s(]+)\s*")
# Options that belong to the workflow; the others say how to start it and are left out.
_KEPT = {
    "--retries": "retries",
    "--retry-delay": "retry_delay",
    "--timeout": "timeout",
    "--flow-control": "flow_control",
}
_FLAGS = frozenset({"--invoke", "-r", "--wait", "-w", "--quiet"})
_TEXT = frozenset({"--retry-delay", "--timeout"})


@dataclass(frozen=True, slots=True)
class Head:
    """The magic's line: `%%workflow NAME(PARAMETERS) -> RETURNS --option value`."""

    name: str = ""
    parameters: str = ""
    returns: str = ""
    options: dict[str, str] = field(default_factory=dict)

    @property
    def function(self) -> str:
        """The name as a Python name."""
        name = re.sub(r"\W", "_", self.name)
        return f"_{name}" if name[:1].isdigit() or keyword.iskeyword(name) else name


def as_function(line: str, body: str, where: str) -> str:
    """The cell as plain Python; a cell that holds functions loses its magic only.

    Raises:
        NotebookError: the magic's line cannot be read.
    """
    head = parse_head(line, where)
    if not head.name or _defines(body, head):
        return "\n" + body
    returns = f" -> {head.returns}" if head.returns else ""
    parameters = f", *, {head.parameters}" if head.parameters else ""
    text = f"async def {head.function}(ctx{parameters}){returns}:\n{_indented(body)}"
    options = "".join(f", {key}={value}" for key, value in head.options.items())
    text += "" if text.endswith("\n") else "\n"
    return text + (
        f"{'' if _has_code(body) else '    pass'}\n"
        f"{head.function} = __import__('nbflow')."
        f"workflow(name={head.name!r}{options})({head.function})\n"
    )


def parse_head(line: str, where: str = "the cell") -> Head:
    """Read the magic's line.

    Raises:
        NotebookError: a parenthesis is never closed.
    """
    rest = line.removeprefix(_MAGIC)
    found = _NAME.match(rest)
    if found is None:
        return Head(options=_options(rest))
    name, rest = found[1], rest[found.end() :]
    parameters = returns = ""
    if rest.startswith("("):
        end = _closing(rest, where)
        parameters, rest = rest[1:end].strip().rstrip(","), rest[end + 1 :].lstrip()
    if rest.startswith("->"):
        returns, gap, rest = rest[2:].partition(" -")
        rest = "-" + rest if gap else ""
    return Head(name, parameters, returns.strip(), _options(rest))


def _options(text: str) -> dict[str, str]:
    try:
        words = shlex.split(text)
    except ValueError:  # quotes of an expression, as in `-i {"who": "it's"}`
        words = text.split()
    options: dict[str, str] = {}
    waiting = iter(words)
    for word in waiting:
        option, equals, value = word.partition("=")
        if option in _FLAGS or not option.startswith("-"):
            continue
        value = value if equals else next(waiting, "")
        if option in _KEPT:
            options[_KEPT[option]] = _expression(option, value)
    return options


def _expression(option: str, value: str) -> str:
    if option not in _TEXT:
        return value
    try:
        return repr(float(value))
    except ValueError:
        return repr(value)


def _closing(text: str, where: str) -> int:
    """Where the parenthesis that `text` begins with is closed."""
    depth = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            depth += (token.string in "([{") - (token.string in ")]}")
            if token.type == tokenize.OP and depth == 0:
                return token.start[1]
    except tokenize.TokenError:
        pass
    raise NotebookError(f"{where}: {_MAGIC} has a parenthesis that is never closed.")


def _defines(body: str, head: Head) -> bool:
    try:
        nodes = parse(body).body
    except SyntaxError:  # `return` and `await` parse, so this is IPython's or wrong
        return bool(re.search(rf"(?m)^(async\s+)?def\s+{head.function}\b", body))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return any(isinstance(n, kinds) and n.name == head.function for n in nodes)


def _has_code(body: str) -> bool:
    return any(
        line.strip() and not line.strip().startswith("#") for line in body.splitlines()
    )


def _indented(body: str) -> str:
    """The body moved right, but for lines that begin inside a string."""
    inside: set[int] = set()
    try:
        opened = []
        for token in tokenize.generate_tokens(io.StringIO(body).readline):
            kind = tokenize.tok_name[token.type]
            if kind == "FSTRING_START":
                opened.append(token.start[0])
            elif kind == "FSTRING_END":
                inside.update(range(opened.pop() + 1, token.end[0] + 1))
            elif kind == "STRING":
                inside.update(range(token.start[0] + 1, token.end[0] + 1))
    except (tokenize.TokenError, SyntaxError):
        pass  # wrong or IPython's: whoever parses it will say so
    lines = body.splitlines(keepends=True)
    return "".join(
        line if number in inside or not line.strip() else f"    {line}"
        for number, line in enumerate(lines, 1)
    )

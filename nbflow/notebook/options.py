"""The options of `%%workflow` and `%workflow invoke`, and how their line is read.

One table serves the kernel's magics, their help and completion, and the loader that
has no kernel. Values that are Python stay text here: who evaluates it has the names.
"""

import argparse
import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple, NoReturn

from nbflow.errors import NotebookError

_FIELD = re.compile(r"([^\W\d]\w*)\s*=(?!=)(.*)", re.DOTALL)
_OPENING, _CLOSING = "([{", ")]}"
_SHOWN = 20


class Option(NamedTuple):
    """One option: its spellings, what its value is called (None: a flag), its help.

    `is_definition`: it belongs to the workflow, not to how a run of it is started.
    """

    flags: tuple[str, ...]
    name: str
    metavar: str | None
    help: str
    choices: tuple[str, ...] = ()
    is_definition: bool = False

    @property
    def keywords(self) -> dict[str, Any]:
        """Keyword arguments for `add_argument` of argparse."""
        made: dict[str, Any] = {"dest": self.name, "help": self.help}
        if self.metavar is None:
            return made | {"action": "store_true"}
        if self.name == "inputs":
            return made | {"action": "append", "metavar": self.metavar}
        if self.choices:
            return made | {"choices": self.choices}
        return made | {"metavar": self.metavar}


OPTIONS = (
    Option(("--invoke", "-r"), "invoke", None, "start a run, and return at once"),
    Option(
        ("--wait", "-w"),
        "wait",
        None,
        "start a run and wait: its result is the value of the cell",
    ),
    Option(
        ("--input", "-i"),
        "inputs",
        "K=EXPR|EXPR",
        "a field of the input, or all of it; Python, without blanks outside of "
        "brackets and quotes; may be repeated",
    ),
    Option(("--as",), "variable", "VAR", "bind the run's handle to this name"),
    Option(
        ("--retries",),
        "retries",
        "N",
        "tries after the first",
        is_definition=True,
    ),
    Option(
        ("--retry-delay",),
        "retry_delay",
        "D",
        'time between two tries: seconds or "1m30s"',
        is_definition=True,
    ),
    Option(
        ("--timeout",),
        "timeout",
        "D",
        'limit of the whole run: seconds or "1h"',
        is_definition=True,
    ),
    Option(
        ("--flow-control",),
        "flow_control",
        "EXPR",
        "a FlowControl(…), as Python",
        is_definition=True,
    ),
    Option(("--run-id",), "run_id", "ID", "the run's id; an existing run is taken up"),
    Option(("--label",), "label", "L", "what lists of runs show"),
    Option(
        ("--view",),
        "view",
        "V",
        "live, static or none",
        choices=("live", "static", "none"),
    ),
    Option(("--quiet",), "quiet", None, "show nothing but errors"),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What a line says; texts of Python where the value is an expression.

    `inputs` are pairs of a field and its expression; the field is empty where the
    expression is the whole input.
    """

    invoke: bool = False
    wait: bool = False
    inputs: tuple[tuple[str, str], ...] = ()
    variable: str | None = None
    retries: int | None = None
    retry_delay: str | float | None = None
    timeout: str | float | None = None
    flow_control: str | None = None
    run_id: str | None = None
    label: str | None = None
    view: str | None = None
    quiet: bool = False

    @property
    def starts(self) -> bool:
        """Whether a run is asked for."""
        return self.invoke or self.wait

    @property
    def definition(self) -> dict[str, str]:
        """The options of the workflow itself, as Python text."""
        values = {
            "retries": self.retries,
            "retry_delay": self.retry_delay,
            "timeout": self.timeout,
        }
        made = {name: repr(each) for name, each in values.items() if each is not None}
        if self.flow_control is not None:
            made["flow_control"] = self.flow_control
        return made


def read_options(text: str) -> Options:
    """Read the options that follow the head of a line.

    Raises:
        NotebookError: naming what is wrong, the nearest option, and an example.
    """
    given = vars(_PARSER.read(text))
    for name in ("run_id", "label", "variable"):
        given[name] = unquoted(given[name])
    for name in ("retry_delay", "timeout"):
        given[name] = _duration(unquoted(given[name]))
    variable = given["variable"]
    if variable is not None and not str(variable).isidentifier():
        raise NotebookError(f"--as {variable}: give a Python name, as in --as run")
    if given["flow_control"] is not None:
        _check_expression("--flow-control", given["flow_control"])
    return Options(
        **given
        | {
            "inputs": tuple(map(_input, given["inputs"] or ())),
            "retries": _count(unquoted(given["retries"])),
        }
    )


def check_start(options: Options) -> None:
    """Refuse options that say how to start a run where none is started.

    Raises:
        NotebookError: naming the option.
    """
    if options.starts:
        return
    for option in OPTIONS:
        is_how = not option.is_definition and option.name not in ("view", "quiet")
        if is_how and getattr(options, option.name):
            raise NotebookError(
                f"{option.flags[0]} says how to start a run, and none is started: add "
                "--invoke (-r), or --wait (-w) to have its result"
            )


def split(text: str) -> Iterator[tuple[int, int]]:
    """Where the words of a line begin and end; brackets and quotes hold one together.

    Raises:
        NotebookError: one of them is never closed.
    """
    start: int | None = None
    depth, place = 0, 0
    while place < len(text):
        char = text[place]
        if char.isspace() and depth == 0:
            if start is not None:
                yield start, place
            start = None
            place += 1
            continue
        start = place if start is None else start
        if char in "\"'":
            place = _end_of_quote(text, place)
            continue
        depth += (char in _OPENING) - (char in _CLOSING and depth > 0)
        place += 1
    if depth:
        raise NotebookError(f"a bracket is never closed: {text[start:]}")
    if start is not None:
        yield start, len(text)


def nearest(word: str, known: Iterable[str]) -> str:
    """ "did you mean 'x'?", else the known ones."""
    names = list(known)
    near = get_close_matches(word, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]}?"
    shown, more = names[:_SHOWN], len(names) - _SHOWN
    return f"known: {', '.join(shown)}" + (f" and {more:,} more" if more > 0 else "")


class LineParser(argparse.ArgumentParser):
    """Reads the words of a line, and raises where argparse would leave the process.

    Args:
        example: what an error shows as a line that is right.
    """

    def __init__(self, example: str) -> None:
        super().__init__(add_help=False, allow_abbrev=False)
        self._example = example

    def error(self, message: str) -> NoReturn:
        """Raise a NotebookError instead of exiting."""
        raise NotebookError(
            f"{message.removeprefix('argument ')}. Example: {self._example}"
        )

    def read(self, text: str) -> argparse.Namespace:
        """Parse a line.

        Raises:
            NotebookError: naming what is wrong, and the nearest option.
        """
        words = [text[start:end] for start, end in split(text)]
        found, rest = self.parse_known_args(words)
        if not rest:
            return found
        flags = [each for each in self._option_string_actions if each[:2] == "--"]
        word = rest[0]
        if word.startswith("-") and flags:
            name = word.partition("=")[0]
            if name in ("-h", "--help"):
                raise NotebookError(
                    f"the options are {', '.join(flags)}; `%%workflow?` and "
                    f"`%workflow help` explain them. Example: {self._example}"
                )
            raise NotebookError(f"there is no option {name}: {nearest(name, flags)}")
        raise NotebookError(
            f"{word!r} is not understood here: names and values with blanks stand in "
            f"quotes or brackets. Example: {self._example}"
        )


def _make_parser() -> LineParser:
    parser = LineParser("%%workflow nightly(n: int) -w -i n=5")
    for option in OPTIONS:
        parser.add_argument(*option.flags, **option.keywords)
    return parser


_PARSER = _make_parser()


def _end_of_quote(text: str, start: int) -> int:
    quote = text[start]
    quote = quote * 3 if text.startswith(quote * 3, start) else quote
    place = start + len(quote)
    while place < len(text):
        if text[place] == "\\":
            place += 2
        elif text.startswith(quote, place):
            return place + len(quote)
        else:
            place += 1
    raise NotebookError(f"a quote is never closed: {text[start:]}")


def _input(text: str) -> tuple[str, str]:
    found = _FIELD.fullmatch(text)
    name, source = (found[1], found[2]) if found else ("", text)
    _check_expression(f"-i {text}", source)
    return name, source.strip()


def _check_expression(what: str, source: str) -> None:
    try:
        ast.parse(source.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        raise NotebookError(
            f"{what}: the value is no Python expression. Write it without blanks "
            'outside of brackets and quotes, as in -i n=5 -i who="me" or -i {"n": 5}'
        ) from error


def unquoted(text: Any) -> Any:
    """A word without the quotes around it."""
    if isinstance(text, str) and text[:1] in ("'", '"'):
        try:
            value = ast.literal_eval(text)
        except (SyntaxError, ValueError):
            return text
        return value if isinstance(value, str) else text
    return text


def _duration(text: Any) -> Any:
    try:
        return text if text is None else float(text)
    except ValueError:
        return text


def _count(text: Any) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d+", str(text)):
        raise NotebookError(f"--retries {text}: give a whole number, as in --retries 5")
    return int(text)

"""`%workflow VERB …` and `%nbflow …`: what they do and say."""

import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from traitlets import TraitError

import nbflow
from nbflow.client import Client, RunHandle
from nbflow.client.asked import newest, refresh_names
from nbflow.client.checks import check_home
from nbflow.client.homes import find_home
from nbflow.definition import registry
from nbflow.errors import NotebookError
from nbflow.magics import cell, display, history
from nbflow.magics.session import Session
from nbflow.model import RESUMABLE_RUN, Run, RunStatus, safe_text
from nbflow.notebook import exporting
from nbflow.notebook.options import (
    OPTIONS,
    LineParser,
    Options,
    nearest,
    read_options,
    split,
    unquoted,
)
from nbflow.view import (
    FilterError,
    Line,
    Look,
    Span,
    error_text,
    finding_line,
    line,
    parse_filter,
    plan_lines,
    plural,
    run_page,
    runs_table,
    table,
)

HELP = """\
Work with the workflows and runs of this notebook.

    %workflow invoke NAME [-i K=EXPR] [-w] …   start a run; options: `%%workflow?`
    %workflow list                             the workflows of the app
    %workflow runs [FILTER] [--status S] [--workflow NAME] [--label L] [--since D]
                   [--search TEXT] [--children] [--limit N]
    %workflow show RUN                         a run, its steps, its error
    %workflow cancel RUN
    %workflow resume RUN [--plan] [--refresh STEPS|stale] [--wait]
    %workflow export NAME FILE.py [--force]    a module with all that NAME needs
    %workflow monitor                          runs, forms to start them, queues
    %workflow doctor                           check the stores
    %workflow help

RUN is a run's id, the beginning of it, or a variable that holds the run (`--as VAR`).
FILTER is words, `status:failed`, `since:1h`, `error:timeout`, `!name:old`, as in the
monitor and `nbflow runs --filter`.
"""

_LOOK = Look(unicode=True, color=False)
_MONITOR = 10


def call(session: Session, text: str) -> Any:
    """Do what `%workflow VERB …` asks for.

    Raises:
        NotebookError: the line cannot be used; names the nearest verb and an example.
    """
    verb, _, rest = text.strip().partition(" ")
    if not verb:
        raise NotebookError(
            f"say what to do: {', '.join(VERBS)}. Example: %workflow runs"
        )
    if verb not in VERBS:
        near = nearest(verb, VERBS)
        stop = "" if near.endswith("?") else "."
        raise NotebookError(
            f"there is no {verb!r}: {near}{stop} `%workflow help` explains them"
        )
    session.tell_home()
    return VERBS[verb].do(session, rest)


def nbflow_line(session: Session, text: str) -> None:
    """Do what `%nbflow …` asks for: `%nbflow app NAME`."""
    words = _words(text)
    if not words or words == ["app"]:
        print(f"the app of this notebook is {session.app!r}")
    elif words[0] != "app" or len(words) > 2:
        raise NotebookError(f"{text!r} is not understood. Example: %nbflow app NAME")
    else:
        try:
            session.settings.app = words[1]
        except TraitError as error:
            raise NotebookError(str(error)) from None
        print(f"workflows defined from here on are of app {session.app!r}")


def _invoke(session: Session, text: str) -> Any:
    name, rest = _first(text, "a workflow", "%workflow invoke nightly -i n=5")
    options = read_options(rest)
    found = cell.find(session, name)
    if found is not None:
        return cell.start(session, found, options)
    client = session.client()
    known = [info.name for info in client.workflows.list()]
    if name not in known:
        raise cell.unknown(session, name, known)
    given: Any = cell.name_options(options) | cell.definition_options(session, options)
    payload = cell.read_input(session, options)
    begin = partial(client.workflows.invoke, name, input=payload, **given)
    return cell.follow(session, begin, options)


def _list(session: Session, text: str) -> None:
    _no_more(text, "list")
    infos = session.client().workflows.list()
    here = {spec.name for spec in registry.workflows(session.app)}
    names = sorted({info.name for info in infos} | here)
    if not names:
        print(f"app {session.app!r} has no workflow yet; define one with %%workflow")
        return
    schemas = {info.name: info.input_schema for info in infos}
    for spec in registry.workflows(session.app):
        schemas[spec.name] = spec.inputs.input_schema
    rows = [
        [
            line(Span(name, "strong")),
            line(Span(_fields(schemas.get(name)), "dim")),
            line(Span("" if name in here else "not defined in this kernel", "dim")),
        ]
        for name in names
    ]
    display.print_lines(table(rows))


def _runs(session: Session, text: str) -> None:
    parser = LineParser("%workflow runs status:failed since:1h --limit 50")
    parser.add_argument("filter", nargs="*")
    statuses = [str(each) for each in RunStatus]
    parser.add_argument("--status", action="append", choices=statuses)
    for name in ("--workflow", "--label"):
        parser.add_argument(name, action="append", type=unquoted)
    for name in ("--since", "--search"):
        parser.add_argument(name, type=unquoted)
    parser.add_argument("--children", action="store_true")
    parser.add_argument("--limit", type=int, default=20)
    given = vars(parser.read(text))
    if not 1 <= given["limit"] <= 1000:
        raise NotebookError(f"--limit {given['limit']}: give a number from 1 to 1,000")
    words = " ".join(given.pop("filter"))
    try:
        wanted = parse_filter(words)
    except FilterError as error:
        raise NotebookError(f"{words}: {error}") from None
    now = _now()
    asked = wanted.arguments(now)
    asked |= {name: value for name, value in given.items() if value}
    accepts = (lambda run: wanted.matches(run, now)) if wanted else None
    found, is_more = newest(session.client().runs, accepts=accepts, **asked)
    if not found and text.strip():
        print(f"no run of app {session.app!r} fits: {text.strip()}")
        return
    _print_runs(session, found)
    if is_more:
        print(f"the newest {len(found)}; --limit shows more")


def _show(session: Session, text: str) -> None:
    client, run_id = _run(session, text, "show")
    run = client.runs.get(run_id)
    lines = run_page(
        run, client.runs.steps(run_id), _LOOK, _now(), input=_shown_input(run)
    )
    display.print_lines(lines)
    if run.error is not None:
        print(f"\n{error_text(run)}")
    if run.status in RESUMABLE_RUN:
        print(f"\ngo on: %workflow resume {run_id}")


def _cancel(session: Session, text: str) -> None:
    client, run_id = _run(session, text, "cancel")
    run = client.runs.get(run_id)
    if run.is_ended:
        print(f"run {run_id} has ended already: {run.status}")
        return
    session.engage(client.app)
    client.runs.cancel(run_id, reason="canceled in the notebook")
    print(f"run {run_id} is {client.runs.get(run_id).status}")


def _resume(session: Session, text: str) -> Any:
    name, rest = _first(text, "a run", "%workflow resume r-01k --refresh stale")
    parser = LineParser("%workflow resume r-01k --refresh fetch,parse")
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--refresh", action="append", default=[], type=unquoted)
    parser.add_argument("--wait", "-w", action="store_true")
    given = parser.read(rest)
    client = session.client()
    run_id = _find(session, client, name)
    refresh = refresh_names(given.refresh)
    session.engage(client.app)
    plan = client.runs.resume(run_id, refresh=refresh, plan=True)
    display.print_lines(plan_lines(plan) if given.plan else plan_lines(plan)[:1])
    if given.plan:
        return None
    begin = partial(client.runs.resume, run_id, refresh=refresh)
    return cell.follow(session, begin, Options(wait=given.wait))


def _export(session: Session, text: str) -> None:
    words = _words(text)
    force = "--force" in words
    words = [word for word in words if word != "--force"]
    if len(words) != 2:
        raise NotebookError(
            "give a workflow and a file. Example: %workflow export nightly nightly.py"
        )
    name, file = words
    if cell.find(session, name) is None:
        known = [info.name for info in session.client().workflows.list()]
        raise NotebookError(str(cell.unknown(session, name, known)))
    path = exporting.check_file(file, name, force=force)
    cells = history.executed_cells(session)
    exported = exporting.export_cells(cells, history.PLACE, name)
    print(safe_text(exporting.write(path, exported)))
    for warning in exported.warnings:
        print(safe_text(f"warning: {warning}"))


def _monitor(session: Session, text: str) -> None:
    _no_more(text, "monitor")
    client = session.client()
    if session.is_interactive and display.is_kernel():
        display.show_monitor(client)
        return
    going_on = [run for run in client.runs.list() if not run.is_ended]
    found, _ = newest(client.runs, limit=_MONITOR)
    known = {run.run_id for run in found}
    _print_runs(session, [*(r for r in going_on if r.run_id not in known), *found])


def _doctor(session: Session, text: str) -> None:
    _no_more(text, "doctor")
    home = session.client().home or find_home()
    found = list(check_home(home, version=nbflow.__version__))
    display.print_lines([finding_line(*each, _LOOK) for each in found])
    wrong = sum(each.state == "wrong" for each in found)
    print(f"{plural(wrong, 'problem')} found" if wrong else "all is well")


def _help(session: Session, text: str) -> None:
    print(HELP)


class Verb(NamedTuple):
    """What `%workflow VERB` does, and what its line is completed with.

    Attributes:
        do: carries it out, given the session and the rest of the line.
        names: what its first word is the name of: "workflow", "run" or nothing.
        flags: its options.
    """

    do: Callable[[Session, str], Any]
    names: str = ""
    flags: tuple[str, ...] = ()


_STARTING = tuple(flag for option in OPTIONS for flag in option.flags)
_FILTERS = ("--status", "--workflow", "--label", "--since", "--search", "--children")

VERBS = {
    "invoke": Verb(_invoke, "workflow", _STARTING),
    "list": Verb(_list),
    "runs": Verb(_runs, flags=(*_FILTERS, "--limit")),
    "show": Verb(_show, "run"),
    "cancel": Verb(_cancel, "run"),
    "resume": Verb(_resume, "run", ("--plan", "--refresh", "--wait")),
    "export": Verb(_export, "workflow", ("--force",)),
    "monitor": Verb(_monitor),
    "doctor": Verb(_doctor),
    "help": Verb(_help),
}


def _words(text: str) -> list[str]:
    return [unquoted(text[start:end]) for start, end in split(text)]


def _first(text: str, what: str, example: str) -> tuple[str, str]:
    """The first word of a line, and the rest."""
    for start, end in split(text):
        word = unquoted(text[start:end])
        if word.strip() and not word.startswith("-"):
            return word, text[end:]
        break
    raise NotebookError(f"name {what} first. Example: {example}")


def _run(session: Session, text: str, verb: str) -> tuple[Client, str]:
    name, rest = _first(text, "a run", f"%workflow {verb} r-01k")
    if rest.strip():
        raise NotebookError(f"{rest.strip()!r} is not understood here")
    client = session.client()
    return client, _find(session, client, name)


def _find(session: Session, client: Client, name: str) -> str:
    """The id of the run that a word names."""
    held = session.names.get(name)
    if isinstance(held, RunHandle | Run):
        return client.runs.find(held.run_id)
    return client.runs.find(name)


def _no_more(text: str, verb: str) -> None:
    if text.strip():
        raise NotebookError(f"%workflow {verb} takes nothing more: {text.strip()!r}")


def _print_runs(session: Session, runs: list[Run]) -> None:
    lines: list[Line] = runs_table(runs, _LOOK, _now())
    if runs:
        display.print_lines(lines)
    else:
        print(f"no runs in app {session.app!r}")


def _fields(schema: Any) -> str:
    """The fields of an input: those with a default end in "=…"."""
    if not isinstance(schema, dict) or "properties" not in schema:
        return "" if not schema else "input"
    required = schema.get("required", ())
    names = [name if name in required else f"{name}=…" for name in schema["properties"]]
    return f"({', '.join(names)})"


def _shown_input(run: Run) -> str:
    try:
        return safe_text(repr(run.input))[:2000]
    except Exception as error:  # a lost value must not hide the rest
        return f"<{type(error).__name__}: {error}>"


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)

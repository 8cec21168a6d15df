"""The arguments of all commands."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

_TARGET = "notebook.ipynb[::workflow], file.py[::workflow] or package.module[:workflow]"
_RUN = "a run's id, or the beginning of it"
_EPILOG = """\
examples:
  nbflow run notebooks/01_quickstart.ipynb         run the notebook's workflow
  nbflow run flows.py::ingest -i day=2026-01-31    with an input
  nbflow runs --status failed                      what went wrong
  nbflow show r-01k                                a run and its steps
  nbflow resume r-01k flows.py                     go on where it stopped

exit codes: 0 completed, 1 failed or canceled, 2 usage
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and what was probably meant."""

    fill: Callable[["_Parser"], None] | None = None
    """Adds the arguments when they are asked for: of all commands one is."""

    def parse_known_args(self, *given: Any, **more: Any) -> Any:
        if self.fill is not None:
            fill, self.fill = self.fill, None
            fill(self)
        return super().parse_known_args(*given, **more)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"nbflow: {message}. `{self.prog} --help` tells more.\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        from difflib import get_close_matches

        known = [str(choice) for choice in action.choices]
        near = get_close_matches(str(value), known, n=1, cutoff=0.5)
        what = "command" if action.dest == "command" else action.metavar or action.dest
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        self.exit(2, f"nbflow: there is no {what} {value!r}: {hint}\n")


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    # With its metavar, so that help shows one line a command.
    parser = _Parser(
        prog="nbflow",
        description="Durable workflows for notebooks and scripts.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, help="show nbflow's version")
    _add_place(parser, home=None, app=None)
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, title="commands"
    )
    for name, text, add in (
        ("run", "run a workflow of a notebook, file or module", _add_run),
        ("serve", "serve workflows until Ctrl-C", _add_serve),
        ("invoke", "invoke a workflow that another process serves", _add_invoke),
        ("runs", "list runs, newest first", _add_runs),
        ("show", "show a run and its steps", _add_show),
        ("events", "print a run's events", _add_events),
        ("cancel", "cancel runs", _add_cancel),
        ("resume", "go on with a failed, canceled or interrupted run", _add_resume),
        ("rerun", "run again, from the start or from a step", _add_rerun),
        ("answer", "answer a question that a run asks", _add_answer),
        ("send", "send an event to runs that wait for it", _add_send),
        (
            "flow",
            "list flow-control keys, or pause, resume, set or reset one",
            _add_flow,
        ),
        ("export", "make a module out of a workflow of a notebook", _add_export),
        ("tui", "watch and steer all runs in the terminal", _add_tui),
        ("doctor", "check the stores of this home", _add_doctor),
    ):
        _add_command(commands, name, text, add)
    return parser


def _add_command(
    commands: Any, name: str, text: str, add: Callable[[argparse.ArgumentParser], None]
) -> None:
    description = f"{text[:1].upper()}{text[1:]}."
    parser = commands.add_parser(
        name, help=text, description=description, allow_abbrev=False
    )

    def fill(parser: argparse.ArgumentParser) -> None:
        add(parser)
        # Given before the command, it must not be overwritten by a default here.
        _add_place(parser, home=argparse.SUPPRESS, app=argparse.SUPPRESS)

    parser.fill = fill


def _add_place(parser: argparse.ArgumentParser, *, home: Any, app: Any) -> None:
    parser.add_argument(
        "--home",
        metavar="DIR",
        default=home,
        help="the .nbflow folder (default: NBFLOW_HOME, else the nearest upwards)",
    )
    parser.add_argument("--app", metavar="NAME", default=app, help="the app")


def _add_json(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--json", action="store_true", help=text)


def _add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-i",
        dest="fields",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        help="a field of the input: text as it is, other types as JSON; wins over "
        "--input",
    )
    parser.add_argument(
        "--input",
        metavar="JSON|@FILE|-",
        help="the whole input as JSON, from a file, or from standard input",
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help=_TARGET)
    _add_input(parser)
    parser.add_argument("--run-id", metavar="ID", help="an existing run is taken up")
    parser.add_argument("--label", metavar="TEXT", help="shown in lists of runs")
    _add_json(parser, "one event as JSON a line on standard error")
    parser.add_argument(
        "--plan", action="store_true", help="only list what is executed, and why"
    )


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", metavar="TARGET", nargs="+", help=_TARGET)


def _add_invoke(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "workflow",
        metavar="[APP/]WORKFLOW",
        help="the app may be left out if it is one",
    )
    _add_input(parser)
    parser.add_argument("--run-id", metavar="ID", help="an existing run is attached")
    parser.add_argument("--label", metavar="TEXT", help="shown in lists of runs")
    parser.add_argument(
        "--detach", action="store_true", help="only start it and print its id"
    )
    _add_json(parser, "one event as JSON a line on standard error")


def _add_runs(parser: argparse.ArgumentParser) -> None:
    from nbflow.model import RunStatus

    statuses = [str(each) for each in RunStatus]
    parser.add_argument(
        "--status",
        metavar="STATUS",
        action="append",
        choices=statuses,
        help=f"{', '.join(statuses)}; may be repeated",
    )
    parser.add_argument("--workflow", metavar="NAME", action="append")
    parser.add_argument("--label", metavar="TEXT", action="append")
    parser.add_argument(
        "--since", metavar="DURATION", help='made since then: "2h", "1d"'
    )
    parser.add_argument(
        "--search", metavar="TEXT", help="part of an id, workflow or label"
    )
    parser.add_argument(
        "--filter",
        metavar="FILTER",
        help="as in the monitor: words, status: name: app: label: queue: since: error: "
        "parent:, ! negates",
    )
    parser.add_argument(
        "--children",
        action="store_true",
        help="also runs that others have started (filters always find them)",
    )
    parser.add_argument(
        "--limit", metavar="N", type=int, default=20, help="so many (default: 20)"
    )
    _add_json(parser, "a JSON array")


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=_RUN)
    parser.add_argument(
        "--all", action="store_true", help="a row for each step, however many"
    )
    _add_json(parser, "a JSON array of the run with its steps")


def _add_events(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=_RUN)
    parser.add_argument(
        "--follow", "-f", action="store_true", help="go on until the run has ended"
    )
    parser.add_argument(
        "--tail", metavar="N", type=int, help="begin with the last N events"
    )
    _add_json(parser, "a JSON array; with --follow one event a line")


def _add_cancel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help=_RUN)
    parser.add_argument("--reason", metavar="TEXT", help="recorded with the run")


def _add_resume(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=_RUN)
    parser.add_argument(
        "target", metavar="TARGET", nargs="?", help=f"where its workflow is: {_TARGET}"
    )
    parser.add_argument("--plan", action="store_true", help="only say what it would do")
    parser.add_argument(
        "--refresh",
        metavar="STEPS|stale",
        action="append",
        default=[],
        help="execute these finished steps afresh (comma-separated), or all stale ones",
    )
    _add_json(parser, "one event as JSON a line on standard error")


def _add_rerun(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=_RUN)
    parser.add_argument(
        "target", metavar="TARGET", nargs="?", help=f"where its workflow is: {_TARGET}"
    )
    parser.add_argument(
        "--from-step", metavar="STEP", help="keep everything before this step"
    )
    _add_input(parser)
    _add_json(parser, "one event as JSON a line on standard error")


def _add_answer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=_RUN)
    parser.add_argument("step", metavar="ID", help="the step that asks")
    parser.add_argument("value", metavar="VALUE", help="the answer: text or JSON")


def _add_send(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("event", metavar="[APP/]NAME", help="the event's name")
    parser.add_argument(
        "data",
        metavar="JSON|@FILE",
        nargs="?",
        help="its data (- reads standard input)",
    )
    parser.add_argument(
        "--run", metavar="RUN", help=f"keep it for this run until it waits: {_RUN}"
    )
    parser.add_argument(
        "--event-id", metavar="ID", help="the same id sent again does nothing"
    )


def _add_flow(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "do",
        metavar="pause|resume|set|reset",
        nargs="?",
        choices=("pause", "resume", "set", "reset"),
        help="what to do with a key",
    )
    parser.add_argument("key", metavar="KEY", nargs="?", help="the key")
    parser.add_argument("--rate", metavar="N", type=int, help="set: starts a period")
    parser.add_argument(
        "--period", metavar="D", default="1s", help="set: the window (1s)"
    )
    parser.add_argument(
        "--parallelism", metavar="N", type=int, help="set: executions at once"
    )
    _add_json(parser, "a JSON array of the keys")


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target",
        metavar="NOTEBOOK[::WORKFLOW]",
        help="no cell is executed; without a workflow it is the one `nbflow run` runs",
    )
    parser.add_argument(
        "file", metavar="FILE.py", help="the module to write (- prints it)"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace the file if it is there"
    )


def _add_tui(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--snapshot",
        action="store_true",
        help="print it once as text; so it is where the output is no terminal",
    )
    parser.add_argument("--run", metavar="RUN", help=f"one run: {_RUN}")
    parser.add_argument(
        "--width", metavar="N", type=int, help="columns of the snapshot"
    )
    parser.add_argument(
        "--limit", metavar="N", type=int, default=20, help="runs of the snapshot (20)"
    )
    _add_json(parser, "the snapshot as a JSON object")
    parser.add_argument(
        "--read-only", action="store_true", help="look on: no commands to runs"
    )
    parser.add_argument(
        "--ascii", action="store_true", help="no signs beyond ASCII in the monitor"
    )
    parser.add_argument(
        "--fps", metavar="N", type=int, default=4, help="paints a second at most (4)"
    )
    parser.add_argument(
        "--theme",
        metavar="NAME",
        default="dark",
        help="colours: dark (unless given), light, ansi (the terminal's own sixteen), "
        "or a theme of Textual, as nord",
    )


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    _add_json(parser, "a JSON array of the findings")


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __init__(self, option_strings: Any, dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *given: Any) -> None:
        from nbflow import __version__

        print(f"nbflow {__version__}")
        parser.exit(0)

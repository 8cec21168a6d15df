"""Calls a command and tells what went wrong, in one line."""

import argparse
import sys
import warnings
from collections.abc import Callable
from typing import Any

from nbflow.cli import failures
from nbflow.cli.startup import settle
from nbflow.errors import NbflowError


def dispatch(options: argparse.Namespace) -> int:
    """Call the command of parsed arguments; its exit code."""
    warnings.showwarning = _tell_warning
    try:
        command = _command(options.command)
        if options.command != "tui":  # which imports more
            settle()
        return command(options)
    except failures.Usage as error:
        failures.tell(str(error))
        return 2
    except NbflowError as error:
        failures.tell(str(error))
        return 2 if failures.is_usage(error) else 1
    except KeyboardInterrupt:
        failures.tell("interrupted")
        return 1


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    # Each imports what it needs and no more.
    if name in ("run", "resume", "rerun"):
        from nbflow.cli import running

        return {"run": running.run, "resume": running.resume, "rerun": running.rerun}[
            name
        ]
    if name in ("serve", "invoke"):
        from nbflow.cli import serving

        return {"serve": serving.serve, "invoke": serving.invoke}[name]
    if name == "flow":
        from nbflow.cli import flow

        return flow.flow
    if name == "tui":
        from nbflow.cli import monitor

        return monitor.monitor
    if name == "export":
        from nbflow.cli import export

        return export.export
    if name == "doctor":
        from nbflow.cli import doctor

        return doctor.doctor
    if name in ("answer", "send"):
        from nbflow.cli import sending

        return {"answer": sending.answer, "send": sending.send}[name]
    from nbflow.cli import reading

    return {
        "runs": reading.runs,
        "show": reading.show,
        "events": reading.events,
        "cancel": reading.cancel,
    }[name]


def _tell_warning(message: Warning | str, *place: Any, **more: Any) -> None:
    """What the client warns of is a note here: there is no line of the user's."""
    print(f"nbflow: {message}", file=sys.stderr)

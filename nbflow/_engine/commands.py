"""What other processes ask of an engine: files in its inbox, applied exactly once.

A command's effects and its outcome, under the command's id, are one commit, and only
then its file is removed; a crash between repeats nothing. So a handler commits nothing
once it has begun to change something, and first checks all that the file says.
"""

import logging
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from nbflow import codecs, names
from nbflow._engine.commits import say
from nbflow._engine.core import Core
from nbflow._engine.creation import new_journal, store_input
from nbflow._engine.recovery import adopt
from nbflow._engine.refusals import refuse_live
from nbflow._engine.reruns import rerun
from nbflow._engine.resuming import find_existing, find_row
from nbflow._engine.resuming import resume as resume_run
from nbflow._store import inbox
from nbflow._store.base import CommandRow, WorkflowRow
from nbflow._store.paths import STEPS
from nbflow._store.payload import to_json
from nbflow.errors import InvalidInput, InvalidOption, NbflowError
from nbflow.model import UNFINISHED_RUN
from nbflow.policy import RunOptions

log = logging.getLogger("nbflow")
SLICE = 500
"""Commands applied in one turn: a long queue must not stall the runs."""


def apply_inbox(core: Core, path: Path) -> None:
    """Apply what waits in the inbox."""
    if core.commits.paused is not None:
        return
    taken = inbox.take(path, SLICE, core.stuck_commands)
    if not taken:
        return
    files: list[Path] = []
    rejected: list[Path] = []
    for id, command, file, problem in taken:
        if core.store.command(id) is None:
            outcome = _unread(problem) if command is None else apply(core, command)
            if core.commits.paused is not None and "error" in outcome:
                break  # refused for want of space: it waits with the rest
            row = CommandRow(id, core.clock.micros(), to_json(outcome))
            core.commits.batch.commands.append(row)
        (rejected if command is None else files).append(file)
    core.commits.after(partial(_remove, core, files, rejected))
    core.commits.flush_soon()


def _unread(problem: str) -> dict[str, Any]:
    """What to tell the sender of a file that holds no command."""
    log.warning("a file of the inbox is no command: it %s", problem)
    return _problem("InvalidOption", f"the command was not read: its file {problem}")


def _remove(core: Core, files: list[Path], rejected: list[Path]) -> None:
    for file, error in inbox.remove(files):
        core.stuck_commands.add(file.name)
        say(
            f"nbflow: command {file} was applied, but its file cannot be removed "
            f"({error}): remove it within a day, or it may be applied again",
            logging.ERROR,
        )
    core.stuck_commands.update(file.name for file, _ in inbox.reject(rejected))


def apply(core: Core, command: Mapping[str, Any]) -> dict[str, Any]:
    """Do what a command says; what to tell its sender."""
    handler = _HANDLERS.get(str(command.get("kind")))
    try:
        if handler is None:
            kind = command.get("kind")
            return _problem("InvalidOption", f"command kind {kind!r} is unknown here")
        return {"ok": handler(core, command)}
    except (InvalidInput, InvalidOption) as exc:
        return _problem(type(exc).__name__, str(exc), exc.problems)
    except NbflowError as exc:
        return _problem(type(exc).__name__, str(exc))
    except Exception as exc:  # a malformed file must not stop the engine
        log.warning("command refused: %s: %s", type(exc).__name__, exc)
        return _problem(type(exc).__name__, str(exc))


def perform(core: Core, command: Mapping[str, Any]) -> Any:
    """Do what a command of this process says; what it comes to, or its error."""
    return _HANDLERS[str(command["kind"])](core, command)


def _problem(
    type: str, message: str, problems: Mapping[str, str] | None = None
) -> dict[str, Any]:
    error: dict[str, Any] = {"type": type, "message": _storable(message)}
    if problems:
        error["problems"] = {
            _storable(place): _storable(rule) for place, rule in problems.items()
        }
    return {"error": error}


def _storable(text: str) -> str:
    # Lone surrogates, which a file may hold, cannot be stored.
    return text.encode(errors="replace").decode()


def _texts(command: Mapping[str, Any], name: str) -> list[str] | None:
    """A field that is a list of text, or left out."""
    value = command.get(name)
    if value is None or (
        isinstance(value, list) and all(isinstance(each, str) for each in value)
    ):
        return value
    raise InvalidOption(
        f"{name}={value!r} of a command is no list of text: send it through a client",
        option=name,
        value=value,
    )


def cancel(core: Core, run_ids: list[str], reason: str | None, by: str) -> list[str]:
    """Cancel runs; the ids of those that were still going on."""
    return [run_id for run_id in run_ids if core.cancel_run(run_id, reason, by)]


def resume(
    core: Core,
    run_id: str,
    refresh: list[str] | None = None,
    stale: list[str] | None = None,
) -> str:
    """Resume a run, or take up one that nobody executes; its id."""
    row = find_row(core, run_id)
    unfinished = row.status in UNFINISHED_RUN
    if unfinished and run_id not in core.live and run_id not in core.parked:
        adopt(core, row, core.specs.resolve(row.workflow), "user")
    else:
        resume_run(core, row, refresh=refresh, stale=stale)
    return run_id


def invoke(core: Core, command: Mapping[str, Any]) -> str:
    """Start a run that another process asks for."""
    spec = core.specs.resolve(str(command["workflow"]))
    payload = codecs.revive(command.get("input"), core.store.get_blob)
    if command.get("is_item") and not isinstance(payload, Mapping):
        values = spec.inputs.validate_call((payload,))
    else:
        values = spec.inputs.validate_payload(payload)
    run_id = names.check_run_id(command.get("run_id"))
    label, wake = command.get("label"), command.get("wake")
    if label is not None:
        label = names.check_label(label)
    if wake is not None and type(wake) is not int:
        raise InvalidOption(
            f"wake={wake!r} of a command is no time in microseconds: send it through a "
            "client",
            option="wake",
            value=wake,
        )
    stored = store_input(core.commits.put_blob, values)
    if find_existing(core, run_id, spec, stored) is None:
        options = command.get("options")
        journal = new_journal(
            core.commits,
            core.specs,
            spec,
            values,
            run_id=run_id,
            stored_input=stored,
            headers=command.get("headers"),
            label=label,
            options=RunOptions.from_stored(to_json(options) if options else None),
            caller=_caller(command),
        )
        core.launch(journal, wake)
    return run_id


def _caller(command: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The run of another app that asks for this one."""
    caller = command.get("caller")
    if caller is None:
        return None
    names.check_run_id(caller["run_id"])
    names.check_run_id(caller["root_run_id"])
    names.check_app(caller["app"])
    if type(caller["depth"]) is not int or not isinstance(caller["step"], str):
        raise InvalidOption("the caller of a command is damaged", option="caller")
    return caller  # type: ignore[no-any-return]


def delete(core: Core, run_ids: list[str]) -> int:
    """Delete ended runs; how many there were."""
    numbers = []
    for run_id in run_ids:
        row = find_row(core, run_id)
        refuse_live(row)
        numbers.append(row.n)
    core.commits.batch.deletes.extend(numbers)
    for n in numbers:
        core.mailbox.forget_deleted(n)
    core.commits.after(partial(_remove_folders, core, run_ids))
    core.commits.flush_soon()
    return len(numbers)


def _remove_folders(core: Core, run_ids: list[str]) -> None:
    if core.store.path is not None:
        for run_id in run_ids:
            shutil.rmtree(core.store.path / STEPS / run_id, ignore_errors=True)


def publish_catalogue(core: Core) -> None:
    """Write today's workflows into the store, for readers without this process."""
    known = {row.name: row for row in core.store.workflows()}
    for spec in core.specs.known():
        publish(core, spec, known.get(spec.name))


def publish(core: Core, spec: Any, known: WorkflowRow | None = None) -> None:
    """Write one workflow into the catalogue, if it is not there as it is."""
    present = (spec.definition, spec.target)
    if known is not None and (known.definition, known.target) == present:
        return
    schema = spec.inputs.input_schema
    output = spec.inputs.output_schema
    core.commits.batch.catalogue.append(
        WorkflowRow(
            spec.name,
            spec.definition,
            to_json(schema) if schema is not None else None,
            to_json(output) if output is not None else None,
            spec.source,
            spec.target,
            core.clock.micros(),
        )
    )


def send(core: Core, command: Mapping[str, Any]) -> list[str]:
    """Deliver an event; ids of the runs that it is for."""
    name = names.check_event_name(command.get("name"))
    run_id = command.get("run_id")
    event_id = command.get("event_id")
    for given in (run_id, event_id):
        if given is not None:
            names.check_run_id(given)
    data = to_json({"_value": command["data"]}) if "data" in command else b"{}"
    return core.mailbox.send(name, data, run_id=run_id, event_id=event_id)


def answer(core: Core, command: Mapping[str, Any]) -> None:
    """Give a person's answer to a step that asks."""
    run_id = names.check_run_id(command.get("run_id"))
    value = codecs.revive(command.get("value"), core.store.get_blob)
    core.mailbox.answer(run_id, str(command.get("step")), value)


def flow(core: Core, command: Mapping[str, Any]) -> None:
    """Steer a flow-control key."""
    key = names.check_flow_key(command.get("key"))
    verb = command.get("do")
    if verb == "set":
        given = command.get("limits")
        limits = given if isinstance(given, dict) else {}
        core.flow.set(key, {name: limits.get(name) for name in _LIMITS})
    elif verb in ("pause", "resume", "reset"):
        getattr(core.flow, verb)(key)
    else:
        raise InvalidOption(
            f"{verb!r} is nothing to do with a key: pause, resume, set or reset it",
            option="do",
            value=verb,
        )
    core.commits.flush_soon()


_LIMITS = ("rate", "period", "parallelism")
_HANDLERS: Mapping[str, Callable[[Core, Mapping[str, Any]], Any]] = {
    "cancel": lambda core, command: cancel(
        core,
        _texts(command, "run_ids") or [],
        command.get("reason"),
        "parent" if command.get("by") == "parent" else "user",
    ),
    "resume": lambda core, command: resume(
        core,
        names.check_run_id(command.get("run_id")),
        _texts(command, "refresh"),
        _texts(command, "stale"),
    ),
    "rerun": rerun,
    "invoke": invoke,
    "flow": flow,
    "send": send,
    "answer": answer,
    "delete": lambda core, command: delete(core, _texts(command, "run_ids") or []),
}

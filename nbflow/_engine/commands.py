"""What other processes ask of an engine: files in its inbox, applied exactly once.

A command is applied, its outcome committed under the command's id, and only then its
file is removed; a crash between repeats nothing.
"""

import logging
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow import codecs
from nbflow._engine import launch
from nbflow._store import inbox
from nbflow._store.base import CommandRow, WorkflowRow
from nbflow._store.payload import to_json
from nbflow.errors import NbflowError
from nbflow.model import RunStatus
from nbflow.policy import RunOptions

if TYPE_CHECKING:
    from nbflow._engine.core import Core

log = logging.getLogger("nbflow")
SLICE = 500
"""Commands applied in one turn: a long queue must not stall the runs."""


def apply_inbox(core: "Core", path: Path) -> None:
    """Apply what waits in the inbox."""
    if core.paused is not None:
        return
    taken = inbox.take(path, SLICE)
    if not taken:
        return
    files = []
    for id, command, file in taken:
        files.append(file)
        if core.store.command(id) is None:
            outcome = to_json(apply(core, command))
            core.batch.commands.append(CommandRow(id, core.clock.micros(), outcome))
    core.after(partial(_remove, files))
    core.flush_soon()


def _remove(files: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def apply(core: "Core", command: Mapping[str, Any]) -> dict[str, Any]:
    """Do what a command says; what to tell its sender."""
    handler = _HANDLERS.get(str(command.get("kind")))
    try:
        if handler is None:
            kind = command.get("kind")
            return _problem("InvalidOption", f"command kind {kind!r} is unknown here")
        return {"ok": handler(core, command)}
    except NbflowError as exc:
        return _problem(type(exc).__name__, str(exc))
    except Exception as exc:  # a malformed file must not stop the engine
        log.warning("command refused: %s: %s", type(exc).__name__, exc)
        return _problem(type(exc).__name__, str(exc))


def _problem(type: str, message: str) -> dict[str, Any]:
    return {"error": {"type": type, "message": message}}


def cancel(core: "Core", run_ids: list[str], reason: str | None, by: str) -> list[str]:
    """Cancel runs; the ids of those that were still going on."""
    return [run_id for run_id in run_ids if core.cancel_run(run_id, reason, by)]


def resume(
    core: "Core",
    run_id: str,
    refresh: list[str] | None = None,
    stale: list[str] | None = None,
) -> str:
    """Resume a run, or take up one that nobody executes; its id."""
    row = launch.find_row(core, run_id)
    unfinished = row.status in (RunStatus.QUEUED, RunStatus.RUNNING)
    if unfinished and run_id not in core.live and run_id not in core.waiting:
        launch.adopt(core, row, launch.resolve(core, row.workflow), "user")
    else:
        launch.resume(core, row, refresh=refresh, stale=stale)
    return run_id


def invoke(core: "Core", command: Mapping[str, Any]) -> str:
    """Start a run that another process asks for."""
    spec = launch.resolve(core, str(command["workflow"]))
    payload = codecs.revive(command.get("input"), core.store.get_blob)
    values = spec.inputs.validate_payload(payload)
    run_id = str(command["run_id"])
    stored = launch.store_input(core.put_blob, values)
    if launch.find_existing(core, run_id, spec, stored) is None:
        options = command.get("options")
        journal = launch.new_journal(
            core,
            spec,
            values,
            run_id=run_id,
            stored_input=stored,
            headers=command.get("headers"),
            label=command.get("label"),
            options=RunOptions.from_stored(to_json(options) if options else None),
        )
        launch.begin(core, journal, command.get("wake"))
    return run_id


def delete(core: "Core", run_ids: list[str]) -> int:
    """Delete ended runs; how many there were."""
    numbers = []
    for run_id in run_ids:
        row = launch.find_row(core, run_id)
        launch.refuse_live(row)
        numbers.append(row.n)
    core.batch.deletes.extend(numbers)
    core.after(partial(_remove_folders, core, run_ids))
    core.flush_soon()
    return len(numbers)


def _remove_folders(core: "Core", run_ids: list[str]) -> None:
    if core.store.path is not None:
        for run_id in run_ids:
            shutil.rmtree(core.store.path / "steps" / run_id, ignore_errors=True)


def publish_catalogue(core: "Core") -> None:
    """Write today's workflows into the store, for readers without this process."""
    known = {row.name: row for row in core.store.workflows()}
    for spec in core.known_specs():
        publish(core, spec, known.get(spec.name))


def publish(core: "Core", spec: Any, known: WorkflowRow | None = None) -> None:
    """Write one workflow into the catalogue, if it is not there as it is."""
    if known is not None and known.definition == spec.definition:
        return
    schema = spec.inputs.input_schema
    output = spec.inputs.output_schema
    core.batch.catalogue.append(
        WorkflowRow(
            spec.name,
            spec.definition,
            to_json(schema) if schema is not None else None,
            to_json(output) if output is not None else None,
            spec.source,
            None,
            core.clock.micros(),
        )
    )


_HANDLERS: Mapping[str, Callable[["Core", Mapping[str, Any]], Any]] = {
    "cancel": lambda core, command: cancel(
        core, command["run_ids"], command.get("reason"), "user"
    ),
    "resume": lambda core, command: resume(
        core, command["run_id"], command.get("refresh"), command.get("stale")
    ),
    "rerun": lambda core, command: launch.rerun(core, command),
    "invoke": invoke,
    "delete": lambda core, command: delete(core, command["run_ids"]),
}

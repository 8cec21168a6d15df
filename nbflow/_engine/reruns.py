"""Reruns: a new run of an old one's workflow, from the start or from a step on."""

from collections.abc import Mapping
from typing import Any

from nbflow import codecs, names
from nbflow._engine.core import Core
from nbflow._engine.creation import new_journal, queued_data, read_input
from nbflow._engine.journal import Journal
from nbflow._engine.memo import OUTCOMES
from nbflow._engine.resuming import find_row
from nbflow._store.base import EventRow, RunRow
from nbflow._store.payload import from_json, value_member
from nbflow.errors import InvalidOption, RunIdConflict, StepNotFound
from nbflow.model import EventType, RunStatus, step_label
from nbflow.policy import RunOptions


def rerun(core: Core, command: Mapping[str, Any]) -> str:
    """A new run of an old one's workflow, from a step on or from the start.

    Everything recorded before `from_step` began is copied into the new run.
    """
    row = find_row(core, names.check_run_id(command.get("run_id")))
    new_id = names.check_run_id(command.get("new_run_id") or core.clock.new_run_id())
    live = core.live.get(new_id)
    journal = core.parked.get(new_id) if live is None else live.journal
    known = journal or core.store.run(new_id)
    if known is not None:
        if known.rerun_of == row.n:
            return new_id  # it was asked for before
        raise RunIdConflict(
            f"there is a run {new_id!r} of {known.workflow!r} already, which is no "
            f"rerun of {row.id!r}: choose another id for the rerun",
            run_id=new_id,
            workflow=row.workflow,
        )
    spec = core.specs.resolve(row.workflow)
    if "input" in command:
        payload = codecs.revive(command["input"], core.store.get_blob)
        values = spec.inputs.validate_payload(payload)
    else:
        values = read_input(core.commits, row.input, spec)
    headers = from_json(row.headers) or None
    journal = new_journal(
        core.commits,
        core.specs,
        spec,
        values,
        run_id=new_id,
        headers=headers,
        label=row.label,
        options=RunOptions.from_stored(row.options),
        rerun_of=row.n,
        from_step=command.get("from_step"),
    )
    if command.get("from_step") is None:
        core.launch(journal)
    else:
        rerun_from(core, row, journal, command)
    return new_id


def rerun_from(
    core: Core, row: RunRow, journal: Journal, command: Mapping[str, Any]
) -> None:
    """Enter a rerun with what the old run recorded before a step."""
    events = core.store.events(row.n)
    key, began = find_step(events, str(command["from_step"]), row)
    journal.from_step = key
    if command.get("step_input") is not None:
        given = codecs.revive(command["step_input"], core.store.get_blob)
        if not isinstance(given, list | tuple):
            raise InvalidOption(
                f"step_input={given!r} is no list: give the list of the positional "
                "arguments of the step",
                option="step_input",
                value=given,
            )
        journal.step_input = list(given)
    queued = queued_data(journal)
    if journal.step_input is not None:  # for the lives after a crash
        payload = codecs.encode(journal.step_input, given="step_input")
        member = value_member(payload, core.commits.put_blob)
        queued = b'%b,"_step_input":{%b}}' % (queued[:-1], member)
    journal.status = RunStatus.RUNNING.value
    journal.append(EventType.RUN_QUEUED.value, data=queued)
    _copy(journal, [each for each in events if each.idx < began and each.step != key])
    core.commits.batch.runs.append(journal.row())
    core.enter_soon(journal, None)


def _copy(journal: Journal, events: list[EventRow]) -> None:
    """Record for a rerun what another run's steps came to, commit by commit.

    A start without its outcome is no part of it: this run has not called that step.
    """
    ends = {event.step: event.idx for event in events if event.type in OUTCOMES}
    tx = None
    for event in events:
        is_start = event.type == EventType.STEP_STARTED
        is_ended = is_start and event.idx < ends.get(event.step, 0)
        if not (is_ended or event.type in OUTCOMES):
            continue
        if event.tx != tx:
            tx, journal.commit = event.tx, -1  # counts as a commit of its own
        journal.append(event.type, event.step, event.attempt, event.mark, event.data)


def find_step(events: list[Any], label: str, row: RunRow) -> tuple[str, int]:
    """The key of a step that users know as `label`, and when it began.

    Raises:
        StepNotFound: naming the steps that the run has.
    """
    known: dict[str, None] = {}
    for event in events:
        is_maps = event.type == EventType.PROGRESS and event.attempt is None
        if event.step is not None and not is_maps:
            if step_label(event.step) == label:
                return event.step, event.idx
            known[step_label(event.step)] = None
    listed = ", ".join(repr(each) for each in list(known)[:20]) or "none"
    raise StepNotFound(
        f"run {row.id} of {row.workflow!r} has no step {label!r}. Its steps: {listed}",
        run_id=row.id,
        step=label,
    )

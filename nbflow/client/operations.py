"""What a client asks of runs: each as a function over an app's `Access`.

An engine of this process is called directly, one in another through the inbox; with
none alive the command is kept. `Runs` and `RunHandle` are the faces.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from nbflow import durations
from nbflow._engine.queues import read_queues
from nbflow._engine.refusals import refuse_live, undefined
from nbflow._store import lock, paths
from nbflow._store.base import OneOrMore, RunRow
from nbflow._store.payload import from_json
from nbflow.client import inbox
from nbflow.client.access import Access, is_ended
from nbflow.client.fold import (
    StepState,
    body_retry,
    fold_steps,
    select,
    unknown_step,
)
from nbflow.client.reasons import NOBODY, waiting_lines
from nbflow.client.records import (
    Numbers,
    event_record,
    run_record,
    step_record,
    step_records,
    verify_run,
)
from nbflow.client.steps import StepList, caller_of
from nbflow.errors import (
    AmbiguousRunId,
    InvalidOption,
    StoreError,
)
from nbflow.model import (
    TERMINAL_RUN,
    UNFINISHED_RUN,
    EventType,
    Page,
    Run,
    RunEvent,
    RunStatus,
    Step,
    StepStatus,
    step_label,
)
from nbflow.policy import DEFAULT_RETRIES, UNSET

PAGE = 1_000
_LOOK_BACK = 5_000
"""Events of a live run that are read to say what it waits for."""
_CHUNK = 200
_SHOWN = 20  # children that are waited for


# Reading


def get_run(access: Access, run_id: str) -> Run:
    """The record of a run."""
    return record(access, access.find_row(run_id))


def list_runs(access: Access, **filters: Any) -> Page[Run]:
    """One page of records, newest first."""
    filters = ready_filters(access, filters)
    access.settle()
    reader = access.reader()
    if reader is None:
        return Page()
    page = reader.runs(**filters)
    numbers = Numbers(reader)
    return Page((record(access, row, numbers) for row in page.rows), page.cursor)


def ready_filters(access: Access, filters: Mapping[str, Any]) -> dict[str, Any]:
    """Filters of a list as the store takes them.

    Raises:
        InvalidOption, InvalidDuration: naming value and rule.
    """
    ready = dict(filters)
    if ready.get("status") is not None:
        ready["status"] = _statuses(ready["status"])
    if ready.get("since") is not None:
        ready["since"] = moment(access, ready["since"], "since")
    return ready


def find_run_id(access: Access, prefix: str) -> str:
    """The id of the one run that begins so.

    Raises:
        RunNotFound, AmbiguousRunId: none does, or several.
    """
    reader = access.reader()
    found = [] if reader is None else list(reader.find(prefix, 6))
    if prefix in found:
        return prefix
    if len(found) > 1:
        shown = ", ".join(found[:5]) + (", …" if len(found) > 5 else "")
        raise AmbiguousRunId(
            f"{prefix!r} is the beginning of several runs of app {access.app!r}: "
            f"{shown}. Give more of it.",
            run_id=prefix,
        )
    return found[0] if found else access.find_row(prefix).id


def list_steps(access: Access, run_id: str) -> StepList:
    """The steps of a run, as they were when its row was read."""
    row = access.find_row(run_id)
    store = access.store()
    events = store.events(row.n)
    spec = access.spec(row.workflow)
    fn = None if spec is None else spec.fn
    classes = access.classes(row.workflow)
    records = step_records(
        row,
        [event for event in events if row.last is None or event.idx <= row.last],
        store,
        classes=classes,
        caller=caller_of(row, fn, store, classes),
    )
    return StepList(row, records)


def get_step(access: Access, run_id: str, name: str) -> Step:
    """One step of a run: the others are not decoded."""
    row = access.find_row(run_id)
    store = access.store()
    events = store.events(row.n)
    verify_run(row, events)
    states = fold_steps(events).values()
    found, is_one = select(states, name)
    if not is_one:
        raise unknown_step(row, name, [state.label for state in states])
    spec = access.spec(row.workflow)
    classes = access.classes(row.workflow)
    fn = None if spec is None else spec.fn
    caller = caller_of(row, fn, store, classes)
    return step_record(row, found[0], store, classes, caller)


def read_log(
    access: Access, run_id: str, step: str | None, tail: int
) -> list[RunEvent]:
    """The last log lines of a run, or of one of its steps."""
    row = access.find_row(run_id)
    store = access.store()
    events = store.events_of(row.n, (EventType.LOG.value,))
    if step is not None:
        events = [each for each in events if step_label(each.step or "") == step]
    return [event_record(each, run_id, store) for each in events[-tail:]]


def record(
    access: Access,
    row: RunRow,
    numbers: Numbers | None = None,
    *,
    waiting: bool = True,
) -> Run:
    """The record of a run; with `waiting`, live ones are asked what they wait for."""
    spec = access.spec(row.workflow)
    retries = UNSET if spec is None else spec.options.retries
    return run_record(
        row,
        access.store(),
        access.app,
        classes=access.classes(row.workflow),
        waiting=_waiting(access, row) if waiting and not is_ended(row) else (),
        numbers=numbers,
        retries=DEFAULT_RETRIES if retries is UNSET else int(retries),
        is_child=partial(_is_child, access, row.id),
    )


def _is_child(access: Access, parent: str, app: str, run_id: str) -> bool:
    """Whether a run of another app was started by this one, as far as can be told.

    Its own record decides: it may have been there before, under the same `run_id`.
    """
    if access.home is None:
        return True
    try:
        reader = Access(access.home, app).reader()
        row = None if reader is None else reader.run(run_id)
    except StoreError:
        return True
    if row is None:  # it is still on its way
        return True
    caller = from_json(row.caller)
    return (caller.get("app"), caller.get("run_id")) == (access.app, parent)


def _waiting(access: Access, row: RunRow) -> list[str]:
    events = access.store().tail(row.n, _LOOK_BACK)
    steps = fold_steps(events).values()
    lines = waiting_lines(row, steps, body_retry(events), access.micros())
    lines += _turns(access, row)
    lines += _children(access, steps)
    lines += _unserved(access, steps)
    idle = _idle(access, row)
    return lines if idle is None else [idle, *lines]


def hindrances(access: Access, run_id: str) -> list[str]:
    """What stops a run, beyond what its steps wait for by themselves, a line each."""
    row = access.find_row(run_id)
    if is_ended(row):
        return []
    steps = fold_steps(access.store().tail(row.n, _LOOK_BACK)).values()
    lines = _turns(access, row, steps=False)
    lines += _children(access, steps)
    lines += _unserved(access, steps)
    idle = _idle(access, row)
    return lines if idle is None else [idle, *lines]


def _idle(access: Access, row: RunRow) -> str | None:
    """Why nobody executes an unfinished run, if nobody does."""
    if is_ended(row):
        return None
    host = access.host()
    if host is None:
        return row.reason if access.holder() is not None else NOBODY
    if host.executes(row.id):
        return None
    is_defined = host.find_spec(row.workflow) is not None
    return NOBODY if is_defined else undefined(row.workflow)


def _children(access: Access, steps: Iterable[StepState]) -> list[str]:
    """Children that the run waits for, and that nobody executes though they might."""
    lines = []
    for state in steps:
        if state.status is not StepStatus.INVOKING or state.child is None:
            continue
        its, home = access, access.home
        if state.app is not None and home is not None:
            its = Access(home, state.app)
        with suppress(StoreError):  # what cannot be read just now is not told
            reader = its.reader()
            row = None if reader is None else reader.run(state.child)
            idle = None if row is None or not its.is_served() else _idle(its, row)
            if idle is not None:
                lines.append(f"child {state.child}: {idle} (step {state.label!r})")
    return lines[:_SHOWN]


def moment(access: Access, value: object, what: str) -> int:
    """A time in microseconds: an aware datetime, or a duration before now.

    Raises:
        InvalidDuration: a naive datetime, or neither.
    """
    if isinstance(value, datetime):
        return durations.deadline(value, what=what)
    seconds = durations.parse(value, what=what)
    return access.micros() - round(seconds * 1e6)


# Cancel


def cancel(access: Access, run_ids: Sequence[str], reason: str | None) -> list[str]:
    """Cancel runs; the ids of those that were still going on.

    Raises:
        RunNotFound: one of them is not there, and none was canceled.
    """
    rows = {run_id: access.find_row(run_id) for run_id in run_ids}
    live = [run_id for run_id, row in rows.items() if not is_ended(row)]
    if not live:
        return []
    command = {"kind": "cancel", "run_ids": live, "reason": reason}
    host = access.host()
    if host is not None:
        return list(host.perform(command))
    outcome = inbox.send(access, [command])
    return [] if outcome is None else list(outcome[0])


def select_unfinished(
    access: Access,
    status: OneOrMore | None,
    workflow: OneOrMore | None,
    label: OneOrMore | None,
    since: object,
) -> list[str]:
    """Ids of the unfinished runs that pass all filters."""
    wanted = _statuses(status or UNFINISHED_RUN)
    open_ones = [each for each in wanted if each in UNFINISHED_RUN]
    if not open_ones:
        return []
    rows = _all_rows(
        access,
        status=open_ones,
        workflow=workflow,
        label=label,
        since=None if since is None else moment(access, since, "since"),
    )
    return [row.id for row in rows]


def _statuses(given: OneOrMore) -> list[str]:
    """The values of a filter by status; one that is no status would find nothing."""
    known = [str(each) for each in RunStatus]
    wanted = [given] if isinstance(given, str) else list(given)
    for each in wanted:
        if str(each) not in known:
            raise InvalidOption(
                f"status={str(each)!r} is unknown: give one of {', '.join(known)}",
                option="status",
                value=each,
            )
    return [str(each) for each in wanted]


def _all_rows(access: Access, **filters: Any) -> list[RunRow]:
    access.settle()
    reader = access.reader()
    if reader is None:
        return []
    rows: list[RunRow] = []
    cursor = None
    while True:
        page = reader.runs(limit=PAGE, cursor=cursor, **filters)
        rows += page.rows
        cursor = page.cursor
        if cursor is None:
            return rows


def _unserved(access: Access, steps: Iterable[StepState]) -> list[str]:
    """Other apps that nobody serves although the run waits for children there."""
    wanted = {
        state.app: state.label
        for state in steps
        if state.app is not None and state.status is StepStatus.INVOKING
    }
    return [
        f"nobody serves app {app!r} (step {label!r}): `nbflow serve` its notebook"
        for app, label in wanted.items()
        if access.home is not None
        and lock.holder(paths.app_dir(access.home, app)) is None
    ]


def _turns(access: Access, row: RunRow, *, steps: bool = True) -> list[str]:
    """The flow-control keys whose turn the run waits for, a line each.

    Args:
        access: the app.
        row: the run.
        steps: those of its steps, too.
    """
    store = access.store()
    mine = [
        slot
        for slot in store.slots(row.n)
        if slot.started is None and (steps or slot.step is None)
    ]
    if not mine:
        return []
    queues, now = read_queues(store.flows(), store.slots()), access.micros()
    lines = []
    for slot in mine[:_SHOWN]:
        queue = queues[slot.key]
        asked = next(each for each in queue.waiting if each.n == slot.n)
        step = "" if slot.step is None else f" (step {step_label(slot.step)!r})"
        lines.append(
            f"place {queue.place(asked) + 1} for flow key {slot.key!r}: "
            f"{queue.why(asked, now)}{step}"
        )
    more = len(mine) - len(lines)
    return [*lines, f"and {more} more"] if more else lines


# Rerun


def rerun(
    access: Access, run_id: str, given: Mapping[str, Any]
) -> tuple[str, str | None]:
    """Start a new run of an old one's workflow.

    Args:
        access: the app.
        run_id: the old run.
        given: `from_step`, `input` and `step_input`, as far as they were given.

    Returns:
        The new run's id, and that of the command that is kept for it, if it is.

    Raises:
        StepNotFound: the run has no step `from_step`.
        InvalidOption: `step_input` is no list, or comes without `from_step`.
    """
    row = access.find_row(run_id)
    _check_rerun(access, row, given)
    new_id = access.new_run_id()
    command: dict[str, Any] = {"kind": "rerun", "run_id": run_id, "new_run_id": new_id}
    if given.get("from_step") is not None:
        command["from_step"] = str(given["from_step"])
    host = access.host()
    values = {key: given[key] for key in ("input", "step_input") if key in given}
    if host is not None:
        store = host.store
        for key, value in values.items():
            command[key] = inbox.stored_tree(value, store.put_blob, key)
        return str(host.perform(command)), None
    for key, value in values.items():
        command[key] = inbox.stored_value(access, value, key)
    outcomes, ids = inbox.send_or_keep(access, [command])
    return new_id, ids[0] if outcomes is None else None


def _check_rerun(access: Access, row: RunRow, given: Mapping[str, Any]) -> None:
    from_step, step_input = given.get("from_step"), given.get("step_input")
    if step_input is not None and not isinstance(step_input, list | tuple):
        raise InvalidOption(
            f"step_input={step_input!r} is no list: give the list of the positional "
            "arguments of the step",
            option="step_input",
            value=step_input,
        )
    if step_input is not None and from_step is None:
        raise InvalidOption(
            "step_input= goes with from_step= only: say which step gets it",
            option="step_input",
            value=step_input,
        )
    if from_step is not None:
        states = fold_steps(access.store().events(row.n)).values()
        known = [state.label for state in states]
        if from_step not in known:
            raise unknown_step(row, str(from_step), known)


# Delete


def delete(access: Access, run_ids: Sequence[str]) -> int:
    """Delete ended runs; how many.

    Raises:
        RunNotFound: one of them is not there.
        RunActive: one of them has not ended. Nothing is deleted then.
    """
    for run_id in run_ids:
        refuse_live(access.find_row(run_id))
    deleted = 0
    unique = list(dict.fromkeys(run_ids))
    for first in range(0, len(unique), _CHUNK):
        some = unique[first : first + _CHUNK]
        command = {"kind": "delete", "run_ids": some}
        host = access.host()
        if host is not None:
            deleted += host.perform(command)
        else:
            outcome = inbox.send(access, [command])
            deleted += 0 if outcome is None else int(outcome[0])
    return deleted


def prunable(
    access: Access,
    older_than: timedelta | float | str | None,
    keep: int | None,
    status: OneOrMore | None,
) -> list[str]:
    """Ids of the ended runs that pass all criteria; none without a criterion."""
    if older_than is None and keep is None and status is None:
        return []
    if keep is not None and (isinstance(keep, bool) or keep < 0):
        raise InvalidOption(
            f"keep={keep!r} is not allowed: give a whole number of 0 or more runs",
            option="keep",
            value=keep,
        )
    ended = sorted(str(each) for each in TERMINAL_RUN)
    wanted = [each for each in _statuses(status or ended) if each in ended]
    rows = _all_rows(access, status=wanted) if wanted else []
    rows = rows[keep or 0 :]
    if older_than is not None:
        before = moment(access, older_than, "older_than")
        rows = [row for row in rows if row.ended is not None and row.ended < before]
    return [row.id for row in rows]

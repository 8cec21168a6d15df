"""How runs come to be, are taken up again and end: records first, lives after.

Functions over the core and journals; the core calls them on its loop.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow import codecs, names
from nbflow._engine.ending import Ending
from nbflow._engine.invokes import unknown_workflow
from nbflow._engine.journal import Journal, load_journal
from nbflow._engine.options import NO_OPTIONS
from nbflow._engine.run import LiveRun
from nbflow._store.base import EventRow, RunRow, WriterStore
from nbflow._store.payload import PutBlob, from_json, load_value, to_json, value_member
from nbflow.definition.source import same_definition
from nbflow.definition.spec import Target, WorkflowSpec
from nbflow.errors import (
    InvalidOption,
    RunActive,
    RunFinished,
    RunIdConflict,
    RunNotFound,
    StepNotFound,
)
from nbflow.model import EventType, RunStatus, step_label
from nbflow.policy import RunOptions

if TYPE_CHECKING:
    from nbflow._engine.core import Core

_UNFINISHED = (RunStatus.QUEUED, RunStatus.RUNNING)
_PREVIEW = 80  # characters
_SMALL = 200  # bytes
_SURROGATE = re.compile("[\ud800-\udfff]")  # no Unicode text: cannot be stored


def resolve(core: "Core", target: Target | str) -> WorkflowSpec:
    """The definition that a target stands for in this app."""
    name = target if isinstance(target, str) else target.name
    app = None if isinstance(target, str) else target.target_app
    if app is None or app == core.app:
        spec = None if isinstance(target, str) else target.spec
        spec = spec or core.find_spec(name)
        if spec is not None:
            return spec
    known = (
        [spec.name for spec in core.known_specs()] if app in (None, core.app) else []
    )
    raise unknown_workflow(name, app or core.app, known)


def new_journal(
    core: "Core",
    spec: WorkflowSpec,
    values: Mapping[str, Any],
    *,
    run_id: str | None = None,
    stored_input: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    label: str | None = None,
    options: RunOptions | None = None,
    parent: Journal | None = None,
    parent_step: str | None = None,
    rerun_of: int | None = None,
    from_step: str | None = None,
) -> Journal:
    """A run that is not in the store yet."""
    n = core.next_run
    core.next_run = n + 1
    options = NO_OPTIONS if options is None else options
    journal = Journal(
        core,
        n,
        core.clock.new_run_id() if run_id is None else run_id,
        spec.name,
        core.definition(spec),
        store_input(core.put_blob, values) if stored_input is None else stored_input,
        core.clock.micros(),
        options,
        stored_options=None if options is NO_OPTIONS else options.to_stored(),
        headers=to_json(check_headers(headers)) if headers else None,
        label=label,
        root=n,
        rerun_of=rerun_of,
        from_step=from_step,
        spec=spec,
        values=values,
    )
    journal.root_id = journal.id
    if parent is not None:
        journal.parent, journal.parent_id = parent.n, parent.id
        journal.parent_step = parent_step
        journal.root, journal.root_id = parent.root, parent.root_id
        journal.depth = parent.depth + 1
    return journal


def store_input(put: PutBlob, values: Mapping[str, Any]) -> bytes:
    """The stored form of a run's input."""
    if not values:
        return b'{"_value":{}}'
    payload = codecs.encode(dict(values))
    return b"{" + value_member(payload, put) + b"}"


def check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Headers, if they are text to text."""
    if isinstance(headers, Mapping) and all(
        isinstance(each, str) and not _SURROGATE.search(each)
        for pair in headers.items()
        for each in pair
    ):
        return headers
    raise InvalidOption(
        f"headers={headers!r}: headers map text to text, without surrogate characters",
        option="headers",
        value=headers,
    )


def queued_data(journal: Journal) -> bytes:
    """What `run.queued` says."""
    head = _workflow_member(journal.workflow)
    fields: dict[str, Any] = {}
    if journal.label is not None:
        fields["label"] = journal.label
    if journal.parent_id is not None:
        fields["parent"] = journal.parent_id
    if journal.wake is not None:
        fields["not_before"] = journal.core.iso(journal.wake)
    more = b""
    if len(journal.input) <= _SMALL:  # readers make the preview of a small input
        more = b',"_input":' + journal.input
    else:
        fields["input_preview"] = codecs.preview(journal.values, _PREVIEW)
    if fields:
        more += b"," + to_json(fields)[1:-1]
    return b"{%b%b}" % (head, more)


@lru_cache(100)
def _workflow_member(name: str) -> bytes:
    return to_json({"workflow": name})[1:-1]


def record_end(journal: Journal, ending: Ending) -> None:
    """The terminal event of a run, and its row."""
    began = journal.started or journal.created
    duration = (journal.core.clock.micros() - began) / 1e6
    if ending.status is RunStatus.COMPLETED:
        data = b'{"duration":%.6f,%b}' % (duration, ending.member)
        journal.end(RunStatus.COMPLETED, EventType.RUN_COMPLETED, data)
    elif ending.status is RunStatus.FAILED:
        error = ending.error or {}
        line = f"{error.get('type')}: {error.get('message')}"
        journal.preview = line.splitlines()[0][:300].encode(errors="replace")
        data = to_json({"error": error, "duration": duration})
        journal.end(RunStatus.FAILED, EventType.RUN_FAILED, data)
    else:
        journal.reason = ending.reason
        data = to_json({"reason": ending.reason, "by": ending.by})
        journal.end(RunStatus.CANCELED, EventType.RUN_CANCELED, data)


def failure_payload(journal: Journal, ending: Ending) -> dict[str, Any]:
    """The input of an `on_failure` workflow."""
    error = dict(ending.error or {})
    spec = journal.spec
    assert spec is not None
    return {
        "run_id": journal.id,
        "workflow": journal.workflow,
        "error": {key: error.get(key) for key in ("type", "message", "traceback")},
        "input": spec.inputs.payload(journal.values),
    }


def start_child(
    core: "Core",
    parent: Journal,
    key: str,
    spec: WorkflowSpec,
    values: Mapping[str, Any],
    options: Mapping[str, Any],
) -> str:
    """Create a child with the parent's next commit, or find the run of that id."""
    run_id = options.get("run_id")
    stored = store_input(core.put_blob, values)
    if run_id is not None:
        names.check_run_id(run_id)
        if find_existing(core, run_id, spec, stored) is not None:
            return str(run_id)
    label = options.get("label")
    if label is not None:
        names.check_label(label)
    journal = new_journal(
        core,
        spec,
        values,
        run_id=run_id,
        stored_input=stored,
        headers=options.get("headers"),
        label=label,
        options=child_options(options),
        parent=parent,
        parent_step=key,
    )
    core.launch(journal)
    return journal.id


def open_children(
    core: "Core", journal: Journal, kinds: tuple[str, ...] = ("invoke", "start")
) -> list[str]:
    """Ids of the children of those kinds that go on and end with a run.

    Those of all its lives; what was invoked with `abandon=True` outlives it.
    """
    rows = [row for row in core.store.children(journal.n) if row.status in _UNFINISHED]
    if not rows:
        return []
    calls = {
        event.step: from_json(event.data)
        for event in core.store.events(journal.n)
        if event.type == EventType.STEP_INVOKING
    }
    found = []
    for row in rows:
        call = calls.get(row.parent_step, {})
        if call.get("kind", "invoke") in kinds and not call.get("_abandon"):
            found.append(row.id)
    return found


def child_options(options: Mapping[str, Any]) -> RunOptions:
    """Those options of an invoke that are the child's own."""
    given = {k: options[k] for k in ("retries", "retry_delay") if k in options}
    return RunOptions(**given) if given else NO_OPTIONS


def find_existing(
    core: "Core", run_id: str, spec: WorkflowSpec, stored: bytes
) -> Journal | RunRow | None:
    """The run of that id, taken up if it had stopped; None if there is none.

    Raises:
        RunIdConflict: it is of another workflow or was given another input.
    """
    commit_end(core, run_id)
    live = core.live.get(run_id)
    known = live.journal if live is not None else core.waiting.get(run_id)
    row = None if known is not None else core.store.run(run_id)
    if known is None and row is None:
        return None
    workflow, given = (
        (known.workflow, known.input)
        if known is not None
        else (row.workflow, row.input)  # type: ignore[union-attr]
    )
    if workflow != spec.name:
        raise RunIdConflict(
            f"run id {run_id!r} belongs to a run of {workflow!r}, so it cannot name a "
            f"run of {spec.name!r}: choose another run_id",
            run_id=run_id,
            workflow=spec.name,
        )
    if given != stored:
        raise RunIdConflict(
            f"run {run_id!r} of {workflow!r} was started with another input than the "
            "one given now: a run id stands for one input. Choose another run_id, or "
            "rerun it with the new input.",
            run_id=run_id,
            workflow=workflow,
        )
    if known is not None:
        return known
    assert row is not None
    if row.status in (RunStatus.FAILED, RunStatus.CANCELED):
        return resume(core, row, spec)
    if row.status in _UNFINISHED:
        return adopt(core, row, spec, "user")
    return row


def take_up(
    core: "Core", run_id: str, waiter: Callable[[Ending], None], *, is_resumed: bool
) -> Journal | None:
    """A run that is not live: its end is told at once, or it is entered again."""
    row = core.store.run(run_id)
    if row is None:
        raise RunNotFound(
            f"run {run_id!r} is not in app {core.app!r} any more, so nobody can wait "
            "for it: it was deleted",
            run_id=run_id,
        )
    failed = row.status in (RunStatus.FAILED, RunStatus.CANCELED)
    if row.status in _UNFINISHED or (failed and is_resumed):
        spec = resolve(core, row.workflow)
        if failed:
            return resume(core, row, spec)
        return adopt(core, row, spec, "recovery")
    target = core.find_spec(row.workflow)
    classes = core.classes_of(target.fn if target is not None else None)
    waiter(read_ending(core.store, row, classes))
    return None


def read_ending(
    store: Any, row: RunRow, classes: Mapping[str, type] | None = None
) -> Ending:
    """How an ended run has ended, from the store."""
    event = store.events(row.n, row.last - 1, 1)[0] if row.last else None
    fields = from_json(event.data if event is not None else None)
    status = RunStatus(row.status)
    if status is not RunStatus.COMPLETED:
        return Ending(status, error=fields.get("error"), reason=row.reason)
    key = "_blob" if "_blob" in fields else "_value"
    member = to_json({key: fields[key]})[1:-1] if fields.get(key) is not None else None
    value = load_value(fields, store.get_blob, classes)
    if member is None:
        return Ending(status, value=value)
    return Ending(status, value=value, member=member)


def adopt(core: "Core", row: RunRow, spec: WorkflowSpec, by: str) -> Journal:
    """Take up a run whose engine is gone."""
    journal = load_journal(core, row)
    journal.spec = spec
    journal.values = read_input(core, row.input, spec)
    if row.status == RunStatus.QUEUED and row.attempt == 0:
        enter_later(core, journal)
        return journal
    due = core.pending_retry(journal)
    if by == "recovery":
        journal.recoveries += 1
    is_left = core.store.command(left_mark(journal)) is not None
    note_resumed(journal, by, spec, {"_left": is_left or None})
    journal.update()  # with the event: a crash must not leave one without the other
    if due is not None and due > core.clock.micros():
        core.flush_soon()
        core.retry_body(journal, due)
    else:
        core.enter_soon(journal, by)
    return journal


def left_mark(journal: Journal) -> str:
    """What the table of commands holds of a run whose engine was closed properly.

    It names the run's last event, so a further life makes it void.
    """
    return f"left-{journal.n}-{journal.idx}"


def enter_later(core: "Core", journal: Journal) -> None:
    """Enter a run for the first time at its `not_before`."""
    core.waiting[journal.id] = journal

    def enter() -> None:
        if core.waiting.get(journal.id) is journal and not core.is_closing:
            del core.waiting[journal.id]
            run = LiveRun(core, journal, None, False)
            journal.status = RunStatus.RUNNING.value
            journal.wake = None
            journal.begin_attempt()
            journal.update()
            core.admit(run)

    core.call_at(journal.wake or 0, enter)


def read_input(core: "Core", stored: bytes, spec: WorkflowSpec) -> dict[str, Any]:
    """The validated input of a run, as it was stored."""
    classes = core.classes_of(spec.fn)
    values: dict[str, Any] = load_value(from_json(stored), core.store.get_blob, classes)
    return values


def resume(
    core: "Core",
    row: RunRow,
    spec: WorkflowSpec | None = None,
    refresh: list[str] | None = None,
    stale: list[str] | None = None,
) -> Journal:
    """Go on in place with a run that failed or was canceled, by the user's word.

    Args:
        core: the engine.
        row: the run.
        spec: today's definition; looked up by name if None.
        refresh: keys of steps whose values are not to be kept.
        stale: labels of steps that are kept although their function has changed.

    Raises:
        RunActive: it is still going on.
        RunFinished: it is completed or was skipped.
    """
    if row.id in core.live or row.id in core.waiting:
        raise RunActive(
            f"run {row.id} of {row.workflow!r} is {row.status}: only a failed or "
            "canceled run can be resumed. Cancel it first, or wait for its end.",
            run_id=row.id,
        )
    if row.status in (RunStatus.COMPLETED, RunStatus.SKIPPED):
        raise RunFinished(
            f"run {row.id} of {row.workflow!r} is {row.status}, there is nothing left "
            "to do: use rerun for a new run of it",
            run_id=row.id,
        )
    spec = spec or resolve(core, row.workflow)
    journal = load_journal(core, row)
    journal.spec = spec
    journal.values = read_input(core, row.input, spec)
    journal.ended = journal.last = journal.tail = journal.reason = None
    journal.preview = None
    journal.status = RunStatus.RUNNING.value
    note_resumed(journal, "user", spec, {"_refresh": refresh, "stale": stale})
    journal.update()  # with the event: a crash must not leave one without the other
    core.enter_soon(journal, "user")
    return journal


def note_resumed(
    journal: Journal, by: str, spec: WorkflowSpec, more: Mapping[str, Any]
) -> None:
    """The event that opens a further life of a run."""
    definition = journal.core.definition(spec)
    changed = not same_definition(journal.definition, definition)
    fields = {
        "by": by,
        "recoveries": journal.recoveries,
        "definition_changed": changed,
        **more,
    }
    journal.append(EventType.RUN_RESUMED.value, data=to_json(fields))
    if by == "user":
        journal.since = journal.core.clock.micros()


def find_row(core: "Core", run_id: str) -> RunRow:
    """The committed row of a run.

    Raises:
        RunNotFound: the app has no run of that id.
    """
    core.commit()
    commit_end(core, run_id)
    row = core.store.run(run_id)
    if row is None:
        raise RunNotFound(
            f"there is no run {run_id!r} in app {core.app!r}: `nbflow runs` lists them",
            run_id=run_id,
        )
    return row


def commit_end(core: "Core", run_id: str) -> None:
    """Have a run's end in the store, before the store is asked about the run.

    Raises:
        StoreFull: it cannot be written for now.
        StoreError: the engine has stopped.
    """
    if run_id in core.ended and not core.commit():
        error = core.stopped or core.paused
        assert error is not None
        raise error


def step_dir(store: WriterStore, run_id: str, key: str) -> Path:
    """A step's folder in the store, made if missing."""
    if store.path is None:
        import tempfile

        root = Path(tempfile.gettempdir()) / f"nbflow-{store.uid}"
    else:
        root = store.path / "steps"
    folder = root / run_id / key
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def begin(core: "Core", journal: Journal, wake: int | None) -> None:
    """Record a new run and enter it, now or at `wake` (microseconds)."""
    if wake is None or wake <= core.clock.micros():
        core.launch(journal)
        return
    journal.wake = wake
    journal.create(RunStatus.QUEUED, queued_data(journal))
    core.flush_soon()
    enter_later(core, journal)


def refuse_live(row: RunRow) -> None:
    """Raise for a run that has not ended.

    Raises:
        RunActive: naming it and what to do first.
    """
    if row.status in _UNFINISHED:
        raise RunActive(
            f"run {row.id} of {row.workflow!r} is {row.status}: only ended runs can be "
            "deleted. Cancel it first.",
            run_id=row.id,
        )


def rerun(core: "Core", command: Mapping[str, Any]) -> str:
    """A new run of an old one's workflow, from a step on or from the start.

    Everything recorded before `from_step` began is copied into the new run.
    """
    row = find_row(core, names.check_run_id(command.get("run_id")))
    new_id = names.check_run_id(command.get("new_run_id") or core.clock.new_run_id())
    live = core.live.get(new_id)
    journal = core.waiting.get(new_id) if live is None else live.journal
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
    spec = resolve(core, row.workflow)
    if "input" in command:
        payload = codecs.revive(command["input"], core.store.get_blob)
        values = spec.inputs.validate_payload(payload)
    else:
        values = read_input(core, row.input, spec)
    headers = from_json(row.headers) or None
    journal = new_journal(
        core,
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
        begin(core, journal, None)
    else:
        rerun_from(core, row, journal, command)
    return new_id


def rerun_from(
    core: "Core", row: RunRow, journal: Journal, command: Mapping[str, Any]
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
        member = value_member(codecs.encode(journal.step_input), core.put_blob)
        queued = b'%b,"_step_input":{%b}}' % (queued[:-1], member)
    journal.status = RunStatus.RUNNING.value
    journal.append(EventType.RUN_QUEUED.value, data=queued)
    _copy(journal, [each for each in events if each.idx < began and each.step != key])
    core.batch.runs.append(journal.row())
    core.enter_soon(journal, None)


def _copy(journal: Journal, events: list[EventRow]) -> None:
    """Record for a rerun what another run's steps came to, commit by commit.

    A start without its outcome is no part of it: this run has not called that step.
    """
    ends = {event.step: event.idx for event in events if event.type in _OUTCOMES}
    tx = None
    for event in events:
        is_start = event.type == EventType.STEP_STARTED
        is_ended = is_start and event.idx < ends.get(event.step, 0)
        if not (is_ended or event.type in _OUTCOMES):
            continue
        if event.tx != tx:
            tx, journal.turn = event.tx, -1  # counts as a commit of its own
        journal.append(event.type, event.step, event.attempt, event.mark, event.data)


_OUTCOMES = frozenset(
    {
        EventType.STEP_COMPLETED.value,
        EventType.STEP_FAILED.value,
        EventType.STEP_TIMED_OUT.value,
    }
)


def find_step(events: list[Any], label: str, row: RunRow) -> tuple[str, int]:
    """The key of a step that users know as `label`, and when it began.

    Raises:
        StepNotFound: naming the steps that the run has.
    """
    known: dict[str, None] = {}
    for event in events:
        if event.step is not None:
            if step_label(event.step) == label:
                return event.step, event.idx
            known[step_label(event.step)] = None
    listed = ", ".join(repr(each) for each in list(known)[:20]) or "none"
    raise StepNotFound(
        f"run {row.id} of {row.workflow!r} has no step {label!r}. Its steps: {listed}",
        run_id=row.id,
        step=label,
    )

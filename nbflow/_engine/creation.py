"""How runs come to be: their journals, inputs and first events."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from nbflow import codecs
from nbflow._engine.commits import Commits
from nbflow._engine.ending import Ending
from nbflow._engine.history import annotated_classes
from nbflow._engine.journal import Journal
from nbflow._engine.options import NO_OPTIONS, flow_of
from nbflow._engine.specs import Specs
from nbflow._engine.timers import iso
from nbflow._store.payload import PutBlob, from_json, load_value, to_json, value_member
from nbflow.definition.spec import WorkflowSpec
from nbflow.names import check_headers
from nbflow.policy import UNSET, FlowControl, RunOptions

_PREVIEW = 80  # characters
_SMALL = 200  # bytes
_CALLER = ("app", "run_id", "step", "root_run_id")


def new_journal(
    commits: Commits,
    specs: Specs,
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
    caller: Mapping[str, Any] | None = None,
) -> Journal:
    """A run that is not in the store yet."""
    n = commits.next_run
    commits.next_run = n + 1
    options = NO_OPTIONS if options is None else options
    flow = run_flow(spec, options, values)
    if options.flow_control is not UNSET:
        options = replace(options, flow_control=flow)
    journal = Journal(
        commits,
        n,
        commits.clock.new_run_id() if run_id is None else run_id,
        spec.name,
        specs.definition(spec),
        store_input(commits.put_blob, values) if stored_input is None else stored_input,
        commits.clock.micros(),
        options,
        stored_options=None if options is NO_OPTIONS else options.to_stored(),
        headers=to_json(check_headers(headers)) if headers else None,
        label=label,
        root=n,
        rerun_of=rerun_of,
        from_step=from_step,
        spec=spec,
        values=values,
        flow=flow,
    )
    journal.root_id = journal.id
    if caller is not None:  # a run of another app
        journal.caller = to_json({key: caller.get(key) for key in _CALLER})
        journal.parent_id = str(caller["run_id"])
        journal.root_id = str(caller["root_run_id"])
        journal.depth = int(caller["depth"]) + 1
    if parent is not None:
        journal.parent, journal.parent_id = parent.n, parent.id
        journal.parent_step = parent_step
        journal.root, journal.root_id = parent.root, parent.root_id
        journal.depth = parent.depth + 1
    return journal


def run_flow(
    spec: WorkflowSpec, options: RunOptions, values: Mapping[str, Any]
) -> FlowControl | None:
    """The flow control of a run: its own, else its workflow's."""
    given = options.flow_control
    if given is UNSET:
        given = spec.options.flow_control
        if given is UNSET:
            return None
    return flow_of(given, lambda: spec.inputs.payload(values))


def store_input(put: PutBlob, values: Mapping[str, Any]) -> bytes:
    """The stored form of a run's input."""
    if not values:
        return b'{"_value":{}}'
    payload = codecs.encode(dict(values), given="input")
    return b"{" + value_member(payload, put) + b"}"


def read_input(commits: Commits, stored: bytes, spec: WorkflowSpec) -> dict[str, Any]:
    """The validated input of a run, as it was stored."""
    classes = annotated_classes(spec.fn)
    load = commits.store.get_blob
    values: dict[str, Any] = load_value(from_json(stored), load, classes)
    return values


def queued_data(journal: Journal, waits: Mapping[str, Any] | None = None) -> bytes:
    """What `run.queued` says; `waits`: for which flow-control key, at which place."""
    head = _workflow_member(journal.workflow)
    fields: dict[str, Any] = {}
    if journal.label is not None:
        fields["label"] = journal.label
    if journal.parent_id is not None:
        fields["parent"] = journal.parent_id
    if journal.wake is not None:
        fields["not_before"] = iso(journal.wake)
    if waits is not None:
        fields.update(waits)
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

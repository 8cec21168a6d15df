"""`client.workflows`: the workflows of an app, and how runs of them are started."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias, overload

from nbflow import codecs, durations, names
from nbflow._engine.hosts import OpenHost
from nbflow._engine.refusals import unknown_workflow
from nbflow._store.base import WorkflowRow
from nbflow.client import inbox
from nbflow.client.access import Access
from nbflow.client.handle import RunHandle
from nbflow.definition.payloads import check_payload
from nbflow.definition.spec import WorkflowSpec
from nbflow.errors import InvalidOption, WorkflowNotFound
from nbflow.model import from_micros
from nbflow.policy import FlowControl, RetryDelay, RunOptions

# `Workflows.list` hides the type inside of that class.
Handles: TypeAlias = list[RunHandle[Any]]
Rows: TypeAlias = list[WorkflowRow]


class WaitResult(NamedTuple):
    """What `invoke(…, wait="result")` gives."""

    run_id: str
    result: Any


@dataclass(frozen=True, slots=True)
class WorkflowInfo:
    """A workflow as the app's catalogue has it.

    Attributes:
        target: the file or notebook it was defined in and its name, as commands take
            it; None where that is not known.
    """

    name: str
    app: str
    definition: str | None = None
    input_schema: dict[str, Any] | None = field(default=None, hash=False, repr=False)
    output_schema: dict[str, Any] | None = field(default=None, hash=False, repr=False)
    source: str | None = field(default=None, repr=False)
    target: str | None = None
    updated_at: datetime | None = None


class Workflows:
    """The workflows of one app."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def __repr__(self) -> str:
        return f"<workflows of app {self._access.app!r}>"

    def list(self) -> list[WorkflowInfo]:
        """Every workflow that an engine of the app has served, by name."""
        known = {row.name: _from_row(self._access.app, row) for row in self._rows()}
        host = self._access.host()
        if host is not None:
            specs = host.known_specs()
            known |= {spec.name: _from_spec(self._access.app, spec) for spec in specs}
        return [known[name] for name in sorted(known)]

    def get(self, name: str) -> WorkflowInfo:
        """One workflow.

        Raises:
            WorkflowNotFound: names the known ones, nearest first.
        """
        for info in self.list():
            if info.name == name:
                return info
        raise self._unknown(name)

    @overload
    def invoke(
        self,
        name: str,
        *,
        input: Any = None,
        wait: None = None,
        run_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        label: str | None = None,
        retries: int | None = None,
        retry_delay: RetryDelay | None = None,
        timeout: Any = None,
        flow_control: FlowControl | None = None,
        delay: Any = None,
        not_before: datetime | None = None,
    ) -> RunHandle[Any]: ...
    @overload
    def invoke(
        self,
        name: str,
        *,
        input: Any = None,
        wait: Literal["result"],
        run_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        label: str | None = None,
        retries: int | None = None,
        retry_delay: RetryDelay | None = None,
        timeout: Any = None,
        flow_control: FlowControl | None = None,
        delay: Any = None,
        not_before: datetime | None = None,
    ) -> WaitResult: ...
    def invoke(
        self,
        name: str,
        *,
        input: Any = None,
        wait: Literal["result"] | None = None,
        run_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        label: str | None = None,
        retries: int | None = None,
        retry_delay: RetryDelay | None = None,
        timeout: Any = None,
        flow_control: FlowControl | None = None,
        delay: Any = None,
        not_before: datetime | None = None,
    ) -> RunHandle[Any] | WaitResult:
        """Start a run by name; it is durable when this returns.

        An engine in another process starts it; with none alive it is kept until one
        starts, which a warning says.

        Args:
            name: the workflow.
            input: a mapping of its fields, or the payload it takes whole.
            wait: "result" blocks for the result.
            run_id: the run's id; an existing run of it is attached, taken or resumed.
            headers: text to text, seen as `ctx.headers`.
            label: what lists of runs show and filter by.
            retries: tries after the first.
            retry_delay: between tries.
            timeout: of the whole run.
            flow_control: limits that its steps keep with all of the same key.
            delay: a duration to wait before it starts.
            not_before: an aware datetime before which it does not start.

        Raises:
            WorkflowNotFound: names the known ones, nearest first.
            InvalidInput, RunIdConflict, InvalidOption: naming value and rule; no run
                is recorded.
        """
        if wait not in (None, "result"):
            raise InvalidOption(
                f"wait={wait!r} is unknown: use 'result' to block, or None",
                option="wait",
                value=wait,
            )
        if run_id is not None:
            names.check_run_id(run_id)
        if wait is not None:
            self._access.refuse_loop(f"invoke({name!r}, wait={wait!r})")
        options = _options(retries, retry_delay, timeout, flow_control)
        common = self._common(headers, label, options, delay, not_before)
        host = self._access.host()
        if host is not None:
            handle = self._invoke_here(host, name, input, run_id, common)
        else:
            handle = self._send(name, [input], [run_id], common)[0]
        if wait is None:
            return handle
        return WaitResult(handle.run_id, handle.result())

    def invoke_many(
        self,
        name: str,
        inputs: Iterable[Any],
        *,
        headers: Mapping[str, str] | None = None,
        label: str | None = None,
        retries: int | None = None,
        retry_delay: RetryDelay | None = None,
        timeout: Any = None,
        flow_control: FlowControl | None = None,
        delay: Any = None,
        not_before: datetime | None = None,
    ) -> Handles:
        """Start a run for each input, all of them in one commit.

        The options are those of `invoke`, the same for all.

        Raises:
            WorkflowNotFound, InvalidInput, InvalidOption: as `invoke`; no run is
                recorded then.
        """
        if not isinstance(inputs, Iterable) or isinstance(inputs, str | Mapping):
            raise InvalidOption(
                f"inputs={inputs!r}: give an iterable of inputs, one for each run, as "
                'in invoke_many("fetch", [{"url": url} for url in urls])',
                option="inputs",
                value=inputs,
            )
        options = _options(retries, retry_delay, timeout, flow_control)
        common = self._common(headers, label, options, delay, not_before)
        host = self._access.host()
        if host is None:
            some = [*inputs]
            return self._send(name, some, [None] * len(some), common)
        spec = self._spec(host, name)
        values = [spec.inputs.validate_payload(each) for each in inputs]
        ids = host.invoke_many(spec, values, **common._asdict())
        return [
            RunHandle(id, access=self._access, workflow=spec.name, host=host)
            for id in ids
        ]

    def _common(
        self,
        headers: Mapping[str, str] | None,
        label: str | None,
        options: RunOptions | None,
        delay: Any,
        not_before: datetime | None,
    ) -> "_Common":
        if label is not None:
            label = names.check_label(label)
        return _Common(headers, label, options, self._wake(delay, not_before))

    def _invoke_here(
        self,
        host: OpenHost,
        name: str,
        input: Any,
        run_id: str | None,
        common: "_Common",
    ) -> RunHandle[Any]:
        spec = self._spec(host, name)
        ticket = host.invoke(
            spec,
            spec.inputs.validate_payload(input),
            run_id=run_id,
            headers=common.headers,
            label=common.label,
            options=common.options,
            wake=common.wake,
            is_recorded=True,
        )
        if ticket.error is not None:
            raise ticket.error
        return RunHandle(
            ticket.run_id,
            access=self._access,
            host=host,
            ticket=ticket,
            workflow=spec.name,
        )

    def _send(
        self,
        name: str,
        inputs: Sequence[Any],
        ids: Sequence[str | None],
        common: "_Common",
    ) -> Handles:
        """Ask the engine of another process, or the one that comes."""
        row = next((row for row in self._rows() if row.name == name), None)
        if row is None:
            raise self._unknown(name)
        access = self._access
        if row.input_schema is not None and not access.is_served():
            schema = codecs.parse(row.input_schema)
            for input in inputs:
                check_payload(schema, input, workflow=name)
        run_ids = [id or access.new_run_id() for id in ids]
        commands = [
            common.command()
            | {
                "workflow": name,
                "run_id": id,
                "input": inbox.stored_value(access, input, "input"),
            }
            for id, input in zip(run_ids, inputs, strict=True)
        ]
        outcomes, kept = inbox.send_or_keep(access, commands)
        return [
            RunHandle(
                id,
                access=access,
                workflow=name,
                command=command if outcomes is None else None,
            )
            for id, command in zip(run_ids, kept, strict=True)
        ]

    def _spec(self, host: OpenHost, name: str) -> WorkflowSpec:
        spec = host.find_spec(name)
        if spec is None:
            raise self._unknown(name)
        return spec

    def _rows(self) -> Rows:
        reader = self._access.reader()
        return [] if reader is None else reader.workflows()

    def _unknown(self, name: str) -> WorkflowNotFound:
        access = self._access
        if access.host() is None and access.reader() is None:
            return WorkflowNotFound(
                f"there is no workflow {name!r} in app {access.app!r}: nothing of that "
                f"app was ever stored ({access.place}). Start an engine that serves "
                "it, or give the client another home= or app=.",
                workflow=name,
            )
        return unknown_workflow(name, access.app, [info.name for info in self.list()])

    def _wake(self, delay: Any, not_before: datetime | None) -> int | None:
        if delay is not None and not_before is not None:
            raise InvalidOption(
                "delay= and not_before= both say when the run may start: give one",
                option="delay",
                value=delay,
            )
        if not_before is not None:
            return durations.deadline(not_before, what="not_before")
        if delay is None:
            return None
        seconds = durations.parse(delay, what="delay")
        return self._access.micros() + round(seconds * 1e6)


class _Common(NamedTuple):
    """What the runs of one call share."""

    headers: Mapping[str, str] | None
    label: str | None
    options: RunOptions | None
    wake: int | None

    def command(self) -> dict[str, Any]:
        """The fields of a command."""
        if self.headers:
            names.check_headers(self.headers)
        stored = None if self.options is None else self.options.to_stored()
        fields = {
            "kind": "invoke",
            "headers": dict(self.headers) if self.headers else None,
            "label": self.label,
            "options": None if stored is None else codecs.parse(stored),
            "wake": self.wake,
        }
        return {key: value for key, value in fields.items() if value is not None}


def _options(
    retries: int | None,
    retry_delay: RetryDelay | None,
    timeout: Any,
    flow_control: FlowControl | None,
) -> RunOptions | None:
    given: dict[str, Any] = {
        "retries": retries,
        "retry_delay": retry_delay,
        "timeout": timeout,
        "flow_control": flow_control,
    }
    given = {name: value for name, value in given.items() if value is not None}
    return RunOptions(**given) if given else None


def _from_row(app: str, row: WorkflowRow) -> WorkflowInfo:
    return WorkflowInfo(
        row.name,
        app,
        row.definition,
        None if row.input_schema is None else codecs.parse(row.input_schema),
        None if row.output_schema is None else codecs.parse(row.output_schema),
        row.source,
        row.target,
        None if row.at is None else from_micros(row.at),
    )


def _from_spec(app: str, spec: WorkflowSpec) -> WorkflowInfo:
    return WorkflowInfo(
        spec.name,
        app,
        spec.definition,
        spec.inputs.input_schema,
        spec.inputs.output_schema,
        spec.source,
        spec.target,
    )

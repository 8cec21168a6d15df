"""`client.runs`: the runs of an app, and what can be done with them."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, overload

from nbflow import names
from nbflow._engine.refusals import refuse_ended
from nbflow._store.base import OneOrMore
from nbflow.client import frames, listing, operations
from nbflow.client.access import Access, is_ended
from nbflow.client.events import act
from nbflow.client.handle import RunHandle
from nbflow.client.listing import Listing
from nbflow.client.offsets import START
from nbflow.client.steps import StepList
from nbflow.client.stream import EventList, Stream, read_earlier, read_events
from nbflow.model import Page, Plan, Run, RunEvent, Step

_MISSING: Any = object()
# `Runs.list` hides the type inside of that class.
Ids: TypeAlias = list[str]
Events: TypeAlias = list[RunEvent]


class Runs:
    """The runs of one app. Reading needs no engine, and makes no file."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def __repr__(self) -> str:
        return f"<runs of app {self._access.app!r}>"

    # Reading

    def get(self, run_id: str) -> Run:
        """The record of a run.

        Raises:
            RunNotFound: the app has no run of that id.
            StoreDamaged: its end was changed outside of nbflow.
        """
        return operations.get_run(self._access, run_id)

    def find(self, prefix: str) -> str:
        """The id of the one run whose id begins with `prefix`.

        Raises:
            RunNotFound, AmbiguousRunId: none does, or several.
        """
        if not isinstance(prefix, str):
            raise TypeError(f"{prefix!r} is no run: give its id, or its beginning")
        return operations.find_run_id(self._access, prefix)

    def handle(self, run_id: str) -> RunHandle[Any]:
        """The handle of a run that exists.

        Raises:
            RunNotFound: the app has no run of that id.
        """
        row = self._access.find_row(run_id)
        return RunHandle(run_id, access=self._access, workflow=row.workflow)

    def list(
        self,
        *,
        status: OneOrMore | None = None,
        workflow: OneOrMore | None = None,
        label: OneOrMore | None = None,
        parent: OneOrMore | None = None,
        since: datetime | timedelta | str | None = None,
        search: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Run]:
        """Runs that pass all filters, newest first.

        Args:
            status: one or several.
            workflow: names of workflows.
            label: labels.
            parent: ids of runs whose children are wanted; they may be of other apps.
            since: only runs made after it: an aware datetime, or a duration before now.
            search: part of an id, workflow or label; case does not matter.
            limit: runs a page, 1 to 1,000.
            cursor: the `.cursor` of the page before, None for the first.

        Returns:
            A list with `.cursor`, None at the end. Pages are stable: runs made in the
            meantime come before the first.

        Raises:
            InvalidCursor, InvalidOption: naming value and rule.
        """
        return operations.list_runs(
            self._access,
            status=status,
            workflow=workflow,
            label=label,
            parent=parent,
            since=since,
            search=search,
            limit=limit,
            cursor=cursor,
        )

    def steps(self, run_id: str) -> StepList:
        """The steps of a run, in order of their first appearance.

        The list also takes names: `steps["fetch[3]"]`.

        Raises:
            RunNotFound: the app has no run of that id.
            StoreDamaged: an event was changed outside of nbflow; names it.
        """
        return operations.list_steps(self._access, run_id)

    def step(self, run_id: str, name: str) -> Step:
        """One step of a run, by its name; much cheaper than the list of a large run.

        Raises:
            RunNotFound, StepNotFound: naming what there is.
            StoreDamaged: an event was changed outside of nbflow; names it.
        """
        return operations.get_step(self._access, run_id, name)

    def log(self, run_id: str, step: str | None = None, tail: int = 200) -> Events:
        """The last log lines of a run, or of one of its steps.

        Raises:
            RunNotFound: the app has no run of that id.
        """
        return operations.read_log(self._access, run_id, step, tail)

    def events(
        self, run_id: str, offset: str = START, tail: int | None = None
    ) -> EventList:
        """All events of a run after `offset`; a list with `.offset` and `.ended`.

        Args:
            run_id: the run.
            offset: read strictly after it; "-1" from the start, "now" none yet.
            tail: only that many from the end; only with "-1".

        Raises:
            RunNotFound: the app has no run of that id.
            InvalidOption: `tail` is no whole number of 1 or more.
            OffsetError: its kinds say what is wrong with the offset.
            StoreDamaged: an event was changed outside of nbflow; names it.
        """
        return read_events(self._access, run_id, offset, tail)

    def earlier(self, run_id: str, before: int, count: int = 1_000) -> Events:
        """The last events before one, for displays that page back; [] at the first.

        Args:
            run_id: the run.
            before: the index of the event that they come before.
            count: how many, at most.

        Raises:
            RunNotFound: the app has no run of that id.
            StoreDamaged: an event was changed outside of nbflow; names it.
        """
        return read_earlier(self._access, run_id, before, count)

    def stream(
        self,
        run_id: str,
        offset: str = START,
        tail: int | None = None,
        live: bool = True,
    ) -> Stream:
        """The events of a run as they come, to the end of its present life.

        Args:
            run_id: the run.
            offset: read strictly after it; "-1" from the start, "now" what comes.
            tail: begin with that many from the end; only with "-1".
            live: wait for what comes; else end with what is there.

        Returns:
            A sync and async iterator with `.offset` and `.cancel()`.

        Raises:
            RunNotFound, OffsetError, InvalidOption: as they say.
        """
        return Stream(self._access, run_id, offset, tail, live)

    def listing(self, *, top: bool = False, **filters: Any) -> Listing:
        """A list that stays open, for displays that refresh; filters as of `list`.

        Args:
            top: leave out runs that others of this app have started.
            filters: status, workflow, label, parent, since, search.
        """
        return Listing(self._access, top=top, **filters)

    def counts(self) -> dict[str, int]:
        """How many runs there are of each status."""
        return listing.counts(self._access)

    def is_executed(self, run_id: str) -> bool:
        """Whether the run goes on, as far as can be told: an engine is alive for it.

        Raises:
            RunNotFound: the app has no run of that id.
        """
        row = self._access.find_row(run_id)
        return not is_ended(row) and self._access.executes(row)

    def hindrances(self, run_id: str) -> tuple[str, ...]:
        """What stops a live run, one line a reason; none if it just goes on.

        Nobody executes it, or a child that it waits for; it waits for its turn. What
        single steps wait for by themselves is in `Run.waiting`, which has all of it.

        Raises:
            RunNotFound: the app has no run of that id.
        """
        return tuple(operations.hindrances(self._access, run_id))

    def frame(self, **filters: Any) -> Any:
        """Runs as a pandas DataFrame, one row each; filters as those of `list`.

        Raises:
            ImportError: pandas is not installed.
        """
        return frames.runs_frame(self.list(**filters))

    # Acting

    def answer(self, run_id: str, step: str, value: Any) -> None:
        """Answer a step that asks (`ctx.ask`); durable when this returns.

        Args:
            run_id: the run.
            step: the step's name, as lists show it.
            value: of the type that was asked for, or text that stands for it.

        Raises:
            RunNotFound, RunFinished: there is no such run, or it is over.
            StepNotFound: no step of that name asks; names those that do.
            InvalidOption: it is no answer to this question.
        """
        refuse_ended(self._access.find_row(names.check_run_id(run_id)))
        command = {"kind": "answer", "run_id": run_id, "step": step}
        act(self._access, command, value=value)

    def cancel(
        self,
        run_id: str | Iterable[str] | None = None,
        *,
        status: OneOrMore | None = None,
        workflow: OneOrMore | None = None,
        label: OneOrMore | None = None,
        since: datetime | timedelta | str | None = None,
        reason: str | None = None,
    ) -> Ids:
        """Cancel a run, several, or all unfinished ones that pass filters.

        Ended runs are left as they are; `[]` cancels nothing.

        Returns:
            The ids newly canceled.

        Raises:
            TypeError: neither ids nor a filter, or both.
            RunNotFound: a given id is not there; nothing was canceled.
        """
        filters = (status, workflow, label, since)
        is_filtered = any(each is not None for each in filters)
        if (run_id is None) != is_filtered:
            raise TypeError(
                "runs.cancel() takes a run id, a list of them, or filters (status=, "
                "workflow=, label=, since=), and one of these: it never means all runs"
            )
        if run_id is None:
            ids = operations.select_unfinished(self._access, *filters)
        else:
            ids = [run_id] if isinstance(run_id, str) else list(run_id)
        return operations.cancel(self._access, ids, reason)

    @overload
    def resume(
        self,
        run_id: str,
        *,
        refresh: str | Iterable[str] | None = None,
        plan: Literal[False] = False,
    ) -> RunHandle[Any]: ...
    @overload
    def resume(
        self,
        run_id: str,
        *,
        refresh: str | Iterable[str] | None = None,
        plan: Literal[True],
    ) -> Plan: ...
    def resume(
        self,
        run_id: str,
        *,
        refresh: str | Iterable[str] | None = None,
        plan: bool = False,
    ) -> RunHandle[Any] | Plan:
        """Go on in place with a failed or canceled run; finished steps are kept.

        Its tries and the `timeout` of its workflow are counted anew from here. The
        plan is logged first, by logger `nbflow` at level info.

        Args:
            run_id: the run.
            refresh: names of steps whose values are not to be kept, or "stale" for
                those whose function was edited since.
            plan: only say what it would do.

        Returns:
            A handle that waits for the new end, or the plan.

        Raises:
            RunActive: the run is going on.
            RunFinished: it is completed or was skipped.
            StepNotFound: it has no step that `refresh` names.
            WorkflowNotFound: the engine does not have its workflow.
        """
        from nbflow.client import resumes  # who reads does not compare code

        if plan:
            return resumes.plan_resume(self._access, run_id, refresh)[1].plan
        resumes.resume(self._access, run_id, refresh)
        return RunHandle(run_id, access=self._access)

    def rerun(
        self,
        run_id: str,
        *,
        from_step: str | None = None,
        input: Any = _MISSING,
        step_input: Sequence[Any] | None = None,
    ) -> RunHandle[Any]:
        """Start a new run of an old one's workflow, with present code.

        Args:
            run_id: the old run; the new one names it as `rerun_of`.
            from_step: keep everything before this step.
            input: another input.
            step_input: the positional arguments of `from_step`.

        Raises:
            RunNotFound, StepNotFound: naming what there is.
            InvalidInput: `input` does not fit the workflow; nothing is recorded.
        """
        return RunHandle(run_id, access=self._access).rerun(
            from_step=from_step,
            step_input=step_input,
            **({} if input is _MISSING else {"input": input}),
        )

    def delete(self, run_id: str | Iterable[str]) -> int:
        """Delete ended runs, with their events; how many.

        Raises:
            RunNotFound: one is not there.
            RunActive: one has not ended. In both cases nothing is deleted.
        """
        ids = [run_id] if isinstance(run_id, str) else list(run_id)
        return operations.delete(self._access, ids)

    def prune(
        self,
        *,
        older_than: timedelta | float | str | None = None,
        keep: int | None = None,
        status: OneOrMore | None = None,
        dry_run: bool = False,
    ) -> int:
        """Delete the ended runs that pass all criteria; without one, none.

        Args:
            older_than: a duration: those that ended longer ago.
            keep: leave that many of the newest.
            status: one or several.
            dry_run: only count.

        Returns:
            How many were deleted, or would be.
        """
        ids = operations.prunable(self._access, older_than, keep, status)
        return len(ids) if dry_run else operations.delete(self._access, ids)

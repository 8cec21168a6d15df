"""The runs of one app, newest first, as far down as somebody has looked.

On the feed's thread. What cannot be read is said in `problem`; what was read stays.
"""

import datetime as dt
from collections.abc import Iterator

from nbflow.client import Client
from nbflow.errors import NbflowError, StoreReplaced
from nbflow.model import UNFINISHED_RUN, Run
from nbflow.view import Filter

_SERVED = 1.0
"""Seconds between two looks whether an engine is alive."""
_COUNTED = 1.0
_BUDGET = 2_000
"""Runs that a filter looks through in one turn, so that others get theirs."""


class Listed:
    """One app of the home.

    Args:
        client: of the app.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.app = client.app
        self.runs: list[Run] = []
        self.children: dict[str, list[Run]] = {}
        self.child_counts: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        self.live: frozenset[str] = frozenset()
        self.is_served = False
        self.problem: str | None = None
        self.note: str | None = None
        self.budget = 0
        self.looked = 0
        self._filter = Filter()
        self._stamp: object = object()
        self._looked_at = self._counted_at = -1e9
        self._counts_due = True
        self._begin()

    def _begin(self) -> None:
        self.runs = []
        self.children, self.child_counts = {}, {}
        self.looked = 0
        self._now = dt.datetime.now(dt.UTC)
        if self._filter:
            # A status changes: `_take` has an eye on what is live, or was.
            self._listing = self.client.runs.listing(
                **self._filter.arguments(self._now)
            )
        else:
            self._listing = self.client.runs.listing(top=True)

    @property
    def is_whole(self) -> bool:
        """Whether the oldest run was looked at."""
        return self._listing.is_whole or self.problem is not None

    def set_filter(self, wanted: Filter) -> None:
        """Show other runs."""
        self._filter = wanted
        self._begin()

    def look(self, moment: float) -> bool:
        """Take notice of what was committed; whether anything was.

        Args:
            moment: of a monotonic clock.
        """
        try:
            changed = self._look(moment)
        except StoreReplaced:
            self._begin()
            self.note = f"the store of app {self.app} was replaced: this is the new one"
            return True
        except NbflowError as error:
            told = str(error)
            changed, self.problem = told != self.problem, told
            return changed
        if self.problem is not None:
            self.problem = None
            changed = True
        return changed

    def _look(self, moment: float) -> bool:
        changed = False
        if moment - self._looked_at >= _SERVED:
            self._looked_at = moment
            is_served = self.client.is_served()
            changed, self.is_served = is_served != self.is_served, is_served
        stamp = self.client.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            self._take()
            self._counts_due = changed = True
        if self._counts_due and moment - self._counted_at >= _COUNTED:
            self._counted_at, self._counts_due = moment, False
            counts = self.client.runs.counts()
            changed, self.counts = changed or counts != self.counts, counts
        return changed

    def _take(self) -> None:
        """Runs that are new, and those that are live or were a moment ago."""
        self._now = dt.datetime.now(dt.UTC)
        known = {run.run_id for run in self.runs}
        fresh = [
            run
            for run in self._listing.newer()
            if run.run_id not in known and self.passes(run)
        ]
        live: set[str] = set()
        for listing in self._live_lists():
            live.update(run.run_id for run in listing)
        moved = (live | self.live) - {run.run_id for run in fresh}
        self.live = frozenset(live)
        now_is = self._listing.again(list(moved))
        self.runs = [
            *fresh,
            *(now_is.get(run.run_id, run) for run in self.runs),
        ]
        for run_id, run in now_is.items():
            if run_id not in known and self._filter and self.passes(run):
                self._insert(run)
        for parent in list(self.children):
            self.children[parent] = self._read_children(parent)
        self._count_children(self.runs)

    def _live_lists(self) -> Iterator[list[Run]]:
        for status in UNFINISHED_RUN:
            listing = self.client.runs.listing(status=status)
            yield listing.older(1000)

    def _insert(self, run: Run) -> None:
        place = sum(1 for each in self.runs if age(each) > age(run))
        # One that lies below what was read comes with its page.
        if place < len(self.runs) or self._listing.is_whole:
            self.runs.insert(place, run)

    def refresh(self, run_ids: list[str]) -> None:
        """Read these again, whatever they are: ended ones may be resumed or gone."""
        found = self._listing.again(run_ids)
        wanted = set(run_ids)
        self.runs = [
            found.get(run.run_id, run)
            for run in self.runs
            if run.run_id not in wanted or run.run_id in found
        ]

    def deep(self) -> Iterator[Run]:
        """Runs from the newest on; older ones are read when they are asked for."""
        place = 0
        while True:
            while place < len(self.runs):
                yield self.runs[place]
                place += 1
            if self.problem is not None or self._listing.is_whole or self.budget <= 0:
                return
            try:
                page = self._listing.older()
            except StoreReplaced:
                self._stamp = object()
                return
            except NbflowError as error:
                self.problem = str(error)
                return
            self.looked += len(page)
            self.budget -= len(page)
            known = {run.run_id for run in self.runs}
            fresh = [
                run for run in page if run.run_id not in known and self.passes(run)
            ]
            self._count_children(fresh)
            self.runs += fresh

    def refill(self) -> None:
        """Another turn has begun."""
        self.budget = _BUDGET

    def open(self, run_id: str) -> list[Run]:
        """The runs that one has started, oldest first."""
        found = self.children.get(run_id)
        if found is None:
            found = self.children[run_id] = self._read_children(run_id)
        return found

    def close(self, run_id: str) -> None:
        """Their list is not shown any more."""
        self.children.pop(run_id, None)

    def find(self, run_id: str) -> Run | None:
        """One run, as it is now."""
        try:
            return self._listing.again([run_id]).get(run_id)
        except StoreReplaced:
            self._stamp = object()
        except NbflowError as error:
            self.problem = str(error)
        return None

    def passes(self, run: Run) -> bool:
        """Whether a run is still one that the filter asks for."""
        if not self._filter:
            return True
        if self._filter.needs_waiting and not run.is_ended:
            try:
                run = self.client.runs.get(run.run_id)
            except NbflowError:
                return False
        return self._filter.matches(run, self._now)

    def _read_children(self, run_id: str) -> list[Run]:
        try:
            listing = self.client.runs.listing(parent=run_id)
            found = listing.older(500)[::-1]
        except NbflowError:
            return []
        self._count_children(found)
        return found

    def _count_children(self, runs: list[Run]) -> None:
        ids = [
            run.run_id
            for run in runs
            if not run.is_ended or run.run_id not in self.child_counts
        ]
        found = self._listing.children(ids)
        self.child_counts.update({run_id: found.get(run_id, 0) for run_id in ids})


def age(run: Run) -> dt.datetime:
    """What lists of runs are in the order of: when it was queued."""
    return run.queued_at or dt.datetime.min.replace(tzinfo=dt.UTC)

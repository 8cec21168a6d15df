"""A list of runs that stays open: it grows at both ends and is read again in part.

For displays that refresh several times a second: unlike `runs.list` it does not look
into each live run for what it waits for, and one damaged run does not hide the others.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from nbflow._store.base import ReaderStore, RunRow
from nbflow.client import operations
from nbflow.client.access import Access
from nbflow.client.records import Numbers
from nbflow.errors import StoreDamaged, StoreReplaced
from nbflow.model import ErrorInfo, Run

PAGE = 200
_KNOWN = 5_000


class Listing:
    """Runs of an app that pass filters, from the newest on.

    Args:
        access: the app.
        top: leave out runs that others of this app have started.
        filters: as those of `runs.list`.

    Raises:
        StoreError: at any call, the store cannot be read; its kinds say why.
        StoreReplaced: it is another one than at the first call: begin anew.
    """

    def __init__(self, access: Access, *, top: bool = False, **filters: Any) -> None:
        self._access = access
        self._filters = operations.ready_filters(access, filters) | {"top": top}
        self._uid: str | None = None
        self._high = 0
        self._cursor: str | None = None
        self._has_begun = False
        self._known: dict[int, tuple[RunRow, Run]] = {}

    @property
    def is_whole(self) -> bool:
        """Whether the oldest run has been read."""
        return self._has_begun and self._cursor is None

    def older(self, limit: int = PAGE) -> list[Run]:
        """The next runs towards the oldest, newest first; the newest at first."""
        reader = self._reader()
        if reader is None or self.is_whole:
            return []
        page = reader.runs(limit=limit, cursor=self._cursor, **self._filters)
        self._check(reader)
        if not self._has_begun:
            self._high = _newest(reader)
            self._has_begun = True
            if page.rows:
                self._high = max(self._high, page.rows[0].n)
        self._cursor = page.cursor
        return self._records(reader, page.rows)

    def newer(self) -> list[Run]:
        """Runs made since the newest one was read, newest first."""
        reader = self._reader()
        if reader is None or not self._has_begun:
            return []
        rows: list[RunRow] = []
        cursor: str | None = None
        while True:
            page = reader.runs(
                limit=1000, cursor=cursor, above=self._high, **self._filters
            )
            rows += page.rows
            cursor = page.cursor
            if cursor is None:
                break
        self._check(reader)
        if rows:
            self._high = rows[0].n
        return self._records(reader, rows)

    def again(self, run_ids: Sequence[str]) -> dict[str, Run]:
        """Runs as they are now, by id, whatever the filters; deleted ones lack."""
        reader = self._reader()
        if reader is None:
            return {}
        rows = reader.runs_of(list(run_ids))
        self._check(reader)
        return {run.run_id: run for run in self._records(reader, rows)}

    def children(self, run_ids: Sequence[str]) -> dict[str, int]:
        """How many runs of this app these have started; those without are left out."""
        reader = self._reader()
        if reader is None:
            return {}
        ids = {row.n: row.id for row in reader.runs_of(list(run_ids))}
        counts = reader.child_counts(list(ids))
        return {ids[n]: count for n, count in counts.items()}

    def _reader(self) -> ReaderStore | None:
        return self._access.reader()

    def _check(self, reader: ReaderStore) -> None:
        if self._uid is None:
            self._uid = reader.uid
        elif self._uid != reader.uid:
            raise StoreReplaced(
                f"{self._access.place}: the store was replaced by another one while "
                "its runs were listed: list them anew"
            )

    def _records(self, reader: ReaderStore, rows: Iterable[RunRow]) -> list[Run]:
        numbers = Numbers(reader)
        return [self._record(row, numbers) for row in rows]

    def _record(self, row: RunRow, numbers: Numbers) -> Run:
        known = self._known.get(row.n)
        if known is not None and known[0] == row:
            return known[1]
        run = self._read(row, numbers)
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[row.n] = (row, run)
        return run

    def _read(self, row: RunRow, numbers: Numbers) -> Run:
        try:
            return operations.record(self._access, row, numbers, waiting=False)
        except StoreDamaged as error:
            row = row._replace(last=None, tail=None)
            run = operations.record(self._access, row, numbers, waiting=False)
            told = ErrorInfo(type(error).__name__, str(error))
            return dataclasses.replace(run, error=told)


def _newest(reader: ReaderStore) -> int:
    """The number of the newest run, whatever the filters."""
    page = reader.runs(limit=1)
    return page.rows[0].n if page.rows else 0


def counts(access: Access) -> dict[str, int]:
    """How many runs there are of each status; none without a store."""
    reader = access.reader()
    return {} if reader is None else dict(reader.counts())

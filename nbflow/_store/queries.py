"""The questions that every store answers, in SQL over one `_all`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from nbflow._store.base import (
    CommandRow,
    EventRow,
    FlowRow,
    HeadMark,
    MessageRow,
    OneOrMore,
    RunPage,
    RunRow,
    SlotRow,
    WaitRow,
    WorkflowRow,
)
from nbflow._store.cursors import make_cursor, read_cursor
from nbflow._store.pairs import split
from nbflow.errors import InvalidOption

RUNS = f"SELECT {', '.join(RunRow._fields)} FROM run"
EVENTS = f"SELECT {', '.join(EventRow._fields)} FROM event"
FLOWS = f"SELECT {', '.join(FlowRow._fields)} FROM flow"
SLOTS = f"SELECT {', '.join(SlotRow._fields)} FROM slot"
WAITS = f"SELECT {', '.join(WaitRow._fields)} FROM wait"
MESSAGES = f"SELECT {', '.join(MessageRow._fields)} FROM message"
WORKFLOWS = f"SELECT {', '.join(WorkflowRow._fields)} FROM workflow"

TREE = f"""
WITH RECURSIVE tree(n) AS (
  SELECT ? UNION ALL SELECT run.n FROM run JOIN tree ON run.parent = tree.n)
{RUNS} WHERE n IN (SELECT n FROM tree) ORDER BY n"""
CACHED = f"""{EVENTS} WHERE (run, idx) = (SELECT run, idx FROM cache WHERE key = ?)"""

PAGE_LIMIT = 1000
_PAGE = 2000
_VARIABLES = 500
_Row = TypeVar("_Row")


class Queries:
    """Reads rows; says nothing about where the connection comes from."""

    uid: str
    path: Path | None
    """The app's folder; None in memory."""

    def _all(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of one statement: an open one would pin the WAL."""
        raise NotImplementedError

    def run(self, run_id: str) -> RunRow | None:
        """The run of that id."""
        return _first(self._runs("WHERE id = ?", (run_id,)))

    def run_by_number(self, n: int) -> RunRow | None:
        """The run of that number."""
        return _first(self._runs("WHERE n = ?", (n,)))

    def children(self, n: int) -> list[RunRow]:
        """Runs that this one invoked or started, oldest first."""
        return self._runs("WHERE parent = ? ORDER BY n", (n,))

    def unfinished(self) -> list[RunRow]:
        """Queued and running runs, oldest first."""
        return self._runs("WHERE status IN ('queued', 'running') ORDER BY n", ())

    def tree(self, root: int) -> list[RunRow]:
        """A run and all runs below it, oldest first."""
        return list(map(RunRow._make, self._all(TREE, (root,))))

    def events(
        self, run_n: int, after: int = 0, limit: int | None = None
    ) -> list[EventRow]:
        """Events with an index above `after`, in order."""
        found = self._events(
            "WHERE run = ? AND idx > ? ORDER BY idx LIMIT ?",
            (run_n, after, -1 if limit is None else limit),
        )
        if found and found[0].idx <= after:
            del found[0]  # the first of two in one row
        return found if limit is None else found[:limit]

    def events_of(self, run_n: int, types: Sequence[str]) -> list[EventRow]:
        """Events of those types, in order, without reading the others."""
        found = self._events(
            f"WHERE run = ? AND type IN ({_marks(types)}) ORDER BY idx",
            (run_n, *types),
        )
        return [event for event in found if event.type in types]

    def tail(self, run_n: int, count: int) -> list[EventRow]:
        """The last `count` events, in order."""
        count = max(count, 0)
        found = self._events(
            "WHERE run = ? AND idx > (SELECT max(idx) FROM event WHERE run = ?) - ?"
            " ORDER BY idx",
            (run_n, run_n, count),
        )
        return found[max(len(found) - count, 0) :]

    def head(self, run_n: int) -> int:
        """Index of the last event; 0 where there is none."""
        rows = self._all("SELECT max(idx) FROM event WHERE run = ?", (run_n,))
        return rows[0][0] or 0

    def last_event(self, run_n: int) -> EventRow | None:
        """The last event."""
        return _first(self.tail(run_n, 1))

    def lacks(self, mark: HeadMark) -> bool:
        """Whether an event that was committed is gone, its run not being deleted."""
        for event in self.events(mark.run, mark.idx - 1, 1):
            if event.idx == mark.idx:
                return event.digest.hex() != mark.digest
        if self.run_by_number(mark.run) is not None:
            return True
        high: int = self._all("SELECT high FROM store")[0][0]
        return mark.run > high

    def cached(self, key: bytes) -> EventRow | None:
        """The event that holds the outcome cached under this key."""
        found = list(split(self._all(CACHED, (key,))))
        return found[-1] if found else None

    def workflows(self) -> list[WorkflowRow]:
        """The app's catalogue, by name."""
        return list(map(WorkflowRow._make, self._all(f"{WORKFLOWS} ORDER BY name")))

    def flows(self) -> list[FlowRow]:
        """The keys of flow control, by name."""
        return list(map(FlowRow._make, self._all(f"{FLOWS} ORDER BY key")))

    def slots(self, run_n: int | None = None) -> list[SlotRow]:
        """Executions that keys count, of one run or of all, in order of arrival."""
        where, given = ("", ()) if run_n is None else ("WHERE run = ?", (run_n,))
        rows = self._all(f"{SLOTS} {where} ORDER BY n", given)
        return list(map(SlotRow._make, rows))

    def waits(self, name: str | None = None) -> list[WaitRow]:
        """Steps that wait for an event, of that name or of any, oldest run first."""
        where = "WHERE name = ?" if name is not None else ""
        given = () if name is None else (name,)
        rows = self._all(f"{WAITS} {where} ORDER BY run, step", given)
        return list(map(WaitRow._make, rows))

    def messages(self, run_n: int | None = None) -> list[MessageRow]:
        """Events that a run, or any, has not taken yet, oldest first."""
        where, given = ("", ()) if run_n is None else ("WHERE run = ?", (run_n,))
        rows = self._all(f"{MESSAGES} {where} ORDER BY rowid", given)
        return list(map(MessageRow._make, rows))

    def command(self, command_id: str) -> bytes | None:
        """Outcome of an applied command; None when it was not applied (or pruned)."""
        rows = self._all("SELECT outcome FROM command WHERE id = ?", (command_id,))
        return rows[0][0] if rows else None

    def commands(self, beginning: str) -> list[CommandRow]:
        """Applied commands and the engine's own notes whose ids begin so, by id."""
        rows = self._all(
            "SELECT id, at, outcome FROM command WHERE id >= ? AND id < ? ORDER BY id",
            (beginning, beginning + "\U0010ffff"),
        )
        return list(map(CommandRow._make, rows))

    def payloads(self) -> Iterator[bytes]:
        """Every stored text that may name an out-of-line value, in pages."""
        after = (0, 0)
        while True:
            rows = self._all(
                "SELECT run, idx, data FROM event WHERE (run, idx) > (?, ?)"
                " ORDER BY run, idx LIMIT ?",
                (*after, _PAGE),
            )
            yield from (row[2] for row in rows if row[2] is not None)
            if len(rows) < _PAGE:
                break
            after = rows[-1][:2]
        for column, table in (
            ("input", "run"),
            ("outcome", "run"),
            ("match", "wait"),
            ("data", "message"),
            ("outcome", "command"),
        ):
            sql = f'SELECT "{column}" FROM {table} WHERE length("{column}") >= 64'
            yield from (row[0] for row in self._all(sql))

    def counts(self) -> dict[str, int]:
        """How many runs there are of each status."""
        return dict(self._all("SELECT status, count(*) FROM run GROUP BY status"))

    def find(self, prefix: str, limit: int = 2) -> list[str]:
        """Ids of runs that begin with `prefix`, by id."""
        rows = self._all(
            "SELECT id FROM run WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
            (prefix, prefix + "\U0010ffff", limit),
        )
        return [row[0] for row in rows]

    def runs_of(self, run_ids: Sequence[str]) -> list[RunRow]:
        """Those of these runs that are there, in no order; any number of ids."""
        found: list[RunRow] = []
        for place in range(0, len(run_ids), _VARIABLES):
            some = run_ids[place : place + _VARIABLES]
            found += self._runs(f"WHERE id IN ({_marks(some)})", some)
        return found

    def child_counts(self, numbers: Sequence[int]) -> dict[int, int]:
        """How many runs these have invoked or started; those without are left out."""
        found: dict[int, int] = {}
        for place in range(0, len(numbers), _VARIABLES):
            some = numbers[place : place + _VARIABLES]
            where = f"WHERE parent IN ({_marks(some)}) GROUP BY parent"
            found.update(self._all(f"SELECT parent, count(*) FROM run {where}", some))
        return found

    def runs(
        self,
        *,
        status: OneOrMore | None = None,
        workflow: OneOrMore | None = None,
        label: OneOrMore | None = None,
        parent: OneOrMore | None = None,
        since: int | None = None,
        search: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        top: bool = False,
        above: int | None = None,
    ) -> RunPage:
        """Runs that pass all filters, newest first, in stable pages."""
        if isinstance(limit, bool) or not 1 <= limit <= PAGE_LIMIT:
            raise InvalidOption(
                f"limit={limit!r}: a page holds 1 to {PAGE_LIMIT:,} runs",
                option="limit",
                value=limit,
            )
        wanted = _Filter()
        wanted.one_of("status", status)
        wanted.one_of("workflow", workflow)
        wanted.one_of("label", label)
        if parent is not None:
            ids = _texts(parent)
            known = {row.id for row in self.runs_of(ids)}
            wanted.parents(ids, [each for each in ids if each not in known])
        if since is not None:
            wanted.add("created >= ?", since)
        if search:
            wanted.search(search)
        if top:
            wanted.add("parent IS NULL")
        if above is not None:
            wanted.add("n > ?", above)
        if cursor is not None:
            wanted.add("n < ?", read_cursor(self.uid, cursor))
        # One row more than asked tells whether another page follows.
        rows = self._runs(
            f"{wanted.where()} ORDER BY n DESC LIMIT ?", (*wanted.params, limit + 1)
        )
        page = rows[:limit]
        more = len(rows) > limit
        return RunPage(page, make_cursor(self.uid, page[-1].n) if more else None)

    def _runs(self, rest: str, params: Sequence[object]) -> list[RunRow]:
        return list(map(RunRow._make, self._all(f"{RUNS} {rest}", params)))

    def _events(self, rest: str, params: Sequence[object]) -> list[EventRow]:
        return list(split(self._all(f"{EVENTS} {rest}", params)))


class _Filter:
    """Conditions on runs; texts are constants, values are parameters."""

    def __init__(self) -> None:
        self._conditions: list[str] = []
        self.params: list[object] = []

    def add(self, condition: str, *params: object) -> None:
        self._conditions.append(condition)
        self.params += params

    def one_of(self, column: str, values: OneOrMore | None) -> None:
        if values is None:
            return
        some = _texts(values)
        if len(some) == 1:
            self.add(f"{column} = ?", *some)
        else:
            # Newest first over all: an index would have to be sorted as a whole.
            self.add(f"+{column} IN ({_marks(some)})", *some)

    def parents(self, ids: Sequence[str], elsewhere: Sequence[str]) -> None:
        """Children of these runs; `elsewhere` are those that are none of this store."""
        query = f"SELECT n FROM run WHERE id IN ({_marks(ids)})"
        if not elsewhere:
            self.add(f"parent IN ({query})", *ids)
            return
        # No index has them: all runs that were called from other apps are looked at.
        caller = "json_extract(CAST(caller AS TEXT), '$.run_id')"
        self.add(
            f"(parent IN ({query}) OR {caller} IN ({_marks(elsewhere)}))",
            *(*ids, *elsewhere),
        )

    def search(self, text: str) -> None:
        folded = text.casefold()
        self.add(
            "(instr(casefold(id), ?) OR instr(casefold(workflow), ?)"
            " OR instr(casefold(label), ?))",
            *(folded, folded, folded),
        )

    def where(self) -> str:
        return f"WHERE {' AND '.join(self._conditions)}" if self._conditions else ""


def casefold(text: object) -> str | None:
    """SQL function: SQLite's own `lower` knows ASCII only."""
    return text.casefold() if isinstance(text, str) else None


def _texts(values: OneOrMore) -> list[str]:
    some = [values] if isinstance(values, str) else list(values)
    return [str(value) for value in some]


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _first(rows: list[_Row]) -> _Row | None:
    return rows[0] if rows else None

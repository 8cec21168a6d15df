"""Runs told event by event, and browsers that keep rows as ours does."""

import datetime as dt
from typing import Any

from nbflow.model import EventType, RunEvent, step_label
from nbflow.view import Board
from nbflow.widgets.run.rows import Rows

START = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)


class Story:
    """Makes events, a tenth of a second apart."""

    def __init__(self, run_id: str = "r-1", workflow: str = "main") -> None:
        self.run_id = run_id
        self.index = 0
        self.events: list[RunEvent] = []
        self.tell("run.queued", workflow=workflow)
        self.tell("run.started", attempt=1)

    @property
    def now(self) -> dt.datetime:
        return START + dt.timedelta(seconds=self.index / 10)

    def tell(
        self,
        type: str,
        key: str | None = None,
        attempt: int | None = None,
        /,
        **data: Any,
    ) -> None:
        """An event; `key` joins branches and id by "\\x1f", as the store does."""
        self.index += 1
        step = None if key is None else step_label(key)
        event = RunEvent(
            1, self.run_id, self.index, EventType(type), self.now, step, attempt, data
        )
        object.__setattr__(event, "_key", key)
        self.events.append(event)

    def step(self, key: str, **outcome: Any) -> None:
        """A step that is completed at its first attempt."""
        self.tell("step.started", key, 1, kind="run")
        self.tell("step.completed", key, 1, **outcome)

    def fail(self, key: str, message: str = "bad") -> None:
        """A step that fails at its first attempt."""
        self.tell("step.started", key, 1, kind="run")
        self.tell(
            "step.failed", key, 1, error={"type": "ValueError", "message": message}
        )

    def board(self) -> Board:
        """A board that knows all."""
        board = Board(run_id=self.run_id)
        for event in self.events:
            board.apply(event)
        return board

    def rows(self, **limits: int) -> Rows:
        """The rows of all."""
        rows = Rows(Board(run_id=self.run_id), **limits)
        rows.take(self.run_id, self.events)
        return rows


class Page:
    """What a browser has of the rows."""

    def __init__(self, whole: list[list[Any]] = []) -> None:
        self.rows: dict[int, list[Any]] = {}
        self.take(whole)

    def take(self, rows: list[list[Any]]) -> None:
        """Take the rows of a message."""
        for row in rows:
            if len(row) > 1:
                assert row[1] == 0 or row[1] in self.rows, "a row before its parent"
                self.rows[row[0]] = row
                continue
            gone = {row[0]}
            for id in sorted(self.rows):
                if self.rows[id][1] in gone:
                    gone.add(id)
            for id in gone:
                self.rows.pop(id, None)

    def names(self) -> list[str]:
        """All rows as indented names, in order."""
        return list(self._below(0, ""))

    def _below(self, parent: int, indent: str) -> Any:
        for id in sorted(self.rows):
            if self.rows[id][1] == parent:
                yield f"{indent}{self.rows[id][3]}"
                yield from self._below(id, indent + "  ")

    def row(self, name: str) -> list[Any]:
        """The row of that name, filled up."""
        (found,) = [row for row in self.rows.values() if row[3] == name]
        return found + [None] * (15 - len(found))

"""Stores with journals written by hand, and engines on a home of their own."""

import json
from typing import Any

import pytest

from nbflow import codecs
from nbflow._store.base import Batch, EventRow, RunRow, RunUpdate
from nbflow._store.chain import first_digest, next_digest
from nbflow._store.memory import MemoryReader, MemoryStore
from nbflow._store.payload import value_member

SECOND = 1_000_000
START = 1_767_225_600 * SECOND  # 2026-01-01


class Script:
    """A run written event by event, a second apart, as the engine would."""

    def __init__(
        self, run_id: str = "r-1", n: int = 1, store: Any = None, **queued: Any
    ) -> None:
        self.store = MemoryStore() if store is None else store
        self.id, self.n = run_id, n
        self.now = START
        self.events: list[EventRow] = []
        self.digest = first_digest(run_id)
        self.row = RunRow(
            n=n,
            id=run_id,
            workflow="wf",
            definition="1:3.11:0",
            status="running",
            label=None,
            parent=None,
            parent_step=None,
            root=n,
            depth=0,
            rerun_of=None,
            from_step=None,
            options=None,
            headers=None,
            input=b'{"_value":{}}',
            outcome=None,
            preview=None,
            attempt=1,
            recoveries=0,
            created=self.now,
            started=self.now,
            ended=None,
            wake=None,
            reason=None,
            last=None,
            tail=None,
        )
        self.add("run.queued", workflow="wf", **queued)
        self.add("run.started", attempt=1)

    def add(
        self,
        type: str,
        step: str | None = None,
        attempt: int | None = None,
        mark: bytes | None = None,
        value: Any = ...,
        **fields: Any,
    ) -> None:
        """Append an event; `value` becomes the value that it carries."""
        self.now += SECOND
        data = json.dumps(fields).encode()
        if value is not ...:
            member = value_member(codecs.encode(value), self.store.put_blob)
            data = data[:-1] + (b"," if fields else b"") + member + b"}"
        idx = len(self.events) + 1
        stored = None if data == b"{}" else data
        self.digest = next_digest(
            self.digest, idx, type, self.now, step, attempt, mark, stored
        )
        row = EventRow(
            self.n, idx, idx, type, self.now, step, attempt, mark, self.digest, stored
        )
        self.events.append(row)

    def step(self, key: str, value: Any = None, **more: Any) -> None:
        """A step that completes at its first attempt."""
        self.add("step.started", key, 1, **more)
        self.add("step.completed", key, 1, value=value, duration=0.5)

    def end(self, status: str, reason: str | None = None, **fields: Any) -> None:
        """The terminal event; the run's row follows it."""
        self.add(f"run.{status}", **fields)
        self.row = self.row._replace(
            status=status,
            ended=self.now,
            last=len(self.events),
            tail=self.digest,
            reason=reason,
        )

    def resumed(self, **fields: Any) -> None:
        """The event that opens the next life."""
        self.add("run.resumed", **({"by": "user"} | fields))
        self.row = self.row._replace(status="running", ended=None, last=None, tail=None)

    def commit(self) -> MemoryReader:
        """Write what is new of it; a reader of the store."""
        batch = Batch()
        stored = self.store.run(self.id)
        if stored is None:
            batch.runs.append(self.row)
        else:
            fields = {name: getattr(self.row, name) for name in RunUpdate._fields}
            batch.updates.append(RunUpdate(**fields))
        batch.events.extend(self.events[self.store.head(self.n) :])
        self.store.commit(batch)
        return self.store.reader()


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def new_script() -> type[Script]:
    return Script

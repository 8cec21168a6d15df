"""A store with a long history, written through the store's own batches.

`make` writes runs that have ended, with the events an engine would have written;
`Pen` goes on writing, as an engine at work would. For benchmarks of what reads.
"""

import json
import time
from pathlib import Path
from typing import Any

from nbflow._store.base import Batch, EventRow, RunRow, RunUpdate
from nbflow._store.chain import first_digest, next_digest
from nbflow._store.sqlite import SqliteWriter

STEPS = ("fetch", "parse", "score")
NAMES = ("ingest", "nightly-report", "digest", "train", "sync-orders")
EVIL = "\x1b]52;c;RVZJTA==\x07\x1b[31mEVIL\x1b[2J"
"""What a hostile step might print."""


class Record:
    """One run, as its rows come to be."""

    def __init__(
        self, n: int, name: str, at: int, id: str, label: str | None = None
    ) -> None:
        self.n, self.id, self.name, self.at = n, id, name, at
        self.idx = 0
        self.digest = first_digest(id)
        self.label = label
        self.begun = at
        self.status = "running"
        self.preview: bytes | None = None

    def event(
        self,
        type: str,
        step: str | None = None,
        attempt: int | None = None,
        after: int = 1_000,
        **fields: Any,
    ) -> EventRow:
        """The next event, so many microseconds after the one before."""
        self.idx += 1
        self.at += after
        data = json.dumps(fields, separators=(",", ":")).encode() if fields else None
        self.digest = next_digest(
            self.digest, self.idx, type, self.at, step, attempt, None, data
        )
        return EventRow(
            self.n,
            self.idx,
            self.idx,
            type,
            self.at,
            step,
            attempt,
            None,
            self.digest,
            data,
        )

    def step(self, key: str, value: object, after: int = 20_000) -> list[EventRow]:
        """A step that was executed."""
        return [
            self.event("step.started", key, 1, _args={"args": [value], "kwargs": {}}),
            self.event(
                "step.completed", key, 1, after, duration=after / 1e6, _value=value
            ),
        ]

    def begin(self) -> list[EventRow]:
        """Queued and started."""
        return [
            self.event("run.queued", workflow=self.name, _input={"_value": {"n": 1}}),
            self.event("run.started", attempt=1),
        ]

    def end(self, error: str | None = None) -> list[EventRow]:
        """Completed, or failed."""
        lasted = (self.at - self.begun) / 1e6
        if error is None:
            self.status = "completed"
            self.preview = f"row {self.n} {EVIL}".encode()
            result = {"rows": self.n, "note": EVIL if self.n % 3 == 0 else "fine"}
            return [self.event("run.completed", duration=lasted, _value=result)]
        self.status = "failed"
        info = {"type": "ValueError", "message": f"{error} {EVIL}", "step": "score"}
        return [self.event("run.failed", error=info, duration=lasted)]

    def row(self) -> RunRow:
        """The run as it stands."""
        is_ended = self.status != "running"
        values: dict[str, Any] = dict.fromkeys(RunRow._fields)
        values |= {
            "n": self.n,
            "id": self.id,
            "workflow": self.name,
            "definition": "1:abc",
            "status": self.status,
            "label": self.label,
            "root": self.n,
            "depth": 0,
            "input": b'{"_value":{"n":1}}',
            "preview": self.preview,
            "attempt": 1,
            "recoveries": 0,
            "created": self.begun,
            "started": self.begun + 1_000,
            "ended": self.at if is_ended else None,
            "last": self.idx if is_ended else None,
            "tail": self.digest if is_ended else None,
        }
        return RunRow(**values)

    def update(self) -> RunUpdate:
        """Its changing columns."""
        row = self.row()
        return RunUpdate(*(getattr(row, name) for name in RunUpdate._fields))


def make(folder: Path, runs: int = 100_000, steps: int = 10_000) -> None:
    """Write a history: `runs` runs of ten events, the newest of them of `steps` steps.

    Args:
        folder: of the app; made.
        runs: how many.
        steps: of the newest one.
    """
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    writer = SqliteWriter(folder, "process")
    first = time.time_ns() // 1_000 - runs * 1_000_000
    batch = Batch()
    for n in range(1, runs):
        name = NAMES[n % len(NAMES)]
        label = f"batch {n % 100}" if n % 7 == 0 else None
        record = Record(n, name, first + n * 900_000, f"r-{n:012d}", label)
        batch.events += record.begin()
        for step in STEPS:
            batch.events += record.step(step, n)
        said = EVIL if n % 5 == 0 else "done"
        batch.events.append(
            record.event("log", message=said, level="info", source="print")
        )
        batch.events += record.end(None if n % 100 else "no such order")
        batch.runs.append(record.row())
        if n % 2_000 == 0:
            writer.commit(batch)
            batch.clear()
    batch = _long(batch, runs, first + runs * 900_000, steps)
    writer.commit(batch)
    writer.maintain()
    writer.close()


def _long(batch: Batch, n: int, at: int, steps: int) -> Batch:
    record = Record(n, "harvest", at, f"r-{n:012d}", "long one")
    batch.events += record.begin()
    for place in range(steps):
        batch.events += record.step(f"field{place:05d}", place, 2_000)
    batch.events += record.end()
    batch.runs.append(record.row())
    return batch


class Pen:
    """Goes on writing, one commit at a time.

    Args:
        folder: of the app.
        live: so many runs go on at once.
    """

    def __init__(self, folder: Path, live: int = 20) -> None:
        self._writer = SqliteWriter(folder, "process")
        self._live: list[Record] = []
        self._count = live
        self._turn = 0

    def close(self) -> None:
        """Let the store go."""
        self._writer.close()

    def begin(self, name: str, label: str | None = None) -> Record:
        """Commit a new run."""
        n = self._writer.next_run
        self._writer.next_run += 1
        at = time.time_ns() // 1_000
        record = Record(n, name, at, f"r-{n:012d}", label)
        batch = Batch()
        batch.events += record.begin()
        batch.runs.append(record.row())
        self._writer.commit(batch)
        self._live.append(record)
        return record

    def write(self) -> None:
        """Commit the next thing that happens: a run begins or ends, a step of one."""
        self._turn += 1
        if len(self._live) < self._count:
            self.begin(NAMES[self._turn % len(NAMES)])
            return
        batch = Batch()
        record = self._live[self._turn % len(self._live)]
        record.at = time.time_ns() // 1_000
        if record.idx > 60:
            batch.events += record.end()
            batch.updates.append(record.update())
            self._live.remove(record)
        else:
            batch.events += record.step(f"step{record.idx:03d}", self._turn, 1_000)
        self._writer.commit(batch)

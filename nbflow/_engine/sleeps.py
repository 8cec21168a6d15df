"""Durable sleep: one absolute deadline, stored once."""

import asyncio
from collections.abc import Generator
from datetime import datetime
from typing import Any

from nbflow import codecs, durations
from nbflow._engine.calls import awaited_twice, recall
from nbflow._engine.life import Life
from nbflow._engine.memo import NO_FUNCTION
from nbflow._engine.timers import iso
from nbflow._store.payload import to_json
from nbflow.errors import InvalidDuration
from nbflow.model import EventType, step_label

_COMPLETED = to_json({"kind": "sleep"})


class SleepCall:
    """A `ctx.sleep` that was called; awaiting it sleeps."""

    __slots__ = ("is_awaited", "key", "mark", "run", "seconds", "until")

    def __init__(
        self, run: Life, key: str, duration: Any, until: datetime | None
    ) -> None:
        if (duration is None) == (until is None):
            raise InvalidDuration(
                f"ctx.sleep({step_label(key)!r}) takes a duration or until=, one of "
                f"them: got duration={duration!r}, until={until!r}"
            )
        self.is_awaited = False
        self.run = run
        self.key = key
        self.seconds = 0.0
        self.until: int | None = None
        if until is not None:
            self.until = durations.deadline(
                until, what=f"until of sleep {step_label(key)!r}"
            )
        elif isinstance(duration, datetime):
            raise InvalidDuration(
                f"ctx.sleep({step_label(key)!r}) got the datetime {duration} as its "
                "duration: give it as until="
            )
        else:
            what = f"duration of sleep {step_label(key)!r}"
            self.seconds = durations.parse(duration, what=what)
        # A clock may well be read for until=, so it is no part of the identity.
        self.mark = codecs.fingerprint((self.seconds,), {}).mark + NO_FUNCTION

    def __await__(self) -> Generator[Any, Any, None]:
        if self.is_awaited:
            raise awaited_twice(self.key, "ctx.sleep")
        self.is_awaited = True
        return self._perform().__await__()

    async def _perform(self) -> None:
        run, key = self.run, self.key
        # The duration is no identity, so another one is an edit of the code.
        fields, _, left = await recall(run, key, self.mark, kind="sleep", changed=True)
        if fields is not None:
            return
        until = left.until if left is not None else None
        run.executes()
        if until is None:
            until = self.until
            if until is None:
                until = run.core.clock.micros() + round(self.seconds * 1e6)
            data = {"kind": "sleep", "until": iso(until), "_until": until}
            type = EventType.STEP_SLEEPING.value
            run.journal.append(type, key, None, self.mark, to_json(data))
            run.core.commits.flush_soon()
        try:
            await run.core.timers.sleep_until(until)
        except asyncio.CancelledError:
            run.note_canceled(key)
            raise
        type = EventType.STEP_COMPLETED.value
        run.journal.append(type, key, None, self.mark, _COMPLETED)
        await run.settle(key)

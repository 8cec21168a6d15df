"""`client.flow_control`: the keys of an app, who waits for them, and their limits."""

from typing import Any

from nbflow import durations
from nbflow._engine.admission import Queue
from nbflow._engine.queues import read_queues
from nbflow.client.access import Access
from nbflow.client.events import act
from nbflow.client.records import Numbers
from nbflow.durations import Duration
from nbflow.errors import InvalidOption
from nbflow.model import FlowKey, FlowWaiter, from_micros, step_label
from nbflow.names import check_flow_key
from nbflow.policy import FlowControl


class FlowControls:
    """Lists and steers the flow-control keys of one app.

    Args:
        access: the app.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def list(self) -> list[FlowKey]:
        """All keys that were ever used or set, by name, each with who waits."""
        reader = self._access.reader()
        if reader is None:
            return []
        queues = read_queues(reader.flows(), reader.slots())
        numbers = Numbers(reader)
        now = self._access.micros()
        return [_record(queues[key], numbers, now) for key in sorted(queues)]

    def get(self, key: str) -> FlowKey:
        """One key; one that was never used has no limits."""
        check_flow_key(key)
        found = (each for each in self.list() if each.key == key)
        return next(found, FlowKey(key))

    def pause(self, key: str) -> None:
        """Let nothing start under the key until `resume`; what runs goes on."""
        self._act("pause", key)

    def resume(self, key: str) -> None:
        """Let what waits for the key start again."""
        self._act("resume", key)

    def set(
        self,
        key: str,
        *,
        rate: int | None = None,
        period: Duration = "1s",
        parallelism: int | None = None,
    ) -> None:
        """Give the key limits that hold over those that executions ask for.

        Args:
            key: the key.
            rate: starts in any window of `period`; None is no limit.
            period: seconds or text.
            parallelism: executions at once; None is no limit.

        Raises:
            InvalidOption, InvalidDuration: naming option, value and rule.
        """
        given = FlowControl(check_flow_key(key), rate, period, parallelism)
        limits = {
            "rate": given.rate,
            "period": durations.parse(given.period, what="period"),
            "parallelism": given.parallelism,
        }
        self._act("set", key, limits=limits)

    def reset(self, key: str) -> None:
        """Forget limits that were set, a pause, a hold and the starts so far."""
        self._act("reset", key)

    def _act(self, verb: str, key: str, **more: Any) -> None:
        command = {"kind": "flow", "do": verb, "key": check_flow_key(key), **more}
        if self._access.folder is not None and self._access.reader() is None:
            raise InvalidOption(
                f"app {self._access.app!r} has no store yet, so no key to {verb}: run "
                "one of its workflows first",
                option="key",
                value=key,
            )
        act(self._access, command)


def _record(queue: Queue, numbers: Numbers, now: int) -> FlowKey:
    limits = queue.limits
    due = queue.next_start(now) if queue.waiting else None
    return FlowKey(
        queue.key,
        limits.rate,
        limits.period / 1e6,
        limits.parallelism,
        len(queue.running),
        queue.is_paused,
        queue.pinned is not None,
        [
            FlowWaiter(
                numbers(slot.run) or "",
                None if slot.step is None else step_label(slot.step),
                place,
                from_micros(slot.queued),
                queue.why(slot, now),
            )
            for place, slot in enumerate(queue.waiting)
        ],
        None if due is None else from_micros(due),
    )

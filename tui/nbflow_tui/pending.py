"""Commands that were sent and whose event is not there yet. Pure; knows no Textual.

A row says `canceling…` until the store has the end of the run: what is shown as done
is always what was committed.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from nbflow.model import TERMINAL_RUN, Run

_WORDS = {"cancel": "canceling…", "resume": "resuming…"}
_KEPT = {"cancel": "cancel kept", "resume": "resume kept"}


@dataclass(frozen=True, slots=True)
class Sent:
    """A command that was sent.

    `note` is a line for the user. `is_kept`: no engine was there to take it.
    """

    verb: str
    app: str
    run_ids: tuple[str, ...] = ()
    note: str = ""
    is_kept: bool = False
    ended_at: dt.datetime | None = None
    """When the run had ended, for one that goes on."""
    endings: Mapping[str, dt.datetime | None] = field(default_factory=dict)
    """The same of several runs, by their ids."""


class Pending:
    """What is on its way to the runs of all apps."""

    def __init__(self) -> None:
        self._sent: dict[tuple[str, str], Sent] = {}

    def __len__(self) -> int:
        return len(self._sent)

    def add(self, sent: Sent) -> None:
        """Remember a command, if rows are to show it."""
        if sent.verb in _WORDS:
            for run_id in sent.run_ids:
                self._sent[sent.app, run_id] = sent

    def word(self, run: Run) -> str | None:
        """What a row says instead of the run's status, while the event is not there."""
        sent = self._sent.get((run.app, run.run_id))
        if sent is None or _is_done(sent, run):
            return None
        return (_KEPT if sent.is_kept else _WORDS)[sent.verb]

    def settle(self, run: Run) -> bool:
        """Forget a command whose event is there; whether there was one."""
        sent = self._sent.get((run.app, run.run_id))
        if sent is None or not _is_done(sent, run):
            return False
        del self._sent[run.app, run.run_id]
        return True


def _is_done(sent: Sent, run: Run) -> bool:
    if sent.verb == "cancel":
        return run.status in TERMINAL_RUN
    ended_at = sent.endings.get(run.run_id, sent.ended_at)
    return run.status not in TERMINAL_RUN or run.ended_at != ended_at

"""What a former life of a run has left: its recorded outcomes, and the rule of re-use.

Built once from the run's events when a body is re-entered. Nothing here acts: `match`
decides what a call gets, the caller does it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from pydantic_core import from_json

from nbflow._engine.branches import split_key
from nbflow._store.base import EventRow
from nbflow.model import EventType

ARGUMENTS = 10
"""Bytes of a step's mark that stand for its arguments; the rest for its function."""

_OUTCOMES = frozenset(
    {
        EventType.STEP_COMPLETED.value,
        EventType.STEP_FAILED.value,
        EventType.STEP_TIMED_OUT.value,
    }
)
_FAILURES = _OUTCOMES - {EventType.STEP_COMPLETED.value}
_UNWINDING = frozenset(
    {
        EventType.RUN_FAILED.value,
        EventType.RUN_RETRYING.value,
        EventType.RUN_CANCELED.value,
    }
)
_SYNCHRONOUS = (b'{"kind":"now"', b'{"kind":"random"', b'{"kind":"uuid"')


class Recorded(NamedTuple):
    """The recorded outcome of a step."""

    key: str
    idx: int
    tx: int
    type: str
    mark: bytes | None
    data: bytes


@dataclass(slots=True)
class Partial:
    """A step that had begun and has no outcome yet."""

    attempt: int = 0
    failed: int = 0
    retry_at: int | None = None
    until: int | None = None
    child: str | None = None
    is_retried: bool = False  # its failure was put aside by a resume


class Verdict(Enum):
    """What a call of a step gets."""

    EXECUTE = auto()  # nothing recorded
    TAKE = auto()  # the recorded outcome
    STALE = auto()  # the recorded outcome, made by another text of the function
    MOVED = auto()  # the outcome that another item or branch recorded for these values
    UNSURE = auto()  # the recorded outcome; arguments differ but cannot be compared
    SUPERSEDE = auto()  # execute afresh: edited code calls it with other arguments
    CONFLICT = auto()  # same code, other arguments


@dataclass
class Memo:
    """The outcomes of former lives, by step key."""

    outcomes: dict[str, Recorded] = field(default_factory=dict)
    partial: dict[str, Partial] = field(default_factory=dict)
    history: list[Recorded] = field(default_factory=list)
    last_outcome: int = 0
    idle_recoveries: int = 0  # crashes since the last outcome
    claimed: set[int] = field(default_factory=set)
    _index: dict[tuple[str, bytes], list[Recorded]] | None = None

    def ordered(self) -> list[Recorded]:
        """Outcomes in the order they were recorded, as far as a body awaited them."""
        kept = [
            outcome
            for outcome in self.outcomes.values()
            if outcome.type in _OUTCOMES and not outcome.data.startswith(_SYNCHRONOUS)
        ]
        kept.sort(key=lambda outcome: outcome.idx)
        return kept

    def match(
        self, key: str, mark: bytes, *, known: bool, changed: bool, item_of: str | None
    ) -> tuple[Verdict, Recorded | None]:
        """Decide what the call `key` with the arguments of `mark` gets.

        Args:
            key: the step's key in this life.
            mark: fingerprint of its present arguments and function.
            known: whether every argument has a fingerprint.
            changed: whether the workflow's code differs from the recorded life's.
            item_of: id of the `ctx.map` without key that the call belongs to.
        """
        found = self.outcomes.get(key)
        if found is not None and found.idx not in self.claimed:
            if found.mark == mark:
                self.claimed.add(found.idx)
                return Verdict.TAKE, found
            if _same_arguments(found.mark, mark):
                self.claimed.add(found.idx)
                return Verdict.STALE, found
        elif found is None and item_of is None:
            return Verdict.EXECUTE, None
        moved = self._moved(key, mark, item_of) if known else None
        if moved is not None:
            self.claimed.add(moved.idx)
            return Verdict.MOVED, moved
        if found is None or found.idx in self.claimed:
            return Verdict.EXECUTE, None
        if not known:
            self.claimed.add(found.idx)
            return Verdict.UNSURE, found
        if changed or item_of is not None:
            return Verdict.SUPERSEDE, found
        return Verdict.CONFLICT, found

    def _moved(self, key: str, mark: bytes, item_of: str | None) -> Recorded | None:
        """An unclaimed outcome of these arguments under the same id elsewhere."""
        if self._index is None:
            self._index = {}
            for outcome in self.history:
                if outcome.mark is not None:
                    place = (_family(outcome.key), outcome.mark[:ARGUMENTS])
                    self._index.setdefault(place, []).append(outcome)
        family = _family(key)
        for outcome in reversed(self._index.get((family, mark[:ARGUMENTS]), ())):
            if outcome.idx not in self.claimed and (
                item_of is None or split_key(outcome.key)[0] == split_key(key)[0]
            ):
                return outcome
        return None


def read_memo(events: Iterable[EventRow]) -> Memo:
    """Fold a run's events into what a new life may re-use.

    A step that the body cancelled stays recorded as canceled, unless the body was
    itself ending badly when it did so: then the step is executed again.
    """
    memo = Memo()
    for event in events:
        key, type = event.step, event.type
        if key is None:
            if type in _UNWINDING:
                _forget_canceled(memo)
            elif type == EventType.RUN_RESUMED.value:
                _apply_resume(memo, from_json(event.data or b"{}"))
        elif type in _OUTCOMES or type == EventType.STEP_CANCELED.value:
            recorded = Recorded(
                key, event.idx, event.tx, type, event.mark, event.data or b"{}"
            )
            memo.outcomes[key] = recorded
            memo.partial.pop(key, None)
            if type in _OUTCOMES:
                memo.last_outcome = event.idx
                memo.idle_recoveries = 0
                if type not in _FAILURES:
                    memo.history.append(recorded)
        elif type == EventType.STEP_SUPERSEDED.value:
            memo.outcomes.pop(key, None)
        else:
            _note_progress(memo.partial.setdefault(key, Partial()), event)
    return memo


def _note_progress(partial: Partial, event: EventRow) -> None:
    if event.type == EventType.STEP_STARTED.value:
        partial.attempt = event.attempt or 1
        partial.retry_at = None
        return
    if event.type == EventType.STEP_RETRYING.value:
        partial.failed = event.attempt or 1
        partial.retry_at = from_json(event.data or b"{}").get("_retry_at")
    elif event.type == EventType.STEP_SLEEPING.value:
        partial.until = from_json(event.data or b"{}").get("_until")
    elif event.type == EventType.STEP_INVOKING.value:
        data = from_json(event.data or b"{}")
        partial.child = data.get("child_run_id")
        partial.until = data.get("_until")


def _forget_canceled(memo: Memo) -> None:
    for key, outcome in list(memo.outcomes.items()):
        if (
            outcome.type == EventType.STEP_CANCELED.value
            and outcome.idx > memo.last_outcome
        ):
            del memo.outcomes[key]
            # An outcome that was written but never seen counts again.
            for former in reversed(memo.history):
                if former.key == key:
                    memo.outcomes[key] = former
                    break


def _apply_resume(memo: Memo, data: dict[str, object]) -> None:
    if data.get("by") != "user":
        memo.idle_recoveries += 1
        return
    memo.idle_recoveries = 0
    refresh = data.get("_refresh")
    dropped = set(refresh) if isinstance(refresh, list) else set()
    for key, outcome in list(memo.outcomes.items()):
        if outcome.type in _FAILURES or key in dropped:
            del memo.outcomes[key]
            partial = memo.partial.setdefault(key, Partial())
            partial.child = from_json(outcome.data).get("child_run_id")
            partial.is_retried = True
    if dropped:
        memo.history = [past for past in memo.history if past.key not in dropped]
    for partial in memo.partial.values():  # tries are counted anew
        partial.attempt = partial.failed = 0
        partial.retry_at = None


def _family(key: str) -> str:
    """What outcomes that may stand for each other share: the id without its index."""
    id = split_key(key)[1]
    head, bracket, _ = id.rpartition("[")
    return head + "[]" if bracket and id.endswith("]") else id


def _same_arguments(recorded: bytes | None, mark: bytes) -> bool:
    return recorded is not None and recorded[:ARGUMENTS] == mark[:ARGUMENTS]

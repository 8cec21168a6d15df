"""What a former life of a run has left: its recorded outcomes, and the rule of re-use.

Built once from the run's events when a body is re-entered. Nothing here acts: `match`
decides what a call gets, the caller does it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, NamedTuple

from pydantic_core import from_json

from nbflow._store.base import EventRow
from nbflow._text import split_key
from nbflow.model import EventType

ARGUMENTS = 10
"""Bytes of a step's mark that stand for its arguments; the rest for its function."""

OUTCOMES = frozenset(
    {
        EventType.STEP_COMPLETED.value,
        EventType.STEP_FAILED.value,
        EventType.STEP_TIMED_OUT.value,
    }
)
_FAILURES = OUTCOMES - {EventType.STEP_COMPLETED.value}
_UNWINDING = frozenset(
    {
        EventType.RUN_FAILED.value,
        EventType.RUN_RETRYING.value,
        EventType.RUN_CANCELED.value,
    }
)
_CANCELED = EventType.STEP_CANCELED.value
_SYNCHRONOUS = (b'{"kind":"now"', b'{"kind":"random"', b'{"kind":"uuid"')
_NO_FAILURE = (b'{"kind":"wait"', b'{"kind":"ask"')  # timed out: the value is None
NO_FUNCTION = b"\0" * 6
"""The tail of a mark where a step calls no function."""
_MARGIN = 1.0


class Recorded(NamedTuple):
    """The recorded outcome of a step.

    `lasted`: seconds that a canceled step had been going on.
    """

    key: str
    idx: int
    tx: int
    type: str
    mark: bytes | None
    data: bytes
    lasted: float = 0.0

    @property
    def is_failure(self) -> bool:
        """Whether a resume puts it aside. A wait that timed out has the value None."""
        return self.type in _FAILURES and not self.data.startswith(_NO_FAILURE)

    @property
    def is_kept(self) -> bool:
        """Whether it has a value that a resume keeps."""
        return self.type in OUTCOMES and not self.is_failure


class Asked(NamedTuple):
    """What was, or will be, sent to another app for a child.

    Attributes:
        command: its id; None where nothing needs to be sent.
        store: identity of the store that it was meant for.
        resumes: whether it resumes the child; else it starts it.
    """

    command: str | None = None
    store: str | None = None
    resumes: bool = False


NOT_ASKED = Asked()


@dataclass(slots=True)
class Partial:
    """A step that had begun and has no outcome yet."""

    attempt: int = 0
    failed: int = 0
    retry_at: int | None = None
    until: int | None = None
    child: str | None = None
    is_elsewhere: bool = False  # the child is a run of another app
    asked: Asked = NOT_ASKED
    is_retried: bool = False  # its outcome was put aside by a resume
    is_refreshed: bool = False  # that was a value: a child of it is not asked again
    since: int | None = None  # when it was first heard of


class Verdict(Enum):
    """What a call of a step gets."""

    EXECUTE = auto()  # nothing recorded
    TAKE = auto()  # the recorded outcome
    STALE = auto()  # the recorded outcome, made by another text of the function
    MOVED = auto()  # the outcome that another item or branch recorded for these values
    UNSURE = auto()  # the recorded outcome; arguments differ but cannot be compared
    SUPERSEDE = auto()  # execute afresh: edited code calls it with other arguments
    CONFLICT = auto()  # same code, other arguments
    PENDING = auto()  # the body has canceled it and will do so again
    DOUBTED = auto()  # execute it, unless the body cancels it again in its turn
    REVISED = auto()  # execute it, unless edited code cancels it again in its time


@dataclass
class Memo:
    """The outcomes of former lives, by step key.

    A step that the body canceled stays recorded as canceled, for the body will cancel
    it again. Not so where that is in doubt (`doubted`): the body may have done it only
    because it was failing, or because of a failure that a resume has put aside. What
    was recorded behind such a failure may also get other arguments (`revised`).
    """

    outcomes: dict[str, Recorded] = field(default_factory=dict)
    partial: dict[str, Partial] = field(default_factory=dict)
    history: list[Recorded] = field(default_factory=list)
    doubted: set[str] = field(default_factory=set)
    idle_recoveries: int = 0  # crashes of lives at work since the last outcome
    is_backing_off: bool = False  # between two tries of the body
    totals: dict[str, int] = field(default_factory=dict)  # of items, by a map's key
    claimed: set[int] = field(default_factory=set)
    edited: int = 0  # index of the event since which the code is another one
    revised: set[int] = field(default_factory=set)
    _called: dict[str, int] = field(default_factory=dict)  # first event of each step
    _elsewhere: set[str] = field(default_factory=set)  # children in other apps
    _went_on: int = 0  # first event of the newest step that has an outcome
    _index: dict[tuple[str, bytes], list[Recorded]] | None = None

    def ordered(self) -> list[Recorded]:
        """Outcomes in the order of their commits, as far as a body awaited them.

        Behind those of its commit, as if it were one of its own, a doubted step: when
        its turn has come the body has had its chance to cancel it again.
        """
        kept = [
            outcome
            for outcome in self.outcomes.values()
            if outcome.type in OUTCOMES and not outcome.data.startswith(_SYNCHRONOUS)
        ]
        kept += [
            self.outcomes[key]._replace(tx=-self.outcomes[key].idx)
            for key in self.doubted
        ]
        kept.sort(key=lambda outcome: (abs(outcome.tx), outcome.tx < 0, outcome.idx))
        return kept

    def match(
        self,
        key: str,
        mark: bytes,
        *,
        known: bool,
        changed: bool,
        item_of: str | None,
        can_wait: bool = False,
    ) -> tuple[Verdict, Recorded | None]:
        """Decide what the call `key` with the arguments of `mark` gets.

        Args:
            key: the step's key in this life.
            mark: fingerprint of its present arguments and function.
            known: whether every argument has a fingerprint.
            changed: whether the workflow's code differs from the recorded life's.
            item_of: id of the `ctx.map` without key that the call belongs to.
            can_wait: whether the caller understands PENDING, DOUBTED and REVISED;
                others get TAKE and EXECUTE.
        """
        found = self.outcomes.get(key)
        if found is None and item_of is None:
            return Verdict.EXECUTE, None
        if found is not None and found.type == _CANCELED:
            if found.mark is None or not known or _same_arguments(found.mark, mark):
                return self._match_canceled(found, can_wait)
        elif found is not None and found.idx not in self.claimed:
            if found.mark == mark:
                self.claimed.add(found.idx)
                return Verdict.TAKE, found
            if _same_arguments(found.mark, mark):
                self.claimed.add(found.idx)
                return Verdict.STALE, found
        is_revised = found is not None and (
            found.idx < self.edited or found.idx in self.revised
        )
        if known and (item_of is not None or not (changed or is_revised)):
            moved = self._moved(key, mark, item_of)
            if moved is not None:
                self.claimed.add(moved.idx)
                return Verdict.MOVED, moved
        if found is None or found.idx in self.claimed:
            return Verdict.EXECUTE, None
        if not known and not _is_other_kind(found.mark, mark):
            self.claimed.add(found.idx)
            return Verdict.UNSURE, found
        # Sleeps always call the code changed, for their duration is no identity.
        is_edited = changed and not _has_lost_function(found.mark, mark)
        if is_edited or is_revised or item_of is not None:
            return Verdict.SUPERSEDE, found
        return Verdict.CONFLICT, found

    def _match_canceled(
        self, found: Recorded, can_wait: bool
    ) -> tuple[Verdict, Recorded | None]:
        is_edited = found.idx < self.edited
        if found.key not in self.doubted and not is_edited:
            return (Verdict.PENDING if can_wait else Verdict.TAKE), found
        if not can_wait:
            return Verdict.EXECUTE, None
        if found.key in self.doubted:
            return Verdict.DOUBTED, found
        return Verdict.REVISED, found

    def _moved(self, key: str, mark: bytes, item_of: str | None) -> Recorded | None:
        """An unclaimed outcome of these arguments under the same id elsewhere."""
        if self._index is None:
            self._index = {}
            for outcome in self.history:
                if outcome.mark is not None:
                    place = (_family(outcome.key), outcome.mark[:ARGUMENTS])
                    self._index.setdefault(place, []).append(outcome)
        branch, id = split_key(key)
        for outcome in reversed(self._index.get((_family(key), mark[:ARGUMENTS]), ())):
            if outcome.idx in self.claimed:
                continue
            its_branch, its_id = split_key(outcome.key)
            is_alike = outcome.mark == mark and its_id == id
            if is_alike if item_of is None else its_branch == branch:
                return outcome
        return None

    def forget_deleted(self, is_there: Callable[[str], bool]) -> None:
        """Let calls that a resume makes again start anew where their child is gone.

        Args:
            is_there: tells of a run of this app whether it was not deleted.
        """
        for partial in self.partial.values():
            child = partial.child
            if not partial.is_retried or child is None or child in self._elsewhere:
                continue
            if not is_there(child):
                partial.child = None

    # Reading the events of former lives

    def _note(self, key: str, event: EventRow) -> None:
        """An event of a step."""
        type = event.type
        if type == EventType.PROGRESS.value and event.attempt is None:  # a map's
            self.totals[key] = from_json(event.data or b"{}").get("total")
            return
        first = self._called.setdefault(key, event.idx)
        if type in OUTCOMES:
            self._settle(
                Recorded(
                    key, event.idx, event.tx, type, event.mark, event.data or b"{}"
                )
            )
            self._went_on = max(self._went_on, first)
            self.idle_recoveries = 0
        elif type == _CANCELED:
            left = self.partial.pop(key, None)
            began = None if left is None else left.since
            self._settle(
                Recorded(
                    key,
                    event.idx,
                    event.tx,
                    type,
                    event.mark,
                    event.data or b"{}",
                    0.0 if began is None else (event.at - began) / 1e6,
                )
            )
        elif type == EventType.STEP_SUPERSEDED.value:
            self._drop(key)
        else:
            partial = self.partial.setdefault(key, Partial())
            _note_progress(partial, event)
            if partial.is_elsewhere and partial.child is not None:
                self._elsewhere.add(partial.child)

    def _settle(self, outcome: Recorded) -> None:
        self.outcomes[outcome.key] = outcome
        self.partial.pop(outcome.key, None)
        self.doubted.discard(outcome.key)
        if outcome.type == EventType.STEP_COMPLETED.value:
            self.history.append(outcome)

    def _drop(self, key: str) -> None:
        self.outcomes.pop(key, None)
        self.doubted.discard(key)

    def _unwind(self) -> None:
        """The body has failed: what it canceled last may have been part of that.

        It is certain to have gone on only where it called another step afterwards, and
        that one has an outcome.
        """
        for key, outcome in list(self.outcomes.items()):
            if outcome.type == _CANCELED and outcome.idx > self._went_on:
                self._doubt(key)

    def _doubt(self, key: str) -> None:
        # An outcome that was written but never seen counts again.
        for former in reversed(self.history):
            if former.key == key:
                self.outcomes[key] = former
                self.doubted.discard(key)
                return
        self.doubted.add(key)

    def _resume(self, event: EventRow) -> None:
        data = from_json(event.data or b"{}")
        if data.get("definition_changed"):
            self.edited = event.idx
        if data.get("by") != "user":
            if not data.get("_left") and self._was_at_work():
                self.idle_recoveries += 1
            return
        self.idle_recoveries = 0
        dropped = set(data.get("_refresh") or ())
        self.history = [past for past in self.history if past.key not in dropped]
        first = self._put_aside(dropped, event.idx)
        for key, outcome in list(self.outcomes.items()):
            if first is not None and outcome.idx > first:
                self.revised.add(outcome.idx)
                if outcome.type == _CANCELED:
                    self._doubt(key)
        for partial in self.partial.values():  # tries are counted anew
            partial.is_retried = partial.is_retried or partial.child is not None
            partial.attempt = partial.failed = 0
            partial.retry_at = None

    def _was_at_work(self) -> bool:
        """Whether the life that was cut off did more than wait, as far as recorded.

        A run that only waits kills nobody, however long its engine was off.
        """
        if self.is_backing_off:
            return False
        running = (step.attempt > step.failed for step in self.partial.values())
        return not self.partial or any(running)

    def _put_aside(self, dropped: set[str], now: int) -> int | None:
        """Forget failures, and what is to be refreshed; the first one's index."""
        first: int | None = None
        for key, outcome in list(self.outcomes.items()):
            if outcome.is_failure or key in dropped:
                self._drop(key)
                partial = self.partial.setdefault(key, Partial())
                partial.is_refreshed = outcome.is_kept
                if not partial.is_refreshed:
                    partial.child = from_json(outcome.data).get("child_run_id")
                partial.is_retried = True
                first = outcome.idx if first is None else min(first, outcome.idx)
        return first


def patience(found: Recorded) -> float:
    """Seconds in which edited code, too, should have canceled a step again."""
    return found.lasted * 1.1 + _MARGIN


def read_memo(events: Iterable[EventRow]) -> Memo:
    """Fold a run's events into what a new life may re-use."""
    memo = Memo()
    for event in events:
        if event.step is not None:
            memo._note(event.step, event)
        elif event.type in _UNWINDING:
            memo._unwind()
            memo.is_backing_off = event.type == EventType.RUN_RETRYING.value
        elif event.type == EventType.RUN_RESUMED.value:
            memo._resume(event)
        elif event.type == EventType.RUN_STARTED.value:
            memo.is_backing_off = False
            if event.attempt == 1:
                memo.edited = event.idx  # what stands before is copied from another run
    return memo


def _note_progress(partial: Partial, event: EventRow) -> None:
    if partial.since is None:
        partial.since = event.at
    if event.type == EventType.STEP_STARTED.value:
        partial.attempt = event.attempt or 1
        partial.retry_at = None
        return
    if event.type == EventType.STEP_RETRYING.value:
        partial.failed = event.attempt or 1
        partial.retry_at = from_json(event.data or b"{}").get("_retry_at")
    elif event.type in (EventType.STEP_SLEEPING.value, EventType.STEP_WAITING.value):
        partial.until = from_json(event.data or b"{}").get("_until")
    elif event.type == EventType.STEP_INVOKING.value:
        data = from_json(event.data or b"{}")
        partial.child = data.get("child_run_id")
        partial.is_elsewhere = data.get("app") is not None
        partial.until = data.get("_until")
        partial.asked = read_asked(data)
        partial.is_retried = False  # the child was asked for since


def read_asked(fields: Mapping[str, Any]) -> Asked:
    """What the fields of an event say was sent to another app."""
    return Asked(
        fields.get("_command"), fields.get("_store"), bool(fields.get("_resumes"))
    )


def _family(key: str) -> str:
    """What outcomes that may stand for each other share: the id without its index."""
    id = split_key(key)[1]
    head, bracket, _ = id.rpartition("[")
    return head + "[]" if bracket and id.endswith("]") else id


def _same_arguments(recorded: bytes | None, mark: bytes) -> bool:
    return (
        recorded is not None
        and recorded[:ARGUMENTS] == mark[:ARGUMENTS]
        and not _is_other_kind(recorded, mark)
    )


def _has_lost_function(recorded: bytes | None, mark: bytes) -> bool:
    """Whether a step that calls no function stands where one did."""
    return _is_other_kind(recorded, mark) and mark[ARGUMENTS:] == NO_FUNCTION


def _is_other_kind(recorded: bytes | None, mark: bytes) -> bool:
    """Whether one of two marks is that of a function and the other is not."""
    if recorded is None:
        return False
    return (recorded[ARGUMENTS:] == NO_FUNCTION) != (mark[ARGUMENTS:] == NO_FUNCTION)

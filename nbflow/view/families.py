"""What is shown of a run's steps: of one, and of those of one call site.

Neighbour: `board` keeps them up to date.
"""

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from nbflow.model import TERMINAL_STEP, StepStatus
from nbflow.view.states import FAILED

T = TypeVar("T")

FOLD = 4
"""From so many steps of one call site on, they are shown as one row."""

_ITEM = re.compile(r"\[[^\[\]]*\]")
_TASK = re.compile(r"~\d+")
_NUMBER = re.compile(r":\d+(?=/|\Z)")

Span: TypeAlias = tuple[StepStatus, dt.datetime, dt.datetime]
"""A status that a step had, from when to when."""


class Rare(Generic[T]):
    """A field that few steps have: those that lack it have no room for it either."""

    def __init__(self, default: T) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, facts: "Facts", owner: type | None = None) -> T:
        if facts.rare is None:
            return self._default
        value: T = facts.rare.get(self._name, self._default)
        return value

    def __set__(self, facts: "Facts", value: T) -> None:
        if value is not self._default:
            facts.rare = {**(facts.rare or {}), self._name: value}
        elif facts.rare is not None:
            facts.rare.pop(self._name, None)


class Facts:
    """What is shown of one step; a run may have thousands.

    Args:
        name: of the step.
        path: its branches, outermost first, and its id; () if that is the name.
    """

    __slots__ = (
        "attempt",
        "duration",
        "ended",
        "kind",
        "name",
        "path",
        "preview",
        "queued",
        "rare",
        "since",
        "started",
        "status",
    )

    def __init__(self, name: str, path: tuple[str, ...] = ()) -> None:
        self.name = name
        self.path = path
        self.kind = "run"
        self.status = StepStatus.QUEUED
        self.attempt = 0
        self.queued: dt.datetime | None = None
        self.started: dt.datetime | None = None
        self.ended: dt.datetime | None = None
        self.since: dt.datetime | None = None  # of the present status
        self.duration: float | None = None
        self.preview: str | None = None
        self.rare: dict[str, Any] | None = None

    until = Rare[dt.datetime | None](None)
    error = Rare[str | None](None)
    failure = Rare[Mapping[str, Any] | None](None)  # the error as it was recorded
    event = Rare[str | None](None)
    question = Rare[str | None](None)
    schema = Rare[Mapping[str, Any] | None](None)  # of the answer that is asked for
    child = Rare[str | None](None)
    target = Rare[str | None](None)
    app = Rare[str | None](None)  # of the child, where it is another one
    flow_key = Rare[str | None](None)
    place = Rare[int | None](None)
    cached_from = Rare[str | None](None)
    is_stale = Rare[bool](False)
    is_kept = Rare[bool](False)  # has its value from a former life
    done = Rare[float | None](None)
    total = Rare[float | None](None)
    note = Rare[str | None](None)
    interrupted = Rare[StepStatus | None](None)
    # Former states, where times alone do not tell.
    spans = Rare[list[Span] | None](None)

    @property
    def is_open(self) -> bool:
        """Whether it has no outcome yet."""
        return self.status not in TERMINAL_STEP


@dataclass(slots=True)
class Tally:
    """How many steps of a family do what, those without outcome, those that failed."""

    counts: Counter[StepStatus] = field(default_factory=Counter)
    open: dict[str, Facts] = field(default_factory=dict)
    failed: dict[str, Facts] = field(default_factory=dict)

    def add(self, facts: Facts) -> None:
        """Count a step as what it does now."""
        self.counts[facts.status] += 1
        if facts.is_open:
            self.open[facts.name] = facts
        elif facts.status in FAILED:
            self.failed[facts.name] = facts

    def remove(self, facts: Facts) -> None:
        """Count a step no longer as what it did."""
        self.counts[facts.status] -= 1
        self.open.pop(facts.name, None)
        self.failed.pop(facts.name, None)


@dataclass(slots=True)
class Family:
    """The steps of one call site."""

    name: str
    members: dict[str, Facts] = field(default_factory=dict)
    first: dt.datetime | None = None  # start
    last: dt.datetime | None = None  # end
    totals: dict[str, int] | None = None  # of maps that tell theirs
    # Made for those that are drawn as one row: a run may have thousands of others.
    _tally: Tally | None = None

    @property
    def tally(self) -> Tally:
        """Its steps, counted; kept up to date once it was asked for."""
        if self._tally is None:
            self._tally = Tally()
            for facts in self.members.values():
                self._tally.add(facts)
        return self._tally

    def add(self, facts: Facts) -> None:
        """Take a step into it."""
        self.members[facts.name] = facts
        if self._tally is not None:
            self._tally.add(facts)

    def set(self, facts: Facts, status: StepStatus) -> None:
        """Give a step of it another status, or note anew one that it has."""
        if self._tally is not None:
            self._tally.remove(facts)
        facts.status = status
        if self._tally is not None:
            self._tally.add(facts)
        self.note_times(facts)

    def note_times(self, facts: Facts) -> None:
        """Keep the span of time that the steps take."""
        if facts.started is not None and (
            self.first is None or facts.started < self.first
        ):
            self.first = facts.started
        if facts.ended is not None and (self.last is None or facts.ended > self.last):
            self.last = facts.ended


def family_name(step: str) -> str:
    """What steps of one call site have in common: "ask[17]" and "ask[18]" are "ask"."""
    return _NUMBER.sub("", _TASK.sub("", _ITEM.sub("", step))) or step


class Families:
    """The steps of a run by their call sites.

    Args:
        steps: those there are; `add` takes others.
    """

    def __init__(self, steps: Iterable[Facts]) -> None:
        self.by_name: dict[str, Family] = {}
        self._homes: dict[str, Family] = {}
        for facts in steps:
            self.add(facts)
            self._homes[facts.name].note_times(facts)

    def of(self, step: str) -> Family:
        """The family of a step, or of a map, by its name; made if there is none."""
        name = family_name(step)
        family = self.by_name.get(name)
        if family is None:
            family = self.by_name[name] = Family(name)
        return family

    def add(self, facts: Facts) -> None:
        """Take another step."""
        family = self._homes[facts.name] = self.of(facts.name)
        family.add(facts)

    def set(self, facts: Facts, status: StepStatus) -> None:
        """Give a step another status, or note anew one that it has."""
        self._homes[facts.name].set(facts, status)

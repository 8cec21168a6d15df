"""What the feed hands over: frozen, whole, and made of nothing that reads a store."""

from dataclasses import dataclass, field
from typing import TypeAlias

from nbflow.model import Run, RunEvent
from nbflow.view import Filter
from nbflow.view.listing import Entry, RunKey
from nbflow.view.tracks import Key, Life, Track

Path: TypeAlias = tuple[RunKey, ...]
"""A run that is looked at, after those it was opened from."""


@dataclass(frozen=True, slots=True)
class Want:
    """What is looked at; the screen says so, and the feed reads it.

    Attributes:
        filter: which runs are listed.
        count: how many of them, at least.
        sight: those that can be seen.
        opened: runs whose children are listed.
        cursor: the run that stays listed, whatever the filter says by now.
        path: the run whose timeline is shown, last, and those above it.
        turned: rows of the timeline that are not as they are by themselves.
        are_events_shown: hand over its events, too.
    """

    filter: Filter = field(default_factory=Filter)
    count: int = 200
    sight: tuple[RunKey, ...] = ()
    opened: frozenset[RunKey] = frozenset()
    cursor: RunKey | None = None
    path: Path = ()
    turned: frozenset[Key] = frozenset()
    are_events_shown: bool = False


@dataclass(frozen=True, slots=True)
class AppState:
    """One app of the home."""

    name: str
    counts: dict[str, int]
    is_served: bool
    problem: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """The run that is looked at."""

    path: Path
    run: Run | None
    life: Life
    tracks: tuple[Track, ...]
    events: tuple[RunEvent, ...] = ()
    event_count: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    attempt: int = 1
    progress: tuple[float, float | None, str | None] | None = None
    error: str | None = None
    is_read: bool = True
    is_left: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment."""

    want: Want
    apps: tuple[AppState, ...] = ()
    entries: tuple[Entry, ...] = ()
    is_whole: bool = False
    looked: int = 0
    shown: Shown | None = None
    problem: str | None = None

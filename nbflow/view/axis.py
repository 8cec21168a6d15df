"""Time on a row of cells: a scale that may fold long idle stretches, and its ruler.

Neighbours: `timeline` finds the idle stretches of a run, `bars` draws on the scale.
"""

import datetime as dt
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nbflow import durations
from nbflow.view.text import Line, Span, line
from nbflow.view.words import Look

FOLDED = 3
"""Cells that a folded stretch takes."""
_LADDER = 1.3
_AHEAD = 1.2
_LEAST_FOLD = 5.0
_TICKS = 12
_NONE = dt.timedelta()
_MARGIN = dt.timedelta(milliseconds=50)
_STEPS = (
    *(base * 10.0**power for power in range(-3, 1) for base in (1, 2, 5)),
    *(10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200),
    *(durations.DAY * count for count in (1, 2, 7, 14, 28, 56, 112, 365, 730, 3650)),
)
_UNITS = ((durations.DAY, "d"), (durations.HOUR, "h"), (durations.MINUTE, "m"))


class Stretch(NamedTuple):
    """A stretch of time."""

    start: dt.datetime
    end: dt.datetime


class _Part(NamedTuple):
    """A stretch in seconds from the start, and the cells it takes."""

    start: float
    end: float
    left: float
    right: float
    is_folded: bool


class Scale:
    """Where moments lie on `width` cells.

    Args:
        start: the moment at the left edge.
        end: the one at the right edge.
        width: cells.
        folds: stretches in which nothing happens; each is drawn in a few cells.
        origin: the moment that the ruler counts from; the left edge by itself.
    """

    def __init__(
        self,
        start: dt.datetime,
        end: dt.datetime,
        width: int,
        folds: Sequence[Stretch] = (),
        origin: dt.datetime | None = None,
    ) -> None:
        self.start = start
        self.width = max(width, 1)
        self.seconds = max((end - start).total_seconds(), 1e-3)
        self.end = start + dt.timedelta(seconds=self.seconds)
        self._before = 0.0 if origin is None else (start - origin).total_seconds()
        self._parts = self._cut(folds)
        self._lefts = [part.start for part in self._parts]

    def at(self, moment: dt.datetime) -> float:
        """The cell of a moment, with fractions; 0 to `width`."""
        return self._at((moment - self.start).total_seconds())

    def shows(self, start: dt.datetime, end: dt.datetime) -> bool:
        """Whether any of a stretch of time lies between the edges."""
        return start <= self.end and end >= self.start

    def ticks(self) -> list[tuple[int, str]]:
        """Cells of the ruler and what stands there: time since the start."""
        rate = max(
            (part.right - part.left) / max(part.end - part.start, 1e-9)
            for part in self._parts
            if not part.is_folded
        )
        step = next((s for s in _STEPS if s * rate >= _TICKS), _STEPS[-1])
        found: list[tuple[int, str]] = []
        folds = self.folded()
        before = self._before
        for part in self._parts:
            if part.is_folded:
                continue
            count = math.ceil((before + part.start) / step - 1e-9)
            while count * step <= before + part.end and len(found) < self.width:
                cell = int(self._at(count * step - before))
                # Behind a fold, parts of a second would be lost on everybody.
                text = _tick(count * step, max(step, 1.0) if folds else step)
                free = found[-1][0] + len(found[-1][1]) + 2 if found else 0
                is_covered = any(
                    cell < right and cell + len(text) > left for left, right, _ in folds
                )
                if cell >= free and cell + len(text) <= self.width and not is_covered:
                    found.append((cell, text))
                count += 1
        return found

    def folded(self) -> list[tuple[int, int, float]]:
        """Cells that folded stretches take, and how many seconds each is long."""
        return [
            (round(part.left), round(part.right), part.end - part.start)
            for part in self._parts
            if part.is_folded
        ]

    def _at(self, seconds: float) -> float:
        seconds = min(max(seconds, 0.0), self.seconds)
        part = self._parts[max(bisect_right(self._lefts, seconds) - 1, 0)]
        share = (seconds - part.start) / max(part.end - part.start, 1e-9)
        cell = part.left + min(share, 1.0) * (part.right - part.left)
        return min(cell, float(self.width))

    def _cut(self, folds: Sequence[Stretch]) -> list[_Part]:
        spans: list[tuple[float, float]] = []
        for start, end in folds:
            low = max((start - self.start).total_seconds(), 0.0)
            high = min((end - self.start).total_seconds(), self.seconds)
            if high > low and (not spans or low >= spans[-1][1]):
                spans.append((low, high))
        room = self.width - FOLDED * len(spans)
        busy = self.seconds - sum(high - low for low, high in spans)
        if not spans or room < self.width // 2 or busy <= 0:
            return [_Part(0.0, self.seconds, 0.0, float(self.width), False)]
        parts: list[_Part] = []
        at, cell = 0.0, 0.0
        for low, high in (*spans, (self.seconds, self.seconds)):
            right = cell + (low - at) / busy * room
            if low > at:
                parts.append(_Part(at, low, cell, right, False))
            cell = right
            if high > low:
                parts.append(_Part(low, high, cell, cell + FOLDED, True))
                cell += FOLDED
            at = high
        return parts


def horizon(start: dt.datetime, now: dt.datetime) -> dt.datetime:
    """The right edge for what goes on: it stays where it is for a while.

    So bars grow in place, and the whole picture is redrawn now and then only.
    """
    seconds = max((now - start).total_seconds() * _AHEAD, 2.0)
    steps = math.ceil(math.log(seconds, _LADDER) - 1e-9)
    return start + dt.timedelta(seconds=_LADDER**steps)


def idle(
    busy: Iterable[Stretch], start: dt.datetime, end: dt.datetime
) -> list[Stretch]:
    """The long stretches between `start` and `end` in which nothing is busy."""
    least = max((end - start).total_seconds() * 0.15, _LEAST_FOLD)
    gaps: list[Stretch] = []
    at = start
    for stretch in (*sorted(busy), Stretch(end, end)):
        if (stretch.start - at).total_seconds() >= least:
            gaps.append(Stretch(at, stretch.start))
        at = max(at, stretch.end)
    shown = (end - start) - sum((gap.end - gap.start for gap in gaps), _NONE)
    found = []
    for low, high in gaps:
        # A little of it stays on both sides, so that waits are seen to begin and end.
        rest = min((high - low) * 0.02, max(shown * 0.06, _MARGIN))
        found.append(Stretch(low + rest, high - rest))
    return found


def ruler(scale: Scale, look: Look) -> Line:
    """The line above the bars: times since the start."""
    text = [" "] * scale.width
    for cell, label in scale.ticks():
        text[cell : cell + len(label)] = label
    for left, right, _ in scale.folded():
        for cell in range(max(left, 0), min(right, scale.width)):
            if text[cell] == " ":
                text[cell] = "⋯" if look.unicode else "~"
    return line(Span("".join(text[: scale.width]), "dim"))


def _tick(seconds: float, step: float) -> str:
    """A time since the start: "0", "200ms", "1.5s", "1m30", "2h05m10", "1d03".

    It is as exact as it is round, so with steps of a tenth of a second "1m02.4".
    """
    if seconds < 1e-9:
        return "0"
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    if seconds < durations.MINUTE:
        return f"{seconds:g}s"
    places = max(math.ceil(-math.log10(step) - 1e-9), 0)
    left = round(seconds, places)
    parts: list[str] = []
    for size, unit in _UNITS:
        count, rest = divmod(left, size)
        if parts or count:
            parts.append(f"{int(count):02d}{unit}" if parts else f"{int(count)}{unit}")
            left = round(rest, places)
        if parts and not left:
            break
    if left:
        parts.append(f"{left:0{places + 3 if places else 2}.{places}f}")
    return "".join(parts[:-1]) + (parts[-1].rstrip("hm") if parts[1:] else parts[-1])

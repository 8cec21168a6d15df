"""The vocabulary: a sign, a word and a role for each status; times as people say them.

Roles name what a text means; `paint` turns them into colours.
"""

import datetime as dt
import math
from collections.abc import Mapping
from typing import NamedTuple

from nbflow import durations
from nbflow.model import RunStatus, StepStatus
from nbflow.view.text import Line, Span, fit

ROLES: Mapping[str, str] = {
    "": "",
    "strong": "1",
    "dim": "2",
    "faint": "2",
    "good": "32",
    "bad": "1;31",
    "warn": "33",
    "busy": "36",
    "rest": "34",
    "again": "35",
}
"""What a text may mean, and the SGR parameters that show it."""


class Mark(NamedTuple):
    """How a status is shown: always as sign and word, never by colour alone."""

    sign: str
    ascii: str
    word: str
    role: str


class Look(NamedTuple):
    """What a terminal can show."""

    unicode: bool = True
    color: bool = False

    @property
    def end(self) -> str:
        """What stands for text that was cut off."""
        return "…" if self.unicode else "..."

    def sign(self, mark: Mark) -> str:
        """The sign of a status."""
        return mark.sign if self.unicode else mark.ascii

    def fold(self, *, is_open: bool) -> str:
        """What stands before something that has more inside; no sign of a status."""
        if self.unicode:
            return "▿" if is_open else "▹"
        return "-" if is_open else "+"

    def dot(self) -> str:
        """What stands between facts."""
        return " · " if self.unicode else " - "


MARKS: Mapping[str, Mark] = {
    "queued": Mark("∙", ".", "queued", "dim"),
    "running": Mark("▸", ">", "running", "busy"),
    "retrying": Mark("↻", "r", "retrying", "again"),
    "sleeping": Mark("◷", "z", "sleeping", "rest"),
    "waiting": Mark("◌", "w", "waiting", "warn"),
    "invoking": Mark("↳", "i", "invoking", "busy"),
    "completed": Mark("✓", "v", "completed", "good"),
    "failed": Mark("✗", "x", "failed", "bad"),
    "timed_out": Mark("✗", "x", "timed out", "bad"),
    "canceled": Mark("⊘", "c", "canceled", "dim"),
    "skipped": Mark("»", "s", "skipped", "dim"),
}
"""By the value of a `RunStatus` or `StepStatus`."""

assert {*map(str, RunStatus), *map(str, StepStatus)} == set(MARKS)


def mark(status: str) -> Mark:
    """How a status is shown."""
    return MARKS[str(status)]


def badge(status: str, look: Look) -> Span:
    """The sign of a status, in its role."""
    found = mark(status)
    return Span(look.sign(found), found.role)


def word(status: str) -> Span:
    """The word of a status, in its role."""
    found = mark(status)
    return Span(found.word, found.role)


def paint(spans: Line, look: Look, width: int | None = None) -> str:
    """A line as text for a terminal, cut to its width."""
    spans = fit(spans, width, look.end)
    if not look.color:
        return "".join(span.text for span in spans)
    return "".join(
        f"\x1b[{ROLES[role]}m{text}\x1b[0m" if ROLES[role] else text
        for text, role in spans
    )


def bar(done: float, total: float, width: int, look: Look) -> Line:
    """A progress bar of `width` cells, by half cells where the terminal can."""
    share = min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
    if not look.unicode:
        full = int(share * width)
        return (Span("#" * full, "busy"), Span("-" * (width - full), "dim"))
    halves = int(share * width * 2)
    full, half = divmod(halves, 2)
    role = "good" if share >= 1 else "busy"
    head = "━" * full + "╸" * half
    return (Span(head, role), Span("─" * (width - full - half), "dim"))


def number(value: float) -> str:
    """A number as people read it: "3,990", "0.25"."""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.4g}" if abs(value) < 1e15 else f"{value:.3g}"
    return f"{int(value):,}" if abs(value) < 1e15 else f"{value:.3g}"


def preview_text(preview: object) -> str:
    """The preview of a value; empty where there is none, or the value is None."""
    return "" if preview in (None, "None", "null") else str(preview)


def plural(count: int, noun: str) -> str:
    """ "1 step", "3,990 steps"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def ago(moment: dt.datetime, now: dt.datetime) -> str:
    """How long ago something was: "3 s ago", "2 h ago", "Nov 20"."""
    seconds = (now - moment).total_seconds()
    if seconds < 1:
        return "now"
    if seconds < 7 * durations.DAY:
        for size, unit in (
            (durations.DAY, "d"),
            (durations.HOUR, "h"),
            (durations.MINUTE, "min"),
        ):
            if seconds >= size:
                return f"{int(seconds // size)} {unit} ago"
        return f"{int(seconds)} s ago"
    return date(moment, now)


def date(moment: dt.datetime, now: dt.datetime) -> str:
    """A day in the user's time zone; the year where it is another one."""
    local = moment.astimezone()
    day = f"{local:%b} {local.day}"
    return day if local.year == now.astimezone().year else f"{day}, {local.year}"


def clock(moment: dt.datetime, now: dt.datetime) -> str:
    """A time in the user's time zone; the day where it is another one."""
    local = moment.astimezone()
    time = f"{local:%H:%M:%S}"
    same = local.date() == now.astimezone().date()
    return time if same else f"{date(moment, now)}, {time}"


def until(moment: dt.datetime, now: dt.datetime) -> str:
    """When something comes: "in 4 s", "at 14:05:00 (in 3 min 02 s)", "now"."""
    seconds = (moment - now).total_seconds()
    if seconds <= 0:
        return "now"
    if seconds <= 59:
        return f"in {math.ceil(seconds)} s"
    return f"at {clock(moment, now)} (in {durations.show(int(seconds))})"


def took(seconds: float | None) -> str:
    """A measured duration; nothing where it is not known."""
    return "" if seconds is None else durations.show(seconds)


def passed(since: dt.datetime, now: dt.datetime) -> str:
    """How long something has been going on: "0.6 s", "3 min 05 s"; calm to watch."""
    seconds = max((now - since).total_seconds(), 0)
    return f"{seconds:.1f} s" if seconds < 59.95 else durations.show(seconds)

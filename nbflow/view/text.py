"""Text in terminal cells: how wide it is, cutting and padding it, safely.

All that a run says passes `safe_text` on its way into a `Span`.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from nbflow.model import safe_text

ELLIPSIS = "…"

# Characters of one cell each that never join with their neighbours: Latin, Greek,
# Cyrillic, punctuation, arrows, box drawing, ⏎, the signs of `words`. A test compares
# them with wcwidth, whose tables take 20 ms and 9 MB: most text does without.
SINGLE = re.compile(
    "[ -~\xa1-\xac\xae-\u02ff\u0370-\u0482\u2010-\u2027\u2030-\u205e"
    "\u2190-\u22ff\u23ce\u2500-\u25fc\u2713\u2717]*"
)


class Span(NamedTuple):
    """Text of one role; `words.ROLES` lists the roles."""

    text: str
    role: str = ""


Line: TypeAlias = tuple[Span, ...]
"""One line for the screen, not yet cut to its width."""


def line(*parts: "str | Span | Iterable[Span]") -> Line:
    """Join texts, spans and lines into one line; control characters become visible."""
    spans: list[Span] = []
    for part in parts:
        if isinstance(part, str):
            part = Span(part)
        if isinstance(part, Span):
            part = (part,)
        spans += [Span(safe_text(text), role) for text, role in part if text]
    return tuple(spans)


def cells(text: str) -> int:
    """How many cells a terminal needs for safe text."""
    if text.isascii() or SINGLE.fullmatch(text):
        return len(text)
    from wcwidth import wcswidth  # see `SINGLE`

    width = wcswidth(text)
    return width if width >= 0 else sum(cells(safe_text(char)) for char in text)


def cut(text: str, width: int, end: str = ELLIPSIS) -> str:
    """Safe text of at most `width` cells; `end` says that something was cut."""
    if width <= 0:
        return ""
    # A combining mark takes no cell, so many of them are cut by their number.
    if len(text) <= width * 8 and cells(text) <= width:
        return text
    room = width - cells(end)
    if room < 0:
        return _head(text, width)
    return _head(text, room) + end


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Text with blanks up to `width` cells; `right`: they come first."""
    blanks = " " * max(width - cells(text), 0)
    return blanks + text if right else text + blanks


def width_of(spans: Line) -> int:
    """How many cells a line needs."""
    return sum(cells(span.text) for span in spans)


def fit(spans: Line, width: int | None, end: str = ELLIPSIS) -> Line:
    """A line of at most `width` cells; None: as long as it is."""
    if width is None or (
        sum(len(span.text) for span in spans) <= width * 8 and width_of(spans) <= width
    ):
        return spans
    kept: list[Span] = []
    left = max(width, 0)
    for place, (text, role) in enumerate(spans):
        is_last = place == len(spans) - 1
        need = cells(text) if len(text) <= left * 8 else left + 1
        # One cell stays free for the mark that something follows.
        if need < left or (need == left and is_last):
            kept.append(Span(text, role))
            left -= need
            continue
        kept.append(Span(cut(text + ("" if is_last else " " * left), left, end), role))
        break
    return tuple(kept)


def plain(spans: Line) -> str:
    """The text of a line."""
    return "".join(span.text for span in spans)


def _head(text: str, width: int) -> str:
    text = text[: width * 8]
    if text.isascii() or SINGLE.fullmatch(text):
        return text[:width]
    from wcwidth import iter_graphemes  # see `SINGLE`

    kept: list[str] = []
    left = width
    for grapheme in iter_graphemes(text):
        left -= cells(grapheme)
        if left < 0:
            break
        kept.append(grapheme)
    head = "".join(kept)
    # Clusters may grow together where they meet.
    while kept and cells(head) > width:
        kept.pop()
        head = "".join(kept)
    return head

"""Indented JSON as lines that can be folded: which line begins what, and its path.

Pure, and over text: what is cut off or no JSON has no folds, and stays readable.
Neighbour: `documents` colours the lines.
"""

import keyword
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

DEEPEST = 3
"""Levels that are shown open at first."""
_LEAST = 2
"""Lines between two brackets that are worth a fold."""

_KEY = re.compile(r'\s*("(?:[^"\\]|\\.)*"):')
_NAME = re.compile(r'"([A-Za-z_]\w*)"\Z', re.ASCII)
_CLOSING = {"{": "}", "[": "]"}


class Fold(NamedTuple):
    """What lies between two brackets: its lines, how deep it is, how many it holds."""

    first: int
    last: int
    depth: int
    size: int

    def told(self, line: str, closing: str) -> str:
        """The first line as it is shown while the others are not."""
        noun = "field" if line.endswith("{") else "item"
        plural = "" if self.size == 1 else "s"
        return f"{line} {self.size:,} {noun}{plural} {closing.strip()}"


def folds(lines: Sequence[str]) -> dict[int, Fold]:
    """What of indented JSON can be folded, by the place of its first line."""
    found: dict[int, Fold] = {}
    opened: list[tuple[int, int, str]] = []
    held: list[int] = []
    for place, line in enumerate(lines):
        text = line.lstrip(" ")
        indent = len(line) - len(text)
        if opened and indent == opened[-1][1] and text[:1] == opened[-1][2]:
            first, _, _ = opened.pop()
            count = held.pop()
            if place - first > _LEAST:
                found[first] = Fold(first, place, len(opened), count)
            continue
        if held and indent == opened[-1][1] + 2:
            held[-1] += 1
        closing = _CLOSING.get(text[-1:])
        if closing is not None:
            opened.append((place, indent, closing))
            held.append(0)
    return found


def closed_at_first(known: Mapping[int, Fold]) -> frozenset[int]:
    """The folds that are not shown open by themselves."""
    return frozenset(place for place, fold in known.items() if fold.depth >= DEEPEST)


def visible(
    count: int, known: Mapping[int, Fold], closed: Collection[int]
) -> Iterator[int]:
    """The places of the lines that are seen while some folds are closed."""
    place = 0
    while place < count:
        yield place
        place = (
            known[place].last + 1 if place in closed and place in known else (place + 1)
        )


def around(place: int, known: Mapping[int, Fold]) -> list[Fold]:
    """The folds that a line is in, or begins; the outermost first."""
    return sorted(fold for fold in known.values() if fold.first <= place <= fold.last)


def path_of(lines: Sequence[str], place: int) -> str:
    """Where a value stands, as Python would ask for it: `pages[0].url`, `a["b c"]`."""
    if _is_closing(lines[place]):
        here = _indent(lines[place])
        place = max(
            (each for each in range(place) if _indent(lines[each]) == here), default=0
        )
    steps: list[str] = []
    step, above = _step(lines, place)
    while above >= 0:
        steps.append(step)
        step, above = _step(lines, above)
    return "".join(reversed(steps)).removeprefix(".")


def _step(lines: Sequence[str], place: int) -> tuple[str, int]:
    """How a line's value is asked for in what holds it; the place of that."""
    here = _indent(lines[place])
    count, above = 0, place - 1
    while above >= 0 and _indent(lines[above]) >= here:
        is_next = _indent(lines[above]) == here
        count += is_next and not _is_closing(lines[above])
        above -= 1
    if above < 0:
        return "", -1
    key = _KEY.match(lines[place])
    if key is None:
        return f"[{count}]", above
    name = _NAME.match(key[1])
    if name is None or not _is_name(name[1]):
        return f"[{key[1]}]", above
    return f".{name[1]}", above


def _is_name(text: str) -> bool:
    """Whether Python takes it for a name, and for this one: it normalizes them."""
    is_itself = unicodedata.is_normalized("NFKC", text)
    return text.isidentifier() and is_itself and not keyword.iskeyword(text)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _is_closing(line: str) -> bool:
    return line.strip(" ,") in ("]", "}")

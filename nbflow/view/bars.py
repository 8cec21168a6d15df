"""Bars of a timeline, by half cells: what a row did when.

Neighbours: `axis` says where moments lie, `tracks` what belongs to a row.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nbflow.view.axis import Scale
from nbflow.view.text import Line, Span
from nbflow.view.words import Look

WORK = frozenset("ri")
"""Letters of pieces in which something is executed, here or in a child run."""


class Piece(NamedTuple):
    """What a row did for a while.

    The letters: q queued, r running, b backing off, s sleeping, w waiting, i invoking,
    h holding others together.
    """

    letter: str
    start: dt.datetime
    end: dt.datetime | None  # None: it goes on
    role: str = ""
    is_failed: bool = False


class _Stroke(NamedTuple):
    whole: str
    left: str
    right: str
    ascii: str


_STROKES: Mapping[str, _Stroke] = {
    "q": _Stroke("·", "·", "·", "."),
    "r": _Stroke("━", "╸", "╺", "="),
    "b": _Stroke("┈", "┈", "┈", ":"),
    "s": _Stroke("╌", "╌", "╌", "~"),
    "w": _Stroke("┄", "┄", "┄", "."),
    "i": _Stroke("━", "╸", "╺", "="),
    "h": _Stroke("─", "╴", "╶", "-"),
}
_ROLES = {"q": "dim", "b": "again", "s": "rest", "w": "warn", "i": "busy", "r": "good"}

Cells = list[tuple[str, str]]
"""A character and its role for each cell; a blank without a role is free."""


def bar_cells(
    pieces: Sequence[Piece], scale: Scale, look: Look, now: dt.datetime
) -> Cells:
    """The cells of one bar.

    Work is drawn over waiting where both fall into one half of a cell; each piece
    takes half a cell at least. Where all of it lies beyond an edge of the scale, an
    arrow at that edge says so.
    """
    known = pieces
    pieces = [piece for piece in known if scale.shows(piece.start, piece.end or now)]
    halves: list[Piece | None] = [None] * (2 * scale.width)
    for is_work in (False, True):
        for piece in pieces:
            if (piece.letter in WORK) == is_work:
                left, right = _halves(piece, scale, now)
                halves[left:right] = [piece] * (right - left)
    cells = [
        _cell(halves[place], halves[place + 1], look)
        for place in range(0, len(halves), 2)
    ]
    for piece in pieces:
        last = (_halves(piece, scale, now)[1] - 1) // 2
        if piece.end is not None and piece.end > scale.end:
            continue  # its end is not in sight
        if piece.is_failed:
            cells[last] = ("✗" if look.unicode else "x", "bad")
        elif piece.end is None and piece.letter in WORK:
            cells[last] = ("▸" if look.unicode else ">", _role(piece))
    if known and not pieces:
        is_before = known[0].start < scale.start
        sign = ("‹" if is_before else "›") if look.unicode else "<>"[not is_before]
        cells[0 if is_before else -1] = (sign, "dim")
    return cells


def with_grid(cells: Cells, scale: Scale, look: Look) -> Cells:
    """The cells with a faint line at each tick of the ruler, where nothing else is."""
    sign = "┊" if look.unicode else ":"
    made = list(cells)
    for cell, _ in scale.ticks():
        if cell < len(made) and made[cell] == (" ", ""):
            made[cell] = (sign, "faint")
    return made


def spans_of(cells: Cells) -> Line:
    """Cells as a line, neighbours of one role joined."""
    spans: list[Span] = []
    for char, role in cells:
        if spans and spans[-1].role == role:
            spans[-1] = Span(spans[-1].text + char, role)
        else:
            spans.append(Span(char, role))
    return tuple(spans)


def free_right(cells: Cells) -> int:
    """How many cells behind the bar are free."""
    count = 0
    for char, _ in reversed(cells):
        if char != " ":
            break
        count += 1
    return count


def free_left(cells: Cells) -> int:
    """How many cells before the bar are free."""
    return free_right(cells[::-1])


def _halves(piece: Piece, scale: Scale, now: dt.datetime) -> tuple[int, int]:
    end = now if piece.end is None else piece.end
    most = 2 * scale.width
    left = min(int(scale.at(piece.start) * 2), most - 1)
    return left, min(max(round(scale.at(end) * 2), left + 1), most)


def _cell(first: Piece | None, second: Piece | None, look: Look) -> tuple[str, str]:
    if first is None and second is None:
        return " ", ""
    # Of two pieces in one cell the work is shown, with the half that it takes.
    shown = first if first is not None and _is_work(first, second) else second
    assert shown is not None or first is not None
    piece = shown if shown is not None else first
    assert piece is not None
    stroke = _STROKES[piece.letter]
    if not look.unicode:
        return stroke.ascii, _role(piece)
    has_both = first is not None and second is not None
    is_same = has_both and first.letter == second.letter  # type: ignore[union-attr]
    if is_same:
        return stroke.whole, _role(piece)
    return (stroke.left if piece is first else stroke.right), _role(piece)


def _is_work(first: Piece, second: Piece | None) -> bool:
    return second is None or first.letter in WORK or second.letter not in WORK


def _role(piece: Piece) -> str:
    return piece.role or _ROLES.get(piece.letter, "dim")

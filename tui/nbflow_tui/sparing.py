"""What the terminal is sent, in fewer bytes: the same cells, the same colours.

Textual closes every piece of text with a reset and names all of its style for the next
one; most of what a busy screen sends is that. Here only what differs from the piece
before is named. Each write stands for itself: it begins and ends with a plain style.
"""

import re
import sys
from functools import lru_cache
from typing import NamedTuple

from textual.driver import Driver

_STYLE = re.compile(r"\x1b\[([\d;]*)m")
_MOVES = re.compile(r"(?:\n|\x1b\[\d+;\d+H)*(\x1b\[\d+;\d+H)")
_UNSEEN = frozenset({"1", "2", "3"})
"""Bold, dim and italic: on a blank nobody sees them."""


class Pen(NamedTuple):
    """How a terminal draws: attributes, colour of the text, colour below it."""

    marks: frozenset[str] = frozenset()
    fore: str = ""
    back: str = ""


_PLAIN = Pen()


def sparing(driver: type[Driver]) -> type[Driver]:
    """A driver that sends what another one does, in fewer bytes.

    On Windows it is that other one: there a screen is written in arbitrary pieces.
    """
    if sys.platform == "win32":
        return driver

    def write(self: Driver, data: str) -> None:
        driver.write(self, thin(data))

    return type(f"Sparing{driver.__name__}", (driver,), {"write": write})


def thin(data: str) -> str:
    """A text for the terminal, its styles told by what changes."""
    if data.count("\x1b[0m") < 2:
        return data
    first, *parts = _STYLE.split(data)
    kept = [first]
    state: Pen | None = None  # of the terminal; None: not known
    for place in range(0, len(parts), 2):
        code, text = parts[place], parts[place + 1]
        if not text:
            continue  # another style comes before anything is drawn
        if code in ("0", ""):
            moved = _MOVES.fullmatch(text)
            if moved is not None:
                kept.append(moved[1])
                continue
        said, state = _told(state, code, text.isspace() and "\n" not in text)
        kept += (said, text)
    if state != _PLAIN:
        kept.append("\x1b[0m")
    return min(data, "".join(kept), key=len)


@lru_cache(4096)
def _told(state: Pen | None, code: str, is_blank: bool) -> tuple[str, Pen | None]:
    """What leads from one style to another, and what the terminal then draws with."""
    wanted = _pen(code)
    if wanted is None or (state is None and wanted != _PLAIN):
        return f"\x1b[0;{code or 0}m", wanted
    if state is None:
        return "\x1b[0m", wanted
    # Where the colour below ends with all the rest, a reset is shorter than its name.
    is_end = wanted == _PLAIN and state.back
    if is_blank and not is_end and (wanted.marks | state.marks) <= _UNSEEN:
        wanted = state._replace(back=wanted.back)
    if wanted == _PLAIN:
        return "" if state == _PLAIN else "\x1b[0m", wanted
    if state.marks - wanted.marks:
        named = [*sorted(wanted.marks), wanted.fore, wanted.back]
        return f"\x1b[{';'.join(['0', *filter(None, named)])}m", wanted
    changes = sorted(wanted.marks - state.marks)
    if wanted.fore != state.fore:
        changes.append(wanted.fore or "39")
    if wanted.back != state.back:
        changes.append(wanted.back or "49")
    return (f"\x1b[{';'.join(changes)}m" if changes else ""), wanted


@lru_cache(4096)
def _pen(code: str) -> Pen | None:
    """What a style from plain on comes to; None for one that is not understood."""
    marks: set[str] = set()
    fore = back = ""
    parts = code.split(";")
    while parts:
        part = parts.pop(0)
        if part in ("38", "48"):
            size = {"2": 4, "5": 2}.get(parts[0] if parts else "", 0)
            if not size or len(parts) < size:
                return None
            color = ";".join([part, *parts[:size]])
            del parts[:size]
            fore, back = (color, back) if part == "38" else (fore, color)
        elif re.fullmatch("3[0-79]|9[0-7]", part):
            fore = part.replace("39", "")
        elif re.fullmatch("4[0-79]|10[0-7]", part):
            back = part.replace("49", "")
        elif re.fullmatch("[1-9]", part):
            marks.add(part)
        elif part not in ("", "0") or marks or fore or back:
            return None
    return Pen(frozenset(marks), fore, back)

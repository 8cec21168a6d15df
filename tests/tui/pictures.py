"""Pictures of the screen as text, compared with stored ones.

A picture is the screen's text, below it a letter for each cell's style, below that what
the letters mean: small, and a change is read in a diff. To store what is shown now:

    NBFLOW_UPDATE_PICTURES=1 python -m pytest tests/tui/test_pictures.py

Textual draws a little differently from version to version; they are compared on that
one whose number is in `VERSION`.
"""

import difflib
import os
import re
import string
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from textual.pilot import Pilot

from tests.tui.stage import until

FOLDER = Path(__file__).parent / "pictures"
VERSION = "8.2."
IS_UPDATE = bool(os.environ.get("NBFLOW_UPDATE_PICTURES"))
_LETTERS = string.ascii_letters + string.digits
_SETTLED = 25
_KEY = re.compile(r"\b[0-9a-f]{32}\b")
"""A step's key, which no two stores share."""


def picture(pilot: Pilot[Any]) -> str:
    """What the screen shows."""
    texts, styles = [], []
    letters: dict[str, str] = {}
    for strip in pilot.app.screen._compositor.render_strips():
        text = style = ""
        for segment in strip:
            said = _told(segment.style)
            letter = letters.setdefault(said, _LETTERS[len(letters)])
            text += segment.text
            style += letter * cell_len(segment.text)
        texts.append(f"|{_KEY.sub('0' * 32, text)}|")
        styles.append(style)
    legend = [f"{letter} {said}" for said, letter in letters.items()]
    return "\n".join([*texts, "", *styles, "", *legend, ""])


async def looks_as(pilot: Pilot[Any], name: str, folder: Path) -> None:
    """Wait until the screen is as the stored picture of that name.

    Where it never is, what differs is told, and the screen is kept as SVG in `folder`.
    """
    path = FOLDER / f"{name}.txt"
    if IS_UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(await _settled(pilot), encoding="utf-8")
        return
    stored = path.read_text(encoding="utf-8")
    try:
        await until(pilot, lambda: picture(pilot) == stored)
    except AssertionError:
        shown = picture(pilot)
        kept = folder / f"{name}.svg"
        kept.write_text(pilot.app.export_screenshot(), encoding="utf-8")
        changes = difflib.unified_diff(
            stored.splitlines(), shown.splitlines(), "stored", "shown", lineterm="", n=0
        )
        raise AssertionError("\n".join([f"{name}: see {kept}", *changes])) from None


async def _settled(pilot: Pilot[Any]) -> str:
    """The screen, when it has not changed for a while."""
    last, count = "", 0
    while count < _SETTLED:
        await pilot.pause(0.05)
        shown = picture(pilot)
        count = count + 1 if shown == last else 0
        last = shown
    return last


def _told(style: Any) -> str:
    if style is None:
        return "none"
    colors = [
        "default" if color is None else color.get_truecolor().hex
        for color in (style.color, style.bgcolor)
    ]
    marks = [
        mark
        for mark in ("bold", "dim", "italic", "underline", "reverse", "strike")
        if getattr(style, mark)
    ]
    return " ".join([f"{colors[0]} on {colors[1]}", *marks])

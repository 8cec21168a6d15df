"""Fewer bytes draw the same cells: both are drawn by a terminal of a few lines."""

import re
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nbflow_tui.sparing import sparing, thin
from rich.ansi import AnsiDecoder
from rich.color import Color
from rich.console import Console
from rich.style import Style
from textual.drivers.headless_driver import HeadlessDriver

PIECE = re.compile(r"\x1b\[([\d;]*)([mH])|(.)", re.DOTALL)
COLORS = st.sampled_from([None, "#c9d1d9", "#101419", "red", "color(99)", "default"])


def drawn(data: str) -> dict[tuple[int, int], tuple[str, Style]]:
    """What is in the cells of a terminal that was sent this."""
    cells: dict[tuple[int, int], tuple[str, Style]] = {}
    row, column, code = 1, 1, "0"
    for found in PIECE.finditer(data):
        said, verb, char = found.groups()
        if verb == "m":
            code = said if said.split(";")[0] in ("", "0") else f"{code};{said}"
        elif verb == "H":
            row, column = map(int, said.split(";"))
        elif char == "\n":
            row, column = row + 1, 1
        else:
            style = ansi(code)
            if char == " " and not style.underline and not style.reverse:
                style = Style(bgcolor=style.bgcolor)  # no more of it is to be seen
            cells[row, column] = char, style
            column += 1
    assert code in ("", "0"), "it leaves a style behind"
    return cells


def ansi(code: str) -> Style:
    """A style as a terminal understands it."""
    (text,) = AnsiDecoder().decode(f"\x1b[{code}mx")
    style = text.get_style_at_offset(Console(), 0)
    marks = ("bold", "dim", "italic", "underline", "reverse")
    seen = {mark: bool(getattr(style, mark)) for mark in marks}
    return Style(color=known(style.color), bgcolor=known(style.bgcolor), **seen)


def known(color: Color | None) -> Color | None:
    """A colour; none where it is the terminal's own."""
    return None if color is None or color.is_default else color


styles = st.builds(
    Style,
    color=COLORS,
    bgcolor=COLORS,
    bold=st.sampled_from([None, True]),
    underline=st.sampled_from([None, True]),
    reverse=st.sampled_from([None, True]),
)
texts = st.sampled_from(["a", "run 1", " ", "   ", " x ", "▸ später"])
moves = st.builds("\x1b[{};{}H".format, st.integers(1, 9), st.integers(1, 60))
pieces = st.one_of(
    st.builds(lambda style, text: style.render(text), styles, texts),
    texts,
    moves,
    st.builds("\n{}".format, moves),
)


@given(st.lists(pieces, max_size=30))
@example(["\x1b[7ma\x1b[0m", "\x1b[1;48;2;1;2;3ma\x1b[0m", " "])
@example(["\x1b[1;48;2;1;2;3ma\x1b[0m", " ", "\x1b[4ma\x1b[0m", " "] * 7)
def test_the_same_cells_are_drawn_in_no_more_bytes(parts: list[str]) -> None:
    data = "\x1b[1;1H" + "".join(parts)
    sent = thin(data)
    assert drawn(sent) == drawn(data)
    assert len(sent) <= len(data)


def test_a_row_names_each_colour_once() -> None:
    dim, plain = "38;2;1;2;3;48;2;9;9;9", "38;2;5;5;5;48;2;9;9;9"
    row = "".join(
        f"\x1b[{code}m{text}\x1b[0m"
        for code, text in [(dim, "a"), (plain, " "), (dim, "b"), (plain, "c")]
    )
    assert thin(row) == f"\x1b[0;{dim}ma b\x1b[38;2;5;5;5mc\x1b[0m"


def test_what_is_no_drawing_goes_through_as_it_is() -> None:
    for text in ("\x1b[?1049h", "\x1b[?25l", "plain", "\x1b]52;c;YQ==\x07", "\x1b[0m"):
        assert thin(text) == text


def test_styles_that_it_does_not_know_are_kept_whole() -> None:
    strange = "\x1b[4:3mwavy\x1b[0m\x1b[58;5;9;1mx\x1b[0m\x1b[1my\x1b[0m"
    sent = thin(strange)
    assert "\x1b[4:3mwavy" in sent
    assert "\x1b[0;58;5;9;1mx" in sent
    assert "\x1b[0;1my" in sent


@pytest.mark.skipif(sys.platform == "win32", reason="written in pieces there")
def test_every_driver_can_be_made_sparing() -> None:
    made = sparing(HeadlessDriver)
    assert issubclass(made, HeadlessDriver)
    assert made.write is not HeadlessDriver.write

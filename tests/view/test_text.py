"""Text in terminal cells."""

import sys

import pytest
import wcwidth
from hypothesis import given
from hypothesis import strategies as st

from nbflow.view import Line, Look, Span, cells, cut, fit, line, pad, paint, width_of
from nbflow.view.text import SINGLE, plain

ODD = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("日本語한ｱ👩‍🚀🇩🇪️́̈ا‮\x1b\x9b\n\r\t\x00[]/'\"…━"),
    ),
    max_size=60,
)
ROLES = st.sampled_from(["", "dim", "good", "bad"])
LINES = st.lists(st.tuples(ODD, ROLES), max_size=6).map(
    lambda parts: line(*(Span(text, role) for text, role in parts))
)


def has_control(text: str) -> bool:
    return any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text)


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("plain", 5),
        ("日本", 4),
        ("e\u0301", 1),
        ("👩\u200d🚀", 2),
        ("✓▸↻◷◌↳✗⊘»∙", 10),
        ("", 0),
    ],
)
def test_cells_counts_what_a_terminal_uses(text: str, width: int) -> None:
    assert cells(text) == width


def test_cut_marks_what_is_missing() -> None:
    assert cut("abcdef", 4) == "abc…"
    assert cut("abcdef", 6) == "abcdef"
    assert cut("日本語", 4) == "日…"
    assert cut("abcdef", 4, "...") == "a..."
    assert cut("abcdef", 2, "...") == "ab"
    assert cut("abc", 0) == ""


def test_a_wide_character_is_never_cut_in_half() -> None:
    assert cut("a日本", 3) == "a…"


@given(ODD, st.integers(-1, 40))
def test_cut_never_needs_more_cells_than_asked(text: str, width: int) -> None:
    safe = plain(line(text))
    assert cells(cut(safe, width)) <= max(width, 0)


@given(ODD, st.integers(0, 40))
def test_pad_fills_up_to_the_width(text: str, width: int) -> None:
    safe = plain(line(text))
    assert cells(pad(safe, width)) >= width
    assert pad(safe, width).startswith(safe)
    assert pad(safe, width, right=True).endswith(safe)


@given(LINES, st.integers(0, 100))
def test_a_fitted_line_fits(spans: Line, width: int) -> None:
    assert width_of(fit(spans, width)) <= width


@given(LINES)
def test_a_line_that_fits_stays_as_it_is(spans: Line) -> None:
    assert fit(spans, width_of(spans)) == spans
    assert fit(spans, None) == spans


@given(LINES, st.integers(0, 100))
def test_nothing_from_a_run_steers_the_terminal(spans: Line, width: int) -> None:
    assert not has_control(paint(spans, Look(), width))
    colored = paint(spans, Look(color=True), width)
    for sgr in ("\x1b[0m", "\x1b[2m", "\x1b[32m", "\x1b[1;31m"):
        colored = colored.replace(sgr, "")
    assert not has_control(colored)


def test_a_huge_text_of_combining_marks_is_cut_soon() -> None:
    assert len(cut("a" + "\u0301" * 1_000_000, 10)) < 200
    assert len(paint(line("a" + "\u0301" * 1_000_000), Look(), 10)) < 200


def test_line_joins_texts_spans_and_lines() -> None:
    made = line("a", Span("b", "dim"), line("c", Span("d", "bad")), "")
    assert made == (Span("a"), Span("b", "dim"), Span("c"), Span("d", "bad"))


def test_what_is_measured_without_wcwidth_is_measured_alike() -> None:
    text = "".join(filter(SINGLE.fullmatch, map(chr, range(sys.maxunicode + 1))))
    assert all(wcwidth.wcwidth(char) == 1 for char in text)
    assert len(list(wcwidth.iter_graphemes(text))) == len(text)
    assert set("✓▸↻◷◌↳✗⊘»∙…·━╌┈") <= set(text)

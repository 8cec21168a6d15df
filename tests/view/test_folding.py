"""JSON in lines that can be folded."""

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from nbflow.view.folding import (
    around,
    closed_at_first,
    folds,
    path_of,
    visible,
)
from nbflow.view.values import to_json

VALUE = {
    "name": "nightly",
    "pages": [
        {"url": "a", "tags": ["x", "y"]},
        {"url": "b", "a key": {"deep": {"deeper": [1, 2, 3]}}},
    ],
    "empty": [],
}
LINES = to_json(VALUE, indent=2).split("\n")
KNOWN = folds(LINES)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def place_of(text: str) -> int:
    return next(place for place, line in enumerate(LINES) if text in line)


def test_everything_between_two_brackets_is_a_fold_that_tells_its_size() -> None:
    pages = KNOWN[place_of('"pages"')]
    assert pages.size == 2
    assert LINES[pages.last].strip() == "],"
    assert pages.told('  "pages": [', "  ],") == '  "pages": [ 2 items ],'
    tags = KNOWN[place_of('"tags"')]
    assert (tags.size, tags.depth) == (2, 3)


def test_what_holds_nothing_is_no_fold() -> None:
    assert place_of('"empty"') not in KNOWN


def test_the_lines_of_a_closed_fold_are_not_seen() -> None:
    first = place_of('"tags"')
    seen = list(visible(len(LINES), KNOWN, {first}))
    assert [place for place in range(len(LINES)) if place not in seen] == [
        first + 1,
        first + 2,
        first + 3,
    ]


def test_deep_levels_are_closed_at_first() -> None:
    closed = closed_at_first(KNOWN)
    assert place_of('"tags"') in closed
    assert place_of('"pages"') not in closed
    assert all(KNOWN[place].depth >= 3 for place in closed)


def test_a_line_knows_the_folds_that_it_is_in() -> None:
    found = around(place_of('"x"'), KNOWN)
    assert [LINES[each.first].strip() for each in found] == [
        "{",
        '"pages": [',
        "{",
        '"tags": [',
    ]


def test_a_path_is_what_python_would_ask_for() -> None:
    assert path_of(LINES, place_of('"name"')) == "name"
    assert path_of(LINES, place_of('"y"')) == "pages[0].tags[1]"
    assert path_of(LINES, place_of("3")) == 'pages[1]["a key"].deep.deeper[2]'
    assert path_of(LINES, place_of('"pages"')) == "pages"
    assert path_of(LINES, len(LINES) - 1) == ""


@given(values)
def test_any_json_is_whole_when_all_is_open_and_one_line_when_all_is_closed(
    value: Any,
) -> None:
    lines = to_json(value, indent=2).split("\n")
    known = folds(lines)
    assert list(visible(len(lines), known, ())) == list(range(len(lines)))
    seen = list(visible(len(lines), known, set(known)))
    assert (len(seen) == 1) == (len(lines) == 1 or 0 in known)


@given(st.lists(st.text(max_size=4)))
def test_any_text_is_taken(lines: list[str]) -> None:
    known = folds(lines)
    assert set(visible(len(lines), known, set(known))) <= set(range(len(lines)))
    for place in range(len(lines)):
        assert isinstance(path_of(lines, place), str)


class Dot:
    """A value whose fields are attributes."""

    def __init__(self, value: Any) -> None:
        object.__setattr__(self, "found", value)

    def __getattribute__(self, name: str) -> Any:
        return Dot(value_of(self)[name])

    def __getitem__(self, key: Any) -> Any:
        return Dot(value_of(self)[key])


def value_of(dot: Dot) -> Any:
    return object.__getattribute__(dot, "found")


@given(values)
@example({"A²": None, "ﬁ": 1})  # no name, and one that Python reads as "fi"
def test_a_path_leads_to_the_value_of_its_line(value: Any) -> None:
    lines = to_json(value, indent=2).split("\n")
    for place, line in enumerate(lines):
        path = path_of(lines, place)
        dot = "" if path[:1] in ("", "[") else "."
        found = value_of(eval(f"_{dot}{path}", {"_": Dot(value)}))
        if isinstance(found, list | dict) and found:
            assert line.rstrip(",").endswith(("{", "[", "}", "]"))
        elif not isinstance(found, str):
            assert line.rstrip(",").endswith(json.dumps(found))

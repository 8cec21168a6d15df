"""The rules for ids, names, labels, run ids and apps."""

import re
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow import names
from nbflow.errors import (
    DefinitionError,
    InvalidId,
    InvalidName,
    InvalidOption,
    InvalidRunId,
)

Check = Callable[[object], str]

PRINTABLE: list[tuple[Check, type[DefinitionError]]] = [
    (names.check_id, InvalidId),
    (names.check_event_name, InvalidName),
    (names.check_workflow_name, InvalidName),
    (names.check_label, InvalidOption),
    (names.check_flow_key, InvalidOption),
]
PLAIN: list[tuple[Check, type[DefinitionError]]] = [
    (names.check_run_id, InvalidRunId),
    (names.check_app, InvalidName),
]
printable = pytest.mark.parametrize(
    ("check", "error"), PRINTABLE, ids=lambda x: x.__name__
)
plain = pytest.mark.parametrize(("check", "error"), PLAIN, ids=lambda x: x.__name__)


@printable
@pytest.mark.parametrize(
    "text", ["fetch", "ask[17]", "a:1", "x" * 200, "größe", "数据 2"]
)
def test_printable_text_is_taken(
    check: Check, error: type[DefinitionError], text: str
) -> None:
    del error
    assert check(text) == text


@printable
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("x" * 201, "has 201 characters"),
        ("a\nb", "holds U\\+000A at place 1"),
        ("\x00", "holds U\\+0000 at place 0"),
        ("a\x1fb", "holds U\\+001F at place 1"),
        ("a\x7f", "holds U\\+007F at place 1"),
        ("a\x85", "holds U\\+0085 at place 1"),
        ("abc\u202ecba", "holds U\\+202E at place 3"),
        ("a\u2066", "holds U\\+2066 at place 1"),
        ("a\u2028b", "holds U\\+2028 at place 1"),
        ("a\ud800", "holds U\\+D800 at place 1"),
        (17, "is no text"),
        (None, "is no text"),
        (b"a", "is no text"),
    ],
)
def test_other_text_is_refused_with_the_reason(
    check: Check, error: type[DefinitionError], text: object, problem: str
) -> None:
    with pytest.raises(error, match=f"{problem}: it is 1 to 200 printable") as caught:
        check(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_equal_looking_ids_are_equal() -> None:
    assert names.check_id("cafe\u0301") == names.check_id("caf\u00e9") == "caf\u00e9"
    assert len(names.check_id("e\u0301" * 200)) == 200


def test_workflow_name_holds_no_slash() -> None:
    with pytest.raises(InvalidName, match=r"'a/b' has a '/'.*use '-'"):
        names.check_workflow_name("a/b")
    assert names.check_id("a/b") == "a/b"


def test_message_says_which_id_it_is() -> None:
    with pytest.raises(InvalidId, match=r"^group name '' is empty: it is 1 to 200"):
        names.check_id("", what="group name")


def test_wrong_option_names_itself() -> None:
    with pytest.raises(InvalidOption) as caught:
        names.check_label("a\tb")
    assert (caught.value.option, caught.value.value) == ("label", "a\tb")
    with pytest.raises(InvalidOption) as caught:
        names.check_flow_key(3)
    assert (caught.value.option, caught.value.value) == ("key", 3)


def test_subclass_of_str_comes_back_as_str() -> None:
    class Text(str):
        __slots__ = ()

    for check, _ in PRINTABLE + PLAIN:
        assert type(check(Text("abc"))) is str


@plain
@pytest.mark.parametrize("text", ["a", "0", "A.b_c-d", "x" * 128, "2026-01-01"])
def test_plain_name_is_taken(
    check: Check, error: type[DefinitionError], text: str
) -> None:
    del error
    assert check(text) == text


@plain
@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "-a", "_a", "a/b", "a b", "a\n", "ä", "x" * 129, "a\\b", 3, None],
    ids=repr,
)
def test_other_name_is_refused_with_the_rule(
    check: Check, error: type[DefinitionError], text: object
) -> None:
    with pytest.raises(error, match=r"is not allowed: it is 1 to 128 of A-Z a-z 0-9"):
        check(text)


@given(st.text(max_size=250))
def test_id_is_printable_and_stays_the_same_when_checked_again(text: str) -> None:
    try:
        name = names.check_id(text)
    except InvalidId:
        composed = unicodedata.normalize("NFC", text)
        assert not (0 < len(composed) <= 200 and composed.isprintable())
        return
    assert name == unicodedata.normalize("NFC", text)
    assert names.check_id(name) == name
    assert 0 < len(name) <= 200
    assert not {unicodedata.category(c) for c in name} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text(alphabet="aZ09._-/ é\n", max_size=140))
def test_app_is_one_plain_folder_name(text: str) -> None:
    allowed = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", text)
    if allowed:
        assert names.check_app(text) == text
    else:
        with pytest.raises(InvalidName):
            names.check_app(text)

"""Secrets are stored by name, read when they are used, and masked in text."""

import copy
import pickle
from typing import Any

import pytest

from nbflow import codecs
from nbflow.codecs import Secret, redact
from nbflow.errors import InvalidName, NonRetriableError


def test_a_secret_is_stored_by_its_name_only(
    monkeypatch: pytest.MonkeyPatch, again: Any
) -> None:
    monkeypatch.setenv("MY_PLACE", "tweet-tweet")
    secret = Secret("MY_PLACE")
    assert secret.get() == "tweet-tweet"
    assert codecs.encode(secret).text == b'{"$secret":"MY_PLACE"}'
    assert again({"s": secret}) == {"s": secret}


def test_its_value_is_the_one_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Secret("MY_PLACE")
    monkeypatch.setenv("MY_PLACE", "one")
    assert secret.get() == "one"
    monkeypatch.setenv("MY_PLACE", "two")
    assert secret.get() == "two"


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_PLACE", raising=False)
    with pytest.raises(NonRetriableError, match=r"MY_PLACE is not set.*set it"):
        Secret("MY_PLACE").get()


def test_it_shows_its_name_however_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_PLACE", "tweet-tweet")
    secret = Secret("MY_PLACE")
    for text in (repr(secret), str(secret), f"{secret}", f"{secret!r:>30}"):
        assert "Secret('MY_PLACE')" in text
    assert b"tweet" not in pickle.dumps(secret)
    assert copy.deepcopy(secret) == pickle.loads(pickle.dumps(secret)) == secret
    assert len({secret, Secret("MY_PLACE"), Secret("OTHER")}) == 2
    assert secret.name == "MY_PLACE"


@pytest.mark.parametrize("name", ["", "A=B", "A\n"])
def test_impossible_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidName, match="name of an environment variable"):
        Secret(name)


@pytest.mark.parametrize(
    "name", ["OPENAI_API_KEY", "Github_Token", "SECRET", "DB_PASSWORD"]
)
def test_values_of_secret_variables_are_masked(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "tweet.tweet+1")
    assert redact("a tweet.tweet+1, b tweet.tweet+1") == "a ***, b ***"
    assert redact("tweet!tweet+1") == "tweet!tweet+1"


def test_values_are_masked_as_json_and_repr_write_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("A_KEY", 'qu"ote\\é\n')
    assert redact('{"a": "qu\\"ote\\\\\\u00e9\\n"}') == '{"a": "***"}'
    assert redact(repr('qu"ote\\é\n')) == "'***'"


def test_short_values_and_other_variables_are_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("A_KEY", "12345")
    monkeypatch.setenv("A_KEYBOARD", "querty-layout")
    assert redact("12345 querty-layout") == "12345 querty-layout"


def test_the_longest_of_two_secrets_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "abcdef")
    monkeypatch.setenv("B_KEY", "abcdefghij")
    assert redact("abcdefghij abcdef") == "*** ***"


def test_a_variable_set_later_or_changed_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert redact("first-value") == "first-value"
    monkeypatch.setenv("LATE_TOKEN", "first-value")
    assert redact("first-value") == "***"
    monkeypatch.setenv("LATE_TOKEN", "second-value")
    assert redact("first-value second-value") == "first-value ***"
    monkeypatch.delenv("LATE_TOKEN")
    assert redact("second-value") == "second-value"


def test_a_variable_that_takes_the_place_of_another_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AN_OTHER", "x")
    redact("")
    monkeypatch.delenv("AN_OTHER")
    monkeypatch.setenv("NEW_TOKEN", "tweet-tweet")
    assert redact("tweet-tweet") == "***"


def test_a_secret_that_was_read_is_masked_whatever_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PLAIN_NAME", "tweet-tweet")
    Secret("PLAIN_NAME").get()
    assert redact("tweet-tweet") == "***"

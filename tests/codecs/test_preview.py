"""A preview is one safe line, made without the value's own code."""

import datetime as dt
import enum
import sys
from collections import Counter, deque
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbflow import codecs
from nbflow.codecs import preview


class Color(enum.Enum):
    RED = "r"


class Mode(enum.Flag):
    A = 1
    B = 2


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclass
class User:
    name: str
    password: str = field(default="hunter22", repr=False)


class Form(pydantic.BaseModel):
    name: str
    key: str = pydantic.Field(default="hunter22", repr=False)
    secret: pydantic.SecretStr = pydantic.SecretStr("hunter22")


class Loud:
    def __repr__(self) -> str:
        raise AssertionError("code of the value's class ran")

    __str__ = __repr__
    __len__ = __repr__
    __iter__ = __repr__

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"code of the value's class ran for {name}")


class LoudList(list):  # type: ignore[type-arg]
    __repr__ = Loud.__repr__
    __iter__ = Loud.__iter__  # type: ignore[assignment]


class LoudError(Exception):
    __repr__ = Loud.__repr__
    __str__ = Loud.__str__


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (None, "None"),
        (True, "True"),
        (1.5, "1.5"),
        ("it's", '"it\'s"'),
        (b"\x00a", "b'\\x00a'"),
        (bytes(5000), "bytes 5,000"),
        ([1, (2,), {3}, {"a": ()}], "[1, (2,), {3}, {'a': ()}]"),
        (frozenset(), "frozenset()"),
        (Counter("aa"), "Counter({'a': 2})"),
        (deque([1]), "deque([1])"),
        (Color.RED, "Color.RED"),
        (Mode.A | Mode.B, "Mode.A|B"),
        (Pair(1, "x"), "Pair(left=1, right='x')"),
        (User("Ann"), "User(name='Ann')"),
        (Form(name="Ann"), "Form(name='Ann', secret=<pydantic.types.SecretStr>)"),
        (dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC), "2026-01-02 03:04:00+00:00"),
        (dt.timedelta(1), "1 day, 0:00:00"),
        (Decimal("1.50"), "1.50"),
        (PurePosixPath("/a/b"), "/a/b"),
        (10**5000, "int of 16,610 bits"),
        (range(3), "range(0, 3)"),
        (codecs.Secret("A_KEY"), "Secret('A_KEY')"),
        (codecs.Unresolved("m:make.<locals>.C", {"x": 1}), "C(x=1)"),
        (codecs.Unresolved("m:Color", "RED"), "Color('RED')"),
        (codecs.Unresolved("m:Pair", (1, "x")), "Pair(1, 'x')"),
        (codecs.Unresolved("m:C", {1: 2}), "C({1: 2})"),
        (codecs.Unresolved("httpx.Client"), "<httpx.Client>"),
        (ValueError("bad", 1), "ValueError('bad', 1)"),
        (LoudError(Loud()), f"LoudError(<{__name__}.Loud>)"),
        (Loud(), f"<{__name__}.Loud>"),
        (LoudList([1]), f"<{__name__}.LoudList>"),
        (len, "<function len>"),
        (Loud, f"<class {__name__}.Loud>"),
        (sys, "<module sys>"),
        (np.zeros((3, 4)), "array float64 (3, 4)"),
        (np.float32(1.5), "1.5"),
        (pd.DataFrame({c: range(4000) for c in "abc"}), "DataFrame 4,000 x 3"),
        (pd.Series([1, 2]), "Series int64 2"),
        (pd.RangeIndex(3), "RangeIndex int64 3"),
        (pd.Timestamp("2026-01-01"), "2026-01-01 00:00:00"),
        (pl.DataFrame({"a": [1]}), "DataFrame 1 x 1"),
        (pl.Series([1]), "Series Int64 1"),
        (pa.table({"a": [1]}), "Table 1 x 1"),
        (pa.array([1]), "Int64Array int64 1"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_previews(value: object, line: str) -> None:
    assert preview(value) == line


HOSTILE = [
    "\x1b]52;c;AAAA\x07",
    "\x1b[2J",
    "a\r\nb\tc",
    "\u202egnp.exe",
    "\u2028\u2029\x85\x9b1m",
    "\ud800",
    "\x00\x7f",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    kind = type("Kind", (), {"__module__": text})
    values = [text, [text], {text: 1}, Pair(text, 1), PurePosixPath(text), kind()]
    values += [codecs.Unresolved(text, text), codecs.Secret("A"), ValueError(text)]
    for value in values:
        line = preview(value, 1000)
        assert not any(char in line for char in text if not char.isprintable())


@settings(deadline=None)
@given(
    value=st.recursive(
        st.text(st.characters(exclude_categories=())) | st.integers() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    limit=st.integers(1, 200),
)
def test_any_preview_is_one_line_of_at_most_the_limit(value: Any, limit: int) -> None:
    line = preview(value, limit)
    assert len(line) <= limit
    assert line.splitlines() in ([line], [])


def test_long_values_are_cut() -> None:
    assert preview("x" * 10**7, 20) == "'" + "x" * 18 + "…"
    assert preview(list(range(10**6)), 20) == "[0, 1, 2, 3, 4, 5, …"


def test_deep_and_endless_values_are_cut() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert preview(endless) == "[[[[[[[[…]]]]]]]]"


def test_secrets_of_the_environment_are_masked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CANARY_TOKEN", "tweet tweet's")
    line = preview({"auth": "Bearer tweet tweet's", "b": b"tweet tweet's"})
    assert "tweet" not in line
    assert preview("x" * 110 + "tweet tweet's") == "'" + "x" * 110 + "***'"
    assert "twee" not in preview("x" * 115 + "tweet tweet's")

"""Arguments: equal ones get equal marks, whatever else they are they are recorded."""

import enum
import io
import math
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbflow import codecs
from nbflow.codecs import Unresolved, decode_arguments, fingerprint
from nbflow.errors import StoreDamaged


class Color(enum.Enum):
    RED = 1


@dataclass
class Point:
    x: Any
    y: Any = 0


class Client:
    def get(self) -> None: ...

    def __repr__(self) -> str:
        raise AssertionError("nobody may ask for this")


def work(x: int) -> int:
    return x


def mark(*args: Any, **kwargs: Any) -> bytes:
    return fingerprint(args, kwargs).mark


def read(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    made = fingerprint(args, kwargs)
    assert made.text.isascii()
    parts = {part.digest: part.data for part in made.parts}
    return decode_arguments(made.text, parts.__getitem__)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=()))
    | st.tuples(st.integers())
    | st.frozensets(st.integers() | st.text()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
        | st.builds(Point, inner, inner)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(args=st.lists(PLAIN, max_size=3).map(tuple))
def test_arguments_are_recorded_whole(args: Any, same: Any) -> None:
    kwargs = {f"k{n}": value for n, value in enumerate(args)}
    made = fingerprint(args, kwargs)
    assert made.known
    assert len(made.mark) == 10
    same(read(*args, **kwargs), (args, kwargs))


@settings(deadline=None)
@given(one=PLAIN, other=PLAIN)
def test_marks_differ_where_stored_values_differ(one: Any, other: Any) -> None:
    if codecs.encode(one).text == codecs.encode(other).text:
        assert mark(one) == mark(other)
    elif one != other:
        assert mark(one) != mark(other)


def _shuffled(value: Any, rng: random.Random) -> Any:
    if type(value) is dict:
        pairs = [(key, _shuffled(item, rng)) for key, item in value.items()]
        rng.shuffle(pairs)
        return dict(pairs)
    if type(value) is list:
        return [_shuffled(item, rng) for item in value]
    if type(value) is Point:
        return Point(_shuffled(value.x, rng), _shuffled(value.y, rng))
    return value


@settings(deadline=None)
@given(value=PLAIN, rng=st.randoms(use_true_random=False))
def test_order_of_keys_does_not_count(value: Any, rng: random.Random) -> None:
    assert mark(value, k=value, a=1) == mark(_shuffled(value, rng), a=1, k=value)


def test_order_of_keys_is_recorded_all_the_same() -> None:
    (value,), kwargs = read({"b": 1, "a": 2}, z=1, y=2)
    assert list(value) == ["b", "a"]
    assert list(kwargs) == ["z", "y"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        (1, "1"),
        (None, "null"),
        ([1], (1,)),
        ({1}, frozenset({1})),
        ({1: 2}, {"1": 2}),
        (b"a", "a"),
        (0.0, -0.0),
        ([1, 2], [2, 1]),
        (Point(1), Point(2)),
        ({"$set": [1]}, {1}),
        (np.float64(1), 1.0),
        (np.zeros(3), np.zeros(3, "f4")),
    ],
)
def test_unlike_arguments_have_unlike_marks(one: Any, other: Any) -> None:
    assert mark(one) != mark(other)
    assert mark(x=one) != mark(x=other)


def test_place_and_keyword_are_told_apart() -> None:
    assert len({mark(), mark(None), mark(x=None), mark(None, None), mark([None])}) == 5


def test_without_arguments_the_record_is_one_constant() -> None:
    assert fingerprint((), {}) is fingerprint((), {})
    assert read() == ((), {})


def test_nan_is_equal_to_itself() -> None:
    assert mark(math.nan) == mark(float("nan"))


def test_marks_are_the_same_in_another_process() -> None:
    code = (
        "from nbflow.codecs import fingerprint;"
        "print(fingerprint(({'a', 'b', 'c', 'd'}, {'x': 1.5}), {'k': ()}).mark.hex())"
    )
    here = mark({"a", "b", "c", "d"}, {"x": 1.5}, k=()).hex()
    command = [sys.executable, "-c", code]
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    assert subprocess.check_output(command, env=env, text=True).strip() == here


@pytest.mark.parametrize(
    ("value", "type_name"),
    [
        (Client(), f"{__name__}.Client"),
        (object(), "object"),
        (io.StringIO(), "_io.StringIO"),
        (threading.Lock(), "_thread.lock"),
        (iter([1]), "list_iterator"),
        ((n for n in [1]), "generator"),
        ([].append, "builtin_function_or_method"),
    ],
)
def test_opaque_arguments_are_legal_and_shown_by_type(
    value: Any, type_name: str
) -> None:
    made = fingerprint((value, 1), {})
    assert not made.known
    assert decode_arguments(made.text) == ((Unresolved(type_name), 1), {})
    assert mark(value, 1) == made.mark != mark(value, 2)


def test_opaque_pieces_leave_the_rest_recorded() -> None:
    made = fingerprint(([Client(), 1], {"c": Client()}), {"n": (1,)})
    assert not made.known
    client = Unresolved(f"{__name__}.Client")
    assert decode_arguments(made.text) == (([client, 1], {"c": client}), {"n": (1,)})


def test_arguments_without_end_are_opaque() -> None:
    endless: list[Any] = []
    endless.append(endless)
    made = fingerprint((endless, 1), {"k": endless})
    assert not made.known
    assert read(endless, 1)[0] == (Unresolved("list"), 1)


FUNCTIONS: list[tuple[Any, Any, str]] = [
    (work, test_nan_is_equal_to_itself, "function"),
    (len, max, "function"),
    (Client, Point, "class"),
    (int, Color, "class"),
    (os, io, "module"),
    (partial(work, 1), partial(work, 2), "functools.partial"),
    (Point(1).__eq__, Point(2).__eq__, "method"),
    (Color.RED.__class__, enum.Enum, "class"),
]


@pytest.mark.parametrize(("one", "other", "kind"), FUNCTIONS)
def test_functions_and_classes_count_by_name(one: Any, other: Any, kind: str) -> None:
    made = fingerprint((one,), {})
    assert made.known
    assert made.mark == mark(one) != mark(other)
    (value,), _ = decode_arguments(made.text)
    assert type(value) is Unresolved
    assert value.type == kind


def test_lambdas_count_by_name() -> None:
    def make() -> Callable[[], int]:
        return lambda: 1

    assert mark(make()) == mark(make())


def test_methods_of_opaque_objects_are_opaque() -> None:
    assert not fingerprint((Client().get,), {}).known


def test_local_classes_count_by_their_fields() -> None:
    @dataclass
    class Local:
        x: int

    assert fingerprint((Local(1),), {}).known
    assert mark(Local(1)) == mark(Local(1)) != mark(Local(2))


def test_keywords_that_look_like_tags_survive() -> None:
    kwargs = {"$set": [1], "not an identifier": 2, "\ud800": 3}
    assert read(**kwargs) == ((), kwargs)


def test_arrays_are_recorded_up_to_8_mib() -> None:
    array = np.arange(1000.0)
    made = fingerprint((array,), {})
    (part,) = made.parts
    (again,), _ = decode_arguments(made.text, {part.digest: part.data}.__getitem__)
    assert np.array_equal(again, array)


def test_large_arrays_count_by_shape_type_and_ends() -> None:
    array = np.zeros(3 * 2**20)
    made = fingerprint((array,), {})
    assert made.known
    assert made.parts == ()
    assert read(array)[0][0].type == "numpy.ndarray"
    for place in (0, -1):
        changed = array.copy()
        changed[place] = 1
        assert mark(changed) != made.mark
    middle = array.copy()
    middle[array.size // 2] = 1
    assert mark(middle) == made.mark
    assert mark(array.reshape(2, -1)) != made.mark
    assert mark(array.astype("f4")) != made.mark
    assert mark(np.asfortranarray(array.reshape(2, -1))) != made.mark


ROWS = 2_000_000
TABLES: list[tuple[Any, Any, str]] = [
    (pd.DataFrame, lambda f: f.rename(columns={"a": "b"}), "pandas.DataFrame"),
    (lambda d: pd.Series(d["a"]), lambda s: s.astype("f8"), "pandas.Series"),
    (pl.DataFrame, lambda f: f.rename({"a": "b"}), "polars.DataFrame"),
    (lambda d: pl.Series("a", d["a"]), lambda s: s.cast(pl.Float64), "polars.Series"),
    (pa.table, lambda t: t.rename_columns(["b"]), "pyarrow.Table"),
    (lambda d: pa.array(d["a"]), lambda a: a.cast(pa.float64()), "pyarrow.Array"),
]


@pytest.mark.parametrize(("make", "change", "name"), TABLES, ids=lambda v: str(v)[:20])
def test_large_tables_count_by_schema_and_ends(
    make: Any, change: Any, name: str
) -> None:
    values = np.arange(ROWS)
    table = make({"a": values})
    made = fingerprint((table,), {})
    assert made.known
    assert made.parts == ()
    assert read(table)[0][0].type == name
    assert mark(make({"a": values.copy()})) == made.mark
    assert mark(change(table)) != made.mark
    ends = [values.copy(), values.copy()]
    ends[0][0] = ends[1][-1] = 7
    assert len({made.mark, *(mark(make({"a": end})) for end in ends)}) == 3
    assert mark(make({"a": values[:-1]})) != made.mark


def test_bytes_over_the_limit_count_whole_and_are_not_recorded() -> None:
    data = bytes(codecs.LIMIT + 1)
    made = fingerprint((data, 1), {})
    assert made.known
    assert made.parts == ()
    assert mark(data[:-1] + b"x", 1) != made.mark
    assert read(data, 1)[0][1] == 1


def test_secrets_are_recorded_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_CANARY", "tweet-tweet")
    made = fingerprint((codecs.Secret("THE_CANARY"),), {})
    assert b"tweet" not in made.text
    assert decode_arguments(made.text) == ((codecs.Secret("THE_CANARY"),), {})


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b'{"args":1,"kwargs":{}}', b'{"args":[],"kwargs":[]}', b"1"],
)
def test_what_is_no_arguments_is_damaged(text: bytes) -> None:
    with pytest.raises(StoreDamaged):
        decode_arguments(text)

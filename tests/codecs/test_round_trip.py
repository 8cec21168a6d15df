"""Every value reads back equal and of the same type, however it is nested."""

import datetime as dt
import enum
import math
import sys
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbflow import codecs


class Color(enum.Enum):
    RED = (1, "r")
    ALSO_RED = (1, "r")
    BLUE = None


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    YES = "yes"


class Right(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


class Point(NamedTuple):
    x: Any
    y: Any = 0


@dataclass
class Node:
    value: Any
    rest: Any = None


@dataclass(frozen=True)
class Frozen:
    name: str


ANY_TEXT = st.text(st.characters(exclude_categories=()))
ZONES = st.sampled_from(
    [
        dt.UTC,
        dt.timezone(dt.timedelta(0)),
        dt.timezone(dt.timedelta(hours=-3, microseconds=7), "odd"),
        dt.timezone(dt.timedelta(hours=5, minutes=30)),
        zoneinfo.ZoneInfo("Europe/Paris"),
        zoneinfo.ZoneInfo("UTC"),
    ]
)
HASHABLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**40),
    st.floats(allow_nan=False),
    ANY_TEXT,
    st.binary(max_size=20),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.dates(),
    st.timedeltas(),
    st.fractions(),
    st.sampled_from([*Color, *Level, *Word, Right.READ, Right.READ | Right.RUN]),
    st.sampled_from([Right(0), PurePosixPath("/a/../b"), PureWindowsPath("c:\\x")]),
    st.builds(Frozen, ANY_TEXT),
    st.builds(codecs.Unresolved, ANY_TEXT, ANY_TEXT),
)
LEAVES = st.one_of(
    HASHABLE,
    st.floats(),
    st.complex_numbers(),
    st.decimals(),
    st.binary(min_size=5000, max_size=5010),
    st.binary().map(bytearray),
    st.datetimes(timezones=st.none() | ZONES),
    st.datetimes().map(lambda moment: moment.replace(fold=1)),
    st.times(timezones=st.none() | ZONES),
    st.sampled_from(
        [range(3), range(5, -(10**30), -7), Path("a/b"), codecs.Secret("X")]
    ),
)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(ANY_TEXT, inner, max_size=4),
        st.dictionaries(st.sampled_from(["$set", "$dict", "a", "$"]), inner),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.sets(HASHABLE, max_size=4),
        st.frozensets(HASHABLE, max_size=4),
        st.builds(Point, inner, inner),
        st.builds(Node, inner, inner),
        st.lists(inner, max_size=3).map(deque),
    )


VALUES = st.recursive(LEAVES, _nested, max_leaves=12)


@settings(max_examples=400, deadline=None)
@given(value=VALUES)
def test_any_value_reads_back_equal_and_of_its_type(
    value: Any, again: Any, same: Any
) -> None:
    same(value, again(value))


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    # Not such as look special, which take the longer way.
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="$", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.text(st.characters(codec="utf-8", max_codepoint=35)), inner
        )
    ),
)


@settings(deadline=None)
@given(value=JSON_VALUES)
def test_json_values_are_plain(value: Any, again: Any, same: Any) -> None:
    payload = codecs.encode(value)
    assert payload.plain
    assert payload.parts == ()
    same(value, again(value))


@pytest.mark.parametrize(
    "value",
    [(), {1: 2}, {"a": (1,)}, [2**63], float("nan"), "\ud800", {"$a": 1}, b""],
)
def test_values_that_need_tags_are_not_plain(value: object) -> None:
    assert not codecs.encode(value).plain


def test_text_that_looks_special_stays_plain(again: Any) -> None:
    value = ["$set", "NaN", {"a": "Infinity and $"}]
    assert codecs.encode(value).plain
    assert again(value) == value


@pytest.mark.parametrize(
    "value",
    [
        -0.0,
        5e-324,
        sys.float_info.max,
        math.inf,
        -math.inf,
        math.nan,
        -math.nan,
        complex(math.nan, -0.0),
        10**4300 - 1,
        -(10**4300) + 1,
        2**63,
        -(2**63),
        Decimal("sNaN123"),
        Decimal("-0E+10"),
        Decimal("1E+999999"),
        Fraction(-(10**50), 3),
        UUID(int=0),
        "\ud83d\ude00",
        "\x00\x7f\u2028\U0001f600",
        {"": 0},
        {None: 1, True: 2, 2: 3, "2": 4, (1, 2): 5, frozenset({1}): 6},
        {"$tuple": [1], "$": {"$bytes": "AA=="}},
        {"b": 1, "a": 2},
        [[[]], {}, (), set(), frozenset()],
        {1, 1.5, "1", b"1", None, (1,)},
        OrderedDict([("b", 1), ("a", 2)]),
        Counter("hello"),
        defaultdict(list, {"a": [1]}),
        defaultdict(None, {"a": [1]}),
        deque([1, (2,)], maxlen=2),
        dt.datetime.min,
        dt.datetime.max.replace(tzinfo=dt.UTC),
        dt.datetime(
            2026, 10, 25, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")
        ),
        dt.time(1, 2, 3, 4, fold=1),
        dt.timedelta.min,
        dt.timezone(dt.timedelta(hours=1), "CET"),
        Path(),
        PurePosixPath("//x"),
        codecs.Unresolved("a:B", {"x": [1]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_edges_read_back_exactly(value: object, again: Any, same: Any) -> None:
    same(value, again(value))
    same([value], again([value]))


def test_fold_decides_between_two_equal_wall_clocks(again: Any) -> None:
    paris = zoneinfo.ZoneInfo("Europe/Paris")
    moment = dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=paris)
    assert again(moment).fold == 1
    assert again(moment).utcoffset() == dt.timedelta(hours=1)


def test_zones_of_pytz_read_back(again: Any) -> None:
    pytz = pytest.importorskip("pytz")
    paris = pytz.timezone("Europe/Paris")
    moment = paris.localize(dt.datetime(2026, 7, 1))
    for zone in (paris, moment.tzinfo, pytz.utc, pytz.FixedOffset(90)):
        assert again(zone) is zone
    assert again(moment) == moment


def test_path_of_undecodable_file_name_reads_back(again: Any) -> None:
    assert again(Path("caf\udce9")) == Path("caf\udce9")


def test_dict_keeps_its_order_and_its_keys_types(again: Any) -> None:
    assert list(again({2: 0, "b": 1, 1: 2, "a": 3})) == [2, "b", 1, "a"]
    assert list(again({"b": 1, "a": 3})) == ["b", "a"]


def test_equal_sets_have_equal_text() -> None:
    words = [f"word {n}" for n in range(50)]
    assert codecs.encode(set(words)).text == codecs.encode(set(reversed(words))).text


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {1: v}])
def test_nesting_of_200_is_kept(wrap: Any, again: Any, same: Any) -> None:
    value: Any = wrap(1.5e300)
    for _ in range(199):
        value = wrap(value)
    payload = codecs.encode(value)
    assert codecs.decode(payload.text) == value


def test_shared_pieces_read_back_equal(again: Any) -> None:
    shared = [1, (2,)]
    assert again([shared, {"a": shared}]) == [shared, {"a": shared}]


def test_bytes_above_4_kib_are_parts_stored_once() -> None:
    data = b"x" * 5000
    payload = codecs.encode([data, data, bytearray(data)])
    (part,) = payload.parts
    assert part.data == data
    assert len(payload.text) < 400
    assert codecs.decode(payload.text, {part.digest: data}.__getitem__) == [
        data,
        data,
        bytearray(data),
    ]


def test_read_twice_gives_independent_values(again: Any) -> None:
    text = codecs.encode({"a": [1], "b": (1,)}).text
    first, second = codecs.decode(text), codecs.decode(text)
    assert first == second
    first["a"].append(2)  # type: ignore[index]
    assert second == {"a": [1], "b": (1,)}


def test_a_stored_form_can_be_read_out_of_a_larger_json_text() -> None:
    text = b'{"_value":' + codecs.encode({"t": (1,)}).text + b"}"
    assert codecs.revive(codecs.parse(text)["_value"]) == {"t": (1,)}

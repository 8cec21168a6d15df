"""pandas: DataFrames, Series and indexes read back equal, or the column is named."""

import datetime as dt
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from packaging.version import Version

from nbflow import codecs
from nbflow.errors import NotSerializable, StoreDamaged

PARIS = pd.date_range("2026-10-24 23:00", periods=3, freq="h", tz="Europe/Paris")

COLUMNS: dict[str, Any] = {
    "integers": [1, 2, 3],
    "floats": [1.5, float("nan"), -0.0],
    "complex": [1j, 2, 3],
    "flags": [True, False, True],
    "text": ["a", None, "\u65e5"],
    "empty": [None, None, None],
    "python text": pd.array(["a", None, ""], dtype=pd.StringDtype("python")),
    "arrow text": pd.array(["a", None, ""], dtype=pd.StringDtype("pyarrow")),
    "surrogate": pd.Series(["\ud800", "b", None], dtype=object),
    "nullable": pd.array([1, None, 2**62 + 1], dtype="Int64"),
    "nullable small": pd.array([1, None, 3], dtype="UInt8"),
    "nullable float": pd.array([0.5, None, float("inf")], dtype="Float64"),
    "nullable flag": pd.array([True, None, False], dtype="boolean"),
    "category": pd.Categorical(["b", None, "a"], categories=["b", "a"], ordered=True),
    "number category": pd.Categorical([3, 1, 3]),
    "naive": pd.to_datetime(["2026-01-01", None, "1700-01-01"]),
    "seconds": np.array(["2026-01-01", "NaT", "1000-01-01"], "M8[s]"),
    "zoned": PARIS,
    "offset zone": PARIS.tz_convert(dt.timezone(dt.timedelta(hours=2))),
    "spans": pd.to_timedelta([1, None, 3], unit="s"),
    "months": pd.period_range("2026-01", periods=3, freq="M"),
    "intervals": pd.interval_range(0.5, 3.5, closed="left"),
    "time intervals": pd.interval_range(pd.Timestamp("2026"), periods=3),
    "arrow": pd.array([1, None, 3], dtype=pd.ArrowDtype(pa.int32())),
    "arrow list": pd.array([[1], None, []], pd.ArrowDtype(pa.list_(pa.int8()))),
    "arrow moment": pd.array([1, None, 3], pd.ArrowDtype(pa.timestamp("us", "UTC"))),
    "objects": pd.Series([1, "a", (1, {2})], dtype=object),
    "nothings": pd.Series([None, float("nan"), pd.NaT], dtype=object),
    "pandas objects": pd.Series(
        [pd.NA, pd.Timestamp(0), pd.Timedelta(5)], dtype=object
    ),
    "long bytes": pd.Series([b"x" * 5000, bytes(9000), b""], dtype=object),
    "numpy objects": pd.Series([np.int8(1), np.arange(2), 1], dtype=object),
}
if Version(pd.__version__) >= Version("2.3"):
    NAN_TEXT = pd.StringDtype("python", na_value=np.nan)
    COLUMNS["nan text"] = pd.array(["a", None, ""], dtype=NAN_TEXT)


def check(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_freq=True, check_exact=True)
    assert type(one.index) is type(other.index)
    assert type(one.columns) is type(other.columns)


@pytest.mark.parametrize("name", COLUMNS)
def test_each_kind_of_column_reads_back(name: str, again: Any) -> None:
    frame = pd.DataFrame({name: COLUMNS[name]})
    check(frame, again(frame))
    series = frame[name]
    pd.testing.assert_series_equal(series, again(series), check_exact=True)


@pytest.mark.parametrize("name", sorted(COLUMNS.keys() - {"arrow list", "surrogate"}))
def test_each_kind_of_index_reads_back(name: str, again: Any) -> None:
    values = COLUMNS[name]
    index = pd.Index(values, dtype=getattr(values, "dtype", None), name=("a", 1))
    read = again(index)
    assert type(read) is type(index)
    assert read.name == ("a", 1)
    pd.testing.assert_series_equal(index.to_series(), read.to_series())


def test_objects_of_a_column_keep_their_types(again: Any) -> None:
    read = again(pd.DataFrame({"x": COLUMNS["nothings"]}))["x"].tolist()
    assert read[0] is None
    assert type(read[1]) is float
    assert read[2] is pd.NaT


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(),
        pd.DataFrame(index=[3, 4]),
        pd.DataFrame(columns=["a", "b"]),
        pd.DataFrame({"a": [1]}).iloc[:0],
        pd.DataFrame({1: [1], "1": [2], (1, 2): [3]}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
        pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(4, 0, -2, name="n")),
        pd.DataFrame({"a": range(3)}, index=PARIS),
        pd.DataFrame(
            {"a": [1, 2]},
            index=pd.MultiIndex.from_arrays(
                [["x", None], PARIS[:2]], names=["n", None]
            ),
        ),
        pd.DataFrame(
            np.arange(6).reshape(2, 3), columns=pd.CategoricalIndex(list("abc"))
        ),
        pd.DataFrame({"a": [1, None], "b": ["x", "y"]}).convert_dtypes(),
        pd.DataFrame({"a": [3, 1, 2]}).sort_values("a"),
    ],
    ids=range(13),
)
def test_shapes_and_labels_read_back(frame: pd.DataFrame, again: Any) -> None:
    check(frame, again(frame))


def test_attributes_and_flags_are_kept(again: Any) -> None:
    frame = pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False)
    frame.attrs = {"source": ("x", 1)}
    read = again(frame)
    assert read.attrs == frame.attrs
    assert not read.flags.allows_duplicate_labels


def test_a_table_is_one_part_and_can_be_changed(again: Any) -> None:
    frame = pd.DataFrame(np.random.default_rng(1).random((2000, 20)))
    frame["text"] = "x"
    assert len(codecs.encode(frame).parts) == 1
    read = again(frame)
    read.iloc[0, 0] = 5.0
    read["new"] = read[1] + 1
    assert read.iloc[0, 0] == 5.0


def test_moments_read_back(again: Any) -> None:
    for value in (*PARIS, pd.Timestamp("1000-01-01", unit=None), pd.Timedelta("1ns")):
        read = again(value)
        assert type(read) is type(value)
        assert read == value
        assert read.unit == value.unit
        assert str(read) == str(value)
    assert again(pd.NA) is pd.NA
    assert again(pd.NaT) is pd.NaT


class Sub(pd.DataFrame):  # type: ignore[misc]
    pass


@pytest.mark.parametrize(
    ("frame", "path", "words"),
    [
        (pd.DataFrame({"a": [1], "b": [object()]}), 'value["b"][0]', "object"),
        (pd.DataFrame({"s": pd.arrays.SparseArray([0, 1])}), 'value["s"]', "Sparse"),
        (pd.DataFrame({"a": [1]}, index=[object()]), "value.index[0]", "object"),
        (Sub({"a": [1]}), "value", "Sub"),
    ],
    ids=["object", "sparse", "index", "subclass"],
)
def test_refused_naming_the_column(frame: Any, path: str, words: str) -> None:
    with pytest.raises(NotSerializable, match=words) as caught:
        codecs.encode(frame)
    assert caught.value.path == path


def test_a_frequency_without_a_name_is_refused() -> None:
    odd = pd.offsets.CustomBusinessDay(holidays=["2026-01-01"])
    index = pd.date_range("2026-01-05", periods=3, freq=odd)
    with pytest.raises(NotSerializable, match="frequency"):
        codecs.encode(pd.Series([1, 2, 3], index=index))


def test_pandas_is_imported_to_read_a_table(again: Any) -> None:
    text = codecs.encode(pd.DataFrame({"a": [1]})).text
    code = (
        "import sys, nbflow.codecs as c; assert 'pandas' not in sys.modules;"
        f"print(c.preview(c.decode({text!r})))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "DataFrame 1 x 1"


def test_without_pandas_a_table_is_unresolved(monkeypatch: pytest.MonkeyPatch) -> None:
    text = codecs.encode([pd.DataFrame({"a": [1]}), 5]).text
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert codecs.decode(text) == [codecs.Unresolved("pandas.DataFrame"), 5]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"kind":"i"', b'"kind":"x"'),
        (b'"kind":"i"', b'"kind":"O"'),
        (b'"npy":[0,', b'"npy":[-64,'),
        (b'"npy":[0,', b'"npy":[99999999,'),
        (b'"range":[0,2,1]', b'"range":[0,9,1]'),
        (b'"range":[0,2,1]', b'"range":[0,2,0]'),
        (b'"columns":{', b'"columns":{"kind":"multi","x":{'),
        (b'"data":[', b'"data":[{},'),
    ],
)
def test_damaged_tables_are_named(old: bytes, new: bytes) -> None:
    text = codecs.encode(pd.DataFrame({"a": [1, 2]})).text
    assert old in text
    with pytest.raises(StoreDamaged):
        codecs.decode(text.replace(old, new))

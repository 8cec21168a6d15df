"""polars and pyarrow: tables read back equal, or the column is named."""

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from nbflow import codecs
from nbflow.codecs import _tables
from nbflow.errors import NotSerializable, StoreDamaged

FRAME = pl.DataFrame(
    {
        "number": [1, None, 3],
        "float": [float("nan"), None, -0.0],
        "text": ["a", "\u65e5", None],
        "bytes": [b"x", None, b""],
        "list": [[1], [], None],
        "struct": [{"a": 1, "b": "x"}, {"a": None, "b": None}, None],
        "moment": [dt.datetime(2026, 1, 1), None, dt.datetime(1900, 1, 1)],
        "day": [dt.date(2026, 1, 1), None, None],
        "span": [dt.timedelta(1), None, None],
        "time": [dt.time(1), None, None],
        "null": [None, None, None],
    }
).with_columns(
    pl.col("text").cast(pl.Categorical).alias("category"),
    pl.Series("decimal", [Decimal("1.50"), None, None], dtype=pl.Decimal(20, 2)),
    pl.Series("enum", ["a", "b", None], dtype=pl.Enum(["b", "a"])),
    pl.Series("array", [[1, 2], None, [3, 4]], dtype=pl.Array(pl.Int8, 2)),
    pl.col("moment").dt.replace_time_zone("Europe/Paris").alias("zoned"),
)


def test_polars_frame_reads_back(again: Any) -> None:
    read = again(FRAME)
    assert type(read) is pl.DataFrame
    assert read.schema == FRAME.schema
    assert read.equals(FRAME)
    assert again(FRAME.clear()).schema == FRAME.schema
    assert again(pl.DataFrame()).shape == (0, 0)


@pytest.mark.parametrize("name", FRAME.columns)
def test_polars_series_reads_back(name: str, again: Any) -> None:
    read = again(FRAME[name])
    assert type(read) is pl.Series
    assert read.equals(FRAME[name], check_dtypes=True, check_names=True)


@pytest.mark.parametrize(
    "value",
    [
        pl.DataFrame({"a": [1], "o": pl.Series([object()], dtype=pl.Object)}),
        pl.Series("o", [object()], dtype=pl.Object),
    ],
)
def test_polars_objects_are_refused_naming_the_column(value: Any) -> None:
    with pytest.raises(NotSerializable, match="column 'o' of objects"):
        codecs.encode(value)


def test_lazy_frames_are_refused() -> None:
    with pytest.raises(NotSerializable, match="LazyFrame"):
        codecs.encode(FRAME.lazy())


TABLE = pa.table(
    {
        "a": pa.chunked_array([[1, 2], [None]]),
        "b": pa.array(["x", None, "y"]).dictionary_encode(),
        "c": pa.array([{"k": [1.5]}, None, {"k": None}]),
        "d": pa.array([1, 2, 3], pa.timestamp("ns", "Europe/Paris")),
    },
    metadata={"made": "here"},
)


@pytest.mark.parametrize(
    "value",
    [
        TABLE,
        TABLE.slice(1, 1),
        TABLE.schema.empty_table(),
        TABLE.combine_chunks().to_batches()[0],
        pa.RecordBatch.from_pylist([], schema=TABLE.schema),
        TABLE.column("a"),
        pa.chunked_array([], pa.int8()),
        pa.array([1.5, None]),
        pa.array([], pa.string()),
        TABLE.column("b").combine_chunks(),
        TABLE.schema,
    ],
    ids=lambda value: type(value).__name__,
)
def test_arrow_values_read_back(value: Any, again: Any) -> None:
    read = again(value)
    assert type(read) is type(value)
    assert read.equals(value)
    if hasattr(value, "schema"):
        assert read.schema.equals(value.schema, check_metadata=True)


class Loud(pa.ExtensionType):  # type: ignore[misc]
    """An extension type as some libraries register: reading it runs its code."""

    seen: list[str] = []  # noqa: RUF012 - shared on purpose

    def __init__(self) -> None:
        super().__init__(pa.int64(), "test.loud")

    def __arrow_ext_serialize__(self) -> bytes:
        return b"payload"

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: Any, data: bytes) -> "Loud":
        cls.seen.append("ran")
        return cls()


@pytest.fixture
def loud() -> Any:
    pa.register_extension_type(Loud())
    Loud.seen.clear()
    yield pa.table({"x": pa.ExtensionArray.from_storage(Loud(), pa.array([1]))})
    pa.unregister_extension_type("test.loud")


def test_extension_types_are_refused_naming_the_column(loud: Any) -> None:
    with pytest.raises(NotSerializable, match="'x' of the extension type"):
        codecs.encode(loud)
    uuids = pa.array([b"x" * 16], pa.uuid())
    with pytest.raises(NotSerializable, match="'y' of the extension type"):
        codecs.encode(pa.table({"y": uuids}))


def test_a_stored_extension_type_never_runs_its_code(loud: Any) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, loud.schema) as stream:
        stream.write(loud)
    data = sink.getvalue().to_pybytes()
    Loud.seen.clear()
    text = codecs.encode(data).text
    for tag in (b'{"$arrow":"Table","ipc"', b'{"$arrow":"Schema","ipc"'):
        with pytest.raises(StoreDamaged, match="extension type"):
            codecs.decode(text.replace(b'{"$bytes"', tag))
    assert Loud.seen == []


@pytest.mark.parametrize("kind", [b'{"$arrow":"Table"', b'{"$polars":"DataFrame"'])
def test_any_changed_byte_of_a_table_is_survived(kind: bytes) -> None:
    data = _tables.arrow_bytes(pa.table({"a": [1, 2], "b": ["x", "yy"]}))
    for place in range(0, len(data), 3):
        broken = bytearray(data)
        broken[place] ^= 0xFF
        text = codecs.encode(bytes(broken)).text
        try:
            codecs.decode(text.replace(b'{"$bytes"', kind + b',"ipc"'))
        except StoreDamaged:
            continue

"""Stored forms of pandas: DataFrame, Series, all kinds of Index, and its scalars."""

from typing import Any

from nbflow.codecs._builtins import short
from nbflow.codecs._columns import Sheet, SheetReader
from nbflow.codecs._libraries import library, library_of
from nbflow.codecs._sampling import sampled
from nbflow.codecs._text import Node, dumps
from nbflow.codecs._walk import (
    FINDERS,
    Encoder,
    Reader,
    Refusal,
    Writer,
    damaged,
    decodes,
    int_of,
    list_of,
    text_of,
)

# Index classes that pandas makes by itself for a dtype.
_PLAIN_INDEXES = (
    "Index",
    "DatetimeIndex",
    "TimedeltaIndex",
    "PeriodIndex",
    "CategoricalIndex",
    "IntervalIndex",
)
_UNITS = frozenset({"s", "ms", "us", "ns"})


def _find(kind: type) -> Encoder | None:
    if library_of(kind) != "pandas":
        return None
    pandas = library("pandas", "pandas")
    if kind is pandas.DataFrame:
        return _write_frame
    if kind is pandas.Series:
        return _write_series
    if issubclass(kind, pandas.Index):
        return _write_index
    if kind in (pandas.Timestamp, pandas.Timedelta):
        return _write_moment
    if kind in (type(pandas.NaT), type(pandas.NA)):
        return _write_nothing
    return None


FINDERS.append(_find)


# DataFrame


def _write_frame(writer: Writer, value: Any) -> Node:
    size = int(value.memory_usage(index=True).sum())
    facts = {"type": "pandas.DataFrame", "schema": _schema(value)}
    large = sampled(writer, value, size, facts, _frame_bytes)
    if large is not None:
        writer.tagged = True
        return large
    sheet = Sheet(writer)
    labels = list(value.columns)
    columns: list[Node] = []
    for place, label in enumerate(labels):
        try:
            columns.append(sheet.array(value.iloc[:, place].array))
        except Refusal as refusal:
            refusal.inside(value, f"[{short(label)}]")
            raise
    node = {
        "$frame": None,
        "columns": _part(value, ".columns", sheet, value.columns),
        "index": _part(value, ".index", sheet, value.index),
        "data": columns,
        **_extras(writer, value),
    }
    node["$frame"] = writer.leaf(sheet.box.packed(), limited=False)
    return node


def _schema(value: Any) -> list[str]:
    return [f"{short(label)} {dtype}" for label, dtype in value.dtypes.items()]


def _frame_bytes(value: Any) -> bytes:
    writer = Writer(arguments=True)
    node = writer.node(value)
    return dumps(node, writer.deepest) + b"".join(p.data for p in writer.parts.values())


def _part(value: Any, name: str, sheet: Sheet, index: Any) -> Node:
    try:
        return _index_node(sheet, index)
    except Refusal as refusal:
        refusal.inside(value, name)
        raise


def _extras(writer: Writer, value: Any) -> dict[str, Node]:
    extras: dict[str, Node] = {}
    if value.attrs:
        extras["attrs"] = writer.node(value.attrs)
    if not value.flags.allows_duplicate_labels:
        extras["unique"] = True
    return extras


@decodes("$frame")
def _read_frame(reader: Reader, node: Node) -> object:
    pandas = library("pandas", "pandas.DataFrame")
    sheet = SheetReader(reader, reader.leaf(node["$frame"]))
    index = _read_index_node(sheet, node["index"])
    columns = _read_index_node(sheet, node["columns"])
    arrays = [sheet.array(column) for column in list_of(node["data"])]
    if len(arrays) != len(columns):
        damaged("a table has another number of columns than of names")
    data = {
        place: pandas.Series(array, index=index, dtype=array.dtype, copy=False)
        for place, array in enumerate(arrays)
    }
    frame = pandas.DataFrame(data, index=index, columns=range(len(arrays)), copy=False)
    frame.columns = columns
    return _with_extras(reader, node, frame)


def _with_extras(reader: Reader, node: Node, value: Any) -> object:
    if "attrs" in node:
        value.attrs = reader.read(node["attrs"])
    if node.get("unique") is True:
        value.flags.allows_duplicate_labels = False
    return value


# Series


def _write_series(writer: Writer, value: Any) -> Node:
    size = int(value.memory_usage(index=True))
    facts = {"type": "pandas.Series", "schema": str(value.dtype)}
    large = sampled(writer, value, size, facts, _frame_bytes)
    if large is not None:
        writer.tagged = True
        return large
    sheet = Sheet(writer)
    node = {
        "$series": None,
        "name": writer.node(value.name),
        "index": _part(value, ".index", sheet, value.index),
        "data": sheet.array(value.array),
        **_extras(writer, value),
    }
    node["$series"] = writer.leaf(sheet.box.packed(), limited=False)
    return node


@decodes("$series")
def _read_series(reader: Reader, node: Node) -> object:
    pandas = library("pandas", "pandas.Series")
    sheet = SheetReader(reader, reader.leaf(node["$series"]))
    array = sheet.array(node["data"])
    index = _read_index_node(sheet, node["index"])
    name = reader.read(node["name"])
    series = pandas.Series(array, index=index, dtype=array.dtype, name=name, copy=False)
    return _with_extras(reader, node, series)


# Index


def _write_index(writer: Writer, value: Any) -> Node:
    writer.tagged = True
    sheet = Sheet(writer)
    node = {"$index": None, "index": _index_node(sheet, value)}
    node["$index"] = writer.leaf(sheet.box.packed(), limited=False)
    return node


@decodes("$index")
def _read_index(reader: Reader, node: Node) -> object:
    library("pandas", "pandas.Index")
    sheet = SheetReader(reader, reader.leaf(node["$index"]))
    return _read_index_node(sheet, node["index"])


def _index_node(sheet: Sheet, value: Any) -> Node:
    pandas = sheet.pandas
    kind = type(value)
    names = [sheet.writer.node(name) for name in value.names]
    if kind is pandas.RangeIndex:
        limits = [value.start, value.stop, value.step]
        return {"kind": "range", "range": limits, "names": names}
    if kind is pandas.MultiIndex:
        return {
            "kind": "multi",
            "levels": [_index_node(sheet, level) for level in value.levels],
            "codes": [
                sheet.numpy(pandas.array(codes).to_numpy()) for codes in value.codes
            ],
            "names": names,
        }
    if kind not in {getattr(pandas, name) for name in _PLAIN_INDEXES}:
        raise Refusal(f"is a {kind.__name__}, which has no stored form", value)
    node = {"kind": "plain", "values": sheet.array(value.array), "names": names}
    freq = getattr(value, "freq", None)
    if freq is not None and kind is not pandas.PeriodIndex:
        if pandas.tseries.frequencies.to_offset(value.freqstr) != freq:
            raise Refusal(
                f"has the frequency {value.freqstr}, which has no stored form; set"
                " `.freq = None`",
                value,
            )
        node["freq"] = value.freqstr
    return node


def _read_index_node(sheet: SheetReader, node: Node) -> Any:
    pandas = sheet.pandas
    names = [sheet.reader.read(name) for name in list_of(node["names"])]
    kind = text_of(node["kind"])
    if kind == "multi":
        return pandas.MultiIndex(
            levels=[
                _read_index_node(sheet, level) for level in list_of(node["levels"])
            ],
            codes=[sheet.numpy(codes) for codes in list_of(node["codes"])],
            names=names,
            verify_integrity=True,
        )
    (name,) = names
    if kind == "range":
        start, stop, step = (int_of(n) for n in list_of(node["range"]))
        return pandas.RangeIndex(start, stop, step, name=name)
    if kind != "plain":
        damaged("an index is of an unknown kind")
    array = sheet.array(node["values"])
    index = pandas.Index(array, dtype=array.dtype, name=name, tupleize_cols=False)
    if "freq" in node:
        index.freq = text_of(node["freq"])
    return index


# Scalars


def _write_moment(writer: Writer, value: Any) -> Node:
    writer.tagged = True
    node = {
        "$moment": type(value).__name__,
        "unit": value.unit,
        "value": int(value.asm8.view("i8")),
    }
    if getattr(value, "tzinfo", None) is not None:
        node["tz"] = writer.node(value.tzinfo)
    return node


@decodes("$moment")
def _read_moment(reader: Reader, node: Node) -> object:
    kind = text_of(node["$moment"])
    pandas = library("pandas", f"pandas.{kind}")
    numpy = library("numpy", f"pandas.{kind}")
    unit = text_of(node["unit"])
    if unit not in _UNITS or kind not in {"Timestamp", "Timedelta"}:
        damaged("a moment is of an unknown kind")
    value = int_of(node["value"])
    if kind == "Timedelta":
        return pandas.Timedelta(numpy.timedelta64(value, unit))
    moment = pandas.Timestamp(numpy.datetime64(value, unit))
    if "tz" in node:
        moment = moment.tz_localize("UTC").tz_convert(reader.read(node["tz"]))
    return moment


def _write_nothing(writer: Writer, value: Any) -> Node:
    writer.tagged = True
    pandas = library("pandas", "pandas")
    return {"$nothing": "NA" if value is pandas.NA else "NaT"}


@decodes("$nothing")
def _read_nothing(_reader: Reader, node: Node) -> object:
    pandas = library("pandas", "pandas")
    return pandas.NA if node["$nothing"] == "NA" else pandas.NaT

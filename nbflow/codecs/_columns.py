"""Stored forms of pandas's columns, one for each kind of dtype.

The buffers of all columns of a table are packed into one `Box`, so a table is one
part however many columns it has.
"""

from collections.abc import Callable
from typing import Any

from nbflow.codecs._arrays import from_npy, npy
from nbflow.codecs._builtins import write_list
from nbflow.codecs._libraries import library
from nbflow.codecs._tables import arrow_bytes, arrow_table
from nbflow.codecs._text import Node, dumps, loads
from nbflow.codecs._walk import (
    Missing,
    Reader,
    Refusal,
    Writer,
    damaged,
    int_of,
    list_of,
    text_of,
)

_ALIGNMENT = 64


class Box:
    """Buffers packed one behind the other."""

    def __init__(self, data: bytes = b"") -> None:
        self._data = bytearray(data)
        self._view = memoryview(data)

    def put(self, data: bytes) -> Node:
        """Add a buffer; returns where it is."""
        start = len(self._data)
        self._data += data
        self._data += b"\0" * (-len(self._data) % _ALIGNMENT)
        return [start, len(data)]

    def get(self, node: Node) -> memoryview:
        """The buffer at that place."""
        start, length = (int_of(n) for n in list_of(node))
        if start < 0 or length < 0 or start + length > len(self._view):
            damaged("a column lies outside of its table")
        return self._view[start : start + length]

    def packed(self) -> bytes:
        """All buffers as one."""
        return bytes(self._data)


class Sheet:
    """What columns are written to: the walk and the box of their table."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.box = Box()
        self.pandas = library("pandas", "pandas")

    def array(self, array: Any) -> Node:
        """The node of one column (an array of pandas or numpy)."""
        if type(array) is self.pandas.arrays.NumpyExtensionArray:
            array = array.to_numpy()
        dtype = array.dtype
        kind = dtype.kind if _is_numpy(dtype) else type(dtype).__name__
        write = _KINDS.get(kind, (None,))[0]
        if write is None:
            raise Refusal(f"has the dtype {dtype}, which would not read back", array)
        node: Node = {"kind": kind, **write(self, array)}
        if kind not in _EXACT:
            self._check(node, array)
        return node

    def _check(self, node: Node, array: Any) -> None:
        """Refuse a column that does not read back equal."""
        try:
            parts = self.writer.parts
            reader = Reader(lambda digest: parts[digest].data, self.writer.classes)
            again = SheetReader(reader, self.box.packed()).array(node)
            same = type(again) is type(array) and again.dtype == array.dtype
            same = same and bool(again.equals(array))
        except Exception:
            same = False
        if not same:
            raise Refusal(
                f"has the dtype {array.dtype}, whose values would not read back equal",
                array,
            )

    def numpy(self, array: Any) -> Node:
        """Where the box has a numpy array."""
        return self.box.put(npy(array))

    def objects(self, items: list[Any]) -> Node:
        """Where the box has a list of values."""
        outer = self.writer
        inner = Writer(outer.classes, arguments=outer.arguments)
        nodes = write_list(inner, items)
        outer.known = outer.known and inner.known
        outer.parts.update(inner.parts)
        return self.box.put(dumps(nodes, inner.deepest + 1))


class SheetReader:
    """What columns are read from."""

    def __init__(self, reader: Reader, data: bytes) -> None:
        self.reader = reader
        self.box = Box(data)
        self.pandas = library("pandas", "pandas")

    def array(self, node: Node) -> Any:
        """The column of a node, as an array of pandas or numpy."""
        read = _KINDS.get(text_of(node["kind"]), (None, None))[1]
        if read is None:
            damaged(f"a column is of an unknown kind {node['kind'][:40]!r}")
        return read(self, node)

    def numpy(self, node: Node) -> Any:
        """The numpy array at that place of the box."""
        return from_npy(self.box.get(node))

    def objects(self, node: Node) -> list[Any]:
        """The list of values at that place of the box."""
        items: list[Any] = self.reader.read(list_of(loads(bytes(self.box.get(node)))))
        return items


def _is_numpy(dtype: Any) -> bool:
    return isinstance(dtype, library("numpy", "numpy").dtype)


# One pair of functions for each kind


def _write_numbers(sheet: Sheet, array: Any) -> dict[str, Node]:
    # Naive moments come as an array of pandas, of a dtype of numpy.
    return {"npy": sheet.numpy(library("numpy", "numpy").asarray(array))}


def _read_numbers(sheet: SheetReader, node: Node) -> Any:
    return sheet.numpy(node["npy"])


def _write_objects(sheet: Sheet, array: Any) -> dict[str, Node]:
    return {"json": sheet.objects(array.tolist())}


def _read_objects(sheet: SheetReader, node: Node) -> Any:
    numpy = library("numpy", "numpy")
    items = sheet.objects(node["json"])
    array = numpy.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        array[index] = item
    return array


def _write_text(sheet: Sheet, array: Any) -> dict[str, Node]:
    dtype = array.dtype
    items = array.to_numpy(dtype=object, na_value=None).tolist()
    return {
        "json": sheet.objects(items),
        "storage": dtype.storage,
        "nan": dtype.na_value is not sheet.pandas.NA,
    }


def _read_text(sheet: SheetReader, node: Node) -> Any:
    storage = text_of(node["storage"])
    # pandas before 2.3 knows NA only, and no such argument.
    missing = {"na_value": float("nan")} if node["nan"] else {}
    try:
        dtype = sheet.pandas.StringDtype(storage, **missing)
    except ImportError:
        raise Missing("pandas.StringDtype", storage) from None
    return sheet.pandas.array(sheet.objects(node["json"]), dtype=dtype)


def _write_masked(sheet: Sheet, array: Any) -> dict[str, Node]:
    missing = array.isna()
    dtype = array.dtype.numpy_dtype
    values = array.to_numpy(dtype=dtype, na_value=dtype.type(0))
    return {"npy": sheet.numpy(values), "mask": sheet.numpy(missing)}


def _read_masked(name: str) -> Callable[[SheetReader, Node], Any]:
    def read(sheet: SheetReader, node: Node) -> Any:
        make = getattr(sheet.pandas.arrays, name)
        return make(sheet.numpy(node["npy"]), sheet.numpy(node["mask"]))

    return read


def _write_categories(sheet: Sheet, array: Any) -> dict[str, Node]:
    categories = array.categories
    return {
        "codes": sheet.numpy(array.codes),
        "categories": sheet.array(categories.array),
        "ordered": bool(array.ordered),
    }


def _read_categories(sheet: SheetReader, node: Node) -> Any:
    pandas = sheet.pandas
    values = sheet.array(node["categories"])
    categories = pandas.Index(values, dtype=values.dtype)
    dtype = pandas.CategoricalDtype(categories, ordered=node["ordered"] is True)
    # It checks that the codes lie within the categories.
    return pandas.Categorical.from_codes(sheet.numpy(node["codes"]), dtype=dtype)


def _write_zoned(sheet: Sheet, array: Any) -> dict[str, Node]:
    utc = array.tz_convert(None).to_numpy()
    return {"npy": sheet.numpy(utc), "tz": sheet.writer.node(array.tz)}


def _read_zoned(sheet: SheetReader, node: Node) -> Any:
    zone = sheet.reader.read(node["tz"])
    naive = sheet.pandas.DatetimeIndex(sheet.numpy(node["npy"]))
    return naive.tz_localize("UTC").tz_convert(zone).array


def _write_periods(sheet: Sheet, array: Any) -> dict[str, Node]:
    return {"npy": sheet.numpy(array.asi8), "freq": array.freqstr}


def _read_periods(sheet: SheetReader, node: Node) -> Any:
    ordinals = sheet.numpy(node["npy"])
    periods = sheet.pandas.PeriodIndex
    return periods.from_ordinals(ordinals, freq=text_of(node["freq"])).array


def _write_intervals(sheet: Sheet, array: Any) -> dict[str, Node]:
    return {
        "left": sheet.array(array.left.array),
        "right": sheet.array(array.right.array),
        "closed": array.closed,
    }


def _read_intervals(sheet: SheetReader, node: Node) -> Any:
    return sheet.pandas.arrays.IntervalArray.from_arrays(
        sheet.array(node["left"]),
        sheet.array(node["right"]),
        closed=text_of(node["closed"]),
    )


def _write_arrow(sheet: Sheet, array: Any) -> dict[str, Node]:
    arrow = library("pyarrow", "pyarrow")
    return {"ipc": sheet.box.put(arrow_bytes(arrow.table({"": arrow.array(array)})))}


def _read_arrow(sheet: SheetReader, node: Node) -> Any:
    library("pyarrow", "pandas.ArrowDtype")
    column = arrow_table(bytes(sheet.box.get(node["ipc"]))).column(0)
    return sheet.pandas.array(column, dtype=sheet.pandas.ArrowDtype(column.type))


# A letter for numpy's kinds, the dtype's class for those of pandas.
_KINDS: dict[str, Any] = {
    **dict.fromkeys("biufcmMSUV", (_write_numbers, _read_numbers)),
    "O": (_write_objects, _read_objects),
    "StringDtype": (_write_text, _read_text),
    "BooleanDtype": (_write_masked, _read_masked("BooleanArray")),
    **dict.fromkeys(
        [f"{sign}Int{bits}Dtype" for sign in ("", "U") for bits in (8, 16, 32, 64)],
        (_write_masked, _read_masked("IntegerArray")),
    ),
    **dict.fromkeys(
        ["Float32Dtype", "Float64Dtype"], (_write_masked, _read_masked("FloatingArray"))
    ),
    "CategoricalDtype": (_write_categories, _read_categories),
    "DatetimeTZDtype": (_write_zoned, _read_zoned),
    "PeriodDtype": (_write_periods, _read_periods),
    "IntervalDtype": (_write_intervals, _read_intervals),
    "ArrowDtype": (_write_arrow, _read_arrow),
}
# Read back exactly by construction; all others are compared when they are written.
_EXACT = frozenset("biufcmMO")

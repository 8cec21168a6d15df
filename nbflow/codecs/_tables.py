"""Stored forms of polars and pyarrow tables: Arrow's own format."""

import io
from typing import Any

from nbflow.codecs._libraries import library, library_of
from nbflow.codecs._sampling import sampled
from nbflow.codecs._text import Node
from nbflow.codecs._walk import (
    FINDERS,
    Encoder,
    Reader,
    Refusal,
    Writer,
    damaged,
    decodes,
    text_of,
)

# The key under which a schema names an extension type. Reading one would run the code
# that some library registered for it, so there is none in what nbflow writes.
_EXTENSION = b"ARROW:extension:name"
# Older ones unpickle a type that a file may name.
_OLDEST_PYARROW = 15


def _find(kind: type) -> Encoder | None:
    name = library_of(kind)
    if name == "polars":
        polars = library("polars", "polars")
        if kind is polars.DataFrame or kind is polars.Series:
            return _write_polars
    if name == "pyarrow":
        arrow = library("pyarrow", "pyarrow")
        if kind in (arrow.Table, arrow.RecordBatch, arrow.ChunkedArray, arrow.Schema):
            return _write_arrow
        if issubclass(kind, arrow.Array):
            return _write_arrow
    return None


FINDERS.append(_find)


# polars


def _write_polars(writer: Writer, value: Any) -> Node:
    polars = library("polars", "polars")
    writer.tagged = True
    kind = type(value).__name__
    frame = value if kind == "DataFrame" else value.to_frame()
    for column in frame.get_columns():
        if _holds_objects(column.dtype):
            raise Refusal(
                f"has a column {column.name!r} of objects, which would not read back",
                value,
            )
    facts = {"type": f"polars.{kind}", "schema": str(frame.schema)}
    node = sampled(writer, frame, frame.estimated_size(), facts, _polars_bytes)
    if node is not None:
        return node
    data = _polars_bytes(frame)
    again = polars.read_ipc_stream(io.BytesIO(data), use_pyarrow=False)
    for column in frame.get_columns():
        if not _same_series(column, again.get_column(column.name)):
            raise Refusal(
                f"has a column {column.name!r} of {column.dtype}, which would not read"
                " back equal",
                value,
            )
    return {"$polars": kind, "ipc": writer.leaf(data, limited=False)}


def _holds_objects(dtype: Any) -> bool:
    polars = library("polars", "polars")
    if dtype == polars.Object:
        return True
    inner = getattr(dtype, "inner", None)
    fields = getattr(dtype, "fields", ())
    return (inner is not None and _holds_objects(inner)) or any(
        _holds_objects(field.dtype) for field in fields
    )


def _same_series(one: Any, other: Any) -> bool:
    if one.dtype != other.dtype or one.name != other.name:
        return False
    return bool(one.dtype.is_numeric() or one.equals(other, null_equal=True))


def _polars_bytes(frame: Any) -> bytes:
    file = io.BytesIO()
    frame.write_ipc_stream(file)
    return file.getvalue()


@decodes("$polars")
def _read_polars(reader: Reader, node: Node) -> object:
    kind = text_of(node["$polars"])
    polars = library("polars", f"polars.{kind}")
    data = reader.leaf(node["ipc"])
    try:
        frame = polars.read_ipc_stream(io.BytesIO(data), use_pyarrow=False)
    except BaseException as error:
        # Its Rust code panics on some damaged data, with a BaseException of its own.
        if not isinstance(error, Exception) and "Panic" not in type(error).__name__:
            raise
        damaged(f"a polars table ({type(error).__name__})")
    if kind == "DataFrame":
        return frame
    if kind != "Series" or frame.width != 1:
        damaged("a polars series is no single column")
    return frame.to_series()


# pyarrow


def _write_arrow(writer: Writer, value: Any) -> Node:
    arrow = library("pyarrow", "pyarrow")
    writer.tagged = True
    if type(value) is arrow.Schema:
        kind, table = "Schema", value.empty_table()
    elif type(value) is arrow.Table or type(value) is arrow.RecordBatch:
        kind, table = type(value).__name__, value
    elif type(value) is arrow.ChunkedArray:
        kind, table = "ChunkedArray", arrow.table({"": value})
    else:
        kind, table = "Array", arrow.record_batch({"": value})
    for field in table.schema:
        if _is_extension(field.type):
            raise Refusal(
                f"has a column {field.name!r} of the extension type {field.type},"
                " which would not read back; cast it to its storage type",
                value,
            )
    facts = {"type": f"pyarrow.{kind}", "schema": str(table.schema)}
    node = sampled(writer, table, table.nbytes, facts, arrow_bytes)
    if node is not None:
        return node
    data = arrow_bytes(table)
    again = _open(data)
    if not again.schema.equals(table.schema, check_metadata=True):
        raise Refusal("has a schema that would not read back equal", value)
    return {"$arrow": kind, "ipc": writer.leaf(data, limited=False)}


def _is_extension(kind: Any) -> bool:
    arrow = library("pyarrow", "pyarrow")
    if isinstance(kind, arrow.BaseExtensionType):
        return True
    if arrow.types.is_dictionary(kind):
        return _is_extension(kind.value_type)
    return any(_is_extension(kind.field(i).type) for i in range(kind.num_fields))


def arrow_bytes(table: Any) -> bytes:
    """A table or record batch as a stream in Arrow's format."""
    arrow = library("pyarrow", "pyarrow")
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as stream:
        stream.write(table)
    data: bytes = sink.getvalue().to_pybytes()
    if _EXTENSION in data:
        raise Refusal("holds the mark of an Arrow extension type", table)
    return data


def _open(data: bytes) -> Any:
    arrow = library("pyarrow", "pyarrow")
    return arrow.ipc.open_stream(data)


def arrow_table(data: bytes) -> Any:
    """The pyarrow table of a stream; ValueError or StoreDamaged if it is damaged."""
    arrow = library("pyarrow", "pyarrow.Table")
    if int(arrow.__version__.partition(".")[0]) < _OLDEST_PYARROW:
        damaged(f"pyarrow {_OLDEST_PYARROW} or newer is needed to read Arrow safely")
    if _EXTENSION in data:
        damaged("an Arrow table names an extension type")
    try:
        table = _open(data).read_all()
        # Arrow trusts offsets unless asked not to.
        table.validate(full=True)
    except OSError as error:  # what it says of damage; nothing is read from a disk
        damaged(f"an Arrow table ({error})")
    return table


@decodes("$arrow")
def _read_arrow(reader: Reader, node: Node) -> object:
    kind = text_of(node["$arrow"])
    library("pyarrow", f"pyarrow.{kind}")
    data = reader.leaf(node["ipc"])
    table = arrow_table(data)
    if kind == "Table":
        return table
    if kind == "Schema":
        return table.schema
    if kind == "ChunkedArray":
        return table.column(0)
    batches = table.to_batches()
    if not batches:
        arrow = library("pyarrow", f"pyarrow.{kind}")
        batches = [arrow.RecordBatch.from_pylist([], schema=table.schema)]
    if len(batches) != 1 or kind not in {"RecordBatch", "Array"}:
        damaged("an Arrow value is not in one piece")
    return batches[0] if kind == "RecordBatch" else batches[0].column(0)

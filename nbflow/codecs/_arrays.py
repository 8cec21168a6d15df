"""Stored forms of numpy's arrays and scalars: npy, without pickles."""

import ast
import base64
import io
import math
from typing import Any

from nbflow.codecs._builtins import write_list
from nbflow.codecs._libraries import library, library_of
from nbflow.codecs._sampling import SAMPLED_BYTES, sample_digest
from nbflow.codecs._text import Node
from nbflow.codecs._walk import (
    FINDERS,
    MIB,
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

_NUMBERS = "biufc"
_MOMENTS = "mM"
_DTYPES = frozenset("biufcmMSUO")
# Letters, not sizes: `longlong` and `int64` are different types of one size.
_SCALAR_LETTERS = frozenset("?bBhHiIlLqQpPefdgFDG")
_HEADER_LIMIT = 64 * 1024


def _find(kind: type) -> Encoder | None:
    if library_of(kind) != "numpy":
        return None
    numpy = library("numpy", "numpy")
    if kind is numpy.ndarray:
        return _write_array
    if issubclass(kind, numpy.dtype):
        return _write_dtype
    if issubclass(kind, numpy.generic):
        return _write_scalar
    return None


FINDERS.append(_find)


def _write_array(writer: Writer, value: Any) -> Node:
    writer.tagged = True
    if value.dtype.kind == "O":
        writer.count(value.size)
        items = write_list(writer, value.ravel().tolist())
        return {"$array": None, "shape": list(value.shape), "items": items}
    if writer.arguments and value.nbytes > SAMPLED_BYTES:
        return {
            "$large": "numpy.ndarray",
            "dtype": str(value.dtype),
            "shape": list(value.shape),
            "sample": _sample(value),
        }
    return {"$array": writer.leaf(npy(value), limited=False)}


def _sample(value: Any) -> str:
    count = max(1, MIB // max(1, value.dtype.itemsize))
    first, last = value.flat[:count], value.flat[value.size - count :]
    return sample_digest(first.tobytes(), last.tobytes())


@decodes("$array")
def _read_array(reader: Reader, node: Node) -> object:
    if node["$array"] is not None:
        return from_npy(reader.leaf(node["$array"]))
    numpy = library("numpy", "numpy.ndarray")
    items = reader.read(list_of(node["items"]))
    shape = tuple(int_of(n) for n in list_of(node["shape"]))
    array = numpy.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        array[index] = item  # one by one: numpy would unpack sequences
    return array.reshape(shape)


def npy(value: Any) -> bytes:
    """An array as npy; `Refusal` if its type would not be read back as it is."""
    if value.dtype.hasobject or value.dtype.metadata is not None:
        raise Refusal(f"is an array of {value.dtype}, which does not read back", value)
    try:
        data = _dump(value)
    except (ValueError, TypeError) as error:
        raise Refusal(
            f"is an array of {value.dtype}, which npy cannot hold", value
        ) from error
    if value.dtype.kind not in _NUMBERS:
        _check(value, data)
    return data


def _check(value: Any, data: bytes) -> None:
    """Refuse an array that does not read back equal."""
    try:
        again = from_npy(data)
        same = again.dtype == value.dtype and again.shape == value.shape
        # Bytes, not values: NaT is unequal to itself.
        same = same and again.tobytes() == value.tobytes()
    except Exception:
        same = False
    if not same:
        raise Refusal(f"is an array of {value.dtype}, which does not read back", value)


def _dump(value: Any) -> bytes:
    write = library("numpy", "numpy.ndarray").lib.format.write_array
    # Left to choose the version, numpy warns when it cannot be the first.
    for version in ((1, 0), (3, 0)):
        file = io.BytesIO()
        try:
            write(file, value, version, allow_pickle=False)
        except ValueError:
            if version == (3, 0):
                raise
        else:
            break
    return file.getvalue()


def from_npy(data: bytes | memoryview) -> Any:
    """The array of an npy file's content; ValueError or StoreDamaged if it is none."""
    numpy = library("numpy", "numpy.ndarray")
    header, start = _header(data)
    shape, order = header["shape"], "F" if header["fortran_order"] is True else "C"
    dtype = numpy.lib.format.descr_to_dtype(header["descr"])
    if type(shape) is not tuple or min(map(int_of, shape), default=0) < 0:
        damaged("an array has an impossible shape")
    if dtype.hasobject:
        damaged("an array claims to hold objects")
    count = math.prod(shape)
    # Before anything is allocated: a header may claim any size.
    if count * dtype.itemsize != len(data) - start or (count and not dtype.itemsize):
        damaged("an array is not as long as it says")
    if not count:
        return numpy.empty(shape, dtype, order=order)
    array = numpy.frombuffer(bytearray(memoryview(data)[start:]), dtype)
    return array.reshape(shape, order=order)


def _header(data: bytes | memoryview) -> tuple[dict[str, Any], int]:
    """The header of an npy file and where its data starts."""
    start = bytes(data[:12])
    if start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
        damaged("an array is not in npy's format")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(start[8 : 8 + width], "little")
    if length > _HEADER_LIMIT:
        damaged("an array has too long a header")
    end = 8 + width + length
    text = bytes(data[8 + width : end]).decode("utf-8" if start[6] == 3 else "latin-1")
    header = ast.literal_eval(text.strip())  # literals only: it runs no code
    if type(header) is not dict:
        damaged("an array has no header")
    return header, end


def _write_dtype(writer: Writer, value: Any) -> Node:
    writer.tagged = True
    numpy = library("numpy", "numpy.dtype")
    if value.kind not in _DTYPES or numpy.dtype(value.str) != value:
        raise Refusal(f"is the dtype {value}, which has no stored form", value)
    return {"$dtype": value.str}


@decodes("$dtype")
def _read_dtype(_reader: Reader, node: Node) -> object:
    dtype = library("numpy", "numpy.dtype").dtype(text_of(node["$dtype"]))
    if dtype.kind not in _DTYPES:
        damaged("a dtype is of an unknown kind")
    return dtype


def _write_scalar(writer: Writer, value: Any) -> Node:
    writer.tagged = True
    dtype = value.dtype
    kind = type(value).__name__
    if dtype.kind in "SU":
        plain = bytes(value) if dtype.kind == "S" else str(value)
        return {"$numpy": kind, "data": writer.node(plain)}
    if dtype.char in _SCALAR_LETTERS:
        return {"$numpy": dtype.char, "data": _inline(value.tobytes())}
    if dtype.kind in _MOMENTS:
        return {"$numpy": dtype.str, "data": _inline(value.tobytes())}
    numpy = library("numpy", "numpy.generic")
    return {"$numpy": "void", "data": writer.leaf(npy(numpy.asarray(value)))}


def _inline(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


@decodes("$numpy")
def _read_scalar(reader: Reader, node: Node) -> object:
    numpy = library("numpy", "numpy.generic")
    kind = text_of(node["$numpy"])
    if kind == "void":
        return from_npy(reader.leaf(node["data"]))[()]
    if kind == "str_":
        return numpy.str_(text_of(reader.read(node["data"])))
    if kind == "bytes_":
        return numpy.bytes_(reader.read(node["data"]))
    if kind not in _SCALAR_LETTERS and kind[1:2] not in _MOMENTS:
        damaged("a numpy scalar is of an unknown type")
    data = base64.b64decode(text_of(node["data"]), validate=True)
    (value,) = numpy.frombuffer(data, numpy.dtype(kind))
    return value

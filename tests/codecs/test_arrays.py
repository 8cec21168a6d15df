"""numpy's arrays and scalars: equal, same dtype, same shape, never a pickle."""

import io
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from nbflow import codecs
from nbflow.errors import NotSerializable, StoreDamaged

DTYPES = (
    hnp.scalar_dtypes()
    | hnp.datetime64_dtypes()
    | hnp.timedelta64_dtypes()
    | hnp.array_dtypes(max_size=3)
)


@settings(max_examples=200, deadline=None)
@given(array=hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, min_side=0)))
def test_any_array_reads_back_bit_by_bit(array: Any, again: Any) -> None:
    read = again(array)
    assert type(read) is np.ndarray
    assert read.dtype == array.dtype
    assert read.shape == array.shape
    assert read.tobytes() == array.tobytes()
    assert read.flags.writeable


@settings(max_examples=200, deadline=None)
@given(array=hnp.arrays(DTYPES, 1))
def test_any_scalar_reads_back(array: Any, again: Any) -> None:
    value = array[0]
    read = again(value)
    assert type(read) is type(value)
    assert np.asarray(read).tobytes() == np.asarray(value).tobytes()
    assert np.asarray(read).dtype == np.asarray(value).dtype


@pytest.mark.parametrize(
    "value",
    [
        np.longlong(1),
        np.ulonglong(2),
        np.intc(3),
        np.longdouble("1.1"),
        np.float64(-0.0),
        np.str_(""),
        np.bytes_(b""),
        np.datetime64("2026-01-01T00", "h"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_scalar_types_of_equal_size_stay_apart(value: Any, again: Any) -> None:
    assert type(again(value)) is type(value)
    assert again(value) == value


def test_order_of_memory_is_kept(again: Any) -> None:
    array = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    assert again(array).flags.f_contiguous
    assert np.array_equal(again(array), array)


def test_views_and_dtypes(again: Any) -> None:
    assert np.array_equal(again(np.arange(10)[::-2]), np.arange(10)[::-2])
    assert again(np.dtype(">i4")) == np.dtype(">i4")


def test_objects_are_stored_one_by_one(again: Any) -> None:
    array = np.empty((2, 2), dtype=object)
    array[:] = [[(1, 2), None], ["x", [1]]]
    read = again(array)
    assert read.dtype == object
    assert read.shape == (2, 2)
    assert read.tolist() == array.tolist()


def test_large_arrays_are_parts_and_may_exceed_the_limit() -> None:
    array = np.zeros(codecs.LIMIT + 1, dtype="u1")
    payload = codecs.encode({"a": array})
    (part,) = payload.parts
    assert len(payload.text) < 200
    assert np.load(io.BytesIO(part.data)).nbytes == array.nbytes


class Sub(np.ndarray):
    pass


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (np.array([1, object()]), "value[1]"),
        (np.arange(3).view(Sub), "value"),
        (np.ma.masked_array([1, 2], [True, False]), "value"),
        (np.zeros(2, [("a", "O")]), "value"),
        (np.zeros(2, np.dtype("i4", metadata={"unit": "m"})), "value"),
    ],
)
def test_arrays_without_a_faithful_form_are_refused(value: Any, path: str) -> None:
    with pytest.raises(NotSerializable) as caught:
        codecs.encode(value)
    assert caught.value.path == path


def _with_array(data: bytes) -> object:
    inline = codecs.encode(data).text.replace(b"$bytes", b"$array")
    return codecs.decode(inline)


def _npy(shape: str, descr: str = "'<f8'", data: bytes = b"") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        _npy("(10**12,)"),
        _npy("(1000000000000,)"),
        _npy("(-1,)"),
        _npy("(2,)", data=b"x" * 8),
        _npy("(1,)", "'|O'", pickle.dumps([1])),
        _npy("(1,)", "[('a', '|O')]", b"x" * 8),
        _npy("(1000000,)", "'|V0'"),
        _npy("__import__('os').system('true')"),
        b"\x93NUMPY\x03\x00" + b"\0" * 20,
    ],
)
def test_damaged_arrays_are_named_and_allocate_nothing(data: bytes) -> None:
    with pytest.raises(StoreDamaged):
        _with_array(data)

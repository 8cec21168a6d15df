"""What the tests of the codecs share: a store for parts, and exact equality."""

import math
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from nbflow import codecs

Again = Callable[..., Any]


def _again(value: object, **options: Any) -> Any:
    payload = codecs.encode(value)
    assert payload.text.isascii()
    parts = {part.digest: part.data for part in payload.parts}
    return codecs.decode(payload.text, parts.__getitem__, **options)


@pytest.fixture(scope="session")
def again() -> Again:
    """Stores a value and reads it back."""
    return _again


@pytest.fixture(scope="session")
def same() -> Callable[[object, object], None]:
    """Asserts that two values are equal and of the same types all the way down."""
    return _same


def _same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, float):
        assert math.copysign(1.0, one) == math.copysign(1.0, other)
        assert one == other or (math.isnan(one) and math.isnan(other))
    elif isinstance(one, complex):
        _same(one.real, other.real)
        _same(one.imag, other.imag)
    elif isinstance(one, dict):
        assert len(one) == len(other)
        for left, right in zip(one.items(), other.items(), strict=True):
            _same(left, right)
    elif isinstance(one, list | tuple | deque):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            _same(left, right)
    elif isinstance(one, set | frozenset):
        _same(sorted(map(_key, one)), sorted(map(_key, other)))
    elif hasattr(one, "__dataclass_fields__"):
        for name in one.__dataclass_fields__:
            _same(getattr(one, name), getattr(other, name))
    elif isinstance(one, Decimal):
        assert one.as_tuple() == other.as_tuple()  # a signaling NaN is not compared
    else:
        assert one == other
        assert str(one) == str(other)


def _key(member: object) -> str:
    return f"{type(member).__name__} {member!r}"

"""Codecs that users register."""

from collections.abc import Iterator
from typing import Any

import pytest

from nbflow import codecs
from nbflow.codecs import Unresolved, _custom, _walk
from nbflow.errors import InvalidOption, NotSerializable, StoreDamaged


class Celsius:
    def __init__(self, degrees: Any) -> None:
        self.degrees = degrees

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Celsius) and other.degrees == self.degrees

    __hash__ = None  # type: ignore[assignment]


class Kelvin(Celsius):
    pass


@pytest.fixture(autouse=True)
def _own_codecs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_custom, "_by_name", {})
    monkeypatch.setattr(_custom, "_by_type", {})
    _walk.forget_encoders()
    yield
    _walk.forget_encoders()


def add(cls: type = Celsius, name: str = "celsius", **changes: Any) -> None:
    encode = changes.get("encode", lambda value: value.degrees)
    decode = changes.get("decode", cls)
    codecs.register(cls, name=name, encode=encode, decode=decode)


def test_a_registered_class_reads_back(again: Any) -> None:
    with pytest.raises(NotSerializable):
        codecs.encode(Celsius(1))
    add()
    value = {"now": [Celsius((1, 2))], "inner": Celsius(Celsius(3))}
    assert again(value) == value
    assert codecs.fingerprint((Celsius(1),), {}).known


def test_subclasses_are_not_included() -> None:
    add()
    with pytest.raises(NotSerializable, match="Kelvin"):
        codecs.encode(Kelvin(1))


def test_the_same_name_again_replaces(again: Any) -> None:
    add()
    add(Kelvin)
    assert type(again(Kelvin(1))) is Kelvin
    with pytest.raises(NotSerializable):
        codecs.encode(Celsius(1))


def test_without_the_codec_a_value_is_unresolved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add()
    text = codecs.encode(Celsius((1,))).text
    monkeypatch.setattr(_custom, "_by_name", {})
    assert codecs.decode(text) == Unresolved("celsius", (1,))


def test_what_encode_gives_is_checked_too() -> None:
    add(encode=lambda value: {"raw": object()})
    with pytest.raises(NotSerializable) as caught:
        codecs.encode([Celsius(1)])
    assert caught.value.path == 'value[0].encode[celsius]["raw"]'


def test_a_codec_that_fails_is_named() -> None:
    add(encode=lambda value: 1 / 0)
    with pytest.raises(NotSerializable, match=r"codec 'celsius'.*ZeroDivision"):
        codecs.encode(Celsius(1))
    add(decode=lambda data: 1 / 0)
    text = codecs.encode(Celsius(1)).text
    with pytest.raises(StoreDamaged, match="codec 'celsius' failed with ZeroDiv"):
        codecs.decode(text)


def test_a_codec_that_encodes_to_its_own_class_ends() -> None:
    add(encode=lambda value: Celsius(1))
    with pytest.raises(NotSerializable, match="nested deeper"):
        codecs.encode(Celsius(1))


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidOption, match="1 to 200 printable") as caught:
        add(name=name)
    assert caught.value.option == "name"


@pytest.mark.parametrize("cls", [int, dict, tuple, codecs.Secret])
def test_classes_with_a_stored_form_are_refused(cls: type) -> None:
    with pytest.raises(InvalidOption, match="stores it already"):
        add(cls)

"""What has no stored form is refused with where, what and what to do."""

import datetime as dt
import io
import threading
from collections import defaultdict
from typing import Any

import pytest

from nbflow import codecs
from nbflow.codecs import _text
from nbflow.errors import NotSerializable, PayloadTooLarge


class MyDict(dict):  # type: ignore[type-arg]
    pass


class MyInt(int):
    pass


class MyStr(str):
    __slots__ = ()


class MyList(list):  # type: ignore[type-arg]
    pass


class MyFloat(float):
    pass


class Hostile:
    def __repr__(self) -> str:
        raise AssertionError("nobody may ask for this")

    __str__ = __repr__


class LocalZone(dt.tzinfo):
    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(hours=1)

    def dst(self, when: dt.datetime | None) -> None:
        return None

    def tzname(self, when: dt.datetime | None) -> str:
        return "local"


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (object(), "value"),
        ({"a": [1, 2, 3, {"x": object()}]}, 'value["a"][3]["x"]'),
        ((1, {2: object()}), "value[1][2]"),
        ({(1, 2): [object()]}, "value[tuple][0]"),
        ({"$a": object()}, 'value["$a"]'),
        ({"new\nline\x1b": object()}, 'value["new\\nline\\u001b"]'),
        ({object: 1}, "value key type"),
        ([MyDict()], "value[0]"),
        ([MyList()], "value[0]"),
        (MyInt(1), "value"),
        ({"a": MyStr("x")}, 'value["a"]'),
        (MyFloat(1), "value"),
        (Hostile(), "value"),
        (len, "value"),
        (int, "value"),
        (io, "value"),
        (ValueError("x"), "value"),
        (iter([]), "value"),
        (threading.Lock(), "value"),
        (memoryview(b"x"), "value"),
        ([10**4300], "value[0]"),
        (defaultdict(lambda: 1), "value"),
        (dt.datetime(2026, 1, 1, tzinfo=LocalZone()), "value.tzinfo"),
    ],
)
def test_refused_with_the_path(value: object, path: str) -> None:
    with pytest.raises(NotSerializable) as caught:
        codecs.encode(value)
    error = caught.value
    assert error.path == path
    assert error.value is value
    assert str(error).startswith(path)
    assert "return plain data" in str(error)
    assert isinstance(error, TypeError)


def test_message_names_the_type_and_what_to_do() -> None:
    with pytest.raises(NotSerializable) as caught:
        codecs.encode({"client": threading.Event()})
    assert str(caught.value) == (
        'value["client"] is of type threading.Event, which has no stored form: return'
        " plain data (or `nbflow.codecs.register` a codec, or"
        " `nbflow.codecs.allow_pickle` its class), and resume to store it"
    )


def test_what_was_passed_is_named_and_no_resume_is_promised() -> None:
    with pytest.raises(NotSerializable) as caught:
        codecs.encode({"client": threading.Event()}, given="input")
    assert caught.value.path == 'input["client"]'
    assert str(caught.value) == (
        'input["client"] is of type threading.Event, which has no stored form: pass'
        " plain data (or `nbflow.codecs.register` a codec, or"
        " `nbflow.codecs.allow_pickle` its class)"
    )


def test_a_value_that_contains_itself_names_where() -> None:
    value: dict[str, Any] = {"a": [1]}
    value["a"].append({"back": value})
    with pytest.raises(NotSerializable, match="contains itself") as caught:
        codecs.encode(value)
    assert caught.value.path == 'value["a"][1]["back"]'


def test_a_list_in_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NotSerializable, match=r"^value\[0\] contains itself"):
        codecs.encode(value)


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {"k": v}])
def test_nesting_of_201_is_refused(wrap: Any) -> None:
    value: Any = 0
    for _ in range(201):
        value = wrap(value)
    with pytest.raises(NotSerializable, match="nested deeper than 200 levels"):
        codecs.encode(value)


def test_nesting_of_100_000_is_refused() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(NotSerializable, match="nested deeper than 200 levels"):
        codecs.encode(value)


def test_text_over_64_mib_is_too_large() -> None:
    with pytest.raises(PayloadTooLarge, match=r"64\.0 MiB is more than"):
        codecs.encode("x" * codecs.LIMIT)


def test_bytes_over_64_mib_are_too_large() -> None:
    with pytest.raises(PayloadTooLarge, match="use an array or a table"):
        codecs.encode((b"a" * 40 * 2**20, b"b" * 40 * 2**20))


@pytest.mark.parametrize("wrap", [list, tuple])
def test_shared_pieces_cannot_make_a_value_endless(
    wrap: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    value: Any = [0]
    for _ in range(60):
        value = wrap((value, value))
    monkeypatch.setattr("nbflow.codecs._walk.MOST_NODES", 10_000)
    monkeypatch.setattr(_text.count_plain, "__defaults__", (10_000, 1))
    with pytest.raises(PayloadTooLarge, match="elements"):
        codecs.encode(value)


def test_a_failing_library_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_writer: object, _value: object) -> None:
        raise RuntimeError("dictionary changed size during iteration")

    monkeypatch.setitem(codecs._walk.ENCODERS, tuple, fail)
    with pytest.raises(NotSerializable, match="changed size") as caught:
        codecs.encode(())
    assert caught.value.value == ()

"""Stored text of a stranger: it is read or refused, and runs and imports nothing."""

import base64
import enum
import json
import os
import pickle
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbflow import codecs
from nbflow.codecs import Unresolved, _walk
from nbflow.errors import StoreDamaged, UnsafeStore

CANARY = Path("canary-of-the-hostile-text")
RAN: list[str] = []


class Touch:
    def __reduce__(self) -> Any:
        return os.mkdir, (str(CANARY),)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


PICKLE = _b64(pickle.dumps(Touch()))


@dataclass
class Alarm:
    """Every hook that a reader could run by mistake."""

    text: str = ""

    def __init__(self, *args: object, **kwargs: object) -> None:
        RAN.append("__init__")

    def __new__(cls, *args: object, **kwargs: object) -> "Alarm":
        RAN.append("__new__")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        RAN.append("__post_init__")

    def __setattr__(self, name: str, value: object) -> None:
        RAN.append("__setattr__")

    def __setstate__(self, state: object) -> None:
        RAN.append("__setstate__")

    def __del__(self) -> None:
        RAN.append("__del__")


@dataclass
class QuietAlarm:
    text: str = ""

    def __post_init__(self) -> None:
        RAN.append("__post_init__")

    def __setattr__(self, name: str, value: object) -> None:
        RAN.append("__setattr__")

    @property
    def other(self) -> str:
        RAN.append("property")
        return ""

    @other.setter
    def other(self, value: str) -> None:
        RAN.append("setter")


class AlarmPair(NamedTuple("AlarmPair", [("x", int)])):
    def __new__(cls, *args: Any) -> "AlarmPair":
        RAN.append("__new__")
        return super().__new__(cls, *args)


class AlarmModel(pydantic.BaseModel):
    x: int = 0

    def model_post_init(self, context: object) -> None:
        RAN.append("model_post_init")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _validate(cls, data: Any) -> Any:
        RAN.append("validator")
        return data


class AlarmEnum(enum.Enum):
    A = 1

    @classmethod
    def _missing_(cls, value: object) -> None:
        RAN.append("_missing_")


class LazyModule(types.ModuleType):
    def __getattribute__(self, name: str) -> Any:
        RAN.append(f"module attribute {name}")
        return type("Found", (), {})


class OddMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        RAN.append(f"class attribute {name}")
        return type.__getattribute__(cls, name)


class Odd(metaclass=OddMeta):
    pass


NAMES = [
    "os:system",
    "posix:system",
    "builtins:eval",
    "builtins:exec",
    "builtins:__import__",
    "builtins:open",
    "builtins:object",
    "builtins:type",
    "builtins:dict",
    "subprocess:Popen",
    "subprocess:run",
    "antigravity:Anything",
    "this:s",
    "tests.not_there:Class",
    "importlib:import_module",
    "pickle:loads",
    "shutil:rmtree",
    "pathlib:Path.unlink",
    "ctypes:CDLL",
    "socket:socket",
    "webbrowser:open",
    "code:interact",
    "pty:spawn",
    "nbflow.codecs._pickled:_key",
    "nbflow.codecs:Secret",
    "sys:modules",
    "lazy_module:Thing",
    "a:b:c",
    "os.system",
    ":",
    "",
    "os:",
    ":system",
    "../../etc/passwd:x",
    "os:__class__.__base__.__subclasses__",
    f"{__name__}:Touch",
    f"{__name__}:Odd.Inner",
    f"{__name__}:Alarm",
    f"{__name__}:AlarmPair",
    f"{__name__}:AlarmModel",
    f"{__name__}:AlarmEnum",
    f"{__name__}:RAN",
    "x" * 100_000,
    "\ud800:\udfff",
]
SHAPES: list[Any] = [
    lambda name: {"$dataclass": name, "fields": {"text": "x", "args": ["true"]}},
    lambda name: {"$namedtuple": name, "items": ["true"]},
    lambda name: {"$model": name, "fields": {"x": 1, "__class__": "y"}},
    lambda name: {"$enum": name, "name": "mro"},
    lambda name: {"$enum": name, "value": 7},
    lambda name: {"$pickle": name, "data": PICKLE, "seal": "0" * 64},
    lambda name: {"$custom": name, "data": "true"},
    lambda name: {"$unresolved": name, "data": {"$function": name}},
    lambda name: {"$function": name},
    lambda name: {"$class": name},
    lambda name: {"$partial": [{"$function": name}, ["true"], {}]},
]

GADGETS: list[Any] = [
    {"$": 1},
    {"$unknown": 1},
    {"$reduce": ["os", "system"]},
    {"$py/reduce": [{"$py/type": "os.system"}]},
    {"$tuple": 1},
    {"$tuple": {"a": 1}},
    {"$tuple": None},
    {"$set": [[1]]},
    {"$dict": [1]},
    {"$dict": [[], 1]},
    {"$dict": 5},
    {"$ordered": [1, 2, 3]},
    {"$counter": ["a"]},
    {"$defaultdict": [], "factory": "eval"},
    {"$defaultdict": [], "factory": {"$function": "os:system"}},
    {"$deque": [1], "maxlen": -1},
    {"$range": [1, 2, 0]},
    {"$range": [{"$float": "inf"}]},
    {"$int": "f" * 100_000},
    {"$int": "__import__"},
    {"$int": 5},
    {"$float": "1e999999999x"},
    {"$complex": [1]},
    {"$complex": ["1", "2"]},
    {"$bytes": "%%%"},
    {"$bytes": {"part": "../../etc/passwd"}},
    {"$bytes": {"part": "0" * 64}},
    {"$bytes": {"part": "A" * 64}},
    {"$bytes": {"part": 7}},
    {"$bytes": {"other": "x"}},
    {"$text": "gICAgA=="},
    {"$decimal": "1" * 10 + "x"},
    {"$fraction": [1, 0]},
    {"$uuid": "zz"},
    {"$path": "Popen", "text": "x"},
    {"$path": "PosixPath", "text": 5},
    {"$path": "PosixPath"},
    {"$datetime": "2026-99-99T00:00:00"},
    {"$datetime": "2026-01-01T00:00:00", "fold": 2},
    {"$datetime": "2026-01-01T00:00:00+01:00"},
    {"$timedelta": [10**12, 0, 0]},
    {"$timedelta": [1]},
    {"$timezone": 10**15},
    {"$zone": "../../../etc/passwd"},
    {"$zone": "/etc/passwd"},
    {"$zone": "os"},
    {"$zone": "a" * 10_000},
    {"$zone": ""},
    {"$pytz": "timezone", "facts": ["UTC"]},
    {"$pytz": "open_resource", "facts": ["/etc/passwd"]},
    {"$pytz": "_p", "facts": ["../../etc/passwd"]},
    {"$pytz": "_p", "facts": []},
    {"$pytz": "FixedOffset", "facts": [[1]]},
    {"$secret": ""},
    {"$secret": 7},
    {"$array": PICKLE},
    {"$array": None, "shape": [10**12], "items": []},
    {"$array": None, "shape": [-1, -1], "items": [1]},
    {"$numpy": "O", "data": "AAAAAAAAAAA="},
    {"$numpy": "V8", "data": "AAAAAAAAAAA="},
    {"$numpy": "i8,O", "data": "AAAAAAAAAAA="},
    {"$numpy": "d", "data": ""},
    {"$numpy": "void", "data": PICKLE},
    {"$dtype": "O,O"},
    {"$dtype": "os.system"},
    {"$frame": PICKLE, "columns": {}, "index": {}, "data": []},
    {"$frame": "", "columns": {"kind": "range", "range": [0, 10**12, 1], "names": [1]}},
    {"$series": "", "index": 1, "data": {"kind": "ArrowDtype", "ipc": [0, 0]}},
    {"$index": "", "index": {"kind": "plain", "values": {"kind": "O", "json": [0, 9]}}},
    {"$moment": "Timestamp", "unit": "[ns],O", "value": 1},
    {"$moment": "read_pickle", "unit": "ns", "value": 1},
    {"$polars": "DataFrame", "ipc": PICKLE},
    {"$polars": "scan_csv", "ipc": ""},
    {"$arrow": "Table", "ipc": PICKLE},
    {"$arrow": "OSFile", "ipc": ""},
    {"$dataclass": f"{__name__}:QuietAlarm", "fields": {"a b": 1}},
    {"$dataclass": f"{__name__}:QuietAlarm", "fields": [1]},
    {"$dataclass": ["os", "system"], "fields": {}},
    {"$namedtuple": f"{__name__}:AlarmPair", "items": {"x": 1}},
    {"$model": f"{__name__}:AlarmModel", "fields": {"x": 1}, "set": [[1]]},
    {"$enum": f"{__name__}:AlarmEnum"},
    {"$pickle": f"{__name__}:Touch"},
    {"$large": 5},
    {"$method": 1, "self": 1},
]

TEXTS = [
    b"",
    b"\xff\xfe",
    b"nul",
    b"{",
    b'{"a":1,}',
    b"NaN",
    b"-Infinity",
    b"[NaN]",
    b'"\\ud800"',
    b"1" * 5000,
    b"[" * 100_000,
    b"[" * 300 + b"NaN" + b"]" * 300,
    b"[" * 900 + b"]" * 900,
    b"[" * 3000 + b"]" * 3000,
    b'{"$tuple":[' * 300 + b"]}" * 300,
    b'{"a":' * 100_000,
    b"cos\nsystem\n(S'true'\ntR.",
    pickle.dumps(Touch()),
]


@pytest.fixture(autouse=True)
def _nothing_happens() -> Iterator[None]:
    for name in ("numpy", "pandas", "polars", "pyarrow", "pandas.core.apply"):
        __import__(name)
    RAN.clear()
    before = set(sys.modules)
    yield
    # A library may load more of itself, and the zone database is a package.
    known = {"numpy", "pandas", "polars", "pyarrow", "tzdata", "encodings"}
    known |= {"_pytest", "hypothesis"}
    new = {name.partition(".")[0] for name in set(sys.modules) - before}
    assert new - known - {"zoneinfo", "_strptime", "importlib", "py"} == set()
    assert RAN == []
    assert not CANARY.exists()


def attempt(text: bytes) -> object:
    """Read it; a refusal counts as a value too."""

    def load(digest: str) -> bytes:
        raise StoreDamaged(f"no part {digest}")

    try:
        value = codecs.decode(text, load)
    except (StoreDamaged, UnsafeStore) as error:
        return error
    codecs.preview(value)
    return value


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:40])
def test_names_of_classes_are_never_called_or_imported(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name.startswith("lazy_module"):
        monkeypatch.setitem(sys.modules, "lazy_module", LazyModule("lazy_module"))
    for shape in SHAPES:
        text = json.dumps([shape(name)]).encode()
        value = attempt(text)
        if isinstance(value, list) and "Alarm" not in name:
            assert type(value[0]) is Unresolved


@pytest.mark.parametrize("gadget", GADGETS, ids=lambda gadget: str(gadget)[:40])
def test_gadgets_are_refused_or_unresolved(gadget: Any) -> None:
    value = attempt(json.dumps(gadget).encode())
    assert isinstance(value, StoreDamaged | UnsafeStore | Unresolved)
    inside = attempt(json.dumps({"a": [gadget]}).encode())
    assert isinstance(inside, StoreDamaged | UnsafeStore | dict)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text[:20]))
def test_texts_that_are_no_stored_form_are_damaged(text: bytes) -> None:
    assert isinstance(attempt(text), StoreDamaged)


def test_an_object_is_made_without_running_its_class() -> None:
    fields = {"text": "x", "other": "y"}
    tree = {"$dataclass": f"{__name__}:QuietAlarm", "fields": fields}
    value: Any = codecs.decode(json.dumps(tree).encode())
    assert type(value) is QuietAlarm
    assert vars(value) == fields
    RAN.clear()


def test_a_class_whose_end_runs_code_is_never_made() -> None:
    tree = {"$dataclass": f"{__name__}:Alarm", "fields": {"text": "/tmp"}}
    value = codecs.decode(json.dumps(tree).encode())
    assert value == Unresolved(f"{__name__}:Alarm", {"text": "/tmp"})


def test_a_part_that_cannot_be_loaded_says_so() -> None:
    text = codecs.encode(bytes(5000)).text
    with pytest.raises(StoreDamaged, match="not at hand"):
        codecs.decode(text)

    def fail(digest: str) -> bytes:
        raise PermissionError(digest)

    with pytest.raises(PermissionError):
        codecs.decode(text, fail)


TREES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.sampled_from([PICKLE, "i8"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=2)
        | st.tuples(
            st.sampled_from(sorted(_walk.DECODERS)),
            inner,
            st.dictionaries(
                st.sampled_from(
                    [
                        "items",
                        "fields",
                        "data",
                        "index",
                        "kind",
                        "names",
                        "value",
                        "text",
                    ]
                ),
                inner,
                max_size=3,
            ),
        ).map(lambda node: {node[0]: node[1], **node[2]})
    ),
    max_leaves=8,
)


@settings(max_examples=500, deadline=None)
@given(tree=TREES)
def test_random_trees_are_read_or_refused(tree: Any) -> None:
    attempt(json.dumps(tree).encode())


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0), byte=st.integers(0, 255))
def test_any_changed_byte_is_read_or_refused(place: int, byte: int) -> None:
    value = {"a": (1, {2.5}), 3: [b"x", Path("p")], "e": enum.IntEnum}
    value["e"] = Unresolved("a:B", {"x": 10**30})  # type: ignore[assignment]
    text = bytearray(codecs.encode(value).text)
    text[place % len(text)] = byte
    attempt(bytes(text))

"""The user's own classes: read back whole, without running their code."""

import functools
import subprocess
import sys
import types
from dataclasses import dataclass, field
from enum import Enum, Flag, auto
from typing import Any, NamedTuple

import pydantic
import pytest

from nbflow import codecs
from nbflow.codecs import Unresolved
from nbflow.errors import NotSerializable


@dataclass
class Plain:
    name: str
    tags: list[str] = field(default_factory=list)
    secret: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tight:
    x: int
    y: Any = None


@dataclass
class Child(Plain):
    more: Any = ()


@dataclass
class Watchful:
    made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.made.append("init")
        self.length = len(self.made)

    @functools.cached_property
    def expensive(self) -> object:
        return object()


@dataclass
class Gappy:
    value: int = field(init=False)


@dataclass
class Closing:
    path: str

    def __del__(self) -> None:
        pass


@dataclass
class Listing(list):  # type: ignore[type-arg]
    name: str = ""


class Pair(NamedTuple):
    left: Any
    right: Any = None


class LoosePair(Pair):
    pass


class Outer:
    class Inner(Enum):
        A = auto()

    @dataclass
    class Point:
        x: int


class Mode(Flag):
    A = 1
    B = 2


class Text(str):
    __slots__ = ()


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    name: str
    when: tuple[int, ...] = ()
    child: "Model | None" = None
    _count: int = pydantic.PrivateAttr(default=0)


class Root(pydantic.RootModel[list[int]]):
    pass


class Checked(pydantic.BaseModel):
    value: int

    @pydantic.field_validator("value")
    @classmethod
    def _never_when_read(cls, value: int) -> int:
        if value < 0:
            raise ValueError("negative")
        return value


class Hidden(pydantic.BaseModel):
    key: pydantic.SecretStr


@pydantic.dataclasses.dataclass
class Checking:
    value: int


@pytest.mark.parametrize(
    "value",
    [
        Plain("a", ["b"], 3),
        Tight(x=1, y=(2,)),
        Child("a", more={1: Tight(x=2)}),
        Pair(1, Pair(2)),
        Outer.Inner.A,
        Outer.Point(3),
        Mode.A | Mode.B,
        Mode(0),
        Model.model_validate({"name": "n", "child": Model(name="c"), "extra": (1,)}),
        Root([1, 2]),
        Checking(4),
        [Outer.Inner.A, {Mode.A: Pair(1)}],
    ],
    ids=lambda value: type(value).__name__,
)
def test_objects_read_back_equal(value: Any, again: Any) -> None:
    read = again(value)
    assert read == value
    assert type(read) is type(value)
    assert repr(read) == repr(value)


def test_fields_that_equality_ignores_are_kept(again: Any) -> None:
    assert again(Plain("a", [], 42)).secret == 42


def test_post_init_is_not_run_and_further_attributes_are_kept(again: Any) -> None:
    read = again(Watchful())
    assert read.made == ["init"]
    assert read.length == 1


def test_caches_of_properties_are_left_out(again: Any) -> None:
    value = Watchful()
    assert value.expensive
    assert "expensive" not in vars(again(value))


def test_fields_never_set_stay_unset(again: Any) -> None:
    read = again(Gappy())
    assert type(read) is Gappy
    assert not hasattr(read, "value")


def test_private_and_extra_attributes_of_a_model_are_kept(again: Any) -> None:
    value = Model.model_validate({"name": "n", "other": (1,)})
    value._count = 7
    read = again(value)
    assert read._count == 7
    assert read.model_extra == {"other": (1,)}
    assert read.model_fields_set == value.model_fields_set
    assert read.when == ()


def test_validators_of_a_model_are_not_run(again: Any) -> None:
    assert again(Checked.model_construct(value=-1)).value == -1


def test_an_annotated_local_class_is_found_through_classes(again: Any) -> None:
    @dataclass
    class Local:
        x: int

    classes = {codecs.class_name(Local): Local}
    payload = codecs.encode(Local(1), classes=classes)
    assert codecs.decode(payload.text, classes=classes) == Local(1)
    assert codecs.decode(payload.text) == Unresolved(codecs.class_name(Local), {"x": 1})


def test_a_local_class_that_nobody_knows_is_refused() -> None:
    @dataclass
    class Local:
        x: int

    with pytest.raises(NotSerializable, match="inside a function") as caught:
        codecs.encode({"a": [Local(1)]})
    assert caught.value.path == 'value["a"][0]'


def _module(monkeypatch: pytest.MonkeyPatch, source: str) -> types.ModuleType:
    module = types.ModuleType("shop")
    monkeypatch.setitem(sys.modules, "shop", module)
    exec(source, vars(module))
    return module


OLD = """
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple
from pydantic import BaseModel
@dataclass
class Item:
    name: str
class Kind(Enum):
    A = 1
    B = 2
class Pair(NamedTuple):
    x: int
class Form(BaseModel):
    x: int
"""


def _texts(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    shop: Any = _module(monkeypatch, OLD)
    values = (shop.Item("n"), shop.Kind.B, shop.Pair(1), shop.Form(x=1))
    return {type(value).__name__: codecs.encode(value).text for value in values}


def test_without_the_class_values_are_unresolved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = _texts(monkeypatch)
    monkeypatch.delitem(sys.modules, "shop")
    assert {name: codecs.decode(text) for name, text in texts.items()} == {
        "Item": Unresolved("shop:Item", {"name": "n"}),
        "Kind": Unresolved("shop:Kind", "B"),
        "Pair": Unresolved("shop:Pair", (1,)),
        "Form": Unresolved("shop:Form", {"x": 1}),
    }


def test_a_class_found_by_its_bare_name(monkeypatch: pytest.MonkeyPatch) -> None:
    shop: Any = _module(monkeypatch, OLD)
    text = codecs.encode(shop.Item("n")).text
    monkeypatch.delitem(sys.modules, "shop")
    assert codecs.decode(text, classes={"Item": shop.Item}) == shop.Item("n")


NEW = """
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple
from pydantic import BaseModel
@dataclass
class Item:
    name: str
    price: int = 3
class Kind(Enum):
    A = 1
class Pair(NamedTuple):
    x: int
    y: int
class Form(BaseModel):
    x: int
    y: int
"""


def test_a_class_that_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = _texts(monkeypatch)
    shop: Any = _module(monkeypatch, NEW)
    assert codecs.decode(texts["Item"]) == shop.Item("n", 3)
    for name in ("Kind", "Pair", "Form"):
        assert type(codecs.decode(texts[name])) is Unresolved


def test_a_class_that_became_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = _texts(monkeypatch)
    _module(monkeypatch, "Item = Kind = Pair = Form = print")
    for text in texts.values():
        assert type(codecs.decode(text)) is Unresolved


def test_unresolved_is_frozen_equal_and_hashable() -> None:
    value = Unresolved("a:B", {"x": 1})
    assert value == Unresolved("a:B", {"x": 1})
    assert value != Unresolved("a:B", {"x": 2})
    assert len({value, Unresolved("a:B", {"x": 1})}) == 1
    with pytest.raises(AttributeError):
        value.type = "c"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Hidden(key=pydantic.SecretStr("s")), "value.key"),
        (Plain("a", [object()]), "value.tags[0]"),  # type: ignore[list-item]
        (Pair(1, {"k": object()}), 'value[1]["k"]'),
        (Closing("x"), "value"),
        (Listing(), "value"),
        (Text("x"), "value"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_objects_without_a_faithful_form_are_refused(value: object, path: str) -> None:
    with pytest.raises(NotSerializable) as caught:
        codecs.encode(value)
    assert caught.value.path == path


def test_a_named_tuple_with_attributes_is_refused() -> None:
    value = LoosePair(1)
    value.extra = 1  # type: ignore[attr-defined]
    with pytest.raises(NotSerializable, match="further attributes"):
        codecs.encode(value)


def test_importing_codecs_loads_no_heavy_library() -> None:
    code = (
        "import sys, nbflow.codecs as c; c.encode({'a': (1,)}); c.preview([1]);"
        "c.fingerprint((object(),), {});"
        "print([m for m in ('pydantic', 'numpy', 'pandas', 'polars', 'pyarrow')"
        " if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"

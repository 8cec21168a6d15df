import json
import sys
import threading
import types
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest

import nbflow
from nbflow._engine import carry
from nbflow.context import Context, current_context
from nbflow.errors import NotSerializable
from tests.engine import process_calls


def there_and_back(value: Any) -> Any:
    parcel = carry.pack(value)
    return carry.unpack(b"".join(parcel.stream), parcel.buffers)


@pytest.fixture
def handmade() -> Iterator[types.ModuleType]:
    module = types.ModuleType("made_by_hand")
    exec("def inner(): return 1\ndef outer(): return inner()", vars(module))
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


@pytest.mark.parametrize("module", [json, sys, np, nbflow, process_calls, np.linalg])
def test_modules_of_files_on_the_path_are_importable(module):
    assert carry.is_importable(module)


def test_modules_made_by_hand_or_read_from_a_notebook_are_not(handmade):
    assert not carry.is_importable(handmade)
    read = types.ModuleType("json_lines")
    vars(read)["__nbflow_path__"] = "/x/json_lines.py"
    assert not carry.is_importable(read)


def test_a_module_that_hides_a_file_of_its_name_is_not(tmp_path, monkeypatch):
    (tmp_path / "hidden.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    hiding = types.ModuleType("hidden")
    assert not carry.is_importable(hiding)
    vars(hiding)["__file__"] = str(tmp_path / "elsewhere" / "hidden.py")
    assert not carry.is_importable(hiding)
    vars(hiding)["__file__"] = str(tmp_path / "hidden.py")
    assert carry.is_importable(hiding)


def test_a_module_that_only_a_hook_of_ours_finds_is_not(monkeypatch, handmade):
    class Hook:
        def find_spec(self, name: str, *rest: Any) -> ModuleSpec | None:
            return ModuleSpec(name, self) if name == "made_by_hand" else None  # type: ignore[arg-type]

    monkeypatch.setattr(sys, "meta_path", [Hook(), *sys.meta_path])
    assert not carry.is_importable(handmade)


def test_functions_of_such_modules_go_with_what_they_name(handmade):
    copy = there_and_back(handmade.outer)
    assert copy is not handmade.outer
    assert copy() == 1


def test_threads_may_pack_such_functions_at_once(handmade):
    failed: list[Exception] = []

    def work() -> None:
        try:
            for _ in range(200):
                assert there_and_back(handmade.outer)() == 1
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert "made_by_hand" not in cloudpickle.list_registry_pickle_by_value()


def test_a_module_that_the_user_has_registered_stays_registered(handmade):
    cloudpickle.register_pickle_by_value(handmade)
    there_and_back(handmade.outer)
    assert "made_by_hand" in cloudpickle.list_registry_pickle_by_value()
    cloudpickle.unregister_pickle_by_value(handmade)


def test_large_buffers_are_not_copied():
    array = np.zeros(1_000_000)
    parcel = carry.pack({"a": array, "small": np.zeros(3)})
    assert [buffer.nbytes for buffer in parcel.buffers] == [array.nbytes]
    assert np.shares_memory(np.frombuffer(parcel.buffers[0]), array)
    assert sum(len(piece) for piece in parcel.stream) < 1_000
    data = b"x" * 1_000_000
    assert any(piece is data for piece in carry.pack(data).stream)


def test_a_context_becomes_the_one_of_the_reader():
    class Scope:
        pass

    def reads() -> Any:
        current_context.set(Context(Scope()))  # type: ignore[arg-type]
        return there_and_back(Context(Scope())), nbflow.current()  # type: ignore[arg-type]

    import contextvars

    read, current = contextvars.copy_context().run(reads)
    assert read._scope is current._scope


def test_errors_in_a_circle_arrive():
    error = ValueError("a")
    error.other = KeyError("b")  # type: ignore[attr-defined]
    error.other.back = error  # type: ignore[attr-defined]
    error.__context__ = error.other  # type: ignore[attr-defined]
    error.other.__context__ = error  # type: ignore[attr-defined]
    copy = there_and_back(error)
    assert copy.other.back is copy
    assert copy.__context__ is copy.other


def test_an_error_that_fails_to_be_made_again_keeps_its_class_code_and_cause():
    error = process_calls.Refused("no", code=3)
    error.__cause__ = KeyError("k")
    copy = there_and_back(error)
    assert isinstance(copy, process_calls.Refused)
    assert (str(copy), copy.code) == ("refused: no", 3)
    assert type(copy.__cause__) is KeyError


def test_one_bad_error_does_not_spoil_its_group():
    group = ExceptionGroup("g", [process_calls.Refused("no", code=1), OSError(2, "x")])
    copy = there_and_back(group)
    assert isinstance(copy.exceptions[0], process_calls.Refused)
    assert copy.exceptions[1].errno == 2


def test_a_class_that_is_not_known_here_keeps_its_name():
    error = carry.stand_in(None, "nowhere.errors:Gone", "it went", {"status": 5})
    assert type(error).__name__ == "Gone"
    assert type(error).__module__ == "nowhere.errors"
    assert (str(error), error.status) == ("it went", 5)  # type: ignore[attr-defined]


def test_packing_an_error_never_fails():
    deep: BaseException | None = None
    for number in range(5_000):
        error = ValueError(number)
        error.__cause__ = deep
        deep = error
    assert deep is not None
    copy = carry.unpack(carry.pack_error(deep))
    assert str(copy) == "4999"


def test_the_innermost_part_that_cannot_be_pickled_is_named():
    value = {"a": [1, {"b": threading.Lock()}]}
    with pytest.raises(TypeError) as caught:
        carry.pack(value)
    refusal = carry.refusal("it", value, caught.value)
    assert isinstance(refusal, NotSerializable)
    assert refusal.path == "['a'][1]['b']"
    assert refusal.value is value["a"][1]["b"]  # type: ignore[index]


def test_a_path_argument_needs_nothing_special(tmp_path: Path):
    assert there_and_back(tmp_path) == tmp_path

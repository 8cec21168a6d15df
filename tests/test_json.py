"""JSON is read alike by pydantic's core and by the standard library."""

import json
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbflow import _json
from nbflow._json import NotJson, from_json, to_json
from nbflow.view.values import to_json as shown

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=5
        )
    ),
    max_leaves=30,
)


def read_without_core(text: bytes) -> object:
    """As in a process in which nothing has loaded pydantic."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_json, "_core", None)
        patch.delitem(sys.modules, "pydantic_core", raising=False)
        return from_json(text)


@given(VALUES, st.booleans())
def test_what_is_written_is_read_alike_with_and_without_pydantic(
    value: object, ensure_ascii: bool
) -> None:
    text = to_json(value, ensure_ascii=ensure_ascii)
    assert repr(read_without_core(text)) == repr(from_json(text)) == repr(value)


@pytest.mark.parametrize("text", [b"NaN", b"[-Infinity]", b"{", b"", b"\xff", b"[1]]"])
def test_what_is_no_json_is_refused_alike(text: bytes) -> None:
    with pytest.raises(ValueError):
        from_json(text)
    with pytest.raises(ValueError):
        read_without_core(text)


def test_what_is_nested_too_deep_is_refused_alike() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    with pytest.raises(ValueError):
        from_json(deep)
    with pytest.raises(ValueError, match="nested too deep"):
        read_without_core(deep)


@pytest.mark.parametrize("value", ["\ud800", [object()]])
def test_what_json_has_no_room_for_is_named(value: object) -> None:
    with pytest.raises(NotJson):
        to_json(value)


def test_reading_loads_no_pydantic_and_writing_does() -> None:
    code = (
        "import sys, json\n"
        "from nbflow._json import from_json, is_core_loaded, to_json\n"
        "told = [from_json(b'[1.5]'), is_core_loaded(), to_json([1]).decode()]\n"
        "print(json.dumps([*told, is_core_loaded(), from_json(b'[1.5]')]))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert json.loads(done.stdout) == [[1.5], False, "[1]", True, [1.5]]


@given(VALUES, st.sampled_from([None, 2]))
@example([float("nan"), {"a": float("inf")}], None)
@example(["\ud800"], 2)
@example([0] * 2_000, 2)
def test_values_are_shown_alike_with_and_without_pydantic(
    value: object, indent: int | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nbflow.view.values.is_core_loaded", lambda: False)
        alone = shown(value, indent=indent)
    assert json.loads(alone) == json.loads(shown(value, indent=indent))
    assert alone.count("\n") == shown(value, indent=indent).count("\n")

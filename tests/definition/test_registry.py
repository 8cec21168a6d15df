"""A name stands for one workflow of an app, and a later definition may replace it."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from nbflow.definition import registry
from nbflow.errors import DuplicateWorkflow

ONE = """
from nbflow import Context, workflow

@workflow(app="registry")
async def main(ctx: Context) -> int:
    return 1
"""


@pytest.fixture
def load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], ModuleType]]:
    """Write a module and import it; its workflows are forgotten after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    before = dict(registry._defined)

    def load(name: str, text: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield load
    registry._defined.clear()
    registry._defined.update(before)
    for name in ("registry_one", "registry_two"):
        sys.modules.pop(name, None)


def test_a_module_that_defines_a_name_twice_is_refused(load):
    with pytest.raises(DuplicateWorkflow, match=r"line 4\) and .* \(line 9\)"):
        load(
            "registry_one",
            ONE + ONE.replace("from nbflow import Context, workflow\n", ""),
        )


def test_a_module_that_is_loaded_again_replaces_what_it_had(load):
    module = load("registry_one", ONE)
    again = importlib.reload(module)
    assert registry.get("registry", "main") is again.main.spec


def test_another_module_may_not_take_the_name(load):
    load("registry_one", ONE)
    with pytest.raises(DuplicateWorkflow, match=r"registry_one\.main"):
        load("registry_two", ONE)

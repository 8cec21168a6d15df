"""What importing nbflow costs, seen from a fresh interpreter."""

import subprocess
import sys

import pytest

import nbflow

FRONT_ENDS = (
    "textual",
    "anywidget",
    "ipywidgets",
    "IPython",
    "nbformat",
    "rich",
    "pandas",
    "numpy",
)


def loaded_after(code: str) -> set[str]:
    show = "import sys; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import nbflow",
        "from nbflow import workflow, step, Engine, Client, Context",
        "import nbflow.testing",
        "import nbflow.cli",
    ],
)
def test_no_front_end_is_loaded(code: str) -> None:
    assert not loaded_after(code) & set(FRONT_ENDS)


def test_importing_the_package_alone_loads_nothing_heavy() -> None:
    loaded = loaded_after("import nbflow")
    assert not loaded & {"pydantic", "anyio", "asyncio", "sqlite3"}


@pytest.mark.parametrize("module", ["nbflow.client", "nbflow_tui.app"])
def test_who_only_reads_loads_no_engine(module: str) -> None:
    loaded = loaded_after(f"import {module}")
    assert not loaded & {
        "nbflow._engine.core",
        "nbflow._engine.host",
        "nbflow._engine.run",
        "nbflow._store.sqlite",
        "nbflow.engine",
        "nbflow.workflows",
        "pydantic",
        "pydantic_core",
    }


def test_a_client_loads_no_event_loop() -> None:
    assert not loaded_after("import nbflow.client") & {"asyncio", "anyio"}


def test_public_names_are_sorted_and_there() -> None:
    assert nbflow.__all__ == sorted(nbflow.__all__)
    for name in nbflow.__all__:
        assert getattr(nbflow, name) is not None


def test_every_error_is_public() -> None:
    errors = {
        name
        for name, value in vars(nbflow.errors).items()
        if isinstance(value, type)
        and issubclass(value, BaseException)
        and value.__module__ == "nbflow"
        and not name.startswith("_")
    }
    assert errors <= set(nbflow.__all__)


def test_public_names_have_docstrings() -> None:
    silent = [
        name
        for name in nbflow.__all__
        if not name.startswith("_") and not getattr(nbflow, name).__doc__
    ]
    assert silent == []


def test_a_module_never_hides_a_function_of_its_name() -> None:
    code = "import nbflow.testing, nbflow\nassert callable(nbflow.workflow)"
    loaded_after(code)

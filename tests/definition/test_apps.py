"""The app of a workflow when nobody names one."""

import re
import sys
import types
from typing import Any

import pytest

from nbflow.definition.apps import app_name, default_app, notebook_stem

FITTING = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A kernel without a name; gives the user's namespace."""
    space: dict[str, Any] = {}
    shell = types.SimpleNamespace(user_ns=space, kernel=object())
    ipython = types.ModuleType("IPython")
    vars(ipython)["get_ipython"] = lambda: shell
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    return space


@pytest.mark.parametrize("text", ["01_quickstart", "a.b-c", "x" * 128, "Ab"])
def test_fitting_names_stay(text: str) -> None:
    assert app_name(text) == text


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("My  Notebook", "My-Notebook"),
        ("Café", "Cafe-73473d"),
        ("Cafe\u0301", "Cafe-73473d"),
        ("日本語", "notebook-77710a"),
        (".hidden", "hidden-169241"),
        ("a/b", "a-b-c14cdd"),
        ("(copy)", "copy-780dc1"),
    ],
)
def test_other_names_stay_readable(text: str, slug: str) -> None:
    assert app_name(text) == slug
    assert FITTING.fullmatch(app_name(text))


def test_names_that_lose_something_are_kept_apart() -> None:
    names = ["日本語", "日本", "", "-", "x" * 129, "x" * 130, "a/b", "a-b", "a\ud800b"]
    apps = {app_name(name) for name in names}
    assert len(apps) == len(names)
    assert all(FITTING.fullmatch(name) for name in apps)


def test_modules_by_their_last_name() -> None:
    assert default_app("package.flows") == "flows"
    assert default_app("package.__main__") == "package"


def test_a_script_by_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert default_app("__main__") == "notebook"
    main.__file__ = "/somewhere/nightly jobs.py"
    assert default_app("__main__") == default_app() == "nightly-jobs"
    main.__spec__ = types.SimpleNamespace(name="package.__main__")  # type: ignore[assignment]
    assert default_app() == "package"


def test_what_was_loaded_from_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("nbflow_notebook_x")
    vars(module)["__nbflow_path__"] = "/home/me/my x.ipynb"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert default_app(module.__name__) == "my-x"


class TestKernel:
    def test_jupyter_says_the_notebook(
        self, kernel: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/01_quickstart.ipynb")
        assert default_app("__main__") == "01_quickstart"
        assert default_app("helpers") == "01_quickstart"

    def test_vs_code_says_the_notebook(self, kernel: dict[str, Any]) -> None:
        kernel["__vsc_ipynb_file__"] = "c:\\work\\analysis.ipynb"
        assert default_app("__main__") == "analysis"

    def test_session_names_that_are_no_files(
        self, kernel: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("JPY_SESSION_NAME", "console-1-5a6b")
        assert notebook_stem() is None
        assert default_app("__main__") == "notebook"
        assert default_app("helpers") == "helpers"

    def test_a_script_started_by_a_kernel_is_no_notebook(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/01_quickstart.ipynb")
        assert default_app("script") == "script"

"""A status has a colour wherever it is shown: terminal, monitor, notebook, page."""

import re
from importlib.resources import files

import pytest
from nbflow_tui import door

from nbflow.view import MARKS, ROLES
from nbflow.view import html as pages

SHOWN = sorted({mark.role for mark in MARKS.values()})


def text_of(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text("utf-8")


@pytest.mark.parametrize("role", SHOWN)
def test_in_a_terminal(role):
    assert ROLES[role]


@pytest.mark.parametrize("role", ROLES)
def test_in_the_monitor(role):
    assert f".{door.NAMES[role]} {{" in door.CSS


@pytest.mark.parametrize("role", SHOWN)
def test_in_lists_of_a_notebook(role):
    rule = rf"\.nbflow-{role}\b[^{{]*\{{ color: "
    assert re.search(rule, text_of("nbflow.widgets", "plain.css"))


@pytest.mark.parametrize("role", SHOWN)
def test_in_the_page_that_an_ended_run_leaves(role):
    assert f".n-{pages._CLASSES.get(role, role)}{{color:" in pages._STYLE


@pytest.mark.parametrize("status", MARKS)
def test_in_the_live_view_of_a_run(status):
    script = text_of("nbflow.widgets.run", "run_view.js")
    tone = re.search(rf'^\t{status}: \["(\w+)", "M', script, re.MULTILINE)
    assert tone is not None
    assert f'[data-tone="{tone[1]}"] {{ --tone: ' in text_of(
        "nbflow.widgets.run", "run_view.css"
    )

"""A status has a colour wherever it is shown: terminal, monitor, notebook, page."""

import re
from importlib.resources import files

import pytest
from nbflow_tui import door, theme
from textual.color import Color
from textual.theme import BUILTIN_THEMES

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
    assert door.TINTS[role].text


@pytest.mark.parametrize(
    "theme", [*theme.OWN, *BUILTIN_THEMES.values()], ids=lambda each: each.name
)
def test_every_theme_of_the_monitor_has_all_of_its_colours(theme):
    colors = theme.to_color_system().generate()
    for tint in door.TINTS.values():
        for name in filter(None, (tint.text, tint.back)):
            assert Color.parse(colors[name])


@pytest.mark.parametrize("role", SHOWN)
def test_in_lists_of_a_notebook(role):
    rule = rf"\.nbflow-{role}\b[^{{]*\{{ color: "
    assert re.search(rule, text_of("nbflow.widgets", "plain.css"))


@pytest.mark.parametrize("role", SHOWN)
def test_in_the_page_that_an_ended_run_leaves(role):
    assert f".n-{pages._CLASSES.get(role, role)}{{color:" in pages._STYLE


@pytest.mark.parametrize("status", MARKS)
def test_in_the_live_view_of_a_run(status):
    script = text_of("nbflow.widgets", "run/script/statuses.js")
    tone = re.search(rf'^\t{status}: \["(\w+)", "M', script, re.MULTILINE)
    assert tone is not None
    assert f'[data-tone="{tone[1]}"] {{ --tone: ' in text_of(
        "nbflow.widgets.run", "run_view.css"
    )

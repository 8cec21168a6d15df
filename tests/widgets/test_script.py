"""The scripts' modules, and the one text that is sent of them."""

import re
from importlib.resources import files

import pytest

from nbflow.widgets.script import modules, sent

SCRIPTS = ("keeper.js", "run/run_view.js")
ALL = {path: text for script in SCRIPTS for path, text in modules(script).items()}
IMPORT = re.compile(r'^import \{ (.+) \} from "(.+)";$', re.MULTILINE)
DECLARED = re.compile(
    r"^(?:export )?(?:async )?(?:const|let|class|function\*?) (\w+)", re.MULTILINE
)
# No comments, no texts; and names that are no property and no key.
SILENT = re.compile(r'^\t*(?://|/\*| \*).*| // .*|"[^"\n]*"|^import .*', re.MULTILINE)
NAME = re.compile(r"(?<![\w#$])(?<!(?<!\.\.)\.)[A-Za-z_]\w*\b(?!:)")


def imported(text: str) -> list[str]:
    return [name for names, _ in IMPORT.findall(text) for name in names.split(", ")]


def test_every_script_in_the_package_is_sent() -> None:
    folder = files("nbflow.widgets")
    found = [f"{name}.js" for name in ("keeper", "pictures", "run/run_view")]
    found += [f"run/script/{each.name}" for each in (folder / "run/script").iterdir()]
    assert sorted(ALL) == sorted(found)


@pytest.mark.parametrize("script", SCRIPTS)
def test_modules_come_after_all_that_they_import(script: str) -> None:
    seen: set[str] = set()
    for path, text in modules(script).items():
        seen.add(path.rpartition("/")[2])
        for _, other in IMPORT.findall(text):
            assert other.rpartition("/")[2] in seen, f"{path} and {other}: a circle"


@pytest.mark.parametrize("path", ALL)
def test_a_module_imports_what_it_uses_of_others_and_nothing_else(path: str) -> None:
    declared = {name for text in ALL.values() for name in DECLARED.findall(text)}
    foreign = declared - set(DECLARED.findall(ALL[path]))
    used = set(NAME.findall(SILENT.sub("", ALL[path])))
    assert sorted(imported(ALL[path])) == sorted(used & foreign)


@pytest.mark.parametrize("path", ALL)
def test_a_module_can_be_read_in_one_look(path: str) -> None:
    assert ALL[path].count("\n") <= 250


@pytest.mark.parametrize("script", SCRIPTS)
def test_names_mean_one_thing_in_all_modules_of_a_script(script: str) -> None:
    names = [n for text in modules(script).values() for n in DECLARED.findall(text)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_is_sent_stands_alone(script: str) -> None:
    text = sent(script)
    assert "import " not in text
    assert re.findall(r"\bexport .{7}", text) == ["export default"]
    assert " // " not in text
    assert "*/" not in text

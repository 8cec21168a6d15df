"""Loading the extension, its settings, completion and help."""

import subprocess
import sys

import pytest
from IPython.core.completer import provisionalcompleter

from nbflow.errors import NbflowError
from nbflow.magics.extension import load
from tests.magics.conftest import Shell

DOUBLE = "%%workflow double(n: int = 2) -> int\nreturn n * 2"


def complete(shell: Shell, text: str) -> list[str]:
    with provisionalcompleter():
        found = list(shell.ip.Completer.completions(text, len(text)))
    return [text[: each.start] + each.text for each in found]


class TestLoading:
    def test_twice_is_as_once_and_silent(self, shell: Shell) -> None:
        session = load(shell.ip)
        cell = "import nbflow\nnbflow.load_ipython_extension(get_ipython())"
        assert shell.ok(cell).text == ""
        assert load(shell.ip) is session
        assert len(shell.ip.configurables) == len(set(map(id, shell.ip.configurables)))

    def test_unloading_leaves_no_trace(self, shell: Shell) -> None:
        shell.ok("%unload_ext nbflow")
        assert "not found" in shell.run("%workflow list").text
        assert "not found" in shell.run("%%workflow x\nreturn 1").text
        assert not hasattr(NbflowError, "_render_traceback_")
        assert shell.ok("%load_ext nbflow").text == ""
        shell.ok(DOUBLE)

    def test_importing_nbflow_does_not_load_ipython(self) -> None:
        code = (
            "import nbflow, sys; from nbflow import workflow; import nbflow.notebook\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", f"{code}print('IPython' in sys.modules)"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "False\n"


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "allowed"),
        [
            ("view", "['live', 'static', 'none']"),
            ("unfinished", "['ask', 'resume']"),
            ("on_interrupt", "['cancel', 'leave']"),
        ],
    )
    def test_a_bad_value_is_refused_with_the_allowed_ones(
        self,
        shell: Shell,
        name: str,
        allowed: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        before = getattr(load(shell.ip).settings, name)
        shell.run(f"%config NBFlow.{name} = 'odd'")
        assert allowed in caplog.text
        assert getattr(load(shell.ip).settings, name) == before

    def test_a_value_that_was_refused_does_not_stop_a_reload(
        self, shell: Shell
    ) -> None:
        shell.ok("%config NBFlow.view = 'none'")
        shell.run("%config NBFlow.unfinished = 'odd'")
        (told,) = shell.ok("%reload_ext nbflow").text.splitlines()
        assert told.startswith("NBFlow.unfinished as it is configured is not used: ")
        assert "expected any of ['ask', 'resume']" in told
        assert shell.ok("%config NBFlow.unfinished").result == "'ask'"
        assert shell.ok("%config NBFlow.view").result == "'none'"
        assert shell.ok("%reload_ext nbflow").text == ""
        shell.ok("get_ipython().config.NBFlow.clear()")

    def test_a_bad_value_does_not_come_back(
        self, shell: Shell, caplog: pytest.LogCaptureFixture
    ) -> None:
        shell.run("%config NBFlow.view = 'odd'")
        caplog.clear()
        shell.ok("%config NBFlow.view = 'none'")
        assert caplog.text == ""
        assert shell.ok(DOUBLE.replace("\n", " -w\n", 1)).text == "Out[5]: 4\n"

    def test_they_are_listed_with_help(self, shell: Shell) -> None:
        text = shell.ok("%config NBFlow").text
        assert "NBFlow.unfinished" in text
        assert "Choices: any of ['ask', 'resume']" in text


class TestCompletion:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("%%workflow a --retr", ["--retries", "--retry-delay"]),
            ("%%workflow a --view s", ["static"]),
            ("%workflow ca", ["cancel"]),
            ("%workflow invoke dou", ["double"]),
            ("%workflow invoke double --lab", ["--label"]),
            ("%workflow export dou", ["double"]),
            ("%workflow show r-o", ["r-one"]),
            ("%workflow cancel r-o", ["r-open"]),
            ("%workflow resume r-", ["r-open"]),
            ("%workflow runs --status fai", ["failed"]),
            ("%workflow runs --workflow d", ["double"]),
            ("%workflow resume r-one --pl", ["--plan"]),
            ("%nbflow a", ["app"]),
        ],
    )
    def test_what_fits_is_offered(
        self, shell: Shell, text: str, found: list[str]
    ) -> None:
        shell.ok(DOUBLE.replace("\n", " -w --run-id r-one\n", 1))
        if "r-open" in found:
            shell.ok("%%workflow open -r --run-id r-open\nawait ctx.sleep('s', '1h')")
        before = text[: text.rindex(" ") + 1]
        assert complete(shell, text) == [before + each for each in found]

    def test_other_lines_are_left_alone(self, shell: Shell) -> None:
        shell.ok("import math")
        assert complete(shell, "math.sqr") == ["math.sqrt"]


class TestHelp:
    def test_the_cell_magic_explains_its_options(self, shell: Shell) -> None:
        text = shell.ip.magics_manager.magics["cell"]["workflow"].__doc__
        assert "--retry-delay D" in text
        assert "%%workflow nightly(n: int = 2) -> int --wait -i n=5" in text

    def test_the_line_magic_explains_its_verbs(self, shell: Shell) -> None:
        text = shell.ip.magics_manager.magics["line"]["workflow"].__doc__
        assert "%workflow resume RUN" in text

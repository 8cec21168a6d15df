"""`%workflow VERB` and `%nbflow`: what they show and do."""

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from nbflow.magics.verbs import VERBS
from tests.magics.conftest import Done, Shell

DOUBLE = "%%workflow double(n: int = 2) -> int\nreturn n * 2"


def one_line(done: Done) -> str:
    assert done.status == "error", done
    (line,) = done.text.strip().splitlines()
    return line


def test_list_shows_workflows_and_their_inputs(shell: Shell) -> None:
    assert "no workflow yet" in shell.ok("%workflow list").text
    shell.ok(DOUBLE)
    shell.ok("%%workflow greet(who: str, loud: bool = False)\nreturn who")
    assert shell.ok("%workflow list").text.splitlines() == [
        "double  (n=…)",
        "greet   (who, loud=…)",
    ]


def test_runs_are_listed_and_filtered(shell: Shell) -> None:
    shell.ok(DOUBLE)
    shell.ok("%%workflow bad\n1 / 0")
    shell.ok("%workflow invoke double -w --label nice")
    shell.run("%workflow invoke bad -w")
    text = shell.ok("%workflow runs").text
    assert [line.split()[2] for line in text.splitlines()] == ["bad", "double"]
    for filters in ("--status completed", "--workflow double", "--label nice"):
        (line,) = shell.ok(f"%workflow runs {filters}").text.splitlines()
        assert "double" in line
    assert "the newest 1; --limit" in shell.ok("%workflow runs --limit 1").text
    text = shell.ok("%workflow runs --search nope").text
    assert text.startswith("no run of app ")
    assert text.endswith(" fits: --search nope\n")
    assert "bad" in shell.ok("%workflow monitor").text


def test_runs_take_the_filter_of_the_other_front_ends(shell: Shell) -> None:
    shell.ok(DOUBLE)
    shell.ok("%%workflow bad\n1 / 0")
    shell.ok("%workflow invoke double -w --label 'very nice'")
    shell.run("%workflow invoke bad -w")
    for words in ("double", "status:completed since:1h", '!bad label:"very nice"'):
        (line,) = shell.ok(f"%workflow runs {words} --limit 5").text.splitlines()
        assert "double" in line, words
    assert "no run of app" in shell.ok("%workflow runs nope status:failed").text
    told = shell.run("%workflow runs status:fialed").text
    assert "status:fialed: there is no status 'fialed'" in told


def test_show_tells_all_of_a_run(shell: Shell) -> None:
    shell.ok("def half(n):\n    return 1 / n")
    shell.run(
        "%%workflow show_me(n: int) -w -i n=0 --run-id r-1\nawait ctx.run(half, n)"
    )
    text = shell.ok("%workflow show r-").text
    assert "failed" in text.splitlines()[0]
    assert "{'n': 0}" in text
    assert "✗ half" in text
    assert "return 1 / n" in text
    assert "go on: %workflow resume r-1" in text


def test_cancel_and_resume(shell: Shell) -> None:
    shell.ok("COUNT = []\ndef count():\n    COUNT.append(1)\n    return len(COUNT)")
    shell.ok(
        "%%workflow wait_for --run-id r-1 -r\nfirst = await ctx.run(count)\n"
        "await ctx.wait_for_event('w', 'go')\nreturn first"
    )
    shell.ok("while not [s for s in _run.steps if s.kind == 'wait']: pass")
    assert "r-1 is canceled" in shell.ok("%workflow cancel r-1").text
    assert "has ended already: canceled" in shell.ok("%workflow cancel r-1").text
    plan = shell.ok("%workflow resume r-1 --plan").text
    assert "keeps" in plan
    shell.ok("%workflow resume r-1")
    shell.ok("from nbflow import Client\nc = Client(app=wait_for.app)")
    shell.ok("c.events.send('go', run='r-1')")
    assert shell.ok("_run.result(60)").result == "1"
    shell.run("%workflow resume r-1")
    assert "RunFinished" in shell.run("%workflow resume r-1").text


def test_a_run_is_named_by_the_variable_that_holds_it(shell: Shell) -> None:
    shell.ok(DOUBLE)
    shell.ok("%workflow invoke double -w --run-id r-held --as held --view none")
    assert "r-held" in shell.ok("%workflow show held").text
    assert "r-held has ended" in shell.ok("%workflow cancel held").text
    assert "r-held" in one_line(shell.run("%workflow resume held"))
    shell.ok("run = held.run")
    assert "r-held" in shell.ok("%workflow show run").text


def test_resume_takes_the_corrected_code_and_refreshes(shell: Shell) -> None:
    shell.ok("def first(): return 1\ndef second(x): return 1 / 0")
    cell = "%%workflow fix\na = await ctx.run(first)\nreturn await ctx.run(second, a)"
    shell.run(cell.replace("\n", " -w --run-id r-1\n", 1))
    shell.ok("def second(x): return x + 1")
    assert shell.ok("%workflow resume r-1 --wait").result == "2"
    shell.run(
        cell.replace("\n", " -w --run-id r-2\n", 1).replace("return", "1 / 0\nreturn")
    )
    shell.ok("def first(): return 10")
    shell.ok(cell)
    assert shell.ok("%workflow resume r-2 --refresh first -w").result == "11"


def test_the_verbs_look_where_the_engine_of_this_kernel_is(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.ok(DOUBLE.replace("\n", " -w --run-id r-old\n"))
    monkeypatch.setenv("NBFLOW_HOME", str(tmp_path / "other"))
    told, listed = shell.ok("%workflow runs").text.splitlines()
    assert told.startswith(f"NBFLOW_HOME is now {tmp_path / 'other'}, but the engine")
    assert str(tmp_path / ".nbflow") in told
    assert "`nbflow.shutdown()`" in told
    assert "r-old" in listed
    # Said once; what is started from here on is where the others are.
    assert "NBFLOW_HOME" not in shell.ok("%workflow show r-old").text
    shell.ok("%workflow invoke double -w --run-id r-new")
    assert len(shell.ok("%workflow runs").text.splitlines()) == 2
    assert not (tmp_path / "other").exists()

    shell.ok("import nbflow\nnbflow.shutdown()")
    shell.ok("%workflow invoke double -w --run-id r-newest")
    (listed,) = shell.ok("%workflow runs").text.splitlines()
    assert "r-newest" in listed


def test_the_verbs_stay_with_the_engine_in_another_folder(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NBFLOW_HOME")
    shell.ok(DOUBLE.replace("\n", " -w --run-id r-1\n"))
    (tmp_path / "deeper" / ".nbflow").mkdir(parents=True)
    shell.ok("import os\nos.chdir('deeper')")
    (listed,) = shell.ok("%workflow runs").text.splitlines()
    assert "r-1" in listed


def test_doctor_and_help(shell: Shell) -> None:
    shell.ok(DOUBLE.replace("\n", " -w\n"))
    assert shell.ok("%workflow doctor").text.endswith("all is well\n")
    told = shell.ok("%workflow help").text
    for name, verb in VERBS.items():
        assert f"%workflow {name}" in told
        if name != "invoke":  # `%%workflow?` has its options
            assert all(flag in told for flag in verb.flags)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "say what to do: invoke, list, runs"),
        (
            "rnus",
            "there is no 'rnus': did you mean runs? `%workflow help` explains them",
        ),
        ("invoke", "name a workflow first. Example: %workflow invoke nightly"),
        ("invoke doubel", "has no workflow 'doubel': did you mean double?"),
        ("show", "name a run first. Example: %workflow show r-01k"),
        ("show ''", "name a run first"),
        ("cancel ''", "name a run first"),
        ("show r-none", "there is no run 'r-none'"),
        ("show r-none --all", "'--all' is not understood here"),
        ("runs --statsu failed", "no option --statsu: did you mean --status?"),
        ("runs --status odd", "invalid choice: 'odd'"),
        ("runs --limit 0", "--limit 0: give a number from 1 to 1,000"),
        ("export double", "give a workflow and a file"),
        ("export double double.txt", "give a file that ends in .py"),
        ("list all", "%workflow list takes nothing more"),
        ("resume r-1 --refresh stale,one", "step names or the word stale, not both"),
    ],
)
def test_what_is_typed_wrong_is_told_in_one_line(
    shell: Shell, line: str, told: str
) -> None:
    shell.ok(DOUBLE.replace("\n", " -w --run-id r-1\n", 1))
    assert told in one_line(shell.run(f"%workflow {line}"))


class TestExport:
    CELLS = (
        "%matplotlib_is_not_needed = 1",
        "import math\nfrom statistics import mean as average",
        "SCALE = 2; UNUSED = 1 / 3",
        "from nbflow import step",
        "def helper(x):\n    # keeps its comment\n    return math.sqrt(x) * SCALE",
        "@step\ndef rounded(x):\n    return round(x)",
        "%%workflow child(n: int)\nreturn await rounded(helper(n))",
        "%%workflow all-of-it(n: int = 4) -> float --retries 1\n"
        "text = '''\n  kept\n'''\n"
        "a = await ctx.invoke('c', 'child', {'n': n})\n"
        "return average([a, helper(n)])",
        "print('never exported')",
    )

    def test_the_module_runs_by_itself(self, shell: Shell) -> None:
        for cell in self.CELLS[1:]:
            shell.ok(cell)
        told = shell.ok("%workflow export all-of-it flow.py").text
        assert told == "all-of-it is in flow.py: nbflow run flow.py::all-of-it\n"
        done = subprocess.run(
            [sys.executable, "-m", "nbflow", "run", "flow.py::all-of-it", "-i", "n=9"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "6.0\n"), done.stderr

    def test_only_what_is_needed_as_it_was_written(self, shell: Shell) -> None:
        for cell in self.CELLS[1:]:
            shell.ok(cell)
        shell.ok("%workflow export all-of-it flow.py")
        text = Path("flow.py").read_text()
        assert "UNUSED" not in text
        assert "never exported" not in text
        assert "# keeps its comment" in text
        assert "'''\n  kept\n'''" in text
        assert (
            "@nbflow.workflow(name='all-of-it', retries=1)\nasync def all_of_it" in text
        )

    def test_the_newest_definition_counts(self, shell: Shell) -> None:
        shell.ok(DOUBLE)
        shell.ok(DOUBLE.replace("* 2", "* 3"))
        shell.ok("%workflow export double flow.py")
        spec = importlib.util.spec_from_file_location("exported_flow", "flow.py")
        assert spec is not None
        assert spec.loader is not None
        shell.ok("%nbflow app exported")  # one app has one workflow of a name
        module = importlib.util.module_from_spec(spec)
        sys.modules["exported_flow"] = module
        try:
            spec.loader.exec_module(module)
            assert "n * 3" in inspect.getsource(module.double.fn)
        finally:
            del sys.modules["exported_flow"]

    def test_a_file_is_not_replaced_unasked(self, shell: Shell) -> None:
        shell.ok(DOUBLE)
        Path("flow.py").write_text("mine")
        told = one_line(shell.run("%workflow export double flow.py"))
        assert "flow.py is there already: --force replaces it" in told
        assert Path("flow.py").read_text() == "mine"
        shell.ok("%workflow export double flow.py --force")
        assert "double" in Path("flow.py").read_text()

    def test_a_needed_shell_line_is_named(self, shell: Shell) -> None:
        shell.ok("FOUND = !echo one")
        shell.ok("%%workflow uses\nreturn FOUND")
        told = one_line(shell.run("%workflow export uses flow.py"))
        assert "is IPython's syntax" in told
        assert not Path("flow.py").exists()

    def test_a_file_that_cannot_be_written_is_told(self, shell: Shell) -> None:
        shell.ok(DOUBLE)
        told = one_line(shell.run("%workflow export double nowhere/flow.py"))
        assert "nowhere/flow.py cannot be written: No such file" in told


class TestApp:
    def test_names_what_is_defined_from_here_on(self, shell: Shell) -> None:
        told = shell.ok("%nbflow app one-app").text
        assert told == "workflows defined from here on are of app 'one-app'\n"
        shell.ok(DOUBLE)
        assert shell.names["double"].app == "one-app"
        assert shell.ok("%nbflow").text == "the app of this notebook is 'one-app'\n"
        assert shell.ok("%config NBFlow.app").result == "'one-app'"

    def test_a_bad_name_changes_nothing(self, shell: Shell) -> None:
        before = shell.ok("%nbflow").text
        assert "app name 'a/b' is not allowed" in one_line(shell.run("%nbflow app a/b"))
        assert shell.ok("%nbflow").text == before

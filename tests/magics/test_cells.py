"""`%%workflow` in a shell: what a cell defines, starts and gives."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from nbflow import RunStatus
from tests.magics.conftest import Shell

BODY = "%%workflow double(n: int = 2) -> int\nreturn n * 2"


def test_a_body_becomes_a_workflow_of_the_notebook(shell: Shell) -> None:
    done = shell.ok(BODY)
    assert done.text.startswith("double(n: int = 2) is defined")
    double = shell.names["double"]
    assert double.invoke(n=4).result(60) == 8
    assert double.input_schema["properties"]["n"]["type"] == "integer"
    assert double.output_schema == {"type": "integer"}


def test_a_name_that_python_spells_otherwise(shell: Shell) -> None:
    assert shell.ok("%%workflow \u00b5-test -w\nreturn 5").result == "5"
    assert shell.ok("\u00b5_test.name").result == repr("\u00b5-test")


def test_a_name_with_blanks_stands_in_quotes(shell: Shell) -> None:
    assert shell.ok("%%workflow 'my flow'(n: int = 2) -w\nreturn n").result == "2"
    assert shell.ok('%workflow invoke "my flow" -w -i n=3').result == "3"
    assert shell.ok("my_flow.name").result == "'my flow'"


@pytest.mark.parametrize(
    ("parameters", "given", "result"),
    [
        ("**more", "-i a=1 -i b=2", "{'a': 1, 'b': 2}"),
        ("*, a, b=2", "-i a=1", "(1, 2)"),
        ("a=1, *, b=2", "", "(1, 2)"),
        ("a=1, *, b", "-i b=2", "(1, 2)"),
    ],
)
def test_parameters_with_a_star_of_their_own(
    shell: Shell, parameters: str, given: str, result: str
) -> None:
    value = "more" if "more" in parameters else "(a, b)"
    done = shell.ok(f"%%workflow starred({parameters}) -w {given}\nreturn {value}")
    assert done.result == result


def test_a_cell_that_waits_has_the_result_as_its_value(shell: Shell) -> None:
    done = shell.ok(BODY.replace("\n", " -w\n"))
    assert done.result == "4"
    assert "completed" in done.text


def test_inputs_are_python_in_the_notebooks_names(shell: Shell) -> None:
    shell.ok("WHO = {'it': \"it's\"}")
    shell.ok("%%workflow say(who: str, n: int)\nreturn who * n")
    done = shell.ok("%workflow invoke say -w -i who=WHO['it'] -i n=(1 + 1)")
    assert done.result == repr("it'sit's")
    done = shell.ok('%workflow invoke say -w -i {"who": "{x}", "n": 1} -i n=2')
    assert done.result == "'{x}{x}'"


def test_the_handle_is_bound(shell: Shell) -> None:
    shell.ok(BODY.replace("\n", " --invoke --as run --run-id r-one --label 'a b'\n"))
    run = shell.names["run"]
    assert run.result(60) == 4
    assert (run.run_id, run.run.label) == ("r-one", "a b")
    assert shell.names["_run"] is run


def test_options_of_the_definition(shell: Shell) -> None:
    shell.ok("from nbflow import FlowControl")
    shell.ok(
        "%%workflow picky --retries 7 --retry-delay 2 --timeout 1h "
        "--flow-control FlowControl('k', rate=5)\nreturn 1"
    )
    options = shell.names["picky"].spec.options
    assert options.retries == 7
    assert (options.retry_delay, options.timeout) == (2.0, "1h")
    assert options.flow_control.key == "k"


def test_options_of_one_run(shell: Shell) -> None:
    shell.ok("%%workflow picky\nraise OSError('no')")
    shell.run("%workflow invoke picky -w --retries 0")
    assert shell.names["_run"].run.retries == 0


def test_quiet_shows_nothing(shell: Shell) -> None:
    assert shell.ok(BODY.replace("\n", " --quiet\n")).text == ""
    assert shell.ok("%workflow invoke double -r --quiet").text == ""
    done = shell.ok("%workflow invoke double -w --view none")
    assert (done.result, done.text) == ("4", "Out[5]: 4\n")


class TestFunctions:
    def test_a_function_of_the_name_becomes_the_workflow(self, shell: Shell) -> None:
        done = shell.ok(
            "%%workflow big-one --retries 1 -w -i n=3\n"
            "def helper(n):\n    return n + 1\n\n"
            "async def big_one(ctx, n: int):\n    return await ctx.run(helper, n)"
        )
        assert done.result == "4"
        made = shell.names["big_one"]
        assert (made.name, made.spec.options.retries) == ("big-one", 1)

    def test_functions_with_the_decorator_need_no_name(self, shell: Shell) -> None:
        done = shell.ok(
            "%%workflow\nfrom nbflow import workflow\n"
            "@workflow\nasync def first(ctx): return 1\n"
            "@workflow\nasync def second(ctx): return 2\n"
        )
        assert "first() is defined" in done.text
        assert "second() is defined" in done.text
        assert shell.ok("%workflow invoke second -w").result == "2"

    def test_the_last_one_is_invoked_or_the_named_one(self, shell: Shell) -> None:
        cell = (
            "from nbflow import workflow\n"
            "@workflow\nasync def first(ctx): return 1\n"
            "@workflow(name='other')\nasync def second(ctx): return 2\n"
        )
        assert shell.ok(f"%%workflow -w\n{cell}").result == "2"
        assert shell.ok(f"%%workflow first -w\n{cell}").result == "1"
        assert shell.ok(f"%%workflow other -w\n{cell}").result == "2"

    def test_the_value_of_the_last_expression(self, shell: Shell) -> None:
        done = shell.ok("%%workflow f\nasync def f(ctx): return 1\n40 + 2")
        assert done.result == "42"

    def test_options_of_a_finished_workflow_are_refused(self, shell: Shell) -> None:
        done = shell.run(
            "%%workflow f --retries 2\nfrom nbflow import workflow\n"
            "@workflow\nasync def f(ctx): return 1"
        )
        assert "give retries where it is made" in done.traceback

    def test_a_cell_without_workflow_is_refused(self, shell: Shell) -> None:
        done = shell.run("%%workflow\ndef helper(): ...")
        assert "the cell defines no workflow: put @workflow" in done.traceback


class TestText:
    def test_the_source_is_the_cell_with_a_header(self, shell: Shell) -> None:
        shell.ok(
            "%%workflow keep(a=1)\ntext = f'''\nline {a}\n  two\n'''\n"
            "def inner():\n    return text\nreturn inner()"
        )
        keep = shell.names["keep"]
        assert inspect.getsource(keep.fn).splitlines() == [
            "async def keep(ctx, *, a=1):",
            "    text = f'''",
            "line {a}",
            "  two",
            "'''",
            "    def inner():",
            "        return text",
            "    return inner()",
        ]
        assert keep.invoke().result(60) == "\nline 1\n  two\n"

    def test_odd_line_separators_in_strings_are_kept(self, shell: Shell) -> None:
        shell.ok("%%workflow odd\nreturn 'a\u2028b\x0cc'")
        assert shell.names["odd"].invoke().result(60) == "a\u2028b\x0cc"

    def test_globals_are_live(self, shell: Shell) -> None:
        shell.ok("BASE = 1")
        shell.ok("%%workflow based\nreturn BASE")
        shell.ok("BASE = 2")
        assert shell.names["based"].invoke().result(60) == 2

    def test_a_body_of_comments_returns_none(self, shell: Shell) -> None:
        assert shell.ok("%%workflow later -w\n# to do\n").result is None

    def test_shell_lines_run_and_keep_the_numbering(self, shell: Shell) -> None:
        Path("one.txt").write_text("")
        done = shell.run(
            "%%workflow files -w\nfound = !ls \\\n  *.txt\nif True:\n"
            "    x = %who_ls str\nraise LookupError(found[0])"
        )
        assert "Cell In[3], line 6" in done.traceback
        assert done.error is not None
        assert done.error["evalue"] == "LookupError: one.txt"

    def test_redefinition_runs_new_code_next(self, shell: Shell) -> None:
        shell.ok(BODY)
        shell.ok(BODY.replace("n * 2", "n * 3"))
        assert shell.ok("%workflow invoke double -w").result == "6"

    def test_running_runs_keep_their_code(self, shell: Shell) -> None:
        cell = "%%workflow held\nawait ctx.wait_for_event('w', 'go')\nreturn {}"
        shell.ok(cell.format(1).replace("\n", " -r --as old\n", 1))
        shell.ok(cell.format(2).replace("\n", " -r --as new\n", 1))
        client = nbflow_client(shell)
        for name in ("old", "new"):
            client.events.send("go", run=shell.names[name].run_id)
        assert shell.names["old"].result(60) == 1
        assert shell.names["new"].result(60) == 2


def nbflow_client(shell: Shell) -> Any:
    from nbflow.magics.extension import load

    return load(shell.ip).client()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("a --retris 3", "no option --retris: did you mean --retries?"),
        ("a -i n=5", "--input says how to start a run, and none is started"),
        ("a -r -i n = 5", "'=' is not understood here"),
        ("a -r -i n=5+", "-i n=5+: the value is no Python expression"),
        ("a --retries x", "--retries x: give a whole number"),
        ("--retries 3", "--retries needs the workflow's name here"),
        ("a(n: int", "a parenthesis is never closed"),
        ("a --label it's -r", "a quote is never closed: 's"),
        ("a --view full", "choose from 'live', 'static', 'none'"),
        ("a -r --as 1x", "--as 1x: give a Python name"),
        ('"a b', 'a quote is never closed: "a b'),
        ("a b -w", "'b' is not understood here: names and values with blanks stand in"),
        ("a(*rest)", "*rest: fields of an input need names. Take a list: a(rest: list"),
        ("a(b, /)", "a(b, /): the fields of an input are given by name"),
        ("a(ctx)", "ctx is there without being named"),
        ("a --help", "the options are --invoke, --wait, --input"),
        ("a -r -i nope", "-i nope: NameError: name 'nope' is not defined"),
    ],
)
def test_what_is_typed_wrong_is_told_in_one_line(
    shell: Shell, line: str, told: str
) -> None:
    done = shell.run(f"%%workflow {line}\nreturn 1")
    assert done.status == "error"
    assert told in done.text
    assert len(done.text.strip().splitlines()) == 1


def test_pip_without_a_percent_sign_is_told_how(shell: Shell) -> None:
    done = shell.run("%%workflow a\npip install what\nreturn 1")
    assert done.error is not None
    assert done.error["evalue"] == (
        "invalid syntax. Did you mean %pip install what? (line 2)"
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("await f.invoke()", "leave the %%workflow line out"),
        ("return 1", "name the workflow whose body this is"),
    ],
)
def test_what_stands_outside_of_functions_is_told_where_to_go(
    shell: Shell, line: str, told: str
) -> None:
    done = shell.run(f"%%workflow\ndef f(ctx): ...\n{line}")
    assert done.error is not None
    assert told in done.error["evalue"]
    assert "line 3" in done.traceback


def test_a_yield_is_refused_with_what_to_do(shell: Shell) -> None:
    done = shell.run("%%workflow gen\nyield 1")
    assert "the body of 'gen' has a yield" in done.text
    assert "gen" not in shell.names


@pytest.mark.parametrize("last", ["await ctx.run(fetch)", "return 1"])
def test_a_body_with_a_function_of_the_workflows_name_is_told_so(
    shell: Shell, last: str
) -> None:
    done = shell.run(f"%%workflow fetch -w\ndef fetch():\n    return 1\n{last}")
    assert "the cell defines 'fetch', so that function is taken" in done.text
    assert "(line 4). If the cell is the workflow's body, give" in done.text
    assert "fetch" not in shell.names


def test_bad_input_starts_nothing(shell: Shell) -> None:
    shell.ok(BODY)
    done = shell.run("%workflow invoke double -w -i n='x'")
    assert done.error is not None
    assert done.error["ename"] == "InvalidInput"
    assert len(done.text.strip().splitlines()) == 1
    assert nbflow_client(shell).runs.list() == []


def test_a_run_that_was_canceled_fails_the_cell(shell: Shell) -> None:
    done = shell.run("%%workflow stop -w\nctx.cancel('enough')")
    assert done.error is not None
    assert done.error["ename"] == "RunCanceled"
    assert "enough" in done.text
    assert shell.names["_run"].status is RunStatus.CANCELED

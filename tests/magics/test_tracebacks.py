"""Errors in the user's terms: their cells, their lines, nothing of the machinery."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import nbflow
from tests.magics.conftest import Done, Shell

MACHINERY = ("site-packages", "/nbflow/", "/anyio", "/asyncio", "_engine", "IPython/")


def frames(done: Done) -> list[tuple[int, int]]:
    """Cell and line of each frame, outermost first."""
    found = re.findall(r"Cell In\[(\d+)\], line (\d+)", done.traceback)
    return [(int(cell), int(line)) for cell, line in found]


def no_machinery(done: Done) -> bool:
    return not any(word in done.traceback for word in MACHINERY)


def test_a_step_that_fails_shows_the_body_and_the_helper(shell: Shell) -> None:
    shell.ok("def inverse(x):\n    y = x\n    return 1 / y")  # cell 3
    shell.ok("%%workflow divide(x: int)\n\nawait ctx.run(inverse, x)")  # cell 4
    done = shell.run("%workflow invoke divide -w -i x=0")
    assert done.error is not None
    assert done.error["ename"] == "RunFailed"
    assert done.error["evalue"] == "ZeroDivisionError: division by zero"
    assert frames(done) == [(4, 3), (3, 3)]
    assert no_machinery(done)
    run_id = shell.names["_run"].run_id
    assert f"run {run_id} of 'divide' failed in step 'inverse'" in done.traceback
    assert f"%workflow resume {run_id}" in done.traceback


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_functions_of_bodies_tasks_and_groups(shell: Shell, kind: str) -> None:
    shell.ok(f"{kind} boom():\n    raise LookupError('gone')")  # cell 3
    done = shell.run(
        "%%workflow tree --retries 0 -w\n"
        "async def branch():\n"
        "    return await ctx.run(boom)\n"
        "import asyncio\n"
        "await asyncio.gather(branch())"
    )  # cell 4
    assert done.error is not None
    assert done.error["evalue"] == "LookupError: gone"
    assert frames(done) == [(4, 5), (4, 3), (3, 2)] or frames(done) == [(4, 3), (3, 2)]
    assert no_machinery(done)


def test_a_result_that_is_asked_for_in_a_cell(shell: Shell) -> None:
    shell.ok("%%workflow bad\n1 / 0")  # cell 3
    done = shell.run("handle = bad.invoke()\n\nhandle.result()")  # cell 4
    assert done.error is not None
    assert done.error["ename"] == "RunFailed"
    assert done.error["evalue"].startswith("ZeroDivisionError: division by zero")
    assert frames(done) == [(3, 2), (4, 3)]
    assert no_machinery(done)


def test_an_awaited_handle(shell: Shell) -> None:
    shell.ok("%%workflow bad\n1 / 0")
    done = shell.run("async def look():\n    return await bad.invoke()\nawait look()")
    assert frames(done) == [(3, 2), (4, 3), (4, 2)]
    assert no_machinery(done)


def test_the_users_own_chain_is_kept(shell: Shell) -> None:
    shell.ok(
        "def outer():\n    try:\n        1 / 0\n"
        "    except ZeroDivisionError as error:\n"
        "        raise ValueError('no number') from error"
    )
    done = shell.run("%%workflow chained --retries 0 -w\nawait ctx.run(outer)")
    assert (3, 3) in frames(done)
    assert (3, 5) in frames(done)
    assert "direct cause" in done.traceback
    assert no_machinery(done)


def test_a_child_that_fails(shell: Shell) -> None:
    shell.ok("%%workflow child\n\n1 / 0")  # cell 3
    done = shell.run("%%workflow parent -w\nawait ctx.invoke('c', 'child')")  # cell 4
    assert done.error is not None
    assert done.error["evalue"] == "ZeroDivisionError: division by zero"
    assert frames(done) == [(3, 3), (4, 2)]
    assert no_machinery(done)


def test_an_exception_group(shell: Shell) -> None:
    done = shell.run(
        "%%workflow group --retries 0 -w\n"
        "import anyio\n"
        "async def one():\n    raise ValueError(1)\n"
        "async with anyio.create_task_group() as tasks:\n"
        "    tasks.start_soon(one)"
    )
    assert frames(done)[-1] == (3, 4)
    assert no_machinery(done)


def test_a_step_in_a_process(shell: Shell) -> None:
    shell.ok("def far():\n    return {}['key']")  # cell 3
    done = shell.run(
        "%%workflow apart --retries 0 -w\nawait ctx.run(far, process=True)"
    )
    assert done.error is not None
    assert done.error["evalue"] == "KeyError: 'key'"
    assert (3, 2) in frames(done)
    assert no_machinery(done)


class TestSyntax:
    @pytest.mark.parametrize(
        ("body", "line"),
        [
            ("x = 1\ny = = 2", 3),
            ("if True:\nreturn 1", 3),
            ("x = '''\nabc", 2),
            ("async def f():\n    return\nbreak", 4),
            ("x = !ls\ny = (", 3),
        ],
    )
    def test_shows_the_cell_and_its_line_only(
        self, shell: Shell, body: str, line: int
    ) -> None:
        done = shell.run(f"%%workflow wrong\n{body}")
        assert done.error is not None
        assert done.error["ename"] == "CellSyntaxError"
        assert done.error["evalue"].endswith(f"(line {line})")
        assert frames(done) == [(3, line)]
        assert no_machinery(done)
        assert "run_cell_magic" not in done.traceback

    def test_the_caret_stands_below_the_mistake(self, shell: Shell) -> None:
        done = shell.run("%%workflow wrong\nvalue = 1 +* 2")
        shown, caret = done.text.splitlines()[1:3]
        assert shown[caret.index("^")] == "*"

    def test_in_the_head(self, shell: Shell) -> None:
        done = shell.run("%%workflow wrong(a b)\nreturn 1")
        assert frames(done) == [(3, 1)]

    def test_in_a_cell_of_functions(self, shell: Shell) -> None:
        done = shell.run("%%workflow\nx = 1\nasync def f(ctx): return = 1")
        assert frames(done) == [(3, 3)]


class TestBelowOtherMagics:
    @pytest.mark.parametrize("above", ["%%time\n", "%%capture out\n", "\n \n"])
    def test_lines_are_those_of_the_cell(self, shell: Shell, above: str) -> None:
        shell.ok("def inverse(x):\n    return 1 / x")  # cell 3
        done = shell.run(f"{above}%%workflow a\n\nawait ctx.run(inverse, 0)")  # cell 4
        assert done.status == "ok"
        line = 3 + above.count("\n")
        assert frames(shell.run("%workflow invoke a -w")) == [(4, line), (3, 2)]

    def test_lines_of_cells_of_functions(self, shell: Shell) -> None:
        shell.ok(
            "%%time\n%%workflow\nfrom nbflow import workflow\n"
            "@workflow\nasync def late(ctx):\n    1 / 0"
        )
        assert frames(shell.run("%workflow invoke late -w")) == [(3, 6)]

    def test_lines_of_mistakes(self, shell: Shell) -> None:
        done = shell.run("%%time\n%%workflow wrong\nx = 1\ny = = 2")
        assert frames(done) == [(3, 4)]

    def test_the_cells_after_a_captured_one_have_their_numbers(
        self, shell: Shell
    ) -> None:
        shell.ok("%%capture out\n%%workflow one\nreturn 1")  # cell 3
        done = shell.run("%%workflow bad -w\n1 / 0")  # cell 4
        assert frames(done) == [(4, 2)]


class TestWrongCalls:
    """Errors of Python's own kinds that nbflow raises where it is called wrongly."""

    @pytest.mark.parametrize(
        ("code", "told"),
        [
            ("one(3)", "workflow 'one' was called like a function: use one.invoke"),
            ("RunsView(foo=1)", "RunsView() has no filter 'foo'"),
            ("WorkflowForm(3)", "WorkflowForm(3): give a workflow"),
            ("RunView(3)", "3 is no run: give its id"),
        ],
    )
    def test_show_the_users_line_only(self, shell: Shell, code: str, told: str) -> None:
        shell.ok("%%workflow one\nreturn 1")
        shell.ok("from nbflow.widgets import RunView, RunsView, WorkflowForm")
        done = shell.run(f"1 + 1\n{code}")  # cell 5
        assert done.error is not None
        assert done.error["ename"] == "TypeError"
        assert told in done.error["evalue"]
        assert frames(done) == [(5, 2)]
        assert no_machinery(done)

    def test_others_are_shown_whole(self, shell: Shell) -> None:
        done = shell.run("import json\njson.loads(3)")
        assert "json/__init__.py" in done.traceback


def test_code_of_the_cell_that_raises_when_it_defines(shell: Shell) -> None:
    done = shell.run("%%workflow typed(a: Missing)\nreturn 1")
    assert done.error is not None
    assert done.error["ename"] == "NameError"
    assert frames(done) == [(3, 1)]
    assert no_machinery(done)
    assert "typed" not in shell.names


def test_a_cell_of_functions_that_raises(shell: Shell) -> None:
    done = shell.run("%%workflow\ndef f():\n    1 / 0\nf()")
    assert frames(done) == [(3, 4), (3, 3)]
    assert no_machinery(done)


def test_other_errors_of_nbflow_in_plain_cells(shell: Shell) -> None:
    shell.ok("%%workflow one\nreturn 1")
    done = shell.run("handle = one.invoke()\nhandle.result()\nhandle['nope']")
    assert done.error is not None
    assert done.error["ename"] == "StepNotFound"
    assert frames(done) == [(4, 3)]
    assert no_machinery(done)


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Path]:
    """The test's folder once more, where it can only be read."""
    folder = tmp_path.with_name(f"{tmp_path.name}-seen")
    folder.mkdir()
    try:
        for options in (["--bind", str(tmp_path)], ["-o", "remount,ro,bind"]):
            command = ["mount", *options, str(folder)]
            subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_home_that_can_only_be_read_is_looked_at_and_told_of(
    shell: Shell, seen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.ok("%%workflow one -w --run-id r-1\nreturn 1")
    nbflow.shutdown()
    monkeypatch.setenv("NBFLOW_HOME", str(seen / ".nbflow"))

    assert "r-1" in shell.ok("%workflow runs").text
    assert "completed" in shell.ok("%workflow show r-1").text
    told = shell.ok("%workflow doctor").text
    assert f"{seen / '.nbflow'} may not be written" in told
    for code in ("one.invoke()", "nbflow.Client().runs.delete('r-1')"):
        done = shell.run(f"import nbflow\n{code}")
        assert done.error is not None
        assert done.error["ename"] == "StoreReadOnly"
        assert "can be looked at, but nothing is begun" in done.error["evalue"]
        # Not what the system has said to that, and where.
        assert "OSError" not in done.traceback
        assert no_machinery(done)
    told = shell.run("%workflow invoke one").text
    assert told.startswith("StoreReadOnly: ")
    assert len(told.strip().splitlines()) == 1


def test_all_frames_on_request(shell: Shell) -> None:
    shell.ok("%config NBFlow.short_errors = False")
    done = shell.run("%%workflow bad -w\n1 / 0")
    assert not no_machinery(done)


def test_errors_are_as_before_without_the_extension(shell: Shell) -> None:
    shell.ok("%%workflow bad\n1 / 0")
    shell.ok("%unload_ext nbflow")
    done = shell.run("bad.invoke().result()")
    assert not no_machinery(done)
    shell.ok("%load_ext nbflow")

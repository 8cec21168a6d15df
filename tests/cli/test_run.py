"""`nbflow run`: results, inputs, exit codes, what goes where."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios

import pytest

from .conftest import Cli, read_until, until


def test_the_result_is_json_on_standard_output(cli: Cli) -> None:
    done = cli("run", "flows.py::page", "-i", "title=42", "-i", "count=3")
    assert done.stdout == '{"title":"42","day":"2026-01-03"}\n'
    assert "fetching 42" in done.stderr
    assert "✓ page" in done.stderr
    assert "nbflow show r-" in done.stderr


def test_nothing_but_the_result_is_on_standard_output(cli: Cli) -> None:
    done = cli("run", "flows.py")
    assert done.stdout == "null\n"
    for printed in ("loading", "to the descriptor", "quick"):
        assert printed in done.stderr


def test_fields_win_over_the_whole_input(cli: Cli) -> None:
    done = cli("run", "flows.py::echo", "--input", '{"text": "a"}', "-i", "text=null")
    assert json.loads(done.stdout) == {"text": "null", "data": None}
    done = cli("run", "flows.py::echo", "--input", "-", stdin='{"data": [1]}')
    assert json.loads(done.stdout) == {"text": "", "data": [1]}
    (cli.folder / "input.json").write_text('{"text": "file"}')
    done = cli("run", "flows.py::echo", "--input", "@input.json", "-i", "data=[2]")
    assert json.loads(done.stdout) == {"text": "file", "data": [2]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "missing.ipynb"], "there is no file"),
        (["run", "flows.py::pgae"], "page"),
        (
            ["run", "flows.py::page"],
            "field 'title' is missing. No run was started. Add -i title=… (text)",
        ),
        (["run", "flows.py::limited", "--input", "{}"], "Add -i n=… (a whole number)"),
        (["run", "flows.py::page", "-i", "titel=x"], "did you mean 'title'?"),
        (["run", "flows.py::page", "-i", "count=x"], "no JSON"),
        (["run", "flows.py::page", "-i", "count"], "give a field and its value"),
        (["run", "flows.py::echo", "--input", "{"], "--input is no JSON"),
        (["run", "flows.py::echo", "--input", "@gone.json"], "cannot be read"),
        (["run", "flows.py::echo", "--input", "[]", "-i", "a=1"], "no object"),
        (["rnu", "flows.py"], "did you mean 'run'?"),
        (["show", "nothing"], "there is no run 'nothing'"),
        (["runs", "--status", "fialed"], "did you mean 'failed'?"),
        (["runs", "--limit", "0"], "from 1 to 1,000"),
        (["runs", "--app", "nothing"], "there is no app 'nothing'"),
        ([], "required"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    cli: Cli, words: list[str], message: str
) -> None:
    done = cli(*words, code=2)
    lines = [each for each in done.stderr.splitlines() if each != "loading"]
    assert len(lines) == 1
    assert lines[0].startswith("nbflow: ")
    assert message in lines[0]
    assert done.stdout == ""


def test_code_that_fails_while_loading_shows_the_users_frames(cli: Cli) -> None:
    (cli.folder / "broken.py").write_text("def f():\n    1 / 0\nf()\n")
    done = cli("run", "broken.py", code=1)
    assert "ZeroDivisionError" in done.stderr
    assert 'broken.py", line 2' in done.stderr
    assert "importlib" not in done.stderr
    assert "nbflow/notebook" not in done.stderr


def test_what_is_no_notebook_is_one_line(cli: Cli) -> None:
    (cli.folder / "odd.ipynb").write_text("no JSON")
    done = cli("run", "odd.ipynb", code=2)
    assert len(done.stderr.splitlines()) == 1
    assert "odd.ipynb is not a Jupyter notebook" in done.stderr
    (cli.folder / "odd.ipynb").write_text("[1, 2]")
    assert "its JSON has another form" in cli("run", "odd.ipynb", code=2).stderr


def test_a_cell_that_is_no_python_is_shown_as_lines(cli: Cli) -> None:
    cell = {"cell_type": "code", "source": "def f(:", "metadata": {}, "outputs": []}
    more = {"id": "a", "execution_count": None}
    notebook = {"cells": [cell | more], "metadata": {}, "nbformat": 4}
    notebook["nbformat_minor"] = 5
    (cli.folder / "odd.ipynb").write_text(json.dumps(notebook))
    done = cli("run", "odd.ipynb", code=1)
    assert 'File "odd.ipynb#cell-1", line 1\n    def f(:\n' in done.stderr
    assert "ast.py" not in done.stderr


NOTEBOOK = """
import time
from nbflow import workflow

@workflow
async def first(ctx):
    open("began", "w").close()
    await ctx.run(time.sleep, 60)

@workflow
async def second(ctx):
    return 2
"""


def test_the_command_for_what_was_left_names_its_workflow(cli: Cli) -> None:
    cell = {"cell_type": "code", "source": NOTEBOOK, "metadata": {}, "outputs": []}
    more = {"id": "a", "execution_count": None}
    notebook: dict[str, object] = {"cells": [cell | more], "metadata": {}}
    notebook |= {"nbformat": 4, "nbformat_minor": 5}
    (cli.folder / "two.ipynb").write_text(json.dumps(notebook))
    process = cli.start("run", "two.ipynb::first")
    cli.wait_for("began")
    process.kill()
    process.wait()
    run_id = cli.newest()
    done = cli("run", "two.ipynb::second")
    assert f"nbflow resume {run_id} two.ipynb::first" in done.stderr
    # Without a workflow the target's default would be loaded, and not this one.
    assert "to run" in cli("resume", run_id, "two.ipynb", "--plan").stdout
    (cli.folder / "two.ipynb").write_text(json.dumps(notebook).replace("60", "0"))
    assert cli("resume", run_id, "two.ipynb").stdout == "null\n"


@pytest.mark.parametrize("where", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_do_not_matter(cli: Cli, where: str) -> None:
    command = f'exec "$0" -m nbflow run flows.py::echo {where}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable],
        cwd=cli.folder,
        env=cli.env,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no /dev/full")
def test_a_full_disk_under_the_output_is_one_line(cli: Cli) -> None:
    cli("run", "flows.py::echo")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nbflow", "runs"],
            cwd=cli.folder,
            env=cli.env,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("nbflow: the output cannot be written")
    assert len(done.stderr.splitlines()) == 1


def test_a_target_of_another_app_is_told(cli: Cli) -> None:
    cli("run", "flows.py::fails", code=1)
    cli.make("ready")
    (cli.folder / "others.py").write_text((cli.folder / "flows.py").read_text())
    done = cli("resume", cli.newest(), "others.py")
    assert "app 'flows-run' and goes on with the code of others.py" in done.stderr
    done = cli("rerun", cli.newest(), "flows.py")
    assert "goes on with the code" not in done.stderr


def test_a_failure_tells_what_where_and_how_to_go_on(cli: Cli) -> None:
    done = cli("run", "flows.py::fails", code=1)
    assert done.stdout == ""
    run_id = cli.newest()
    assert (
        f"run {run_id} failed in step 'check': RuntimeError: not ready" in done.stderr
    )
    assert 'flows.py", line' in done.stderr
    assert f"nbflow resume {run_id} flows.py::fails" in done.stderr
    cli.make("ready")
    done = cli("resume", run_id[:12], "flows.py::fails")
    assert done.stdout == '"ready"\n'
    assert "keeps 1 step" in done.stderr
    assert cli.calls() == 1


def test_json_makes_standard_error_events_only(cli: Cli) -> None:
    done = cli("run", "flows.py::page", "--json", "-i", "title=a")
    events = [json.loads(each) for each in done.stderr.splitlines()]
    assert [each["index"] for each in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "run.queued"
    assert events[-1]["type"] == "run.completed"
    assert {each["run_id"] for each in events} == {cli.newest()}
    assert json.loads(done.stdout)["title"] == "A"
    done = cli("run", "flows.py::fails", "--json", code=1)
    assert json.loads(done.stderr.splitlines()[-1])["type"] == "run.failed"


def test_many_steps_are_a_handful_of_lines(cli: Cli) -> None:
    done = cli("run", "flows.py::fan")
    assert json.loads(done.stdout) == sum(n * n for n in range(300))
    assert len(done.stderr.splitlines()) < 40
    assert "300 steps" in done.stderr


def test_a_run_id_gives_the_same_run_again(cli: Cli) -> None:
    words = ("run", "flows.py::page", "-i", "title=a", "--run-id", "mine")
    first = cli(*words)
    second = cli(*words)
    assert first.stdout == second.stdout
    assert cli.calls() == 1
    other = cli("run", "flows.py::page", "-i", "title=b", "--run-id", "mine", code=2)
    assert "another input" in other.stderr


def test_plan_lists_and_runs_nothing(cli: Cli) -> None:
    done = cli("run", "flows.py::page", "--plan")
    assert "runs workflow 'page' in app 'flows-run'" in done.stdout
    assert cli.json("runs", "--json") == []


def test_home_and_app_stand_before_or_after_the_command(cli: Cli) -> None:
    cli("--home", "one", "--app", "a", "run", "flows.py")
    cli("run", "flows.py", "--home", "one", "--app", "b")
    assert {run["app"] for run in cli.json("runs", "--home", "one", "--json")} == {
        "a",
        "b",
    }
    assert len(cli.json("--home", "one", "runs", "--json", "--app", "a")) == 1
    assert cli.json("runs", "--json") == []


def test_the_command_that_resumes_names_the_home(cli: Cli) -> None:
    done = cli("run", "flows.py::fails", "--home", "my home", code=1)
    assert "nbflow --home 'my home' resume r-" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_the_run_and_leaves_it_resumable(
    cli: Cli, number: signal.Signals
) -> None:
    process = cli.start("run", "flows.py::slow")
    cli.wait_for("began")
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert out == ""
    run_id = cli.newest()
    assert "canceling" in err
    assert f"nbflow resume {run_id} flows.py::slow" in err
    assert cli.json("show", run_id, "--json")[0]["status"] == "canceled"
    cli.make("ready")
    assert cli("resume", run_id, "flows.py").stdout == '"done"\n'
    assert cli.calls() == 1


def test_a_second_interrupt_leaves_at_once(cli: Cli) -> None:
    process = cli.start("run", "flows.py::hog")
    cli.wait_for("began")
    read_until(process, "hog")
    process.send_signal(signal.SIGINT)
    read_until(process, "canceling")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert f"left at once: nbflow resume {cli.newest()} flows.py::hog" in err


def test_a_run_of_another_process_is_only_looked_at(cli: Cli) -> None:
    process = cli.start("run", "flows.py::slow")
    cli.wait_for("began")
    run_id = cli.newest()
    watcher = cli.start("resume", run_id)
    read_until(watcher, "slow")
    watcher.send_signal(signal.SIGINT)
    _, err = watcher.communicate(timeout=120)
    assert "goes on in its own process" in err
    assert process.poll() is None
    assert cli.json("show", run_id, "--json")[0]["status"] == "running"


def test_a_terminal_shows_the_tree_and_is_left_in_order(cli: Cli) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "nbflow", "run", "flows.py::page", "-i", "title=a"],
        cwd=cli.folder,
        env=cli.env | {"TERM": "xterm"},
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            some = os.read(ours, 65536)
        except OSError:  # the other side is closed
            some = b""
        if not some:
            break
        shown += some
    os.close(ours)
    assert process.wait(60) == 0
    text = shown.decode()
    assert "✓ fetch" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert text.rindex("\x1b[?7h") > text.rindex("\x1b[?7l")
    assert text.endswith("\r\n")


def test_a_killed_run_waits_and_is_mentioned(cli: Cli) -> None:
    process = cli.start("run", "flows.py::slow")
    cli.wait_for("began")
    process.kill()
    process.communicate()
    run_id = cli.newest()
    shown = cli("show", run_id)
    assert "nobody executes it" in shown.stderr + shown.stdout
    done = cli("run", "flows.py")
    assert f"1 run of an earlier process waits: nbflow resume {run_id}" in done.stderr
    cli.make("ready")
    assert cli("resume", run_id, "flows.py").stdout == '"done"\n'
    assert cli.calls() == 1


SCRIPT = """
import asyncio
from pathlib import Path

from nbflow import Context, workflow


async def nap():
    Path("began").touch()
    await asyncio.sleep(0 if Path("ready").exists() else 60)
    return "rested"


@workflow
async def rest(ctx: Context) -> str:
    return await ctx.run("nap", nap)


rest.invoke().result()
"""


def test_a_script_that_starts_runs_itself_is_a_target_too(cli: Cli) -> None:
    (cli.folder / "script.py").write_text(SCRIPT)
    script = subprocess.Popen(
        [sys.executable, "script.py"], cwd=cli.folder, env=cli.env, text=True
    )
    cli.wait_for("began")
    script.kill()
    script.wait()
    run_id = cli.newest()
    cli.make("ready")
    assert cli("resume", run_id, "script.py").stdout == '"rested"\n'


def test_a_second_process_waits_for_the_first(cli: Cli) -> None:
    first = cli.start("run", "flows.py::short", "-i", "seconds=2")
    cli.wait_for("began")
    second = cli("run", "flows.py")
    assert f"process {first.pid}" in second.stderr
    assert "waiting for another one" in second.stderr
    out, _ = first.communicate(timeout=120)
    assert out == '"rested"\n'


def test_a_reader_that_leaves_is_no_error(cli: Cli) -> None:
    cli("run", "flows.py::fan")
    process = cli.start("events", cli.newest())
    assert process.stdout is not None
    process.stdout.close()
    until(lambda: process.poll() is not None)
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_help_imports_next_to_nothing(cli: Cli) -> None:
    done = cli("--help", PYTHONPROFILEIMPORTTIME="1")
    loaded = {each.rpartition("|")[2].strip() for each in done.stderr.splitlines()}
    assert "nbflow.cli.parser" in loaded
    assert not loaded & {"pydantic", "nbformat", "anyio", "asyncio", "sqlite3"}
    assert "resume" in done.stdout
    assert cli("--version").stdout.startswith("nbflow ")

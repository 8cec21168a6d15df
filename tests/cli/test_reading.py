"""`nbflow runs`, `show`, `events`, `cancel`, `rerun` and `doctor`."""

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from nbflow.cli import main

from .conftest import Cli


def test_runs_are_listed_newest_first_over_all_apps(cli: Cli) -> None:
    assert "no runs in" in cli("runs").stderr
    cli("run", "flows.py", "--app", "one")
    cli("run", "flows.py::fails", "--app", "two", code=1)
    lines = cli("runs").stdout.splitlines()
    assert "two/fails" in lines[0]
    assert "RuntimeError: not ready" in lines[0]
    assert "one/main" in lines[1]
    assert len(cli.json("runs", "--json", "--status", "failed")) == 1
    assert len(cli.json("runs", "--json", "--search", "MAI")) == 1
    assert len(cli.json("runs", "--json", "--limit", "1")) == 1


def test_child_runs_are_listed_where_they_are_asked_for(cli: Cli) -> None:
    cli("run", "flows.py::parent")
    assert [run["workflow"] for run in cli.json("runs", "--json")] == ["parent"]
    assert len(cli.json("runs", "--json", "--children")) == 2
    assert len(cli.json("runs", "--json", "--workflow", "fan")) == 1
    assert "↳ fan" in cli("runs", "--children").stdout


def test_show_tells_of_a_run_and_its_steps(cli: Cli) -> None:
    cli("run", "flows.py::page", "-i", "title=a", "--label", "nightly")
    run_id = cli.newest()
    text = cli("show", run_id[:10]).stdout
    assert f"✓ page  {run_id}  completed" in text
    assert "nightly" in text
    assert '"title":"a"' in text
    assert "✓ fetch" in text
    assert "'A'" in text
    (record,) = cli.json("show", run_id, "--json")
    assert record["input"]["title"] == "a"
    assert record["result"]["title"] == "A"
    assert [step["name"] for step in record["steps"]] == ["fetch"]


def test_show_folds_many_steps_and_tells_of_errors(cli: Cli) -> None:
    cli("run", "flows.py::fan")
    text = cli("show", cli.newest()).stdout
    assert "300/300 done" in text
    assert len(cli("show", cli.newest(), "--all").stdout.splitlines()) > 300
    cli("run", "flows.py::fails", code=1)
    shown = cli("show", cli.newest())
    assert "in step 'check': RuntimeError: not ready" in shown.stdout
    assert f"nbflow resume {cli.newest()}" in shown.stderr


def test_records_as_json_have_public_fields_only(cli: Cli) -> None:
    cli("run", "flows.py::fails", code=1)
    (event, *_) = cli.json("events", cli.newest(), "--json")
    assert list(event) == [
        *("v", "run_id", "index", "type", "timestamp", "step", "attempt", "data")
    ]
    for command in (["events"], ["show"]):
        assert '"_' not in cli(*command, cli.newest(), "--json").stdout


def test_a_run_must_be_named(cli: Cli) -> None:
    for command in ("show", "events", "cancel"):
        told = cli(command, "", code=2).stderr
        assert told == "nbflow: name a run: its id, or the beginning of it\n"


def test_an_ambiguous_beginning_lists_the_candidates(cli: Cli) -> None:
    for name in ("same-1", "same-2", "other"):
        cli("run", "flows.py", "--run-id", name)
    message = cli("show", "same", code=2).stderr
    assert "same-1" in message
    assert "same-2" in message
    assert "other" not in message
    cli("run", "flows.py", "--run-id", "same-1", "--app", "second")
    assert "second" in cli("show", "same-1", code=2).stderr
    assert cli.json("show", "same-1", "--app", "second", "--json")[0]["app"] == "second"


def test_events_are_lines_or_an_array(cli: Cli) -> None:
    cli("run", "flows.py::page", "-i", "title=a")
    lines = cli("events", cli.newest()).stdout.splitlines()
    events = cli.json("events", cli.newest(), "--json")
    assert len(lines) == len(events)
    assert "fetch completed in" in "\n".join(lines)
    assert events[-1]["type"] == "run.completed"
    assert len(cli("events", cli.newest(), "--tail", "2").stdout.splitlines()) == 2


def test_events_can_be_followed_to_the_end_of_the_run(cli: Cli) -> None:
    process = cli.start("run", "flows.py::short", "-i", "seconds=2")
    cli.wait_for("began")
    followed = cli("events", cli.newest(), "--follow", "--json").stdout
    last = json.loads(followed.splitlines()[-1])
    assert last["type"] == "run.completed"
    process.communicate(timeout=120)


def test_cancel_reaches_the_engine_of_another_process(cli: Cli) -> None:
    process = cli.start("run", "flows.py::slow")
    cli.wait_for("began")
    run_id = cli.newest()
    assert cli("cancel", run_id, "--reason", "enough").stdout == (
        f"run {run_id} is canceled\n"
    )
    process.communicate(timeout=120)
    assert process.returncode == 1
    assert cli.json("show", run_id, "--json")[0]["cancel_reason"] == "enough"
    again = cli("cancel", run_id)
    assert f"run {run_id} has ended already: canceled" in again.stdout


def test_resume_says_that_it_needs_a_target(cli: Cli) -> None:
    cli("run", "flows.py::fails", code=1)
    message = cli("resume", cli.newest(), code=2).stderr
    assert "no engine serves app 'flows-run'" in message
    assert f"`nbflow resume {cli.newest()} flows.py::fails`" in message
    assert f"nbflow resume {cli.newest()} flows.py::fails" in (
        cli("show", cli.newest()).stderr
    )


def test_a_target_is_named_as_it_is_found_from_here(cli: Cli) -> None:
    folder = cli.folder / "a folder"
    folder.mkdir()
    (cli.folder / "flows.py").rename(folder / "flows.py")
    cli("run", "a folder/flows.py::fails", code=1)
    run_id = cli.newest()
    message = cli("resume", run_id, code=2).stderr
    assert f"nbflow resume {run_id} 'a folder/flows.py::fails'" in message
    cli.folder = folder
    message = cli("rerun", run_id, code=2).stderr
    assert f"nbflow rerun {run_id} flows.py::fails" in message


def test_a_target_that_is_gone_is_not_suggested(cli: Cli) -> None:
    cli("run", "flows.py::fails", code=1)
    (cli.folder / "flows.py").unlink()
    run_id = cli.newest()
    assert f"resume {run_id} TARGET`" in cli("resume", run_id, code=2).stderr
    assert f"resume {run_id} TARGET" in cli("show", run_id).stderr


def test_a_notebook_is_suggested_for_its_runs(cli: Cli) -> None:
    cell = nbformat.v4.new_code_cell(
        "from nbflow import workflow\n\n\n"
        "@workflow\nasync def main(ctx):\n    raise ValueError('no luck')"
    )
    notebook = nbformat.v4.new_notebook(cells=[cell])
    nbformat.write(notebook, cli.folder / "page.ipynb")
    cli("run", "page.ipynb", code=1)
    run_id = cli.newest()
    message = cli("resume", run_id, code=2).stderr
    assert f"nbflow resume {run_id} page.ipynb::main" in message


def test_resume_plans_and_refreshes(cli: Cli) -> None:
    cli("run", "flows.py::fails", code=1)
    run_id = cli.newest()
    plan = cli("resume", run_id, "flows.py", "--plan").stdout
    assert plan.startswith("keeps 1 step, runs 1")
    assert "kept    fetch" in plan
    assert cli.calls() == 1
    cli.make("ready")
    cli("resume", run_id, "flows.py", "--refresh", "fetch")
    assert cli.calls() == 2
    done = cli("resume", run_id, "flows.py", code=1)
    assert "use rerun" in done.stderr


def test_rerun_makes_a_new_run(cli: Cli) -> None:
    cli("run", "flows.py::page", "-i", "title=a")
    old = cli.newest()
    done = cli("rerun", old, "flows.py", "-i", "title=b")
    assert json.loads(done.stdout)["title"] == "B"
    (record,) = cli.json("show", cli.newest(), "--json")
    assert record["rerun_of"] == old
    done = cli("rerun", old, "flows.py", "--from-step", "fetsch", code=2)
    assert "fetch" in done.stderr


def test_doctor_finds_nothing_wrong_with_a_sound_home(cli: Cli) -> None:
    cli("run", "flows.py")
    done = cli("doctor")
    assert "all is well" in done.stdout
    assert "the database is sound" in done.stdout
    assert {each["state"] for each in cli.json("doctor", "--json")} == {"ok"}


LOOKS = [("runs",), ("show", "r-1"), ("flow",), ("tui", "--snapshot"), ("doctor",)]


def looked(home: Path, words: tuple[str, ...]) -> int:
    """The exit code of a command, in this process: another user may not start one."""
    return main([*words, "--home", str(home)])


@pytest.mark.parametrize("words", LOOKS, ids=lambda words: words[0])
def test_a_home_that_may_not_be_read_is_said(
    home: Path,
    shut: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:
    home.mkdir()
    looked(home, words)  # loads what the other user may not load
    capsys.readouterr()
    shut(home)
    assert looked(home, words) == 1
    told = "".join(capsys.readouterr())
    assert f"{home}: may not be read by this user" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("words", LOOKS, ids=lambda words: words[0])
def test_an_app_that_may_not_be_read_is_said(
    home: Path,
    shut: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:
    (home / "theirs").mkdir(parents=True)
    (home / "theirs" / "store.db").write_bytes(b"no database")
    looked(home, words)  # loads what the other user may not load
    capsys.readouterr()
    home.chmod(0o755)
    shut(home / "theirs")
    assert looked(home, words) != 0
    told = "".join(capsys.readouterr())
    assert f"{home / 'theirs' / 'store.db'}: may not be read by this user" in told
    assert "Traceback" not in told


def test_doctor_finds_what_was_changed(cli: Cli) -> None:
    cli("run", "flows.py")
    store = cli.folder / ".nbflow" / "flows-run" / "store.db"
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE event SET type = 'log' WHERE idx = 2")
    connection.close()
    os.chmod(store, 0o644)
    done = cli("doctor", code=1)
    assert "was changed outside of nbflow" in done.stdout
    assert "chmod 600" in done.stdout
    store.write_bytes(b"no database")
    done = cli("doctor", code=1)
    assert "✗ flows-run" in done.stdout


def test_a_store_that_cannot_be_read_hides_no_other(cli: Cli) -> None:
    cli("run", "flows.py", "--app", "good", "--run-id", "mine")
    cli("run", "flows.py", "--app", "bad")
    (cli.folder / ".nbflow" / "bad" / "store.db").write_bytes(b"no database")
    listed = cli("runs", code=1)
    assert "mine" in listed.stdout
    assert listed.stderr.startswith("nbflow: ")
    assert "mine" in cli("show", "mine").stdout


def test_output_in_ascii_is_ascii(cli: Cli) -> None:
    cli("run", "flows.py::page", "-i", "title=ü日")
    done = cli("show", cli.newest(), PYTHONIOENCODING="ascii")
    assert done.stdout.isascii()
    assert "v page" in done.stdout


def test_reading_makes_no_file(cli: Cli) -> None:
    for words in (["runs"], ["doctor"]):
        cli(*words)
    assert sorted(each.name for each in cli.folder.iterdir()) == [".nbflow", "flows.py"]
    assert list((cli.folder / ".nbflow").iterdir()) == []

"""`nbflow tui --snapshot`: what the monitor would show, as text."""

import json

from tests.cli.conftest import Cli, until


def test_it_counts_all_apps_and_lists_runs_with_their_state_and_reason(
    cli: Cli,
) -> None:
    cli("run", "flows.py::page", "-i", "title=a", "--label", "mine")
    cli("run", "flows.py::fails", code=1)
    shown = cli("tui", "--snapshot", "--width", "200").stdout
    head, counts, blank, failed, done = shown.splitlines()
    assert head.startswith("nbflow  ")
    assert "flows-run · no engine runs" in head
    assert counts == "✗ 1 failed   ✓ 1 completed"
    assert blank == ""
    assert failed.startswith("✗ failed")
    assert failed.endswith("RuntimeError: not ready")
    assert done.startswith("✓ completed")
    assert "[mine] " in done


def test_children_are_counted_but_told_by_their_parents(cli: Cli) -> None:
    cli("run", "flows.py::parent")
    shown = cli("tui", "--snapshot").stdout.splitlines()
    assert shown[1] == "✓ 2 completed"
    assert "parent" in shown[3]
    assert shown[4] == "⋯ 1 more run"


def test_a_home_without_runs_says_so(cli: Cli) -> None:
    assert "no runs" in cli("tui", "--snapshot").stdout
    assert json.loads(cli("tui", "--snapshot", "--json").stdout)["runs"] == []


def test_a_run_is_shown_with_its_timeline_and_decides_the_exit_code(cli: Cli) -> None:
    cli("run", "flows.py::fails", code=1)
    run_id = cli.newest()
    shown = cli("tui", "--snapshot", "--run", run_id[:12], code=1).stdout
    lines = shown.splitlines()
    assert lines[0].startswith(f"✗ fails  {run_id}  failed")
    assert any("✓ fetch" in line for line in lines)
    assert any("✗ check" in line for line in lines)
    assert "in step 'check': RuntimeError: not ready" in shown
    cli("run", "flows.py::page", "-i", "title=a")
    cli("tui", "--snapshot", "--run", cli.newest())


def test_what_a_waiting_run_waits_for_is_told(cli: Cli) -> None:
    wide = ("tui", "--snapshot", "--width", "200")
    serving = cli.start("serve", "flows.py")
    until(lambda: cli("invoke", "--detach", "asks", code=None).returncode == 0)
    until(lambda: "Shall it be done?" in cli(*wide).stdout)
    shown = cli(*wide).stdout
    assert "engine runs" in shown.splitlines()[0]
    assert "▸ 1 running" in shown.splitlines()[1]
    run = cli("tui", "--snapshot", "--run", cli.newest()).stdout
    assert "sure" in run
    assert serving.poll() is None


def test_no_line_is_wider_than_asked(cli: Cli) -> None:
    cli("run", "flows.py::fails", code=1)
    for width in (10, 50, 80):
        for more in ([], ["--run", cli.newest()]):
            shown = cli("tui", "--snapshot", "--width", str(width), *more, code=None)
            assert shown.stdout
            assert max(map(len, shown.stdout.splitlines())) <= width


def test_json_is_one_object_for_machines(cli: Cli) -> None:
    cli("run", "flows.py::fails", code=1)
    whole = json.loads(cli("tui", "--json").stdout)
    assert whole["counts"] == {
        "queued": 0,
        "running": 0,
        "completed": 0,
        "failed": 1,
        "canceled": 0,
        "skipped": 0,
    }
    assert whole["apps"][0]["app"] == "flows-run"
    assert whole["apps"][0]["is_served"] is False
    (run,) = whole["runs"]
    one = json.loads(cli("tui", "--json", "--run", run["run_id"], code=1).stdout)
    assert one["status"] == "failed"
    assert [step["name"] for step in one["steps"]] == ["fetch", "check"]


def test_what_runs_say_cannot_steer_the_terminal(cli: Cli) -> None:
    evil = "\x1b]52;c;ZXZpbA==\x07[bold"
    cli("run", "flows.py::echo", "-i", f"text={evil}")
    for more in ([], ["--run", cli.newest()]):
        shown = cli("tui", "--snapshot", *more).stdout
        assert "\x1b" not in shown
        assert "\x07" not in shown


def test_an_unreadable_store_is_named_and_fails(cli: Cli) -> None:
    cli("run", "flows.py::page", "-i", "title=a")
    store = cli.folder / ".nbflow" / "flows-run" / "store.db"
    for each in store.parent.glob("store.db*"):
        each.write_bytes(b"no database at all " * 100)
    shown = cli("tui", "--snapshot", code=1)
    assert "app flows-run: " in shown.stderr
    assert "no runs" in shown.stdout


def test_without_a_terminal_it_is_a_snapshot(cli: Cli) -> None:
    cli("run", "flows.py::page", "-i", "title=a")
    assert cli("tui").stdout.startswith("nbflow  ")


def test_usage_is_told_in_words(cli: Cli) -> None:
    assert "10 to 1,000" in cli("tui", "--snapshot", "--width", "3", code=2).stderr
    assert "there is no run" in cli("tui", "--snapshot", "--run", "r-x", code=2).stderr


HEAVY = {
    "IPython",
    "anyio",
    "asyncio",
    "nbflow._engine.core",
    "nbflow._engine.host",
    "nbflow._engine.run",
    "nbflow._store.sqlite",
    "nbflow.engine",
    "nbflow.widgets",
    "nbflow.workflows",
    "nbformat",
    "numpy",
    "pandas",
    "pydantic",
    "rich",
    "textual",
    "wcwidth",
}
"""What a command that only reads must start without: each costs 20 ms or more."""


def test_commands_that_read_load_no_engine_and_no_front_end(cli: Cli) -> None:
    cli("run", "flows.py::page", "-i", "title=a")
    cli("run", "flows.py::fails", code=1)
    code = (
        "import sys; from nbflow.cli import main; code = main(sys.argv[1:]);"
        f"loaded = {HEAVY!r} & set(sys.modules); assert not loaded, loaded;"
        "sys.exit(code)"
    )
    run = cli.json("runs", "--json", "--workflow", "page")[0]["run_id"]
    for words in (
        ["tui", "--snapshot"],
        ["tui", "--snapshot", "--run", run],
        ["tui", "--snapshot", "--json"],
        ["runs"],
        ["runs", "--filter", "status:failed", "--json"],
        ["show", run],
        ["events", run],
        ["flow"],
    ):
        done = cli.python(code, *words)
        assert done.returncode == 0, (words, done.stderr)


def test_a_program_of_its_own_collects_garbage_once_it_has_started(cli: Cli) -> None:
    cli("run", "flows.py::page", "-i", "title=a")
    code = (
        "import gc, sys; from nbflow.cli.startup import program;"
        "code = program(sys.argv[1:]);"
        "print(code, gc.isenabled(), gc.get_freeze_count() > 0, file=sys.stderr)"
    )
    for words in (["runs"], ["tui", "--snapshot"]):
        done = cli.python(code, *words)
        assert done.stderr == "0 True True\n"


def test_runs_takes_the_filter_of_the_monitor(cli: Cli) -> None:
    cli("run", "flows.py::page", "-i", "title=a")
    cli("run", "flows.py::fails", code=1)
    (run,) = cli.json("runs", "--json", "--filter", "error:ready since:1h !page")
    assert run["workflow"] == "fails"
    assert cli.json("runs", "--json", "--filter", "app:other") == []
    told = cli("runs", "--filter", "stauts:failed", code=2).stderr
    assert "did you mean status:?" in told

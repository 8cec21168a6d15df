"""`nbflow flow` lists keys and steers them, also without an engine."""

from tests.cli.conftest import Cli, until


def test_keys_are_listed_paused_set_and_resumed(cli: Cli) -> None:
    assert "no flow-control keys" in cli("flow").stderr
    cli("run", "flows.py::main")
    kept = cli("flow", "pause", "api")
    assert "takes effect when one starts" in kept.stderr

    process = cli.start("run", "flows.py::limited", "-i", "n=3")
    until(lambda: any(key["waiting"] for key in cli.json("flow", "--json")))
    listed = cli("flow").stdout
    assert "api" in listed
    assert "1 at once" in listed
    assert "the key is paused" in listed
    run = cli.newest()
    waiting = cli.json("runs", "--json")[0]["waiting"]
    assert (
        waiting[0] == "place 1 for flow key 'api': the key is paused (step 'work[0]')"
    )
    assert "flow key" in cli("show", run).stdout

    assert (
        "2 in 1 min"
        in cli("flow", "set", "api", "--rate", "2", "--period", "1m").stdout
    )
    cli("flow", "reset", "api")
    process.communicate(timeout=120)
    assert process.returncode == 0


def test_wrong_arguments_say_what_is_wrong(cli: Cli) -> None:
    cli("run", "flows.py::main")
    assert "did you mean 'pause'" in cli("flow", "paus", "api", code=2).stderr
    assert "give the KEY" in cli("flow", "pause", code=2).stderr
    assert "--rate" in cli("flow", "set", "api", code=2).stderr
    wrong = cli("flow", "set", "api", "--rate", "0", code=2)
    assert "a whole number between 1" in wrong.stderr

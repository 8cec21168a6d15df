"""`nbflow serve` and `nbflow invoke`: one process executes, others ask."""

import json
import signal

from tests.cli.conftest import Cli, until


def served(cli: Cli, *targets: str):  # type: ignore[no-untyped-def]
    """A process that serves, once it does."""
    process = cli.start("serve", *targets)
    assert process.stderr is not None
    for line in process.stderr:
        if "Ctrl-C stops" in line:
            return process
    raise AssertionError("it never came to serve")


def test_who_invokes_follows_the_run_like_run(cli: Cli) -> None:
    server = served(cli, "flows.py")
    done = cli("invoke", "flows/page", "-i", "title=a", "-i", "count=2")
    assert json.loads(done.stdout) == {"title": "A", "day": "2026-01-02"}
    assert "fetch" in done.stderr

    run = cli("invoke", "page", "-i", "title=b", "--detach", "--app", "flows")
    until(lambda: cli.json("runs", "--json")[0]["status"] == "completed")
    assert cli.newest() == run.stdout.strip()

    failed = cli("invoke", "flows/fails", code=1)
    assert "RuntimeError: not ready" in failed.stderr
    server.send_signal(signal.SIGINT)
    _, told = server.communicate(timeout=120)
    assert server.returncode == 0
    assert "completed after" in told
    assert "stopping" in told


def test_a_workflow_that_names_its_app_is_served_there(cli: Cli) -> None:
    (cli.folder / "two.py").write_text(
        "from nbflow import workflow\n"
        "@workflow(app='office')\nasync def mine(ctx): return 1\n"
        "@workflow\nasync def other(ctx): return 2\n"
    )
    served(cli, "two.py")
    assert cli("invoke", "office/mine").stdout.strip() == "1"
    assert cli("invoke", "two/other").stdout.strip() == "2"


def test_a_field_that_is_missing_is_named_as_it_is_typed(cli: Cli) -> None:
    served(cli, "flows.py")
    refused = cli("invoke", "flows/page", "-i", "count=2", code=2)
    assert refused.stderr.strip().endswith("Add -i title=… (text)")


def test_who_stops_waiting_is_told_how_the_run_is_served(cli: Cli) -> None:
    cli("run", "flows.py::page", "-i", "title=a")
    client = cli.start("invoke", "flows-run/page", "-i", "title=late")
    assert client.stderr is not None
    told = client.stderr.readline()
    assert "waits for `nbflow serve flows.py --app flows-run` or its kernel" in told
    assert any("queued" in each for each in client.stderr)
    client.send_signal(signal.SIGINT)
    _, told = client.communicate(timeout=30)
    assert "waits to be served: nbflow show" in told


def test_what_is_invoked_before_anybody_serves_waits(cli: Cli) -> None:
    served(cli, "flows.py").kill()
    client = cli.start("invoke", "flows/page", "-i", "title=late")
    assert client.stderr is not None
    told = client.stderr.readline()
    assert "nobody serves app 'flows' now" in told
    assert "waits for `nbflow serve flows.py` or its kernel" in told
    served(cli, "flows.py")
    out, _ = client.communicate(timeout=120)
    assert json.loads(out)["title"] == "LATE"


def test_serving_again_takes_up_what_a_kill_has_left(cli: Cli) -> None:
    first = served(cli, "flows.py")
    run = cli("invoke", "flows/slow", "--detach").stdout.strip()
    cli.wait_for("began")
    first.kill()
    first.wait()
    cli.make("ready")
    served(cli, "flows.py")
    until(lambda: cli.json("runs", "--json")[0]["status"] == "completed")
    assert cli.newest() == run
    assert cli.calls() == 1


def test_wrong_names_say_what_there_is(cli: Cli) -> None:
    assert "there is no app" in cli("invoke", "page", code=2).stderr
    served(cli, "flows.py")
    wrong = cli("invoke", "flows/pag", code=2).stderr
    assert "It has 'page'" in wrong
    clash = cli("serve", "flows.py", "flows.py::page", code=2).stderr
    assert "names are unique in an app" in clash


def test_a_target_that_holds_the_engine_itself_is_refused(cli: Cli) -> None:
    cli("run", "flows.py::page", "-i", "title=a", "--app", "flows")
    source = (cli.folder / "flows.py").read_text()
    opened = "\nfrom nbflow import Engine\nengine = Engine(app='flows').start()\n"
    (cli.folder / "flows.py").write_text(source + opened)
    for words in (["serve", "flows.py"], ["rerun", cli.newest(), "flows.py"]):
        assert '`if __name__ == "__main__":`' in cli(*words, code=2).stderr


CALLER = """
from nbflow import Context, reference, workflow


@workflow
async def main(ctx: Context) -> str:
    return await ctx.invoke("slow", reference("slow", app="flows"))
"""


def test_a_child_in_another_process_survives_the_kill_of_both(cli: Cli) -> None:
    (cli.folder / "caller.py").write_text(CALLER)
    server = served(cli, "flows.py")
    caller = cli.start("run", "caller.py")
    cli.wait_for("began")
    for process in (server, caller):
        process.kill()
        process.wait()
    runs = {run["app"]: run for run in cli.json("runs", "--json", "--children")}
    assert runs["flows"]["parent"] == runs["caller-run"]["run_id"]

    cli.make("ready")
    served(cli, "flows.py")
    done = cli("resume", runs["caller-run"]["run_id"], "caller.py")
    assert json.loads(done.stdout) == "done"
    again = {run["app"]: run for run in cli.json("runs", "--json", "--children")}
    assert again["flows"]["run_id"] == runs["flows"]["run_id"]
    assert cli.calls() == 1

"""`nbflow answer` and `nbflow send` reach a run in another process."""

import json

from tests.cli.conftest import Cli, until


def waiting(cli: Cli) -> list[str]:
    """What the newest run waits for."""
    found = cli.json("runs", "--json")
    return list(found[0]["waiting"]) if found else []


def test_a_run_is_answered_and_sent_what_it_waits_for(cli: Cli) -> None:
    process = cli.start("run", "flows.py::asks")
    until(lambda: any("answer" in line for line in waiting(cli)))
    run = cli.newest()
    assert "waiting for an answer to 'Shall it be done?' (step 'sure')" in waiting(cli)

    refused = cli("answer", run, "sure", "perhaps", code=2)
    assert "'perhaps' is no answer to 'Shall it be done?'" in refused.stderr
    refused = cli("answer", run, "shure", "yes", code=2)
    assert "Asking: 'sure'" in refused.stderr
    assert "'sure' is answered" in cli("answer", run, "sure", "yes").stdout

    until(lambda: any("payment" in line for line in waiting(cli)))
    assert "nobody waits" in cli("send", "payment", '{"order": 8}').stdout
    sent = cli("send", "flows-run/payment", '{"order": 7}')
    assert f"1 waiting run: {run}" in sent.stdout

    out, told = process.communicate(timeout=120)
    assert process.returncode == 0
    assert f"answer it with nbflow answer {run} sure VALUE" in told
    assert json.loads(out) == ["payment", {"order": 7}]
    assert "is completed" in cli("answer", run, "sure", "no", code=None).stderr


def test_what_is_sent_while_no_engine_is_alive_is_kept(cli: Cli) -> None:
    process = cli.start("run", "flows.py::asks")
    until(lambda: any("answer" in line for line in waiting(cli)))
    run = cli.newest()
    process.kill()
    process.wait()

    kept = cli("answer", run, "sure", "yes")
    assert "takes effect when one starts" in kept.stderr
    cli("send", "payment", '{"order": 7}', "--run", run)

    done = cli("resume", run, "flows.py")
    assert json.loads(done.stdout) == ["payment", {"order": 7}]


def test_wrong_arguments_say_what_is_wrong(cli: Cli) -> None:
    assert "there is no app" in cli("send", "payment", code=2).stderr
    cli("run", "flows.py::main")
    assert "no JSON" in cli("send", "payment", "{", code=2).stderr
    assert "no such file" in cli("send", "x", "@nothing", code=2).stderr.lower()
    assert "is not allowed" in cli("send", "x", "--event-id", "a b", code=2).stderr

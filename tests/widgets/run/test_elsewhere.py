"""Views of runs that another process executes, and of those that nobody does."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nbflow
from nbflow import Client
from nbflow.widgets.run.commands import perform
from nbflow.widgets.run.live import Live

SCRIPT = Path(__file__).parents[2] / "client" / "serve_process.py"
ROOT = Path(nbflow.__file__).parents[1]


@pytest.fixture
def served(home: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(home)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def test_a_run_of_another_process_is_followed_and_canceled(
    home: Path, served: subprocess.Popen[str]
) -> None:
    client = Client(home, "t")
    run = client.workflows.invoke("nap", input={"seconds": 600})
    live = Live(client, run.run_id)
    while not live.board.steps:
        live.read()
    assert perform(live, {"t": "cancel", "cmd": 5})["text"] == "canceled"
    while not live.is_over:
        live.read()
    assert "nap: canceled" in live.sentence()


def test_a_run_whose_engine_is_gone_is_left(
    home: Path, served: subprocess.Popen[str]
) -> None:
    client = Client(home, "t")
    run = client.workflows.invoke("nap", input={"seconds": 600})
    live = Live(client, run.run_id)
    while not live.board.steps:
        live.read()
    served.kill()
    served.wait()
    while not live.is_left:
        live.read()
        live.look()
    head = live.snapshot()["head"]
    assert head["engine"] == "left"
    assert any("nobody executes it" in each for each in head["waiting"])


def answered(live: Live, row: int, **value: object) -> dict[str, object]:
    said: dict[str, object] = perform(
        live, {"t": "answer", "cmd": 1, "row": row, "value": value}
    )
    return said


def test_what_is_wrong_with_an_answer_is_told_by_field(
    home: Path, served: subprocess.Popen[str]
) -> None:
    live = Live(Client(home, "t"), Client(home, "t").workflows.invoke("buy").run_id)
    while not live.snapshot()["head"]["questions"]:
        live.read()
    (question,) = live.snapshot()["head"]["questions"]
    said = answered(live, question["row"], count=0)
    assert said["problems"] == {"count": "0 is not at least 1", "code": "is missing"}
    assert said["text"] == "the answer does not fit: correct what is marked"
    # What no schema tells is told by the engine itself.
    said = answered(live, question["row"], count=2, code="x-1")
    assert said["problems"] == {"code": "Value error, is none of ours"}
    served.kill()
    served.wait()
    said = answered(live, question["row"], count="two", code="n-1")
    assert said["problems"] == {"count": "'two' is not a whole number"}

"""Commands to an engine in another process, and to none."""

import subprocess
import sys
from pathlib import Path

import pytest

import nbflow
from nbflow import (
    Client,
    InvalidInput,
    RunActive,
    RunCanceled,
    RunFailed,
    RunIdConflict,
    RunNotFound,
    WorkflowNotFound,
)
from nbflow.model import RunStatus

SCRIPT = Path(__file__).with_name("serve_process.py")
ROOT = Path(nbflow.__file__).parents[1]


class Served:
    """Engines in other processes, one at a time."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(self.home)],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture
def served(home):
    served = Served(home)
    served.start()
    yield served
    served.kill()


@pytest.fixture
def client(served, home):
    return Client(home, "t")


def test_a_run_is_started_and_followed(client):
    handle = client.workflows.invoke("nap", input={"seconds": 0.05}, label="x")
    assert handle.run.label == "x"  # durable before invoke returns
    assert [event.type for event in handle.stream()][-1] == "run.completed"
    assert handle.result(60) == 0.05
    many = client.workflows.invoke_many("nap", [{"seconds": 0.01}] * 20)
    assert [each.result(60) for each in many] == [0.01] * 20


def test_large_values_go_with_a_command(client):
    data = bytes(range(256)) * 1_000
    handle = client.workflows.invoke("size", input={"data": data})
    assert handle.result(60) == len(data)
    assert handle.run.input == {"data": data}


def test_refusals_come_back_as_their_errors(client):
    with pytest.raises(InvalidInput, match="'fail'"):
        client.workflows.invoke("fail", input={"x": "y"})
    with pytest.raises(WorkflowNotFound, match="'nap'"):
        client.workflows.invoke("map")
    client.workflows.invoke("nap", run_id="mine").result(60)
    with pytest.raises(RunIdConflict):
        client.workflows.invoke("fail", input={"x": 1}, run_id="mine")
    with pytest.raises(RunNotFound):
        client.runs.cancel("nope")


def test_cancel_resume_rerun_and_delete_reach_it(client):
    handle = client.workflows.invoke("nap", input={"seconds": 3600})
    with pytest.raises(RunActive):
        client.runs.resume(handle.run_id)
    assert client.runs.cancel(status="running", reason="no") == [handle.run_id]
    with pytest.raises(RunCanceled, match="no"):
        handle.result(60)
    resumed = handle.resume()
    assert resumed.status is RunStatus.RUNNING
    assert handle.cancel()
    rerun = handle.rerun(input={"seconds": 0.02})
    assert rerun.result(60) == 0.02
    assert rerun.run.rerun_of == handle.run_id
    assert client.runs.delete([handle.run_id, rerun.run_id]) == 2
    assert client.runs.list() == []


def test_a_failure_has_the_users_frames(client):
    handle = client.workflows.invoke("fail", input={"x": 1})
    with pytest.raises(RunFailed, match="ValueError: no 1") as info:
        handle.result(60)
    assert "in fail" in info.value.error.traceback
    with pytest.raises(RunFailed):
        handle.resume().result(60)


def test_without_an_engine_commands_are_kept_and_said_to_be(client, served):
    live = client.workflows.invoke("nap", input={"seconds": 3600})
    served.kill()
    message = "no engine serves app 't': recorded, takes effect when one starts"
    with pytest.warns(UserWarning, match=message) as caught:
        handle = client.workflows.invoke("nap", input={"seconds": 0.02})
    assert caught[0].filename == __file__
    assert handle.status is RunStatus.QUEUED
    assert "engine that is to start it" in repr(handle)
    with pytest.warns(UserWarning, match=message):
        assert client.runs.cancel(live.run_id) == []
    with pytest.raises(TimeoutError):
        handle.result(0.05)
    served.start()
    assert handle.result(60) == 0.02
    with pytest.raises(RunCanceled):
        live.result(60)


def test_who_waits_for_a_kept_command_learns_that_it_was_refused(client, served):
    client.workflows.invoke("nap", run_id="mine").result(10)
    served.kill()
    with pytest.warns(UserWarning, match="takes effect when one starts"):
        refused = [
            client.workflows.invoke("even", input={"x": 1}),
            *client.workflows.invoke_many("even", [{"x": 1}]),
            client.runs.rerun("mine", input={"seconds": "long"}),
        ]
    assert [each.status for each in refused] == [RunStatus.QUEUED] * 3
    served.start()
    for handle in refused:
        with pytest.raises(InvalidInput, match="No run was started"):
            handle.result(60)
        with pytest.raises(InvalidInput):
            _ = handle.status
        assert "InvalidInput" in repr(handle)


def test_without_an_engine_the_catalogue_still_knows_the_inputs(client, served):
    served.kill()
    with pytest.raises(InvalidInput, match="'fail'.* 'x' = 'y': should be a whole"):
        client.workflows.invoke("fail", input={"x": "y"})
    with pytest.raises(InvalidInput, match="'seconds'") as caught:
        client.workflows.invoke_many("nap", [{"seconds": 1}, {"second": 1}])
    assert caught.value.problems == {"second": "is unknown (did you mean 'seconds'?)"}
    served.start()
    assert client.runs.list() == []


def test_without_an_engine_the_catalogue_still_knows_the_names(client, served):
    served.kill()
    with pytest.raises(WorkflowNotFound, match="'nap'"):
        client.workflows.invoke("map")


def test_a_killed_engine_leaves_its_runs_waiting(client, served):
    handle = client.workflows.invoke("nap", input={"seconds": 0.5})
    served.kill()
    assert handle.run.waiting[0] == "nobody executes it: its engine is gone"
    assert "nobody executes it" in repr(handle)
    served.start()
    assert handle.result(60) == 0.5
    assert handle.run.recoveries == 1

"""Files of the inbox: applied exactly once, whatever they say and whenever it ends."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbflow import Context
from nbflow._engine import commands
from nbflow._store import inbox
from nbflow._store.paths import make_app
from nbflow.model import RunStatus
from tests.engine.lab import Lab

NEW = "r-new"


class World:
    """What workflows do besides, shared by all lives."""

    calls = 0
    is_broken = False


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> type[World]:
    monkeypatch.setattr(World, "calls", 0)
    monkeypatch.setattr(World, "is_broken", False)
    return World


def work() -> int:
    World.calls += 1
    if World.is_broken:
        raise LookupError("broken")
    return World.calls


async def main(ctx: Context) -> int:
    value: int = await ctx.run("work", work)
    return value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_app(tmp_path / "app")
    return tmp_path / "app"


def apply(lab: Lab, folder: Path) -> None:
    commands.apply_inbox(lab.core, folder)
    lab.let(1)


def outcome(lab: Lab, id: str) -> dict[str, Any]:
    stored = lab.store.command(id)
    assert stored is not None, "it was not applied"
    found: dict[str, Any] = json.loads(stored)
    return found


def crash_after_one_commit(lab: Lab, folder: Path) -> Lab:
    lab.fuse.set(1, lambda: None)
    apply(lab, folder)
    return lab.crash()


def rerun(run_id: str) -> dict[str, Any]:
    return {"kind": "rerun", "run_id": run_id, "new_run_id": NEW, "from_step": "work"}


def resume(run_id: str) -> dict[str, Any]:
    return {"kind": "resume", "run_id": run_id}


@pytest.mark.parametrize("make", [rerun, resume])
def test_a_crash_right_after_its_first_commit_repeats_no_command(
    folder: Path, make: Callable[[str], dict[str, Any]], world: type[World]
) -> None:
    lab = Lab(main)
    world.is_broken = True
    run_id = lab.start("main")
    assert lab.wait_for_end(run_id).status is RunStatus.FAILED
    world.is_broken = False
    command = make(run_id)
    started = command.get("new_run_id", run_id)
    id = inbox.put(folder, command)

    lab = crash_after_one_commit(lab, folder)
    assert outcome(lab, id) == {"ok": started}
    before = lab.story(started, "")
    apply(lab, folder)

    assert lab.core.stopped is None
    assert lab.story(started, "") == before
    assert inbox.take(folder) == []
    assert lab.recover() == [started]
    assert lab.wait_for_end(started).value == 2


def test_a_rerun_that_is_there_already_is_the_answer(folder: Path) -> None:
    lab = Lab(main)
    run_id = lab.start("main")
    lab.wait_for_end(run_id)
    ids = [inbox.put(folder, rerun(run_id)) for _ in range(2)]
    apply(lab, folder)
    ids.append(inbox.put(folder, rerun(run_id)))
    apply(lab, folder)
    assert [outcome(lab, id) for id in ids] == [{"ok": NEW}] * 3
    assert lab.wait_for_end(NEW).value == 2

    again = inbox.put(folder, rerun(NEW) | {"new_run_id": run_id})
    apply(lab, folder)
    assert outcome(lab, again)["error"]["type"] == "RunIdConflict"
    assert lab.core.stopped is None


INVOKE = {"kind": "invoke", "workflow": "main", "run_id": NEW}
BAD = "\ud800"


@pytest.mark.parametrize(
    ("command", "type"),
    [
        (INVOKE | {"label": ["a"]}, "InvalidOption"),
        (INVOKE | {"label": BAD}, "InvalidOption"),
        (INVOKE | {"run_id": ["a"]}, "InvalidRunId"),
        (INVOKE | {"run_id": 5}, "InvalidRunId"),
        (INVOKE | {"run_id": BAD}, "InvalidRunId"),
        (INVOKE | {"workflow": BAD}, "WorkflowNotFound"),
        (INVOKE | {"headers": {"a": 1}}, "InvalidOption"),
        (INVOKE | {"headers": {"a": BAD}}, "InvalidOption"),
        (INVOKE | {"wake": 1.5}, "InvalidOption"),
        (INVOKE | {"wake": True}, "InvalidOption"),
        (INVOKE | {"wake": 1 << 62}, None),
        (INVOKE | {"options": {"retries": "x"}}, "InvalidOption"),
        (INVOKE | {"options": [1]}, None),
        ({"kind": "rerun", "run_id": "OLD", "new_run_id": ["a"]}, "InvalidRunId"),
        ({"kind": "rerun", "run_id": ["a"]}, "InvalidRunId"),
        ({"kind": "rerun", "run_id": "OLD", "from_step": BAD}, "StepNotFound"),
        (
            {"kind": "rerun", "run_id": "OLD", "from_step": "work", "step_input": 7},
            "InvalidOption",
        ),
        ({"kind": "resume"}, "InvalidRunId"),
        ({"kind": "resume", "run_id": "OLD", "refresh": 5}, "InvalidOption"),
        ({"kind": "resume", "run_id": "OLD", "refresh": [[1]]}, "InvalidOption"),
        ({"kind": "cancel", "run_ids": "OLD"}, "InvalidOption"),
        ({"kind": "cancel", "run_ids": [["OLD"]]}, "InvalidOption"),
        ({"kind": "delete", "run_ids": [5]}, "InvalidOption"),
        ({"kind": BAD}, "InvalidOption"),
    ],
)
def test_what_cannot_be_stored_or_done_is_refused_and_the_engine_lives(
    folder: Path, command: dict[str, Any], type: str | None, world: type[World]
) -> None:
    lab = Lab(main)
    world.is_broken = True
    old = lab.start("main")
    lab.wait_for_end(old)
    world.is_broken = False
    if command.get("run_id") == "OLD":
        command = command | {"run_id": old}
    id = inbox.put(folder, command)
    good = inbox.put(folder, INVOKE | {"run_id": "good"})
    before = lab.story(old, "")

    apply(lab, folder)

    assert lab.core.stopped is None
    error = outcome(lab, id)["error"]
    assert type is None or error["type"] == type
    assert outcome(lab, good) == {"ok": "good"}
    assert lab.wait_for_end("good").value == 2
    assert lab.story(old, "") == before
    assert lab.store.run(NEW) is None


def test_a_command_refused_for_want_of_space_waits(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(main)
    run_id = lab.start("main")
    lab.wait_for_end(run_id)
    id = inbox.put(folder, rerun(run_id))
    lab.start("main")  # what the command's look-up has to commit first

    fill_disk(lab, monkeypatch)
    commands.apply_inbox(lab.core, folder)
    assert lab.store.command(id) is None
    monkeypatch.undo()
    lab.let(5)
    apply(lab, folder)
    assert outcome(lab, id) == {"ok": NEW}


def test_a_file_that_cannot_be_removed_is_said_once_and_disturbs_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lab = Lab(main)
    inbox.put(folder, INVOKE)
    tries: list[Path] = []

    def refuse(path: Path, missing_ok: bool = False) -> None:
        tries.append(path)
        raise PermissionError(13, "not yours")

    monkeypatch.setattr(Path, "unlink", refuse)
    for _ in range(3):
        apply(lab, folder)
    assert len(tries) == 1
    assert caplog.text.count("its file cannot be removed") == 1
    assert lab.wait_for_end(NEW).value == 1
    inbox.put(folder, INVOKE | {"run_id": "next"})
    apply(lab, folder)
    assert lab.wait_for_end("next").value == 2


def test_a_full_disk_is_said_once_however_long_it_lasts(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lab = Lab(main)
    fill_disk(lab, monkeypatch)
    run_id = lab.start("main")
    lab.let(60)
    assert caplog.text.count("nbflow: paused") == 1
    monkeypatch.undo()
    lab.wait_for_end(run_id)
    assert caplog.text.count("there is space again") == 1


def fill_disk(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbflow.errors import StoreFull

    def full(batch: Any) -> None:
        raise StoreFull("no space in the test")

    monkeypatch.setattr(lab.store, "commit", full)

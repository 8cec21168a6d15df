"""Keys that act on the runs that are looked at."""

from pathlib import Path

import pytest
from nbflow_tui.app import Monitor
from nbflow_tui.dialogs import (
    AnswerDialog,
    CancelDialog,
    InvokeDialog,
    RerunDialog,
    ResumeDialog,
    ResumeSeveralDialog,
    SendDialog,
)
from nbflow_tui.pending import Sent
from nbflow_tui.queues import QueuesScreen
from nbflow_tui.screen import MonitorScreen

from nbflow import Client
from nbflow.model import RunStatus
from tests.tui.stage import eventually, until

pytestmark = pytest.mark.anyio


def is_open(app: Monitor, kind: type) -> bool:
    return isinstance(app.screen, kind)


def has_runs(app: Monitor) -> bool:
    return is_open(app, MonitorScreen) and bool(app.main.runs.items)


async def test_c_and_r_cancel_and_resume_the_selected_run(
    store: Client, home: Path
) -> None:
    handle = store.workflows.invoke("waits")
    app = Monitor(home)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: has_runs(app))
        await pilot.press("c")
        await until(pilot, lambda: is_open(app, CancelDialog))
        await pilot.press("enter")
        await until(pilot, lambda: is_open(app, MonitorScreen))
        eventually(lambda: handle.status is RunStatus.CANCELED)
        item = app.main.runs
        await until(pilot, lambda: item.item.run.status is RunStatus.CANCELED)  # type: ignore[union-attr]
        await pilot.press("r")
        await until(pilot, lambda: is_open(app, ResumeDialog))
        await pilot.press("enter")
        await until(pilot, lambda: is_open(app, MonitorScreen))
        eventually(lambda: not handle.run.is_ended)
        await until(pilot, lambda: item.item.run.status is RunStatus.RUNNING)  # type: ignore[union-attr]
        await until(pilot, lambda: not len(app.pending))


async def test_marked_runs_are_canceled_and_resumed_at_once(
    store: Client, home: Path
) -> None:
    handles = [store.workflows.invoke("waits") for _ in range(3)]
    store.workflows.invoke("limited")
    app = Monitor(home)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: len(app.main.runs.items) == 4)
        await pilot.press("down", "space", "space", "space", "c")
        await until(pilot, lambda: is_open(app, CancelDialog))
        assert app.screen.send_label == "Cancel 3 runs"  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, lambda: is_open(app, MonitorScreen))
        eventually(lambda: all(each.run.is_ended for each in handles))
        await until(pilot, lambda: not app.main.runs.marked)
        await until(pilot, lambda: app.main.runs.items[3].run.is_ended)
        await pilot.press("home", "space", "space", "space", "space", "r")
        await until(pilot, lambda: is_open(app, ResumeSeveralDialog))
        assert app.screen.send_label == "Resume 3 runs"  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, lambda: is_open(app, MonitorScreen))
        eventually(lambda: not any(each.run.is_ended for each in handles))
        await until(pilot, lambda: not len(app.pending))


async def test_a_row_says_what_is_on_its_way(store: Client, home: Path) -> None:
    handle = store.workflows.invoke("waits")
    app = Monitor(home)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: has_runs(app))
        app.sent(Sent("cancel", "store", (handle.run_id,)))
        store.workflows.invoke("waits")  # something is committed
        await until(
            pilot, lambda: "canceling…" in [each.note for each in app.main.runs.items]
        )


async def test_other_keys_open_their_dialogs(store: Client, home: Path) -> None:
    handle = store.workflows.invoke("asks")
    eventually(lambda: bool(handle.run.waiting))
    app = Monitor(home)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: has_runs(app))
        for key, kind in (
            ("R", RerunDialog),
            ("a", AnswerDialog),
            ("S", SendDialog),
            ("i", InvokeDialog),
            ("Q", QueuesScreen),
        ):
            await pilot.press(key)
            await until(pilot, lambda kind=kind: is_open(app, kind))
            await pilot.press("escape")
            await until(pilot, lambda: is_open(app, MonitorScreen))


async def test_what_makes_no_sense_is_said(store: Client, home: Path) -> None:
    store.workflows.invoke("waits")
    app = Monitor(home)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: has_runs(app))
        for key, words in (
            ("r", "only failed and canceled runs"),
            ("a", "it asks nothing"),
            ("E", "select a step"),
        ):
            await pilot.press(key)
            await until(
                pilot,
                lambda words=words: any(
                    words in each.message for each in app._notifications
                ),
            )


async def test_read_only_hides_every_action(store: Client, home: Path) -> None:
    store.workflows.invoke("waits")
    app = Monitor(home, read_only=True)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: has_runs(app))
        await pilot.press("c", "r", "R", "E", "a", "S", "i")
        await pilot.pause()
        assert is_open(app, MonitorScreen)
        enabled = {
            each.binding.action
            for each in app.screen.active_bindings.values()
            if each.enabled
        }
        assert not enabled & {"cancel", "resume", "rerun", "send", "answer", "invoke"}


async def test_on_other_screens_the_keys_do_nothing(store: Client, home: Path) -> None:
    store.workflows.invoke("waits")
    app = Monitor(home)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: has_runs(app))
        await pilot.press("Q")
        await until(pilot, lambda: is_open(app, QueuesScreen))
        await pilot.press("c", "R", "i")
        await pilot.pause()
        assert is_open(app, QueuesScreen)

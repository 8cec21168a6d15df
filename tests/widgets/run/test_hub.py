"""The sender thread: alone in sending, in no cell's context, and hard to kill."""

import contextvars
import logging
import threading
from dataclasses import dataclass, field

import pytest

from nbflow.widgets.run.hub import Hub
from nbflow.widgets.run.pace import Pace

LIMIT = 60.0
CELL = contextvars.ContextVar("cell", default="none")


@dataclass(eq=False)
class Member:
    """Counts its ticks."""

    wanted: int = 3
    pace: Pace = field(default_factory=Pace)
    ticks: int = 0
    cell: str = ""
    thread: str = ""
    error: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def tick(self, now: float, visible: int, hidden: int) -> float | None:
        self.ticks += 1
        self.cell, self.thread = CELL.get(), threading.current_thread().name
        if self.ticks < self.wanted:
            return now
        self.done.set()
        return None

    def fail(self, error: Exception) -> None:
        self.error = error
        self.done.set()


class Broken(Member):
    """Fails at its first tick."""

    def tick(self, now: float, visible: int, hidden: int) -> float | None:
        raise ValueError("no good")


def refuse() -> None:
    raise ValueError("no good either")


def test_members_are_called_in_the_thread_without_a_cells_context() -> None:
    CELL.set("In[5]")
    member = Member()
    Hub().add(member)
    assert member.done.wait(LIMIT)
    assert (member.ticks, member.cell, member.thread) == (3, "none", "nbflow-views")


def test_what_fails_is_told_and_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "nbflow")
    hub, broken, member = Hub(), Broken(), Member()
    hub.add(broken)
    hub.post(refuse)
    hub.add(member)
    assert broken.done.wait(LIMIT)
    assert member.done.wait(LIMIT)
    assert str(broken.error) == "no good"
    assert "a view of nbflow has failed" in caplog.text


def test_one_that_was_removed_is_not_called_again() -> None:
    hub, member = Hub(), Member(wanted=10**9)
    hub.add(member)
    hub.remove(member)
    gone = threading.Event()
    hub.post(gone.set)
    assert gone.wait(LIMIT)
    seen = member.ticks
    other = Member(wanted=50)
    hub.add(other)
    assert other.done.wait(LIMIT)
    assert member.ticks == seen

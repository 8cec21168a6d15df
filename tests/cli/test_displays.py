"""The tree on a terminal, drawn onto a small one of the test's own."""

import datetime as dt
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow.cli.displays import Above, Json, Lines, Tree
from nbflow.model import EventType, RunEvent
from nbflow.view import Board, cells

START = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
_CODE = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])")


class Terminal(io.StringIO):
    """Understands what the tree writes; lines that have scrolled off stay in `rows`."""

    encoding = "utf-8"

    def __init__(self, columns: int, lines: int) -> None:
        super().__init__()
        self.columns, self.lines = columns, lines
        self.rows = [""]
        self.row = self.column = 0
        self.wraps = self.shows_cursor = True

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        place = 0
        while place < len(text):
            found = _CODE.match(text, place)
            if found:
                self._obey(found[1], found[2])
                place = found.end()
                continue
            self._print(text[place])
            place += 1
        return len(text)

    def _obey(self, given: str, letter: str) -> None:
        if letter == "A":
            top = max(len(self.rows) - self.lines, 0)
            self.row = max(self.row - int(given), top)
        elif letter == "K":
            self.rows[self.row] = self.rows[self.row][: self.column]
        elif letter == "J":
            self.rows[self.row] = self.rows[self.row][: self.column]
            del self.rows[self.row + 1 :]
        elif given == "?7":
            self.wraps = letter == "h"
        elif given == "?25":
            self.shows_cursor = letter == "h"
        else:
            assert letter == "m" or given == "?2026"

    def _print(self, char: str) -> None:
        if char == "\r":
            self.column = 0
            return
        if char == "\n":
            self._next_row()
            return
        assert ord(char) >= 32
        if self.column >= self.columns:
            if not self.wraps:
                return
            self.column = 0
            self._next_row()
        line = self.rows[self.row].ljust(self.column)
        self.rows[self.row] = line[: self.column] + char + line[self.column + 1 :]
        self.column += 1

    def _next_row(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append("")

    @property
    def shown(self) -> list[str]:
        return [each.rstrip() for each in self.rows]


class Story:
    """Makes events for a board and a display."""

    def __init__(self) -> None:
        self.board = Board(run_id="r-1")
        self.index = 0

    def event(self, type: str, step: str | None = None, **data: object) -> RunEvent:
        self.index += 1
        at = START + dt.timedelta(seconds=self.index)
        made = RunEvent(1, "r-1", self.index, EventType(type), at, step, 1, data)
        self.board.apply(made)
        return made


@pytest.fixture(autouse=True)
def _size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "8")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


def test_the_tree_is_redrawn_in_place() -> None:
    terminal, story = Terminal(40, 8), Story()
    tree = Tree(terminal)
    tree.take([story.event("run.queued", workflow="main")], story.board)
    for name in ("a", "b"):
        for kind in ("step.started", "step.completed"):
            story.event(kind, name)
            tree._due = 0.0
            tree.tick(story.board)
    tree.close(story.board)
    assert [each.split()[:2] for each in terminal.shown] == [
        ["∙", "main"],
        ["✓", "a"],
        ["✓", "b"],
        [],
    ]
    assert terminal.wraps
    assert terminal.shows_cursor


def test_what_is_said_scrolls_by_above_the_tree() -> None:
    terminal, story = Terminal(40, 8), Story()
    tree = Tree(terminal)
    tree.take([story.event("run.queued", workflow="main")], story.board)
    tree.note("a note")
    tree.take([story.event("log", "a", message="hello", level="info")], story.board)
    Above(tree, io.StringIO()).write("printed\nhalf")
    tree._due = 0.0
    tree.tick(story.board)
    assert terminal.shown[:3] == ["a note", "│ a: hello", "printed"]
    assert terminal.shown[3].startswith("∙ main")
    tree.close(story.board)
    assert terminal.shown[3] == "half"
    assert terminal.shown[4].startswith("∙ main")


def test_the_tree_is_not_higher_than_the_terminal() -> None:
    terminal, story = Terminal(40, 8), Story()
    tree = Tree(terminal)
    for name in "abcdefghijkl":
        story.event("step.started", name)
        tree._due = 0.0
        tree.tick(story.board)
    assert len(terminal.shown) <= 8
    assert "more rows" in terminal.shown[1]


LINE = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=90)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("step"), st.sampled_from(["a", "b", "m[0]", "m[1]", "c" * 60])
        ),
        st.tuples(st.just("say"), LINE),
        st.tuples(st.just("draw"), st.just("")),
    ),
    max_size=25,
)


@given(ACTIONS)
def test_nothing_is_ever_left_behind_or_overwritten(
    actions: list[tuple[str, str]],
) -> None:
    terminal, story = Terminal(40, 8), Story()
    tree = Tree(terminal)
    said: list[str] = []
    for action, text in actions:
        if action == "step":
            story.event("step.started", text)
        elif action == "say":
            tree.note(text)
            said += [text[i : i + 40].rstrip() for i in range(0, len(text), 40)] or [""]
        else:
            tree._due = 0.0
            tree.tick(story.board)
    tree._due = 0.0
    tree.tick(story.board)
    shown = terminal.shown
    assert shown[: len(said)] == said
    assert shown[len(said)].startswith("∙ run  r-1")
    frame = shown[len(said) :]
    assert len(frame) <= 8
    assert all(cells(each) < 40 for each in frame)
    assert sum("run  r-1" in each for each in frame) == 1


def test_lines_are_rare_in_a_storm_but_errors_come_through() -> None:
    stream, story = io.StringIO(), Story()
    lines = Lines(stream)
    events = []
    for item in range(1000):
        events.append(story.event("step.started", f"m[{item}]", kind="run"))
        events.append(story.event("step.completed", f"m[{item}]"))
    error = {"type": "OSError", "message": "gone"}
    events.append(story.event("step.failed", "z", error=error))
    lines.take(events, story.board)
    lines.close(story.board)
    text = stream.getvalue()
    assert len(text.splitlines()) < 25
    assert "z failed  OSError: gone" in text
    assert "1,000/1,001 steps" in text


def test_a_note_keeps_its_lines() -> None:
    stream = io.StringIO()
    display = Lines(stream)
    display.note("Traceback:\n\x1b[2J  here")
    assert stream.getvalue() == "Traceback:\n\\x1b[2J  here\n"


def test_a_run_that_is_over_has_one_line() -> None:
    stream, story = io.StringIO(), Story()
    display = Lines(stream)
    display.take([story.event("run.completed", duration=1.0)], story.board)
    display.close(story.board)
    assert stream.getvalue().count("completed") == 1


def test_json_is_one_event_a_line() -> None:
    stream, story = io.StringIO(), Story()
    display = Json(stream)
    display.note("nobody reads this")
    display.take([story.event("log", "a", message="x\ny")], story.board)
    (line,) = stream.getvalue().splitlines()
    assert '"message":"x\\ny"' in line

"""The rows of a run's view: what the browser has of them, and what it is to be told.

Pure: events go in, whole rows come out, in messages of limited size. A view holds at
most 10,000 rows and 900 KB of them. Where a run has more, the largest maps fold: of
their items those that go on or have failed are shown, all when the map is opened.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from nbflow.model import RunEvent, StepStatus
from nbflow.view import Board
from nbflow.view.states import BUSY, FAILED
from nbflow.view.tree import Node, Tree
from nbflow.widgets.run.row import holder_row, step_row
from nbflow.widgets.run.texts import size

MAX_ROWS = 10_000
MAX_BYTES = 900_000
"""Of rows in a view; a snapshot has a head and a log beside them."""
MESSAGE_ROWS = 500
MESSAGE_BYTES = 56_000
"""Of rows in one message, so that with head and log it stays below 64 KB."""

_FOLDED = 500
_OPENED = 5_000
_CHILDREN = frozenset({"invoke", "start"})


@dataclass(slots=True)
class _Fold:
    """What a folded node shows of its members."""

    is_opened: bool = False
    kept: set[int] = field(default_factory=set)

    @property
    def room(self) -> int:
        """How many members it may show."""
        return _OPENED if self.is_opened else _FOLDED


@dataclass(slots=True)
class Watched:
    """A run whose steps are in the view: the run itself, or an opened child."""

    board: Board
    tree: Tree
    above: int  # number of the row that has started it; 0: the view's own run


class Rows:
    """The rows of one view.

    Args:
        board: the run. Events are given to its board by `take`.
        max_rows: rows in the view.
        max_bytes: of all of them.

    Attributes:
        runs: those whose steps are in the view, by id.
        main: the view's own.
        asking: the steps that wait for a person, by row.
    """

    def __init__(
        self, board: Board, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES
    ) -> None:
        self._numbers = itertools.count(1)
        self._max = (max_rows, max_bytes)
        self.runs = {board.run_id: Watched(board, Tree(board, self._numbers), 0)}
        self.main = self.runs[board.run_id]
        self._nodes: dict[int, tuple[Node, Watched]] = {}
        self._sent: dict[int, int] = {}  # bytes of the rows that the browser has
        self._bytes = 0
        self._folds: dict[tuple[int, int], _Fold] = {}
        self.asking: dict[int, Node] = {}
        self._urgent: dict[int, None] = {}
        self._dirty: dict[int, None] = {}

    @property
    def has_changes(self) -> bool:
        """Whether the browser lacks anything."""
        return bool(self._urgent or self._dirty)

    def take(self, run_id: str, events: Iterable[RunEvent]) -> None:
        """Take the next events of a run that is in the view."""
        watched = self.runs[run_id]
        apply = watched.board.apply
        for event in events:
            apply(event)
        self._update(watched)

    def node(self, row: int) -> tuple[Node, Watched] | None:
        """The node of a row, and the run that it is in; None for the run itself."""
        return self._nodes.get(row)

    def row_of(self, run_id: str, step: str | None) -> int:
        """The row of a step; 0 for the run's own."""
        watched = self.runs.get(run_id)
        if watched is None:
            return 0
        node = watched.tree.steps.get(step) if step is not None else None
        return watched.above if node is None else node.number

    # Opening and closing

    def open_fold(self, row: int, on: bool) -> bool:
        """Show more, or again less, of a folded map; False: the row is none."""
        found = self._nodes.get(row)
        fold = None if found is None else self._folds.get(_place(*found))
        if found is None or fold is None:
            return False
        fold.is_opened = on
        fold.kept.clear()
        for member in found[0].members:
            self._mark(member)
        return True

    def open_run(self, row: int, board: Board) -> None:
        """Show the steps of a child run below the row that has started it."""
        watched = Watched(board, Tree(board, self._numbers), row)
        self.runs[board.run_id] = watched
        self._update(watched)

    def close_run(self, run_id: str) -> list[str]:
        """Take a child run out of the view, with what is open below it; their ids."""
        watched = self.runs.pop(run_id, None)
        if watched is None:
            return []
        gone = [run_id]
        for node in list(watched.tree.walk()):
            child = None if node.facts is None else node.facts.child
            if child in self.runs and self.runs[child].above == node.number:
                gone += self.close_run(child)
            self._mark(node.number)
            self.asking.pop(node.number, None)
        return gone

    # What to tell

    def whole(self) -> list[list[Any]]:
        """All rows of the view, each after its parent."""
        self._fold_many()
        while True:
            rows, sizes = [], {}
            for watched in self.runs.values():
                for node in watched.tree.walk():
                    if self._is_shown(node, watched):
                        row = self._row(node, watched)
                        rows.append(row)
                        sizes[node.number] = size(row) + 2
            if not self._is_too_much(len(rows), sum(sizes.values())):
                break
            if not self._fold_largest():
                break
        for place, bytes_ in sizes.items():
            self._note_sent(place, bytes_)
        return sorted(rows, key=lambda row: row[0])

    def forget_changes(self) -> None:
        """Tell nothing of what has changed so far: it is told as a whole."""
        self._urgent.clear()
        self._dirty.clear()

    def take_changes(
        self, limit: int = MESSAGE_ROWS, limit_bytes: int = MESSAGE_BYTES
    ) -> list[list[Any]]:
        """The rows of the next message: what has failed first, then the latest."""
        rows: list[list[Any]] = []
        left = limit_bytes
        self._fold_many()
        while self._urgent or self._dirty:
            queue = self._urgent or self._dirty
            place = next(iter(queue))
            told = self._told(place)
            need = sum(each[1] for each in told)
            if rows and (need > left or len(rows) + len(told) > limit):
                break
            queue.pop(place, None)
            left -= need
            for row, bytes_ in told:
                self._note_told(row, bytes_)
                self._dirty.pop(row[0], None)
                self._urgent.pop(row[0], None)
                rows.append(row)
        if self._is_too_much(len(self._sent), self._bytes):
            self._fold_largest()
        return rows

    # Inside

    def _update(self, watched: Watched) -> None:
        for node in watched.tree.update():
            self._nodes[node.number] = (node, watched)
            status = node.facts.status if node.is_step and node.facts else None
            if node.kind == "ask":
                self._note_question(node)
            if status in FAILED or status is StepStatus.RETRYING:
                self._dirty.pop(node.number, None)
                self._urgent[node.number] = None
            else:
                self._mark(node.number)

    def _note_question(self, node: Node) -> None:
        assert node.facts is not None
        if node.facts.status is StepStatus.WAITING:
            self.asking[node.number] = node
        else:
            self.asking.pop(node.number, None)

    def _is_due(self, place: int) -> bool:
        return place in self._dirty or place in self._urgent

    def _mark(self, place: int) -> None:
        if place not in self._urgent:
            self._dirty[place] = None

    def _is_shown(self, node: Node, watched: Watched) -> bool:
        while node.parent is not None:
            fold = self._folds.get(_place(node.parent, watched))
            if fold is not None and not self._is_kept(node, fold):
                return False
            node = node.parent
        return True

    def _is_kept(self, node: Node, fold: _Fold) -> bool:
        # A row below which a child run is open must not go.
        is_open = any(each.above == node.number for each in self.runs.values())
        kept = fold.is_opened or is_open or _is_remarkable(node)
        if kept and node.number not in fold.kept and len(fold.kept) >= fold.room:
            kept = False
        if kept:
            fold.kept.add(node.number)
        else:
            fold.kept.discard(node.number)
        return kept

    def _told(self, place: int) -> list[tuple[list[Any], int]]:
        """What is to be told of a row, with its size: itself, or that it is gone."""
        found = self._nodes.get(place)
        is_there = found is not None and found[1] in self.runs.values()
        if found is None or not is_there or not self._is_shown(*found):
            return [([place], 12)] if place in self._sent else []
        chain = [found[0]]
        above = found[0].parent
        # Those above it that a browser may not have yet come first.
        while above is not None and above.number:
            if above.number not in self._sent or self._is_due(above.number):
                chain.append(above)
            above = above.parent
        rows = [self._row(node, found[1]) for node in reversed(chain)]
        return [(row, size(row) + 2) for row in rows]

    def _note_told(self, row: list[Any], bytes_: int) -> None:
        if len(row) > 1:
            self._note_sent(row[0], bytes_)
            return
        self._forget(row[0])
        found = self._nodes.get(row[0])
        if found is not None and found[0].members:
            for below in found[1].tree.walk(found[0]):
                self._forget(below.number)

    def _note_sent(self, place: int, bytes_: int) -> None:
        self._bytes += bytes_ - self._sent.get(place, 0)
        self._sent[place] = bytes_

    def _forget(self, place: int) -> None:
        self._bytes -= self._sent.pop(place, 0)

    def _is_too_much(self, rows: int, bytes_: int) -> bool:
        return rows > self._max[0] or bytes_ > self._max[1]

    def _fold_many(self) -> None:
        """Fold before rows are made, or told, that would have to go again."""
        if not self._folds and len(self._nodes) > self._max[0]:
            self._fold_largest()

    def _fold_largest(self) -> bool:
        """Fold the node that holds the most; False where all are folded."""
        best: tuple[int, Node, Watched] | None = None
        for watched in self.runs.values():
            holders = {node.number: node for node, _ in self._holders(watched)}
            for node in (watched.tree.root, *holders.values()):
                is_folded = _place(node, watched) in self._folds
                if not is_folded and (best is None or len(node.members) > best[0]):
                    best = (len(node.members), node, watched)
        if best is None or best[0] < 2:
            return False
        _, node, watched = best
        self._folds[_place(node, watched)] = _Fold()
        for member in node.members:
            self._mark(member)
        if node.number:
            self._mark(node.number)
        return True

    def _holders(self, watched: Watched) -> Iterable[tuple[Node, Watched]]:
        return (
            pair
            for pair in self._nodes.values()
            if pair[1] is watched and pair[0].members
        )

    def _flags(self, node: Node, watched: Watched) -> str:
        facts = node.facts
        if _place(node, watched) in self._folds:
            return "l"
        if facts is None or not node.is_step:
            return ""
        flags = "s" if facts.is_stale else ""
        flags += "c" if facts.cached_from else ""
        flags += "k" if facts.is_kept else ""
        flags += "l" if facts.child and node.kind in _CHILDREN else ""
        is_placed = facts.status is StepStatus.QUEUED and facts.place is not None
        return flags + ("p" if is_placed else "")

    def _row(self, node: Node, watched: Watched) -> list[Any]:
        above = node.parent.number if node.parent is not None else 0
        above = above or watched.above
        flags = self._flags(node, watched) or None
        if node.is_step:
            return step_row(node, above, flags)
        fold = self._folds.get(_place(node, watched))
        text = None if fold is None else _folded_text(node, fold)
        return holder_row(node, above, watched.tree, text, flags)


def _folded_text(node: Node, fold: _Fold) -> str | None:
    if not fold.is_opened:
        return "what is finished is not shown: open to see it"
    count = len(node.members)
    if count <= fold.room:
        return None
    return f"{fold.room:,} of {count:,} shown: run.steps has them all"


def _place(node: Node, watched: Watched) -> tuple[int, int]:
    """What knows a node over all runs of the view: the roots have no number."""
    return watched.above, node.number


def _is_remarkable(node: Node) -> bool:
    """Whether a member of a folded node is shown: it does something, or has failed."""
    if not node.is_step:
        return bool(node.number_of(FAILED) or node.number_of(BUSY))
    assert node.facts is not None
    status = node.facts.status
    return status in FAILED or (status is not StepStatus.QUEUED and node.facts.is_open)

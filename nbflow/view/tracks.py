"""A run's steps as rows, before they are drawn: what each did when, what is said of it.

Pure: a `Tree` becomes `Track`s. Neighbours: `timeline` draws them, `bars` their pieces.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from nbflow.model import TERMINAL_STEP, RunStatus, StepStatus
from nbflow.view.bars import WORK, Piece
from nbflow.view.board import Board
from nbflow.view.families import Facts
from nbflow.view.states import FAILED, LETTERS
from nbflow.view.text import Line, Span, line
from nbflow.view.tree import Node, Tree
from nbflow.view.words import mark, number, word

Key: TypeAlias = tuple[str, int, int]
"""A row's identity: the run, the node's number, the attempt (0: all of it)."""

_KINDS = {"sleep": "s", "wait": "w", "ask": "w", "invoke": "i"}


class Life(NamedTuple):
    """When a run was queued, started and ended."""

    queued: dt.datetime | None
    started: dt.datetime | None
    ended: dt.datetime | None

    @classmethod
    def of(cls, board: Board) -> "Life":
        """That of a board's run."""
        return cls(board.queued, board.started, board.ended)


class Track(NamedTuple):
    """One row of a timeline, frozen."""

    run_id: str
    number: int  # the node's
    depth: int
    status: StepStatus | RunStatus
    name: str
    pieces: tuple[Piece, ...]
    is_open: bool | None  # whether its rows are shown; None: it has none
    since: dt.datetime | None  # of the present execution, while it goes on
    seconds: float | None  # how long it took
    note: Line
    due: tuple[str, dt.datetime] | None  # what comes next, and when
    step: str | None  # the step's name; None: it holds others
    child: str | None  # the run that it has started
    app: str | None  # that run's, where it is another one
    attempt: int = 0

    @property
    def key(self) -> Key:
        """What identifies it."""
        return self.run_id, self.number, self.attempt

    @property
    def is_failed(self) -> bool:
        """Whether it is the end of something that went wrong."""
        return self.status in FAILED

    @property
    def is_live(self) -> bool:
        """Whether its line changes with time."""
        return self.due is not None or (self.since is not None and self.seconds is None)


def tracks(
    tree: Tree,
    is_open: Callable[[Key, Node], bool],
    children: Mapping[str, Tree] | None = None,
    depth: int = 0,
) -> Iterator[Track]:
    """The rows of a run that are to be seen, from above.

    Args:
        tree: the run's steps.
        is_open: whether the rows below one are shown.
        children: runs that these steps have started, as far as they are read.
        depth: that of the first rows.
    """
    return _walk(tree, tree.root, is_open, children or {}, depth)


def opens_by_itself(key: Key, node: Node) -> bool:
    """Groups are shown open, maps, attempts and child runs folded."""
    return node.kind == "group"


def _walk(
    tree: Tree,
    above: Node,
    is_open: Callable[[Key, Node], bool],
    children: Mapping[str, Tree],
    depth: int,
) -> Iterator[Track]:
    run_id = tree.board.run_id
    for node in list(above.members.values()):
        key = (run_id, node.number, 0)
        facts = node.facts
        has_rows = bool(node.members)
        if node.is_step and facts is not None:
            has_rows = facts.child is not None or _tries(facts) > 1
        opened = is_open(key, node) if has_rows else None
        yield _track(tree, node, depth, opened)
        if not opened:
            continue
        if node.members:
            yield from _walk(tree, node, is_open, children, depth + 1)
        elif facts is not None:
            if _tries(facts) > 1:
                yield from _attempts(facts, key, depth + 1)
            child = children.get(facts.child or "")
            if child is not None:
                yield from _walk(child, child.root, is_open, children, depth + 1)


def _track(tree: Tree, node: Node, depth: int, is_open: bool | None) -> Track:
    status = tree.status(node)
    facts = node.facts
    if not node.is_step or facts is None:
        return _holder(tree, node, depth, is_open, status)
    name = node.name
    since = None
    if facts.is_open and facts.status is not StepStatus.QUEUED:
        since = facts.started
    return Track(
        tree.board.run_id,
        node.number,
        depth,
        status,
        name,
        tuple(pieces_of(facts)),
        is_open,
        since,
        facts.duration,
        line(*_said(facts)),
        _due(facts),
        facts.name,
        facts.child,
        facts.app,
    )


def _holder(
    tree: Tree,
    node: Node,
    depth: int,
    is_open: bool | None,
    status: StepStatus,
) -> Track:
    ended = tree.ended(node)
    pieces: tuple[Piece, ...] = ()
    seconds = None
    if node.started is not None:
        letter = "h" if is_open else "r"
        role = "dim" if is_open else _outcome(status)
        idle = status in (StepStatus.SLEEPING, StepStatus.WAITING, StepStatus.QUEUED)
        if idle and not is_open:
            letter = LETTERS[status]
        is_failed = status in FAILED and not is_open
        pieces = (Piece(letter, node.started, ended, role, is_failed),)
        if ended is not None:
            seconds = max((ended - node.started).total_seconds(), 0.0)
    return Track(
        tree.board.run_id,
        node.number,
        depth,
        status,
        node.name.removesuffix("~"),
        pieces,
        is_open,
        node.started if ended is None else None,
        seconds,
        _tally(node) if node.kind == "map" or not is_open else (),
        None,
        None,
        None,
        None,
    )


def _tally(node: Node) -> Line:
    """How many of those below do what."""
    done = node.counts[StepStatus.COMPLETED]
    known = node.total
    total = max(sum(node.counts.values()), known or 0)
    parts: list[Span] = [
        Span(f"{done:,}/{total:,}" if known or done < total else f"{total:,}")
    ]
    for status in StepStatus:
        count = node.counts[status]
        if count and status is not StepStatus.COMPLETED:
            said = word(status)
            parts += [Span(", "), Span(f"{count:,} {said.text}", said.role)]
    return tuple(parts)


def _outcome(status: StepStatus) -> str:
    """The role of a status; none where the step goes on."""
    return mark(status).role if status in TERMINAL_STEP else ""


def _attempts(facts: Facts, key: Key, depth: int) -> Iterator[Track]:
    """A row for each try of a step that was tried more than once."""
    runs = [piece for piece in pieces_of(facts) if piece.letter == "r"]
    first = _tries(facts) - len(runs) + 1  # of many, the last are known
    for place, piece in enumerate(runs):
        attempt = first + place
        is_last = place == len(runs) - 1
        status = StepStatus.FAILED if piece.is_failed else facts.status
        if not is_last and not piece.is_failed:
            status = StepStatus.CANCELED
        if is_last and piece.end is not None and facts.status is StepStatus.RETRYING:
            status = StepStatus.FAILED
        ended = piece.end
        seconds = None if ended is None else (ended - piece.start).total_seconds()
        yield Track(
            key[0],
            key[1],
            depth,
            status,
            f"try {attempt}",
            (piece,),
            None,
            piece.start if ended is None else None,
            seconds,
            (),
            None,
            facts.name,
            None,
            None,
            attempt,
        )


def _tries(facts: Facts) -> int:
    """How many attempts were made, as far as they are known."""
    if facts.spans is None:
        return min(facts.attempt, 1)
    known = sum(1 for status, _, _ in facts.spans if status is StepStatus.RUNNING)
    return max(known + (facts.status is StepStatus.RUNNING), facts.attempt)


def pieces_of(facts: Facts) -> Iterator[Piece]:
    """What a step did, one stretch after another."""
    if facts.spans is None:
        yield from _plain_pieces(facts)
        return
    spans = facts.spans
    for place, (status, start, end) in enumerate(spans):
        following = spans[place + 1][0] if place + 1 < len(spans) else facts.status
        is_failed = status is StepStatus.RUNNING and (
            following is StepStatus.RETRYING or following in FAILED
        )
        role = ""
        if is_failed:
            role = "bad"
        elif place == len(spans) - 1 and not facts.is_open:
            role = _outcome(facts.status)
        yield Piece(LETTERS.get(status, "r"), start, end, role, is_failed)
    if facts.is_open and facts.since is not None:
        yield _present(facts, facts.since)


def _plain_pieces(facts: Facts) -> Iterator[Piece]:
    queued, started = facts.queued, facts.started
    if queued is not None and (started is None or queued < started):
        end = started if started is not None or facts.is_open else facts.ended
        yield Piece("q", queued, end)
    if started is None:
        return
    if facts.is_open:
        yield _present(facts, started)
        return
    letter = _KINDS.get(facts.kind, "r")
    role = _outcome(facts.status)
    if letter in "sw" and role == "good":
        role = ""
    yield Piece(letter, started, facts.ended, role, facts.status in FAILED)


def _present(facts: Facts, since: dt.datetime) -> Piece:
    letter = LETTERS.get(facts.status, "r")
    return Piece(letter, since, None, "busy" if letter in WORK else "")


def _due(facts: Facts) -> tuple[str, dt.datetime] | None:
    if facts.until is None or not facts.is_open:
        return None
    if facts.status is StepStatus.RETRYING:
        return (f"try {facts.attempt + 1}", facts.until)
    if facts.status is StepStatus.SLEEPING:
        return ("wakes", facts.until)
    return ("ends", facts.until)


def _said(facts: Facts) -> Iterator[Line]:
    """What is to be known of a step beside its bar."""
    parts: list[Line] = []
    status = facts.status
    if status is StepStatus.RUNNING and facts.done is not None:
        done, total = number(facts.done), facts.total
        text = f"{done}/{number(total)}" if total else done
        parts.append((Span(f"{text} {facts.note}" if facts.note else text),))
    if status is StepStatus.WAITING:
        what = f"event {facts.event!r}" if facts.event else "an answer"
        asked = f"asks: {facts.question}" if facts.question else f"waits for {what}"
        parts.append((Span(asked, "warn"),))
    if status is StepStatus.QUEUED and facts.flow_key:
        place = f", place {facts.place + 1}" if facts.place is not None else ""
        parts.append((Span(f"queued: {facts.flow_key}{place}", "dim"),))
    if facts.attempt > 1 and status not in (StepStatus.RETRYING, StepStatus.QUEUED):
        tries = f"try {facts.attempt}" if facts.is_open else f"{facts.attempt} tries"
        parts.append((Span(tries, "again"),))
    if facts.target or facts.child:
        where = f"{facts.app}/" if facts.app else ""
        arrow = f"{where}{facts.target or facts.child}"
        parts.append((Span(arrow, "busy" if facts.is_open else "dim"),))
    if facts.cached_from:
        parts.append((Span(f"cached from {facts.cached_from}", "rest"),))
    if facts.is_kept:
        parts.append((Span("kept", "dim"),))
    if facts.is_stale:
        parts.append((Span("stale", "warn"),))
    if facts.error and status is not StepStatus.COMPLETED:
        parts.append((Span(facts.error, "bad" if status in FAILED else "again"),))
    for number_of, part in enumerate(parts):
        if number_of:
            yield (Span(" · ", "dim"),)
        yield part

"""A board's steps as a tree: what holds others, and how many of them do what.

Groups and the branches of tasks hold their steps, a map its items, and from the fourth
call on, one call site its calls. Each change of a step costs its depth in the tree.
Neighbours: `board` says what each step does; `tracks`, `html`, the widgets draw it.
"""

import datetime as dt
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nbflow.model import TERMINAL_STEP, StepKind, StepStatus
from nbflow.view.board import Board
from nbflow.view.families import FOLD, Facts
from nbflow.view.states import BUSY, TELLING_ENDED, TELLING_OPEN

_ITEM = re.compile(r"([^\[]+)(\[.*\](?::\d+)?)\Z", re.DOTALL)
_REPEATED = re.compile(r"(.+):\d+\Z", re.DOTALL)
_TASK = re.compile(r"(.+)~\d+\Z", re.DOTALL)
_KINDS = frozenset(map(str, StepKind)) - {"map"}


@dataclass(slots=True, eq=False)
class Node:
    """A step, or what holds some: "map" (of one call site) or "group"."""

    number: int  # grows in order of appearance, with gaps
    parent: "Node | None"
    kind: str
    name: str  # without the names of what holds it
    label: str
    facts: Facts | None = None  # of a step; of a map what it tells of itself
    started: dt.datetime | None = None
    last: dt.datetime | None = None  # the latest end of one below
    counted: StepStatus | None = None  # as what a step is counted above it
    # Those that tell how many items they have: itself, or below it.
    maps: "list[Node] | None" = None
    # Made for those that hold others: a run may have thousands of steps.
    _members: "dict[int, Node] | None" = None
    _counts: Counter[StepStatus] | None = None

    @property
    def members(self) -> "Mapping[int, Node]":
        """What it holds, by number."""
        return _NO_MEMBERS if self._members is None else self._members

    @property
    def counts(self) -> Mapping[StepStatus, int]:
        """How many steps below do what; 0 for what none does."""
        return _NO_COUNTS if self._counts is None else self._counts

    def hold(self, node: "Node") -> None:
        """Take a node into it."""
        if self._members is None:
            self._members = {}
        self._members[node.number] = node

    def release(self, node: "Node") -> None:
        """Hold it no more."""
        if self._members is not None:
            del self._members[node.number]

    def count(self, status: StepStatus, by: int = 1) -> None:
        """Count steps below as what they do, or (-1) no longer."""
        if self._counts is None:
            self._counts = Counter()
        self._counts[status] += by

    @property
    def is_step(self) -> bool:
        """Whether it is a step, and holds none."""
        return self.kind not in ("map", "group", "root")

    @property
    def unbegun(self) -> int:
        """How many items of a map have not begun, where it tells how many it has."""
        told = None if self.is_step or self.facts is None else self.facts.total
        return max(int(told or 0) - sum(self.counts.values()), 0)

    @property
    def total(self) -> int | None:
        """How many steps are below it, with those to come; None where no map tells."""
        if self.maps is None:
            return None
        return sum(self.counts.values()) + sum(each.unbegun for each in self.maps)

    def add_map(self, node: "Node") -> None:
        """Note a map that tells how many items it has: it, or one below it."""
        if self.maps is None:
            self.maps = []
        self.maps.append(node)

    def number_of(self, statuses: Iterable[StepStatus]) -> int:
        """How many steps below are in one of these states."""
        return sum(self.counts[status] for status in statuses)


_NO_MEMBERS: Mapping[int, Node] = MappingProxyType({})
_NO_COUNTS: Mapping[StepStatus, int] = MappingProxyType(Counter())


class Tree:
    """The steps of one run, placed.

    Args:
        board: the run; the tree empties its `changed`.
        numbers: where the nodes' numbers come from; shared by trees shown together.
    """

    def __init__(self, board: Board, numbers: Iterator[int] | None = None) -> None:
        self.board = board
        self.root = Node(0, None, "root", "", "")
        self.steps: dict[str, Node] = {}
        self._numbers = itertools.count(1) if numbers is None else numbers
        self._holders: dict[tuple[str, ...], Node] = {}
        # By what holds them and their name: one call, a few, or the node of many.
        self._sites: dict[int, dict[str, Node | tuple[Node, ...]]] = {}
        self._touched: dict[int, Node] = {}
        self._is_over = board.is_ended

    def update(self) -> list[Node]:
        """Take what has changed on the board; the nodes that are to be drawn anew."""
        changed, self.board.changed = self.board.changed, {}
        if self._is_over is not self.board.is_ended:
            # What a map does that has not begun all of its items depends on it.
            self._is_over = self.board.is_ended
            for node in self.root.maps or ():
                self._touch_all(node)
        return self.place(changed.values())

    def place(self, changed: Iterable[Facts]) -> list[Node]:
        """Take what is known of some steps; the nodes that are to be drawn anew."""
        for facts in changed:
            if facts.name in self.board.steps:
                self._take(facts)
            else:
                self._take_map(facts)
        touched, self._touched = self._touched, {}
        return list(touched.values())

    @property
    def unbegun(self) -> int:
        """How many items of maps have not begun, where the maps tell how many."""
        return sum(node.unbegun for node in self.root.maps or ())

    def walk(self, node: Node | None = None) -> Iterator[Node]:
        """All nodes below one (the root), each after the one that holds it."""
        for member in list((node or self.root).members.values()):
            yield member
            if member.members:
                yield from self.walk(member)

    def status(self, node: Node) -> StepStatus:
        """What a node does; of what holds others, the most telling of theirs."""
        if node.is_step:
            assert node.facts is not None
            return node.facts.status
        counts = node.counts
        for status in TELLING_OPEN:
            if counts[status]:
                return StepStatus.RUNNING if status in BUSY else status
        for status in TELLING_ENDED:
            if counts[status]:
                return status
        total = node.total
        if total is not None and counts[StepStatus.COMPLETED] < total:
            over = self.board.is_ended
            return StepStatus.CANCELED if over else StepStatus.RUNNING
        return StepStatus.COMPLETED

    def ended(self, node: Node) -> dt.datetime | None:
        """When a node ended; None while it goes on."""
        if node.facts is not None and node.is_step:
            return node.facts.ended
        return node.last if self.status(node) in TERMINAL_STEP else None

    def _take(self, facts: Facts) -> None:
        node = self.steps.get(facts.name)
        if node is None:
            node = self.steps[facts.name] = self._place(facts)
        node.kind = facts.kind if facts.kind in _KINDS else "run"
        self._touched[node.number] = node
        status, former = facts.status, node.counted
        node.counted = status
        above = node.parent
        while above is not None:
            if former is not status:
                above.count(status)
                if former is not None:
                    above.count(former, -1)
            _note_times(above, facts.started, facts.ended)
            self._touch(above)
            above = above.parent

    def _take_map(self, facts: Facts) -> None:
        *branch, name = facts.path or (facts.name,)
        node = self._holder("map", (*branch, "", name), self._branch(branch), name)
        if node.facts is None:
            for holder in _chain(node):
                holder.add_map(node)
        node.facts = facts
        self._touch_all(node)

    def _touch(self, node: Node) -> None:
        if node.number:
            self._touched[node.number] = node

    def _touch_all(self, node: Node) -> None:
        for each in _chain(node):
            self._touch(each)

    def _place(self, facts: Facts) -> Node:
        *branch, last = facts.path or (facts.name,)
        above = self._branch(branch)
        kind = facts.kind if facts.kind in _KINDS else "run"
        item = _ITEM.match(last)
        if item is not None:
            above = self._holder("map", (*branch, "", item[1]), above, item[1])
            return self._add(above, kind, item[2], facts.name, facts)
        repeated = _REPEATED.match(last)
        base = repeated[1] if repeated else last
        return self._add(above, kind, last, facts.name, facts, base)

    def _branch(self, branch: list[str]) -> Node:
        """The node of a branch; made with those that it is in."""
        node = self.root
        for depth, segment in enumerate(branch, 1):
            key = tuple(branch[:depth])
            found = self._holders.get(key)
            if found is None:
                task = _TASK.match(segment) or _REPEATED.match(segment)
                base = f"{task[1]}~" if task else None
                label = "/".join(key)
                found = self._add(node, "group", segment, label, None, base)
                self._holders[key] = found
            node = found
        return node

    def _holder(self, kind: str, key: tuple[str, ...], above: Node, name: str) -> Node:
        # A map's key has an empty segment, which no branch has.
        found = self._holders.get(key)
        if found is None:
            label = "/".join((*key[:-2], name))
            found = self._holders[key] = self._add(above, kind, name, label)
        return found

    def _add(
        self,
        above: Node,
        kind: str,
        name: str,
        label: str,
        facts: Facts | None = None,
        base: str | None = None,
    ) -> Node:
        site: Node | None = None
        members: tuple[Node, ...] = ()
        if base is not None:
            known = self._sites.setdefault(above.number, {}).get(base)
            if known is None:
                next(self._numbers)  # for the row that may hold them all
            elif isinstance(known, tuple):
                members = known
            elif known.kind == "map":
                site = known
            else:
                members = (known,)
        node = Node(next(self._numbers), site or above, kind, name, label, facts)
        (site or above).hold(node)
        self._touched[node.number] = node
        if base is not None and site is None:
            members = (*members, node)
            self._sites[above.number][base] = members if len(members) > 1 else node
            if len(members) >= FOLD:
                self._gather(above, base, members)
        return node

    def _gather(self, above: Node, base: str, members: tuple[Node, ...]) -> None:
        """Put the calls of one call site under a node of their own."""
        number = members[0].number - 1
        name = base.removesuffix("~")
        label = f"{above.label}/{name}" if above.label else name
        site = Node(number, above, "map", name, label)
        for member in members:
            above.release(member)
            site.hold(member)
            member.parent = site
            for each in member.maps or ():
                site.add_map(each)
            self._touched[member.number] = member
            if member.counted is not None:
                site.count(member.counted)
                assert member.facts is not None
                _note_times(site, member.facts.started, member.facts.ended)
            elif not member.is_step:
                for status, count in member.counts.items():
                    site.count(status, count)
                _note_times(site, member.started, member.last)
        above.hold(site)
        self._touched[number] = site
        self._sites[above.number][base] = site


def _chain(node: Node) -> Iterator[Node]:
    """A node, and those that hold it, up to the root."""
    above: Node | None = node
    while above is not None:
        yield above
        above = above.parent


def _note_times(
    node: Node, started: dt.datetime | None, ended: dt.datetime | None
) -> None:
    if started is not None and (node.started is None or started < node.started):
        node.started = started
    if ended is not None and (node.last is None or ended > node.last):
        node.last = ended

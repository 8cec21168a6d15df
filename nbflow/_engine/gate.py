"""The order in which outcomes reach a body: the order of their commits, in every life.

A body may decide by who came first (`as_completed`, first-of, appending to a shared
list), so a re-entered body must see recorded outcomes in the recorded order, and a
live one must not see another order than its successor will. The rule, which holds for
recorded and live outcomes alike: the outcomes of one commit are handed over together,
in the order of their events, once the body has asked for all of them and nothing in
the loop can run any more. Until then code, behind an earlier outcome or none, may
still be on its way to its decision, and how far it has come is a matter of timing.

What nobody asks for (the code was edited) is passed over after a moment of quiet.
A run with a single live task needs none of this: there is only one order.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, Protocol

QUIET = 0.02
"""Seconds without progress after which outcomes that nobody wants are passed over."""

_TURNS = 16
"""Turns after which the loop counts as quiet although it is still busy (with other
runs): longer than a chain of tasks that await each other behind one outcome."""


class Ordered(Protocol):
    """An outcome with its place: the step's key and the commit it belongs to."""

    @property
    def key(self) -> str:
        """Key of the step."""
        ...

    @property
    def tx(self) -> int:
        """The commit within the run."""
        ...


class _Group:
    """The outcomes of one commit that are still to be handed over."""

    __slots__ = ("asked", "missing")

    def __init__(self, keys: Iterable[str]) -> None:
        self.missing = dict.fromkeys(keys)
        # In the order of their events, whoever asks first.
        self.asked: dict[str, tuple[asyncio.Future[Any], Any] | None] = {
            key: None for key in self.missing
        }

    @property
    def is_wanted(self) -> bool:
        return len(self.missing) < len(self.asked)


class Gate:
    """Hands the outcomes of one run over, commit by commit."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._groups: deque[_Group] = deque()
        self._place: dict[str, _Group] = {}
        self._turns = -1  # waited for quiet; -1: not waiting
        self._progress = 0  # counts what keeps outcomes from being passed over
        self._watch: asyncio.TimerHandle | None = None

    def expect(self, recorded: Iterable[Ordered]) -> None:
        """Take over the recorded outcomes of a former life, in event order."""
        tx, keys = -1, list[str]()
        for outcome in recorded:
            if outcome.tx != tx and keys:
                self._append(_Group(keys))
                keys = []
            tx = outcome.tx
            keys.append(outcome.key)
        if keys:
            self._append(_Group(keys))

    @property
    def is_replaying(self) -> bool:
        """Whether recorded outcomes are still to be handed over."""
        return bool(self._groups)

    def took(self, key: str) -> None:
        """Note that `key` was handed over directly, or is not wanted any more."""
        group = self._place.pop(key, None)
        if group is None:
            return
        group.missing.pop(key, None)
        group.asked.pop(key, None)
        if not group.missing and self._groups and self._groups[0] is group:
            self._move()

    def ask(self, key: str, value: Any) -> "asyncio.Future[Any]":
        """A future that gets `value`, the recorded outcome of `key`, in its turn."""
        future = self._loop.create_future()
        group = self._place.get(key)
        if group is None:  # passed over before, or found under another key
            future.set_result(value)
            return future
        group.asked[key] = (future, value)
        group.missing.pop(key, None)
        self._move()
        return future

    def deliver(self, outcomes: list[tuple[str, "asyncio.Future[Any]", Any]]) -> None:
        """Hand over the live outcomes of one commit, behind all earlier ones.

        Not to be called by a task of the run: it is still running.
        """
        group = _Group(())
        for key, future, value in outcomes:
            group.asked[key] = (future, value)
            self._place[key] = group
        self._groups.append(group)
        if len(self._groups) == 1 and self._turns < 0 and self._is_quiet():
            self._hand_over()
        else:
            self._move()

    def close(self) -> None:
        """Stop: the body has ended."""
        self._groups.clear()
        self._place.clear()
        self._unwatch()

    def _append(self, group: _Group) -> None:
        self._groups.append(group)
        for key in group.asked:
            self._place[key] = group

    def _move(self) -> None:
        """Go on if the next commit is complete: as soon as the loop is quiet."""
        self._progress += 1
        while self._groups and not self._groups[0].asked:
            self._groups.popleft()
        if not self._groups:
            self._unwatch()
        elif self._groups[0].missing:
            self._arm_watch()
        elif self._turns < 0:
            self._turns = 0
            self._loop.call_soon(self._wait_for_quiet)

    def _wait_for_quiet(self) -> None:
        self._turns += 1
        if self._turns < _TURNS and not self._is_quiet():
            self._loop.call_soon(self._wait_for_quiet)
            return
        self._turns = -1
        if self._groups and not self._groups[0].missing:
            self._hand_over()

    def _is_quiet(self) -> bool:
        # The ready queue is private to asyncio; without it, turns are counted alone.
        return not getattr(self._loop, "_ready", True)

    def _hand_over(self) -> None:
        self._unwatch()
        group = self._groups.popleft()
        for key, asked in group.asked.items():
            self._place.pop(key, None)
            if asked is not None and not asked[0].done():
                asked[0].set_result(asked[1])
        self._move()

    # Outcomes that nobody asks for

    def _arm_watch(self) -> None:
        if self._watch is None:
            self._watch = self._loop.call_later(QUIET, self._look, self._progress, 0)

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _look(self, progress: int, turns: int) -> None:
        """Whether anything has moved since the watch was armed.

        A loop that was blocked meanwhile has had no chance to: it gets its turns.
        """
        self._watch = None
        if progress != self._progress:
            self._move()
        elif turns < _TURNS and not self._is_quiet():
            handle = self._loop.call_later(0, self._look, progress, turns + 1)
            self._watch = handle
        elif any(group.is_wanted for group in self._groups):
            self._pass_over()
        # Else nobody waits: the body is busy elsewhere, keep the order.

    def _pass_over(self) -> None:
        """Give up on what stands before the first outcome that somebody awaits."""
        while self._groups:
            group = self._groups[0]
            for key in group.missing:
                self._place.pop(key, None)
                group.asked.pop(key, None)
            group.missing = {}
            if group.asked:
                break
            self._groups.popleft()
        self._move()

"""The order in which outcomes reach a body: the order of their commits, in every life.

A body may decide by who came first (`as_completed`, first-of, appending to a shared
list), so a re-entered body must see recorded outcomes in the recorded order, and a
live one must not see another order than its successor will. The rule, which holds for
recorded and live outcomes alike: the outcomes of one commit are handed over together,
in the order of their events, once the body has asked for all of them; those of the
next commit only when nothing in the loop can run any more, for until then code behind
an earlier outcome may still be on its way to its decision.

What nobody asks for (the code was edited) is passed over after a moment of quiet.
A run with a single live task needs none of this: there is only one order.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

QUIET = 0.02
"""Seconds without progress after which outcomes that nobody wants are passed over."""

_TURNS = 16
"""Turns after which the next commit is handed over although the loop is still busy
(with other runs): longer than a chain of tasks that await each other behind one
outcome."""


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

    __slots__ = ("asked", "missing", "tx")

    def __init__(self, tx: int, keys: Iterable[str]) -> None:
        self.tx = tx
        self.missing = dict.fromkeys(keys)
        self.asked: dict[str, tuple[asyncio.Future[Any], Any] | None] = {
            key: None for key in self.missing
        }


class Gate:
    """Hands the outcomes of one run over, commit by commit."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, is_single: Callable[[], bool]
    ) -> None:
        self._loop = loop
        self._is_single = is_single
        self._groups: deque[_Group] = deque()
        self._place: dict[str, _Group] = {}
        self._turns = 0
        self._is_spacing = False
        self._quiet: asyncio.TimerHandle | None = None

    def expect(self, recorded: Iterable[Ordered]) -> None:
        """Take over the recorded outcomes of a former life, in event order."""
        tx, keys = -1, list[str]()
        for outcome in recorded:
            if outcome.tx != tx and keys:
                self._append(_Group(tx, keys))
                keys = []
            tx = outcome.tx
            keys.append(outcome.key)
        if keys:
            self._append(_Group(tx, keys))

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
        if not group.asked and self._groups and self._groups[0] is group:
            self._drop_empty()

    def ask(self, key: str, value: Any) -> "asyncio.Future[Any]":
        """A future that gets `value`, the recorded outcome of `key`, in its turn."""
        future = self._loop.create_future()
        group = self._place.get(key)
        if group is None:  # passed over before, or found under another key
            future.set_result(value)
            return future
        group.asked[key] = (future, value)
        group.missing.pop(key, None)
        self._pump()
        return future

    def deliver(self, outcomes: list[tuple[str, "asyncio.Future[Any]", Any]]) -> None:
        """Hand over the live outcomes of one commit, behind all earlier ones."""
        if not self._groups and not self._is_spacing:
            for _, future, value in outcomes:
                if not future.done():
                    future.set_result(value)
            self._begin_spacing()
            return
        group = _Group(-1, ())
        for key, future, value in outcomes:
            group.asked[key] = (future, value)
            self._place[key] = group
        self._groups.append(group)
        self._pump()

    def close(self) -> None:
        """Stop: the body has ended."""
        self._groups.clear()
        self._place.clear()
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None

    def _append(self, group: _Group) -> None:
        self._groups.append(group)
        for key in group.asked:
            self._place[key] = group

    def _drop_empty(self) -> None:
        while self._groups and not self._groups[0].asked:
            self._groups.popleft()

    def _pump(self) -> None:
        if self._is_spacing:
            return
        self._drop_empty()
        if not self._groups:
            return
        if self._groups[0].missing:
            self._watch()
        else:
            self._hand_over(self._groups.popleft())

    def _hand_over(self, group: _Group) -> None:
        self._cancel_watch()
        for key, asked in group.asked.items():
            self._place.pop(key, None)
            if asked is not None and not asked[0].done():
                asked[0].set_result(asked[1])
        if self._is_single() and not self._groups:
            return
        self._begin_spacing()

    def _begin_spacing(self) -> None:
        self._is_spacing = True
        self._turns = 0
        self._loop.call_soon(self._space)

    def _space(self) -> None:
        self._turns += 1
        # The ready queue is private to asyncio; without it, turns are counted alone.
        is_busy = bool(getattr(self._loop, "_ready", True))
        if is_busy and self._turns < _TURNS:
            self._loop.call_soon(self._space)
            return
        self._is_spacing = False
        self._pump()

    def _watch(self) -> None:
        self._cancel_watch()
        self._quiet = self._loop.call_later(QUIET, self._pass_over)

    def _cancel_watch(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None

    def _pass_over(self) -> None:
        """Give up on what stands before the first outcome that somebody awaits."""
        self._quiet = None
        if self._is_spacing:
            return
        if not any(self._wanted(group) for group in self._groups):
            return  # nobody waits: the body is busy elsewhere, keep the order
        while self._groups:
            group = self._groups[0]
            for key in group.missing:
                self._place.pop(key, None)
                group.asked.pop(key, None)
            group.missing = {}
            if group.asked:
                break
            self._groups.popleft()
        self._pump()

    @staticmethod
    def _wanted(group: _Group) -> bool:
        return any(asked is not None for asked in group.asked.values())

"""Who asks for a step: branches, their names, and the task factory that makes them.

The body of a run is a branch, and so is every task that it starts. A branch is named
when its task is *created* (parent's name, function's name, n-th of its kind made by
that parent), never when it first runs: creation order is decided by the code, running
order by timing. Steps draw their numbers per branch, so branches that use equal ids
never swap values, in whatever order they proceed.

Some tasks need care: `asyncio.wait_for` makes a task on 3.11 and hardly any later, so
there the task shares its parent's branch; `asyncio.as_completed` makes its tasks in the
order of addresses, so they are named in the order in which they were given; anyio runs
the function inside a wrapper of its own, whose name must not count; tasks made while a
step function runs belong to the step and get no branch.
"""

import asyncio
import re
import sys
from collections.abc import Coroutine, Iterator, Set
from contextvars import Context, ContextVar, copy_context
from inspect import isawaitable
from types import FrameType
from typing import Any, Protocol
from zlib import crc32

from nbflow.context import StepInfo
from nbflow.errors import NonDeterminismError


class Owner(Protocol):
    """The life of a run, as its branches know it."""

    is_closed: bool

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Own a task that code of the body has started."""


class RunningStep(Protocol):
    """An attempt of a step that is being made."""

    key: str
    attempt: int

    def info(self) -> StepInfo:
        """What the function may know of its step."""


current_branch: ContextVar["Branch | None"] = ContextVar("branch", default=None)
current_step: ContextVar[RunningStep | None] = ContextVar("step", default=None)

_SEGMENT = "\x1f"  # between the segments of a step key
_NUMBER = "\x1e"  # before the number of a repeated id
_TASK = "\x1d"  # keeps the counters of tasks and groups apart from those of ids
_GROUP = "\x1c"
_LOOKS_LIKE_TASK = re.compile(r"~\d+$")
_ANYIO_WRAPPERS = ("_run_coro", "_run_wrapped_task")  # of 4.16, and of older ones
_WAIT_FOR = asyncio.wait_for.__code__
if sys.version_info < (3, 13):
    _AS_COMPLETED = asyncio.as_completed.__code__
else:
    _AS_COMPLETED = asyncio.tasks._AsCompletedIterator.__init__.__code__


class Branch:
    """One line of execution in a run, and the counters of what it has called."""

    __slots__ = (
        "_counts",
        "_family",
        "_tasks",
        "is_task",
        "made",
        "parent",
        "path",
        "run",
    )

    def __init__(
        self, run: Owner, path: str, parent: "Branch | None", is_task: bool
    ) -> None:
        self.run = run
        self.path = path
        self.parent = parent
        self.is_task = is_task
        self.made: dict[int, BranchTask] = {}  # before asyncio asks for them
        self._counts: dict[str, int] = {}
        self._tasks = 0
        self._family = 0

    def key(self, id: str) -> str:
        """The key of the next call of `id` in this branch."""
        counts = self._counts
        number = counts.get(id, 0)
        counts[id] = number + 1
        label = f"{id}{_NUMBER}{number}" if number else id
        return f"{self.path}{_SEGMENT}{label}" if self.path else label

    def task(self, function: str) -> "Branch":
        """The branch of the next task of `function` that this branch starts."""
        number = self._next(_TASK + function)
        return Branch(self.run, self._under(f"{function}~{number}"), self, True)

    def place(self) -> int:
        """A number for the next task of this branch: the same in every life."""
        self._tasks = number = self._tasks + 1
        if number == 1:
            self._family = crc32(self.path.encode("utf-8", "surrogatepass"))
        return (self._family + (number >> 8)) << 8 | number & 0xFF

    def group(self, name: str) -> "Branch":
        """The branch of the next `ctx.group(name)` in this branch.

        A task whose first call is a group is named by the group alone: this is how
        users give a stable name to branches that are started in no fixed order.
        """
        home = self.parent if self._is_untouched and self.parent is not None else self
        number = home._next(_GROUP + name)
        clashes = _LOOKS_LIKE_TASK.search(name) is not None
        label = f"{name}{_NUMBER}{number}" if number or clashes else name
        return Branch(self.run, home._under(label), home, False)

    @property
    def _is_untouched(self) -> bool:
        return self.is_task and not self._counts

    def _next(self, name: str) -> int:
        number = self._counts.get(name, 0)
        self._counts[name] = number + 1
        return number

    def _under(self, segment: str) -> str:
        return f"{self.path}{_SEGMENT}{segment}" if self.path else segment


def install(loop: asyncio.AbstractEventLoop) -> None:
    """Give `loop` the task factory that names the branches of runs."""
    loop.set_task_factory(make_task)  # type: ignore[arg-type]


class BranchTask(asyncio.Task[Any]):
    """A task of a run, with a place in sets that does not change from life to life.

    asyncio hands out sets of tasks (`wait`) and works through them (`as_completed`,
    task groups). By address, their order would be another one on each re-entry.
    """

    __slots__ = ("_place",)

    def __init__(
        self,
        coro: Coroutine[Any, Any, Any],
        place: int,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        name: str | None = None,
    ) -> None:
        self._place = place
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self._place


def make_task(
    loop: asyncio.AbstractEventLoop,
    coro: Coroutine[Any, Any, Any],
    *,
    context: Context | None = None,
    **options: Any,
) -> asyncio.Task[Any]:
    """Create a task; inside a run, as a branch that the run owns."""
    options.pop("eager_start", None)  # an eager body would run before it is named
    if context is None:
        branch, step = current_branch.get(), current_step.get()
    else:
        branch, step = context.get(current_branch), context.get(current_step)
    if branch is None or step is not None or branch.run.is_closed:
        return asyncio.Task(coro, loop=loop, context=context, **options)
    if not asyncio.iscoroutine(coro) and isawaitable(coro):
        coro = _wrap_awaitable(coro)  # create_task(ctx.run(…)), which asyncio refuses
    origin = _origin()
    if origin is None:
        child = branch.task(_function_name(coro))
    elif origin.f_code is _WAIT_FOR:
        child = branch
    else:
        return _as_given(loop, branch, coro, origin)
    return _adopt(loop, branch, child, coro, context, options.get("name"))


def _adopt(
    loop: asyncio.AbstractEventLoop,
    parent: Branch,
    child: Branch,
    coro: Coroutine[Any, Any, Any],
    context: Context | None,
    name: str | None,
) -> BranchTask:
    context = copy_context() if context is None else context.copy()
    context.run(current_branch.set, child)
    task = BranchTask(coro, parent.place(), loop, context, name)
    parent.run.adopt(task)
    return task


def _origin() -> FrameType | None:
    """The call of `wait_for` or `as_completed` that makes the task, if one does."""
    frame = sys._getframe(2).f_back  # what has called loop.create_task
    for _ in range(4):  # at most: _ensure_future, ensure_future, <setcomp>, the call
        if frame is None:
            return None
        if frame.f_code is _WAIT_FOR or frame.f_code is _AS_COMPLETED:
            return frame
        frame = frame.f_back
    return None


def _as_given(
    loop: asyncio.AbstractEventLoop,
    branch: Branch,
    coro: Coroutine[Any, Any, Any],
    origin: FrameType,
) -> BranchTask:
    """A task that `as_completed` makes: it takes what it was given in any order.

    So when it asks for the first one, all are made, in the order they were given.
    """
    made = branch.made
    if id(_awaited(coro)) not in made:
        given = origin.f_locals.get("fs", origin.f_locals.get("aws"))
        if given is None or isinstance(given, Iterator | Set):
            coro.close()
            raise NonDeterminismError(
                f"asyncio.as_completed was given a {type(given).__name__}, from which "
                "it starts its coroutines in no fixed order, so a re-entered body "
                "could not know them again: give it a list, as in "
                "as_completed([fetch(url) for url in urls])"
            )
        for each in given:
            if not asyncio.isfuture(each) and id(each) not in made:
                one = each if asyncio.iscoroutine(each) else _wrap_awaitable(each)
                child = branch.task(_function_name(one))
                made[id(each)] = _adopt(loop, branch, child, one, None, None)
    task = made.pop(id(_awaited(coro)))
    if task.get_coro() is not coro:
        coro.close()  # asyncio's own wrapper of an awaitable
    return task


async def _wrap_awaitable(awaitable: Any) -> Any:
    return await awaitable


def _awaited(coro: Any) -> object:
    """What a task awaits: its coroutine, or the awaitable that asyncio has wrapped."""
    if getattr(coro, "__name__", None) != "_wrap_awaitable":
        return coro
    frame = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)
    return coro if frame is None else frame.f_locals.get("awaitable", coro)


def _function_name(coro: Any) -> str:
    name: str = getattr(coro, "__name__", None) or type(coro).__name__
    if name not in _ANYIO_WRAPPERS:
        return name
    frame = getattr(coro, "cr_frame", None)
    around = frame.f_locals if frame is not None else {}
    inner = around.get("coro") or getattr(around.get("self"), "_coro", None)
    return getattr(inner, "__name__", None) or name

"""Threads that the code of a run starts speak for it, as its tasks do.

Python gives a thread none of the context of whoever starts it. So what a step's own
threads print, log or draw, as the one in which `rich` refreshes its bars, would land in
whichever cell is executed. While runs are active, a thread, and a call that is handed
to a pool of threads, take over who is speaking, and no other variable of the context.
"""

import concurrent.futures.thread as pools
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from nbflow._engine.branches import current_step
from nbflow._engine.capture import Sink, current_sink, finish
from nbflow.context import current_context
from nbflow.errors import Canceled, ContextClosed

# Threads with contexts of their own, and those that outlive whoever needed them first.
_NAMES = ("nbflow-", "AnyIO ")
_MODULES = ("tqdm",)
_POOL: Any = vars(pools)["_worker"]


class Voice:
    """The sink of a started thread: that of the attempt it speaks for.

    A sink of its own, so that parts of its lines do not mix with those of others. A
    thread may outlive the run: from then on it prints as any other thread does.

    Attributes:
        speaks_for: the attempt's sink, which has the progress bars of all its threads.
    """

    __slots__ = ("__weakref__", "speaks_for")

    def __init__(self, sink: Sink) -> None:
        self.speaks_for: Sink = getattr(sink, "speaks_for", sink)

    def line(self, text: str, level: str, source: str, replace: bool) -> None:
        """A line of output."""
        try:
            self.speaks_for.line(text, level, source, replace)
        except (ContextClosed, Canceled):
            if source == "print":  # a log record has its handlers
                print(text, file=sys.stdout if level == "info" else sys.stderr)

    def progress(self, done: float, total: float | None, message: str | None) -> None:
        """How far the attempt has come."""
        self.speaks_for.progress(done, total, message)


class _Heritage:
    """Who is speaking, for another thread to take over."""

    def __init__(self, sink: Sink) -> None:
        self._voice = Voice(sink)
        self._context, self._step = current_context.get(), current_step.get()

    def call(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call something in the name of who was speaking."""
        current_sink.set(self._voice)
        current_context.set(self._context)
        current_step.set(self._step)
        try:
            return fn(*args, **kwargs)
        finally:
            finish(self._voice)


def _bequeath(thread: threading.Thread) -> None:
    """Have a thread that is about to start speak for whoever starts it."""
    sink = current_sink.get()
    if (
        sink is None
        or thread.name.startswith(_NAMES)
        or type(thread).__module__.partition(".")[0] in _MODULES
        or vars(thread).get("_target") is _POOL  # its calls take over, one by one
    ):
        return
    run, heritage = thread.run, _Heritage(sink)

    def speak() -> None:
        del thread.run  # the class's is left
        heritage.call(run)

    thread.run = speak  # type: ignore[method-assign]


class _Starts:
    """Stands before `Thread.start` and `ThreadPoolExecutor.submit`."""

    def __init__(self) -> None:
        self.active = True
        self.start, self.submit = threading.Thread.start, ThreadPoolExecutor.submit
        former_start, former_submit = self.start, self.submit

        def start(thread: threading.Thread) -> None:
            if self.active:
                _bequeath(thread)
            former_start(thread)

        def submit(
            pool: ThreadPoolExecutor,
            fn: Callable[..., Any],
            /,
            *args: Any,
            **kwargs: Any,
        ) -> Future[Any]:
            sink = current_sink.get() if self.active else None
            if sink is None:
                return former_submit(pool, fn, *args, **kwargs)
            heritage = _Heritage(sink)

            def call() -> Any:
                return copy_context().run(heritage.call, fn, *args, **kwargs)

            return former_submit(pool, call)

        self.own = start, submit
        _put(start, submit)

    def restore(self) -> None:
        """Take ours out; where someone put another over it, it only passes on."""
        self.active = False
        start, submit = threading.Thread.start, ThreadPoolExecutor.submit
        _put(
            self.start if start is self.own[0] else start,
            self.submit if submit is self.own[1] else submit,
        )


def _put(start: Any, submit: Any) -> None:
    threading.Thread.start = start  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]


_lock = threading.Lock()
_users = 0
_starts: _Starts | None = None


def install() -> None:
    """Look at threads from here on; each call needs an `uninstall()`. Thread safe."""
    global _users, _starts
    with _lock:
        _users += 1
        if _starts is None:
            _starts = _Starts()


def uninstall() -> None:
    """Leave threads alone after the last user."""
    global _users, _starts
    with _lock:
        _users -= 1
        if not _users and _starts is not None:
            _starts.restore()
            _starts = None

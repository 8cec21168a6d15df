"""Turns what user code prints, logs and warns into lines of the attempt that did it.

Standard streams, logging and warnings are shared by the whole process, while steps of
many runs, the notebook's cells and other libraries use them at the same time. So each
hook asks the context variable `current_sink` who is speaking: with a sink the text goes
there, without one everything is as if nbflow were not there.

Nothing here limits how often a sink is called: a loop that redraws a line with `\r`
calls it each time. The sink merges what it stores.
"""

import logging
import re
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, Protocol, TextIO, cast

LINE_LIMIT = 10_000

_BREAKS = re.compile(r"(\r\n|\n|\r)")
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # colours and cursor movements
    r"|\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles and links
    r"|[@-Z\\-_])"
)
_STREAMS = {"stdout": "info", "stderr": "warning"}
_HANDLE = logging.Handler.handle.__code__
_HANDLE_ERROR = logging.Handler.handleError.__code__
_FRAMES_SEARCHED = 30


class Sink(Protocol):
    """Takes what one attempt says; any thread may call it.

    Sinks are told apart by identity and must allow weak references.
    """

    def line(self, text: str, level: str, source: str, replace: bool) -> None:
        """One line without its end, at most `LINE_LIMIT` characters.

        `source` is "print" (also standard error, at level "warning") or "logging".
        With `replace` it takes the place of the latest line of the same level and
        source.
        """

    def progress(
        self, done: float, total: float | None, message: str | None
    ) -> None: ...


current_sink: ContextVar[Sink | None] = ContextVar("nbflow_sink", default=None)


@contextmanager
def capturing(sink: Sink) -> Iterator[None]:
    """Send everything said in this context to `sink`, and finish it at the end."""
    token = current_sink.set(sink)
    try:
        yield
    finally:
        current_sink.reset(token)
        finish(sink)


class Line:
    """The line a stream is writing, as a terminal would show it."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self.text = ""
        self.cut = 0
        self.changed = False  # holds more than the sink has seen
        self.shown = False  # the sink has seen it, so what comes replaces it
        self.returned = False  # the next text overwrites it
        self.redrawn = False

    def feed(self, text: str) -> list[tuple[str, bool]]:
        """Take `text`; return the lines to emit as (text, replace)."""
        lines: list[tuple[str, bool]] = []
        for part in _BREAKS.split(text):
            if part == "\r":
                lines += self.show()
                self.returned = self.redrawn = True
            elif part in ("\n", "\r\n"):
                lines += self.end()
            elif part:
                self._add(part)
        return lines

    def show(self) -> list[tuple[str, bool]]:
        """Emit the line as it stands; what is written on goes into the same line."""
        if not self.changed:
            return []
        lines = self._render()
        self.changed = False
        self.shown = self.shown or bool(lines)
        return lines

    def end(self) -> list[tuple[str, bool]]:
        lines = self._render() if self.changed or not self.shown else []
        self._start()
        return lines

    def _add(self, part: str) -> None:
        if self.returned:
            self.text, self.cut, self.returned = "", 0, False
        room = LINE_LIMIT - len(self.text)
        self.text += part[:room]
        self.cut += max(len(part) - room, 0)
        self.changed = True

    def _render(self) -> list[tuple[str, bool]]:
        text = _ESCAPES.sub("", self.text) if "\x1b" in self.text else self.text
        if self.text and not text:
            return []  # it only moved the cursor
        if self.redrawn:
            text = text.rstrip(" ")  # blanks that wipe out a longer line before
        return [(_cut(text, self.cut), self.shown)]


def _cut(text: str, already: int = 0) -> str:
    if len(text) <= LINE_LIMIT and not already:
        return text
    room = LINE_LIMIT - 40
    return f"{text[:room]}… ({len(text) - room + already} more characters)"


class _Said:
    """What is unfinished for one sink."""

    def __init__(self) -> None:
        self.lines = {name: Line() for name in _STREAMS}
        self.bar: Any = None
        self.progress: tuple[Any, ...] | None = None


# Reentrant: a finalizer or signal handler may print while this thread holds it.
_lock = threading.RLock()
# Weak, as a thread that outlives its attempt may still print after `finish`.
_said: "weakref.WeakKeyDictionary[Sink, _Said]" = weakref.WeakKeyDictionary()
_bars: "weakref.WeakKeyDictionary[Any, weakref.ref[Sink]]" = weakref.WeakKeyDictionary()


def finish(sink: Sink) -> None:
    """Hand `sink` the lines that had no end yet, and forget it. Call it once."""
    if not _said:
        return  # the common case: nobody has anything unfinished
    with _lock:
        said = _said.pop(sink, None)
    if said is not None:
        for name, line in said.lines.items():
            _emit(sink, name, line.show())


def _said_by(sink: Sink) -> _Said:
    said = _said.get(sink)
    if said is None:
        said = _said[sink] = _Said()
    return said


def _emit(sink: Sink, stream: str, lines: list[tuple[str, bool]]) -> None:
    for text, replace in lines:
        _send(sink.line, text, _STREAMS[stream], "print", replace)


def _send(call: Callable[..., None], *args: object) -> None:
    # What the sink itself prints or logs must not come back to it.
    token = current_sink.set(None)
    try:
        call(*args)
    finally:
        current_sink.reset(token)


class _Stream:
    """Stands for `sys.stdout` or `sys.stderr`: all but writing is the original's."""

    def __init__(self, name: str, original: TextIO) -> None:
        self._name = name
        self._original = original

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "_original":  # not set up yet, as in copies
            raise AttributeError(attribute)
        return getattr(self._original, attribute)

    def __repr__(self) -> str:
        return repr(self._original)

    def write(self, text: str) -> int:
        sink = current_sink.get()
        frame = sys._getframe().f_back  # None: the interpreter prints an error
        if frame is not None and _is_tqdm(frame):
            bar = _bar(frame)
            # A bar is of the step that has begun it: threads of the step, and tqdm's
            # monitor thread, which has no context, draw it as well.
            if bar is not None and bar in _bars:
                sink = _bars[bar]()
            if sink is not None and bar is not None:
                try:
                    _drive(getattr(sink, "speaks_for", sink), bar)
                except BaseException:  # the attempt is over
                    if hasattr(current_sink.get(), "speaks_for"):
                        return len(text)  # a thread of it goes on
                    _release_bars(frame)
                    raise
                return len(text)
        if sink is None:
            return self._original.write(text)
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if not _inside_handler(frame):
            with _lock:
                lines = _said_by(sink).lines[self._name].feed(text)
            _emit(sink, self._name, lines)
        return len(text)

    def writelines(self, texts: Any) -> None:
        for text in texts:
            self.write(text)

    def flush(self) -> None:
        sink = current_sink.get()
        if sink is None:
            self._original.flush()
            return
        with _lock:
            said = _said.get(sink)
            lines = [] if said is None else said.lines[self._name].show()
        _emit(sink, self._name, lines)

    def isatty(self) -> bool:
        # No terminal for code in a sink, else libraries draw with escape sequences.
        return current_sink.get() is None and self._original.isatty()


def _bar(frame: FrameType | None) -> Any:
    """The tqdm bar that is being drawn; None where tqdm writes a text for its user."""
    while frame is not None and _is_tqdm(frame):
        owner = frame.f_locals.get("self")
        if hasattr(owner, "n") and hasattr(owner, "total"):
            return owner
        frame = frame.f_back
    return None


def _is_tqdm(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith("tqdm")


def _release_bars(frame: FrameType | None) -> None:
    """Give back the lock of all bars, which tqdm does not when drawing one fails."""
    while frame is not None and _is_tqdm(frame):
        if frame.f_code.co_name == "refresh" and not frame.f_locals.get("nolock"):
            frame.f_locals["self"]._lock.release()
            return
        frame = frame.f_back


def _drive(sink: Sink, bar: Any) -> None:
    """Report the progress of the sink's outermost open bar; others are not shown."""
    with _lock:
        said = _said_by(sink)
        if said.bar is None or said.bar.disable:
            said.bar = bar
            _bars[bar] = weakref.ref(sink)
        description = (bar.desc or "").removesuffix(": ") or None
        progress = (bar.n, bar.total, description)
        if said.bar is not bar or said.progress == progress:
            return
        said.progress = progress
    _send(sink.progress, *progress)


def _inside_handler(frame: FrameType | None) -> bool:
    """Whether a logging handler writes: its record has become a line already."""
    for _ in range(_FRAMES_SEARCHED):
        if frame is None or frame.f_code is _HANDLE_ERROR:
            return False
        if frame.f_code is _HANDLE:
            return True
        frame = frame.f_back
    return False


class _LogHook:
    """Sees every record on its way to the handlers.

    Not a handler of the root logger: with one there, `logging.basicConfig()` in a
    cell would do nothing, and `logging.lastResort` would fall silent.
    """

    def __init__(self) -> None:
        self.active = True
        self.previous = previous = logging.Logger.callHandlers

        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            if self.active:
                _log(record)
            previous(logger, record)

        self.function = call_handlers
        logging.Logger.callHandlers = cast(Any, call_handlers)  # type: ignore[method-assign]

    @property
    def on_top(self) -> bool:
        return logging.Logger.callHandlers is self.function

    def restore(self) -> None:
        self.active = False  # where someone put a hook over it, it only passes on
        if self.on_top:
            logging.Logger.callHandlers = self.previous  # type: ignore[method-assign]


_formatter = logging.Formatter("%(message)s")


def _log(record: logging.LogRecord) -> None:
    sink = current_sink.get()
    if sink is None:
        return
    try:
        text = _formatter.format(record)
    except Exception:  # wrong arguments, which the record's own handlers report
        text = str(record.msg)
    _send(sink.line, _cut(text), _level(record.levelno), "logging", False)


def _level(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"


class _WarningHook:
    """Stands for `warnings.showwarning`."""

    def __init__(self) -> None:
        self.active = True
        self.previous = warnings.showwarning
        warnings.showwarning = cast(Any, self)

    def __call__(
        self, message: Warning | str, category: type[Warning], *args: Any, **kwargs: Any
    ) -> None:
        sink = current_sink.get() if self.active else None
        if sink is None:
            self.previous(message, category, *args, **kwargs)
            return
        text = _cut(f"{category.__name__}: {message}")
        _send(sink.line, text, "warning", "logging", False)

    @property
    def on_top(self) -> bool:
        return cast(Any, warnings.showwarning) is self

    def restore(self) -> None:
        self.active = False
        if self.on_top:
            warnings.showwarning = self.previous


class _Installation:
    """The hooks that are in place, counted by those who need them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.hooks: dict[type, _LogHook | _WarningHook] = {}
        # Outlive their use: before Python 3.13.3 `print` holds no reference to the
        # stream it writes to, and another thread may be in the middle of it.
        self.streams: dict[str, _Stream] = {}

    def add(self) -> None:
        with self.lock:
            self.users += 1
            for name in _STREAMS:
                stream = getattr(sys, name)
                # None without a console; ours if someone kept it and put it back.
                if stream is not None and not isinstance(stream, _Stream):
                    setattr(sys, name, self.stand_in(name, stream))
            for kind in (_LogHook, _WarningHook):
                hook = self.hooks.get(kind)
                if hook is None or not hook.on_top:
                    if hook is not None:
                        hook.restore()
                    self.hooks[kind] = kind()

    def stand_in(self, name: str, original: TextIO) -> _Stream:
        known = self.streams.get(name)
        if known is None or known._original is not original:
            known = self.streams[name] = _Stream(name, original)
        return known

    def remove(self) -> None:
        with self.lock:
            self.users -= 1
            if self.users:
                return
            for name in _STREAMS:
                stream = getattr(sys, name)
                if isinstance(stream, _Stream):
                    setattr(sys, name, stream._original)
            for hook in self.hooks.values():
                hook.restore()
            self.hooks.clear()


_installation = _Installation()


def install() -> None:
    """Put the hooks in place; each call needs an `uninstall()`. Thread safe.

    Streams and hooks that were replaced since are wrapped again.
    """
    _installation.add()


def uninstall() -> None:
    """Take the hooks out after the last user; what is not ours any more stays."""
    _installation.remove()

"""What crosses between the engine and a step's own process: values and exceptions.

cloudpickle makes the pickles, with three additions. Functions and classes of modules
that another process cannot import go by value. A `Context` becomes the one of the
process that reads it. Exceptions keep their frames and causes, and one that cannot be
pickled still arrives as one of its class. Imported late, as cloudpickle is.
"""

import inspect
import os
import pickle
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from types import (
    CodeType,
    FrameType,
    FunctionType,
    MethodType,
    ModuleType,
    TracebackType,
)
from typing import Any, NamedTuple

import cloudpickle

from nbflow import _rebuild
from nbflow.context import Context, current
from nbflow.errors import NbflowError, NotSerializable

_APART = 64 * 1024
"""Buffers (of arrays, say) from this size on travel beside the pickle, not in it."""
_FRAMES_KEPT = 50  # of a traceback, from each end
_SEARCH_DEPTH = 4
_SEARCH_WIDTH = 1_000
_LOADERS = ("_frozen_importlib", "importlib", "zipimport")

Buffer = bytes | bytearray | memoryview


class Parcel(NamedTuple):
    """A pickle, in pieces that together are its stream, and the buffers beside it."""

    stream: Sequence[Buffer]
    buffers: Sequence[memoryview] = ()


def pack(value: object) -> Parcel:
    """Pickle a value for another process of this machine.

    Large buffers are not copied: leave them as they are until the parcel is sent.

    Raises:
        Exception: of any type; what it holds cannot be pickled. `refusal` explains it.
    """
    return _pack(value, frozenset())


def unpack(stream: Buffer, buffers: Sequence[memoryview] = ()) -> Any:
    """The value of a parcel; only for those that came through our own pipe.

    Raises:
        Exception: of any type; a module or class is not the same here.
    """
    return pickle.loads(stream, buffers=buffers)


def pack_error(error: BaseException, hidden: int = 0) -> bytes:
    """Pickle an exception without its outermost `hidden` frames; never raises."""
    for _ in range(hidden):
        if error.__traceback__ is not None:
            error.__traceback__ = error.__traceback__.tb_next
    try:
        return b"".join(pack(error).stream)
    except Exception:  # its causes go too deep, or refuse in some other way
        bare = stand_in(None, *_names(error)).with_traceback(error.__traceback__)
        return b"".join(pack(bare).stream)


def refusal(what: str, value: object, error: Exception) -> NotSerializable:
    """Say which part of `value` cannot be pickled, and what to do about it.

    Args:
        what: names the value in the message, as in "argument 1 of step 'fit'".
        value: what `pack` was given.
        error: what it raised.
    """
    path, culprit = _culprit(value, "", _SEARCH_DEPTH)
    where = f"{what}, at {path.lstrip('.')}," if path else what
    return NotSerializable(
        f"{where} cannot go to another process: {type(culprit).__name__} cannot be "
        f"pickled ({type(error).__name__}: {error}). Steps with process=True take and "
        "give data: make connections, locks and open files inside the function, or "
        "leave process=True out.",
        path=path,
        value=culprit,
    )


# Modules by value


class _ByValue:
    """Modules that go by value while someone pickles.

    cloudpickle's list of them belongs to the whole interpreter, and others may use it:
    ours are on it only as long as they must be.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: Counter[str] = Counter()

    def add(self, module: ModuleType) -> bool:
        """Put a module on the list; False when somebody else has done so."""
        name = module.__name__
        with self._lock:
            if not self._users[name]:
                if name in cloudpickle.list_registry_pickle_by_value():
                    return False
                cloudpickle.register_pickle_by_value(module)
            self._users[name] += 1
        return True

    def remove(self, module: ModuleType) -> None:
        """Take back one `add` that was True."""
        with self._lock:
            self._users[module.__name__] -= 1
            if not self._users[module.__name__]:
                with suppress(ValueError):  # somebody else has taken it off
                    cloudpickle.unregister_pickle_by_value(module)


_by_value = _ByValue()


class _Chunks:
    """A file that keeps what is written, without copying large pieces."""

    def __init__(self) -> None:
        self.chunks: list[Buffer] = []

    def write(self, chunk: Any) -> int:
        self.chunks.append(chunk)
        return len(chunk)


class _Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
    """cloudpickle's pickler with our additions; `tried` are exceptions under trial."""

    def __init__(
        self,
        file: _Chunks,
        take: Callable[[pickle.PickleBuffer], bool],
        tried: frozenset[int],
    ) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL, take)
        self.registered: list[ModuleType] = []
        self._seen: set[str] = set()
        self._tried = tried

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, BaseException):
            self._place(type(obj).__module__)
            return _reduce_error(obj, self._tried)
        if isinstance(obj, type | FunctionType):
            self._place(obj.__module__)
        elif type(obj) is Context:
            return current, ()
        return super().reducer_override(obj)

    def _place(self, name: object) -> None:
        """Have the module's functions and classes go by value where they must."""
        if not isinstance(name, str) or name in self._seen:
            return
        self._seen.add(name)
        module = sys.modules.get(name)
        if not isinstance(module, ModuleType) or is_importable(module):
            return
        if _by_value.add(module):
            self.registered.append(module)


def _pack(value: object, tried: frozenset[int]) -> Parcel:
    file, buffers = _Chunks(), list[memoryview]()

    def take(buffer: pickle.PickleBuffer) -> bool:
        """Whether the buffer stays in the pickle."""
        view = buffer.raw()
        if view.nbytes < _APART:
            return True
        buffers.append(view)
        return False

    pickler = _Pickler(file, take, tried)
    try:
        pickler.dump(value)
    finally:
        for module in pickler.registered:
            _by_value.remove(module)
    return Parcel(file.chunks, buffers)


def is_importable(module: ModuleType) -> bool:
    """Whether a fresh interpreter with our `sys.path` would import this module.

    Not so: notebooks and files that `nbflow run` has loaded, modules made by hand, and
    those that only an import hook of this process finds.
    """
    name = module.__name__
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return True  # `__main__` is none, but cloudpickle knows it
    if hasattr(module, "__nbflow_path__"):
        return False
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(top, None)
        except Exception:  # a foreign hook, which may do anything
            continue
        if spec is None or not _is_standard(spec.loader):
            continue
        return bool(name != top or _same_file(module, spec.origin))
    return False


def _is_standard(loader: object) -> bool:
    if loader is None:
        return True  # a folder without __init__.py
    kind = loader if isinstance(loader, type) else type(loader)
    return str(kind.__module__).startswith(_LOADERS)


def _same_file(module: ModuleType, origin: str | None) -> bool:
    file = getattr(module, "__file__", None)
    if file is None or origin is None:
        return bool(file is None and origin in (None, "built-in", "frozen"))
    return os.path.realpath(str(file)) == os.path.realpath(origin)


# Exceptions


def _reduce_error(error: BaseException, tried: frozenset[int]) -> tuple[Any, ...]:
    """How an exception is pickled: with its frames, its cause and its context."""
    make, args, state = _tested(error, tried | {id(error)}, is_known=id(error) in tried)
    more = (
        state,
        list(_frames(error.__traceback__)),
        error.__cause__,
        error.__context__,
        error.__suppress_context__,
    )
    return make, args, more, None, None, _finish_error


def _tested(
    error: BaseException, tried: frozenset[int], is_known: bool
) -> tuple[Callable[..., BaseException], tuple[Any, ...], Any]:
    """What makes the exception again: its own way if that works, else a stand-in.

    Pickling alone shows little: many exceptions fail only when they are made again.
    """
    try:
        reduced: Any = error.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
        make, args, state = (*reduced, None)[:3]
        if is_known:  # part of itself: the trial is under way
            return make, args, state
        parcel = _pack((make, args, state), tried)
        made_by, made_of, its_state = unpack(
            b"".join(parcel.stream), list(parcel.buffers)
        )
        made = made_by(*made_of)
        _set_state(made, its_state)
        if type(made).__qualname__ == type(error).__qualname__:
            return make, args, state
    except Exception:  # code of the user's exception class, which may do anything
        pass
    kind: type[BaseException] | None = type(error)
    try:
        _pack(kind, tried)
    except Exception:
        kind = None
    return stand_in, (kind, *_names(error)), None


def _names(error: BaseException) -> tuple[str, str, dict[str, object]]:
    """Class path, text and plain attributes: what is left of any exception."""
    try:
        text = str(error)
    except Exception:
        text = f"<{type(error).__name__} whose text cannot be made: its str() failed>"
    attributes: dict[str, object] = {}
    with suppress(Exception):
        attributes = _rebuild.plain_attributes(error)
    return _rebuild.class_path(type(error)), text, attributes


def stand_in(
    kind: type[BaseException] | None,
    path: str,
    text: str,
    attributes: dict[str, object],
) -> BaseException:
    """An exception that reads as the original, and is of its class if there is one."""
    error = _rebuild.as_original(NbflowError, path, None, text, attributes, None)
    if error is None and kind is not None:
        with suppress(Exception):  # a class local to a function
            error = _rebuild.as_original(
                NbflowError, None, kind.__new__(kind), text, attributes, None
            )
    if error is not None:
        return error
    module, _, qualname = path.partition(":")
    named = {"__module__": module, "__qualname__": qualname}
    made: NbflowError = type(qualname.rpartition(".")[2], (NbflowError,), named)(text)
    _rebuild.restore(made, attributes)
    return made


def _finish_error(error: BaseException, more: tuple[Any, ...]) -> None:
    state, frames, cause, context, suppressed = more
    _set_state(error, state)
    error.__traceback__ = _traceback(frames)
    error.__cause__, error.__context__ = cause, context
    error.__suppress_context__ = suppressed


def _set_state(error: BaseException, state: Any) -> None:
    if state is not None:
        error.__setstate__(state)


_Place = tuple[str, str, int, str]  # file, function, line, module


def _frames(trace: TracebackType | None) -> Iterator[_Place]:
    places: list[_Place] = []
    while trace is not None:
        frame = trace.tb_frame
        code, module = frame.f_code, frame.f_globals.get("__name__")
        places.append((code.co_filename, code.co_name, trace.tb_lineno, str(module)))
        trace = trace.tb_next
    yield from places[:_FRAMES_KEPT]
    yield from places[_FRAMES_KEPT:][-_FRAMES_KEPT:]


def _traceback(places: Sequence[_Place]) -> TracebackType | None:
    """A traceback that prints as the one of the other process did."""
    trace: TracebackType | None = None
    for place in reversed(places):
        # At its first instruction: what draws tracebacks may look for a real one.
        trace = TracebackType(trace, _frame(*place), 0, place[2])
    return trace


def _without_columns(code: CodeType) -> CodeType:
    """The code with one line for all of it, and no columns, which nobody knows here."""
    table, left = b"", len(code.co_code) // 2
    while left:
        size = min(left, 8)
        # An entry of the table: "a line, no columns", and how far the line moves.
        table += bytes([0x80 | 13 << 3 | size - 1, 0])
        left -= size
    return code.replace(co_linetable=table)


_STUB = _without_columns(compile("frame = getframe()", "<stub>", "exec"))


def _frame(file: str, name: str, line: int, module: str) -> FrameType:
    """A frame of a function that was never called here."""
    code = _STUB.replace(
        co_filename=file, co_name=name, co_qualname=name, co_firstlineno=max(line, 1)
    )
    space: dict[str, Any] = {"__name__": module, "getframe": sys._getframe}
    exec(code, space)
    del space["getframe"]
    frame: FrameType = space.pop("frame")
    return frame


# What cannot be pickled


def _culprit(value: object, path: str, depth: int) -> tuple[str, object]:
    """The innermost part that cannot be pickled on its own, and the way to it."""
    if depth:
        for number, (step, part) in enumerate(_parts(value)):
            if number == _SEARCH_WIDTH:
                break
            if not _packs(part):
                return _culprit(part, path + step, depth - 1)
    return path, value


def _packs(value: object) -> bool:
    try:
        pack(value)
    except Exception:
        return False
    return True


def _parts(value: Any) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{n}]", item) for n, item in enumerate(value))
    elif isinstance(value, partial):
        yield ".func", value.func
        yield ".args", value.args
        yield ".keywords", value.keywords
    elif isinstance(value, MethodType):
        yield ".__self__", value.__self__
    elif isinstance(value, FunctionType):
        names = inspect.getclosurevars(value)
        yield from _attributes({**names.globals, **names.nonlocals})
    elif not isinstance(value, type):
        held = getattr(value, "__dict__", None)
        if isinstance(held, dict):
            yield from _attributes(held)


def _attributes(held: dict[str, object]) -> Iterator[tuple[str, object]]:
    yield from ((f".{name}", item) for name, item in held.items())

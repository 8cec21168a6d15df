"""A process that makes one call of a step and ends: `python -m` of this module.

It imports what it needs, then waits at its standard input for a call. The pipes it is
started with become private at once; what is written to descriptors 1 and 2 afterwards
goes to the pipe of raw output. Neighbours: `child` starts it, `conversation` is at
the other end.
"""

import asyncio
import faulthandler
import importlib
import inspect
import io
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from types import FunctionType, ModuleType
from typing import Any, NoReturn

from nbflow._engine import capture, carry, failure, offspring, streams, wire
from nbflow.context import Context, RunFacts, StepInfo, current_context
from nbflow.definition.source import unwrap
from nbflow.errors import NestedStep, NotSerializable

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Make the one call that comes, and return."""
    engine = int(sys.argv[1])
    line = wire.Wire(*_take_pipes())
    _die_with(engine)
    faulthandler.enable(all_threads=False)
    Worker(line).serve()


def _take_pipes() -> tuple[io.FileIO, io.FileIO]:
    """Make the pipes private, so that no print or child process gets at them."""
    source, target = os.dup(0), os.dup(1)
    if sys.platform == "win32":
        import msvcrt

        for pipe in (source, target):
            msvcrt.setmode(pipe, os.O_BINARY)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        # Each line at once and in one piece: forks of this process write there, too.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                line_buffering=True, write_through=False, errors="backslashreplace"
            )
    return io.FileIO(source, "r"), io.FileIO(target, "w")


def _die_with(engine: int) -> None:
    """Have the system kill this process when the engine dies, where it can."""
    if sys.platform != "linux":
        return
    with suppress(Exception):  # no ctypes, another libc: the pipe's end tells as well
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != engine:  # it died before we asked
            _die()


def _die() -> NoReturn:
    """End at once, with all that this process has started."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


class Worker:
    """The call's process: takes the call, and speaks for it on the wire."""

    def __init__(self, line: wire.Wire) -> None:
        self._wire = line
        self._calls: SimpleQueue[wire.Frame] = SimpleQueue()
        self._replies: SimpleQueue[wire.Frame] = SimpleQueue()
        self._asking = threading.Lock()
        self._is_fork = False

    def serve(self) -> None:
        """Wait for the call, make it, tell its outcome."""
        threading.Thread(target=self._read, name="nbflow-wire", daemon=True).start()
        settings = pickle.loads(self._calls.get().stream)
        call = self._calls.get()
        self._wire.send(wire.STARTED, [])
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._leave)
        _take_over(settings)
        scope = StepScope(self, settings["step"])
        sink = Sink(self)
        context = current_context.set(Context(scope)) if scope.is_step else None
        capture.install()
        offspring.install()
        with capture.capturing(sink):
            kind, stream, buffers = _perform(call, scope.name)
        _flush()
        self._wire.send(kind, stream, buffers)
        if context is not None:
            current_context.reset(context)

    def say(self, *message: object) -> None:
        """Tell the engine something that needs no answer."""
        if not self._is_fork:
            # A closed pipe: the engine is gone, and so is this process in a moment.
            with suppress(OSError):
                self._wire.send(wire.SAY, [pickle.dumps(message)])

    def ask(self, *question: object) -> Any:
        """Ask the engine something; raises what it raises there."""
        if self._is_fork:
            raise RuntimeError(
                "this process was forked from a step's process and is no part of the "
                "step: use nbflow.current() in the process of the step itself"
            )
        try:
            packed = carry.pack(question)
        except Exception as error:
            what = f"what ctx.{question[0]} was given"
            raise carry.refusal(what, question[1:], error) from error
        with self._asking:
            self._wire.send(wire.ASK, [b"".join(packed.stream)])
            frame = self._replies.get()
        value, raised = carry.unpack(frame.stream)
        if raised is not None:
            raise raised.with_traceback(None)
        return value

    def _read(self) -> None:
        """Take what comes; the end of the pipe is the end of the engine."""
        with suppress(EOFError, OSError):
            while True:
                frame = self._wire.receive()
                queue = self._replies if frame.kind == wire.REPLY else self._calls
                queue.put(frame)
        if not self._is_fork:
            _die()

    def _leave(self) -> None:
        """In a forked child: let go of pipes and context, which are the parent's."""
        self._is_fork = True
        with suppress(OSError):
            self._wire.close()
        capture.current_sink.set(None)
        current_context.set(None)


def _take_over(settings: Mapping[str, Any]) -> None:
    """Become like the engine's process was when it made the call."""
    if settings["cwd"] is not None:
        with suppress(OSError):  # deleted meanwhile
            os.chdir(settings["cwd"])
    environ: dict[str, str] = settings["environ"]
    for name in os.environ.keys() - environ.keys():
        del os.environ[name]
    os.environ.update(environ)
    sys.path[:] = settings["path"]
    sys.argv[:] = settings["argv"]
    importlib.invalidate_caches()


_Message = tuple[int, Any, Any]  # kind, stream, buffers


def _perform(call: wire.Frame, name: str) -> _Message:
    try:
        fn, args, kwargs = carry.unpack(call.stream, call.buffers)
    except BaseException as error:
        return _failed(_unreadable(error, name))
    del call
    adopt(fn)
    try:
        value = fn(*args, **kwargs)
        if inspect.isawaitable(value):
            value = asyncio.run(_wait(value))
        if inspect.isgenerator(value):
            value = streams.drain(value)
        elif inspect.isasyncgen(value):
            value = asyncio.run(streams.collect(value))
    except BaseException as error:
        # Whatever user code raises, SystemExit included, is its outcome.
        return _failed(error, hidden=1)
    try:
        return wire.VALUE, *carry.pack(value)
    except Exception as error:
        refusal = carry.refusal(f"the value of {name}", value, error)
        refusal.__cause__ = error
        return _failed(refusal)


def adopt(fn: Any) -> None:
    """Let a function that came by value be found under its module's name.

    `multiprocessing`, the plain `pickle` and string annotations look there for it, and
    for the functions and classes that it names.
    """
    fn = unwrap(fn)
    if not isinstance(fn, FunctionType):
        return
    space = fn.__globals__
    name = space.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    if module is not None and vars(module) is space:
        return  # it came by name
    if module is None:
        module = sys.modules[str(name)] = ModuleType(str(name))
    vars(module).update(space)
    if "." not in fn.__qualname__:
        vars(module).setdefault(fn.__name__, fn)


async def _wait(value: Any) -> Any:
    return await value


def _unreadable(error: BaseException, name: str) -> BaseException:
    if not isinstance(error, Exception):
        return error
    refusal = NotSerializable(
        f"the function or an argument of {name} cannot be read in its process "
        f"({type(error).__name__}: {error}): a module that it needs must be importable "
        "there, from a file on sys.path"
    )
    refusal.__cause__ = error
    return refusal


def _failed(error: BaseException, hidden: int = 0) -> _Message:
    trace = failure.user_traceback(error, str)
    text = failure.message(error, str)
    path = f"{type(error).__module__}:{type(error).__qualname__}"
    packed = carry.pack_error(error, hidden)
    return wire.ERROR, [pickle.dumps((path, text, trace, packed))], ()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the user's own, or none
            stream.flush()


class Sink:
    """Takes what the call prints and logs."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def line(self, text: str, level: str, source: str, replace: bool) -> None:
        """A line of output."""
        self._worker.say("line", text, level, source, replace)

    def progress(self, done: float, total: float | None, message: str | None) -> None:
        """How far a bar has come."""
        self._worker.say("bar", done, total, message)


class StepScope:
    """Implements `context.Scope` as far as a step may use it."""

    def __init__(self, worker: Worker, told: Mapping[str, Any]) -> None:
        self._worker = worker
        self._run_id: str | None = told["run_id"]
        self.is_step: bool = told["is_step"]
        self._facts: RunFacts | None = None
        self._step: StepInfo | None = None
        self._made: dict[Any, Any] = {}
        if self.is_step:
            self._step = StepInfo(
                told["id"], told["key"], told["attempt"], self._step_dir
            )

    @property
    def name(self) -> str:
        """How messages name the step."""
        return f"step {self._step.id!r}" if self._step is not None else "the call"

    @property
    def facts(self) -> RunFacts:
        """Plain data of the run, asked for once."""
        if self._facts is None:
            self._facts = self._worker.ask("facts")
        assert self._facts is not None
        return self._facts

    def log(
        self, message: str, level: str, source: str, attributes: Mapping[str, Any]
    ) -> None:
        """A line of the step."""
        try:
            packed = b"".join(carry.pack(dict(attributes)).stream)
        except Exception:  # they are only shown
            shown = {name: repr(value) for name, value in attributes.items()}
            packed = pickle.dumps(shown)
        self._worker.say("log", str(message), level, source, packed)

    def progress(self, done: float, total: float | None, message: str | None) -> None:
        """How far the step has come."""
        self._worker.say("progress", done, total, message)

    def emit(self, name: str, data: Any, key: str | None) -> None:
        """Data for whoever watches the run; raises what the engine raises."""
        self._worker.ask("emit", name, data, key)

    def current_step(self) -> StepInfo | None:
        """The step."""
        return self._step

    def resource(self, owner: Any, factory: Callable[[], Any]) -> Any:
        """This process's own object: the engine's cannot leave the engine."""
        if owner not in self._made:
            self._made[owner] = factory()
        return self._made[owner]

    def _step_dir(self) -> Path:
        return Path(self._worker.ask("dir"))

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)
        raise NestedStep(
            f"ctx.{method}() was called inside {self.name}: steps do not nest, for an "
            "inner one could not be recorded on its own. Call it from the workflow's "
            "body, or as a plain function.",
            run_id=self._run_id,
            step=self._step.id if self._step is not None else None,
        )


if __name__ == "__main__":
    # The name is the user's: see `adopt`.
    sys.modules["__main__"] = ModuleType("__main__")
    importlib.import_module("nbflow._engine.process_worker").main()

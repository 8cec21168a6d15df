"""What the engine and a step's process say to each other, the engine's side.

Imported late, by the thread of the first call: it brings cloudpickle.
"""

import contextvars
import pickle
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from nbflow._engine import carry, wire
from nbflow._engine.capture import current_sink
from nbflow._engine.child import Child
from nbflow._engine.threads import Outcome
from nbflow.context import Scope, StepInfo, current
from nbflow.errors import NotSerializable, ProcessDied

_TRIES = 3  # spares that may be found dead, one after the other


def converse(
    context: contextvars.Context,
    label: str,
    call: tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]],
    settings: Mapping[str, Any],
    take: Callable[[], Child],
    begun: Callable[[], None],
) -> Outcome[Any]:
    """Have a process make a call, and hand on what it says meanwhile.

    Args:
        context: `current_sink` and `nbflow.current()` of it hear the process.
        label: names the call where no step does.
        call: function, arguments, keyword arguments.
        settings: of this process, which the other takes over.
        take: gives a process; those it gave before are dead.
        begun: called when a process has received the call.
    """
    hearing = Hearing(context)
    step = hearing.step
    what = f"step {step.id!r}" if step is not None else f"{label!r}"
    try:
        parcel = carry.pack(call)
    except Exception as error:
        return Outcome(error=_refuse(call, what, error))
    plain = pickle.dumps({**settings, "step": hearing.facts()})
    code = 0
    for _ in range(_TRIES):
        child = take()
        child.listen(hearing.raw)
        try:
            child.wire.send(wire.SETTINGS, [plain])
            child.wire.send(wire.CALL, parcel.stream, parcel.buffers)
            child.wire.receive()  # STARTED
        except (OSError, EOFError):
            code = child.end()  # before it knew of the call: any other will do
            continue
        begun()
        del parcel, call  # of its process alone from now on
        return _listen(child, hearing, what)
    return Outcome(error=_died(what, code))


def _listen(child: Child, hearing: "Hearing", what: str) -> Outcome[Any]:
    """Hand on what the process says until it has an outcome."""
    try:
        while True:
            frame = child.wire.receive()
            if frame.kind == wire.SAY:
                hearing.say(*pickle.loads(frame.stream))
            elif frame.kind == wire.ASK:
                child.wire.send(wire.REPLY, [hearing.answer(frame.stream)])
            else:
                break
    except (OSError, EOFError):
        return Outcome(error=_died(what, child.end()))
    child.drain()
    return _outcome(frame, what)


def _outcome(frame: wire.Frame, what: str) -> Outcome[Any]:
    if frame.kind == wire.VALUE:
        try:
            return Outcome(carry.unpack(frame.stream, frame.buffers))
        except Exception as error:
            refusal = NotSerializable(
                f"the value of {what} came back from its process, but cannot be read "
                f"here ({type(error).__name__}: {error}): return plain data, or "
                "objects of modules that can be imported here as well"
            )
            refusal.__cause__ = error
            return Outcome(error=refusal)
    path, text, trace, packed = pickle.loads(frame.stream)
    try:
        raised: BaseException = carry.unpack(packed)
    except Exception:  # its class is another one here, or none
        raised = carry.stand_in(None, path, text, {})
        raised.add_note(trace)
    return Outcome(error=raised)


def _refuse(
    call: tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]],
    what: str,
    error: Exception,
) -> Exception:
    """Name the part of the call that cannot be pickled."""
    fn, args, kwargs = call
    parts: list[tuple[str, object]] = [(f"the function of {what}", fn)]
    parts += [(f"argument {n} of {what}", arg) for n, arg in enumerate(args, 1)]
    parts += [(f"argument {name!r} of {what}", arg) for name, arg in kwargs.items()]
    for name, part in parts:
        try:
            carry.pack(part)
        except Exception as reason:
            refusal = carry.refusal(name, part, reason)
            refusal.__cause__ = reason
            return refusal
    return error


def _died(what: str, code: int) -> ProcessDied:
    if code >= 0:
        how = f"ended itself with exit code {code}"
    else:
        try:
            how = f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            how = f"was ended by signal {-code}"
    hint = ""
    if code == -getattr(signal, "SIGKILL", 9):
        hint = "; if nobody killed it, the system ran out of memory"
    return ProcessDied(
        f"the process of {what} {how} before the function had returned{hint}. What it "
        "wrote is in the step's log.",
        exit_code=code,
    )


class Hearing:
    """Passes on what a process says to those who listen in a context."""

    def __init__(self, context: contextvars.Context) -> None:
        self._context = context
        self._sink = context.get(current_sink)
        self._scope: Scope = context.run(current)._scope
        self.step: StepInfo | None = context.run(self._scope.current_step)

    def facts(self) -> dict[str, object]:
        """What the process is told of its step from the start."""
        facts: dict[str, object] = {"run_id": None, "is_step": self.step is not None}
        with suppress(RuntimeError):  # outside a run
            facts["run_id"] = self._scope.facts.run_id
        if self.step is not None:
            facts.update(id=self.step.id, key=self.step.key, attempt=self.step.attempt)
        return facts

    def raw(self, text: str, replace: bool) -> None:
        """A line that was written past Python, by a library or another program."""
        self.say("line", text, "info", "print", replace)

    def say(self, verb: str, *message: Any) -> None:
        """Pass on a line, a bar or a call of log or progress."""
        # The run may have ended meanwhile; then nobody listens, and the process is
        # about to be killed. What listens may also fail by itself: not the step's
        # fault.
        with suppress(BaseException):
            if verb == "log":
                text, level, source, packed = message
                attributes = carry.unpack(packed)
                self._ask(self._scope.log, text, level, source, attributes)
            elif verb == "progress":
                self._ask(self._scope.progress, *message)
            elif self._sink is None:
                _print(verb, *message)
            elif verb == "line":
                self._sink.line(*message)
            else:
                self._sink.progress(*message)

    def answer(self, question: wire.Buffer) -> bytes:
        """The packed answer to a question: (value, None) or (None, error)."""
        answer: tuple[object, BaseException | None]
        try:
            verb, *message = carry.unpack(question)
            answer = self._answer(verb, *message), None
        except BaseException as error:  # also the engine's own interrupts
            answer = None, error
        try:
            return b"".join(carry.pack(answer).stream)
        except Exception as error:
            refusal = carry.refusal("what ctx holds", answer[0], error)
            return b"".join(carry.pack((None, refusal)).stream)

    def _answer(self, verb: str, *message: Any) -> object:
        if verb == "emit":
            self._ask(self._scope.emit, *message)
            return None
        if verb == "dir":
            assert self.step is not None
            return str(self.step.dir)
        return self._scope.facts

    def _ask(self, method: Callable[..., object], *message: Any) -> None:
        self._context.run(method, *message)


def _print(verb: str, *message: Any) -> None:
    if verb == "line":
        text, level, source, _ = message
        is_out = source == "print" and level == "info"
        print(text, file=sys.stdout if is_out else sys.stderr)

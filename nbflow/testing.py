"""For tests of workflows: a real engine on virtual time, whose steps can be stubbed.

```python
async def test_retries():
    async with TestEngine() as engine:
        engine.stub("fetch", [OSError("down"), "page"])
        assert await engine.run(summarize, "http://example.org") == "…"
```
"""

import asyncio
import copy
import inspect
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from nbflow._engine.clock import SystemClock, VirtualClock
from nbflow._engine.functions import refuse_coroutine
from nbflow._engine.mailbox import ANSWER, stored_data
from nbflow._engine.streams import collect, drain
from nbflow._store.memory import MemoryStore
from nbflow.client import Client, RunHandle
from nbflow.context import Context, InvokeOutcome, RunFacts, StepInfo, current_context
from nbflow.definition.source import function_label
from nbflow.engine import Engine
from nbflow.model import from_micros
from nbflow.names import check_event_name
from nbflow.workflows import Workflow, start_run

__all__ = ["TestEngine", "VirtualClock", "crash", "inline"]

_clock = SystemClock()


class TestEngine:
    """The real engine with its store in memory and a virtual clock.

    An async context manager. Sleeps, retries and time-outs take no time.

    Args:
        clock: starts in 2026 if None.
        app: the app's name.
    """

    __test__ = False  # not a test class of pytest's

    def __init__(self, clock: VirtualClock | None = None, app: str = "test") -> None:
        self.clock = VirtualClock() if clock is None else clock
        self.app = app
        self._store = MemoryStore(now=self.clock.micros())
        self._workflows: dict[str, Any] = {}
        self._stubs = _Stubs()
        self._engine: Engine | None = None

    @property
    def client(self) -> Client:
        """A client of the engine."""
        return self._running().client

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._engine is not None:
            await asyncio.to_thread(self._engine.close)
        idle = ", ".join(repr(name) for name in self._stubs.unused)
        if idle and kind is None:
            warnings.warn(
                f"no step took the stub of {idle}: stubs are for the functions of "
                "ctx.run and ctx.map, by the step's label or id (an item's is 'id[0]')",
                stacklevel=2,
            )

    def stub(self, step: str, outcome: Any) -> None:
        """Let a step do something else than call its function.

        Args:
            step: the step's label, or its id without branch and number.
            outcome: the value; an exception to raise; a list of such, one per
                attempt (the last one repeats); or a function called in the step's
                place with its arguments.
        """
        self._stubs[step] = _as_function(outcome)

    def serve(self, *workflows: Workflow[Any, Any]) -> None:
        """Make workflows known that are invoked by name."""
        for each in workflows:
            self._workflows[each.name] = each.spec

    async def run(self, workflow: Workflow[Any, Any], *args: Any, **kwargs: Any) -> Any:
        """Run a workflow to its end; its result.

        Raises:
            RunFailed, RunCanceled: as `RunHandle.result`.
        """
        return await self.start(workflow, *args, **kwargs)

    def start(
        self, workflow: Workflow[Any, Any], *args: Any, **kwargs: Any
    ) -> RunHandle[Any]:
        """Start a run; its handle."""
        engine = self._running()
        if not isinstance(workflow, Workflow):
            raise TypeError(
                f"TestEngine got {type(workflow).__name__} {workflow!r}: pass the "
                "workflow itself, as in engine.run(summarize, url)"
            )
        self.serve(workflow)
        values = workflow.spec.inputs.validate_call(args, kwargs)
        assert engine._host is not None
        return start_run(engine._host, workflow.spec, values, workflow._run)

    def send(self, name: str, data: Any = None) -> None:
        """Send an event to the first run that waits for it, now or later.

        `client.events.send` is the real one, to all runs that wait at that moment. On
        virtual time a wait with a timeout is over at once where nobody else works, so
        send before the run starts.
        """
        self._prepare(check_event_name(name), data, None)

    def answer(self, step: str, value: Any) -> None:
        """Answer the first step of that name that asks, now or later.

        `client.runs.answer` is the real one, for one run.
        """
        self._prepare(ANSWER, value, step)

    def _prepare(self, name: str, data: Any, step: str | None) -> None:
        host = self._running()._host
        assert host is not None
        stored = stored_data(data, host.core.commits)
        host.call(host.core.mailbox.prepare, name, stored, step)

    def crash(self) -> None:
        """Kill the engine and start another one on what was committed."""
        engine = self._running()
        assert engine._host is not None
        engine._host.crash()
        self._store = self._store.crash()
        self._start()

    def _start(self) -> None:
        engine = Engine(app=self.app, workflows=(), clock=self.clock, store=self._store)
        engine._specs = self._workflows
        engine._stubs = self._stubs
        self._engine = engine.start()

    def _running(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("use `async with TestEngine() as engine:`")
        return self._engine


def crash(engine: Engine | TestEngine) -> None:
    """Drop everything that an engine has not committed, as a kill would.

    An `Engine` is closed by it: open another one on the same home to go on. A
    `TestEngine` goes on by itself.
    """
    if isinstance(engine, TestEngine):
        engine.crash()
        return
    if engine._host is not None:
        engine._host.crash()


class _Stubs(dict[str, Callable[..., Any]]):
    """Stubs by name, and which of them the engine has taken."""

    def __init__(self) -> None:
        super().__init__()
        self._used: set[str] = set()

    @property
    def unused(self) -> list[str]:
        """The names that no step has asked for."""
        return [name for name in self if name not in self._used]

    def get(self, name: str, default: Any = None) -> Any:
        """The stub of a name; then it counts as used."""
        self._used.add(name)
        return super().get(name, default)


def _as_function(outcome: Any) -> Callable[..., Any]:
    if inspect.isroutine(outcome):
        return outcome
    outcomes = list(outcome) if isinstance(outcome, list) else [outcome]

    def play(*args: Any, **kwargs: Any) -> Any:
        now = outcomes[0] if len(outcomes) == 1 else outcomes.pop(0)
        if isinstance(now, BaseException) or (
            isinstance(now, type) and issubclass(now, BaseException)
        ):
            raise now
        return now

    return play


def inline(**facts: Any) -> Context:
    """A context that executes in the caller's thread, without store or retries.

    For a debugger: `await summarize.fn(inline(), "http://example.org")`. Steps are
    plain calls, sleeps take no time, invoked workflows run in place.

    Args:
        facts: what the context shows, such as `headers` or `label`.
    """
    return Context(_InlineScope(facts))


class _InlineScope:
    """Implements `context.Scope` by doing things at once."""

    def __init__(self, facts: Mapping[str, Any], depth: int = 0) -> None:
        plain: dict[str, Any] = {
            "run_id": "r-inline",
            "workflow": "inline",
            "app": "inline",
            "input": None,
            "headers": {},
            "label": None,
            "attempt": 1,
            "parent": None,
            "root_run_id": "r-inline",
            "depth": depth,
        }
        self.facts = RunFacts(**{**plain, **facts})
        self._given = facts
        self._step: StepInfo | None = None

    async def step(
        self, id: str | None, fn: Any, args: tuple[Any, ...], options: Mapping[str, Any]
    ) -> Any:
        """Call the function."""
        spec = getattr(fn, "__nbflow_step__", None)
        function = spec.fn if spec is not None else fn
        id = id or (spec.id if spec is not None else function_label(function))
        refuse_coroutine(id, function)
        token = current_context.set(Context(self._within(id)))
        try:
            result = function(*args, **(options.get("kwargs") or {}))
            if inspect.isasyncgen(result):
                return await collect(result)
            if inspect.isgenerator(result):
                return drain(result)
            return await result if inspect.isawaitable(result) else result
        finally:
            current_context.reset(token)

    def _within(self, id: str) -> "_InlineScope":
        """The scope that a step's function sees through `nbflow.current()`."""
        inner = copy.copy(self)
        inner._step = StepInfo(id, f"inline/{id}", 1, lambda: Path(tempfile.mkdtemp()))
        return inner

    async def map(
        self,
        id: str,
        target: Any,
        items: Any,
        key: Any,
        limit: int,
        errors: str,
        options: Mapping[str, Any],
    ) -> list[Any]:
        """Call the function, or run the workflow, for one item after the other."""
        results: list[Any] = []
        for item in items:
            try:
                if getattr(target, "spec", None) is not None:
                    results.append(await self._body(target, item))
                else:
                    results.append(await self.step(id, target, (item,), options))
            except Exception as exc:
                if errors == "raise":
                    raise
                results.append(exc)
        return results

    async def invoke(
        self, id: str, target: Any, input: Any, mode: str, options: Mapping[str, Any]
    ) -> Any:
        """Run the workflow in place."""
        if isinstance(target, str):
            raise LookupError(
                f"inline() was asked to invoke {target!r} by name: pass the workflow"
            )
        try:
            value = await self._body(target, input)
        except Exception:
            if mode == "try":
                return InvokeOutcome(None, is_failed=True)
            raise
        if mode == "try":
            return InvokeOutcome("r-inline", body=value)
        return _Finished(value) if mode == "start" else value

    async def _body(self, target: Any, input: Any) -> Any:
        spec = target.spec
        if isinstance(input, Mapping) or spec.inputs.whole or input is None:
            values = spec.inputs.validate_payload(input)
        else:
            values = spec.inputs.validate_call((input,))
        args, kwargs = spec.inputs.call(values)
        context = Context(_InlineScope(self._given, self.facts.depth + 1))
        result = spec.fn(context, *args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    async def sleep(self, id: str, duration: Any, until: datetime | None) -> None:
        """Takes no time."""

    async def wait_for_event(
        self, id: str, event: str, match: Any, timeout: Any
    ) -> None:
        """Nobody sends one: as if the time were up."""

    async def ask(self, id: str, question: str, type: Any, timeout: Any) -> None:
        """Nobody answers: as if the time were up."""

    async def send_event(self, id: str, name: str, data: Any, run: str | None) -> None:
        """Nobody waits."""

    def group(self, name: str) -> AbstractAsyncContextManager[None]:
        """Nothing to group."""
        return _NoGroup()

    def log(
        self, message: str, level: str, source: str, attributes: Mapping[str, Any]
    ) -> None:
        """Print the line."""
        _outside().log(message, level, source, attributes)

    def progress(self, done: float, total: float | None, message: str | None) -> None:
        """Print how far it is."""
        _outside().progress(done, total, message)

    def emit(self, name: str, data: Any, key: str | None) -> None:
        """Nobody listens."""

    def now(self) -> datetime:
        """The time."""
        return from_micros(_clock.micros())

    def random(self) -> float:
        """A random number."""
        return _clock.random.random()

    def uuid(self) -> UUID:
        """A random UUID."""
        return _clock.uuid()

    def cancel(self, reason: str | None) -> None:
        """End the body."""
        raise asyncio.CancelledError(reason)

    def current_step(self) -> StepInfo | None:
        """The step whose function is called, None in the body."""
        return self._step

    def resource(self, owner: Any, factory: Callable[[], Any]) -> Any:
        """The process's object."""
        token = current_context.set(None)
        try:
            return owner()
        finally:
            current_context.reset(token)


class _Finished:
    """A detached child that has ended already."""

    run_id = "r-inline"

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Any:
        return self._wait().__await__()

    async def _wait(self) -> Any:
        return self._value


class _NoGroup:
    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *error: object) -> None:
        return None


def _outside() -> Any:
    from nbflow.context import _OutsideScope

    return _OutsideScope()

"""Steps that wait for an event, or for a person's answer.

A wait is a row beside the run's `step.waiting`; the event that ends it and the step's
outcome are one transaction. An answer is an event too, of a name that nobody can send.
"""

import asyncio
from collections.abc import Generator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nbflow import codecs, durations
from nbflow._engine import failure, said
from nbflow._engine.calls import awaited_twice, recall
from nbflow._engine.life import Life
from nbflow._engine.mailbox import ANSWER, stored_data
from nbflow._engine.memo import NO_FUNCTION, Recorded
from nbflow._engine.timers import Timer, iso
from nbflow._store.base import WaitRow
from nbflow._store.payload import load_value, to_json, value_member
from nbflow.errors import (
    InvalidOption,
    NonDeterminismError,
    NotSerializable,
    PayloadTooLarge,
    RunError,
    RunFinished,
    RunNotFound,
)
from nbflow.model import ErrorInfo, Event, EventType, step_label
from nbflow.names import check_event_name

_COMPLETED = EventType.STEP_COMPLETED.value
_FAILED = EventType.STEP_FAILED.value
_TIMED_OUT = EventType.STEP_TIMED_OUT.value
_WAITING = EventType.STEP_WAITING.value
_CANCELED = EventType.STEP_CANCELED.value


class WaitCall:
    """A `ctx.wait_for_event` that was called; awaiting it waits."""

    kind = "wait"
    what = "ctx.wait_for_event"

    def __init__(
        self,
        run: Life,
        key: str,
        name: str,
        match: Mapping[str, Any] | None,
        timeout: Any,
    ) -> None:
        self.run = run
        self.key = key
        self.name = name
        self.match = None if match is None else _checked(key, match)
        self.seconds: float | None = None
        if timeout is not None:
            what = f"timeout of {step_label(key)!r}"
            self.seconds = durations.parse(timeout, what=what)
        self.mark = self._mark()
        self.is_awaited = False
        self._future: asyncio.Future[Any] = run.loop.create_future()
        self._timer: Timer | None = None
        self._event: Event | None = None

    def _mark(self) -> bytes:
        wanted = (self.name, self.match)
        return codecs.fingerprint(wanted, {}).mark + NO_FUNCTION

    def __await__(self) -> Generator[Any, Any, Any]:
        if self.is_awaited:
            raise awaited_twice(self.key, self.what)
        self.is_awaited = True
        return self._perform().__await__()

    async def _perform(self) -> Any:
        run, key = self.run, self.key
        # What is waited for is no identity, so another one is an edit of the code.
        fields, _, left = await recall(
            run, key, self.mark, kind=self.kind, changed=True
        )
        if fields is not None:
            return self._load(fields)
        run.executes()
        if left is not None and left.since is not None:
            until = left.until
        else:  # also where a resume has put aside what was recorded
            until = self._begin()
        mailbox = run.core.mailbox
        wait = WaitRow(run.journal.n, key, self.name, self._stored_match(), until)
        mailbox.wait(wait, self)
        if until is not None and not self._future.done():
            self._timer = run.core.timers.call_at(until, self._timed_out)
        try:
            return await self._future
        except asyncio.CancelledError:
            self._canceled()
            raise

    def _begin(self) -> int | None:
        """Record that the step waits; until when."""
        run = self.run
        until: int | None = None
        if self.seconds is not None:
            until = run.core.clock.micros() + round(self.seconds * 1e6)
        fields = {
            "kind": self.kind,
            "until": None if until is None else iso(until),
            "_until": until,
        }
        data = to_json(fields | self._shown())
        run.journal.append(_WAITING, self.key, None, self.mark, data)
        run.core.commits.flush_soon()
        return until

    def _shown(self) -> dict[str, Any]:
        """What readers are told of the wait."""
        match = None if self.match is None else codecs.preview(self.match)
        return {"event": self.name, "match": match}

    def _stored_match(self) -> bytes | None:
        if self.match is None:
            return None
        payload = codecs.encode(dict(self.match), given="match")
        member = value_member(payload, self.run.core.commits.put_blob)
        return b"{" + member + b"}"

    def arrived(self, event: Event) -> bool:
        """The event is here: it and the step's outcome are committed together."""
        value = self._value(event)
        if self._future.done() or value is None:
            return False
        try:
            payload = codecs.encode(value[0], given="data")
        except (NotSerializable, PayloadTooLarge) as exc:
            self._not_taken(event, exc)
            return False
        member = value_member(payload, self.run.core.commits.put_blob)
        head = to_json({"kind": self.kind})[:-1]
        self._event = event
        self._settle(_COMPLETED, head + b"," + member + b"}", value[0])
        return True

    def _not_taken(self, event: Event, exc: Exception) -> None:
        what = "an answer" if event.name == ANSWER else f"event {event.name!r}"
        message = f"{what} to {step_label(self.key)!r} was not taken: {exc}"
        said.log(self.run, message, "warning", "engine", None, None)

    def check(self, answer: object) -> None:
        """Any event will do."""

    def _value(self, event: Event) -> tuple[Any] | None:
        """What the body gets; None if the event is of no use."""
        return (event,)

    def _timed_out(self) -> None:
        if self._future.done() or self.run.is_closed:
            return
        self.run.core.mailbox.forget_wait(self.run.journal.n, self.key)
        data = to_json({"kind": self.kind, "after": self.seconds})
        self._settle(_TIMED_OUT, data, None)

    def _settle(self, type: str, data: bytes, value: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.run.journal.append(type, self.key, None, self.mark, data)
        self.run.deliver(self.key, self._future, value)

    def _canceled(self) -> None:
        run = self.run
        if self._timer is not None:
            self._timer.cancel()
        if run.is_closed:
            run.core.mailbox.leave(run.journal.n, self.key)
            return
        mailbox = run.core.mailbox
        mailbox.forget_wait(run.journal.n, self.key)
        if self._event is not None:  # it came, and the body never saw it
            mailbox.give_back(run.journal.n, self._event)
        if run.gate is not None:
            run.gate.took(self.key)
        run.journal.append(_CANCELED, self.key, None, self.mark)
        run.core.commits.flush_later()

    def _load(self, fields: Mapping[str, Any]) -> Any:
        run = self.run
        return load_value(fields, run.core.store.get_blob, self._classes())

    def _classes(self) -> Mapping[str, type]:
        return {}


def _checked(key: str, match: Any) -> Mapping[str, Any]:
    """A match, if it maps text: else each event of that name would trip over it."""
    if isinstance(match, Mapping) and all(isinstance(path, str) for path in match):
        return match
    raise InvalidOption(
        f"match={codecs.preview(match)} of wait {step_label(key)!r}: it maps dotted "
        'paths to values, as in {"data.order": 17}',
        option="match",
        value=match,
    )


class AskCall(WaitCall):
    """A `ctx.ask` that was called; awaiting it waits for a person."""

    kind = "ask"
    what = "ctx.ask"

    def __init__(
        self, run: Life, key: str, question: str, type: Any, timeout: Any
    ) -> None:
        self.question = question
        self.type = type
        self._adapter = _adapter(key, type)
        super().__init__(run, key, ANSWER, None, timeout)

    def _mark(self) -> bytes:
        return codecs.fingerprint((self.question,), {}).mark + NO_FUNCTION

    def _shown(self) -> dict[str, Any]:
        schema = self._adapter.json_schema()
        return {"question": codecs.redact(self.question), "schema": schema}

    def _value(self, event: Event) -> tuple[Any] | None:
        try:
            return (self.validate(event.data),)
        except ValidationError as exc:
            self._not_taken(event, exc)
            return None

    def check(self, answer: object) -> None:
        """Raise InvalidOption for what is no answer, or cannot be stored as one."""
        try:
            codecs.encode(self.validate(answer), given="answer")
        except (NotSerializable, PayloadTooLarge) as exc:
            raise InvalidOption(
                f"{codecs.preview(answer)} cannot be the answer to {self.question!r} "
                f"(step {step_label(self.key)!r}): {exc}. The question stays open.",
                option="answer",
                value=answer,
                run_id=self.run.journal.id,
                step=step_label(self.key),
            ) from None
        except ValidationError as exc:
            problems = "; ".join(each["msg"] for each in exc.errors())
            fields = {
                ".".join(map(str, each["loc"])): each["msg"] for each in exc.errors()
            }
            raise InvalidOption(
                f"{codecs.preview(answer)} is no answer to {self.question!r} (step "
                f"{step_label(self.key)!r}): {problems}",
                option="answer",
                value=answer,
                problems=fields,
                run_id=self.run.journal.id,
                step=step_label(self.key),
            ) from None

    def validate(self, answer: object) -> Any:
        """The answer as the type has it; text may be JSON or a choice.

        Raises:
            ValidationError: it is none.
        """
        try:
            return self._adapter.validate_python(answer)
        except ValidationError:
            if not isinstance(answer, str):
                raise
            try:
                return self._adapter.validate_json(answer)
            except ValidationError:
                pass
            raise

    def _classes(self) -> Mapping[str, type]:
        kind = self.type
        return {kind.__name__: kind} if isinstance(kind, type) else {}


def _adapter(key: str, type: Any) -> TypeAdapter[Any]:
    try:
        adapter = TypeAdapter[Any](type)
        adapter.json_schema()
    except Exception as exc:
        raise InvalidOption(
            f"ctx.ask({step_label(key)!r}) got type={type!r}, of which no form can be "
            f"made ({exc}): use bool, str, a number, a Literal or Enum of choices, or "
            "a pydantic model",
            option="type",
            value=type,
        ) from exc
    return adapter


class SendCall:
    """A `ctx.send_event` that was called; awaiting it sends, once."""

    def __init__(
        self, run: Life, key: str, name: str, data: Any, run_id: str | None
    ) -> None:
        self.run = run
        self.key = key
        self.name = check_event_name(name)
        self.data = data
        self.run_id = run_id
        given = (name, data, run_id)
        self.mark = codecs.fingerprint(given, {}).mark + NO_FUNCTION
        self.is_awaited = False

    def __await__(self) -> Generator[Any, Any, None]:
        if self.is_awaited:
            raise awaited_twice(self.key, "ctx.send_event")
        self.is_awaited = True
        return self._perform().__await__()

    async def _perform(self) -> None:
        run, key = self.run, self.key
        fields, is_sent, _ = await recall(
            run, key, self.mark, kind="send", conflict=self._conflict
        )
        if fields is None:
            run.executes()
            fields = self._send()
            is_sent = "error" not in fields
            type = _COMPLETED if is_sent else _FAILED
            run.journal.append(type, key, None, self.mark, to_json(fields))
            await run.settle(key)
        if not is_sent:
            raise self._refusal(fields)

    def _send(self) -> dict[str, Any]:
        """Send it; what to record, with the error where there is no such run."""
        run = self.run
        fields: dict[str, Any] = {"kind": "send", "event": self.name}
        data = stored_data(self.data, run.core.commits)
        try:
            run.core.mailbox.send(self.name, data, run_id=self.run_id)
        except RunError as exc:
            where = {"step": step_label(self.key), "run_id": run.journal.id}
            fields["error"] = failure.describe(exc, codecs.redact, **where)
        return fields

    def _refusal(self, fields: Mapping[str, Any]) -> RunError:
        info = ErrorInfo.from_stored(fields["error"])
        kind = RunNotFound if info.type == RunNotFound.__name__ else RunFinished
        return kind(info.message, run_id=self.run_id, step=step_label(self.key))

    def _conflict(self, found: Recorded) -> NonDeterminismError:
        label = step_label(self.key)
        return NonDeterminismError(
            f"step {label!r} of run {self.run.journal.id} has sent another event or "
            f"other data than {self.name!r} with {codecs.preview(self.data)}, which "
            "the same code now asks for: a re-entered body must call its steps with "
            "equal arguments. Take clocks, random numbers and ids from ctx.now(), "
            "ctx.random() and ctx.uuid(), or put what makes them into a step.",
            run_id=self.run.journal.id,
            step=label,
        )

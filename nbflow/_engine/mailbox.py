"""Events on their way to runs: who waits, what is kept, and each delivered once.

All of it is held in memory as the store will have it with the next commit; a crash
drops both alike. What takes an event out and the step's outcome that holds it are one
transaction.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from nbflow import codecs
from nbflow._engine.commits import Commits
from nbflow._engine.matching import matches
from nbflow._engine.refusals import refuse_ended, unknown_run
from nbflow._store.base import CommandRow, MessageRow, WaitRow
from nbflow._store.payload import from_json, load_value, value_member
from nbflow._store.statements import (
    DELETE_MESSAGE,
    DELETE_WAIT,
    PUT_MESSAGE,
    PUT_WAIT,
)
from nbflow.errors import StepNotFound
from nbflow.model import Event, from_micros, step_label, to_micros

ANSWER = "\x1fanswer"
"""The name of the event that an answer is; no user's event can have it."""


class Waiter(Protocol):
    """A step of a live run that waits."""

    def arrived(self, event: Event) -> bool:
        """Take the event; False if it is not what the step can use."""
        ...

    def check(self, answer: object) -> None:
        """Raise InvalidOption for what is no answer."""
        ...


class Mailbox:
    """The waits and the undelivered events of one app."""

    def __init__(
        self, app: str, commits: Commits, number_of: Callable[[str], int | None]
    ) -> None:
        self._app = app
        self._commits = commits
        self._number_of = number_of  # of a run that the engine has
        self._waits: dict[int, dict[str, WaitRow]] = {}  # by run and step
        self._named: dict[str, dict[tuple[int, str], WaitRow]] = {}
        self._kept: dict[int, list[MessageRow]] = {}
        self._waiters: dict[tuple[int, str], Waiter] = {}
        self._matches: dict[tuple[int, str], Mapping[str, Any]] = {}  # as looked at
        self._prepared: list[tuple[str, bytes, str | None]] = []
        self._sent: set[str] = set()  # ids that were given, not committed yet
        for wait in commits.store.waits():
            self._note(wait)
        for message in commits.store.messages():
            self._kept.setdefault(message.run, []).append(message)

    # Waiting

    def wait(self, row: WaitRow, waiter: Waiter) -> None:
        """Wait for an event; `waiter` gets the first that was kept for it, or comes."""
        place = (row.run, row.step)
        former = self.wait_of(*place)
        if former != row:
            if former is not None:  # edited code waits for something else
                del self._named[former.name][place]
                self._matches.pop(place, None)
            self._note(row)
            self._write(PUT_WAIT, row)
        self._waiters[place] = waiter
        for message in list(self._kept.get(row.run, ())):
            if self._suits(message, row):
                event = self._event(message)
                self._drop(message)
                if waiter.arrived(event):
                    self.forget_wait(row.run, row.step)
                    return
        if self._prepared:
            self._play()

    def prepare(self, name: str, data: bytes, step: str | None = None) -> None:
        """For tests: deliver to whoever waits first, now or later.

        Args:
            name: of the event; `ANSWER` for an answer.
            data: its data in stored form.
            step: the step as users know it, where only that one is meant.
        """
        self._prepared.append((name, data, step))
        self._play()

    def _play(self) -> None:
        for prepared in list(self._prepared):
            name, data, step = prepared
            for row in list(self._named.get(name, {}).values()):
                id, now = self._commits.clock.new_run_id(), self._commits.clock.micros()
                message = MessageRow(row.run, id, row.step, name, now, data)
                is_meant = step is None or step == step_label(row.step)
                if is_meant and self._suits(message, row):
                    self._prepared.remove(prepared)
                    self._deliver(message, [row])
                    break

    def forget_wait(self, run: int, step: str) -> None:
        """The step waits no more."""
        place = (run, step)
        self._waiters.pop(place, None)
        waits = self._waits.get(run, {})
        row = waits.pop(step, None)
        if row is not None:
            del self._named[row.name][place]
            self._matches.pop(place, None)
            self._write(DELETE_WAIT, place)
            if not waits:
                del self._waits[run]

    def leave(self, run: int, step: str) -> None:
        """The step's life ends; the wait goes on in the store."""
        self._waiters.pop((run, step), None)

    def forget_run(self, run: int, is_over: bool) -> None:
        """A run has ended: nothing of it waits any more.

        What was kept for it stays where it may be resumed, so unless it `is_over`.
        """
        for row in self._waits_of(run):
            self.forget_wait(run, row.step)
        if is_over:
            for message in list(self._kept.get(run, ())):
                self._drop(message)

    def forget_deleted(self, run: int) -> None:
        """A run is deleted, and in the store what was kept for it."""
        self._kept.pop(run, None)

    def wait_of(self, run: int, step: str) -> WaitRow | None:
        """What a step waits for."""
        return self._waits.get(run, {}).get(step)

    # Sending

    def send(
        self,
        name: str,
        data: bytes,
        *,
        run_id: str | None = None,
        event_id: str | None = None,
    ) -> list[str]:
        """Deliver an event: to one run, or to every run that waits for it now.

        Args:
            name: the event's name.
            data: its data in stored form: a JSON object with one member.
            run_id: a run, for which it is kept until that run waits.
            event_id: the same id sent again within a day does nothing.

        Returns:
            Ids of the runs it is for.

        Raises:
            RunNotFound, RunFinished: there is no such run, or it is over.
        """
        commits = self._commits
        n = None if run_id is None else self._open_run(run_id)
        if event_id is not None and self._is_known(event_id):
            return []
        id = event_id or commits.clock.new_run_id()
        now = commits.clock.micros()
        if run_id is not None and n is not None:
            message = MessageRow(n, id, None, name, now, data)
            self._deliver(message, self._waits_of(n))
            commits.flush_soon()
            return [run_id]
        reached = dict[int, None]()
        rows = list(self._named.get(name, {}).values())
        # Read once for all that look at it; who gets it gets an object of its own.
        seen = self._event(MessageRow(0, id, None, name, now, data)) if rows else None
        for row in rows:
            if self._is_match(seen, row) and not self._is_met(row):
                message = MessageRow(row.run, id, row.step, name, now, data)
                self._deliver(message, [row])
                reached[row.run] = None
        commits.flush_soon()
        ids = (commits.store.run_by_number(n) for n in reached)
        return [row.id for row in ids if row is not None]

    def _is_known(self, event_id: str) -> bool:
        """Whether an event of that id was sent before; from now on it was."""
        commits, key = self._commits, f"event-{event_id}"
        if key in self._sent or commits.store.command(key) is not None:
            return True
        self._sent.add(key)
        commits.batch.commands.append(CommandRow(key, commits.clock.micros(), b"{}"))
        commits.after(lambda: self._sent.discard(key))
        return False

    def _deliver(self, message: MessageRow, waits: Iterable[WaitRow]) -> None:
        """Hand it to the first wait that suits, else keep it."""
        for row in waits:
            if self._is_met(row) or not self._suits(message, row):
                continue
            place = (row.run, row.step)
            waiter = self._waiters.get(place)
            if waiter is None:  # its run is not live: it finds it when it is
                self._keep(message._replace(step=row.step))
                return
            if waiter.arrived(self._event(message)):
                self.forget_wait(*place)
                return
        self._keep(message)

    def _open_run(self, run_id: str) -> int:
        n = self._number_of(run_id)
        if n is not None:
            return n
        row = self._commits.store.run(run_id)
        if row is None:
            raise unknown_run(run_id, self._app)
        refuse_ended(row)
        return row.n

    def answer(self, run_id: str, step: str, answer: object) -> None:
        """Give a person's answer to a step that asks.

        Args:
            run_id: the run.
            step: the step as users know it.
            answer: of the type that was asked for, or text that stands for it.

        Raises:
            RunNotFound, RunFinished: there is no such run, or it is over.
            StepNotFound: no step of that name asks; names those that do.
            InvalidOption: it is no answer to this question.
        """
        n = self._open_run(run_id)
        asking = [row for row in self._waits_of(n) if row.name == ANSWER]
        row = next((row for row in asking if step_label(row.step) == step), None)
        if row is None:
            names = ", ".join(repr(step_label(row.step)) for row in asking)
            raise StepNotFound(
                f"step {step!r} of run {run_id} asks nothing now. "
                + (f"Asking: {names}" if names else "No step of it does."),
                run_id=run_id,
                step=step,
            )
        waiter = self._waiters.get((row.run, row.step))
        if waiter is not None:
            waiter.check(answer)
        id, now = self._commits.clock.new_run_id(), self._commits.clock.micros()
        data = stored_data(answer, self._commits)
        self._deliver(MessageRow(n, id, row.step, ANSWER, now, data), [row])
        self._commits.flush_soon()

    # One event

    def _suits(self, message: MessageRow, row: WaitRow) -> bool:
        if message.step not in (None, row.step) or message.name != row.name:
            return False
        return row.match is None or self._is_match(self._event(message), row)

    def _is_match(self, event: Event | None, row: WaitRow) -> bool:
        if event is None or row.match is None:
            return event is not None
        return matches(event, self._match(row))

    def _is_met(self, row: WaitRow) -> bool:
        """Whether an event is kept for that very wait, whose run is not live."""
        if (row.run, row.step) in self._waiters:
            return False
        return any(each.step == row.step for each in self._kept.get(row.run, ()))

    def _match(self, row: WaitRow) -> Mapping[str, Any]:
        place = (row.run, row.step)
        found = self._matches.get(place)
        if found is None:
            stored = from_json(row.match)
            found = load_value(stored, self._commits.store.get_blob)
            self._matches[place] = found
        return found

    def _event(self, message: MessageRow) -> Event:
        data = load_value(from_json(message.data), self._commits.store.get_blob)
        return Event(message.name, message.id, data, from_micros(message.at))

    # Rows

    def _waits_of(self, run: int) -> list[WaitRow]:
        return list(self._waits.get(run, {}).values())

    def _note(self, row: WaitRow) -> None:
        place = (row.run, row.step)
        self._waits.setdefault(row.run, {})[row.step] = row
        self._named.setdefault(row.name, {})[place] = row

    def give_back(self, run: int, event: Event) -> None:
        """Keep an event that a canceled step had taken for the run's next wait."""
        if event.name != ANSWER:
            data = stored_data(event.data, self._commits)
            at = to_micros(event.timestamp)
            self._keep(MessageRow(run, event.id, None, event.name, at, data))

    def _keep(self, message: MessageRow) -> None:
        self._kept.setdefault(message.run, []).append(message)
        self._write(PUT_MESSAGE, message)

    def _drop(self, message: MessageRow) -> None:
        kept = self._kept[message.run]
        kept.remove(message)
        if not kept:
            del self._kept[message.run]
        self._write(DELETE_MESSAGE, (message.run, message.id, message.step))

    def _write(self, statement: str, row: tuple[object, ...]) -> None:
        self._commits.batch.rest.append((statement, row))
        self._commits.flush_later()


def stored_data(value: object, commits: Commits) -> bytes:
    """The stored form of an event's data."""
    member = value_member(codecs.encode(value, given="data"), commits.put_blob)
    return b"{" + member + b"}"

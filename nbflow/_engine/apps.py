"""Other apps of the same home: their workflows are invoked, their runs waited for.

An app is its folder: commands go into its inbox, what became of them is read from its
store. Nothing here needs its engine to be alive; while it is not, the command waits.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from nbflow import codecs, errors
from nbflow._engine.commits import Commits, say
from nbflow._engine.ending import Ending, Waiter, read_ending
from nbflow._engine.memo import Asked
from nbflow._engine.refusals import unknown_workflow
from nbflow._store import inbox, lock, paths
from nbflow._store.base import CommandRow, RunRow, WorkflowRow
from nbflow._store.blobs import Blobs
from nbflow._store.payload import PutBlob, from_json, to_json, value_member
from nbflow._store.reader import SqliteReader
from nbflow._store.statements import DELETE_COMMAND
from nbflow.definition.payloads import check_payload
from nbflow.errors import (
    InvokeError,
    NbflowError,
    NotAStore,
    StoreDamaged,
    StoreError,
    StoreFull,
    UnsafeStore,
    WorkflowNotFound,
)
from nbflow.model import TERMINAL_RUN

_LOOK = 0.02
"""Seconds between two looks at a store while somebody waits for it: a look that finds
nothing new costs some microseconds."""
_AGAIN = 5.0
"""Seconds after which a command is sent again that could not be written."""
_TO_SEND = "send-"
"""What the ids of the engine's notes begin with that say what is to be sent."""


@dataclass(slots=True, eq=False)
class Wait:
    """Somebody waits for a run of another app.

    Attributes:
        run_id: the run.
        caller: id of the run that waits.
        asked: what was sent for it.
        waiter: gets its end.
        refused: gets the error, where there will be none.
        is_applied: whether the command has been.
    """

    run_id: str
    caller: str
    asked: Asked
    waiter: Waiter
    refused: Callable[[InvokeError], None]
    is_applied: bool = False


class OtherApp:
    """One other app, as this engine sees it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, home: Path, app: str) -> None:
        self.app = app
        self._loop = loop
        self._folder = paths.app_dir(home, app)
        self._home = home
        self._reader: SqliteReader | None = None
        self._waits: list[Wait] = []
        self._is_told = False  # that its store cannot be read
        self._stamp = -1
        self._timer: asyncio.TimerHandle | None = None

    @property
    def reader(self) -> SqliteReader:
        """Its store; raises StoreError where that cannot be read."""
        if self._reader is None:
            self._reader = SqliteReader(self._folder)
        return self._reader

    @property
    def uid(self) -> str:
        """Identity of its store: another one where the app was made anew."""
        self.reader.stamp()  # opens what is there now
        return self.reader.uid

    def check(self, name: str) -> None:
        """Refuse what it does not have.

        Raises:
            WorkflowNotFound: nobody ever served such an app here, or not that workflow.
        """
        if not paths.has_store(self._folder):
            known = paths.apps(self._home)
            near = get_close_matches(self.app, known, n=len(known) or 1, cutoff=0.0)
            listed = ", ".join(map(repr, near)) or "none"
            raise WorkflowNotFound(
                f"there is no app {self.app!r} in {self._home}: known are {listed}. "
                f"Serve its notebook once, as in `nbflow serve {self.app}.ipynb`",
                workflow=name,
            )
        if self._row(name) is None:
            known = [row.name for row in self.reader.workflows()]
            raise unknown_workflow(name, self.app, known)

    def check_input(self, name: str, payload: Any) -> None:
        """Refuse what an engine would refuse; if one is there it does so itself.

        Raises:
            InvalidInput: the input does not fit what the app's catalogue says.
        """
        row = self._row(name)
        if row is None or row.input_schema is None or lock.holder(self._folder):
            return
        check_payload(codecs.parse(row.input_schema), payload, workflow=name)

    def _row(self, name: str) -> WorkflowRow | None:
        rows = self.reader.workflows()
        return next((row for row in rows if row.name == name), None)

    def send(self, data: bytes, id: str) -> None:
        """Leave it a command, durably."""
        inbox.put(self._folder, data, id=id)

    def has_got(self, id: str, run_id: str) -> bool:
        """Whether a command that is meant for a run was sent before."""
        # In this order: a file is removed after the commit that notes its command.
        if inbox.holds(self._folder, id) or self.reader.command(id) is not None:
            return True
        return inbox.is_forgotten(id) and self.run(run_id) is not None

    def put_blob(self, digest: str, data: bytes) -> None:
        """Keep a part of a command's value where it is read."""
        Blobs(self._folder / paths.BLOBS).put(digest, data)

    def run(self, run_id: str) -> RunRow | None:
        """The run, as far as it is recorded."""
        return self.reader.run(run_id)

    def join(self, wait: Wait) -> None:
        """Tell a waiter of the end of a run, once it has come."""
        self._waits.append(wait)
        self._stamp = -1
        if self._timer is None:
            self._timer = self._loop.call_later(0, self._look)

    def leave(self, wait: Wait) -> None:
        """It is not waited for any more."""
        if wait in self._waits:
            self._waits.remove(wait)

    def close(self) -> None:
        """Let go of its store."""
        self._waits.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._reader is not None:
            self._reader.close()

    def _look(self) -> None:
        self._timer = None
        try:
            stamp = self.reader.stamp()
            if stamp != self._stamp:
                self._stamp = stamp
                for wait in list(self._waits):
                    self._look_at(wait)
            self._is_told = False
        except StoreError as exc:
            self._stamp = -1  # what has changed was not seen
            self._cannot_read(exc)
        finally:
            if self._waits:
                self._timer = self._loop.call_later(_LOOK, self._look)

    def _cannot_read(self, problem: StoreError) -> None:
        """Go on looking, unless there is nothing left to look at."""
        if isinstance(problem, NotAStore) and _is_gone(self._folder / paths.STORE):
            for wait in list(self._waits):
                lost = was_replaced(self.app, wait.run_id, wait.caller)
                self._refuse(wait, lost)
        elif not self._is_told:
            self._is_told = True
            say(f"nbflow: app {self.app!r} cannot be read just now: {problem}")

    def _look_at(self, wait: Wait) -> None:
        if wait.asked.store not in (None, self.reader.uid):
            self._refuse(wait, was_replaced(self.app, wait.run_id, wait.caller))
            return
        if not (wait.is_applied or self._is_applied(wait)):
            return
        row = self.reader.run(wait.run_id)
        if row is None:
            self._refuse(
                wait,
                InvokeError(
                    f"there is no run {wait.run_id!r} in app {self.app!r} any more: it "
                    f"was deleted. Resume run {wait.caller} to start it again",
                    run_id=wait.run_id,
                ),
            )
        elif row.status in TERMINAL_RUN:
            self._tell(wait, row)

    def _is_applied(self, wait: Wait) -> bool:
        """Whether the command is applied and was not refused."""
        id, run_id = wait.asked.command, wait.run_id
        if id is None:
            wait.is_applied = True
            return True
        is_held = inbox.holds(self._folder, id)
        outcome = self.reader.command(id)
        if outcome is None and is_held:
            return False  # nobody serves the app, or not yet
        wait.is_applied = True
        error = from_json(outcome).get("error")
        is_made = self.reader.run(run_id) is not None
        if error and (not wait.asked.resumes or not is_made):
            self._refuse(wait, _refusal(error, run_id))
            return False
        # What is neither there nor known was applied long ago, or removed by hand.
        return True

    def _tell(self, wait: Wait, row: RunRow) -> None:
        try:
            wait.waiter(read_ending(self.reader, row))
        except StoreDamaged as exc:
            wait.refused(InvokeError(str(exc), run_id=wait.run_id))
        except StoreError:
            raise  # it may be read the next time
        except Exception as exc:  # a codec of the user's
            problem = f"its result cannot be read: {type(exc).__name__}: {exc}"
            wait.refused(InvokeError(problem, run_id=wait.run_id))
        self.leave(wait)

    def _refuse(self, wait: Wait, error: InvokeError) -> None:
        self.leave(wait)
        wait.refused(error)


def was_replaced(app: str, run_id: str, caller: str) -> InvokeError:
    """The error for waiting for a run whose app was deleted, or deleted and made anew.

    It is not asked for again by itself: what the run had come to is not known.
    """
    return InvokeError(
        f"app {app!r} was deleted, or another one put in its place, while run {caller} "
        f"waited for its run {run_id}: what became of that is not known. Resume run "
        f"{caller} to start it again",
        run_id=run_id,
    )


def _is_gone(file: Path) -> bool:
    try:
        os.stat(file)
    except FileNotFoundError:
        return True
    except OSError:  # a disk or a right that may come back
        return False
    return False


def _refusal(error: Mapping[str, Any], run_id: str) -> InvokeError:
    kind = getattr(errors, str(error.get("type")), InvokeError)
    if not (isinstance(kind, type) and issubclass(kind, InvokeError)):
        kind = InvokeError
    return kind(str(error.get("message")), run_id=run_id)


class Apps:
    """The other apps that an engine's runs talk to.

    Args:
        loop: the engine's.
        home: the `.nbflow` folder; None for a store in memory.
        app: the engine's own app.
        commits: what is to be sent is noted with what it follows from.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        home: Path | None,
        app: str,
        commits: Commits,
    ) -> None:
        self._loop = loop
        self._home = home
        self._app = app
        self._commits = commits
        self._known: dict[str, OtherApp] = {}

    def find(self, app: str) -> OtherApp:
        """Another app, whether it exists or not.

        Raises:
            WorkflowNotFound: a store in memory has no neighbours.
        """
        if self._home is None:
            raise WorkflowNotFound(
                f"app {app!r} cannot be reached from a store in memory: use an Engine "
                "with a home"
            )
        known = self._known.get(app)
        if known is None:
            known = self._known[app] = OtherApp(self._loop, self._home, app)
        return known

    def cancel(self, app: str, run_id: str, reason: str) -> None:
        """Have a child in another app cancelled, for the sake of what is in the batch.

        The note of it is committed with that, and the command sent afterwards, so
        there is never one without the other.
        """
        command = {"kind": "cancel", "run_ids": [run_id], "reason": reason}
        noted = {"app": app, "command": command | {"by": "parent"}}
        id = _TO_SEND + inbox.new_id()
        note = CommandRow(id, self._commits.clock.micros(), to_json(noted))
        self._commits.batch.commands.append(note)
        self._commits.after(partial(self._send, note))
        self._commits.flush_soon()

    def send_noted(self) -> None:
        """Send what an engine before this one has noted and not sent."""
        if self._home is not None:
            for note in self._commits.store.commands(_TO_SEND):
                self._send(note)

    def _send(self, note: CommandRow) -> None:
        """Send what is noted, then forget the note; sent again it does nothing."""
        if self._commits.stopped is not None:
            return
        fields = from_json(note.outcome)
        app, command = str(fields["app"]), fields["command"]
        try:
            data = inbox.encode(command)
            self.find(app).send(data, note.id.removeprefix(_TO_SEND))
        except (NotAStore, UnsafeStore) as exc:
            say(f"nbflow: runs of app {app!r} could not be cancelled: {exc}")
        except NbflowError as exc:
            if isinstance(exc, StoreFull):
                say(f"nbflow: a command to app {app!r} waits for space: {exc}")
            self._loop.call_later(_AGAIN, self._send, note)
            return
        self._commits.batch.rest.append((DELETE_COMMAND, (note.id,)))
        self._commits.flush_later()

    def close(self) -> None:
        """Let go of all of them."""
        for other in self._known.values():
            other.close()


def at_home(ending: Ending, put: PutBlob) -> Ending:
    """An ending out of another store, its value in the stored form of this one."""
    if ending.member == b'"_value":null' or ending.error is not None:
        return ending
    payload = codecs.encode(ending.value)
    return Ending(
        ending.status,
        value=ending.value,
        member=value_member(payload, put),
        reason=ending.reason,
    )

"""Other apps of the same home: their workflows are invoked, their runs waited for.

An app is its folder: commands go into its inbox, what became of them is read from its
store. Nothing here needs its engine to be alive; while it is not, the command waits.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from nbflow import codecs, errors
from nbflow._engine.commits import say
from nbflow._engine.ending import Ending, Waiter, read_ending
from nbflow._engine.specs import unknown_workflow
from nbflow._store import inbox, paths
from nbflow._store.base import RunRow
from nbflow._store.blobs import Blobs
from nbflow._store.payload import PutBlob, from_json, value_member
from nbflow._store.reader import SqliteReader
from nbflow.errors import (
    InvokeError,
    NbflowError,
    StoreDamaged,
    StoreError,
    WorkflowNotFound,
)
from nbflow.model import TERMINAL_RUN

_LOOK = 0.02
"""Seconds between two looks at a store while somebody waits for it: a look that finds
nothing new costs some microseconds."""


@dataclass(slots=True, eq=False)
class Wait:
    """Somebody waits for a run of another app.

    Attributes:
        waiter: gets its end.
        refused: gets the error, if its engine refuses to start it.
        command: id of the command that starts or resumes it, until that is applied.
        is_invoke: whether it starts it: a refusal counts then, though there is a run.
    """

    run_id: str
    waiter: Waiter
    refused: Callable[[InvokeError], None]
    command: str | None = None
    is_invoke: bool = False  # what the command is


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
        known = [row.name for row in self.reader.workflows()]
        if name not in known:
            raise unknown_workflow(name, self.app, known)

    def send(self, command: Mapping[str, Any]) -> str:
        """Leave it a command, durably; its id."""
        return inbox.put(self._folder, command)

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
            if not self._is_told:
                self._is_told = True
                say(f"nbflow: app {self.app!r} cannot be read just now: {exc}")
        finally:
            if self._waits:
                self._timer = self._loop.call_later(_LOOK, self._look)

    def _look_at(self, wait: Wait) -> None:
        if wait.command is not None:
            outcome = self.reader.command(wait.command)
            if outcome is None:
                return  # nobody serves the app, or not yet
            wait.command = None
            error = from_json(outcome).get("error")
            is_made = self.reader.run(wait.run_id) is not None
            if error and (wait.is_invoke or not is_made):
                self.leave(wait)
                wait.refused(_refusal(error, wait.run_id))
                return
        row = self.reader.run(wait.run_id)
        if row is None or row.status not in TERMINAL_RUN:
            return
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
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, home: Path | None, app: str
    ) -> None:
        self._loop = loop
        self._home = home
        self._app = app
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
        """Have a child in another app cancelled; durable when this returns."""
        command = {"kind": "cancel", "run_ids": [run_id], "reason": reason}
        try:
            self.find(app).send(command | {"by": "parent"})
        except NbflowError as exc:  # its folder is gone, or the disk is full
            say(f"nbflow: run {run_id} of app {app!r} could not be cancelled: {exc}")

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

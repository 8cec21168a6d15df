"""Waiting for the end of a run: in this process through a ticket, else by looking.

`Watch.look` decides without waiting; `wait` and `wait_async` sleep between two looks.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext, suppress

from nbflow._engine import hosts
from nbflow._engine.ending import Ending, read_ending
from nbflow._engine.hosts import Blocker, OpenHost
from nbflow._engine.refusals import undefined
from nbflow._engine.tickets import Ticket
from nbflow._notices import warn
from nbflow._store.base import RunRow
from nbflow.client import inbox
from nbflow.client.access import Access, is_ended
from nbflow.errors import (
    EngineClosed,
    EngineNotInherited,
    NbflowError,
    RunNotFound,
    StoreError,
)
from nbflow.model import RunStatus

POLL = 0.02
"""Seconds between two looks at a store that another process writes."""
_SLICE = 0.25
"""Seconds after which a wait looks whether its engine is still there."""
_GRACE = 2
"""Looks at a run that nobody executes before the user is told."""


class Watch:
    """Looks for the end of one run.

    Args:
        access: the app.
        run_id: the run.
        ticket: what this process's engine gave for it.
        host: that engine.
        command: id of a kept command that is to start the run.
    """

    __slots__ = (
        "_blocker",
        "_host",
        "_is_told",
        "_unexecuted",
        "access",
        "command",
        "run_id",
        "ticket",
    )

    def __init__(
        self,
        access: Access,
        run_id: str,
        ticket: Ticket | None = None,
        host: OpenHost | None = None,
        command: str | None = None,
    ) -> None:
        self.access = access
        self.run_id = run_id
        self.ticket = ticket
        self.command = command
        self._host = host
        self._unexecuted = 0
        self._is_told = False
        self._blocker: Blocker | None = None

    @property
    def is_recorded(self) -> bool:
        """Whether the run is in the store, as far as is known."""
        return self.command is None

    def check_command(self) -> None:
        """Note what has become of the command that was kept for the run.

        Raises:
            NbflowError: the engine has refused it: there is no such run.
        """
        if self.command is not None and inbox.is_applied(self.access, self.command):
            self.command = None

    def wait(self, timeout: float | None) -> Ending | None:
        """Block until the run has ended; None when `timeout` seconds have passed."""
        with around_wait(self):
            return self._wait(timeout)

    async def wait_async(self) -> Ending:
        """Wait on asyncio or trio without blocking the loop."""
        with around_wait(self):
            return await self._wait_async()

    def _wait(self, timeout: float | None) -> Ending | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            state = self.look()
            if isinstance(state, Ending):
                return state
            left = _SLICE if deadline is None else deadline - time.monotonic()
            if left <= 0:
                return None
            if state is None:
                time.sleep(min(left, POLL))
            else:
                with suppress(TimeoutError):
                    state.result(min(left, _SLICE))

    async def _wait_async(self) -> Ending:
        # Who only reads a store needs no event loop, whose import takes 40 ms.
        from nbflow.client import pauses

        while True:
            state = self.look()
            if isinstance(state, Ending):
                return state
            if state is None:
                await pauses.sleep(POLL)
            else:
                await pauses.until_done(state, _SLICE)

    def look(self) -> "Ending | Future[None] | None":
        """The end, or the future that is done then, or None: look again soon.

        Raises:
            NbflowError: the run was refused, is not there, or its engine has stopped
                and none goes on with it.
        """
        if self.ticket is not None:
            return self._look_at_ticket(self.ticket)
        row = self._row()
        if row is None:
            return None
        if is_ended(row):
            return self._read(row)
        host = self.access.host()
        self._check_executed(row)
        if host is None:
            return None
        self._host = host
        self.ticket = host.follow(self.run_id)
        return self.ticket.future()

    def _look_at_ticket(self, ticket: Ticket) -> "Ending | Future[None] | None":
        ending = ticket.ending
        if ending is not None:
            if ending.status is RunStatus.COMPLETED or not self._is_resumed():
                return ending
            self.ticket = None
            return None
        if ticket.error is not None:
            return self._look_after(ticket.error)
        if self._host is not None:
            host = self._host
            self._refuse_fork(host)
            if host.is_closed and not host.is_alive and not ticket.is_done:
                return self._look_after(
                    EngineClosed(
                        f"the engine of app {host.app!r} has ended before run "
                        f"{self.run_id} did: open another one, then resume the run"
                    )
                )
            if host.blocker is not None:
                self._tell_blocked(host.blocker)
            elif not host.is_closed and self._unexecuted_here(host):
                self._tell_unexecuted()
        return ticket.future()

    def _look_after(self, error: BaseException) -> Ending | None:
        """The ticket has failed: the run may have ended, or go on elsewhere."""
        if not isinstance(error, StoreError):
            raise error
        try:
            row = self._row()
        except NbflowError:  # what stopped the engine has taken the run along
            raise error from None
        if row is not None and is_ended(row):
            return self._read(row)
        host = self.access.host()
        if host is not None and host is not self._host:
            self.ticket = None
            return None
        holder = self.access.holder() if host is None else None
        # Without a pid it is an engine that is just letting go: this one, most likely.
        if holder is not None and holder.pid not in (None, os.getpid()):
            self.ticket = None
            return None
        raise error

    def _row(self) -> RunRow | None:
        if self.is_recorded:
            return self.access.find_row(self.run_id)
        row = self.access.look_up(self.run_id)
        if row is not None:
            self.command = None
        else:
            self.check_command()
        return row

    def _read(self, row: RunRow) -> Ending:
        store = self.access.store()
        return read_ending(store, row, self.access.classes(row.workflow))

    def _is_resumed(self) -> bool:
        """Whether the run goes on after an end that was no completion."""
        try:
            row = self._row()
        except RunNotFound:  # deleted since
            return False
        return row is not None and not is_ended(row)

    def _refuse_fork(self, host: OpenHost) -> None:
        try:
            host.check()
        except EngineNotInherited:
            raise
        except StoreError:  # the ticket will be told
            return

    def _check_executed(self, row: RunRow) -> None:
        if not self._is_told and not self.access.executes(row):
            self._unexecuted += 1
            if self.access.host() is None or self._unexecuted > _GRACE:
                self._tell_unexecuted()

    def _unexecuted_here(self, host: OpenHost) -> bool:
        """Whether this process's engine has left the run alone for a while."""
        if host.executes(self.run_id):
            self._unexecuted = 0
            return False
        self._unexecuted += 1
        return self._unexecuted > _GRACE

    def _tell_blocked(self, blocker: Blocker) -> None:
        """Say, once for each that blocks the engine, that this run has to wait for it.

        Of the run itself its log says so.
        """
        if blocker is self._blocker:
            return
        late = time.monotonic() - blocker.since
        if blocker.run_id != self.run_id and late > hosts.PATIENCE:
            self._blocker = blocker
            hosts.tell_blocked(blocker, f"run {self.run_id} has to wait for it")

    def _tell_unexecuted(self) -> None:
        if self._is_told:
            return
        app, host = self.access.app, self.access.host()
        row = self.access.look_up(self.run_id) if host is not None else None
        if host is not None and host.blocker is not None:
            return  # it could not begin with it so far
        self._is_told = True
        if host is not None and row and host.find_spec(row.workflow) is None:
            warn(
                f"run {self.run_id} of app {app!r} {undefined(row.workflow)}: define "
                f"it, then client.runs.resume({self.run_id!r}) goes on. Still waiting."
            )
        elif self.access.is_served():
            warn(
                f"run {self.run_id} of app {app!r} is unfinished and nobody executes "
                f"it: client.runs.resume({self.run_id!r}) goes on with it. Still "
                "waiting."
            )
        else:
            warn(
                f"no engine serves app {app!r}, so run {self.run_id} does not go on: "
                "start one (nbflow.Engine, nbflow serve). Still waiting."
            )


around_wait: Callable[[Watch], AbstractContextManager[object]] = nullcontext
"""What every wait for a run happens in. A notebook puts in its place what cancels the
run when its cell is interrupted."""

"""A child in another app: its engine is asked by a command, its end is looked for.

The caller's `step.invoking`, which names the child, is committed before anything is
sent, so a re-entered caller finds the child that it has asked for.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from nbflow import codecs
from nbflow._engine.apps import OtherApp, Wait, at_home
from nbflow._engine.ending import Ending
from nbflow._engine.life import Life
from nbflow._engine.options import child_options
from nbflow.errors import InvokeError, StoreError
from nbflow.model import step_label


class ChildElsewhere:
    """The child that one call has in another app.

    Args:
        run: the life that calls.
        app: the other app.
        child: the child's run id.
        key: the call's.
        workflow: the child's.
        payload: makes its input, in plain types.
        options: those of the call.
    """

    def __init__(
        self,
        run: Life,
        app: str,
        child: str,
        key: str,
        workflow: str,
        payload: Callable[[], Any],
        options: Mapping[str, Any],
    ) -> None:
        self._run = run
        self._app = app
        self._child = child
        self._key = key
        self._workflow = workflow
        self._payload = payload
        self._options = options
        self._wait: Wait | None = None
        self._is_left = False

    @property
    def _other(self) -> OtherApp:
        return self._run.core.apps.find(self._app)

    def check(self) -> None:
        """Refuse now what cannot be asked for.

        Raises:
            WorkflowNotFound: there is no such app or workflow.
            InvokeError: the input or the options cannot be sent.
        """
        try:
            other = self._other
            other.check(self._workflow)
            json.dumps(self._command(other), allow_nan=False)
        except InvokeError:
            raise
        except (StoreError, TypeError, ValueError) as exc:
            problem = f"workflow {self._workflow!r} cannot be asked: {exc}"
            raise InvokeError(problem) from exc

    def _command(self, other: OtherApp) -> dict[str, Any]:
        """What asks the other app's engine for the child."""
        journal, given = self._run.journal, self._options
        payload = codecs.encode(self._payload())
        for part in payload.parts:
            other.put_blob(part.digest, part.data)
        options = child_options(given).to_stored(across_apps=True)
        return {
            "kind": "invoke",
            "workflow": self._workflow,
            "run_id": self._child,
            "input": codecs.parse(payload.text),
            "headers": given.get("headers"),
            "label": given.get("label"),
            "options": None if options is None else codecs.parse(options),
            "caller": {
                "app": self._run.core.app,
                "run_id": journal.id,
                "step": step_label(self._key),
                "root_run_id": journal.root_id,
                "depth": journal.depth,
            },
        }

    async def send(self, is_new: bool) -> str | None:
        """Leave the command in the other app: a child that was started is durable.

        Returns:
            Its id; None where the child is there already.
        """
        await self._run.core.commits.committed()
        other = self._other
        if other.run(self._child) is None or (is_new and self._options.get("run_id")):
            return other.send(self._command(other))
        return None

    def join(
        self,
        ended: Callable[[Ending], None],
        refused: Callable[[InvokeError], None],
        *,
        is_new: bool,
        is_resumed: bool,
    ) -> None:
        """Ask for the child where it is not there yet, and wait for its end.

        Args:
            ended: gets its end, as this app's store takes it.
            refused: gets the error, where the other app's engine does not start it.
            is_new: whether this life is the first to ask.
            is_resumed: whether a child that has failed is to go on.
        """

        def ask() -> None:
            other, child = self._other, self._child
            row, id, is_invoke = other.run(child), None, False
            if row is None or (is_new and self._options.get("run_id")):
                id, is_invoke = other.send(self._command(other)), True
            elif is_resumed and row.status in ("failed", "canceled"):
                id = other.send({"kind": "resume", "run_id": child})
            self._look(ended, refused, id, is_invoke)

        self._soon(ask, refused)

    def follow(
        self,
        ended: Callable[[Ending], None],
        refused: Callable[[InvokeError], None],
        command: str | None,
    ) -> None:
        """Wait for the end of a child that `command` has asked for before."""

        def ask() -> None:
            if self._other.run(self._child) is None and command is None:
                problem = f"there is no run {self._child!r} in app {self._app!r}"
                raise InvokeError(problem)
            self._look(ended, refused, command, command is not None)

        self._soon(ask, refused)

    def leave(self) -> None:
        """Nobody waits any more."""
        self._is_left = True
        if self._wait is not None:
            self._other.leave(self._wait)

    def _look(
        self,
        ended: Callable[[Ending], None],
        refused: Callable[[InvokeError], None],
        command: str | None,
        is_invoke: bool,
    ) -> None:
        def home(ending: Ending) -> None:
            ended(at_home(ending, self._run.core.commits.put_blob))

        self._wait = Wait(self._child, home, refused, command, is_invoke)
        self._other.join(self._wait)

    def _soon(
        self, ask: Callable[[], None], refused: Callable[[InvokeError], None]
    ) -> None:
        """Ask once what was recorded so far is committed."""

        def call() -> None:
            if self._is_left or self._run.is_closed:
                return
            try:
                ask()
            except InvokeError as exc:
                refused(exc)
            except Exception as exc:  # nobody else would tell the caller
                refused(InvokeError(str(exc), run_id=self._child))

        commits = self._run.core.commits
        commits.after(call)
        commits.flush_soon()

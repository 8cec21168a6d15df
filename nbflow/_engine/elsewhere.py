"""A child in another app: its engine is asked by a command, its end is looked for.

The caller's `step.invoking` is committed before anything is sent, and names the child,
the command and the store that it goes to. So a re-entered caller sends the very same
command, unless that was done, and each is applied once: there is exactly one child.
"""

from collections.abc import Callable, Mapping
from typing import Any

from nbflow import codecs
from nbflow._engine.apps import OtherApp, Wait, at_home, was_replaced
from nbflow._engine.ending import Ending
from nbflow._engine.life import Life
from nbflow._engine.memo import NOT_ASKED, Asked
from nbflow._engine.options import child_options
from nbflow._store import inbox
from nbflow.errors import InvokeError, StoreError
from nbflow.model import RunStatus, step_label


class ChildElsewhere:
    """The child that one call has in another app.

    Args:
        run: the life that calls.
        app: the other app.
        child: the child's run id.
        key: the call's.
        workflow: the child's.
        payload: makes its input, in plain types; None where a call only waits.
        options: those of the call.
        asked: what was sent for it before, or will be.
    """

    def __init__(
        self,
        run: Life,
        app: str,
        child: str,
        key: str,
        workflow: str | None,
        payload: Callable[[], Any] | None,
        options: Mapping[str, Any],
        asked: Asked = NOT_ASKED,
    ) -> None:
        self.asked = asked
        self.is_item = False  # of a map: its input may be a single value
        self._run = run
        self._app = app
        self._child = child
        self._key = key
        self._workflow = workflow
        self._payload = payload
        self._options = options
        self._data: bytes | None = None  # the command, from its making to its sending
        self._wait: Wait | None = None
        self._is_left = False

    @property
    def _other(self) -> OtherApp:
        return self._run.core.apps.find(self._app)

    def prepare(self, is_new: bool) -> None:
        """Make the command that gets the child going; it is sent after the commit.

        Args:
            is_new: whether the child is asked for the first time; else one that has
                failed is resumed, and one that goes on is waited for.

        Raises:
            InvokeError: there is no such app or workflow, the input does not fit, or
                the command cannot be sent.
            PayloadTooLarge: it is larger than an engine takes.
        """
        try:
            other = self._other
            if self._workflow is not None:
                other.check(self._workflow)
            row = None if is_new else other.run(self._child)
            is_over = row is not None and row.status in _MAY_GO_ON
            self.asked = Asked(None, other.uid, is_over)
            if row is None or is_over:
                self._data = self._make(other)
                self.asked = self.asked._replace(command=inbox.new_id())
        except InvokeError:
            raise
        except (StoreError, TypeError, ValueError) as exc:
            what = f"workflow {self._workflow!r}" if self._workflow else "its run"
            problem = f"{what} of app {self._app!r} cannot be asked: {exc}"
            raise InvokeError(problem) from exc

    def _make(self, other: OtherApp) -> bytes:
        """The command; large parts of its input are put beside it."""
        if self.asked.resumes:
            return inbox.encode({"kind": "resume", "run_id": self._child})
        if self._payload is None:
            raise InvokeError(
                f"there is no run {self._child!r} in app {self._app!r} any more: it "
                "was deleted",
                run_id=self._child,
            )
        journal, given = self._run.journal, self._options
        value = self._payload()
        is_call = self.is_item and not isinstance(value, Mapping)  # of one parameter
        if self._workflow is not None and not is_call:
            other.check_input(self._workflow, value)
        payload = codecs.encode(value, given="input")
        for part in payload.parts:
            other.put_blob(part.digest, part.data)
        options = child_options(given).to_stored(across_apps=True)
        return inbox.encode(
            {
                "kind": "invoke",
                "workflow": self._workflow,
                "run_id": self._child,
                "input": codecs.parse(payload.text),
                "is_item": self.is_item,
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
        )

    def send(self) -> None:
        """Leave the command in the other app, unless a former life has done so.

        To be called once `step.invoking` is committed.

        Raises:
            InvokeError, StoreError: the app was deleted, or cannot be written.
        """
        data, self._data = self._data, None
        other, id = self._other, self.asked.command
        if self.asked.store not in (None, other.uid):
            raise was_replaced(self._app, self._child, self._run.journal.id)
        if id is not None and (data or not other.has_got(id, self._child)):
            other.send(data or self._make(other), id)

    def join(
        self, ended: Callable[[Ending], None], refused: Callable[[InvokeError], None]
    ) -> None:
        """Send the command after the next commit, and wait for the child's end.

        Args:
            ended: gets its end, as this app's store takes it.
            refused: gets the error, where it cannot be had.
        """

        def home(ending: Ending) -> None:
            ended(at_home(ending, self._run.core.commits.put_blob))

        def begin() -> None:
            if self._is_left or self._run.is_closed:
                return
            try:
                self.send()
                self._wait = Wait(
                    self._child, self._run.journal.id, self.asked, home, refused
                )
                self._other.join(self._wait)
            except InvokeError as exc:
                refused(exc)
            except Exception as exc:  # nobody else would tell the caller
                refused(InvokeError(str(exc), run_id=self._child))

        commits = self._run.core.commits
        commits.after(begin)
        commits.flush_soon()

    def leave(self) -> None:
        """Nobody waits any more."""
        self._is_left = True
        self._data = None
        if self._wait is not None:
            self._other.leave(self._wait)


_MAY_GO_ON = frozenset({RunStatus.FAILED.value, RunStatus.CANCELED.value})

"""An interrupt cancels the runs that the interrupted cell waits for, and no others.

Waits of the main thread are noted while they last. A sync wait is told by the
KeyboardInterrupt that it gets. A kernel cancels an `await` in a cell through its event
loop, which looks just like the user's own cancel, so the signal itself is noted too.

The cell gets free also where the engine cannot answer, because a body computes for
ever: a thread asks it, and the interrupt waits for the answer a moment only.
"""

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from nbflow.client import RunHandle, operations, waiting
from nbflow.client.access import Access, blocked_by
from nbflow.client.waiting import Watch
from nbflow.errors import NbflowError, RunNotFound
from nbflow.magics import tracebacks
from nbflow.magics.settings import NBFlow

REASON = "interrupted"
PATIENCE = 5.0
"""Seconds in which an engine answers; one whose loop is blocked does not."""
_SLICE = 0.25


class Interrupts:
    """Watches the waits of one shell's cells."""

    def __init__(self, settings: NBFlow) -> None:
        self._settings = settings
        self._open: dict[object, Watch] = {}
        self._unanswered: set[str] = set()  # runs, in this cell
        self._is_asked = False
        self._former: Any = None
        self._note: Any = None
        self._before = waiting.around_wait

    def install(self) -> None:
        """Note the waits from here on."""
        waiting.around_wait = self._around

    def uninstall(self) -> None:
        """Undo `install`."""
        waiting.around_wait = self._before

    def cell_begins(self) -> None:
        """Note the signal while an async cell of a kernel runs."""
        self._is_asked = False
        self._open.clear()
        self._unanswered.clear()
        if threading.current_thread() is not threading.main_thread():
            return
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler) and handler is not signal.default_int_handler:
            self._former, self._note = handler, self._noting(handler)
            signal.signal(signal.SIGINT, self._note)

    def cell_ends(self, error: BaseException | None) -> None:
        """Cancel what was waited for, where the wait itself was not told."""
        if isinstance(error, KeyboardInterrupt):
            for watch in list(self._open.values()):
                self._cancel(watch.access, watch.run_id)
        self._open.clear()
        if self._note is not None and signal.getsignal(signal.SIGINT) is self._note:
            signal.signal(signal.SIGINT, self._former)
        self._former = self._note = None

    def shown(self, error: KeyboardInterrupt) -> None:
        """The cell is about to show its interrupt: say what becomes of its runs.

        IPython's terminal stops the loop in which a cell awaits, and no wait is told.
        """
        watches = list(self._open.values())
        self._open.clear()
        texts = [self._cancel(watch.access, watch.run_id) for watch in watches]
        blocker = blocked_by()
        if not texts and blocker is not None and tracebacks.is_from_engine(error):
            texts = [
                f"Interrupted: {blocker} still holds the engine; what waited for it "
                "is withdrawn, and not done later"
            ]
        if texts and self._settings.short_errors:
            tracebacks.show_as(error, lambda: texts)

    def interrupted(self, handle: RunHandle[Any], error: KeyboardInterrupt) -> None:
        """Cancel the run that a magic waits for."""
        self._interrupted(handle._access, handle.run_id, error)

    @contextmanager
    def held(self) -> Iterator[None]:
        """An interrupt that comes in the block is dealt with at its end.

        So nothing is begun whose name nobody got, and no library that is at work in
        the block swallows it. A second one does not wait, nor does the first where code
        of a run blocks the engine: the block may be waiting for that.
        """
        former = signal.getsignal(signal.SIGINT)
        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or not callable(former):
            yield
            return
        came: list[tuple[int, FrameType | None]] = []

        def note(number: int, frame: FrameType | None) -> None:
            came.append((number, frame))
            if len(came) > 1 or blocked_by() is not None:
                former(number, frame)

        is_raised = False
        signal.signal(signal.SIGINT, note)
        try:
            yield
        except KeyboardInterrupt:
            is_raised = True
            raise
        finally:
            signal.signal(signal.SIGINT, former)
            if came and not is_raised:
                former(*came[0])

    def _noting(self, handler: Callable[..., Any]) -> Callable[..., None]:
        def note(number: int, frame: FrameType | None) -> None:
            self._is_asked = True
            handler(number, frame)
            # The handler schedules on a loop that may sleep.
            with suppress(RuntimeError):
                asyncio.get_running_loop().call_soon_threadsafe(lambda: None)

        return note

    @contextmanager
    def _around(self, watch: Watch) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        key = object()
        self._open[key] = watch
        try:
            yield
        except KeyboardInterrupt as error:
            self._interrupted(watch.access, watch.run_id, error)
            raise
        except asyncio.CancelledError as error:
            if self._is_asked:
                self._interrupted(watch.access, watch.run_id, error)
            raise
        finally:
            self._open.pop(key, None)

    def _interrupted(self, access: Access, run_id: str, error: BaseException) -> None:
        text = self._cancel(access, run_id)
        if self._settings.short_errors:
            tracebacks.show_as(error, lambda: [text])

    def _cancel(self, access: Access, run_id: str) -> str:
        """Cancel the run, if the user wants that; what to say of it."""
        if self._settings.on_interrupt == "leave":
            return f"Interrupted: run {run_id} goes on"
        try:
            is_answered = self._ask_to_cancel(access, run_id)
        except NbflowError as error:
            return f"Interrupted: run {run_id} could not be canceled: {error}"
        if not is_answered:
            return (
                f"Interrupted: run {run_id} is asked to end, but its engine has not "
                "answered: code that does not await blocks it. The run ends as soon as "
                "that code gives way; if it never does, restart the kernel"
            )
        return (
            f"Interrupted: run {run_id} is canceled, finished steps are kept; "
            f"`%workflow resume {run_id}` goes on with it"
        )

    def _ask_to_cancel(self, access: Access, run_id: str) -> bool:
        """Whether the engine has answered; a second interrupt waits no longer."""
        if run_id in self._unanswered:
            return False
        self._unanswered.add(run_id)
        answer: Future[None] = Future()

        def ask() -> None:
            try:
                _cancel_recorded(access, run_id)
            except BaseException as error:
                answer.set_exception(error)
            else:
                answer.set_result(None)

        threading.Thread(target=ask, name="nbflow-cancel", daemon=True).start()
        end = time.monotonic() + PATIENCE
        # In slices: Windows cannot interrupt a long wait.
        with suppress(KeyboardInterrupt):
            while not answer.done() and time.monotonic() < end:
                wait([answer], _SLICE)
        if not answer.done():
            return False
        self._unanswered.discard(run_id)
        answer.result()
        return True


def _cancel_recorded(access: Access, run_id: str) -> None:
    """Cancel a run, as soon as a blocked engine has taken notice of it."""
    while True:
        try:
            operations.cancel(access, [run_id], REASON)
            return
        except RunNotFound:
            if blocked_by() is None:
                raise
        time.sleep(_SLICE)

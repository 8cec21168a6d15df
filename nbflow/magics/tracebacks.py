"""What IPython shows of an error: the user's own frames, at the cells' own lines.

IPython asks an exception for `_render_traceback_`; errors of nbflow get one while the
extension is loaded, others where they pass through a magic.
"""

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeGuard

from IPython.core.getipython import get_ipython

import nbflow
from nbflow._frames import hidden_paths
from nbflow.errors import (
    InvokedRunFailed,
    NbflowError,
    NotebookError,
    RunFailed,
    StepError,
    StoreError,
)
from nbflow.model import ErrorInfo, safe_text

_FRAME = re.compile(r'(?m)^([\s|]*)File "([^"]+)", line (\d+)')
_HOOK = "_render_traceback_"
_OWN = os.path.join(os.path.dirname(nbflow.__file__), "")


class CellSyntaxError(NotebookError):
    """The cell is no Python; shown as Python shows it, with the cell's line."""

    def __init__(self, error: SyntaxError) -> None:
        super().__init__(f"{error.msg} (line {error.lineno})")
        self.syntax_error = error

    def _render_traceback_(self) -> list[str]:
        shell: Any = get_ipython()
        error = self.syntax_error
        lines: list[str] = shell.SyntaxTB.structured_traceback(type(error), error, [])
        return lines


def install(
    shell: Any,
    short: Callable[[], bool],
    interrupted: Callable[[KeyboardInterrupt], None],
) -> None:
    """Have IPython show errors of nbflow without its frames, while `short()`.

    Args:
        shell: the shell.
        short: asked for each error.
        interrupted: told of an interrupt before it is shown.
    """

    def render(self: NbflowError) -> list[str]:
        return user_view(self) if short() else whole_view(self)

    show = shell.showtraceback

    def showtraceback(exc_tuple: Any = None, *more: Any, **options: Any) -> Any:
        error = (exc_tuple or sys.exc_info())[1]
        if isinstance(error, KeyboardInterrupt):
            interrupted(error)
        if short() and _is_misuse(error):
            show_as(error, lambda: user_view(error))
        return show(exc_tuple, *more, **options)

    setattr(NbflowError, _HOOK, render)
    shell.showtraceback = showtraceback
    shell.showtraceback.of_nbflow = True


def uninstall(shell: Any) -> None:
    """Undo `install`."""
    if _HOOK in vars(NbflowError):
        delattr(NbflowError, _HOOK)
    if hasattr(vars(shell).get("showtraceback"), "of_nbflow"):
        del shell.showtraceback


def is_from_engine(error: BaseException) -> bool:
    """Whether the error came up in a call of the engine."""
    names = (
        frame.f_globals.get("__name__", "")
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )
    return any(name.startswith("nbflow._engine.") for name in names)


def _is_misuse(error: BaseException | None) -> TypeGuard[TypeError | ValueError]:
    """Whether nbflow itself has refused a call that is wrong in Python's own terms."""
    if not isinstance(error, TypeError | ValueError) or isinstance(error, NbflowError):
        return False
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and last.tb_frame.f_code.co_filename.startswith(_OWN)


def show_as(error: BaseException, render: Callable[[], list[str]]) -> None:
    """Have IPython show this error as `render` says, if the error lets us."""
    try:
        setattr(error, _HOOK, render)
    except (AttributeError, TypeError):  # it has slots: IPython shows all of it
        return


def is_told(error: BaseException) -> bool:
    """Whether it was said already how this error is shown."""
    return hasattr(error, _HOOK)


def brief(error: BaseException) -> list[str]:
    """An error in one line, for what was typed wrong or cannot be done."""
    return [safe_text(f"{type(error).__name__}: {error}", multiline=True)]


def whole_view(error: BaseException) -> list[str]:
    """All frames, as IPython shows them."""
    return _format(error, error.__traceback__)


def user_view(error: BaseException, frames: TracebackType | None = None) -> list[str]:
    """The user's frames of an error, and of what a failed run failed with.

    Args:
        error: the error.
        frames: its traceback from where it concerns the user; all of it if None.
    """
    own = _user_frames(error.__traceback__ if frames is None else frames)
    if isinstance(error, RunFailed):
        # Without its cause, which is shown as the run's.
        bare = type(error)(str(error.error or error))
        where = _format(bare, own) if own is not None else []
        return [*run_view(error), "", *where, "", _advice(error)]
    if isinstance(error, BaseExceptionGroup):
        return traceback.format_exception(type(error), error, own)
    with _trimmed(error), _alone(error):
        return brief(error) if own is None else _format(error, own)


def failed_run(error: RunFailed) -> list[str]:
    """What a magic shows of the run it has waited for, and how to go on."""
    return [*run_view(error), "", _advice(error)]


def run_view(error: RunFailed) -> list[str]:
    """What a failed run failed with, in the cells that its code stands in."""
    cause = error.__cause__
    if cause is None:
        return _stored_view(error.error)
    last, frames, is_complete = _spine(cause)
    if isinstance(last, InvokedRunFailed):
        made = _chain(frames)
        below = _stored_view(getattr(last, "error", None) or error.error)
        return below if made is None else [*below, "", *_format(last, made)]
    if is_complete and not isinstance(last, BaseExceptionGroup):
        with _trimmed(last):
            return _format(last, _chain(frames))
    return _stored_view(error.error)


def _spine(error: BaseException) -> tuple[BaseException, list[TracebackType], bool]:
    """The exception that a body failed with, and the frames from the body down to it.

    A step's error and what the step's function raised are one story. Last: whether
    the frames lead to where it was raised.
    """
    frames: list[TracebackType] = []
    while True:
        some = list(_visible(error.__traceback__))
        frames += some
        if isinstance(error, StepError) and error.__cause__ is not None:
            error = error.__cause__
            continue
        return error, frames, bool(some) and not isinstance(error, StepError)


@contextmanager
def _trimmed(error: BaseException) -> Iterator[None]:
    """Take the machinery out of an exception's causes while it is shown."""
    kept: list[tuple[BaseException, TracebackType | None]] = []
    seen: set[int] = set()
    other = error.__cause__ or error.__context__
    while other is not None and id(other) not in seen:
        seen.add(id(other))
        kept.append((other, other.__traceback__))
        other.__traceback__ = _user_frames(other.__traceback__)
        other = other.__cause__ or other.__context__
    try:
        yield
    finally:
        for each, frames in kept:
            each.__traceback__ = frames


@contextmanager
def _alone(error: BaseException) -> Iterator[None]:
    """Show a store's error without that of the system or of SQLite: it names it."""
    if not isinstance(error, StoreError):
        yield
        return
    cause, is_hidden = error.__cause__, error.__suppress_context__
    error.__cause__ = None
    error.__suppress_context__ = True
    try:
        yield
    finally:
        error.__cause__ = cause
        error.__suppress_context__ = is_hidden


def _visible(frames: TracebackType | None) -> Iterator[TracebackType]:
    hidden = hidden_paths()
    while frames is not None:
        if not frames.tb_frame.f_code.co_filename.startswith(hidden):
            yield frames
        frames = frames.tb_next


def _user_frames(frames: TracebackType | None) -> TracebackType | None:
    return _chain(list(_visible(frames)))


def _chain(frames: list[TracebackType]) -> TracebackType | None:
    """Frames as one traceback, outermost first."""
    made: TracebackType | None = None
    for each in reversed(frames):
        made = TracebackType(made, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return made


def _format(error: BaseException, frames: TracebackType | None) -> list[str]:
    if frames is None:
        return brief(error)
    shell: Any = get_ipython()
    try:
        lines: list[str] = shell.InteractiveTB.structured_traceback(
            type(error), error, frames, tb_offset=0
        )
    except Exception:  # whatever it is made of, the user must see something
        lines = traceback.format_exception(type(error), error, frames)
    return lines


def _stored_view(error: ErrorInfo | Any) -> list[str]:
    """The recorded traceback, with the names of this kernel's cells."""
    if error is None:
        return []
    text = _named_cells(str(getattr(error, "traceback", "") or "").rstrip())
    last = f"{error.type}: {error.message}"
    if not text:
        return [safe_text(last, multiline=True)]
    return safe_text(text, multiline=True).split("\n")


def _named_cells(text: str) -> str:
    shell: Any = get_ipython()

    def name(found: re.Match[str]) -> str:
        known = shell.compile.format_code_name(found[2]) if shell else None
        if known is None:
            return found[0]
        return f"{found[1]}{known[0]} {known[1]}, line {found[3]}"

    return _FRAME.sub(name, text)


def _advice(error: RunFailed) -> str:
    name = f" of {error.workflow!r}" if error.workflow else ""
    step = f" in step {error.step!r}" if error.step else ""
    text = (
        f"run {error.run_id}{name} failed{step}. Correct the cause, then "
        f"`%workflow resume {error.run_id}` goes on with it; finished steps are kept."
    )
    return safe_text(text, multiline=True)

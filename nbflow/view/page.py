"""One run as a page of lines: its header, its facts, its steps; its error as text."""

import datetime as dt
from collections.abc import Iterable

from nbflow.model import Run, Step, safe_text
from nbflow.view.board import Board
from nbflow.view.rows import run_rows
from nbflow.view.tables import run_facts
from nbflow.view.text import Line, Span, line
from nbflow.view.words import Look, badge, word


def run_page(
    run: Run,
    steps: Iterable[Step],
    look: Look,
    now: dt.datetime,
    *,
    input: str | None = None,
    fold: int = 10,
    width: int | None = None,
) -> list[Line]:
    """Everything of a run but its error.

    Args:
        run: the run.
        steps: its steps.
        look: what can be shown.
        now: the present time.
        input: the input as text.
        fold: from so many steps of one call site on, they are one row.
        width: that of the screen, for the columns.
    """
    board = Board(run)
    for step in steps:
        board.add(step)
    head = line(
        badge(run.status, look),
        " ",
        Span(run.workflow, "strong"),
        f"  {run.run_id}  ",
        word(run.status),
    )
    lines = [head, *run_facts(run, look, now, input)]
    if board.steps:
        rows = run_rows(board, look, now, fold=fold, width=width)
        lines += [line(), *(row.line for row in rows)]
    return lines


def error_text(run: Run) -> str:
    """The error of a failed run with the user's own frames; safe to print."""
    if run.error is None:
        return ""
    error = run.error
    step = f"in step {error.step!r}: " if error.step else ""
    frames = f"{error.traceback.rstrip()}\n" if error.traceback else ""
    return safe_text(f"{frames}{step}{error}", multiline=True)

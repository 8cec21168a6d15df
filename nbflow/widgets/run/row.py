"""One row of a run's view, as `ROW` in `protocol` has it: pure, from what is known."""

from typing import Any

from nbflow.model import StepStatus
from nbflow.view.families import Facts
from nbflow.view.states import BUSY, FAILED, IDLE, LETTERS
from nbflow.view.tree import Node, Tree
from nbflow.view.words import preview_text
from nbflow.widgets.run.texts import ERROR, LINE, NAME, line, millis, plain_number

_DONE = (StepStatus.COMPLETED, StepStatus.CANCELED)


def counts_of(node: Node) -> list[int | None]:
    """How many steps below a node are done, have failed, run and wait; the total.

    Each step known so far counts once: done are also those that were canceled.
    """
    return [
        node.number_of(_DONE),
        node.number_of(FAILED),
        node.number_of(BUSY),
        node.number_of(IDLE),
        node.total,
    ]


def text_of(facts: Facts) -> str | None:
    """The one line that says most of a step as it is now."""
    status = facts.status
    if status in FAILED or status is StepStatus.RETRYING:
        return None if facts.error is None else line(facts.error, ERROR)
    told: str | None = None
    if status is StepStatus.WAITING:
        told = facts.question or (
            f"waits for event {facts.event!r}" if facts.event else "waits for an answer"
        )
    elif status is StepStatus.INVOKING:
        told = " ".join(filter(None, (facts.target, facts.child)))
    elif status is StepStatus.QUEUED and facts.flow_key is not None:
        place = "" if facts.place is None else f"place {facts.place + 1} "
        told = f"{place}in the queue of {facts.flow_key!r}"
    elif status is StepStatus.RUNNING:
        told = facts.note
    elif status is StepStatus.COMPLETED:
        told = preview_text(facts.preview)
    return line(told, LINE) if told else None


def step_row(node: Node, above: int, flags: str | None) -> list[Any]:
    """The row of a step, below the row with the number `above`."""
    facts = node.facts
    assert facts is not None
    spans = None
    if facts.spans:
        spans = [
            [LETTERS.get(status, "r"), millis(since), millis(until)]
            for status, since, until in facts.spans
        ]
    counts = None
    if facts.done is not None:
        counts = [plain_number(facts.done), 0, 0, 0, plain_number(facts.total)]
    return _packed(
        *_head(node, above, facts.status),
        facts.attempt,
        millis(facts.queued),
        millis(facts.started),
        millis(facts.ended),
        millis(facts.until) if facts.is_open else None,
        text_of(facts),
        flags,
        spans,
        counts,
        line(facts.child, NAME) if facts.child else None,
    )


def holder_row(
    node: Node, above: int, tree: Tree, text: str | None, flags: str | None
) -> list[Any]:
    """The row of a map or group.

    Args:
        node: it.
        above: number of the row that it is below.
        tree: that it is in.
        text: what is to be said of it.
        flags: as in `ROW`.
    """
    times = [0, None, millis(node.started), millis(tree.ended(node)), None]
    head = _head(node, above, tree.status(node))
    return _packed(*head, *times, text, flags, None, counts_of(node))


def _head(node: Node, above: int, status: StepStatus) -> list[Any]:
    return [node.number, above, node.kind, line(node.name, NAME), status.value]


def _packed(*row: Any) -> list[Any]:
    made = list(row)
    while made[-1] is None:
        made.pop()
    return made

"""What widgets are given and is of the wrong type: refused in a sentence, at once."""

from collections.abc import Callable
from typing import Any

import pytest

from nbflow import Client, InvalidOption
from nbflow.widgets import Monitor, RunsView, RunView, WorkflowForm, show
from nbflow.widgets.queues import QueuesView

CLIENT = "give a client, as nbflow.Client(app='NAME') makes it, or nothing for the app"
LIVE = (
    "give a function that makes a widget of a RunHandle, or nothing for the live view"
)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: RunsView(3), f"RunsView(client=3): {CLIENT}"),
        (lambda: Monitor(3), f"Monitor(client=3): {CLIENT}"),
        (lambda: QueuesView(3), f"QueuesView(client=3): {CLIENT}"),
        (lambda: WorkflowForm("x", 3), f"WorkflowForm(client=3): {CLIENT}"),
        (lambda: RunView("x", client=3), f"RunView(client=3): {CLIENT}"),
        (lambda: show("x", client=3), f"show(client=3): {CLIENT}"),
        (lambda: RunsView("other"), "as nbflow.Client(app='other') makes it"),
        (lambda: RunsView(["x" * 5_000]), "…): give a client"),
        (lambda: RunsView(view=3), f"RunsView(view=3): {LIVE}"),
        (lambda: Monitor(view=3), f"Monitor(view=3): {LIVE}"),
        (lambda: WorkflowForm("x", view=3), f"WorkflowForm(view=3): {LIVE}"),
        (lambda: WorkflowForm(3), "WorkflowForm(3): give a workflow"),
        (lambda: RunView(3), "3 is no run: give its id, or its beginning"),
        (lambda: show(3), "3 is no run: give its id, or its beginning"),
    ],
)
def test_another_type_is_refused_with_what_to_give(
    home: Any, call: Callable[[], object], text: str
) -> None:
    with pytest.raises(TypeError) as refused:
        call()
    assert text in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("rows", [0, 51, True, 1.5, "5", None])
def test_rows_that_are_no_number_of_rows_are_refused(home: Any, rows: Any) -> None:
    with pytest.raises(InvalidOption, match="a page of RunsView shows 1 to 50 runs"):
        RunsView(Client(), rows=rows)

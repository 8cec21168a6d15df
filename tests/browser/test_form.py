"""`WorkflowForm` in a real JupyterLab: filled in, corrected, invoked."""

from collections.abc import Callable

from tests.browser.lab import Tab
from tests.browser.views import button

SIZED = """%load_ext nbflow
from pydantic import PositiveInt
from nbflow import Context, workflow
from nbflow.widgets import WorkflowForm

@workflow
async def sized(ctx: Context, count: PositiveInt, tags: list[str] = []) -> int:
    return count * (1 + len(tags))

WorkflowForm(sized)"""


def test_what_is_wrong_is_said_at_the_field_and_what_is_right_runs(
    opened: Callable[..., Tab],
) -> None:
    tab = opened(SIZED)
    tab.run(0)
    form = tab.show(0)
    fields = form.locator(".nbflow-fields > .nbflow-field")
    count, tags = fields.nth(0), fields.nth(1)
    count.get_by_role("spinbutton").fill("3")
    tags.get_by_role("textbox").fill('{"a": 1}')
    button(form, "Invoke").click()
    tags.get_by_text("list").last.wait_for()
    form.get_by_text("correct what is marked: tags").wait_for()
    assert form.locator(".nbf-run").count() == 0
    tags.get_by_role("textbox").fill('["a", "b"]')
    button(form, "Invoke").click()
    shown = form.locator(".nbf-run")
    shown.locator(".nbf-badge", has_text="completed").wait_for()
    shown.get_by_text("result 9").wait_for()

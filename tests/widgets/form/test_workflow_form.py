"""`WorkflowForm`: its values, what is wrong where, and Invoke."""

import datetime as dt
import threading
from typing import Annotated, Any

import ipywidgets
import pytest
from pydantic import BaseModel, Field

from nbflow import Client, Context, WorkflowNotFound, workflow
from nbflow.widgets import WorkflowForm
from nbflow.widgets.form.workflow_form import MAX_VIEWS

HOSTILE = "<img src=x onerror=alert(1)> $x^2$"


class Source(BaseModel):
    url: str = Field("https://example.org", description="where the table is")
    since: dt.date = dt.date(2026, 1, 1)
    tries: int = Field(3, ge=0, le=9)


@workflow
async def report(
    ctx: Context,
    customers: list[str],
    source: Source,
    n: Annotated[int, Field(ge=1, le=10)] = 3,
    dry: bool = False,
    note: str | None = None,
) -> int:
    return n


@workflow(retries=0)
async def strict(ctx: Context, day: dt.date, odd: Annotated[int, Field(gt=2)]) -> int:
    return odd


@workflow
async def whole(ctx: Context, input: Source) -> str:
    return input.url


@workflow
async def single(ctx: Context, input: int | None = None) -> int | None:
    return input


@workflow
async def more(ctx: Context, x: int = 1, **rest: int) -> dict[str, int]:
    return {"x": x, **rest}


def test_a_form_begins_with_the_defaults(serve):
    form = WorkflowForm(report)
    form._group.fields["customers"].set([])
    assert form.value == {
        "customers": [],
        "source": {"url": "https://example.org", "since": "2026-01-01", "tries": 3},
        "n": 3,
        "dry": False,
        "note": None,
    }


def test_the_toggle_turns_a_value_into_none():
    field = WorkflowForm(report)._group.fields["note"]
    assert field._control.widget.disabled
    field._toggle.value = False
    field._control.widget.value = "hello"
    assert not field._control.widget.disabled
    assert field.get() == "hello"
    field._toggle.value = True
    assert field.get() is None


def test_hints_tell_what_a_field_is_for_and_its_rules():
    form = WorkflowForm(report)
    source = form._group.fields["source"]._control
    assert source.fields["url"].shape.hint == "where the table is"
    assert form._group.fields["n"].shape.hint == "1 to 10"


def started(form: WorkflowForm, until: Any, count: int = 1) -> Any:
    until(lambda: len(form.runs) == count and not form._button.disabled)
    return form.runs[0].run


def test_invoke_starts_a_run_of_what_is_typed(serve, card, until):
    engine = serve(report)
    form = WorkflowForm(report, engine.client, view=card)
    form._group.fields["customers"]._control.widget.value = '["a", "b"]'
    form._group.fields["source"]._control.fields["tries"]._control.widget.value = 7
    form._group.fields["n"]._control.widget.value = 5
    form._button.click()
    handle = started(form, until)
    assert handle.result(60) == 5
    given = handle.run.input
    assert given["customers"] == ["a", "b"]
    assert given["source"].tries == 7


def test_options_hold_for_the_run(serve, card, until):
    engine = serve(report)
    form = WorkflowForm(report, engine.client, view=card)
    form.value = {"customers": [], "source": {}}
    for name, text in (("run_id", "mine"), ("label", "eu"), ("retries", "0")):
        form._options[name]._control.widget.value = text
    form._options["delay"]._control.widget.value = "1h"
    form.invoke()
    run = started(form, until).run
    assert (run.run_id, run.label, run.retries) == ("mine", "eu", 0)
    assert run.waiting[0].startswith("not before")


@pytest.mark.parametrize(
    ("option", "text"),
    [("run_id", "a b"), ("label", "x" * 201), ("delay", "soon"), ("retries", "-1")],
)
def test_a_wrong_option_is_said_at_its_place(option, text):
    form = WorkflowForm(report)
    form.value = {"customers": [], "source": {}}
    form._options[option]._control.widget.value = text
    form.invoke()
    assert form._folded.selected_index == 0
    assert option.replace("_", " ")[:3] in form._options[option]._problem.value
    assert form.runs == []
    assert not form._button.disabled


def test_what_is_no_value_is_said_at_once_at_the_field():
    form = WorkflowForm(report)
    field = form._group.fields["customers"]
    field._control.widget.value = '["a",'
    assert "is no JSON" in field._problem.value
    assert "line 1" in field._problem.value
    field._control.widget.value = '["a"]'
    assert field._problem.layout.display == "none"


def test_a_required_field_is_not_left_empty():
    form = WorkflowForm(report)
    form.invoke()
    assert form._group.fields["customers"]._problem.value == "is missing"
    assert form._message.value == "correct what is marked: customers"
    with pytest.raises(ValueError, match="without a value"):
        _ = form.value


def test_a_field_of_a_field_is_named_by_its_whole_path(serve, until):
    serve(report)
    form = WorkflowForm(report)
    form.value = {"customers": ["a"], "source": {"url": "x"}}
    form._group.fields["source"].tell("url", "is taken")
    form._say_wrong()
    assert form._message.value == "correct what is marked: source.url"


@pytest.mark.parametrize("is_served", [True, False])
def test_what_breaks_a_rule_is_said_at_its_field(serve, until, is_served):
    engine = serve(report, strict)
    form = WorkflowForm(report if is_served else "report", engine.client)
    form.value = {"customers": [1, 2], "source": {"url": "x"}}
    form._group.fields["source"].set({"url": 5})
    form._button.click()
    until(lambda: form._message.value)
    assert form._group.fields["customers"]._problem.value.startswith("[0]: input")
    inner = form._group.fields["source"]._problem.value
    assert inner.startswith("url: input should be a valid string")
    assert form._message.value == "correct what is marked: customers[0], source.url"
    assert engine.client.runs.list() == []


def test_a_picker_without_a_day_asks_for_one(serve, until):
    engine = serve(strict)
    form = WorkflowForm(strict, engine.client)
    form.invoke()
    assert form._group.fields["day"]._problem.value == "choose a day"


def test_a_run_id_of_another_run_is_said_at_the_run_id(serve, card, until):
    engine = serve(report, whole)
    engine.client.workflows.invoke("whole", input={}, run_id="mine").result(60)
    form = WorkflowForm(report, engine.client, view=card)
    form.value = {"customers": [], "source": {}}
    form._options["run_id"]._control.widget.value = "mine"
    form.invoke()
    until(lambda: form._options["run_id"]._problem.value)
    assert "mine" in form._options["run_id"]._problem.value
    assert form.runs == []


def test_a_model_taken_whole_is_the_form_itself(serve, card, until):
    engine = serve(whole)
    form = WorkflowForm(whole, engine.client, view=card)
    assert list(form._group.fields) == ["url", "since", "tries"]
    form._group.fields["url"]._control.widget.value = "u"
    form.invoke()
    assert started(form, until).result(60) == "u"
    form._show_problems(problem(whole, {"since": "never"}))
    assert "date" in form._group.fields["since"]._problem.value


def problem(target: Any, payload: Any) -> Any:
    with pytest.raises(ValueError) as info:
        target.spec.inputs.validate_payload(payload)
    return info.value


def test_a_plain_value_taken_whole_is_one_field(serve, card, until):
    engine = serve(single)
    form = WorkflowForm(single, engine.client, view=card)
    assert form.value is None
    form.value = 8
    form.invoke()
    assert started(form, until).result(60) == 8


def test_fields_of_any_name_are_asked_for_as_json(serve, card, until):
    engine = serve(more)
    form = WorkflowForm(more, engine.client, view=card)
    form.value = {"x": 2, "y": 3}
    assert form.value == {"x": 2, "y": 3}
    form.invoke()
    assert started(form, until).result(60) == {"x": 2, "y": 3}


def test_the_newest_run_is_shown_first_and_at_most_five(serve, card, until):
    engine = serve(single)
    form = WorkflowForm(single, engine.client, view=card)
    shown = []
    for count in range(1, MAX_VIEWS + 2):
        form.value = count
        form.invoke()
        started(form, until, min(count, MAX_VIEWS))
        until(lambda: not shown or form.runs[0] is not shown[0])
        shown.insert(0, form.runs[0])
    assert form.runs == shown[:MAX_VIEWS]
    assert shown[-1].comm is None
    assert [view.run.result(60) for view in form.runs] == [6, 5, 4, 3, 2]


def test_invoke_does_not_wait_for_the_engine(serve, until):
    engine = serve(single)
    go = threading.Event()

    def view(run: Any) -> Any:
        go.wait(60)
        return ipywidgets.Label(run.run_id)

    form = WorkflowForm(single, engine.client, view=view)
    form._button.click()
    assert form._button.disabled  # a second click would start nothing
    assert form.runs == []
    go.set()
    until(lambda: form.runs)
    until(lambda: not form._button.disabled)


def test_a_workflow_of_another_process_is_invoked_by_its_name(
    home, served, card, until
):
    client = Client(home, "t")
    form = WorkflowForm("nap", client, view=card)
    assert form.value == {"seconds": 0.01}
    form.invoke()
    assert started(form, until).result(60) == 0.01
    form = WorkflowForm("fail", client, view=card)
    form._group.fields["x"].set("no number")
    form.invoke()
    until(lambda: form._message.value)
    assert "valid integer" in form._group.fields["x"]._problem.value


def test_with_no_engine_the_form_says_that_the_run_will_wait(home, served, card, until):
    served.kill()
    served.wait()
    form = WorkflowForm("nap", Client(home, "t"), view=card)
    form.invoke()
    until(lambda: form._note.value)
    assert form._note.value == (
        "no engine serves app 't': recorded, takes effect when one starts"
    )


def test_an_engine_elsewhere_is_named_when_this_kernel_would_start_one(
    home, served, until, monkeypatch
):
    monkeypatch.setenv("NBFLOW_HOME", str(home))

    @workflow(app="t")
    async def mine(ctx: Context) -> None: ...

    form = WorkflowForm(mine)
    form.invoke()
    until(lambda: form._message.value)
    assert str(served.pid) in form._message.value


def test_an_unknown_name_is_refused_with_the_known_ones(serve):
    engine = serve(single)
    engine.client.workflows.invoke("single").result(60)
    with pytest.raises(WorkflowNotFound, match="'single'"):
        WorkflowForm("singel", engine.client)
    with pytest.raises(TypeError, match="give a workflow"):
        WorkflowForm(print)  # type: ignore[arg-type]


def test_its_text_is_one_honest_line():
    form = WorkflowForm(report)
    assert repr(form) == ("<WorkflowForm of 'report': customers, source, n, dry, note>")
    assert form._repr_mimebundle_()["text/plain"] == repr(form)
    form.close()
    form.close()
    assert repr(form) == "<WorkflowForm of 'report': closed>"

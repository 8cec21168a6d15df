"""What the monitor does, with a live engine: each dialog is one call of the client."""

import json
from pathlib import Path
from typing import Any

import pytest
from nbflow_tui.dialogs import (
    AnswerDialog,
    CancelDialog,
    InvokeDialog,
    RerunDialog,
    ResumeDialog,
    SaveDialog,
    SendDialog,
    TextBox,
)
from textual.widgets import OptionList, SelectionList, TextArea

from nbflow import Client
from nbflow.model import Run, RunStatus
from tests.tui.stage import Stage, eventually, said, type_into, until

pytestmark = pytest.mark.anyio


def begin(client: Client, name: str, **more: Any) -> Run:
    """A run that waits, or has ended."""
    handle = client.workflows.invoke(name, **more)
    eventually(lambda: bool(handle.run.waiting) or handle.run.is_ended)
    return handle.run


async def test_cancel_names_the_run_and_the_children_it_reaches(store: Client) -> None:
    run = begin(store, "parent")
    (child,) = run.children
    app = Stage(CancelDialog(store, run))
    async with app.run_test() as pilot:
        await until(pilot, lambda: child in said(app, "#children"))
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.results))
    assert app.sent.verb == "cancel"
    assert app.sent.run_ids == (run.run_id,)
    for each in (run.run_id, child):
        eventually(lambda each=each: store.runs.get(each).is_ended)
        assert store.runs.get(each).status is RunStatus.CANCELED


async def test_cancel_keeps_the_reason(store: Client) -> None:
    run = begin(store, "waits")
    app = Stage(CancelDialog(store, [run]))
    async with app.run_test() as pilot:
        type_into(app, "#reason", "wrong day")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(app.results))
    eventually(lambda: store.runs.get(run.run_id).is_ended)
    assert store.runs.get(run.run_id).cancel_reason == "wrong day"


async def test_escape_sends_nothing(store: Client) -> None:
    run = begin(store, "waits")
    app = Stage(CancelDialog(store, run))
    async with app.run_test() as pilot:
        await pilot.press("escape")
        await until(pilot, lambda: bool(app.results))
    assert app.results == [None]
    assert not store.runs.get(run.run_id).is_ended


async def test_resume_shows_its_plan_and_goes_on(store: Client) -> None:
    run = begin(store, "fails")
    app = Stage(ResumeDialog(store, run))
    async with app.run_test() as pilot:
        await until(pilot, lambda: "good" in said(app, "#plan"))
        assert "keeps 1 step, runs 1" in said(app, "#plan")
        assert "divide" in said(app, "#plan")
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.results))
    assert app.sent.verb == "resume"
    eventually(lambda: store.runs.get(run.run_id).ended_at != run.ended_at)


async def test_resume_runs_chosen_steps_afresh(store: Client) -> None:
    run = begin(store, "fails")
    app = Stage(ResumeDialog(store, run))
    async with app.run_test() as pilot:
        kept = app.screen.query_one(SelectionList)
        await until(pilot, lambda: kept.option_count == 1)
        kept.select_all()
        await until(pilot, lambda: "keeps 0 steps" in said(app, "#plan"))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(app.results))
    eventually(
        lambda: (
            [s.superseded for s in store.runs.steps(run.run_id) if s.id == "good"]
            != [False]
            or len([e for e in store.runs.events(run.run_id) if e.step == "good"]) > 2
        )
    )


async def test_an_input_that_holds_control_characters_stays_json(store: Client) -> None:
    text = "\x7f\x85\x9b2J\u2028\u202e"
    run = begin(store, "says", input={"text": text})
    app = Stage(RerunDialog(store, run))
    async with app.run_test() as pilot:
        area = app.screen.query_one(TextArea)
        await until(pilot, lambda: "text" in area.text)
        type_into(app, "TextArea", area.text.replace("2J", "2K"))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(app.results))
    (new,) = app.sent.run_ids
    assert store.runs.handle(new).result(60) == text.replace("2J", "2K")


@pytest.mark.parametrize("size", [(80, 24), (60, 16)])
async def test_a_long_form_leaves_its_question_and_its_buttons_in_view(
    store: Client, size: tuple[int, int]
) -> None:
    run = begin(store, "asks", input={"kind": "long"})
    app = Stage(AnswerDialog(store, run, "sure"))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "Shall it" in said(app, "#question"))
        await until(pilot, lambda: isinstance(app.focused, TextArea))
        await pilot.pause()
        assert _is_in_view(app, "#title")
        assert _is_in_view(app, "#question")
        assert _is_in_view(app, "#send")
        await pilot.press("tab", "pagedown", "pagedown")
        await until(pilot, lambda: _is_in_view(app, "#hints", whole=False))
        assert _is_in_view(app, "#title")
        assert _is_in_view(app, "#send")


def _is_in_view(app: Stage, selector: str, *, whole: bool = True) -> bool:
    screen = app.screen
    place = screen.find_widget(screen.query_one(selector))
    if whole:
        return place.clip.contains_region(place.region)
    return place.clip.overlaps(place.region)


async def test_rerun_takes_an_edited_input(store: Client) -> None:
    run = begin(store, "fails")
    app = Stage(RerunDialog(store, run))
    async with app.run_test() as pilot:
        area = app.screen.query_one(TextArea)
        await until(pilot, lambda: '"n": 0' in area.text)
        type_into(app, "TextArea", '{"n": "five"}')
        await until(pilot, lambda: "n: 'five' is not a whole" in said(app, "#faults"))
        await pilot.press("ctrl+s")
        assert not app.results
        type_into(app, "TextArea", '{"n": 5}')
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(app.results))
    (new,) = app.sent.run_ids
    assert store.runs.handle(new).result(60) == 2.0
    assert store.runs.get(new).rerun_of == run.run_id


async def test_rerun_from_a_step_takes_edited_arguments(store: Client) -> None:
    run = begin(store, "fails")
    app = Stage(RerunDialog(store, run, "divide"))
    async with app.run_test() as pilot:
        area = app.screen.query_one(TextArea)
        await until(pilot, lambda: area.text.split() == ["[", "10,", "0", "]"])
        type_into(app, "TextArea", "[10, 4]")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(app.results))
    (new,) = app.sent.run_ids
    assert store.runs.handle(new).result(60) == 2.5
    assert store.runs.get(new).from_step == "divide"


async def test_an_event_reaches_the_run_that_waits(store: Client) -> None:
    run = begin(store, "waits")
    app = Stage(SendDialog(store, run))
    async with app.run_test() as pilot:
        field = app.screen.query_one("#event")
        await until(pilot, lambda: field.value == "payment")  # type: ignore[attr-defined]
        type_into(app, "TextArea", '{"order": }')
        await pilot.press("ctrl+s")
        assert "No JSON at line 1" in said(app, "#faults")
        type_into(app, "TextArea", '{"order": 17}')
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(app.results))
    assert store.runs.handle(run.run_id).result(60) == {"order": 17}


async def test_an_event_without_a_name_is_not_sent(store: Client) -> None:
    app = Stage(SendDialog(store))
    async with app.run_test() as pilot:
        await pilot.press("ctrl+s")
        await until(pilot, lambda: said(app, "#problem") == "Give the event a name.")


async def test_a_yes_or_no_is_answered_with_a_button(store: Client) -> None:
    run = begin(store, "asks")
    app = Stage(AnswerDialog(store, run, "sure"))
    async with app.run_test() as pilot:
        await until(pilot, lambda: bool(app.screen.query("#choice-1")))
        question = said(app, "#question")
        assert "[bold]be" in question
        assert "\x1b" not in question
        await until(pilot, lambda: getattr(app.focused, "id", "") == "choice-0")
        await pilot.press("tab", "enter")
        await until(pilot, lambda: bool(app.results))
    assert store.runs.handle(run.run_id).result(60) is False


@pytest.mark.parametrize(
    ("kind", "bad", "problem", "good", "result"),
    [
        ("count", "many", "'many' is not a whole number", "7", 7),
        ("text", None, "", "true", "true"),
    ],
)
async def test_text_and_numbers_are_typed(
    store: Client, kind: str, bad: str | None, problem: str, good: str, result: object
) -> None:
    run = begin(store, "asks", input={"kind": kind})
    app = Stage(AnswerDialog(store, run, "sure"))
    async with app.run_test() as pilot:
        await until(pilot, lambda: bool(app.screen.query("#answer")))
        if bad is not None:
            type_into(app, "#answer", bad)
            await pilot.press("ctrl+s")
            await until(pilot, lambda: problem in said(app, "#problem"))
        type_into(app, "#answer", good)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(app.results))
    assert store.runs.handle(run.run_id).result(60) == result


async def test_choices_are_buttons(store: Client) -> None:
    run = begin(store, "asks", input={"kind": "color"})
    app = Stage(AnswerDialog(store, run, "sure"))
    async with app.run_test() as pilot:
        await until(pilot, lambda: bool(app.screen.query("#choice-1")))
        labels = [str(each.label) for each in app.screen.query("#choices Button")]  # type: ignore[attr-defined]
        assert labels == ["red", "blue"]
        await until(pilot, lambda: getattr(app.focused, "id", "") == "choice-0")
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.results))
    assert store.runs.handle(run.run_id).result(60) == "red"


async def test_a_model_is_a_form_that_says_what_is_wrong(store: Client) -> None:
    run = begin(store, "asks", input={"kind": "order"})
    app = Stage(AnswerDialog(store, run, "sure"))
    async with app.run_test() as pilot:
        await until(pilot, lambda: bool(app.screen.query(TextArea)))
        assert json.loads(app.screen.query_one(TextArea).text)["amount"] == 0
        assert "a whole number, at least 1" in said(app, "#hints")
        await pilot.press("ctrl+s")
        await until(
            pilot, lambda: "amount: 0 is not at least 1" in said(app, "#faults")
        )
        type_into(app, "TextArea", '{"amount": 3}')
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(app.results))
    assert store.runs.handle(run.run_id).result(60).amount == 3


async def test_a_workflow_is_picked_and_invoked(store: Client) -> None:
    app = Stage(InvokeDialog(store))
    async with app.run_test() as pilot:
        listed = app.screen.query_one(OptionList)
        await until(pilot, lambda: listed.option_count == 6 and listed.has_focus)
        names = [info.name for info in app.screen.catalogue]  # type: ignore[attr-defined]
        listed.highlighted = names.index("fails")
        await pilot.press("enter")
        area = app.screen.query_one(TextArea)
        await until(pilot, lambda: json.loads(area.text) == {"n": 0})
        type_into(app, "TextArea", '{"m": 1}')
        await until(pilot, lambda: "m: is unknown" in said(app, "#faults"))
        type_into(app, "TextArea", '{"n": 2}')
        type_into(app, "#run-id", "mine")
        type_into(app, "#label", "by hand")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(app.results))
    assert app.sent.run_ids == ("mine",)
    assert store.runs.handle("mine").result(60) == 5.0
    assert store.runs.get("mine").label == "by hand"


async def test_what_the_engine_refuses_is_a_line_in_the_dialog(store: Client) -> None:
    begin(store, "waits", run_id="taken", input={"n": 1})
    app = Stage(InvokeDialog(store, "waits"))
    async with app.run_test() as pilot:
        await until(pilot, lambda: not app.screen.query("#form.-hidden"))
        type_into(app, "TextArea", '{"n": 2}')
        type_into(app, "#run-id", "taken")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "taken" in said(app, "#problem"))
        type_into(app, "#run-id", "not an id")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "not an id" in said(app, "#problem"))
    assert not app.results


@pytest.mark.filterwarnings("ignore:no engine serves:UserWarning")
async def test_without_an_engine_a_command_is_kept_and_says_so(closed: Client) -> None:
    failed = next(run for run in closed.runs.list() if run.workflow == "fails")
    app = Stage(ResumeDialog(closed, failed))
    async with app.run_test() as pilot:
        await until(pilot, lambda: "No engine serves store now" in said(app, "#state"))
        await until(pilot, lambda: "divide" in said(app, "#plan"))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(app.results))
    assert app.sent.is_kept
    assert app.sent.note == "resume: kept for the engine of store, which is not there"


async def test_a_file_that_is_there_is_replaced_only_when_said_twice(
    closed: Client, tmp_path: Path
) -> None:
    path = tmp_path / "kept.txt"
    path.write_text("before")
    app = Stage(SaveDialog(closed, "the output of x", "new\x1b[2J", str(path)))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: bool(app.screen.query("#file")))
        await pilot.press("enter")
        await until(pilot, lambda: "save once more" in said(app, "#problem"))
        assert path.read_text() == "before"
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.results))
        assert path.read_text() == "new\\x1b[2J"
        assert app.sent.note == f"saved {path}"


async def test_a_file_that_cannot_be_written_is_named(
    closed: Client, tmp_path: Path
) -> None:
    path = tmp_path / "nowhere" / "x.txt"
    app = Stage(SaveDialog(closed, "the output of x", "new", str(path)))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: bool(app.screen.query("#file")))
        await pilot.press("enter")
        await until(
            pilot, lambda: "cannot be written: No such" in said(app, "#problem")
        )
        assert str(path) in said(app, "#problem")
        await pilot.press("escape")
        await until(pilot, lambda: app.results == [None])


async def test_a_pager_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PAGER", 'less "')
    app = Stage(TextBox("result", "1"))
    async with app.run_test() as pilot:
        await pilot.press("p")
        await until(pilot, lambda: bool(app._notifications))
        (told,) = app._notifications
        assert told.message.startswith("$PAGER 'less \"' cannot be started: ")
        await pilot.press("escape")
        await until(pilot, lambda: bool(app.results))


async def test_a_long_value_is_shown_whole_copied_and_paged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "[bold]\n" + "x" * 300_000 + "\x1b]52;c;aGk=\x07 end"
    app = Stage(TextBox("result", text))
    async with app.run_test() as pilot:
        area = app.screen.query_one(TextArea)
        assert area.text.startswith("[bold]\n")
        assert len(area.text) == 200_000
        await pilot.press("y")
        await until(pilot, lambda: app.clipboard.endswith(" end"))
        assert "\x1b" not in app.clipboard
        assert len(app.clipboard) > 300_000
        await pilot.press("escape")
        await until(pilot, lambda: app.results == [None])


@pytest.mark.parametrize("size", [(1, 1), (10, 3), (24, 6), (50, 20), (300, 100)])
async def test_dialogs_open_at_any_size(store: Client, size: tuple[int, int]) -> None:
    run = begin(store, "waits")
    for dialog in (
        CancelDialog(store, run),
        RerunDialog(store, run),
        InvokeDialog(store, "waits"),
        TextBox("a", "b"),
    ):
        app = Stage(dialog)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await pilot.press("escape")
            await until(pilot, lambda app=app: app.results == [None])

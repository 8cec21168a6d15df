"""The header of a run's view, its questions and its log."""

import json
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from nbflow.view import Board
from nbflow.view.families import Facts
from nbflow.widgets.run.head import (
    DELTA_LOG_BYTES,
    LINES,
    LOG_BYTES,
    Log,
    head_of,
    plain_schema,
    questions_of,
)
from nbflow.widgets.run.texts import size
from tests.widgets.story import Story


def head(story: Story, **given: Any) -> Any:
    return head_of(story.board(), "t", **given)


def test_it_says_what_can_be_done() -> None:
    story = Story()
    assert head(story)["can"] == ["cancel"]
    story.tell("run.failed", error={"type": "ValueError", "message": "bad"})
    told = head(story)
    assert told["can"] == ["resume", "rerun"]
    assert (told["status"], told["error"]) == ("failed", "ValueError: bad")
    assert told["engine"] == "ended"
    story.tell("run.resumed", by="user")
    told = head(story)
    assert (told["status"], told["can"], told["error"]) == ("running", ["cancel"], None)


def test_a_run_that_nobody_goes_on_with_says_so() -> None:
    assert head(Story(), engine="left", waiting=["nobody\x1b"])["waiting"] == [
        "nobody\\x1b"
    ]


def test_counts_progress_and_result_are_told() -> None:
    story = Story()
    story.step("a")
    story.fail("b")
    story.tell("progress", None, None, done=1, total=float("nan"), message="half\nway")
    story.tell("run.completed", preview="'x'", duration=1)
    told = head(story)
    assert told["counts"] == {"completed": 1, "failed": 1}
    assert told["progress"] == "1 · half"
    assert told["text"] == "'x'"
    json.dumps(told, allow_nan=False)


class Address(BaseModel):
    city: str


class Order(BaseModel):
    count: int = 1
    to: Address


@pytest.mark.parametrize(
    ("type", "schema"),
    [
        (bool, {"type": "boolean"}),
        (int, {"type": "integer"}),
        (int | None, {"type": "integer", "nullable": True}),
        (Literal["a"], {"enum": ["a"], "type": "string"}),
    ],
)
def test_schemas_of_plain_types_stay(type: Any, schema: Any) -> None:
    assert plain_schema(TypeAdapter(type).json_schema()) == schema


def test_schemas_of_models_hold_no_references() -> None:
    made = plain_schema(Order.model_json_schema())
    assert made["properties"]["to"]["properties"]["city"]["type"] == "string"
    assert "title" not in made["properties"]["to"]  # that would be the name of a class
    assert "$" not in json.dumps(made)


def test_fields_of_a_question_are_called_as_in_other_forms() -> None:
    class Parcel(BaseModel):
        ship_to: Address
        postal_code: int
        note: str = Field("", title="A note")

    fields = plain_schema(Parcel.model_json_schema())["properties"]
    titles = {name: each.get("title") for name, each in fields.items()}
    assert titles == {"ship_to": None, "postal_code": None, "note": "A note"}


def test_an_object_in_a_form_begins_with_what_it_needs() -> None:
    fields = plain_schema(Order.model_json_schema())["properties"]
    assert fields["to"]["default"] == {"city": ""}
    assert fields["count"]["default"] == 1


def test_schemas_that_hold_themselves_or_too_much_end() -> None:
    endless = {"$ref": "#/$defs/A", "$defs": {"A": {"items": {"$ref": "#/$defs/A"}}}}
    assert size(plain_schema(endless)) < 1_000
    wide = {"properties": {f"field {n}": {"type": "string"} for n in range(999)}}
    assert plain_schema(wide)["type"] == "string"


def test_questions_come_by_row_and_never_too_many() -> None:
    asking = {row: Facts(f"ok-{row}") for row in range(500, 0, -1)}
    for facts in asking.values():
        facts.kind, facts.question = "ask", "Go?"
        facts.schema = {"type": "boolean"}
    told = questions_of(asking)
    assert [each["row"] for each in told] == list(range(1, 21))
    assert size(head_of(Board(run_id="r"), "t", questions=told)) < 20_000


def said(log: Log, message: str, **more: Any) -> None:
    story = Story()
    story.tell("log", "a", 1, message=message, level="info", source="print", **more)
    log.take(story.events[-1], 3)


def test_a_log_keeps_its_last_lines() -> None:
    log = Log()
    for number in range(LINES + 50):
        said(log, f"line {number}")
    assert len(log.take_new()) == LINES
    assert [each[2] for each in log.whole()][-1] == f"line {LINES + 49}"
    assert len(log.whole()) == LINES
    assert not log.has_changes
    assert log.take_new() == []


def test_a_line_comes_by_snapshot_or_by_message_not_by_both() -> None:
    log = Log()
    said(log, "one")
    log.take_new()
    said(log, "two")
    assert [each[2] for each in log.whole()] == ["one"]
    assert [each[2] for each in log.take_new()] == ["two"]
    assert [each[2] for each in log.whole()] == ["one", "two"]


def test_a_bar_draws_over_its_own_line() -> None:
    log = Log()
    said(log, "10 %", replace=True)
    said(log, "20 %", replace=True)
    assert [each[2] for each in log.take_new()] == ["20 %"]


def test_long_lines_are_cut_and_a_message_stays_small() -> None:
    log = Log()
    for _ in range(LINES):
        said(log, "é" * 10_000)
    assert size(log.take_new()) <= DELTA_LOG_BYTES
    assert all(len(each[2]) <= 500 for each in log.whole())
    assert size(log.whole()) <= LOG_BYTES

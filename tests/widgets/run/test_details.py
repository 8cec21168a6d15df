"""Details of steps and runs: complete where they are small, cut where they are not."""

import datetime as dt
import sys
from typing import Any

import pytest

from nbflow.codecs import Unresolved
from nbflow.model import (
    Attempt,
    ErrorInfo,
    EventType,
    Run,
    RunEvent,
    RunStatus,
    Step,
    StepKind,
    StepStatus,
)
from nbflow.widgets.run.details import LIMIT, holder_detail, run_detail, step_detail
from nbflow.widgets.run.texts import size
from nbflow.widgets.run.values import value_of
from tests.widgets.story import START, Story

TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "/tmp/ipykernel_7/5.py", line 9, in body\n'
    '  File "/tmp/ipykernel_7/5.py", line 3, in fetch\n'
    "ValueError: bad\n"
)
ERROR = ErrorInfo("ValueError", "bad\nindeed", TRACEBACK)


def cells(file: str) -> str | None:
    return "In[5]" if file == "/tmp/ipykernel_7/5.py" else None


def made(**fields: Any) -> Step:
    base: dict[str, Any] = {
        "id": "fetch",
        "kind": StepKind.RUN,
        "status": StepStatus.COMPLETED,
        "_args": lambda: (),
        "_result": lambda: "page",
    }
    return Step(**(base | fields))


def facts_of(step: Step, **given: Any) -> dict[str, str]:
    return dict(step_detail(step, 3, **given)["facts"])


def test_a_completed_step_tells_its_input_value_and_where_to_get_it() -> None:
    told = step_detail(made(_args=lambda: ("url", 2)), 3)
    assert told["row"] == 3
    assert told["input"] == {
        "text": "{1: 'url', 2: 2}",
        "table": None,
        "image": None,
        "more": "",
    }
    assert told["result"] == {
        "text": "'page'",
        "table": None,
        "image": None,
        "more": "",
    }
    assert told["snippet"] == "run['fetch']"


def test_a_failed_step_points_at_the_users_cell() -> None:
    tries = [Attempt(1, StepStatus.FAILED, START, START, error=ERROR)]
    told = step_detail(
        made(status=StepStatus.FAILED, error=ERROR, attempts=tries), 3, cells=cells
    )
    assert told["error"] is not None
    assert told["error"]["cell"] == "In[5], line 3"
    assert "  Cell In[5], line 3, in fetch" in told["error"]["traceback"]
    assert "/tmp/" not in told["error"]["traceback"]
    assert told["error"]["message"] == "bad\nindeed"
    assert told["attempts"][0]["error"] == "ValueError: bad\\x0aindeed"
    assert told["result"] is None


def test_a_headless_notebook_names_its_cells_too() -> None:
    error = ErrorInfo("E", "x", '  File "night.ipynb#cell-3", line 7, in f\n')
    told = step_detail(made(status=StepStatus.FAILED, error=error), 1)
    assert told["error"] is not None
    assert told["error"]["cell"] == "cell 3, line 7"


def test_facts_are_those_that_are_known() -> None:
    step = made(
        branch="load",
        status=StepStatus.QUEUED,
        flow_key="api",
        flow_place=2,
        cached_from="r-0",
        stale=True,
    )
    facts = facts_of(step, why="3 of 3 run")
    assert facts["branch"] == "load"
    assert (facts["flow key"], facts["place"]) == ("api", "3")
    assert facts["why not yet"] == "3 of 3 run"
    assert facts["cached from"] == "r-0"
    assert "edited" in facts["stale"]
    assert "run" not in facts


def test_only_the_lines_of_the_step_are_its_log() -> None:
    story = Story()
    story.tell("log", "fetch", 1, message="one", level="info", source="ctx")
    story.tell("log", "other", 1, message="two", level="info", source="ctx")
    told = step_detail(made(), 3, story.events)
    assert [each[2:] for each in told["log"]] == [["one", 3, "ctx"]]
    assert len(run_detail(a_run(), story.events)["log"]) == 2


def test_no_detail_is_larger_than_its_limit() -> None:
    story = Story()
    for _ in range(900):
        story.tell("log", "fetch", 1, message="é" * 900, level="info", source="ctx")
    tries = [
        Attempt(n, StepStatus.FAILED, START, START, error=ErrorInfo("E", "é" * 900))
        for n in range(200)
    ]
    huge = made(
        id="n" * 200,
        branch="/".join(["b" * 190] * 20),
        status=StepStatus.FAILED,
        error=ErrorInfo("E", "é" * 2_000, "é" * 8_000),
        attempts=tries,
        _args=lambda: ("é" * 50_000,),
    )
    told = step_detail(huge, 3, story.events)
    assert size(told) <= LIMIT
    assert told["input"] is not None
    assert told["error"] is not None
    assert told["error"]["traceback"]


def a_run(**fields: Any) -> Run:
    base: dict[str, Any] = {
        "run_id": "r-1",
        "app": "t",
        "workflow": "main",
        "status": RunStatus.COMPLETED,
        "headers": {"who": "me"},
        "_input": lambda: {"n": 2},
        "_result": lambda: [1, 2],
    }
    return Run(**(base | fields))


def test_the_run_itself_has_a_detail() -> None:
    told = run_detail(a_run())
    assert (told["row"], told["title"], told["kind"]) == (0, "main", "workflow")
    assert told["input"] is not None
    assert told["input"]["text"] == "{'n': 2}"
    assert told["result"] is not None
    assert told["result"]["text"] == "[1, 2]"
    assert ["header", "who: me"] in told["facts"]
    assert "'r-1'" in told["snippet"]


def test_a_map_tells_its_counts() -> None:
    told = holder_detail(4, "ask", "map", "running", [3, 1, 2, 0, 4000])
    assert told["facts"][-1] == ["total", "4,000"]
    assert told["snippet"] == "run['ask']"


def test_a_value_whose_class_is_not_loaded_is_shown_as_it_was_stored() -> None:
    value = Unresolved("shop.models:Order", {"id": 7})
    shown = value_of(value, "run['x']")
    assert shown["text"] == "Order(id=7)"
    assert shown["more"] == "run['x']"
    assert "shop" not in sys.modules


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_tables_are_shown_by_their_first_rows(library: str) -> None:
    module = pytest.importorskip(library)
    columns = {f"c{n}": [f"<b>{row}</b>" for row in range(50)] for n in range(14)}
    table = module.table(columns) if library == "pyarrow" else module.DataFrame(columns)
    shown = value_of(table, "run['x']")["table"]
    assert shown is not None
    assert shown["columns"][:2] == ["c0", "c1"]
    assert len(shown["columns"]) == len(shown["types"]) == 12
    assert len(shown["rows"]) == 20
    assert shown["rows"][0][0] == "<b>0</b>"
    assert shown["more"] == "50 rows × 14 columns"


def test_cells_of_a_table_are_short_as_in_their_library() -> None:
    pandas = pytest.importorskip("pandas")
    cells = {"name": ["a\x1b[31m"], "share": [1 / 7], "n": [7], "seen": [None]}
    shown = value_of(pandas.DataFrame(cells), "run['x']")["table"]
    assert shown is not None
    assert shown["rows"] == [["a\\x1b[31m", "0.142857", "7", "None"]]


def test_a_small_picture_is_shown_a_large_one_is_named() -> None:
    png = b"\x89PNG\r\n\x1a\n" + b"0" * 100
    small = value_of(png, "run['x']")
    assert small["image"] is not None
    assert small["image"].startswith("iVBORw0KGgo")
    large = value_of(png + b"0" * 100_000, "run['x']")
    assert (large["image"], large["more"]) == (None, "run['x']")


def test_a_value_that_cannot_be_read_says_why() -> None:
    def damaged() -> Any:
        from nbflow.errors import StoreDamaged

        raise StoreDamaged("event 3 was changed")

    told = step_detail(made(_result=damaged), 1)
    assert told["result"] is not None
    assert told["result"]["text"] == "StoreDamaged: event 3 was changed"


def test_log_events_of_other_types_are_left_out() -> None:
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    event = RunEvent(1, "r-1", 1, EventType.STEP_STARTED, at, "fetch", 1, {})
    assert step_detail(made(), 1, [event])["log"] == []

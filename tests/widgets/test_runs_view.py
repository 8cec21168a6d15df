"""`RunsView`: what it lists, when it looks, how it opens runs."""

import json
from itertools import pairwise
from typing import Any

import ipywidgets
import pytest

from nbflow import Client, Context, InvalidOption, workflow
from nbflow.widgets import RunsView, ticker
from nbflow.widgets.elements import tree

HOSTILE = "<img src=x onerror=alert(1)> $x^2$"


@workflow
async def quick(ctx: Context, x: int = 1) -> int:
    return x


@workflow
async def asks(ctx: Context) -> bool | None:
    return await ctx.ask("ok", "Ship it?")


@workflow(retries=0)
async def broken(ctx: Context) -> None:
    raise RuntimeError(HOSTILE + "\x1b[31m\u202e\nsecond line")


@workflow(name=HOSTILE)
async def hostile(ctx: Context) -> str:
    return HOSTILE


def rows(view: RunsView) -> list[list[str]]:
    """What the rows say, in the order in which they are seen."""
    shown = [row for row in view._table.widget.children if row.layout.display != "none"]
    shown.sort(key=lambda row: int(row.layout.order))
    return [[told(cell) for cell in row.children] for row in shown]


def told(cell: Any) -> str:
    is_button = isinstance(cell, ipywidgets.Button)
    return cell.description if is_button else cell.value


def opener(view: RunsView, place: int) -> Any:
    (found,) = (
        row.children[1]
        for row in view._table.widget.children
        if row.layout.order == str(place) and row.layout.display != "none"
    )
    return found


@pytest.fixture
def engine(serve):
    return serve(quick, asks, broken, hostile)


def test_a_row_says_status_workflow_label_when_and_how_long(engine):
    handle = engine.client.workflows.invoke("quick", input={"x": 7}, label="eu")
    handle.result(60)
    ((status, name, about, note, when, took),) = rows(RunsView(engine.client))
    assert (status, name, note) == ("✓ completed", "quick", "7")
    assert about == f"eu · {handle.run_id}"
    assert when
    assert took.endswith("s")


def test_a_row_says_what_a_run_waits_for_or_its_error(engine, until):
    waiting = engine.client.workflows.invoke("asks")
    until(lambda: waiting.run.waiting)
    failed = engine.client.workflows.invoke("broken")
    until(lambda: failed.status == "failed")
    first, second = rows(RunsView(engine.client))
    assert first[0] == "✗ failed"
    assert first[3] == f"RuntimeError: {HOSTILE}\\x1b[31m\\u202e"
    assert second[0] == "▸ running"
    assert second[3] == "waiting for an answer to 'Ship it?' (step 'ok')"


def test_hostile_names_are_text(engine, texts):
    engine.client.workflows.invoke(HOSTILE, label=HOSTILE).result(60)
    view = RunsView(engine.client)
    assert rows(view)[0][1] == HOSTILE
    for each in tree(view):
        if isinstance(each, ipywidgets.HTML | ipywidgets.HTMLMath):
            assert "onerror" not in each.value
        if isinstance(each, ipywidgets.Label):
            assert "mathjax_ignore" in each._dom_classes
    assert "<img" not in json.dumps(view._repr_mimebundle_().get("text/html", ""))


def test_it_follows_the_store_while_it_is_on_a_page(engine, until):
    view = RunsView(engine.client)
    assert rows(view) == []
    assert view._empty.value == "no runs yet"
    view._view_count = 1
    engine.client.workflows.invoke("quick").result(60)
    until(lambda: rows(view) and rows(view)[0][0] == "✓ completed")
    assert view._empty.layout.display == "none"


def test_a_new_run_moves_no_row_that_is_there(engine, until):
    for _ in range(3):
        engine.client.workflows.invoke("quick").result(60)
    view = RunsView(engine.client, rows=3)
    before = view._table.widget.children
    kept = opener(view, 0)
    view._view_count = 1
    new = engine.client.workflows.invoke("quick", label="new")
    until(lambda: new.run_id in rows(view)[0][2])
    assert view._table.widget.children == before
    assert opener(view, 1) is kept


def test_nobody_looks_once_it_is_off_the_page_or_closed(engine, until):
    view, other = RunsView(engine.client), RunsView(engine.client)
    view._view_count = other._view_count = 1
    until(lambda: {view, other} <= ticker._due.keys())
    view._view_count = 0
    until(lambda: view not in ticker._due)
    other.close()
    assert other not in ticker._due
    until(lambda: ticker._thread is None)
    view._view_count = 1
    engine.client.workflows.invoke("quick").result(60)
    until(lambda: rows(view))


def test_nothing_is_drawn_when_nothing_has_changed(engine, until):
    engine.client.workflows.invoke("quick").result(60)
    view = RunsView(engine.client)
    looks, drawn = [], []
    look, draw = view._look, view._draw
    view._look = lambda now: (looks.append(now), look(now))
    view._draw = lambda: (drawn.append(1), draw())[1]
    view._next_draw = 0.0
    view._view_count = 1
    until(lambda: len(looks) >= 6)
    assert drawn == []
    gaps = [after - before for before, after in pairwise(looks)]
    assert min(gaps) >= 0.24


def test_filters_narrow_the_list(engine, until):
    client = engine.client
    client.workflows.invoke("quick", label="eu-1").result(60)
    client.workflows.invoke("quick", label="us-1").result(60)
    failed = client.workflows.invoke("broken")
    until(lambda: failed.status == "failed")
    view = RunsView(client)
    view._view_count = 1
    view._status.value = "failed"
    until(lambda: [row[1] for row in rows(view)] == ["broken"])
    view._status.value = "all"
    view._workflow.value = "quick"
    until(lambda: [row[1] for row in rows(view)] == ["quick", "quick"])
    view._search.value = "EU-"
    until(lambda: len(rows(view)) == 1)
    view._search.value = "nothing of that kind"
    until(lambda: rows(view) == [])
    until(lambda: view._empty.layout.display is None)
    assert view._empty.value == "no run passes these filters"


def test_given_filters_hold_for_all_that_is_listed(engine, until):
    client = engine.client
    client.workflows.invoke("quick").result(60)
    failed = client.workflows.invoke("broken")
    until(lambda: failed.status == "failed")
    view = RunsView(client, status=["completed", "failed"], workflow="quick")
    assert [row[1] for row in rows(view)] == ["quick"]
    view._view_count = 1
    view._status.value = "failed"
    until(lambda: rows(view) == [])
    view._status.value = "live"
    until(lambda: view._empty.layout.display is None)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"colour": "red"}, TypeError),
        ({"rows": 51}, InvalidOption),
        ({"rows": True}, InvalidOption),
        ({"status": "done"}, InvalidOption),
    ],
)
def test_a_filter_that_is_none_is_refused(engine, options, error):
    engine.client.workflows.invoke("quick").result(60)
    with pytest.raises(error, match=next(iter(options))):
        RunsView(engine.client, **options)


def test_pages_lead_to_older_runs_and_back(engine, until):
    handles = [engine.client.workflows.invoke("quick") for _ in range(5)]
    for handle in handles:
        handle.result(60)
    ids = [handle.run_id for handle in reversed(handles)]
    view = RunsView(engine.client, rows=2)
    view._view_count = 1
    assert [row[2] for row in rows(view)] == ids[:2]
    view._older.click()
    until(lambda: [row[2] for row in rows(view)] == ids[2:4])
    view._older.click()
    until(lambda: [row[2] for row in rows(view)] == ids[4:])
    assert view._older.disabled
    view._newer.click()
    until(lambda: [row[2] for row in rows(view)] == ids[2:4])
    assert view._count.value == "2 runs · page 2"


def test_a_row_opens_its_run_below_and_closes_it_again(engine, card):
    one = engine.client.workflows.invoke("quick")
    two = engine.client.workflows.invoke("quick")
    two.result(60)
    view = RunsView(engine.client, view=card)
    opener(view, 1).click()
    (shown,) = view._detail.children
    assert shown.run.run_id == one.run_id
    opener(view, 0).click()
    assert shown.comm is None  # one run is open at a time
    (shown,) = view._detail.children
    assert shown.run.run_id == two.run_id
    opener(view, 0).click()
    assert view._detail.children == ()


def test_a_run_that_is_gone_cannot_be_opened(engine, card, until):
    handle = engine.client.workflows.invoke("quick")
    handle.result(60)
    view = RunsView(engine.client, view=card)
    engine.client.runs.delete(handle.run_id)
    view._view_count = 1
    opener(view, 0).click()
    until(lambda: rows(view) == [])
    assert view._detail.children == ()


def test_without_a_store_it_waits_for_one(home, serve, until):
    view = RunsView(Client(home, "t"))
    view._view_count = 1
    assert view._empty.value == "no runs yet: app 't' has no store so far"
    assert not home.exists()
    serve(quick).client.workflows.invoke("quick").result(60)
    until(lambda: rows(view))


def test_runs_of_another_process_are_followed(home, served, until):
    client = Client(home, "t")
    view = RunsView(client)
    view._view_count = 1
    handle = client.workflows.invoke("nap", input={"seconds": 3600})
    until(lambda: rows(view) and "sleeping" in rows(view)[0][3])
    served.kill()
    until(lambda: rows(view)[0][3].startswith("nobody executes it"))
    assert handle.run_id in rows(view)[0][2]


def test_a_damaged_store_is_said_and_looked_at_again(home, serve, until):
    engine = serve(quick)
    engine.client.workflows.invoke("quick").result(60)
    engine.close()
    store = home / "t" / "store.db"
    kept = store.read_bytes()
    store.write_bytes(b"no database at all" * 300)
    view = RunsView(Client(home, "t"))
    assert str(store) in view._message.value
    store.write_bytes(kept)
    view._view_count = 1
    until(lambda: rows(view))
    assert view._message.layout.display == "none"


def test_a_store_that_may_not_be_read_is_said(home, serve, shut):
    engine = serve(quick)
    engine.client.workflows.invoke("quick").result(60)
    engine.close()
    home.chmod(0o755)
    shut(home / "t")
    view = RunsView(Client(home, "t"))
    assert "may not be read by this user" in view._message.value


def test_its_text_is_one_honest_line(engine):
    engine.client.workflows.invoke("quick").result(60)
    view = RunsView(engine.client)
    assert repr(view) == "<RunsView of app 't': 1 run, 0 live>"
    assert view._repr_mimebundle_()["text/plain"] == repr(view)
    view.close()
    assert repr(view) == "<RunsView of app 't': closed>"


def test_closing_leaves_no_widget_open(engine, card):
    engine.client.workflows.invoke("quick").result(60)
    before = set(ipywidgets.widgets.widget._instances)
    view = RunsView(engine.client, view=card)
    opener(view, 0).click()
    view.close()
    view.close()
    assert set(ipywidgets.widgets.widget._instances) <= before


def test_ten_thousand_runs_are_one_page(engine):
    client = engine.client
    for handle in client.workflows.invoke_many("quick", [{"x": 1}] * 10_000):
        pass
    handle.result(60)
    view = RunsView(client, rows=50)
    assert len(rows(view)) == 50
    assert len(list(tree(view))) < 500

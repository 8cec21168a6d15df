"""The run view in a real browser: what it draws, does and tells the kernel."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from nbflow import durations
from nbflow.model import TERMINAL_RUN, TERMINAL_STEP, RunStatus, StepStatus
from nbflow.view.states import FAILED
from nbflow.view.words import MARKS
from nbflow.widgets.script import sent
from tests.widgets.page import MODULES, START, RunPage, head, row, snapshot

PIPELINE = [
    row(1, "load", ended=300, text="12 files"),
    row(2, "train", "running", kind="map", ended=None, counts=[1, 1, 1, 0, 4]),
    row(3, "train[0]", parent=2),
    row(4, "train[1]", "failed", parent=2, attempt=3, text="ValueError: no data"),
    row(5, "train[2]", "running", parent=2, ended=None),
    row(6, "publish", "retrying", attempt=2, ended=None, due=16_000),
]


def many(count: int) -> list[list[Any]]:
    return [row(i, f"step {i}") for i in range(1, count + 1)]


def question(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "row": 1,
        "step": "approve",
        "text": "Publish it?",
        "schema": schema,
        "until": None,
    } | more


def detail(**changes: Any) -> dict[str, Any]:
    return {
        "row": 4,
        "title": "train[1]",
        "kind": "run",
        "status": "failed",
        "facts": [["key", "k-1"]],
        "input": None,
        "result": None,
        "error": None,
        "attempts": [],
        "log": [],
        "snippet": 'run["train[1]"]',
        "run_id": None,
    } | changes


def test_rows_are_drawn_with_name_status_time_and_text(view: RunPage) -> None:
    view.show(PIPELINE, status="running")
    assert view.names() == [
        *("load", "train", "train[0]", "train[1]", "train[2]", "publish")
    ]
    line = view.line("load")
    assert line.locator(".nbf-status").inner_text() == "completed"
    assert line.locator(".nbf-time").inner_text() == "300 ms"
    assert line.locator(".nbf-text").inner_text() == "12 files"
    assert view.line("train").locator(".nbf-text").inner_text() == "2/4 · 1 failed"
    assert view.line("train[1]").locator(".nbf-tag").inner_text() == "attempt 3"
    assert re.fullmatch(
        r"retry in \d s", view.line("publish").locator(".nbf-status").inner_text()
    )


def test_the_header_says_what_the_run_is_at(view: RunPage) -> None:
    view.show(PIPELINE, label="of May", progress="30 % · epoch 3")
    header = view.page.locator(".nbf-header")
    assert "running" in header.inner_text()
    assert "of May" in header.inner_text()
    # One item of the map has not been started, so no row of it counts.
    assert (
        view.page.locator("[role=progressbar] + div").inner_text()
        == "3 of 6 steps · 1 failed · 1 running · 1 retrying · 30 % · epoch 3"
    )
    bar = view.page.get_by_role("progressbar")
    assert bar.get_attribute("aria-valuenow") == "3"
    assert bar.get_attribute("aria-valuemax") == "6"


def test_words_statuses_and_durations_are_those_of_the_terminal(view: RunPage) -> None:
    words = 'm.statusWords({status: x, flags: ""}, 0)'
    for status in MARKS:
        assert view.ask("statuses.js", words, status) == MARKS[status].word
    assert set(view.ask("statuses.js", "Object.keys(m.MARKS)")) == {
        *map(str, RunStatus),
        *map(str, StepStatus),
    }
    known = "Object.keys(m.MARKS).filter(m[x])"
    assert set(view.ask("statuses.js", known, "isOver")) == TERMINAL_RUN | TERMINAL_STEP
    assert set(view.ask("statuses.js", known, "isFailed")) == FAILED
    for ms in (0, 7, 250, 999, 1234, 59_900, 61_000, 3_600_000, 7_260_000, 180_000_000):
        shown = view.ask("times.js", "m.duration(x)", ms)
        assert shown == durations.show(ms / 1000)


def test_the_time_to_wait_fits_its_column(view: RunPage) -> None:
    words = 'm.statusWords({status: "sleeping", due: x, flags: ""}, 0)'
    told = {
        4_200: "wakes in 5 s",
        61_000: "wakes in 2 min",
        3_590_000: "wakes in 60 min",
        5_400_000: "wakes in 1.5 h",
        250_000_000: "wakes in 2.9 d",
    }
    assert {ms: view.ask("statuses.js", words, ms) for ms in told} == told


def test_the_modules_draw_what_the_script_that_is_sent_draws(view: RunPage) -> None:
    over = [row(1, "load", text="12 files"), row(2, "train", "failed", attempt=3)]
    of_head = {"status": "failed", "ended": START + 12_000, "can": ["resume"]}
    shown = []
    for script in ("run_view.js", f"{MODULES}run/run_view.js"):
        view.show(over, script, **of_head)
        view.line("train").click()
        view.tell({"t": "t", "detail": detail(row=2, title="train")})
        shown.append(view.page.locator("#cell").inner_text())
        view.page.evaluate("clean()")
    assert "12 files" in shown[0]
    assert shown[0] == shown[1]


def test_a_delta_changes_adds_moves_and_takes_back_rows(view: RunPage) -> None:
    view.show(many(3))
    view.tell(
        view.delta(
            2,
            row(2, "step 2", "failed"),
            row(9, "late", parent=1),
            [3],
        ),
        view.delta(3, row(10, "group", kind="group"), row(1, "step 1", parent=10)),
    )
    assert view.names() == ["step 2", "group", "step 1", "late"]
    assert view.line("late").get_attribute("aria-level") == "3"
    assert view.line("step 2").locator(".nbf-status").inner_text() == "failed"


def test_rows_fold_and_unfold(view: RunPage) -> None:
    view.show(PIPELINE)
    view.line("train").locator(".nbf-twisty").click()
    view.settle()
    assert view.names() == ["load", "train", "publish"]
    assert view.line("train").get_attribute("aria-expanded") == "false"
    view.line("train").locator(".nbf-twisty").click()
    view.settle()
    assert len(view.names()) == 6


def test_a_large_map_is_folded_but_for_what_failed(view: RunPage) -> None:
    items = [row(i, f"item {i}", parent=1) for i in range(2, 102)]
    view.show([row(1, "items", kind="map", counts=[100, 0, 0, 0, 100]), *items])
    assert view.names() == ["items"]
    view.tell(view.delta(2, row(50, "item 50", "failed", parent=1)))
    assert view.names() == ["items", "item 50", "99 more"]
    view.line("99 more").click()
    view.settle()
    assert view.names()[:3] == ["items", "item 2", "item 3"]


def test_a_failure_opens_once_what_the_user_had_folded(view: RunPage) -> None:
    view.show([row(1, "group", kind="group"), row(2, "a", parent=1)])
    fold = view.line("group").locator(".nbf-twisty")
    fold.click()
    view.tell(view.delta(2, row(2, "a", "failed", parent=1)))
    assert view.names() == ["group", "a"]
    fold.click()
    view.settle()
    assert view.names() == ["group", "a"]  # from the failed ones to all
    fold.click()
    view.tell(view.delta(3, row(3, "b", "failed", parent=1)))
    assert view.names() == ["group"]


def test_children_that_were_not_sent_are_asked_for(view: RunPage) -> None:
    view.show([row(1, "child run", kind="invoke", flags="l")])
    view.line("child run").locator(".nbf-twisty").click()
    assert view.sent("open") == [{"t": "open", "row": 1, "on": True}]
    view.tell(view.delta(2, row(2, "inner", parent=1)))
    assert view.names() == ["child run", "inner"]


def test_filters_show_what_matches_and_what_holds_it(view: RunPage) -> None:
    view.show(PIPELINE)
    view.button("Failed 1").click()
    view.settle()
    assert view.names() == ["train", "train[1]"]
    view.button("Running 2").click()
    view.settle()
    assert view.names() == ["train", "train[2]", "publish"]
    view.tell(view.delta(2, row(5, "train[2]", parent=2), row(6, "publish")))
    assert view.names() == []
    expect(view.page.locator(".nbf-empty")).to_have_text("no step matches the filter")
    view.button("All").click()
    view.settle()
    assert len(view.names()) == 6


def test_steps_are_found_by_parts_of_their_names(view: RunPage) -> None:
    items = [row(i, f"[{i - 2}]", parent=1) for i in range(2, 60)]
    group = [row(70, "Load", kind="group"), row(71, "fetch", "failed", parent=70)]
    view.show([row(1, "train", kind="map", counts=[58, 0, 0, 0, 58]), *items, *group])
    view.page.get_by_role("treegrid").focus()
    view.press("/")
    find = view.page.get_by_role("searchbox", name="Find a step by its name")
    expect(find).to_be_focused()
    find.fill("train[5")
    view.settle()
    assert view.names() == ["train", "[5]", *(f"[{n}]" for n in range(50, 58))]
    find.fill("LOAD/f")
    view.settle()
    assert view.names() == ["Load", "fetch"]
    view.button("Running 0").click()
    view.settle()
    assert view.names() == []
    view.button("Failed 1").click()
    find.fill("fetch")
    view.press("ArrowDown", "ArrowDown", "Enter")
    assert view.sent("detail")[-1]["row"] == 71
    find.fill("nothing")
    expect(view.page.locator(".nbf-empty")).to_have_text(
        "no step in this view has such a name"
    )
    find.press("Escape")
    expect(find).to_have_value("")
    view.settle()
    assert view.names() == ["Load", "fetch"]
    find.press("Escape")
    expect(view.page.get_by_role("treegrid")).to_be_focused()


def test_typing_goes_on_to_the_next_row_of_that_name(view: RunPage) -> None:
    view.show([row(n, name) for n, name in enumerate(("a", "build", "bind", "c"), 1)])
    tree = view.page.get_by_role("treegrid")
    tree.focus()

    def chosen() -> str:
        found = view.page.locator(f"#{tree.get_attribute('aria-activedescendant')}")
        return found.locator(".nbf-name").inner_text()

    view.press("b")
    assert chosen() == "build"
    view.press("i")
    assert chosen() == "bind"


def test_the_keyboard_moves_folds_opens_and_leaves(view: RunPage) -> None:
    view.show(PIPELINE)
    heard = "() => { window.heard = []; document.onkeydown = (e) => heard.push(e.key) }"
    view.page.evaluate(heard)
    tree = view.page.get_by_role("treegrid")
    tree.focus()
    view.press("ArrowDown", "ArrowDown")
    chosen = view.page.locator(f"#{tree.get_attribute('aria-activedescendant')}")
    assert chosen.locator(".nbf-name").inner_text() == "train"
    assert chosen.get_attribute("aria-selected") == "true"
    view.press("ArrowLeft")
    assert len(view.names()) == 3
    view.press("ArrowRight", "ArrowRight", "ArrowDown", "Enter")
    assert view.sent("detail")[-1]["row"] == 4
    expect(view.page.locator(".nbf-details h3")).to_be_focused()
    view.press("Escape")
    expect(tree).to_be_focused()
    view.press("Escape")
    expect(view.page.locator(".nbf-details")).to_be_hidden()
    view.press("End", "Home", "PageDown", "/")
    expect(view.page.get_by_role("searchbox")).to_be_focused()
    view.press("b", "d")
    # A notebook would take them for commands.
    assert view.page.evaluate("heard") == []


def test_the_tree_is_described_to_assistive_technology(view: RunPage) -> None:
    view.show(many(100))
    tree = view.page.get_by_role("treegrid")
    assert tree.get_attribute("aria-rowcount") == "101"
    assert view.line("step 3").get_attribute("aria-rowindex") == "4"
    region = view.page.get_by_role("region", name="Run r-7f3a21 of nightly")
    expect(region).to_be_visible()
    expect(region.locator("[aria-live=polite]")).to_have_text(
        "running · 100 of 100 steps"
    )


def test_details_show_error_attempts_log_and_code(view: RunPage) -> None:
    view.show(PIPELINE)
    view.line("train[1]").click()
    assert view.sent("detail") == [{"t": "detail", "row": 4}]
    tried = {"status": "failed", "started": START, "ended": START + 400, "due": None}
    view.tell(
        {
            "t": "t",
            "detail": detail(
                error={
                    "type": "ValueError",
                    "message": "no data",
                    "traceback": "Cell In[5], line 3\n---> 3 boom()",
                    "cell": "In[5], line 3",
                },
                attempts=[
                    {"number": 1, "error": "ValueError: no data", **tried},
                    {"number": 2, "error": "ValueError: no data", **tried},
                ],
                log=[[START, "warning", "little data", 4, "ctx"]],
            ),
        }
    )
    details = view.page.get_by_role("complementary")
    for text in (
        *("ValueError: no data", "in In[5], line 3", "---> 3 boom()"),
        *("2. failed after 400 ms", "little data", 'run["train[1]"]', "k-1"),
    ):
        expect(details).to_contain_text(text)


def test_details_show_values_as_text_table_or_image(view: RunPage) -> None:
    view.show(PIPELINE)
    view.line("load").click()
    table = {
        "columns": ["a", "b"],
        "types": ["int64", "str"],
        "rows": [["1", "x"], ["2", "<b>y</b>"]],
        "more": "40 rows × 2 columns",
    }
    value = {"text": "df", "table": table, "image": None, "more": ""}
    asked = {"text": "n = 2", "table": None, "image": "javascript:x", "more": "all"}
    view.tell({"t": "t", "detail": detail(row=1, result=value, input=asked)})
    details = view.page.get_by_role("complementary")
    assert details.locator("td").all_inner_texts() == ["1", "x", "2", "<b>y</b>"]
    number, text = details.locator("td").all()[:2]
    expect(number).to_have_css("text-align", "right")
    expect(text).to_have_css("text-align", "left")
    expect(details).to_contain_text("40 rows × 2 columns")
    expect(details.get_by_label("Input", exact=True)).to_have_text("n = 2")
    assert details.locator("img").count() == 0
    pixel = (
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
        "awAAAABJRU5ErkJggg=="
    )
    value = {"text": "Figure", "table": None, "image": pixel, "more": ""}
    view.tell({"t": "t", "detail": detail(row=1, result=value)})
    assert details.get_by_alt_text("Figure").get_attribute("src").endswith(pixel)


def test_a_choice_is_answered_with_a_button(view: RunPage) -> None:
    view.show(many(1), questions=[question({"type": "boolean"})])
    view.button("No").click()
    (sent,) = view.sent("answer")
    assert (sent["row"], sent["value"]) == (1, False)
    expect(view.button("Yes")).to_be_disabled()
    view.tell({"t": "ack", "cmd": sent["cmd"], "ok": True, "text": ""})
    view.tell(view.delta(2, head=head(counts={"completed": 1})))
    expect(view.page.get_by_text("Publish it?")).to_have_count(0)
    choices = question({"enum": ["red", "blue"], "type": "string"})
    view.tell(view.delta(3, head=head(questions=[choices])))
    view.button("blue").click()
    assert view.sent("answer")[-1]["value"] == "blue"


def test_a_form_is_checked_sent_and_shows_what_the_kernel_refuses(
    view: RunPage,
) -> None:
    schema = {
        "type": "object",
        "properties": {
            "model": {"enum": ["small", "large"]},
            "depth": {"type": "integer", "default": 2},
            "note": {"type": "string", "nullable": True},
            "dry": {"type": "boolean", "default": True},
        },
        "required": ["model", "depth"],
    }
    view.show(many(1), questions=[question(schema)])
    page = view.page
    page.get_by_label("depth").fill("two")
    view.button("Send").click()
    (sent,) = view.sent("answer")
    # What cannot be read goes as it is: the kernel knows what is wrong with it.
    assert sent["value"] == {"depth": "two", "note": None, "dry": True}
    wrong = {"model": "is missing", "depth": "'two' is not a whole number"}
    refusal = {"t": "ack", "ok": False, "text": "it does not fit", "problems": wrong}
    view.tell({"cmd": sent["cmd"], **refusal})
    for text in wrong.values():
        expect(page.get_by_text(text)).to_be_visible()
    expect(page.get_by_label("model")).to_be_focused()
    page.get_by_label("model").select_option("large")
    page.get_by_label("depth").fill("9")
    view.button("Send").click()
    sent = view.sent("answer")[-1]
    assert sent["value"] == {"model": "large", "depth": 9, "note": None, "dry": True}
    refused = {"depth": "is to be at most 5"}
    view.tell(
        {
            "t": "ack",
            "cmd": sent["cmd"],
            "ok": False,
            "text": "depth is wrong",
            "problems": refused,
        }
    )
    expect(page.get_by_role("alert")).to_have_text("depth is wrong")
    expect(page.get_by_text("is to be at most 5")).to_be_visible()
    assert page.get_by_label("depth").get_attribute("aria-invalid") == "true"
    # What was filled in stays while other news of the run arrive.
    view.tell(view.delta(2, head=head(questions=[question(schema)], text="more")))
    expect(page.get_by_label("depth")).to_have_value("9")


def test_cancel_is_under_way_until_the_run_is_canceled(view: RunPage) -> None:
    view.show(PIPELINE)
    view.button("Cancel").click()
    expect(view.button("Canceling…")).to_be_disabled()
    (sent,) = view.sent("cancel")
    view.tell({"t": "ack", "cmd": sent["cmd"], "ok": True, "text": ""})
    expect(view.button("Canceling…")).to_be_disabled()
    ended = head(status="canceled", ended=START + 13_000, can=["resume"])
    view.tell(view.delta(2, head=ended))
    expect(view.button("Canceling…")).to_have_count(0)
    expect(view.button("Resume…")).to_be_enabled()


def test_a_refused_command_says_why(view: RunPage) -> None:
    view.show(PIPELINE)
    view.button("Cancel").click()
    (sent,) = view.sent("cancel")
    view.tell({"t": "ack", "cmd": sent["cmd"], "ok": False, "text": "it has ended"})
    expect(view.page.get_by_role("status")).to_have_text("it has ended")
    expect(view.button("Cancel")).to_be_enabled()


def test_without_an_answer_the_kernel_is_said_to_be_busy(view: RunPage) -> None:
    view.show(PIPELINE)
    view.button("Cancel").click()
    busy = view.page.get_by_role("status")
    expect(busy).to_have_text("kernel busy — use the stop button", timeout=60_000)
    view.tell({"t": "ack", "cmd": 1, "ok": True, "text": ""})
    expect(busy).to_be_hidden()


def test_a_resume_shows_its_plan_first(view: RunPage) -> None:
    view.show(PIPELINE, status="failed", ended=START + 13_000, can=["resume"])
    view.button("Resume…").click()
    assert view.sent("plan") == [{"t": "plan"}]
    view.tell(
        {
            "t": "p",
            "text": "keeps 3,990, runs 10, 2 stale, about 40 s",
            "kept": 3990,
            "to_run": ["train[1]"],
            "stale": ["a", "b"],
            "seconds": 40,
        }
    )
    plan = view.page.get_by_role("group", name="Plan of the resume")
    expect(plan).to_contain_text("Resume keeps 3,990, runs 10, 2 stale, about 40 s")
    assert view.sent("resume") == []
    view.button("Resume, 2 stale afresh").click()
    (sent,) = view.sent("resume")
    assert sent["stale"] is True
    expect(plan).to_be_hidden()


def test_a_row_in_sight_shows_what_it_has_become(view: RunPage) -> None:
    view.show(many(3))
    view.tell(view.delta(2, row(2, "step 2", text="new")))
    expect(view.line("step 2").locator(".nbf-text")).to_have_text("new")
    view.tell(view.delta(3, row(2, "step 2", "running", text="newer", ended=None)))
    expect(view.line("step 2").locator(".nbf-text")).to_have_text("newer")


def test_a_gap_is_healed_by_a_resync_and_not_asked_for_twice_at_once(
    view: RunPage,
) -> None:
    view.show(many(2))
    view.tell(view.delta(5, row(7, "step 7")), view.delta(6, row(8, "step 8")))
    assert view.names() == ["step 1", "step 2", "step 7", "step 8"]
    assert view.sent("resync") == [{"t": "resync", "have": 1}]
    view.tell({"t": "s", "snapshot": snapshot(many(9), seq=6)})
    assert len(view.names()) == 9
    view.tell(view.delta(7, row(10, "step 10")), view.delta(7, row(11, "again")))
    assert len(view.names()) == 10
    assert len(view.sent("resync")) == 1


def test_a_restarted_kernel_leaves_a_view_that_says_so(view: RunPage) -> None:
    view.show(many(1), questions=[question({"type": "boolean"})])
    view.page.evaluate("model.emit('comm_live_update')")
    expect(view.page.get_by_role("status")).to_have_text(
        "disconnected: the kernel was restarted; run the cell again to go on"
    )
    for name in ("Cancel", "Yes", "No"):
        expect(view.button(name)).to_be_disabled()
    before = len(view.page.evaluate("model.sent"))
    view.line("step 1").click()
    assert len(view.page.evaluate("model.sent")) == before


WIDGET = "application/vnd.jupyter.widget-view+json"
# A notebook as JupyterLab's manager of widgets knows it, and a box that holds the view.
NOTEBOOK = """(widget) => {
  const model = (json) => ({...json, toJSON: () => json});
  const shows = (model_id) => model({output_type: "display_data", metadata: {},
    data: {[widget]: {model_id}, "text/plain": "as text"}});
  const held = ["other", "m-1", "box"].map(shows);
  const outputs = {length: held.length, get: (n) => held[n],
    set: (n, output) => { held[n] = model(output); }};
  const notebook = {cells: [{}, {outputs}], toJSON: () => ({cells: [
    {}, {outputs: held.map((each) => each.toJSON())}]})};
  const made = (model_id, ...children) => ({model_id, get: () => children});
  const known = {box: made("box", made("label"), made("m-1")), other: made("other")};
  window.manager.context = {model: notebook};
  window.manager.get_model = async (id) => known[id];
  window.types = () => held.map((each) => Object.keys(each.data));
  window.saved = () => notebook.toJSON().cells[1].outputs;
}"""


def test_a_saved_notebook_has_a_picture_of_the_view(view: RunPage) -> None:
    evil = "<img src=x onerror='window.hit = 1'>"
    view.page.evaluate(NOTEBOOK, WIDGET)
    view.show([*PIPELINE, row(9, evil, text=evil)], id="m-1")
    other, own, box = view.page.evaluate("saved()")
    assert set(other["data"]) == {WIDGET, "text/plain"}
    assert own["metadata"] == {"nbflow": {"view": "m-1", "ids": ["m-1"]}}
    assert box["metadata"] == {"nbflow": {"view": "box", "ids": ["m-1"]}}
    assert own["data"]["text/plain"].startswith(
        "nbflow run r-7f3a21 nightly: running · 12 s · as saved at 20"
    )
    assert box["data"]["text/plain"] == "as text"
    assert own["data"]["text/html"] == box["data"]["text/html"]
    assert view.page.evaluate("types()") == [[WIDGET, "text/plain"]] * 3
    view.page.evaluate(
        "html => { document.body.innerHTML = html }", own["data"]["text/html"]
    )
    shown = view.page.locator("body").inner_text()
    for text in ("nightly", "running", "12 files", "ValueError: no data", evil):
        assert text in shown
    assert view.page.evaluate("window.hit") is None


def test_a_view_without_its_kernel_leaves_a_picture_in_its_output(
    view: RunPage,
) -> None:
    view.page.evaluate(NOTEBOOK, WIDGET)
    view.show(PIPELINE, id="m-1")
    view.page.evaluate('model.emit("comm_live_update")')
    still = ["text/html", "text/plain"]
    assert view.page.evaluate("types()") == [[WIDGET, "text/plain"], still, still]
    _, own, _ = view.page.evaluate("saved()")
    assert "disconnected: the kernel was restarted" in own["data"]["text/html"]
    # The page is loaded anew, and the kernel still has the view after all.
    view.show(PIPELINE, id="m-1")
    assert view.page.evaluate("types()") == [
        [WIDGET, "text/plain"],
        [*still, WIDGET],
        [*still, WIDGET],
    ]


def test_a_run_whose_records_are_gone_says_so_and_offers_nothing(
    view: RunPage,
) -> None:
    gone = "its records are gone: the run was deleted"
    view.show([], status="unknown", started=None, queued=None, problem=gone, can=[])
    header = view.page.locator(".nbf-header")
    expect(header.locator(".nbf-badge")).to_have_text("unknown")
    expect(header).to_contain_text(gone)
    for name in ("Cancel", "Resume…", "Rerun"):
        expect(view.button(name)).to_have_count(0)


def test_hostile_texts_stay_texts(view: RunPage) -> None:
    evil = "<img src=x onerror='window.hit = 1'><script>window.hit = 1</script>"
    turned = "safe\u202etxt.exe\x1b[31m\x07"
    view.show(
        [row(1, evil, text=evil), row(2, turned, text="x" * 5_000_000)],
        workflow=evil,
        label=evil,
        error=evil,
        waiting=[evil],
        questions=[
            question({"enum": [evil]}, text=evil, step=evil),
            question({"type": "object", "properties": {evil: {"description": evil}}}),
        ],
        log=[[START, "info", evil, 1, "print"]],
    )
    view.line("safe").click()
    view.tell(
        {
            "t": "t",
            "detail": detail(
                row=2,
                title=evil,
                facts=[[evil, evil]],
                snippet=evil,
                result={"text": evil, "table": None, "image": evil, "more": evil},
                error={"type": evil, "message": evil, "traceback": evil, "cell": evil},
            ),
        }
    )
    assert view.page.evaluate("window.hit") is None
    assert view.page.locator("#cell :is(img, script)").count() == 0
    assert view.names()[1] == "safetxt.exe[31m"
    assert len(view.line("safe").locator(".nbf-text").inner_text()) <= 400


def test_ten_thousand_rows_are_few_elements(view: RunPage) -> None:
    view.show(many(10_000))
    viewport = view.page.locator(".nbf-viewport")
    for top in (0, 100_000, 240_000, 1_000):
        viewport.evaluate("(el, top) => { el.scrollTop = top; }", top)
        view.settle()
        assert view.page.locator(".nbf-row").count() <= 60
        first = top // 24 + 1
        assert f"step {min(first + 1, 9_999)}" in view.names()
    view.page.get_by_role("treegrid").focus()
    view.press("End")
    assert "step 10000" in view.names()
    view.tell(*(view.delta(n, row(n, f"new {n}")) for n in range(2, 300)))
    assert view.page.locator(".nbf-row").count() <= 60


def test_a_view_that_was_taken_off_the_page_comes_back_as_it_was(
    view: RunPage,
) -> None:
    view.show(many(200))
    view.page.get_by_role("treegrid").focus()
    view.press("End")
    shown = view.names()
    view.page.evaluate(
        """async () => {
          const cell = document.getElementById("cell");
          cell.remove();
          await drawn();
          document.body.append(cell);
          await drawn();
          await drawn();
        }"""
    )
    assert view.names() == shown
    assert view.page.locator(".nbf-viewport").evaluate("el => el.scrollTop") > 0


def test_two_displays_of_one_run_follow_it_together(view: RunPage) -> None:
    view.show(many(1))
    view.page.evaluate(
        """async () => {
          const el = document.body.appendChild(document.createElement("div"));
          window.cleanSecond = await render(el);
          await drawn();
        }"""
    )
    view.tell(view.delta(2, row(2, "second")))
    assert view.names() == ["step 1", "step 1", "second", "second"]
    ids = view.page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    assert len(view.sent("hello")) == 2
    view.page.evaluate("cleanSecond()")
    view.tell(view.delta(3, row(3, "third")))
    assert view.names() == ["step 1", "second", "third"]


def test_the_kernel_hears_of_sight_and_of_the_pointer(view: RunPage) -> None:
    view.show(many(1))
    assert view.sent("hello") == [{"t": "hello", "v": 1, "visible": True}]
    view.page.evaluate("document.body.style.paddingTop = '5000px'")
    wait = "t => model.sent.some((m) => m.t === t[0] && m.on === t[1])"
    view.page.wait_for_function(wait, arg=["vis", False])
    view.page.evaluate("document.body.style.paddingTop = 0")
    view.page.wait_for_function(wait, arg=["vis", True])
    view.line("step 1").hover()
    view.page.wait_for_function(wait, arg=["hold", True])
    view.page.mouse.move(1000, 790)
    view.page.wait_for_function(wait, arg=["hold", False])


def test_the_last_line_of_the_log_leads_to_all_of_it(view: RunPage) -> None:
    lines = [[START + i, "info", f"line {i}", 0, "print"] for i in range(3)]
    view.show(many(1), log=lines)
    last = view.page.locator(".nbf-log")
    expect(last).to_contain_text("line 2")
    more = [[START, "error", f"more {i}", 0, "print"] for i in range(300)]
    view.tell(view.delta(2, log=more))
    expect(last).to_contain_text("error")
    expect(last).to_contain_text("more 299")
    last.click()
    assert view.sent("detail")[-1]["row"] == 0
    view.tell({"t": "t", "detail": detail(row=0, log=more[-200:])})
    expect(view.page.get_by_role("complementary").locator("li")).to_have_count(200)


@pytest.mark.parametrize("width", [480, 1400])
def test_nothing_sticks_out_at_any_width(view: RunPage, width: int) -> None:
    view.page.set_viewport_size({"width": width, "height": 800})
    rows = [*PIPELINE, row(9, "a rather long name " * 8, text="text " * 60)]
    view.show(rows, label="long " * 30, error="error " * 60)
    view.line("train[1]").click()
    view.tell({"t": "t", "detail": detail(facts=[["key", "k" * 500]])})
    wide = view.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width


def test_the_run_view_stays_small() -> None:
    sizes = [len(sent(f"run/run_view.{kind}").encode()) for kind in ("js", "css")]
    assert sum(sizes) <= 60 * 1024

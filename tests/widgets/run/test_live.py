"""Views over a real engine, and browsers that hear what their comms send."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import comm
import pytest
from comm.base_comm import BaseComm

from nbflow import Client, Context, Engine, RunHandle, workflow
from nbflow.errors import InvalidOption
from nbflow.widgets import RunView, show
from nbflow.widgets.run.feed import Feed
from nbflow.widgets.run.live import Live
from tests.widgets.story import Page

LIMIT = 60.0


class Wire(BaseComm):
    """A comm whose messages are heard here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.changed = threading.Condition()
        self.sent: list[dict[str, Any]] = []
        super().__init__(*args, **kwargs)

    def publish_msg(self, msg_type: str, data: Any = None, **keys: Any) -> None:
        with self.changed:
            self.sent.append({"type": msg_type, **(data or {})})
            self.changed.notify_all()


class Browser:
    """One page with one view on it."""

    def __init__(self, view: RunView) -> None:
        self.view = view
        self.wire: Wire = view.comm
        self._load(self.wire.sent[0]["state"]["snapshot"])
        self._read = 0
        self.tell(t="hello", v=1, visible=True)

    def tell(self, **message: Any) -> None:
        """Send a message to the kernel."""
        self.view._handle_custom_msg(message, [])

    def until(self, is_there: Callable[[], Any]) -> Any:
        """Take messages until something is there."""
        while not (found := is_there()):
            with self.wire.changed:
                heard = self.wire.changed.wait_for(
                    lambda: len(self.wire.sent) > self._read, LIMIT
                )
            assert heard, self.head
            self._take(self.wire.sent[self._read])
            self._read += 1
        return found

    def _take(self, message: dict[str, Any]) -> None:
        content = message.get("content") or {}
        if content.get("t") == "s":
            self._load(content["snapshot"])
        if content.get("t") != "d":
            return
        assert content["seq"] == self.seq + 1
        self.seq += 1
        self.page.take(content["rows"])
        self.head = content.get("head", self.head)
        self.log += content.get("log", [])

    def _load(self, snapshot: dict[str, Any]) -> None:
        self.page = Page(snapshot["rows"])
        self.head = snapshot["head"]
        self.seq = snapshot["seq"]
        self.log = list(snapshot["log"])

    def answer(self, kind: str) -> dict[str, Any]:
        """The last message of a kind."""

        def found() -> Any:
            contents = [each.get("content") or {} for each in self.wire.sent]
            return [each for each in contents if each.get("t") == kind]

        last: dict[str, Any] = self.until(found)[-1]
        return last


@workflow(app="t")
async def inner(ctx: Context, n: int = 1) -> int:
    return await ctx.run("double", lambda: 2 * n)


@workflow(app="t")
async def nightly(ctx: Context) -> str:
    ctx.log("begun")
    await ctx.run("fetch", lambda: "page")
    await ctx.map("ask", lambda i: i, range(20))
    await ctx.invoke("sub", inner, {"n": 4})
    if not await ctx.ask("ok", "Go on?"):
        raise ValueError("not wanted")
    return "done"


@workflow(app="t")
async def long(ctx: Context, steps: int) -> int:
    for n in range(steps):
        await ctx.run(f"step {n}", lambda: 1)
    ctx.log("all done")
    return steps


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(comm, "create_comm", lambda *args, **keys: Wire(*args, **keys))
    with Engine(tmp_path / ".nbflow", "t", [nightly, inner, long], "process") as engine:
        yield engine


@pytest.fixture
def browse() -> Iterator[Callable[[RunHandle[Any]], Browser]]:
    views = []

    def start(run: RunHandle[Any]) -> Browser:
        view = RunView(run)
        views.append(view)
        return Browser(view)

    yield start
    for view in views:
        view.close()


Browse = Callable[[RunHandle[Any]], Browser]


def test_a_run_is_followed_asked_and_answered(engine: Engine, browse: Browse) -> None:
    run = nightly.invoke()
    browser = browse(run)
    browser.until(lambda: browser.head["questions"])
    assert browser.page.names() == [
        *("fetch", "ask", *(f"  [{n}]" for n in range(20)), "sub", "ok")
    ]
    assert [each[2] for each in browser.log] == ["begun"]
    (question,) = browser.head["questions"]
    browser.tell(t="answer", cmd=1, row=question["row"], value=True)
    assert browser.answer("ack")["ok"]
    browser.until(lambda: browser.head["status"] == "completed")
    assert browser.head["text"] == "'done'"
    assert run.result() == "done"
    assert "nightly: completed" in repr(browser.view)


def test_a_failed_run_is_planned_and_resumed(engine: Engine, browse: Browse) -> None:
    run = nightly.invoke()
    browser = browse(run)
    browser.until(lambda: browser.head["questions"])
    row = browser.head["questions"][0]["row"]
    browser.tell(t="answer", cmd=1, row=row, value=False)
    browser.until(lambda: browser.head["status"] == "failed")
    assert browser.head["error"] == "ValueError: not wanted"
    browser.tell(t="plan")
    assert browser.answer("p")["kept"] == 23
    browser.tell(t="resume", cmd=2, stale=False)
    browser.until(lambda: browser.page.row("fetch")[11] == "k")
    browser.until(lambda: browser.head["can"] == ["resume", "rerun"])
    browser.tell(t="rerun", cmd=3)
    browser.until(lambda: browser.answer("ack")["cmd"] == 3)
    assert "%workflow show r-" in browser.answer("ack")["text"]


def test_opening_a_child_shows_its_steps_closing_hides_them(
    engine: Engine, browse: Browse
) -> None:
    browser = browse(nightly.invoke())
    browser.until(lambda: browser.head["questions"])
    sub = browser.page.row("sub")
    assert "l" in sub[11]
    browser.tell(t="open", row=sub[0], on=True)
    browser.until(lambda: "  double" in browser.page.names())
    inside = browser.page.row("double")[0]
    browser.tell(t="detail", row=inside)
    assert browser.answer("t")["detail"]["result"]["text"] == "8"
    browser.tell(t="open", row=sub[0], on=False)
    browser.until(lambda: "  double" not in browser.page.names())


def test_a_refused_command_says_why(engine: Engine, browse: Browse) -> None:
    run = inner.invoke(3)
    run.result()
    browser = browse(run)
    browser.tell(t="resume", cmd=4)
    ack = browser.answer("ack")
    assert not ack["ok"]
    assert "there is nothing left to do" in ack["text"]


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"t": "nonsense"},
        {"t": ["x"]},
        {"t": "open", "row": "x"},
        {"t": "open", "row": 10**9, "on": True},
        {"t": "detail", "row": -1},
        {"t": "answer", "cmd": "x", "row": 10**9},
    ],
)
def test_odd_messages_do_no_harm(
    engine: Engine, browse: Browse, message: dict[str, Any]
) -> None:
    browser = browse(inner.invoke())
    browser.tell(**message)
    browser.view._handle_custom_msg("text", [])
    browser.tell(t="resync", have=0)
    assert browser.answer("s")["snapshot"]["head"]["workflow"] == "inner"


def test_views_of_one_run_do_not_disturb_each_other(
    engine: Engine, browse: Browse
) -> None:
    run = nightly.invoke()
    one, two = browse(run), browse(run)
    for browser in (one, two):
        browser.until(lambda browser=browser: browser.head["questions"])
    one.view.close()
    run.cancel()
    two.until(lambda: two.head["status"] == "canceled")


def test_a_feed_goes_on_with_the_next_life(engine: Engine) -> None:
    run = nightly.invoke()
    feed = Feed(engine.client, run.run_id, now=lambda: 0.0)
    run.cancel()
    kinds: list[str] = []
    while not feed.is_over:
        kinds += [each.type.value for each in feed.read()]
    assert kinds[-1] == "run.canceled"
    run.resume().cancel()
    feed.look_again()
    while "run.resumed" not in kinds:
        feed.look_again()
        kinds += [each.type.value for each in feed.read()]
    assert feed.problem is None


def test_a_deleted_run_says_so(engine: Engine) -> None:
    run = inner.invoke()
    run.result()
    live = Live(engine.client, run.run_id)
    assert live.is_over
    engine.client.runs.delete(run.run_id)
    live.look_again()
    live.read()
    gone = "its records are gone: the run or its app 't' was deleted"
    assert live.problem == gone
    head = live.snapshot()["head"]
    assert (head["status"], head["problem"], head["can"]) == ("completed", gone, [])
    assert live.sentence().endswith(f": {gone}")
    assert gone in live.html().replace("&#x27;", "'")


def test_a_run_of_an_app_that_was_deleted_is_not_said_to_be_queued(
    tmp_path: Path,
) -> None:
    with Engine(tmp_path / ".nbflow", "t", [inner], "process"):
        run = inner.invoke()
        run.result()
    shutil.rmtree(tmp_path / ".nbflow" / "t")
    view = RunView(run)
    assert repr(view) == (
        f"nbflow run {run.run_id}: "
        "its records are gone: the run or its app 't' was deleted"
    )
    head = view.get_state()["snapshot"]["head"]
    assert (head["status"], head["can"]) == ("unknown", [])
    view.close()


def test_a_view_whose_app_is_deleted_meanwhile_says_so(tmp_path: Path) -> None:
    with Engine(tmp_path / ".nbflow", "t", [inner], "process") as engine:
        run = inner.invoke()
        run.result()
        live = Live(engine.client, run.run_id)
    shutil.rmtree(tmp_path / ".nbflow" / "t")
    live.look_again()
    live.read()
    assert live.problem is not None
    assert "inner: completed" in live.sentence()


def test_a_run_that_is_still_to_be_started_is_queued(tmp_path: Path) -> None:
    home = tmp_path / ".nbflow"
    with Engine(home, "t", [inner], "process"):
        pass
    with pytest.warns(UserWarning, match="takes effect when one starts"):
        handle = Client(home, "t").workflows.invoke("inner")
    view = RunView(handle)
    head = view.get_state()["snapshot"]["head"]
    assert (head["status"], head["problem"]) == ("queued", None)
    view.close()


def test_outside_of_a_kernel_a_run_is_one_line(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    run = inner.invoke()
    run.result()
    show(run)
    assert (
        f"nbflow run {run.run_id} inner: completed, 1/1 step" in capsys.readouterr().out
    )
    show(run, "none")
    assert capsys.readouterr().out == ""
    with pytest.raises(InvalidOption, match="'live', 'static' or 'none'"):
        show(run, "graph")  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError):
        run._ipython_display_()


def test_a_long_run_is_seen_at_once_and_then_comes_whole(
    engine: Engine, browse: Callable[[RunHandle[Any]], Browser]
) -> None:
    run = long.invoke(8_000)
    run.result()
    browser = browse(run)
    first = browser.head
    assert 0 < first["total"] < 8_000
    assert (first["status"], first["can"]) == ("completed", ["rerun"])
    assert first["ended"] is not None
    assert len(browser.page.rows) == first["total"]
    browser.until(lambda: len(browser.page.rows) == 8_000)
    assert browser.head["total"] == 8_000
    assert browser.log[-1][2] == "all done"
    contents = [each.get("content") or {} for each in browser.wire.sent]
    assert not any(each.get("rows") for each in contents)  # they came in one piece


def test_what_is_static_holds_all_of_a_long_run(engine: Engine) -> None:
    run = long.invoke(3_000)
    run.result()
    live = Live(engine.client, run.run_id)
    assert live.is_behind
    live.read_all()
    assert live.is_over
    assert "3,000/3,000 steps" in live.sentence()


def test_that_much_is_being_read_is_said_where_it_takes_long(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = long.invoke(3_000)
    run.result()
    live = Live(engine.client, run.run_id)
    assert live.snapshot()["head"]["waiting"] == []
    monkeypatch.setattr("nbflow.widgets.run.live._LONG", 0.0)
    (said,) = live.snapshot()["head"]["waiting"]
    assert said.startswith("its records are being read: ")
    live.read_all()
    assert live.snapshot()["head"]["waiting"] == []

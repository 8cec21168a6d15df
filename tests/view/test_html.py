"""A run as static HTML: readable without style, safe, and small."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow.view.html import run_html, run_sentence
from tests.widgets.story import Story

TAGS = {
    *("div", "style", "p", "b", "code", "span", "table", "tr", "th", "td"),
    *("details", "summary", "pre", "progress"),
}


class Reader(HTMLParser):
    """Reads HTML as a sanitiser leaves it: tags and text, no style, no attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.open.append(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def html_of(story: Story) -> str:
    return run_html(story.board(), story.now)


def nightly() -> Story:
    story = Story("r-1a2b", "nightly")
    story.step("fetch", preview="'page'", duration=1.2)
    story.step("load\x1fparse")
    for number in range(3):
        story.step(f"ask[{number}]")
    return story


def test_it_reads_well_without_style() -> None:
    story = nightly()
    story.tell("run.completed", preview="{'rows': 3}", duration=1.9)
    read = Reader(html_of(story))
    assert "nightly r-1a2b completed · 1.9 s · 5 steps" in read.text
    assert "result {'rows': 3}" in read.text
    assert "fetch ✓ completed 1.2 s 'page'" in read.text
    assert "ask completed · 3/3 done" in read.text
    assert read.tags <= TAGS
    assert read.attributes <= {"class", "open", "colspan", "value", "max"}


def test_the_line_of_text_is_honest() -> None:
    story = nightly()
    assert run_sentence(story.board(), story.now) == (
        "nbflow run r-1a2b nightly: running, 5/5 steps, for 1.0 s"
    )
    story.tell(
        "run.failed", error={"type": "ValueError", "message": "bad\x1b"}, duration=2
    )
    assert run_sentence(story.board(), story.now) == (
        "nbflow run r-1a2b nightly: failed, 5/5 steps, 2 s: ValueError: bad\\x1b"
    )


def test_what_has_failed_is_open_and_says_where() -> None:
    story = nightly()
    story.fail("ask[bad]", "no <b>such</b> thing")
    error = {
        "type": "ValueError",
        "message": "no such thing",
        "traceback": '  File "/tmp/ipykernel_1/2.py", line 3, in item',
    }
    story.tell("run.failed", error=error, duration=2)
    html = html_of(story)
    assert "<details open><summary>where</summary>" in html
    assert "line 3, in item" in html
    assert html.count("<details open>") == 2
    assert "no &lt;b&gt;such&lt;/b&gt; thing" in html


def test_a_small_run_is_small() -> None:
    assert len(html_of(nightly()).encode()) <= 8_000


def test_a_large_run_says_what_is_left_out() -> None:
    story = Story("r-big")
    for number in range(9_990):
        story.step(f"ask[{number}]", preview="'" + "v" * 200 + "'")
    for number in range(10):
        story.fail(f"ask[bad-{number}]", "x" * 1_000)
    html = html_of(story)
    read = Reader(html)
    assert len(html.encode()) <= 60_000
    assert html.count("<tr><td><code>") <= 200
    assert "[bad-9]" in read.text  # what failed is not left out
    # Said once, where they would be; below, where all of them are to be found.
    (left,) = re.findall(r"… ([\d,]+) more", read.text)
    assert int(left.replace(",", "")) == 10_000 - html.count("<tr><td><code>")
    assert "all of them: %workflow show r-big" in read.text


def test_what_is_left_out_of_several_maps_is_said_in_each() -> None:
    story = Story("r-big")
    for number in range(600):
        for name in (f"ask[{number}]", f"tell[{number}]", f"single-{number}"):
            story.step(name)
    html = html_of(story)
    read = Reader(html)
    left = [int(each) for each in re.findall(r"… (\d+) more", read.text)]
    assert len(left) == 3
    assert sum(left) == 1_800 - html.count("<tr><td><code>")
    assert f"… {left[-1]} more: %workflow show r-big" in read.text


def test_child_runs_are_shown_below_their_steps() -> None:
    story, child = nightly(), Story("r-2", "child")
    story.tell("step.invoking", "sub", child_run_id="r-2", workflow="child")
    child.fail("inner", "inside")
    child.tell("run.failed", error={"type": "E", "message": "inside"})
    board = story.board()
    board.children["r-2"] = child.board()
    read = Reader(run_html(board, story.now))
    assert "child r-2 failed" in read.text
    assert "inner ✗ failed" in read.text


HOSTILE = st.one_of(
    st.text(max_size=300),
    st.sampled_from(
        [
            "</details></table><script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "&lt;b&gt;",
            "\u202edetrever",
            "\x1b[31mred\x00",
            "\ud800",
            '" onmouseover="x',
            "a\x1fb\x1ec[0]",
        ]
    ),
)


@given(HOSTILE.filter(bool), HOSTILE, HOSTILE)
def test_nothing_of_a_run_becomes_markup(name: str, value: str, message: str) -> None:
    story = Story("r-1", name)
    story.step(name, preview=value)
    story.fail(f"g\x1f{name}", message)
    story.tell("step.waiting", "ok", kind="ask", question=value)
    story.tell("progress", "m", None, done=1, total=2, message=message)
    error = {"type": name, "message": message, "traceback": value}
    story.tell("run.failed", error=error)
    html = html_of(story)
    read = Reader(html)
    assert read.tags <= TAGS
    assert read.attributes <= {"class", "open", "colspan", "value", "max"}
    html.encode()
    for sign in ("\x1b", "\x00", "\u202e"):
        assert sign not in html
    assert "\n" not in run_sentence(story.board(), story.now)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_come_from_the_theme(scheme: str) -> None:
    style = re.search(r"<style>(.*)</style>", html_of(nightly()), re.DOTALL)
    assert style is not None
    for rule in re.findall(r"([^{}]+)\{", style[1]):
        assert all(".nbflow-run" in part for part in rule.split(",")), rule
    values = re.findall(r"(?:color|background):([^;}]+)", style[1])
    assert all(each.startswith(("var(--jp-", "none", "inherit")) for each in values)

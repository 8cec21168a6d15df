"""A run as static HTML, for saved notebooks: read by whoever opens them, anywhere.

It says all in words, since readers may strip style, colours and aria. It holds no
script and no markup but its own; data of the run is escaped.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape

from nbflow.model import RunStatus, StepStatus, safe_text
from nbflow.view.board import Board
from nbflow.view.families import Facts
from nbflow.view.frames import Cells, no_cells, with_cells
from nbflow.view.rows import run_words, short_id
from nbflow.view.states import BUSY, FAILED, IDLE
from nbflow.view.text import cut
from nbflow.view.tree import Node, Tree
from nbflow.view.words import mark, passed, plural, preview_text, took

ROWS = 200
BYTES = 48_000
"""Of rows; with the error and the frame around them a run stays below 60 KB."""

_TRACEBACK = 6_000
_ERROR = 300
_PREVIEW = 120
_NAME = 120

# Front ends style tables and code of their outputs, by selectors of two classes.
_SCOPE = ".nbflow-run" * 3
_STYLE = """<style>
&{font:var(--jp-ui-font-size1,13px)/1.45 var(--jp-ui-font-family,system-ui);\
color:var(--jp-ui-font-color1,CanvasText);max-width:72em}
& p{margin:0 0 4px}
& code,& pre{font-family:var(--jp-code-font-family,monospace);\
background:none;color:inherit;padding:0}
& pre{margin:2px 0 6px;padding:6px 8px;overflow:auto;max-height:24em;\
background:var(--jp-layout-color2,Canvas)}
& progress{width:16em;height:6px;accent-color:var(--jp-brand-color1,Highlight)}
& table{border-collapse:collapse;margin:2px 0;width:100%;table-layout:auto}
& tr{background:none}
& th,& td{text-align:left;vertical-align:top;padding:1px 16px 1px 0;border:0;\
background:none;white-space:nowrap;max-width:none}
& th:last-child,& td:last-child{width:100%;white-space:normal;overflow-wrap:anywhere}
& td code{white-space:inherit}
& th{font-weight:400;color:var(--jp-ui-font-color2,GrayText)}
& details table{margin-left:16px}
& summary{cursor:pointer}
& .n-dim{color:var(--jp-ui-font-color2,GrayText)}
& .n-good{color:var(--jp-success-color1,CanvasText)}
& .n-bad{color:var(--jp-error-color1,CanvasText)}
& .n-warn{color:var(--jp-warn-color1,CanvasText)}
& .n-busy{color:var(--jp-brand-color1,LinkText)}
</style>""".replace("&", _SCOPE)
_CLASSES = {"again": "warn", "rest": "busy", "strong": "", "": ""}


def run_sentence(board: Board, now: dt.datetime, note: str | None = None) -> str:
    """A run in one honest line: "nbflow run r-1 nightly: completed, 20/20 steps".

    Args:
        board: the run.
        now: the present time.
        note: why it cannot be followed any more.
    """
    if note and not board.is_known:
        return safe_text(f"nbflow run {board.run_id}: {cut(safe_text(note), _ERROR)}")
    facts = [mark(board.status).word]
    total = sum(board.counts.values())
    if total:
        facts.append(f"{board.counts[StepStatus.COMPLETED]:,}/{plural(total, 'step')}")
    if board.duration is not None:
        facts.append(took(board.duration))
    elif board.started is not None:
        facts.append(f"for {passed(board.started, now)}")
    text = f"nbflow run {board.run_id} {board.workflow}: {', '.join(facts)}"
    detail = note or board.error or board.reason
    if detail and (note or board.status is not RunStatus.COMPLETED):
        text += f": {cut(safe_text(detail), _ERROR)}"
    return safe_text(text)


def run_html(
    board: Board,
    now: dt.datetime,
    *,
    rows: int = ROWS,
    cells: Cells = no_cells,
    note: str | None = None,
    tree: Tree | None = None,
) -> str:
    """A run with its steps as HTML.

    Args:
        board: the run; its `children` are shown below the steps that started them.
        now: the present time.
        rows: of steps; what is left out is counted, and said where to be found.
        cells: names the cells of a traceback's frames.
        note: a line above the steps, such as why there is no more of them.
        tree: of the run's steps, where there is one that is up to date.
    """
    room = _Room(rows, BYTES)
    status = mark(board.status)
    sign = _span(status.sign, status.role)
    facts = [_span(status.word, status.role)]
    if note and not board.is_known:
        sign, facts = "", ["unknown"]
    facts += [_span(text, role) for text, role in run_words(board, now)]
    if board.label:
        facts.append(f"[{_text(board.label, _NAME)}]")
    parts = [
        f'<div class="nbflow-run">{_STYLE}<p>{sign} ',
        f"<b>{_text(board.workflow or 'run', _NAME)}</b> ",
        f"<code>{_text(short_id(board.run_id, 128), 128)}</code> ",
        " · ".join(facts),
        "</p>",
        f'<p class="n-warn">{_text(note, 4 * _ERROR)}</p>' if note else "",
        _bar(board),
        _error(board, cells),
        _result(board),
        _table(_tree(board) if tree is None else tree, None, board, now, room),
    ]
    if room.left_out or room.is_told:
        told = f"… {room.left_out:,} more" if room.left_out else "all of them"
        show = f"<code>%workflow show {_text(board.run_id, 128)}</code>"
        parts.append(f"<p>{told}: {show}</p>")
    parts.append("</div>")
    return "".join(parts)


@dataclass(slots=True)
class _Room:
    """How many rows and bytes may still be used.

    Attributes:
        rows: that may still be used.
        bytes: that may still be used.
        left_out: rows that found no room, and of which nothing is said yet.
        is_told: whether some were left out further in, which is said there.
    """

    rows: int
    bytes: int
    left_out: int = 0
    is_told: bool = False

    def take(self, text: str) -> bool:
        """Use some for a row, if there is enough."""
        need = len(text.encode("utf-8", "replace"))
        if self.rows <= 0 or self.bytes < need:
            self.left_out += 1
            return False
        self.rows -= 1
        self.bytes -= need
        return True


def _tree(board: Board) -> Tree:
    tree = Tree(board)
    tree.place([*board.maps.values(), *board.steps.values()])
    return tree


def _bar(board: Board) -> str:
    total = sum(board.counts.values())
    done = board.counts[StepStatus.COMPLETED]
    if not total or board.is_ended:
        return ""
    return f'<progress value="{done}" max="{total}">{done:,} of {total:,}</progress>'


def _error(board: Board, cells: Cells) -> str:
    if board.error is None:
        return ""
    text = f'<p class="n-bad">{_text(board.error, 4 * _ERROR)}</p>'
    traceback = str((board.failure or {}).get("traceback") or "").strip()
    if traceback:
        shown = safe_text(with_cells(traceback, cells), multiline=True)
        if len(shown) > _TRACEBACK:
            shown = f"…{shown[-_TRACEBACK:]}"
        text += (
            "<details open><summary>where</summary>"
            f"<pre>{escape(shown)}</pre></details>"
        )
    return text


def _result(board: Board) -> str:
    result = preview_text(board.preview)
    if board.status is not RunStatus.COMPLETED or not result:
        return ""
    return f"<p>result <code>{_text(result, _ERROR)}</code></p>"


def _table(
    tree: Tree, holder: Node | None, board: Board, now: dt.datetime, room: _Room
) -> str:
    listed = sorted((holder or tree.root).members.values(), key=_rank)
    if not listed:
        return ""
    share = _share(listed, room)
    rows: list[tuple[int, str]] = []
    for node in listed:
        if node.is_step:
            cells = _step_cells(node, board, now)
            child = board.children.get(node.facts.child or "") if node.facts else None
            if room.take(cells):
                rows.append((node.number, cells))
                if child is not None:
                    inner = _child(child, now, room)
                    rows.append((node.number, f'<tr><td colspan="5">{inner}</td></tr>'))
        else:
            text = _holder(tree, node, board, now, room, share)
            if text:
                rows.append((node.number, text))
    if not rows:
        return ""
    # Chosen by what matters, shown in the order in which they came.
    body = "".join(text for _, text in sorted(rows, key=lambda row: row[0]))
    titles = ("step", "status", "tries", "time", "result or error")
    head = "".join(f"<th>{title}</th>" for title in titles)
    return f"<table><tr>{head}</tr>{body}</table>"


def _holder(
    tree: Tree, node: Node, board: Board, now: dt.datetime, room: _Room, share: int
) -> str:
    status = tree.status(node)
    found = mark(status)
    has_failed = bool(node.number_of(FAILED))
    told = ", ".join(_counts(node))
    time = ""
    ended = tree.ended(node)
    if node.started is not None and ended is not None:
        time = f" · {took(max((ended - node.started).total_seconds(), 0))}"
    summary = (
        f"{_span(found.sign, found.role)} <b>{_text(node.name, _NAME)}</b> "
        f"{_span(found.word, found.role)} · {told}{time}"
    )
    if not room.take(summary):
        room.left_out += sum(1 for _ in tree.walk(node))
        return ""
    inner_room = _Room(min(share, room.rows), room.bytes)
    inner = _table(tree, node, board, now, inner_room)
    room.rows -= min(share, room.rows) - inner_room.rows
    room.bytes = inner_room.bytes
    more = f"<p>… {inner_room.left_out:,} more</p>" if inner_room.left_out else ""
    room.is_told |= inner_room.is_told or bool(inner_room.left_out)
    is_open = " open" if has_failed else ""
    return (
        f'<tr><td colspan="5"><details{is_open}><summary>{summary}</summary>'
        f"{inner}{more}</details></td></tr>"
    )


def _child(board: Board, now: dt.datetime, room: _Room) -> str:
    """A child run below the step that has started it."""
    found = mark(board.status)
    is_open = " open" if board.status is RunStatus.FAILED else ""
    inner = _table(_tree(board), None, board, now, room)
    return (
        f"<details{is_open}><summary>{_span(found.sign, found.role)} "
        f"<b>{_text(board.workflow or 'run', _NAME)}</b> "
        f"<code>{_text(board.run_id, 128)}</code> {_span(found.word, found.role)}"
        f"</summary>{inner}</details>"
    )


def _step_cells(node: Node, board: Board, now: dt.datetime) -> str:
    facts = node.facts
    assert facts is not None
    found = mark(facts.status)
    tries = str(facts.attempt) if facts.attempt > 1 else ""
    time = took(facts.duration)
    if facts.status is StepStatus.QUEUED:
        time = ""
    elif facts.is_open and facts.started is not None:
        time = passed(facts.started, now)
    status = f"{_span(found.sign, found.role)} {_span(found.word, found.role)}"
    return (
        f"<tr><td><code>{_text(node.name, _NAME)}</code></td><td>{status}</td>"
        f"<td>{tries}</td><td>{escape(time)}</td><td>{_told(facts)}</td></tr>"
    )


def _told(facts: Facts) -> str:
    parts = []
    if facts.cached_from:
        parts.append(_text(f"cached from {facts.cached_from}", _NAME))
    if facts.is_stale:
        parts.append(_span("stale", "warn"))
    if facts.status in FAILED or facts.status is StepStatus.RETRYING:
        if facts.error:
            parts.append(f'<span class="n-bad">{_text(facts.error, _ERROR)}</span>')
    elif facts.status is StepStatus.COMPLETED:
        if preview_text(facts.preview):
            parts.append(f"<code>{_text(preview_text(facts.preview), _PREVIEW)}</code>")
    elif facts.question:
        parts.append(_text(f"asks: {facts.question}", _ERROR))
    elif facts.status is StepStatus.WAITING and facts.event:
        parts.append(_text(f"waits for event {facts.event!r}", _PREVIEW))
    elif facts.note:
        parts.append(_text(facts.note, _PREVIEW))
    if facts.child:
        parts.append(f"run <code>{_text(facts.child, 128)}</code>")
    return " · ".join(parts)


def _counts(node: Node) -> Iterator[str]:
    done = node.counts[StepStatus.COMPLETED]
    total = max(node.total or 0, sum(node.counts.values()))
    yield f"{done:,}/{total:,} done"
    for name, statuses in (
        ("failed", FAILED),
        ("running", BUSY),
        ("waiting", IDLE),
        ("canceled", (StepStatus.CANCELED,)),
    ):
        count = node.number_of(statuses)
        if count:
            yield f"{count:,} {name}"


def _rank(node: Node) -> tuple[bool, bool, int]:
    """What has failed or goes on comes before the others where room is short."""
    if node.is_step:
        assert node.facts is not None
        failed, is_open = node.facts.status in FAILED, node.facts.is_open
    else:
        failed, is_open = bool(node.number_of(FAILED)), True
    return (not failed, not is_open, node.number)


def _share(listed: Iterable[Node], room: _Room) -> int:
    """How many rows each of those that hold others may use."""
    steps = holders = 0
    for node in listed:
        steps += node.is_step
        holders += not node.is_step
    left = room.rows - min(steps + holders, room.rows)
    return max(left // max(holders, 1), min(5, room.rows))


def _span(text: str, role: str) -> str:
    name = _CLASSES.get(role, role)
    shown = escape(safe_text(text))
    return f'<span class="n-{name}">{shown}</span>' if name else shown


def _text(text: str, limit: int) -> str:
    return escape(cut(safe_text(text[: 8 * limit]), limit))

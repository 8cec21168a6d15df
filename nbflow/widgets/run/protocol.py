"""What a run's view and its kernel say to each other: version 1.

The kernel keeps the rows of a run and sends what has changed, at most ten times a
second; the browser (`script/store.js`) keeps the same rows, draws those in sight and
ticks elapsed times by itself. Rows come whole, so deltas can be merged and applied
twice.

Times are integers: milliseconds since 1970 by the kernel's clock; `now` in a message
tells that clock's time, so that the browser can use its own. Texts are safe to show as
text, and are shown as nothing else.
"""

from typing import Any, Literal, NotRequired, TypedDict

VERSION = 1

# A row, as a list: shorter than an object, 10,000 times. Trailing nulls are left out.
ROW = (
    "id",  # integer from 1, never reused within a view
    "parent",  # id of the row it is shown under; 0: the run itself
    "kind",  # a step kind ("run sleep wait ask send invoke start"), or what holds
    #   others: "map" (items of one call site), "group" (ctx.group or a task's branch)
    "name",  # as shown: without the names of the rows above it
    "status",  # word of a StepStatus; of a map or group: running, completed, failed, …
    "attempt",  # number of the present or last attempt; 0: none was made
    "queued",  # when it was called and had to wait for its turn
    "started",
    "ended",
    "due",  # retrying: next attempt; sleeping, waiting, invoking: until then at most
    "text",  # one line: preview of the value, the error, what it waits for
    "flags",  # letters: s stale, c from a cache, k kept from a former life,
    #   l its children are sent when it is opened, p it has a place in a queue
    "spans",  # what it did before its present state: [[letter, from, to], …], letters
    #   q queued, r running, b backing off, s sleeping, w waiting, i invoking; the last
    #   24 at most; null: queued to started to ended says it all
    "counts",  # of what holds others: [done, failed, running, waiting, total or null];
    #   a step with ctx.progress: [done, 0, 0, 0, total or null]
    "run",  # id of the run that it has started
)


class Question(TypedDict):
    """A step that asks: `ctx.ask`."""

    row: int
    step: str
    text: str
    # A JSON schema: boolean, {"enum": […]}, string, number, integer, or an object
    # with properties, which becomes a form. Without references; of a union with null
    # the other branch, and `nullable: true`.
    schema: dict[str, Any]
    until: int | None


class Head(TypedDict):
    """The run itself; sent whole whenever anything in it has changed."""

    run_id: str
    app: str
    workflow: str
    label: str | None
    status: str  # word of a RunStatus; "unknown": nothing is recorded of it
    attempt: int
    queued: int | None
    started: int | None  # of the present life
    ended: int | None
    due: int | None  # the body is entered again then (retry, not_before)
    counts: dict[str, int]  # steps by StepStatus, absent: none
    total: int  # of steps, with items of maps that have not begun
    progress: str | None  # of the body: "30 % · epoch 3"
    error: str | None  # one line
    text: str | None  # preview of the result, reason of a cancel or skip
    waiting: list[str]  # why it does not go on, one line each
    problem: str | None  # why nothing more will come of it: its records are gone
    can: list[str]  # of "cancel resume rerun"
    questions: list[Question]
    # "live"; "ended"; "left": no engine is alive that would go on with it
    engine: str


class Snapshot(TypedDict):
    """All of a view; the trait `snapshot`, and the answer to `resync`."""

    v: int
    seq: int
    now: int
    head: Head
    rows: list[list[Any]]
    log: list[list[Any]]  # the last lines: [time, level, text, row or 0, source]
    id: NotRequired[str]  # of the model; only in the trait


# Kernel to browser -------------------------------------------------------------------


class Delta(TypedDict):
    """What has changed since the message before."""

    t: Literal["d"]
    seq: int  # one more than the last; a gap: ask for `resync`
    now: int
    rows: list[list[Any]]
    head: NotRequired[Head]
    log: NotRequired[list[list[Any]]]


class Whole(TypedDict):
    """The answer to `resync`; also where more has come than changes should tell."""

    t: Literal["s"]
    snapshot: Snapshot


class Table(TypedDict):
    """A preview of a table."""

    columns: list[str]
    types: list[str]
    rows: list[list[str]]
    more: str  # "40,000 rows × 12 columns", "" if all is shown


class Value(TypedDict):
    """A stored value, as it can be looked at."""

    text: str
    table: Table | None
    image: str | None  # a PNG, base64
    more: str  # how to get the rest where it was cut: `run["fetch"]`; else ""


class Failure(TypedDict):
    """An error, with the user's own frames."""

    type: str
    message: str
    traceback: str
    cell: str | None  # "In[5], line 3"


class Try(TypedDict):
    """One attempt."""

    number: int
    status: str
    started: int | None
    ended: int | None
    due: int | None  # when the next one was made
    error: str | None


class Detail(TypedDict):
    """All that is known of one row; 0 is the run itself."""

    row: int
    title: str
    kind: str
    status: str
    facts: list[list[str]]  # [name, text]: branch, key, queue and place, cached from, …
    input: Value | None
    result: Value | None
    error: Failure | None
    attempts: list[Try]
    log: list[list[Any]]
    snippet: str  # Python that gives the value
    run_id: str | None  # of the run that it has started


class Told(TypedDict):
    """The answer to `detail`."""

    t: Literal["t"]
    detail: Detail


class PlanTold(TypedDict):
    """The answer to `plan`: what a resume would do."""

    t: Literal["p"]
    text: str  # "keeps 3,990, runs 10, 12 stale, about 40 s"
    kept: int
    to_run: list[str]  # names, at most 50
    stale: list[str]
    seconds: float | None


class Ack(TypedDict):
    """What became of a command."""

    t: Literal["ack"]
    cmd: int
    ok: bool
    text: str  # one line; of a refused answer: what is wrong with it
    problems: NotRequired[dict[str, str]]  # by field of a form


class Bye(TypedDict):
    """Nothing more will come."""

    t: Literal["bye"]
    reason: str


# Browser to kernel -------------------------------------------------------------------
#
# Every message has `t`; a command has also `cmd`, a number that its `ack` repeats.
#
#   hello   {v, visible}         the view is on the page
#   resync  {have}               a number is missing after `have`
#   vis     {on}                 the view came into sight, or left it
#   hold    {on}                 pointer or focus is inside: do not freeze now
#   slow    {lag}                messages arrive `lag` milliseconds late
#   open    {row, on}            send the children of a row with the flag l, and go on
#   detail  {row}
#   plan    {}
#   cancel  {cmd}
#   resume  {cmd, stale}         stale: execute the stale steps afresh
#   rerun   {cmd}
#   answer  {cmd, row, value}    value: JSON by the question's schema

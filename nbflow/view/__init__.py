"""Pure presentation of records, shared by command line, monitor and widgets.

Vocabulary: `words`, `states`; `text`, measured in terminal cells. A run: `board` takes
its events; `rows` draws it as it scrolls by, `tree`, `tracks`, `bars` and `timeline` in
the monitor, `html` in a notebook. Lists of runs: `tables` for the command line,
`listing` and `filter` for the monitor. What is read: `documents`, `page`.
"""

from nbflow.view.board import Board, error_line, first_line
from nbflow.view.families import Facts, Family, family_name
from nbflow.view.filter import Filter, FilterError
from nbflow.view.filter import parse as parse_filter
from nbflow.view.flow import flow_limits, flow_lines
from nbflow.view.listing import counts_line, totals
from nbflow.view.page import error_text, run_page
from nbflow.view.rows import (
    Row,
    run_line,
    run_rows,
    short_id,
    shorten,
    summary,
)
from nbflow.view.tables import (
    event_line,
    finding_line,
    plan_line,
    plan_lines,
    run_brief,
    run_facts,
    run_note,
    runs_table,
    said,
    table,
)
from nbflow.view.text import Line, Span, cells, cut, fit, line, pad, plain, width_of
from nbflow.view.words import (
    MARKS,
    ROLES,
    Look,
    Mark,
    ago,
    badge,
    bar,
    clock,
    mark,
    number,
    paint,
    passed,
    plural,
    took,
    until,
    word,
)

__all__ = [
    "MARKS",
    "ROLES",
    "Board",
    "Facts",
    "Family",
    "Filter",
    "FilterError",
    "Line",
    "Look",
    "Mark",
    "Row",
    "Span",
    "ago",
    "badge",
    "bar",
    "cells",
    "clock",
    "counts_line",
    "cut",
    "error_line",
    "error_text",
    "event_line",
    "family_name",
    "finding_line",
    "first_line",
    "fit",
    "flow_limits",
    "flow_lines",
    "line",
    "mark",
    "number",
    "pad",
    "paint",
    "parse_filter",
    "passed",
    "plain",
    "plan_line",
    "plan_lines",
    "plural",
    "run_brief",
    "run_facts",
    "run_line",
    "run_note",
    "run_page",
    "run_rows",
    "runs_table",
    "said",
    "short_id",
    "shorten",
    "summary",
    "table",
    "took",
    "totals",
    "until",
    "width_of",
    "word",
]

"""A list of runs as widgets: one box a run, made once and filled again.

A row keeps its run as long as it is listed; where it stands is said by its layout. So a
new run costs one row's texts, and the others stay as they are, focus included.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ipywidgets
from ipywidgets.widgets.widget_string import LabelStyle

from nbflow.model import UNFINISHED_RUN, Run, short
from nbflow.view import clock, mark, run_note, short_id, took
from nbflow.widgets.elements import button, set_role, text_line

_NOTE = 120


class Cells(NamedTuple):
    """What a list says of a run."""

    status: str
    role: str
    name: str
    about: str
    when: str
    took: str
    note: str
    note_role: str


def cells(run: Run, now: dt.datetime) -> Cells:
    """The texts of a run's row."""
    found = mark(run.status)
    note, role = run_note(run)
    about = f"{run.label} · {short_id(run.run_id)}" if run.label else run.run_id
    return Cells(
        f"{found.sign} {found.word}",
        found.role,
        f"↳ {run.workflow}" if run.parent else run.workflow,
        about,
        "" if run.queued_at is None else clock(run.queued_at, now),
        lasted(run, now),
        note,
        role,
    )


def told(run: Run, now: dt.datetime) -> tuple[str, ...]:
    """The texts of a run's row in an order for plain text; its id whole."""
    found = cells(run, now)
    about = f"{run.label} · {run.run_id}" if run.label else run.run_id
    note = short(found.note, _NOTE)
    return (found.status, found.name, about, found.when, found.took, note)


def lasted(run: Run, now: dt.datetime) -> str:
    """How long a run has taken, so far; whole seconds while it goes on."""
    if run.duration is not None:
        return took(run.duration)
    if run.started_at is None or run.is_ended:
        return ""
    return took(float(max(int((now - run.started_at).total_seconds()), 0)))


def is_live(run: Run) -> bool:
    """Whether it goes on."""
    return run.status in UNFINISHED_RUN


class RunTable:
    """At most `size` rows; `widget` is to be shown.

    Args:
        size: rows.
        on_choose: called with the id of the run whose row was clicked.
    """

    def __init__(self, size: int, on_choose: Callable[[str], None]) -> None:
        self._size = size
        self._on_choose = on_choose
        self._rows: dict[str, _Row] = {}
        self._free: list[_Row] = []
        self._chosen: str | None = None
        # All cells share one layout and one style: fewer models to make and send.
        self._layout: Any = None
        self._style: Any = None
        self.widget = ipywidgets.VBox()
        self.widget._dom_classes = ("nbflow-rows",)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._rows

    def show(self, runs: Sequence[Run], now: dt.datetime) -> int:
        """Show these runs in this order; how many widgets have changed."""
        wanted = {run.run_id for run in runs}
        for run_id in [each for each in self._rows if each not in wanted]:
            self._free.append(self._rows.pop(run_id))
        fresh: list[Any] = []
        changed = 0
        for place, run in enumerate(runs):
            row = self._rows.get(run.run_id)
            if row is None:
                row = self._take(fresh)
                self._rows[run.run_id] = row
            changed += row.show(run, place, run.run_id == self._chosen, now)
        for row in self._free:
            changed += row.hide()
        if fresh:
            # Those on the page stay there, so that none is drawn anew.
            self.widget.children = (*self.widget.children, *fresh)
        return changed + len(fresh)

    def retime(self, now: dt.datetime) -> None:
        """Retell how long the runs that go on have taken."""
        for row in self._rows.values():
            row.retime(now)

    def choose(self, run_id: str | None) -> None:
        """Mark the row of a run, or none."""
        self._chosen = run_id
        for each, row in list(self._rows.items()):
            row.mark(each == run_id)

    def _take(self, fresh: list[Any]) -> "_Row":
        if self._free:
            return self._free.pop()
        if self._layout is None:
            self._layout, self._style = ipywidgets.Layout(), LabelStyle()
        row = _Row(self._layout, self._style, self._on_choose)
        fresh.append(row.widget)
        return row


class _Row:
    """The widgets of one run."""

    def __init__(
        self, layout: Any, style: Any, on_choose: Callable[[str], None]
    ) -> None:
        self._run: Run | None = None
        self._on_choose = on_choose
        self._status, self._about, self._note, self._when, self._took = (
            ipywidgets.Label(layout=layout, style=style) for _ in range(5)
        )
        for each, name in (
            (self._about, "nbflow-about"),
            (self._when, "nbflow-when"),
            (self._took, "nbflow-took"),
        ):
            set_role(each, [name])
        # The one thing in a row that takes the focus; its place is the whole row.
        self._name = button("", self._choose, "nbflow-open", layout=layout)
        self.widget = ipywidgets.Box(
            [
                self._status,
                self._name,
                self._about,
                self._note,
                self._when,
                self._took,
            ]
        )
        self.widget._dom_classes = _CLASSES[False]

    def show(self, run: Run, place: int, is_chosen: bool, now: dt.datetime) -> int:
        """Show a run in a place; how many widgets have changed."""
        self._run = run
        told = cells(run, now)
        for widget, role in (
            (self._status, f"nbflow-status nbflow-{told.role}"),
            (self._note, f"nbflow-note nbflow-{told.note_role}"),
        ):
            set_role(widget, role.split())
        changed = 0
        for widget, trait, text in (
            (self._status, "value", told.status),
            (self._name, "description", told.name),
            (self._name, "tooltip", f"{told.status}: {run.run_id}"),
            (self._about, "value", told.about),
            (self._note, "value", told.note),
            (self._note, "tooltip", told.note),
            (self._when, "value", told.when),
            (self._took, "value", told.took),
            (self.widget.layout, "order", str(place)),
            (self.widget.layout, "display", None),
        ):
            changed += _put(widget, trait, text)
        self.mark(is_chosen)
        return changed

    def retime(self, now: dt.datetime) -> None:
        """Retell how long it has taken."""
        if self._run is not None and is_live(self._run):
            _put(self._took, "value", lasted(self._run, now))

    def mark(self, is_chosen: bool) -> None:
        """Show whether this is the run that is open."""
        if self.widget._dom_classes != _CLASSES[is_chosen]:
            self.widget._dom_classes = _CLASSES[is_chosen]

    def hide(self) -> int:
        """Stand for no run."""
        self._run = None
        self.mark(False)
        return _put(self.widget.layout, "display", "none")

    def _choose(self) -> None:
        if self._run is not None:
            self._on_choose(self._run.run_id)


_CLASSES = {False: ("nbflow-row",), True: ("nbflow-row", "nbflow-chosen")}


def _put(widget: Any, trait: str, text: str | None) -> int:
    """Set a text if it is another one; how many have changed."""
    shown = None if text is None else text_line(text)
    if getattr(widget, trait) == shown:
        return 0
    setattr(widget, trait, shown)
    return 1

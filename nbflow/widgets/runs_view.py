"""`RunsView`: the runs of an app as a live list; a row opens its run below."""

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

import ipywidgets

from nbflow.client import Client, RunHandle
from nbflow.errors import InvalidCursor, InvalidOption, RunNotFound, StoreError
from nbflow.model import TERMINAL_RUN, UNFINISHED_RUN, Page, Run, RunStatus, safe_text
from nbflow.view import Look, plain, plural, runs_table
from nbflow.widgets.elements import (
    button,
    close_tree,
    hear_while_busy,
    label,
    make_menu,
    offer,
    text_line,
)
from nbflow.widgets.following import LiveBox, client_of
from nbflow.widgets.tables import RunTable, is_live

ViewOfRun = Callable[[RunHandle[Any]], Any]
"""Makes the widget that shows one run."""

MAX_ROWS = 50
_ROWS = 15
_STATUSES: dict[str, tuple[RunStatus, ...]] = {
    "all": tuple(RunStatus),
    "live": UNFINISHED_RUN,
    "completed": (RunStatus.COMPLETED,),
    "failed": (RunStatus.FAILED,),
    "stopped": (RunStatus.CANCELED, RunStatus.SKIPPED),
}
assert {*UNFINISHED_RUN, *TERMINAL_RUN} == {*RunStatus}


def run_view(run: RunHandle[Any]) -> Any:
    """The live view of a run."""
    return import_module("nbflow.widgets.run.run_view").RunView(run)


class RunsView(LiveBox):
    """The runs of an app, newest first, kept up to date while they are on a page.

    Args:
        client: the app; that of the notebook if None.
        rows: runs a page, 1 to 50.
        view: makes the widget for a run that is opened; the live view if None.
        filters: those of `client.runs.list`: `status workflow label parent since`
            hold for all that is listed, `search` is what the search field begins with.

    Raises:
        TypeError: a filter is unknown.
        InvalidOption: a filter has a value that it cannot take.
    """

    def __init__(
        self,
        client: Client | None = None,
        *,
        rows: int = _ROWS,
        view: ViewOfRun | None = None,
        **filters: Any,
    ) -> None:
        _check(rows, filters)
        super().__init__(client_of(client, "RunsView"), "runs")
        self._view_of = run_view if view is None else view
        self._size = rows
        self._fixed = {k: v for k, v in filters.items() if k != "search"}
        # The cursors that led to this page, the first page's None apart.
        self._cursors: list[str] = []
        self._next: str | None = None
        self._page: Page[Run] = Page()
        self._open: tuple[str, Any] | None = None
        self._is_offering = False
        self._table = RunTable(rows, self._choose)
        self._make_controls(str(filters.get("search") or ""))
        self._arrange()
        if filters:
            with suppress(StoreError):  # shown in its place
                self._list()  # a filter that is none is refused here
        self.refresh()

    def __repr__(self) -> str:
        if self._is_closed:
            return f"<RunsView of app {self._client.app!r}: closed>"
        live = sum(map(is_live, self._page))
        more = " on this page" if self._next or self._cursors else ""
        told = f"{plural(len(self._page), 'run')}{more}, {live:,} live"
        return f"<RunsView of app {self._client.app!r}: {told}>"

    def picture(self) -> list[str]:
        """The list as text."""
        lines = runs_table(self._page, Look(), self._client.now())
        return [safe_text(repr(self)), *map(plain, lines)]

    def show_run(self, run_id: str) -> Any:
        """Show a run below the list; returns its view.

        Raises:
            RunNotFound: the app has no run of that id.
        """
        view = self._view_of(self._client.runs.handle(run_id))
        self.close_run()
        self._open = (run_id, view)
        self._detail.children = [view]
        self._detail.layout.display = None
        self._table.choose(run_id)
        hear_while_busy(self._detail)
        return view

    def close_run(self) -> None:
        """Close the view of the run that was opened, if there is one."""
        opened, self._open = self._open, None
        self._detail.children = ()
        self._detail.layout.display = "none"
        self._table.choose(None)
        if opened is not None:
            close_tree(opened[1])

    def close(self) -> None:
        """Stop looking, and leave a plain picture in the place of the list."""
        if not self._is_closed:
            self.close_run()
        super().close()

    # The parts

    def _make_controls(self, search: str) -> None:
        self._status = ipywidgets.ToggleButtons(
            options=list(_STATUSES), tooltips=_TOOLTIPS
        )
        self._workflow = make_menu("all workflows")
        self._search = ipywidgets.Text(
            value=search,
            placeholder="search id, workflow, label",
            tooltip="search id, workflow, label",
            layout={"width": "auto"},
        )
        for control in (self._status, self._workflow, self._search):
            control.observe(lambda change: self._filtered(), "value")
        self._older = button("older", self._go_older, "nbflow-quiet")
        self._newer = button("newer", self._go_newer, "nbflow-quiet")
        self._count = label("", "nbflow-count")
        self._empty = label("", "nbflow-empty")
        self._detail = ipywidgets.VBox(layout={"display": "none"})
        self._detail._dom_classes = ("nbflow-detail",)

    def _arrange(self) -> None:
        bar = ipywidgets.HBox([self._status, self._workflow, self._search])
        bar._dom_classes = ("nbflow-bar",)
        foot = ipywidgets.HBox([self._count, self._newer, self._older])
        foot._dom_classes = ("nbflow-foot",)
        self.children = [
            self._style,
            bar,
            self._table.widget,
            self._empty,
            foot,
            self._message,
            self._detail,
        ]
        hear_while_busy(self)

    # What is listed

    def _filtered(self) -> None:
        if self._is_offering:
            return  # not by the user: what was chosen is chosen again
        self._cursors = []
        self._redraw()

    def _go_older(self) -> None:
        if self._next is not None:
            self._cursors.append(self._next)
            self._redraw()

    def _go_newer(self) -> None:
        if self._cursors:
            self._cursors.pop()
            self._redraw()

    def _choose(self, run_id: str) -> None:
        if self._open is not None and self._open[0] == run_id:
            self.close_run()
            return
        try:
            self.show_run(run_id)
        except RunNotFound:
            self._redraw()  # deleted since it was listed
        except Exception as error:
            self._tell(error)

    def _list(self) -> Page[Run]:
        wanted = dict(self._fixed)
        if self._status.value != "all":
            fixed = _values(self._fixed.get("status"))
            statuses = [
                str(each)
                for each in _STATUSES[self._status.value]
                if fixed is None or str(each) in fixed
            ]
            if not statuses:
                return Page()
            wanted["status"] = statuses
        if self._workflow.value:
            wanted["workflow"] = self._workflow.value
        cursor = self._cursors[-1] if self._cursors else None
        return self._client.runs.list(
            **wanted,
            search=self._search.value.strip() or None,
            limit=self._size,
            cursor=cursor,
        )

    def _draw(self) -> int:
        self._draw_names()
        try:
            self._page = self._list()
        except InvalidCursor:  # the store was replaced: its pages are other ones
            self._cursors = []
            self._page = self._list()
        self._next = self._page.cursor
        self._has_live = any(map(is_live, self._page))
        changed = self._table.show(self._page, self._client.now())
        is_paged = self._next is not None or bool(self._cursors)
        page = f" · page {len(self._cursors) + 1}" if is_paged else ""
        self._count.value = f"{plural(len(self._page), 'run')}{page}"
        self._empty.value = text_line(self._nothing())
        self._empty.layout.display = "none" if self._page else None
        self._count.layout.display = None if self._page or self._cursors else "none"
        for each in (self._older, self._newer):
            each.layout.display = None if is_paged else "none"
        self._older.disabled = self._next is None
        self._newer.disabled = not self._cursors
        return changed

    def _nothing(self) -> str:
        """Why there are no rows."""
        if self._is_filtered():
            return "no run passes these filters"
        if self._stamp is None:
            return f"no runs yet: app {self._client.app!r} has no store so far"
        return "no runs yet"

    def _is_filtered(self) -> bool:
        return bool(
            self._fixed
            or self._status.value != "all"
            or self._workflow.value
            or self._search.value.strip()
        )

    def _draw_names(self) -> None:
        """Offer the workflows there are; what was chosen stays chosen."""
        names = tuple(each.name for each in self._client.workflows.list())
        fixed = _values(self._fixed.get("workflow"))
        if fixed is not None:
            names = tuple(each for each in names if each in fixed)
        self._is_offering = True
        offer(self._workflow, names)
        self._is_offering = False

    def _retime(self) -> None:
        self._table.retime(self._client.now())


_TOOLTIPS = [
    "runs of every status",
    "queued or running",
    "completed",
    "failed",
    "canceled or skipped",
]


def _check(rows: int, filters: dict[str, Any]) -> None:
    known = ("status", "workflow", "label", "parent", "since", "search")
    for name in filters:
        if name not in known:
            raise TypeError(
                f"RunsView() has no filter {name!r}; known: {', '.join(known)}"
            )
    if isinstance(rows, bool) or not 1 <= rows <= MAX_ROWS:
        raise InvalidOption(
            f"rows={rows!r}: a page of RunsView shows 1 to {MAX_ROWS} runs",
            option="rows",
            value=rows,
        )


def _values(given: Any) -> set[str] | None:
    """A filter's values; None where it filters nothing."""
    if given is None:
        return None
    return {str(given)} if isinstance(given, str) else {str(each) for each in given}

"""The pane of details: what there is to read of the selected run or step, by tabs.

Values are read in a worker thread, one at a time: the newest wish wins.
"""

import datetime as dt
import time
from collections.abc import Callable, Sequence

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget
from textual.worker import get_current_worker

from nbflow.client import Client
from nbflow.errors import NbflowError
from nbflow.model import RunEvent
from nbflow.view import Look, width_of
from nbflow.view.tracks import Life
from nbflow_tui import heads
from nbflow_tui.bars import LineBar
from nbflow_tui.events import EventList
from nbflow_tui.inspector import EVENTS, TABS, Document, Subject, document
from nbflow_tui.texts import TextList

_AGAIN = 1.0
"""Seconds between two readings of what goes on."""


class Details(Vertical):
    """Tabs over a text or the events.

    Args:
        client: gives a client of an app.
        look: what the terminal can show.
    """

    def __init__(self, client: Callable[[str], Client], look: Look) -> None:
        super().__init__(id="detail-pane", classes="pane")
        self._client = client
        self.look = look
        self.tab = 0
        self.subject: Subject | None = None
        self.subject_app: str | None = None  # of the run whose events are shown
        self._read_last: tuple[Subject, int, object] | None = None
        self._read_at = 0.0

    def compose(self) -> ComposeResult:
        """The tabs, and what they show."""
        yield LineBar(keeps=0, id="tabs", classes="title")
        yield TextList(self.look, id="text")
        yield EventList(self.look, id="events")

    def on_mount(self) -> None:
        """Show the first tab."""
        self.text = self.query_one("#text", TextList)
        self.events = self.query_one("#events", EventList)
        self.choose(self.tab)

    @property
    def are_events_shown(self) -> bool:
        """Whether the events are what is read."""
        return self.tab == EVENTS

    @property
    def target(self) -> Widget:
        """What has the focus when one reads here."""
        return self.events if self.are_events_shown else self.text

    def choose(self, tab: int) -> None:
        """Show a tab."""
        self.tab = tab
        self.text.display = not self.are_events_shown
        self.events.display = self.are_events_shown

    def tell(self) -> None:
        """Say which tab is shown, and of what."""
        bar = self.query_one("#tabs", LineBar)
        names = heads.tabs(TABS, self.tab)
        if not self.are_events_shown:
            bar.say(names, heads.about(self.subject))
            return
        about = self.events.told
        # That events are left out, or have come, is to be seen in little room, too.
        if (self.events.is_filtered or self.events.fresh) and (
            width_of(names) + width_of(about) >= bar.content_size.width
        ):
            names = heads.tabs((TABS[self.tab],), 0)
        bar.say(names, about)

    def forget(self) -> None:
        """Another run is looked at."""
        self.subject = None

    def take_events(
        self, found: Sequence[RunEvent], now: dt.datetime, life: Life
    ) -> None:
        """Show these events, where events are shown."""
        if self.are_events_shown:
            with self.events.guarded():
                self.events.take(found, now, life)

    def tick(self, now: dt.datetime) -> None:
        """A second has passed."""
        if self.are_events_shown:
            with self.events.guarded():
                self.events.tick(now)

    def inspect(self, subject: Subject | None, state: object) -> None:
        """Read what is to be shown, if that is something else by now.

        Args:
            subject: the run, or a step of it.
            state: what tells that it must be read again.
        """
        if subject is None or self.are_events_shown:
            return
        self.subject = subject
        wish = (subject, self.tab, state)
        if wish == self._read_last:
            return
        is_same = self._read_last is not None and self._read_last[:2] == wish[:2]
        if is_same and time.monotonic() - self._read_at < _AGAIN:
            return  # the next tick asks again
        self._read_last, self._read_at = wish, time.monotonic()
        self._read(subject, self.tab)

    @work(thread=True, exclusive=True, group="inspector", exit_on_error=False)
    def _read(self, subject: Subject, tab: int) -> None:
        worker = get_current_worker()
        # Whoever runs through the rows wants none of those on the way.
        time.sleep(0.05)
        if worker.is_cancelled:
            return
        try:
            made = document(self._client(subject.app), subject, tab, self.look)
        except NbflowError:
            return
        except Exception as error:  # a value that cannot be drawn is this pane's alone
            self.app.call_from_thread(self.text.fail, error)
            return
        if not worker.is_cancelled:
            self.app.call_from_thread(self._show, made)

    def _show(self, made: Document) -> None:
        with self.text.guarded():
            self.text.take(made)

    # Events of before

    def on_event_list_older(self, event: EventList.Older) -> None:
        """Read events that the list has not kept."""
        event.stop()
        if self.subject_app is not None:
            self._read_older(self.subject_app, event.run_id, event.before)

    @work(thread=True, exclusive=True, group="older", exit_on_error=False)
    def _read_older(self, app: str, run_id: str, before: int) -> None:
        try:
            found = self._client(app).runs.earlier(run_id, before)
        except NbflowError as error:
            told = str(error)
            self.app.call_from_thread(self.notify, told, markup=False)
            found = []
        self.app.call_from_thread(self.events.take_older, run_id, found)

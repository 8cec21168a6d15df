"""The monitor's one screen: runs, the selected run, and what there is to read of it.

Three panes where there is room, else one that is walked into with enter and out of
with esc. It tells the feed what is looked at, and shows what the feed hands over.
"""

import datetime as dt
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.widget import Widget

from nbflow.model import RunEvent
from nbflow.view import Filter, FilterError, Line, Look, Span, line, parse_filter
from nbflow.view.listing import Entry, RunKey
from nbflow.view.tracks import Track
from nbflow_tui import clock, heads
from nbflow_tui.bars import KeyBar, LineBar
from nbflow_tui.details import Details
from nbflow_tui.feed import Feed
from nbflow_tui.inspector import TABS, Subject
from nbflow_tui.lines import LineList
from nbflow_tui.prompt import Prompt
from nbflow_tui.runs import RunsList
from nbflow_tui.snapshot import Path, Shown, Snapshot, Want
from nbflow_tui.taking import Taking
from nbflow_tui.timeline import Timeline

WIDE, MIDDLE = 140, 90
STUCK = 1.0
"""Seconds of one look at the stores after which the screen says that it waits."""


class MonitorScreen(Taking):
    """Runs, run, details."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", key_display="/", id="runs.filter"),
        Binding("e", "failed", "failed only", id="runs.failed", show=False),
        Binding("escape", "back", "back", id="nav.back", show=False),
        Binding("tab", "pane(1)", "pane", id="nav.next", show=False),
        Binding("shift+tab", "pane(-1)", "pane", id="nav.before", show=False),
        Binding("z", "alone", "full pane", id="nav.alone"),
        Binding(
            "right_square_bracket", "tab(1)", "next tab", id="tab.next", show=False
        ),
        Binding(
            "left_square_bracket", "tab(-1)", "tab before", id="tab.before", show=False
        ),
        *(
            Binding(
                str(n),
                f"show_tab({n - 1})",
                name.lower(),
                id=f"tab.{name.lower()}",
                show=False,
            )
            for n, name in enumerate(TABS, 1)
        ),
    ]
    AUTO_FOCUS = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (MIDDLE, "-middle"), (WIDE, "-wide")]  # noqa: RUF012

    def __init__(self, feed: Feed, look: Look, start: RunKey | None = None) -> None:
        super().__init__()
        self.feed = feed
        self.look = look
        self.filter = Filter()
        self.filter_error = ""
        self.path: Path = () if start is None else (start,)
        self.at = "runs" if start is None else "run"
        self._snapshot = Snapshot(Want())
        self._count = 200
        self._is_alone = False
        self._came_from = "runs"

    def compose(self) -> ComposeResult:
        """The panes."""
        yield LineBar(id="head")
        yield LineBar(id="problem")
        with Horizontal(id="body"):
            with Vertical(id="runs-pane", classes="pane"):
                yield LineBar(id="runs-title", classes="title")
                yield RunsList(self.look, id="runs")
            with Container(id="right"):
                with Vertical(id="run-pane", classes="pane"):
                    yield LineBar(id="run-head")
                    yield LineBar(id="run-facts")
                    yield LineBar(id="ruler", classes="ruler")
                    yield Timeline(self.look, id="timeline")
                yield Details(self.feed.client, self.look)
        yield Prompt(id="filter")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Begin."""
        self.runs = self.query_one("#runs", RunsList)
        self.timeline = self.query_one("#timeline", Timeline)
        self.details = self.query_one(Details)
        self.prompt = self.query_one(Prompt)
        self.runs.blank = line(Span(" looking…", "dim"))
        self._go(self.at)
        self.set_interval(1.0, self.tick)
        self.wish()

    # What is looked at

    def wish(self) -> None:
        """Tell the feed what is looked at."""
        if self.runs.near_end() and len(self.runs.items) >= self._count:
            self._count += 200
        entry = self.runs.item
        if self.at == "runs":
            self.path = (entry.key,) if entry is not None else ()
        is_run_seen = self.at != "runs" or not self.has_class("-narrow")
        self.feed.want(
            Want(
                filter=self.filter,
                count=self._count,
                sight=tuple(each.key for each in self.runs.in_sight()),
                opened=self.runs.opened,
                cursor=None if entry is None else entry.key,
                path=self.path if is_run_seen or self.has_class("-tall") else (),
                turned=self.timeline.turned,
                are_events_shown=self.details.are_events_shown,
            )
        )

    def take(self, snapshot: Snapshot) -> None:
        """Show what the feed has handed over."""
        self._snapshot = snapshot
        now = clock.now()
        if snapshot.problem is None:
            self.runs.is_mixed = len(snapshot.apps) > 1
            self.runs.blank = heads.no_runs(snapshot, self.feed.home)
            had_items = bool(self.runs.items)
            with self.runs.guarded():
                self.runs.take(self._noted(snapshot), now)
            if not had_items and snapshot.entries:
                self.wish()
        shown = snapshot.shown
        if shown is not None and shown.path == self.path:
            with self.timeline.guarded():
                self.timeline.blank = heads.no_steps(shown, self.look)
                self.timeline.take(shown.tracks, shown.life, now)
            self.details.subject_app = shown.path[-1][0]
            self.details.take_events(shown.events, now, shown.life)
        self._inspect()
        self._tell(now)

    def _noted(self, snapshot: Snapshot) -> tuple[Entry, ...]:
        """What was asked of a run is said until it has happened."""
        word = getattr(self.app, "pending_word", None)
        if word is None:
            return snapshot.entries
        noted = []
        for entry in snapshot.entries:
            note = word(entry.run)
            noted.append(entry._replace(note=note) if note else entry)
        return tuple(noted)

    def tick(self) -> None:
        """A second has passed."""
        now = clock.now()
        self.runs.tick(now)
        if self.shown is not None:
            with self.timeline.guarded():
                self.timeline.tick(now)
            self.details.tick(now)
        self._inspect()
        self._tell(now)

    @property
    def shown(self) -> Shown | None:
        """The run in the timeline, if it is the one that is looked at."""
        shown = self._snapshot.shown
        return shown if shown is not None and shown.path == self.path else None

    def _tell(self, now: dt.datetime) -> None:
        """The single lines round the panes."""
        if not self.query("#head"):
            return  # the screen is being left, and a timer has not heard of it
        snapshot, look = self._snapshot, self.look
        head, right = heads.head(
            snapshot, self.feed.home, look, self.app_state(), self.size.width
        )
        self.query_one("#head", LineBar).say(head, right)
        said = heads.problem(snapshot, self.feed.stuck, STUCK)
        problem = self.query_one("#problem", LineBar)
        problem.set_class(bool(said), "-open")
        problem.say(said)
        left = heads.runs_title(self.filter, self.filter_error, snapshot, look)
        told = self.runs.told(snapshot.is_whole, snapshot.looked)
        pill = self.runs.pill
        self.query_one("#runs-title", LineBar).say(
            left, line(pill, "  " if pill else "", told)
        )
        shown = self.shown
        self.query_one("#run-head", LineBar).say(
            *heads.run_head(shown, self.path, look)
        )
        self.query_one("#run-facts", LineBar).say(heads.run_facts(shown, look, now))
        ruler = self.query_one("#ruler", LineBar)
        ruler.say(self.timeline.ruler())
        ruler.display = self.timeline.has_bars
        self.details.tell()

    def app_state(self) -> Line:
        """What holds for all of the monitor."""
        parts: list[Line] = []
        if getattr(self.app, "read_only", False):
            parts.append((Span("read-only", "warn"),))
        if self.runs.follows:
            parts.append((Span("follow", "dim"),))
        return line(*(line(part, "  ") for part in parts))

    # Moving about

    def _go(self, place: str) -> None:
        """Look at "runs", "run" or "detail"."""
        if place == "detail" and self.at != "detail":
            self._came_from = self.at
        self.at = place
        for each in ("runs", "run", "detail"):
            self.set_class(each == place, f"-at-{each}")
        self.set_class(self._is_alone, "-alone")
        target: Widget = self.details.target
        if place != "detail":
            target = self.runs if place == "runs" else self.timeline
        self.set_focus(target, scroll_visible=False)
        self.wish()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """A click may have moved the focus."""
        places = {
            "runs": "runs",
            "timeline": "run",
            "text": "detail",
            "events": "detail",
        }
        place = places.get(event.widget.id or "")
        if place is not None and place != self.at:
            self._go(place)
        self._inspect()

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        """Another run or step is under the cursor."""
        event.stop()
        if event.list is self.runs:
            if self.at == "runs":
                self._reset_run()
            self.wish()
        self._inspect()
        self._tell(clock.now())

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        """Enter: into the run, the child run, the details."""
        event.stop()
        item = event.item
        if isinstance(item, Entry):
            self.path = (item.key,)
            self._go("run")
        elif isinstance(item, Track):
            if item.child is not None:
                app = item.app or self.path[-1][0]
                self.open_run((app, item.child))
            elif item.step is None:
                self.timeline.action_turn()
            else:
                self._go("detail")
        elif isinstance(item, RunEvent):
            self.action_whole()

    def open_run(self, key: RunKey) -> None:
        """Look at a run below the present one; esc goes back."""
        self.path = (*self.path, key)
        self._reset_run()
        self._go("run")

    def action_back(self) -> None:
        """One level out, or nothing of the filter."""
        if self.at == "detail":
            self._go(self._came_from)
        elif self.at == "run" and len(self.path) > 1:
            self.path = self.path[:-1]
            self._reset_run()
            self._go("run")
        elif self.at == "run":
            self.runs.find(self.path[0] if self.path else None)
            self._go("runs")
        elif self._is_alone:
            self.action_alone()
        elif self.filter or self.filter_error:
            self._set_filter("")

    def action_pane(self, by: int) -> None:
        """The pane beside."""
        places = ("runs", "run", "detail")
        self._go(places[(places.index(self.at) + by) % 3])

    def action_alone(self) -> None:
        """This pane alone, or all of them."""
        self._is_alone = not self._is_alone
        self.set_class(self._is_alone, "-alone")
        self.wish()

    def _reset_run(self) -> None:
        self.timeline.reset()
        self.details.forget()

    def on_runs_list_turned(self) -> None:
        """Other rows are in sight, or opened."""
        self.wish()
        self._tell(clock.now())

    def on_timeline_turned(self) -> None:
        """Other rows are to be shown."""
        self.wish()
        self._tell(clock.now())

    def on_event_list_turned(self) -> None:
        """Its title has changed."""
        self._tell(clock.now())

    def on_resize(self, event: events.Resize) -> None:
        """Another size, another layout."""
        width, height = event.size
        self.set_class(width <= MIDDLE and height > 45, "-tall")
        self.set_class(width < 30 or height < 6, "-tiny")
        self.call_after_refresh(self.wish)

    # Filter

    def action_filter(self) -> None:
        """Ask which runs are shown; in a text, what is searched for."""
        is_search = self.at == "detail" and not self.details.are_events_shown
        if not is_search and self.at != "runs":
            self._go("runs")
        text = self.details.text
        self.prompt.ask(is_search, text.search if is_search else str(self.filter))

    def action_failed(self) -> None:
        """Failed runs only, or all."""
        terms = str(self.filter)
        only = "status:failed"
        rest = " ".join(word for word in terms.split() if word != only)
        self._set_filter(rest if only in terms.split() else f"{terms} {only}".strip())

    def on_prompt_asked(self, event: Prompt.Asked) -> None:
        """Applied as it is typed."""
        event.stop()
        if event.is_search:
            self.details.text.look_for(event.text)
        else:
            self._set_filter(event.text)

    def on_prompt_left(self, event: Prompt.Left) -> None:
        """Back to the list."""
        event.stop()
        self._go(self.at)

    def _set_filter(self, text: str) -> None:
        try:
            self.filter, self.filter_error = parse_filter(text), ""
        except FilterError as error:
            # What can be read holds: half a word is no reason to show no runs.
            self.filter, self.filter_error = error.kept, str(error)
        self._count = 200
        self.runs.follows = True
        self.wish()
        self._tell(clock.now())

    # Details

    def action_tab(self, by: int) -> None:
        """The tab beside."""
        self.action_show_tab((self.details.tab + by) % len(TABS))

    def action_show_tab(self, tab: int) -> None:
        """One tab of the details; where they are hidden, go there."""
        self.details.choose(tab)
        if self.at == "detail" or self.has_class("-narrow") or self._is_alone:
            self._go("detail")
        self.wish()
        self._inspect()
        self._tell(clock.now())

    def subject(self) -> Subject | None:
        """What the details are about."""
        if not self.path:
            return None
        app, run_id = self.path[-1]
        track = self.timeline.item
        place = self._came_from if self.at == "detail" else self.at
        if place == "runs" or track is None or self.shown is None:
            return Subject(app, run_id)
        return Subject(app, track.run_id, track.step)

    def _inspect(self) -> None:
        subject = self.subject()
        track = None if self.shown is None else self.timeline.item
        self.details.events.select(None if track is None else track.step)
        self.details.inspect(subject, self._state_of(subject))

    def _state_of(self, subject: Subject | None) -> object:
        """What tells that the details must be read anew."""
        shown, track = self.shown, self.timeline.item
        if subject is None or subject.step is not None:
            return None if track is None else (track.status, len(track.pieces))
        if shown is None or shown.run is None:
            return None
        # The overview tells what a live run waits for.
        steps = tuple(shown.steps.items()) if self.details.tab == 0 else ()
        return shown.run.status, shown.run.attempt, steps

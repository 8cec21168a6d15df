"""`Feed`: looks at all stores of a home, and hands over what has changed.

A thread of its own: a locked or slow store makes nobody wait who presses a key. It
looks ten times a second whether anything was committed, which is nearly free; it makes
a snapshot at most `fps` times a second, or at once when the user wants to see something
else. It holds no transaction open and writes nothing.
"""

import heapq
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from nbflow.client import Client, homes
from nbflow.errors import NbflowError
from nbflow.model import Run, RunStatus
from nbflow.view.board import Board
from nbflow.view.listing import Entry, RunKey, doing
from nbflow.view.tracks import Life, Track, opens_by_itself, tracks
from nbflow_tui.family import Family
from nbflow_tui.followed import Followed
from nbflow_tui.listed import Listed, age
from nbflow_tui.snapshot import AppState, Shown, Snapshot, Want

LOOK = 0.1
"""Seconds between two looks at the stores' stamps."""
_APPS = 1.0
_FOLLOWED = 96
"""Runs of which boards are kept, those looked at last."""
_DEEPEST = 8


class Feed:
    """Reads for one screen.

    Args:
        home: the `.nbflow` folder; it need not exist yet.
        app: look at this app only.
        deliver: is called on the feed's thread with each snapshot.
        fps: snapshots a second, at most.
    """

    def __init__(
        self,
        home: Path,
        app: str | None,
        deliver: Callable[[Snapshot], None],
        *,
        fps: float = 4.0,
    ) -> None:
        self.home = home
        self._only = app
        self._deliver = deliver
        self._pause = 1.0 / max(fps, 1.0)
        self._want = Want()
        self._listed: dict[str, Listed] = {}
        self._followed: OrderedDict[RunKey, Followed] = OrderedDict()
        self._last: Snapshot | None = None
        self._drawn: object = None
        self._rows: tuple[Track, ...] = ()
        self._filter = self._want.filter
        self._family = Family([])
        # Of each app: the runs that wait for their turn, and what they wait for.
        self._turns: dict[str, dict[str, str]] = {}
        self._is_unread = False
        self._is_due = True
        self._is_over = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="nbflow-monitor-feed", daemon=True
        )
        self.began: float | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Stop; waits for a look that is going on, but not for ever."""
        self._is_over.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(2)

    def want(self, want: Want) -> None:
        """Look at this from now on; the newest wish wins."""
        if want != self._want:
            self._want = want
            self._wake.set()

    @property
    def stuck(self) -> float:
        """Seconds that the present look has taken; a locked store makes it long."""
        began = self.began
        return 0.0 if began is None else time.monotonic() - began

    def client(self, app: str) -> Client:
        """A client of an app of the home."""
        listed = self._listed.get(app)
        return listed.client if listed is not None else Client(self.home, app)

    # The thread

    def _run(self) -> None:
        done: Want | None = None
        due = apps_due = 0.0
        has_changed = True
        while not self._is_over.is_set():
            began = self.began = time.monotonic()
            want = self._want
            try:
                if began >= apps_due:
                    apps_due = began + _APPS
                    has_changed |= self._find_apps()
                has_changed |= self._look(began)
                is_asked = want != done
                if is_asked or ((has_changed or self._is_unread) and began >= due):
                    self._hand_over(self._snapshot(want))
                    done, has_changed = want, False
                    due = began + self._pause
            except Exception as error:  # the screen must say so, not freeze
                told = str(error)
                if not isinstance(error, NbflowError):
                    told = f"{type(error).__name__}: {told}"
                self._hand_over(Snapshot(want, problem=told))
                done, due = want, began + 1.0
            self.began = None
            if not (self._is_unread and not has_changed and began >= due):
                self._wake.wait(0.01 if self._is_unread else LOOK)
            self._wake.clear()

    def _hand_over(self, snapshot: Snapshot) -> None:
        if snapshot != self._last and not self._is_over.is_set():
            self._last = snapshot
            self._deliver(snapshot)

    def _find_apps(self) -> bool:
        names = homes.apps(self.home)
        if self._only is not None:
            names = [name for name in names if name == self._only]
        fresh = [name for name in names if name not in self._listed]
        for name in fresh:
            listed = self._listed[name] = Listed(Client(self.home, name))
            if self._filter:
                listed.set_filter(self._filter)
        return bool(fresh)

    def _look(self, moment: float) -> bool:
        # Of each, also when one has changed already.
        return any([listed.look(moment) for listed in self._listed.values()])

    # Snapshots

    def _snapshot(self, want: Want) -> Snapshot:
        if want.filter != self._filter:
            self._filter = want.filter
            for listed in self._listed.values():
                listed.set_filter(want.filter)
                listed.look(time.monotonic())
        self._is_unread = False
        taken = [
            listed
            for listed in self._listed.values()
            if want.filter.takes_app(listed.app)
        ]
        for listed in taken:
            listed.refill()
            sight = [run_id for app, run_id in want.sight if app == listed.app]
            if sight and listed.problem is None:
                self._refresh(listed, sight)
        entries = self._entries(taken, want)
        is_whole = all(listed.is_whole for listed in taken)
        if not is_whole and len(entries) < want.count:
            self._is_unread = True
        shown = self._shown(want) if want.path else None
        self._forget()
        return Snapshot(
            want,
            tuple(self._state(each) for _, each in sorted(self._listed.items())),
            tuple(entries),
            is_whole,
            sum(listed.looked for listed in taken),
            shown,
        )

    def _refresh(self, listed: Listed, sight: list[str]) -> None:
        try:
            listed.refresh(sight)
        except NbflowError as error:
            listed.problem = str(error)

    def _state(self, listed: Listed) -> AppState:
        return AppState(
            listed.app, listed.counts, listed.is_served, listed.problem, listed.note
        )

    def _entries(self, taken: list[Listed], want: Want) -> list[Entry]:
        by_app = {listed.app: listed for listed in taken}
        merged = heapq.merge(
            *(listed.deep() for listed in taken), key=age, reverse=True
        )
        sight = set(want.sight)
        tops: list[tuple[Run, bool]] = []
        count = 0
        for run in merged:
            is_past = bool(want.filter) and not by_app[run.app].passes(run)
            if is_past and (run.app, run.run_id) != want.cursor:
                continue
            tops.append((run, is_past))
            # One that another app's run has started may belong below that.
            count += bool(want.filter) or run.parent is None
            if count >= want.count:
                break
        self._family = family = Family(taken)
        self._turns = {}
        found: list[Entry] = []
        for run, is_past in tops:
            if want.filter or not family.is_below_another(run):
                self._add(by_app[run.app], run, want, sight, 0, is_past, found)
        for listed in taken:
            for run_id in list(listed.children):
                if (listed.app, run_id) not in want.opened:
                    listed.close(run_id)
        return found

    def _add(
        self,
        listed: Listed,
        run: Run,
        want: Want,
        sight: set[RunKey],
        depth: int,
        is_past: bool,
        found: list[Entry],
    ) -> None:
        key = (run.app, run.run_id)
        elsewhere = self._family.elsewhere(key)
        children = listed.child_counts.get(run.run_id, 0) + len(elsewhere)
        is_open = key in want.opened if children else None
        what = None
        if not run.is_ended and (key in sight or not sight):
            followed = self._follow(listed.client, key, is_whole=False)
            self._is_unread |= followed.is_behind
            followed.read(is_live=True)
            what = doing(run, followed.board, self._reason(listed, run))
        is_left = not run.is_ended and not listed.is_served
        found.append(Entry(key, run, what, depth, is_open, children, is_left, is_past))
        if is_open and depth < _DEEPEST:
            for child in sorted([*listed.open(run.run_id), *elsewhere], key=age):
                home = self._listed[child.app]
                self._add(home, child, want, sight, depth + 1, False, found)

    def _reason(self, listed: Listed, run: Run) -> str | None:
        """Why a run has not begun; nothing where its engine is gone, which is said."""
        if run.status is not RunStatus.QUEUED or not listed.is_served:
            return None
        try:
            turns = self._turns.get(listed.app)
            if turns is None:
                keys = listed.client.flow_control.list()
                turns = self._turns[listed.app] = {
                    slot.run_id: f"{key.key}, place {slot.place + 1}: {slot.why}"
                    for key in keys
                    for slot in key.waiting
                    if slot.step is None
                }
            reason = turns.get(run.run_id)
            if reason is None:
                reasons = listed.client.runs.hindrances(run.run_id)
                reason = reasons[0] if reasons else None
        except NbflowError:  # deleted since; what cannot be read is said above
            return None
        return reason

    def _follow(self, client: Client, key: RunKey, *, is_whole: bool) -> Followed:
        followed = self._followed.get(key)
        if followed is None or (is_whole and not followed.is_whole):
            followed = Followed(client, key[1], is_whole=is_whole)
            self._followed[key] = followed
        self._followed.move_to_end(key)
        return followed

    def _forget(self) -> None:
        while len(self._followed) > _FOLLOWED:
            self._followed.popitem(last=False)

    def _shown(self, want: Want) -> Shown:
        key = want.path[-1]
        client = self.client(key[0])
        listed = self._listed.get(key[0])
        run = None if listed is None else listed.find(key[1])
        is_live = run is None or not run.is_ended
        followed = self._follow(client, key, is_whole=True)
        followed.read(is_live=is_live)
        self._is_unread |= followed.is_behind
        rows = self._rows_of(followed, key[0], want)
        board = followed.board
        problem = followed.problem
        if listed is not None and listed.problem is not None:
            problem = listed.problem
        return Shown(
            want.path,
            run,
            Life.of(board),
            rows,
            tuple(followed.events) if want.are_events_shown else (),
            followed.read_count,
            {str(status): count for status, count in board.counts.items() if count},
            board.attempt,
            _progress(board),
            board.error,
            not followed.is_behind,
            bool(is_live and listed is not None and not listed.is_served),
            problem,
        )

    def _rows_of(self, followed: Followed, app: str, want: Want) -> tuple[Track, ...]:
        """The rows of a run; those of before, where nothing of it has come since.

        Other runs change many times a second, and a long one has thousands of rows.
        """
        children = dict(self._children(followed, app, want))
        state = (
            want.turned,
            followed,
            followed.read_count,
            [(child, child.read_count) for child in children.values()],
        )
        if state != self._drawn:
            trees = {run_id: child.tree for run_id, child in children.items()}
            fresh = tracks(
                followed.tree,
                lambda row, node: (row in want.turned) != opens_by_itself(row, node),
                trees,
            )
            self._rows = tuple(_kept(self._rows, fresh))
            self._drawn = state
        return self._rows

    def _children(
        self, followed: Followed, app: str, want: Want, depth: int = 0
    ) -> Iterator[tuple[str, Followed]]:
        """The child runs whose steps are shown, by their ids."""
        for node in followed.tree.steps.values():
            facts = node.facts
            if facts is None or facts.child is None or depth >= _DEEPEST:
                continue
            row = (followed.run_id, node.number, 0)
            if (row in want.turned) == opens_by_itself(row, node):
                continue
            where = facts.app or app
            child = self._follow(
                self.client(where), (where, facts.child), is_whole=True
            )
            child.read(is_live=facts.is_open or facts.kind == "start")
            self._is_unread |= child.is_behind
            yield facts.child, child
            yield from self._children(child, where, want, depth + 1)


def _kept(rows: Sequence[Track], fresh: Iterable[Track]) -> Iterator[Track]:
    """The fresh rows; those that are as before are the very same.

    The screen still holds those of before: it would be all of a long run twice.
    """
    for row, former in zip_longest(fresh, rows):
        if row is None:
            return
        yield former if row == former else row


def _progress(board: Board) -> tuple[float, float | None, str | None] | None:
    facts = board.progress
    if facts is None or facts.done is None:
        return None
    return facts.done, facts.total, facts.note

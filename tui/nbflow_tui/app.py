"""The monitor as an application: `run` starts it, `Monitor` holds it together."""

import asyncio
import os
import select
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from textual.app import SuspendNotSupported, SystemCommand
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.filter import ANSIToTruecolor, LineFilter
from textual.message import Message
from textual.screen import Screen

from nbflow.client import Client, homes
from nbflow.model import safe_text
from nbflow.view import Look
from nbflow.view.listing import RunKey
from nbflow_tui.actions import Acting
from nbflow_tui.events import EventList
from nbflow_tui.feed import Feed
from nbflow_tui.help import HelpScreen
from nbflow_tui.keys import Action, actions, key_file, read_keys
from nbflow_tui.lines import LineList
from nbflow_tui.pending import Sent
from nbflow_tui.runs import RunsList
from nbflow_tui.screen import MonitorScreen
from nbflow_tui.snapshot import Snapshot
from nbflow_tui.sparing import sparing
from nbflow_tui.taking import Taking
from nbflow_tui.texts import TextList
from nbflow_tui.theme import (
    ANSI,
    ANSI_LIGHT,
    DARK,
    LIGHT,
    OWN,
    full_name,
    theme_names,
)
from nbflow_tui.timeline import Timeline

__all__ = ["Monitor", "known_actions", "run", "theme_names"]

_ENDS = (signal.SIGTERM, signal.SIGHUP)
_KEYS = {"⏎": "enter", "↑": "up", "↓": "down", "←": "left", "→": "right"}
_HANG_UP = 2.0
"""Seconds between two looks whether the terminal is still there."""


class Monitor(Acting):
    """Watches the runs of all apps of a home.

    Args:
        home: the `.nbflow` folder; it need not exist yet.
        app: watch this app only.
        run: begin with this run.
        read_only: offer nothing that changes anything.
        look: what the terminal can show.
        fps: paints a second for what comes from outside, at most.
        theme: one of `theme_names()`.
    """

    CSS_PATH = "monitor.tcss"
    TITLE = "nbflow"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "help", key_display="?", id="app.help"),
        Binding(
            "colon", "command_palette", "commands", key_display=":", id="app.palette"
        ),
        Binding("q,ctrl+q,ctrl+c", "quit", "quit", id="app.quit", priority=False),
        Binding("T", "dark", "dark or light", id="app.theme", show=False),
        Binding("ctrl+z", "suspend_process", "suspend", id="app.suspend", show=False),
    ]

    class Fed(Message):
        """The feed has made a snapshot."""

    def __init__(
        self,
        home: Path,
        app: str | None = None,
        *,
        run: RunKey | None = None,
        read_only: bool = False,
        look: Look | None = None,
        fps: float = 4.0,
        theme: str | None = None,
    ) -> None:
        super().__init__()
        self.home = home
        self._only = app
        self.read_only = read_only
        self.look = Look(True, True) if look is None else look
        self.feed = Feed(home, app, self._deliver, fps=fps)
        self._start = run
        self._latest: Snapshot | None = None
        self._is_told = False
        self._theme_wanted = full_name(theme or DARK.name)
        self.keys: dict[str, str] = {}

    def get_driver_class(self) -> type[Driver]:
        """The terminal's, sending fewer bytes."""
        return sparing(super().get_driver_class())

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What every line passes before it is sent.

        Not what looks for the sixteen colours of the terminal, to make others of them:
        here only themes that want them have them, and every line was kept twice.
        """
        filters = super().get_line_filters()
        return [each for each in filters if not isinstance(each, ANSIToTruecolor)]

    def get_key_display(self, binding: Binding) -> str:
        """How a key is named; in words where its sign is not ASCII."""
        shown = super().get_key_display(binding)
        if not self.look.unicode:
            for sign, name in _KEYS.items():
                shown = shown.replace(sign, name)
        return shown

    def on_mount(self) -> None:
        """Show the screen, then begin to read."""
        self.set_class(not self.look.unicode, "-ascii")
        for each in OWN:
            self.register_theme(each)
        self.theme = self._theme_wanted
        self._take_keys()
        self.main = MonitorScreen(self.feed, self.look, self._start)
        self.push_screen(self.main)
        self.feed.start()
        if not self.is_headless:
            loop = asyncio.get_running_loop()
            for number in _ENDS:
                # By default the terminal would be left as it is now.
                loop.add_signal_handler(number, self.exit, 128 + number)
            self.set_interval(_HANG_UP, self._leave_with_terminal)

    def _leave_with_terminal(self) -> None:
        """End where the terminal is gone and no signal has said so.

        A process without a controlling terminal (`setsid`, a container) gets none, and
        would read the end of its input for ever.
        """
        terminal = select.poll()
        terminal.register(sys.__stdin__ or 0, 0)
        if terminal.poll(0):
            self.exit(128 + signal.SIGHUP)

    def on_unmount(self) -> None:
        """Leave the stores alone."""
        self.feed.close()

    def _take_keys(self) -> None:
        """The user's own keys, if there are any."""
        path = key_file()
        if not path.exists():
            return
        self.keys, problems = read_keys(path, known_actions())
        self.set_keymap(self.keys)
        for problem in problems:
            self.notify(problem, severity="warning", timeout=15, markup=False)

    # Snapshots

    def _deliver(self, snapshot: Snapshot) -> None:
        """On the feed's thread: the newest snapshot wins."""
        self._latest = snapshot
        if not self._is_told:
            self._is_told = True
            self.post_message(self.Fed())

    def on_monitor_fed(self) -> None:
        """Show the newest snapshot."""
        self._is_told = False
        snapshot = self._latest
        if snapshot is not None and self.main.is_mounted:
            self.main.take(snapshot)

    # What actions work on

    def client(self, app: str) -> Client:
        """A client of one app of the home."""
        return self.feed.client(app)

    def clients(self) -> list[Client]:
        """Clients of all apps that are watched, by name."""
        apps = [self._only] if self._only is not None else homes.apps(self.home)
        return [self.client(app) for app in apps]

    def targets(self) -> list[RunKey]:
        """The runs that an action is meant for."""
        screen = self.main
        if screen.at == "runs":
            return [entry.key for entry in screen.runs.targets()]
        return [screen.path[-1]] if screen.path else []

    def acted(self, sent: Sent) -> None:
        """What was marked has had its turn."""
        self.main.runs.unmark((sent.app, run_id) for run_id in sent.run_ids)

    def acts_here(self) -> bool:
        """Whether the runs are what is looked at."""
        return bool(self.screen_stack) and isinstance(self.screen, MonitorScreen)

    def selected_step(self) -> str | None:
        """The step under the cursor of the timeline."""
        track = self.main.timeline.item
        return None if track is None or self.main.at == "runs" else track.step

    def open_run(self, key: RunKey) -> None:
        """Look at a run, whichever is selected; esc goes back."""
        self.main.open_run(key)

    # Keys

    def action_help(self) -> None:
        """All keys."""
        self.push_screen(HelpScreen(self.screen, self.look, self.keys))

    def action_dark(self) -> None:
        """Dark or light."""
        dark, light = (
            (ANSI, ANSI_LIGHT) if self.current_theme.ansi else (DARK.name, LIGHT.name)
        )
        self.theme = light if self.current_theme.dark else dark

    def action_suspend_process(self) -> None:
        """Into the background, with what has started it (`uv run`, a script).

        A starter that goes on would keep the terminal, which nobody reads then.
        """
        with suppress(SuspendNotSupported), self.suspend():
            # Textual's own handlers stop this process alone, and begin again a second
            # time where SIGCONT is told late.
            ours = (signal.SIGTSTP, signal.SIGCONT)
            before = [signal.signal(each, signal.SIG_DFL) for each in ours]
            os.killpg(0, signal.SIGTSTP)
            for number, handler in zip(ours, before, strict=True):
                signal.signal(number, handler)
        self.refresh()

    async def action_quit(self) -> None:
        """Leave."""
        self.exit(0)

    async def action_press(self, key: str) -> None:
        """What a click on a key at the foot of the screen does."""
        self.simulate_key(key)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Everything that a key does, by name."""
        yield from super().get_system_commands(screen)
        seen: set[str] = set()
        for active in screen.active_bindings.values():
            binding = active.binding
            if not binding.description or not binding.id or binding.action in seen:
                continue
            seen.add(binding.action)
            key = self.get_key_display(binding)
            title = binding.description[:1].upper() + binding.description[1:]
            yield SystemCommand(
                title, f"key {key}", lambda name=binding.key: self.simulate_key(name)
            )

    # Texts

    def copy_text(self, title: str, text: str) -> None:
        """Into the clipboard, without what could steer a terminal."""
        safe = safe_text(text, multiline=True)
        self.copy_to_clipboard(safe)
        self.notify(
            safe_text(f"copied {title}: {len(safe):,} characters"),
            timeout=4,
            markup=False,
        )

    def page(self, text: str) -> None:
        """A text in $PAGER."""
        wanted = os.environ.get("PAGER") or "less -R"
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
            file.write(safe_text(text, multiline=True))
            file.flush()
            with self.suspend():
                try:
                    subprocess.run([*shlex.split(wanted), file.name], check=False)
                except (OSError, ValueError) as error:
                    told = f"$PAGER {wanted!r} cannot be started: {error}"
                    self.notify(safe_text(told), severity="error", markup=False)
        self.refresh()


def known_actions() -> dict[str, Action]:
    """All that can be done by a key, by name."""
    from nbflow_tui.dialogs import TextBox
    from nbflow_tui.dialogs.base import Dialog
    from nbflow_tui.queues import QueuesScreen

    main = "runs timeline text events"
    return actions(
        [
            ("", Monitor.BINDINGS),
            ("", Acting.BINDINGS),
            (main, MonitorScreen.BINDINGS),
            (main, Taking.BINDINGS),
            (f"{main} queues", LineList.BINDINGS),
            ("runs", RunsList.BINDINGS),
            ("timeline", Timeline.BINDINGS),
            ("text", TextList.BINDINGS),
            ("events", EventList.BINDINGS),
            ("queues", QueuesScreen.BINDINGS),
            ("box", TextBox.BINDINGS),
            ("dialog", Dialog.BINDINGS),
            ("help", HelpScreen.BINDINGS),
        ]
    )


def run(
    home: Path,
    app: str | None = None,
    *,
    run: RunKey | None = None,
    read_only: bool = False,
    ascii: bool = False,
    fps: float = 4.0,
    theme: str | None = None,
) -> int:
    """Open the monitor, until the user leaves it; the exit code.

    Args:
        home: the `.nbflow` folder.
        app: watch this app only.
        run: begin with this run, by app and id.
        read_only: offer nothing that changes anything.
        ascii: draw with ASCII only.
        fps: paints a second, at most.
        theme: one of `theme_names()`.
    """
    encoding = (
        os.environ.get("LC_ALL")
        or os.environ.get("LC_CTYPE")
        or os.environ.get("LANG")
        or ""
    )
    plain = os.environ.get("TERM") == "linux" or (
        bool(encoding)
        and "utf" not in encoding.lower()
        and encoding not in ("C", "POSIX")
    )
    look = Look(unicode=not (ascii or plain), color="NO_COLOR" not in os.environ)
    monitor = Monitor(
        home, app, run=run, read_only=read_only, look=look, fps=fps, theme=theme
    )
    return monitor.run() or 0

"""The user's own keys: what a file may say, and what is told of a wrong one."""

from pathlib import Path

import pytest
from nbflow_tui.app import Monitor, known_actions
from nbflow_tui.help import HelpScreen
from nbflow_tui.keys import Keymap, key_file, read_keys
from nbflow_tui.screen import MonitorScreen

from tests.tui.stage import until

KNOWN = known_actions()


def read(tmp_path: Path, text: str) -> Keymap:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    return read_keys(path, KNOWN)


def test_no_file_gives_no_keys(tmp_path: Path) -> None:
    assert read_keys(tmp_path / "keys.toml", KNOWN) == ({}, [])


def test_actions_get_the_keys_that_a_file_gives(tmp_path: Path) -> None:
    text = 'run.cancel = "ctrl+x"\n[timeline]\nin = ["I", "#"]\n'
    assert read(tmp_path, text) == (
        {"run.cancel": "ctrl+x", "timeline.in": "I,number_sign"},
        [],
    )


def test_two_actions_may_swap_their_keys(tmp_path: Path) -> None:
    keys, problems = read(tmp_path, 'run.cancel = "r"\nrun.resume = "c"\n')
    assert (keys, problems) == ({"run.cancel": "r", "run.resume": "c"}, [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('run.cancle = "x"', "run.cancle: there is no such action, did you mean"),
        ("run.cancel = 3", "run.cancel: give a key, or a list of keys, not 3"),
        ("run.cancel = []", "run.cancel: give a key, or a list of keys, not []"),
        ('run.cancel = "contrl+x"', "run.cancel: 'contrl+x' is no key"),
        ('run.cancel = "y"', "run.cancel: 'y' is the key of text.copy already"),
        ('run.cancel = "', "cannot be read"),
    ],
)
def test_a_wrong_entry_is_told_in_a_line_and_changes_nothing(
    tmp_path: Path, text: str, told: str
) -> None:
    keys, problems = read(tmp_path, text)
    assert keys == {}
    (problem,) = problems
    assert problem.startswith("keys.toml")
    assert told in problem


def test_every_action_has_keys_that_a_file_could_give(tmp_path: Path) -> None:
    for name, action in KNOWN.items():
        for key in action.keys:
            keys, problems = read(tmp_path, f'{name} = "{key}"\n')
            assert problems == []
            assert keys == {name: key}


@pytest.mark.anyio
async def test_the_monitor_takes_the_keys_and_its_help_shows_them(
    home: Path,
) -> None:
    key_file().parent.mkdir()
    key_file().write_text('app.help = "f1"\nrun.nonsense = "x"\n')
    monitor = Monitor(home)
    async with monitor.run_test(size=(100, 120)) as pilot:
        await until(pilot, lambda: bool(monitor._notifications))
        (notice,) = monitor._notifications
        assert "run.nonsense" in notice.message
        await pilot.press("question_mark")
        assert isinstance(monitor.screen, MonitorScreen)
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(monitor.screen, HelpScreen))
        strips = monitor.screen._compositor.render_strips()
        shown = "\n".join(strip.text for strip in strips)
        assert "f1" in shown
        assert "app.help" in shown

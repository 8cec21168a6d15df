"""The project's own files agree with each other."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_command_of_the_readme_is_run_by_ci() -> None:
    readme = (ROOT / "README.md").read_text()
    script = (ROOT / ".ci" / "run").read_text()
    commands = re.findall(r"```sh\n(.*?)\n```", readme, re.DOTALL)
    assert len(commands) == 2
    for command in commands:
        assert command in script


def test_the_wheel_holds_both_packages_whole_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == {
        path.relative_to(folder).as_posix()
        for folder, package in ((ROOT, "nbflow"), (ROOT / "tui", "nbflow_tui"))
        for path in (folder / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_nothing_else_lies_at_the_top() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split("\n")
    tops = {name.partition("/")[0] for name in listed if name}
    assert tops <= {
        ".ci",
        ".gitignore",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "nbflow",
        "notebooks",
        "pyproject.toml",
        "tests",
        "tui",
    }

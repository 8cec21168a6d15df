"""Right and wrong uses are what mypy --strict says they are."""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def mypy(path: Path) -> list[tuple[int, str]]:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    pattern = re.compile(rf"{re.escape(path.name)}:(\d+): error: .*\[([\w-]+)\]")
    return [(int(n), code) for n, code in pattern.findall(done.stdout)]


def test_right_uses_pass() -> None:
    assert mypy(HERE / "good.py") == []


def test_wrong_uses_are_refused() -> None:
    path = HERE / "bad.py"
    expected = {
        (number, match.group(1))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (match := re.search(r"# error: ([\w-]+)", line))
    }
    assert set(mypy(path)) == expected

"""Rules about the source that no linter has."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "nbflow").rglob("*.py"))
TIME = re.compile(
    r"\btime\.(time|time_ns|sleep)\(|\bdatetime\.now\(|\bdt\.datetime\.now\("
    r"|\buuid\.uuid4\(|\brandom\.random\("
)
# Who waits for another process, or shows an age, lives in real time.
MAY_TELL_TIME = {
    "_engine/clock.py",
    "_store",
    "client",
    "cli",
    "magics",
    "view",
    "widgets",
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT / "nbflow").as_posix()


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_files_and_functions_can_be_read_in_one_look(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 800
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= 80, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_time_and_chance_come_from_the_clock(path: Path) -> None:
    name = relative(path)
    if name in MAY_TELL_TIME or name.partition("/")[0] in MAY_TELL_TIME:
        return
    found = [
        line.strip()
        for line in path.read_text().splitlines()
        if TIME.search(line) and "clock" not in line and "asyncio.sleep" not in line
    ]
    assert found == []


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_sql_stays_in_the_store(path: Path) -> None:
    if relative(path).startswith("_store/"):
        return
    sql = re.compile(r"\b(SELECT .* FROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM)\b")
    assert not sql.search(path.read_text())

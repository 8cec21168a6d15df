"""The benchmark program works: its shape, never its times."""

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parent / "benchmarks" / "engine.py"
KINDS = [
    *("W1", "W1-process", "W2", "W3", "W4", "W5", "W5", "W6", "W7", "W7", "W8"),
    *("length", "store", "store", "busy", "busy"),
]
FIELDS = {"workload", "value", "unit", "raw", "ratio", "goal", "met"}


def run(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(PROGRAM), *options]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def test_every_benchmark_runs_and_reports_its_row() -> None:
    done = run("--quick", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["workload"] for row in rows] == KINDS
    assert all(set(row) == FIELDS for row in rows)
    assert all(row["value"] >= 0 and isinstance(row["met"], bool) for row in rows)
    assert [row["value"] for row in rows if row["unit"] == "steps re-run"] == [0]
    assert "SQLite" in done.stderr


def test_an_unknown_benchmark_is_named() -> None:
    done = run("--only", "W1,W99")
    assert done.returncode == 1
    assert "W99" in done.stderr

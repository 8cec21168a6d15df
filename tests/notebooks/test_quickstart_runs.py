"""The quickstart as a whole: from the command line, in a kernel, with trouble."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import nbformat
import pytest

from nbflow import Client
from tests import kernels

FIELDS = {
    "name",
    "version",
    "size_bytes",
    "files",
    "requires",
    "license",
    "unsatisfied",
}

AFTER = {"run", "result", "licenses", "unsatisfied", "again"}

RunNotebook = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_notebook(quickstart: Path, home: Path) -> RunNotebook:
    def run(
        *options: str, environment: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "nbflow", "run", str(quickstart), *options],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "NBFLOW_HOME": str(home), **(environment or {})},
        )

    return run


def report_of(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert isinstance(report, dict)
    return report


def tries(home: Path, name: str) -> int:
    """How often the files of a distribution were measured."""
    client = Client(home=home, app="01_quickstart-run")
    (child,) = (
        run
        for run in client.runs.list(workflow="audit_distribution")
        if run.input == {"name": name}
    )
    (files,) = (step for step in client.runs.steps(child.run_id) if step.id == "files")
    return len(files.attempts)


def test_the_command_audits_all_that_is_installed(run_notebook: RunNotebook) -> None:
    report = report_of(run_notebook())
    packages = {each["name"]: each for each in report["packages"]}
    assert report["failed"] == {}
    assert report["distributions"] == len(packages) >= 10
    assert report["size_bytes"] == sum(each["size_bytes"] for each in packages.values())
    assert all(each.keys() >= FIELDS for each in packages.values())
    assert packages["pytest"]["version"] == metadata.version("pytest")


def test_cells_that_invoke_or_display_are_not_executed(
    run_notebook: RunNotebook, quickstart: Path
) -> None:
    cells = nbformat.read(quickstart, as_version=4).cells
    ids = [cell.id for cell in cells if cell.cell_type == "code"]
    shown = [str(number) for number, id in enumerate(ids, 1) if id in AFTER]
    plan = run_notebook("--plan")
    assert plan.returncode == 0, plan.stderr
    assert f"left out: cells {', '.join(shown)}" in plan.stdout + plan.stderr


@pytest.mark.parametrize("limit", ["0", "-3", '"many"'])
def test_a_limit_that_is_none_is_refused(run_notebook: RunNotebook, limit: str) -> None:
    done = run_notebook("-i", f"limit={limit}")
    assert done.returncode != 0
    assert done.stdout == ""
    assert "limit" in done.stderr


def test_real_trouble_is_retried_handled_and_noted(
    run_notebook: RunNotebook, site: Path, home: Path
) -> None:
    # Names that come first, so that a small limit has them all.
    for name in ("aaa-gone", "aaa-plain"):
        folder = site / f"{name.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        text = f"Name: {name}\nVersion: 1.0\nLicense: Dual\nRequires-Dist: not-there\n"
        (folder / "METADATA").write_text(text)
        (site / f"{name.replace('-', '_')}.py").write_text("x = 1\n")
    (site / "aaa_gone-1.0.dist-info" / "RECORD").write_text("vanished.py,,\n")
    done = run_notebook(
        "-i", "limit=2", "--json", environment={"PYTHONPATH": str(site)}
    )
    report = report_of(done)
    types = [json.loads(line)["type"] for line in done.stderr.splitlines()]
    assert types[0] == "run.queued"
    assert types[-1] == "run.completed"
    assert [each["name"] for each in report["packages"]] == ["aaa-gone", "aaa-plain"]
    for each, reason in zip(
        report["packages"], ("vanished.py", "has no RECORD"), strict=True
    ):
        assert (each["files"], each["size_bytes"]) == (1, 6)
        assert each["license"] == "Dual"
        assert each["unsatisfied"] == ["not-there (not installed)"]
        size, license = each["notes"]
        assert size.startswith("size of its folders only: ")
        assert reason in size
        assert license == "licence is unclear: Dual"
    # A file that is gone may come back, a RECORD that was never written does not.
    assert tries(home, "aaa-gone") == 2
    assert tries(home, "aaa-plain") == 1


def test_runs_from_top_to_bottom_in_a_kernel(
    quickstart: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBFLOW_HOME", str(home))
    notebook = nbformat.read(quickstart, as_version=4)
    kernels.executor(
        notebook, timeout=240, resources={"metadata": {"path": str(home.parent)}}
    ).execute()
    outputs = {cell.id: cell.outputs for cell in notebook.cells if "outputs" in cell}
    assert "distributions, " in outputs["result"][0].text
    assert "MIT" in outputs["licenses"][0].text
    assert all(
        each.output_type != "error" and each.get("name") != "stderr"
        for some in outputs.values()
        for each in some
    )

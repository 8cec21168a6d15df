"""Notebooks and modules written for a test, with a stand-in for `@workflow`."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

FLOWKIT = """
from dataclasses import dataclass
from typing import Any

calls = []

@dataclass
class Workflow:
    fn: Any
    name: str
    options: dict

    __nbflow_workflow__ = True

    def invoke(self, *args, **kwargs):
        calls.append(self.name)
        return self

    def result(self):
        return 42

def workflow(fn=None, *, name=None, **options):
    def make(fn):
        return Workflow(fn, name or fn.__name__, options)
    return make if fn is None else make(fn)
"""

Cell = str | tuple[str, list[str]]
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _own_modules(tmp_path: Path) -> Iterator[None]:
    """Import paths and modules of a test end with it."""
    (tmp_path / "flowkit.py").write_text(FLOWKIT)
    path, known = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None) or ""
        ours = name.startswith("nbflow_notebook_") or file.startswith(str(tmp_path))
        if ours:
            del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a notebook of the given code cells; tags come as `(source, tags)`."""

    def write(*cells: Cell, name: str = "demo.ipynb", language: str = "python") -> Path:
        path = tmp_path / name
        path.write_text(
            json.dumps(
                {
                    "cells": [_cell(cell) for cell in cells],
                    "metadata": {"language_info": {"name": language}},
                    "nbformat": 4,
                    "nbformat_minor": 4,
                }
            )
        )
        return path

    return write


def _cell(cell: Cell) -> dict[str, object]:
    source, tags = cell if isinstance(cell, tuple) else (cell, [])
    return {
        "cell_type": "code",
        "source": source,
        "metadata": {"tags": tags},
        "execution_count": None,
        "outputs": [],
    }

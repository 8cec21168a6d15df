"""Shared fixtures. Async tests run on asyncio through anyio's plugin."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings

from nbflow.testing import TestEngine

settings.register_profile("nbflow", deadline=None)  # no test depends on the machine
settings.load_profile("nbflow")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def lab() -> AsyncIterator[TestEngine]:
    """A real engine on virtual time, its store in memory."""
    async with TestEngine() as engine:
        yield engine


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / ".nbflow"

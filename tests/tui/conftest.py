"""Engines and stores to look at: of app `store`, and of the market."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nbflow import Client, Engine
from tests.tui.market import WORKFLOWS as MARKET
from tests.tui.stage import WORKFLOWS


@pytest.fixture(autouse=True)
def _no_keys_of_the_user(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(tmp_path_factory.mktemp("config"))
    monkeypatch.setenv("XDG_CONFIG_HOME", folder)
    monkeypatch.setenv("APPDATA", folder)


@pytest.fixture
def store(home: Path) -> Iterator[Client]:
    """A client of an app whose engine is alive."""
    with Engine(home, "store", workflows=WORKFLOWS, durability="process"):
        yield Client(home, "store")


@pytest.fixture
def closed(home: Path) -> Client:
    """A client of an app whose engine has gone, with a run that failed."""
    with Engine(home, "store", workflows=WORKFLOWS, durability="process") as engine:
        handle = engine.client.workflows.invoke("fails", input={"n": 0})
        with pytest.raises(Exception, match="division"):
            handle.result()
        engine.client.workflows.invoke("waits", run_id="open")
    return Client(home, "store")


@pytest.fixture
def market(home: Path) -> Path:
    """A home with three runs of a market, whose engine has gone."""
    with Engine(home, "market", workflows=MARKET, durability="process") as engine:
        start = engine.client.workflows.invoke
        start("order", input={"n": 4}, run_id="first").result()
        start("parent", run_id="family").result()
        with pytest.raises(Exception, match="division"):
            start("broken", run_id="broken").result()
    return home


@pytest.fixture
def live(home: Path) -> Iterator[Client]:
    """A client of a market whose engine is alive."""
    with Engine(home, "market", workflows=MARKET, durability="process") as engine:
        yield engine.client

"""`Client`: reads the store of an app and acts on its runs, from any process."""

import datetime as dt
import os
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from nbflow import names
from nbflow._engine import hosts
from nbflow._engine.hosts import OpenHost
from nbflow._notices import warn
from nbflow._store import paths
from nbflow.client.access import Access
from nbflow.client.events import Events
from nbflow.client.flow_control import FlowControls
from nbflow.client.handle import RunHandle
from nbflow.client.runs import Runs
from nbflow.client.workflows import Workflows
from nbflow.definition.apps import default_app
from nbflow.model import from_micros


class Client:
    """Reads an app's store and sends commands; needs no engine in its process.

    Reading never makes a file. Where nothing names the home, and this process has the
    app's engine open in another one, a warning says which is which. An engine of this
    process is called directly; one in another process gets commands, durably; with
    none alive they wait for the next, and a warning says so.

    Args:
        home: the `.nbflow` folder; the nearest one upwards if None. `NBFLOW_HOME`
            overrides that.
        app: the app's name; if None the only one in the home, else that of the
            notebook or module.
    """

    def __init__(
        self,
        home: str | PathLike[str] | None = None,
        app: str | None = None,
        *,
        _host: OpenHost | None = None,
    ) -> None:
        found: Path | None = None
        if _host is None or home is not None:
            found = paths.find_home(home)
        if app is not None:
            names.check_app(app)
        elif _host is not None:
            app = _host.app
        else:
            assert found is not None
            apps = paths.apps(found)
            app = apps[0] if len(apps) == 1 else default_app()
        if home is None and _host is None and found is not None:
            _tell_engine_elsewhere(found, app)
        self._access = Access(found, app, _host)

    @classmethod
    def of(cls, handle: RunHandle[Any]) -> "Client":
        """A client of the app that a run belongs to."""
        client = cls.__new__(cls)
        client._access = handle._access
        return client

    @classmethod
    def here(cls, app: str | None = None) -> "Client":
        """A client of the store that this process's engine of an app works in.

        Where no engine of it is open here, that of `Client(app=app)`. NBFLOW_HOME and
        the working folder may have changed since the engine was started: its runs are
        where it is.

        Args:
            app: the app's name; that of the notebook or module if None.
        """
        wanted = default_app() if app is None else app
        for host in hosts.opened():
            if host.app == wanted:
                return cls(app=wanted, _host=host)
        return cls(app=app)

    def __repr__(self) -> str:
        return f"<Client of app {self.app!r}, {self._access.place}>"

    @property
    def app(self) -> str:
        """The app's name."""
        return self._access.app

    @property
    def home(self) -> Path | None:
        """The `.nbflow` folder; None for a store in memory."""
        return self._access.home

    def stamp(self) -> tuple[str, int] | None:
        """A value that differs whenever something of the app was committed since.

        Cheap: made to be asked a few times a second by what shows the app. The first
        part is another one when the store was replaced. None as long as there is none.

        Raises:
            StoreError: a store is there and cannot be read.
        """
        reader = self._access.reader()
        if reader is None:
            return None
        number = reader.stamp()  # first: it opens a store that has taken the place
        return reader.uid, number

    def now(self) -> dt.datetime:
        """The time as the app's engine has it, to tell how long ago something was."""
        return from_micros(self._access.micros())

    def is_served(self) -> bool:
        """Whether an engine of the app is alive, in whatever process."""
        return self._access.is_served()

    @cached_property
    def flow_control(self) -> FlowControls:
        """The app's flow-control keys."""
        return FlowControls(self._access)

    @cached_property
    def runs(self) -> Runs:
        """The app's runs."""
        return Runs(self._access)

    @cached_property
    def events(self) -> Events:
        """Messages to runs that wait for them."""
        return Events(self._access)

    @cached_property
    def workflows(self) -> Workflows:
        """The app's workflows."""
        return Workflows(self._access)


def _tell_engine_elsewhere(home: Path, app: str) -> None:
    """Warn where this process runs the app in another home than is read."""
    place = os.path.realpath(home)
    for host in hosts.opened():
        used = os.path.dirname(host.key)
        if host.app == app and host.store.path is not None and used != place:
            warn(
                f"this client reads {home}, but the engine of app {app!r} in this "
                f"process works in {used}: nbflow.Client({used!r}, {app!r}) reads "
                "its runs, and after nbflow.shutdown() the next run starts in the "
                "new home"
            )

"""What widgets are given: the app to show, and what shows a run of it."""

from typing import Any

from nbflow.client import Client
from nbflow.model import short


def client_of(caller: str, client: Any) -> Client:
    """The client that a widget was given; that of the notebook if None.

    Raises:
        TypeError: it is no client.
    """
    if client is None:
        return Client.here()
    if isinstance(client, Client):
        return client
    app = f"app={_told(client)}" if isinstance(client, str) else "app='NAME'"
    raise TypeError(
        f"{caller}(client={_told(client)}): give a client, as nbflow.Client({app}) "
        "makes it, or nothing for the app of this notebook"
    )


def check_view(caller: str, view: Any) -> None:
    """What is to show a run can be called.

    Raises:
        TypeError: it cannot.
    """
    if view is not None and not callable(view):
        raise TypeError(
            f"{caller}(view={_told(view)}): give a function that makes a widget of a "
            "RunHandle, or nothing for the live view"
        )


def _told(value: object) -> str:
    return short(repr(value), 80)

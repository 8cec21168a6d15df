"""`client.events`: messages to runs that wait for them."""

from typing import Any

from nbflow import names
from nbflow._engine.refusals import refuse_ended
from nbflow.client import inbox
from nbflow.client.access import Access


class Events:
    """Sends events to the runs of one app.

    Args:
        access: the app.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def send(
        self,
        name: str,
        data: Any = None,
        *,
        run: str | None = None,
        event_id: str | None = None,
    ) -> list[str] | None:
        """Send an event; durable when this returns.

        With `run` it is kept for that run until it waits for it. Without, it is
        delivered to every run that waits for it now, also where the engine is down:
        then it is delivered when one starts, to those that waited.

        Args:
            name: of the event.
            data: any value that can be stored.
            run: id of a run.
            event_id: the same id sent again within a day does nothing.

        Returns:
            Ids of the runs it is for; None when no engine is alive to tell.

        Raises:
            InvalidName, InvalidRunId: naming value and rule.
            RunNotFound, RunFinished: there is no such run, or it is over.
            NotSerializable: `data` cannot be stored.
        """
        command = {"kind": "send", "name": names.check_event_name(name)}
        if run is not None:
            command["run_id"] = names.check_run_id(run)
            refuse_ended(self._access.find_row(run))
        if event_id is not None:
            command["event_id"] = names.check_run_id(event_id)
        sent = act(self._access, command, data=data)
        return None if sent is None else list(sent)


def act(access: Access, command: dict[str, Any], **values: Any) -> Any:
    """Have the engine carry out a command; None if none is alive and it is kept."""
    host = access.host()
    if host is not None:
        for key, value in values.items():
            command[key] = inbox.stored_tree(value, host.store.put_blob, key)
        return host.perform(command)
    for key, value in values.items():
        command[key] = inbox.stored_value(access, value, key)
    sent = inbox.send(access, [command])
    return None if sent is None else sent[0]

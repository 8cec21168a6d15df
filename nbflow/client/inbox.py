"""Commands to an engine in another process, and what came of them."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from nbflow import codecs, errors
from nbflow._notices import warn
from nbflow._store import inbox
from nbflow._store.blobs import Blobs
from nbflow._store.paths import BLOBS
from nbflow._store.payload import PutBlob, from_json
from nbflow.client.access import Access
from nbflow.errors import NbflowError, StoreError

POLL = 0.02
_PATIENCE = 10.0
"""Seconds without an answer after which the user is told what is being waited for."""


def send(access: Access, commands: Sequence[Mapping[str, Any]]) -> list[Any] | None:
    """Put commands into the inbox and wait for what the engine makes of them.

    Returns:
        What each came to; None when no engine is alive: then they are kept, and take
        effect when one starts, which a warning says.

    Raises:
        NbflowError: of the kind with which the engine refused one.
        PayloadTooLarge: one is larger than an engine takes; none was sent.
    """
    return send_or_keep(access, commands)[0]


def send_or_keep(
    access: Access, commands: Sequence[Mapping[str, Any]]
) -> tuple[list[Any] | None, list[str]]:
    """As `send`; the commands' ids too, for who wants to know what becomes of them."""
    assert access.folder is not None
    if not commands:
        return [], []
    is_served = access.holder() is not None
    if is_served:
        access.refuse_loop("a command to an engine in another process")
    # All of them are encoded before the first is sent.
    files = [inbox.encode(command) for command in commands]
    ids = [inbox.put(access.folder, file) for file in files]
    if is_served:
        outcomes = _outcomes(access, ids)
        if outcomes is not None:
            return [_result(outcome) for outcome in outcomes], ids
    warn(f"no engine serves app {access.app!r}: recorded, takes effect when one starts")
    return None, ids


def is_applied(access: Access, id: str) -> bool:
    """Whether an engine has come and carried out a command that was kept.

    Raises:
        NbflowError: of the kind with which it was refused.
    """
    reader = access.reader()
    outcome = None if reader is None else reader.command(id)
    if outcome is not None:
        _result(outcome)
    return outcome is not None


def stored_value(access: Access, value: object, given: str) -> Any:
    """A value as a command holds it; its large parts go into the store.

    Args:
        access: the app.
        value: what was passed.
        given: what errors call it, as in "input".

    Raises:
        NotSerializable, PayloadTooLarge: as for a step's value.
    """
    assert access.folder is not None
    return stored_tree(value, Blobs(access.folder / BLOBS).put, given)


def stored_tree(value: object, put: PutBlob, given: str) -> Any:
    """The parsed stored form of a value, its large parts put into blobs."""
    payload = codecs.encode(value, given=given)
    for part in payload.parts:
        put(part.digest, part.data)
    return codecs.parse(payload.text)


def _outcomes(access: Access, ids: list[str]) -> list[bytes] | None:
    """Wait for the outcomes; None when the engine goes away before."""
    found: dict[str, bytes] = {}
    began = time.monotonic()
    is_told = False
    while True:
        for id in ids:
            if id not in found:
                outcome = access.store().command(id)
                if outcome is None:
                    break
                found[id] = outcome
        if len(found) == len(ids):
            return [found[id] for id in ids]
        holder = access.holder()
        if holder is None:
            return None
        if not is_told and time.monotonic() - began > _PATIENCE:
            is_told = True
            warn(
                f"the engine of app {access.app!r} (process {holder.pid}) has not "
                f"answered for {_PATIENCE:g} s: still waiting"
            )
        time.sleep(POLL)


def _result(outcome: bytes) -> Any:
    fields = from_json(outcome)
    error = fields.get("error")
    if error is None:
        return fields.get("ok")
    kind = getattr(errors, str(error.get("type")), StoreError)
    if not (isinstance(kind, type) and issubclass(kind, NbflowError)):
        kind = StoreError
    message = str(error.get("message"))
    if kind is errors.InvalidInput or kind is errors.InvalidOption:
        raise kind(message, problems=error.get("problems"))
    raise kind(message)

"""Offsets of event streams: opaque text bound to a store, a run and an index."""

import base64
import binascii
from hashlib import sha256

from nbflow.errors import InvalidOffset, OffsetAhead, OffsetOtherStore

START = "-1"
NOW = "now"

_VERSION = b"\x01"
_LENGTH = 1 + 8 + 8 + 8 + 4
_TEXT_LENGTH = 39


def make_offset(uid: str, run_id: str, n: int, index: int) -> str:
    """The offset after event `index` of a run (0: before the first)."""
    body = _VERSION + _mark(uid) + _run_mark(run_id, n) + index.to_bytes(8, "big")
    return base64.urlsafe_b64encode(body + _check(body)).decode().rstrip("=")


def read_offset(offset: object, uid: str, run_id: str, n: int, head: int) -> int:
    """The index that an offset stands for: reading goes on strictly after it.

    Args:
        offset: what a stream or list of events had as `.offset`, "-1" or "now".
        uid: of the store.
        run_id: the run.
        n: its number.
        head: index of its last event.

    Raises:
        InvalidOffset, OffsetOtherStore, OffsetAhead: naming the run and what to do.
    """
    if offset == START:
        return 0
    if offset == NOW:
        return head
    body = _decode(offset)
    shown = repr(offset)[:60]
    if body is None or body[:1] != _VERSION or _check(body[:25]) != body[25:]:
        raise InvalidOffset(
            f"offset {shown} is none: pass the .offset of a stream or list of events "
            f'unchanged, "{START}" for the start or "{NOW}" for what comes',
            run_id=run_id,
        )
    if body[1:9] != _mark(uid):
        raise OffsetOtherStore(
            f"offset {shown} belongs to another store than the one of run {run_id!r} "
            f'(or that store was replaced): begin again with offset="{START}"',
            run_id=run_id,
        )
    if body[9:17] != _run_mark(run_id, n):
        raise OffsetOtherStore(
            f"offset {shown} belongs to another run than {run_id!r}: each run has "
            f'offsets of its own; begin with offset="{START}"',
            run_id=run_id,
        )
    index = int.from_bytes(body[17:25], "big")
    if index > head:
        raise OffsetAhead(
            f"offset {shown} lies after the last event of run {run_id!r}, which has "
            f'{head}: the store is older than the offset; begin with offset="{START}"',
            run_id=run_id,
        )
    return index


def _decode(offset: object) -> bytes | None:
    if not isinstance(offset, str) or len(offset) != _TEXT_LENGTH:
        return None
    try:
        body = base64.b64decode(offset + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    # Unused bits at the end would give one offset several spellings.
    plain = base64.urlsafe_b64encode(body).decode().rstrip("=")
    return body if len(body) == _LENGTH and plain == offset else None


def _mark(uid: str) -> bytes:
    return sha256(uid.encode()).digest()[:8]


def _run_mark(run_id: str, n: int) -> bytes:
    return sha256(f"{run_id}\0{n}".encode()).digest()[:8]


def _check(body: bytes) -> bytes:
    return sha256(b"offset" + body).digest()[:4]

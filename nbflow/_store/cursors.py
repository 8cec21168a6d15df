"""Cursors of run lists: opaque text that names the store it was made for."""

import base64
import binascii
from hashlib import sha256

from nbflow.errors import InvalidCursor

_VERSION = b"\x01"


def make_cursor(uid: str, n: int) -> str:
    """The cursor of a page whose last run has number `n`."""
    body = _VERSION + _mark(uid) + n.to_bytes(8, "big")
    return base64.urlsafe_b64encode(body + _check(body)).decode().rstrip("=")


def read_cursor(uid: str, cursor: str) -> int:
    """The number a cursor stands for. Raises InvalidCursor."""
    body = _decode(cursor)
    if len(body) != 21 or body[:1] != _VERSION or _check(body[:17]) != body[17:]:
        raise InvalidCursor(
            f"cursor {str(cursor)[:60]!r}: is not a cursor of runs.list; pass the "
            ".cursor of a page unchanged, or None for the first page"
        )
    if body[1:9] != _mark(uid):
        raise InvalidCursor(
            f"cursor {str(cursor)[:60]!r}: belongs to another store (or this one was "
            "replaced); begin again with cursor=None"
        )
    return int.from_bytes(body[9:17], "big")


def _decode(cursor: str) -> bytes:
    if not isinstance(cursor, str) or len(cursor) != 28 or not cursor.isascii():
        return b""
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _mark(uid: str) -> bytes:
    return sha256(uid.encode()).digest()[:8]


def _check(body: bytes) -> bytes:
    return sha256(b"cursor" + body).digest()[:4]

"""The JSON of an event's `data` column, and the values it carries.

Public keys are what users see as `RunEvent.data`; keys that begin with `_` are the
store's own. A value stands inline under `_value` in its stored form, or, when it is
larger than `INLINE_LIMIT`, in a blob named under `_blob`.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from nbflow import codecs
from nbflow._json import NotJson
from nbflow._json import to_json as _to_json

NO_DATA: bytes | None = None
INLINE_LIMIT = 8 * 1024
"""Bytes of stored form above which a value leaves its row."""

PutBlob = Callable[[str, bytes], None]
GetBlob = Callable[[str], bytes]


def to_json(fields: Mapping[str, Any]) -> bytes:
    """Stored JSON of plain fields; entries that are None are left out.

    What JSON has no room for (NaN, lone surrogates, objects) is made what comes next:
    these fields describe what happens, and must not fail it.
    """
    given = {k: v for k, v in fields.items() if v is not None}
    try:
        return _to_json(given, inf_nan_mode="null")
    except NotJson:
        return _to_json(_plain(given), inf_nan_mode="null")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else codecs.preview(value)
    return text.encode(errors="replace").decode()


def from_json(data: bytes | None) -> dict[str, Any]:
    """The fields of stored JSON."""
    if not data:
        return {}
    fields: dict[str, Any] = codecs.parse(data)
    return fields


def store_parts(payload: codecs.Payload, put: PutBlob) -> tuple[bytes, bool]:
    """Put a payload's large parts into blobs; what the row holds of it.

    Returns:
        The member to write, and whether it is the value itself.
    """
    for part in payload.parts:
        put(part.digest, part.data)
    if len(payload.text) <= INLINE_LIMIT:
        return payload.text, True
    digest = sha256(payload.text).hexdigest()
    put(digest, payload.text)
    return digest.encode(), False


def value_member(payload: codecs.Payload, put: PutBlob) -> bytes:
    """The JSON member that carries a value: `"_value":…` or `"_blob":"…"`."""
    text, is_inline = store_parts(payload, put)
    return b'"_value":' + text if is_inline else b'"_blob":"' + text + b'"'


def public(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that users see."""
    return {key: value for key, value in fields.items() if not key.startswith("_")}


def load_value(
    fields: Mapping[str, Any],
    get: GetBlob,
    classes: Mapping[str, type] | None = None,
) -> Any:
    """The value that stored fields carry; None where they carry none."""
    if "_blob" in fields:
        return codecs.decode(get(fields["_blob"]), get, classes)
    if "_value" in fields:
        return codecs.revive(fields["_value"], get, classes)
    return None

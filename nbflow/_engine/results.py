"""The stored form of what functions return."""

from typing import Any

from nbflow import codecs
from nbflow._engine.history import annotated_classes
from nbflow.errors import NotSerializable


def encode(value: Any, fn: Any) -> codecs.Payload:
    """The stored form of what `fn` returned."""
    try:
        return codecs.encode(value)
    except NotSerializable:
        # Of a class that no module holds; annotations may name it, at a price.
        return codecs.encode(value, classes=annotated_classes(fn))


def as_stored(payload: codecs.Payload, fn: Any) -> Any:
    """The value again, as a later life will read it."""
    parts = {part.digest: part.data for part in payload.parts}
    return codecs.decode(payload.text, parts.__getitem__, annotated_classes(fn))

"""The stored form of what functions return."""

from typing import Any

from nbflow import codecs
from nbflow._engine.history import annotated_classes
from nbflow.errors import NotSerializable, PayloadTooLarge


def encode(value: Any, fn: Any) -> codecs.Payload:
    """The stored form of what `fn` returned."""
    try:
        return codecs.encode(value)
    except NotSerializable:
        # Of a class that no module holds; annotations may name it, at a price.
        return codecs.encode(value, classes=annotated_classes(fn))


def encode_result(value: Any, fn: Any, workflow: str) -> codecs.Payload:
    """The stored form of a run's result; errors name it, and the workflow."""
    try:
        return encode(value, fn)
    except NotSerializable as error:
        told = f"result of workflow {workflow!r}: {error}"
        cause = error.__cause__
        raise NotSerializable(told, path=error.path, value=error.value) from cause
    except PayloadTooLarge as error:
        told = f"result of workflow {workflow!r}: {error}"
        raise PayloadTooLarge(told) from None


def as_stored(payload: codecs.Payload, fn: Any) -> Any:
    """The value again, as a later life will read it."""
    parts = {part.digest: part.data for part in payload.parts}
    return codecs.decode(payload.text, parts.__getitem__, annotated_classes(fn))

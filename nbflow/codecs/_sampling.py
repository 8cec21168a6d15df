"""Arguments too large to record: what their mark is made of."""

import hashlib
from collections.abc import Callable
from typing import Any

from nbflow.codecs._text import Node
from nbflow.codecs._walk import MIB, Writer

SAMPLED_BYTES = 8 * MIB


def sample_digest(*pieces: bytes) -> str:
    """The digest of samples, as it stands in a `$large` node."""
    return hashlib.sha256(b"".join(pieces)).hexdigest()


def sampled(
    writer: Writer,
    value: Any,
    size: int,
    facts: dict[str, Node],
    dump: Callable[[Any], bytes],
) -> Node | None:
    """The node of a table that is too large an argument; None if it is not.

    `value` has a length and slices, `size` is in bytes; `dump` gives the bytes of a
    slice, and `facts` hold its type and what else tells tables apart.
    """
    rows = len(value)
    if not writer.arguments or size <= SAMPLED_BYTES or not rows:
        return None
    some = min(rows, max(1, MIB * rows // size))
    digest = sample_digest(dump(value[:some]), dump(value[rows - some :]))
    return {"$large": facts.pop("type"), **facts, "rows": rows, "sample": digest}

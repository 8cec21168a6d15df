"""The chained digest of a run's events: what detects a changed or missing one.

Digest k = sha256(digest k-1, row k) cut to 16 bytes, so it covers the payload too.
"""

from hashlib import sha256


def first_digest(run_id: str) -> bytes:
    """The digest before a run's first event."""
    return sha256(run_id.encode()).digest()[:16]


def next_digest(
    previous: bytes,
    idx: int,
    type: str,
    at: int,
    step: str | None,
    attempt: int | None,
    mark: bytes | None,
    data: bytes | None,
) -> bytes:
    """The digest of event `idx`, whose row holds the other arguments."""
    row = f"{idx}\0{type}\0{at}\0{step}\0{attempt}\0".encode(errors="surrogatepass")
    return sha256(b"".join((previous, row, mark or b"-", data or b""))).digest()[:16]

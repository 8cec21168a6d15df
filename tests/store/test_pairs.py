"""Two events that share a row are read as two, wherever a reader begins."""

import pytest

from nbflow._store.base import Batch, EventRow
from nbflow._store.memory import MemoryStore
from nbflow._store.pairs import is_half, join, joined, split

DIGEST = b"d" * 16


def row(idx: int, type: str, data: bytes | None, step: str | None = "a") -> EventRow:
    return EventRow(1, idx, 1, type, 70 + idx, step, 1, b"mark", DIGEST, data)


PAIR = row(3, "step.completed", join(42, b'{"_args":[1]}', b'{"duration":0.5}'))


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    batch = Batch()
    batch.events += [row(1, "run.resumed", b"{}", None), PAIR]
    batch.events.append(row(4, "log", b"{}"))
    store.commit(batch)
    return store


def test_a_shared_row_is_two_events():
    first, second = split([PAIR])
    assert (first.idx, first.type, first.at) == (2, "step.started", 42)
    assert (first.step, first.attempt, first.mark) == ("a", 1, None)
    assert (first.data, second.data) == (b'{"_args":[1]}', b'{"duration":0.5}')
    assert second._replace(data=PAIR.data) == PAIR


def test_a_new_run_is_queued_and_started():
    data = join(42, b'{"workflow":"w"}', b"")
    first, second = split([row(2, "run.started", data, None)])
    assert (first.type, first.attempt, first.data) == (
        "run.queued",
        None,
        b'{"workflow":"w"}',
    )
    assert (second.type, second.attempt, second.data) == ("run.started", 1, b"")


def test_both_give_back_what_the_digest_covers():
    first, second = split([PAIR])
    assert is_half(first)
    assert not is_half(second)
    assert joined(first, second) == PAIR.data


@pytest.mark.parametrize("data", [b"[", b"[1,", b"[x,2,{}]", b"[-1,2,{}]", b"[\xfe,,"])
def test_a_damaged_row_is_one_event(data):
    damaged = row(3, "step.completed", data)
    assert list(split([damaged])) == [damaged]


@pytest.mark.parametrize("type", ["log", "data", "step.started"])
def test_other_types_are_never_taken_apart(type):
    event = row(3, type, PAIR.data)
    assert list(split([event])) == [event]


@pytest.mark.parametrize(
    ("after", "limit", "expected"),
    [
        (0, None, [1, 2, 3, 4]),
        (1, None, [2, 3, 4]),
        (2, None, [3, 4]),
        (3, None, [4]),
        (0, 2, [1, 2]),
        (2, 1, [3]),
        (1, 1, [2]),
    ],
)
def test_readers_may_begin_and_stop_between_the_two(store, after, limit, expected):
    assert [event.idx for event in store.events(1, after, limit)] == expected


@pytest.mark.parametrize(("count", "expected"), [(1, [4]), (2, [3, 4]), (3, [2, 3, 4])])
def test_a_tail_counts_events(store, count, expected):
    assert [event.idx for event in store.tail(1, count)] == expected

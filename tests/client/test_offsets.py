"""Offsets: opaque, and refused wherever they do not belong."""

import pytest

from nbflow import InvalidOffset, OffsetAhead, OffsetOtherStore
from nbflow.client.offsets import make_offset, read_offset


def read(offset, uid="u", run_id="r-1", n=1, head=10):
    return read_offset(offset, uid, run_id, n, head)


def test_an_offset_stands_for_its_index():
    for index in (0, 1, 10):
        assert read(make_offset("u", "r-1", 1, index)) == index


def test_start_and_now_are_words():
    assert read("-1") == 0
    assert read("now") == 10


@pytest.mark.parametrize("wrong", ["", "0", "3", "abc", None, 5, b"-1", "A" * 39, "é"])
def test_what_is_no_offset_is_refused(wrong):
    with pytest.raises(InvalidOffset, match=r"pass the \.offset"):
        read(wrong)


def test_a_changed_character_is_noticed():
    offset = make_offset("u", "r-1", 1, 3)
    for place, old in enumerate(offset):
        changed = offset[:place] + ("A" if old != "A" else "B") + offset[place + 1 :]
        with pytest.raises(InvalidOffset):
            read(changed)


def test_another_store_or_run_is_refused():
    with pytest.raises(OffsetOtherStore, match="another store"):
        read(make_offset("v", "r-1", 1, 3))
    with pytest.raises(OffsetOtherStore, match="another run"):
        read(make_offset("u", "r-2", 1, 3))


def test_a_deleted_runs_successor_of_the_same_id_is_another_run():
    with pytest.raises(OffsetOtherStore, match="another run"):
        read(make_offset("u", "r-1", 1, 3), n=2)


def test_an_index_that_is_not_there_yet_is_refused():
    with pytest.raises(OffsetAhead, match="which has 10"):
        read(make_offset("u", "r-1", 1, 11))

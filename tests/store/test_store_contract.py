"""What every kind of store does alike."""

from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbflow._store.base import CacheRow, CommandRow, WorkflowRow
from nbflow._store.memory import MemoryStore
from nbflow.errors import (
    EngineClosed,
    EngineFenced,
    InvalidCursor,
    InvalidOption,
    StoreDamaged,
    StoreError,
)


def test_a_new_store_is_empty_and_counts_runs_from_one(store):
    assert store.writer.next_run == 1
    assert store.writer.epoch == 1
    assert store.writer.unfinished() == []
    assert store.writer.run("run-1") is None
    assert store.reader().runs() == ([], None)


def test_runs_and_events_are_read_back_as_written(store, rows):
    run = rows.run(1, label="a", headers=b'{"h":"1"}', outcome=b"1", tail=b"xyz")
    events = [rows.event(1, 1, step=None, mark=None, data=None), rows.event(1, 2)]

    store.writer.commit(rows.batch(runs=[run], events=events))

    for reader in (store.writer, store.reader()):
        assert reader.run("run-1") == run
        assert reader.run_by_number(1) == run
        assert reader.events(1) == events


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 20])
def test_events_alone_are_written_whatever_their_number(store, rows, count):
    store.writer.commit(rows.batch(runs=[rows.run(1)]))
    events = [rows.event(1, i + 1, data=b"%d" % i) for i in range(count)]

    store.writer.commit(rows.batch(events=events))

    assert store.reader().events(1) == events


def test_an_empty_batch_is_no_error(store, rows):
    batch = rows.batch()
    assert not batch
    store.writer.commit(batch)


def test_an_update_changes_all_changing_columns(store, rows):
    run = rows.run(1)
    store.writer.commit(rows.batch(runs=[run]))
    update = rows.update(
        run, status="completed", outcome=b"7", ended=9, reason="r", last=3, tail=b"t"
    )

    store.writer.commit(rows.batch(updates=[update]))

    changed = run._replace(
        status="completed", outcome=b"7", ended=9, reason="r", last=3, tail=b"t"
    )
    assert store.reader().run("run-1") == changed


def test_a_batch_that_fails_leaves_nothing_and_the_writer_goes_on(store, rows):
    store.writer.commit(rows.batch(runs=[rows.run(1)]))
    bad = rows.batch(runs=[rows.run(2), rows.run(3, id="run-1")])

    with pytest.raises(StoreError, match="UNIQUE"):
        store.writer.commit(bad)

    assert store.writer.run("run-2") is None
    store.writer.commit(rows.batch(runs=[rows.run(2)], events=[rows.event(2, 1)]))
    assert store.writer.head(2) == 1


def test_one_bad_event_of_several_keeps_all_out(store, rows):
    store.writer.commit(rows.batch(runs=[rows.run(1)], events=[rows.event(1, 1)]))

    with pytest.raises(StoreError, match="UNIQUE"):
        store.writer.commit(rows.batch(events=[rows.event(1, 2), rows.event(1, 1)]))

    assert store.writer.head(1) == 1


def test_events_are_paged_by_index(store, rows):
    events = [rows.event(1, i) for i in range(1, 8)]
    store.writer.commit(rows.batch(runs=[rows.run(1)], events=events))
    reader = store.reader()

    assert [e.idx for e in reader.events(1, after=2, limit=3)] == [3, 4, 5]
    assert [e.idx for e in reader.tail(1, 2)] == [6, 7]
    assert reader.tail(1, 0) == []
    assert reader.head(1) == 7
    assert reader.head(2) == 0
    assert reader.last_event(1) == events[-1]
    assert reader.last_event(2) is None


def test_children_and_tree_follow_parents(store, rows):
    store.writer.commit(
        rows.batch(
            runs=[
                rows.run(1),
                rows.run(2, parent=1, root=1, depth=1),
                rows.run(3),
                rows.run(4, parent=2, root=1, depth=2),
                rows.run(5, parent=1, root=1, depth=1),
            ]
        )
    )
    reader = store.reader()

    assert [run.n for run in reader.children(1)] == [2, 5]
    assert [run.n for run in reader.tree(1)] == [1, 2, 4, 5]
    assert [run.n for run in reader.tree(2)] == [2, 4]


def test_unfinished_runs_come_oldest_first(store, rows):
    states = ["queued", "completed", "running", "failed"]
    runs = [rows.run(n + 1, status=state) for n, state in enumerate(states)]
    store.writer.commit(rows.batch(runs=runs))

    assert [run.n for run in store.writer.unfinished()] == [1, 3]
    assert store.reader().counts() == dict.fromkeys(states, 1)


def test_deleting_a_run_takes_its_events_and_cache_and_frees_its_children(store, rows):
    store.writer.commit(
        rows.batch(
            runs=[rows.run(1), rows.run(2, parent=1, root=1)],
            events=[rows.event(1, 1), rows.event(2, 1)],
            cache=[CacheRow(b"one", 1, 1, 5), CacheRow(b"two", 2, 1, 5)],
        )
    )

    store.writer.commit(rows.batch(deletes=[1]))

    assert store.writer.run("run-1") is None
    assert store.writer.events(1) == []
    assert store.writer.cached(b"one") is None
    assert store.writer.cached(b"two") == rows.event(2, 1)
    assert store.writer.run("run-2").parent is None


def test_the_number_of_a_deleted_run_is_never_used_again(store, rows):
    store.writer.commit(rows.batch(runs=[rows.run(1), rows.run(2)]))
    store.writer.commit(rows.batch(deletes=[2]))

    assert store.take_over().next_run == 3


def test_commands_are_remembered_until_they_are_old(store, rows):
    day = 24 * 3600 * 1_000_000
    commands = [CommandRow("a", 10, b"1"), CommandRow("b", 10 + day, b"2")]
    store.writer.commit(rows.batch(commands=commands))
    assert store.reader().command("a") == b"1"

    store.writer.maintain(now=day + 20)

    assert store.reader().command("a") is None
    assert store.reader().command("b") == b"2"


def test_the_catalogue_keeps_the_newest_of_each_name(store, rows):
    old = WorkflowRow("w", "1:a", b"{}", None, "def w(): ...", "app::w", 1)
    new = old._replace(definition="1:b", at=2)
    other = WorkflowRow("a", None, None, None, None, None, None)
    store.writer.commit(rows.batch(catalogue=[old, other]))
    store.writer.commit(rows.batch(catalogue=[new]))

    assert store.reader().workflows() == [other, new]


def test_a_writer_that_was_taken_over_is_fenced(store, rows):
    store.writer.commit(rows.batch(runs=[rows.run(1)]))
    taker = store.take_over()

    for batch in (
        rows.batch(events=[rows.event(1, 1)]),
        rows.batch(events=[rows.event(1, 1), rows.event(1, 2)]),
        rows.batch(runs=[rows.run(2)]),
    ):
        with pytest.raises(EngineFenced, match="took"):
            store.writer.commit(batch)

    assert taker.epoch == store.writer.epoch + 1
    assert taker.head(1) == 0
    taker.commit(rows.batch(events=[rows.event(1, 1)]))
    assert taker.head(1) == 1


def test_blobs_are_kept_by_digest(store):
    data = b"x" * 10_000
    digest = sha256(data).hexdigest()

    store.writer.put_blob(digest, data)
    store.writer.put_blob(digest, data)

    assert store.writer.get_blob(digest) == data
    assert store.reader().get_blob(digest) == data
    with pytest.raises(StoreDamaged, match="missing"):
        store.reader().get_blob("0" * 64)


def test_the_stamp_moves_with_each_commit_and_only_then(store, rows):
    reader = store.reader()
    before = reader.stamp()
    assert reader.stamp() == before

    store.writer.commit(rows.batch(runs=[rows.run(1)]))

    assert reader.stamp() != before


def test_a_closed_store_says_so(store, rows):
    reader = store.reader()
    reader.close()
    reader.close()
    store.writer.close()
    store.writer.close()

    with pytest.raises(EngineClosed, match="closed"):
        reader.run("run-1")
    with pytest.raises(EngineClosed, match="closed"):
        store.writer.commit(rows.batch(runs=[rows.run(1)]))


class TestRunLists:
    def fill(self, store, rows):
        store.writer.commit(
            rows.batch(
                runs=[
                    rows.run(1, label="Übung", status="failed"),
                    rows.run(2, workflow="crawl", status="completed"),
                    rows.run(3, parent=1, root=1, label="b"),
                    rows.run(4, parent=2, root=2, status="queued", id="Nightly-4"),
                ]
            )
        )
        return store.reader()

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({}, [4, 3, 2, 1]),
            ({"status": "failed"}, [1]),
            ({"status": ["failed", "queued"]}, [4, 1]),
            ({"status": []}, []),
            ({"workflow": "crawl"}, [2]),
            ({"workflow": ["crawl", "none"]}, [2]),
            ({"label": ["b", "Übung"]}, [3, 1]),
            ({"parent": "run-1"}, [3]),
            ({"parent": ["run-1", "run-2"]}, [4, 3]),
            ({"parent": "unknown"}, []),
            ({"since": 1_000_003}, [4, 3]),
            ({"search": "NIGHT"}, [4]),
            ({"search": "übUNG"}, [1]),
            ({"search": "Crawl"}, [2]),
            ({"search": "100%"}, []),
            ({"status": "running", "workflow": "crawl"}, []),
        ],
    )
    def test_filters_select(self, store, rows, filters, expected):
        reader = self.fill(store, rows)
        assert [run.n for run in reader.runs(**filters).rows] == expected

    def test_prefixes_are_found(self, store, rows):
        reader = self.fill(store, rows)
        assert reader.find("run-") == ["run-1", "run-2"]
        assert reader.find("Nig") == ["Nightly-4"]
        assert reader.find("none") == []

    def test_pages_are_stable_while_runs_come(self, store, rows):
        reader = self.fill(store, rows)
        first = reader.runs(limit=2)
        store.writer.commit(rows.batch(runs=[rows.run(5)]))

        second = reader.runs(limit=2, cursor=first.cursor)

        assert [run.n for run in first.rows + second.rows] == [4, 3, 2, 1]
        assert second.cursor is None

    @pytest.mark.parametrize("limit", [0, -1, 1001, True])
    def test_limits_are_checked(self, store, limit):
        with pytest.raises(InvalidOption, match="1 to 1,000") as caught:
            store.reader().runs(limit=limit)
        assert caught.value.option == "limit"

    def test_cursors_of_another_store_are_refused(self, store, rows):
        other = MemoryStore()
        other.commit(rows.batch(runs=[rows.run(1), rows.run(2)]))
        foreign = other.reader().runs(limit=1).cursor

        with pytest.raises(InvalidCursor, match="another store"):
            store.reader().runs(cursor=foreign)

    @pytest.mark.parametrize("cursor", ["", "x", "é" * 28, "A" * 28, "-" * 28, 7])
    def test_malformed_cursors_are_refused(self, store, cursor):
        with pytest.raises(InvalidCursor, match="not a cursor"):
            store.reader().runs(cursor=cursor)

    def test_a_changed_cursor_is_refused(self, store, rows):
        reader = self.fill(store, rows)
        cursor = reader.runs(limit=2).cursor
        changed = ("B" if cursor[-1] == "A" else "A").join([cursor[:-1], ""])

        with pytest.raises(InvalidCursor):
            reader.runs(cursor=changed)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    states=st.lists(st.sampled_from(["queued", "running", "failed"]), max_size=40),
    wanted=st.lists(st.sampled_from(["queued", "running", "failed"]), unique=True),
    limit=st.integers(1, 7),
    data=st.data(),
)
def test_pages_put_together_are_the_whole_list(rows, states, wanted, limit, data):
    writer = MemoryStore()
    reader = writer.reader()
    runs = [rows.run(n + 1, status=state) for n, state in enumerate(states)]
    writer.commit(rows.batch(runs=runs))
    chosen = [run.n for run in reversed(runs) if not wanted or run.status in wanted]

    seen: list[int] = []
    cursor = None
    while True:
        page = reader.runs(status=wanted or None, limit=limit, cursor=cursor)
        seen += [run.n for run in page.rows]
        cursor = page.cursor
        if data.draw(st.booleans()):
            newest = rows.run(writer.next_run + 1000 + len(seen))
            if reader.run(newest.id) is None:
                writer.commit(rows.batch(runs=[newest]))
        if cursor is None:
            break

    assert seen == chosen

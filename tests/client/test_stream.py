"""Streams and lists of events."""

import asyncio
import threading
import time

import pytest

from nbflow import (
    Client,
    Context,
    InvalidOffset,
    InvalidOption,
    OffsetOtherStore,
    RunNotFound,
    StoreDamaged,
    workflow,
)
from nbflow._engine import hosts
from nbflow._store.base import Batch
from nbflow.client.access import Access
from nbflow.client.stream import Stream, read_earlier, read_events

gate = threading.Event()


def wait_for_gate() -> None:
    gate.wait(60)


@workflow(retries=0)
async def three(ctx: Context) -> int:
    for place in range(3):
        await ctx.run("step", int, place)
    return 3


@workflow(retries=0)
async def gated(ctx: Context) -> None:
    await ctx.run("gate", wait_for_gate)


@workflow(retries=0)
async def failing(ctx: Context, text: str = "no") -> None:
    raise ValueError(text)


class Memory(Access):
    """An app whose store is the script's."""

    def __init__(self, script):
        super().__init__(None, "app")
        self.script = script
        self._reader = script.commit()

    def host(self):
        return None

    def add(self, *args, **fields):
        self.script.add(*args, **fields)
        self.script.commit()


@pytest.fixture
def app(script):
    return Memory(script)


@pytest.fixture(autouse=True)
def closed_gate():
    gate.clear()
    yield
    gate.set()


def indexes(events):
    return [event.index for event in events]


class TestEvents:
    def test_all_events_are_listed_with_where_to_go_on(self, script, app):
        events = read_events(app, "r-1")
        assert indexes(events) == [1, 2]
        assert not events.ended
        script.step("a", 1)
        script.end("completed", value=1)
        script.commit()
        rest = read_events(app, "r-1", events.offset)
        assert indexes(rest) == [3, 4, 5]
        assert rest.ended
        assert indexes(read_events(app, "r-1", rest.offset)) == []
        assert read_events(app, "r-1", rest.offset).ended

    def test_a_resumed_run_has_not_ended(self, script, app):
        script.end("failed", error={})
        script.resumed()
        script.commit()
        assert not read_events(app, "r-1").ended

    def test_now_is_what_comes(self, app):
        assert read_events(app, "r-1", "now") == []

    def test_wrong_offsets_are_errors_not_empty_lists(self, app, new_script):
        with pytest.raises(InvalidOffset):
            read_events(app, "r-1", "7")
        other = Memory(new_script())
        with pytest.raises(OffsetOtherStore):
            read_events(other, "r-1", read_events(app, "r-1").offset)

    def test_an_unknown_run_is_an_error(self, app):
        with pytest.raises(RunNotFound, match="no run 'r-2' in app 'app'"):
            read_events(app, "r-2")

    def test_a_changed_event_is_named(self, script, app):
        script.add("step.started", "a", 1)
        script.events[-1] = script.events[-1]._replace(data=b'{"_args":1}')
        script.commit()
        with pytest.raises(StoreDamaged, match=r"event 3 \(step.started of step 'a'\)"):
            read_events(app, "r-1")


class TestStream:
    def test_an_ended_run_gives_the_rest_and_ends(self, script, app):
        script.step("a", 1)
        script.end("completed", value=1)
        script.commit()
        stream = Stream(app, "r-1")
        assert indexes(stream) == [1, 2, 3, 4, 5]
        assert indexes(stream) == []
        assert indexes(Stream(app, "r-1", stream.offset)) == []
        assert indexes(Stream(app, "r-1", "now")) == []

    def test_the_offset_moves_after_each_event(self, script, app):
        script.step("a", 1)
        script.commit()
        stream = Stream(app, "r-1", live=False)
        for expected in (2, 3, 4):
            next(stream)
            rest = read_events(app, "r-1", stream.offset)
            assert indexes(rest)[:1] == [expected]

    def test_events_of_former_lives_do_not_end_it(self, script, app):
        script.end("failed", error={})
        script.resumed()
        script.end("completed", value=1)
        script.commit()
        types = [event.type for event in Stream(app, "r-1")]
        assert types[2:] == ["run.failed", "run.resumed", "run.completed"]

    def test_it_ends_with_the_life_that_was_there_at_opening(self, script, app):
        stream = Stream(app, "r-1")
        script.end("failed", error={})
        script.resumed()
        script.commit()
        assert [event.type for event in stream][-1] == "run.failed"
        assert list(stream) == []
        again = Stream(app, "r-1", stream.offset)
        assert next(again).type == "run.resumed"

    def test_without_live_it_ends_with_what_is_there(self, script, app):
        stream = Stream(app, "r-1", live=False)
        script.step("a", 1)
        script.commit()
        assert indexes(stream) == [1, 2]

    def test_the_tail_is_the_last_ones(self, script, app):
        script.step("a", 1)
        script.commit()
        assert indexes(Stream(app, "r-1", tail=2, live=False)) == [3, 4]
        assert indexes(Stream(app, "r-1", tail=100, live=False)) == [1, 2, 3, 4]
        listed = read_events(app, "r-1", tail=2)
        assert [event.index for event in listed] == [3, 4]
        assert listed.offset == read_events(app, "r-1").offset

    def test_earlier_events_are_the_last_ones_before_one(self, script, app):
        script.step("a", 1)
        script.commit()

        def earlier(before, count):
            return [event.index for event in read_earlier(app, "r-1", before, count)]

        assert earlier(4, 2) == [2, 3]
        assert earlier(4, 100) == [1, 2, 3]
        assert earlier(1, 100) == []
        assert earlier(99, 2) == [3, 4]

    @pytest.mark.parametrize("tail", [0, -1, True, 1.5, "2"])
    def test_a_tail_is_a_whole_number(self, app, tail):
        with pytest.raises(InvalidOption, match="1 or more events"):
            Stream(app, "r-1", tail=tail)
        with pytest.raises(InvalidOption, match="tail="):
            read_events(app, "r-1", tail=tail)

    def test_a_tail_goes_with_the_start_only(self, app):
        with pytest.raises(InvalidOption, match="offset='-1' only"):
            Stream(app, "r-1", "now", tail=1)

    def test_more_than_a_page_is_read_whole(self, script, app):
        for place in range(1_200):
            script.add("log", message=str(place), level="info", source="ctx")
        script.commit()
        assert len(list(Stream(app, "r-1", live=False))) == 1_202

    def test_a_deleted_run_is_told(self, script, app):
        stream = Stream(app, "r-1")
        assert indexes([next(stream), next(stream)]) == [1, 2]
        batch = Batch()
        batch.deletes.append(1)
        script.store.commit(batch)
        with pytest.raises(RunNotFound, match="was deleted"):
            next(stream)

    def test_another_process_is_followed_by_looking(self, script, app):
        stream = Stream(app, "r-1", "now")
        timer = threading.Timer(0.05, lambda: app.add("log", message="hi"))
        timer.start()
        assert next(stream).data["message"] == "hi"
        timer.join()

    def test_cancel_ends_it_from_another_thread(self, app):
        stream = Stream(app, "r-1")
        timer = threading.Timer(0.05, stream.cancel)
        timer.start()
        assert indexes(stream) == [1, 2]
        timer.join()

    def test_leaving_it_as_a_context_cancels_it(self, app):
        with Stream(app, "r-1") as stream:
            next(stream)
        assert list(stream) == []

    def test_it_is_an_async_iterator_too(self, script, app):
        script.step("a", 1)
        script.end("completed", value=1)
        script.commit()

        async def main():
            return [event.index async for event in Stream(app, "r-1")]

        assert asyncio.run(main()) == [1, 2, 3, 4, 5]

    def test_waiting_async_leaves_the_loop_free(self, script, app):
        async def main():
            stream = Stream(app, "r-1", "now")
            waiter = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0.05)
            app.add("log", message="hi")
            event = await asyncio.wait_for(waiter, 2)
            assert event.data["message"] == "hi"
            waiter = asyncio.ensure_future(anext(stream, None))
            await asyncio.sleep(0.05)
            stream.cancel()
            assert await asyncio.wait_for(waiter, 2) is None

        asyncio.run(main())


class TestWithEngine:
    def test_events_come_while_the_run_goes_on(self, serve):
        handle = serve(gated).client.workflows.invoke("gated")
        seen = []
        for event in handle.stream():
            seen.append(event.type.value)
            if event.type == "step.started":
                gate.set()
        assert seen == [
            "run.queued",
            "run.started",
            "step.started",
            "step.completed",
            "run.completed",
        ]

    def test_an_event_is_handed_out_soon_after_its_commit(self, serve):
        handle = serve(gated).client.workflows.invoke("gated")
        stream = handle.stream("now")
        opened = []

        def open_gate() -> None:
            opened.append(time.monotonic())
            gate.set()

        threading.Timer(0.3, open_gate).start()
        assert [event.type for event in stream][-1] == "run.completed"
        assert time.monotonic() - opened[0] < 20

    def test_cancel_is_seen_at_once(self, serve):
        handle = serve(gated).client.workflows.invoke("gated")
        stream = handle.stream()
        timer = threading.Timer(0.1, stream.cancel)
        timer.start()
        list(stream)
        gate.set()
        handle.result(60)
        assert list(stream) == []
        timer.join()

    def test_many_streams_of_one_run_agree(self, serve):
        client = serve(three).client
        handle = client.workflows.invoke("three")

        async def main():
            async def read():
                return [event.index async for event in handle.stream()]

            return await asyncio.gather(*(read() for _ in range(20)))

        first, *others = asyncio.run(main())
        assert first == list(range(1, len(first) + 1))
        assert all(other == first for other in others)

    def test_a_stream_goes_on_over_a_restart_of_the_engine(self, serve, home):
        engine = serve(gated)
        handle = engine.client.workflows.invoke("gated")
        stream = handle.stream()
        assert next(stream).type == "run.queued"
        engine.close()
        gate.set()
        serve(gated)
        types = [event.type for event in stream]
        assert types[-1] == "run.completed"
        assert "run.resumed" in types

    def test_a_store_on_disk_is_read_without_its_engine(self, serve, home):
        engine = serve(three)
        run_id = engine.client.workflows.invoke("three", wait="result").run_id
        engine.close()
        assert hosts.find(hosts.store_key(home / "t")) is None
        events = Client(home, "t").runs.events(run_id)
        assert events.ended
        assert indexes(events) == list(range(1, 10))


class TestReadingWithoutWaiting:
    def test_it_gives_what_is_there_and_ends_with_the_run(self, script):
        memory = Memory(script)
        stream = Stream(memory, "r-1")
        assert [event.index for event in stream.read()] == [1, 2]
        assert stream.read() == []
        assert not stream.ended
        script.step("a", 1)
        script.end("completed")
        script.commit()
        assert [event.type.value for event in stream.read()] == [
            *("step.started", "step.completed", "run.completed")
        ]
        assert stream.ended
        assert stream.read() == []

    def test_it_moves_the_offset_and_a_canceled_one_gives_nothing(self, script):
        memory = Memory(script)
        stream = Stream(memory, "r-1")
        stream.read()
        script.step("a", 1)
        script.commit()
        again = Stream(memory, "r-1", stream.offset)
        assert [event.step for event in again.read()] == ["a", "a"]
        stream.cancel()
        assert stream.read() == []

    def test_events_tell_the_branches_that_a_step_is_in(self, script):
        script.step("work~0\x1fget http://host/a\x1e1", 1)
        last = Stream(Memory(script), "r-1").read()[-1]
        assert last.path == ("work~0", "get http://host/a:1")
        assert last.step == "work~0/get http://host/a:1"

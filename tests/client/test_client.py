"""The client on an engine of the same process."""

import datetime as dt
import pickle
import sys
import threading

import pytest

from nbflow import (
    Client,
    Context,
    Engine,
    FlowControl,
    InvalidCursor,
    InvalidDuration,
    InvalidInput,
    InvalidOption,
    InvalidRunId,
    RunActive,
    RunFinished,
    RunNotFound,
    StepNotFound,
    StoreDamaged,
    WorkflowNotFound,
    workflow,
)
from nbflow.client import RunHandle, WaitResult
from nbflow.errors import AmbiguousRunId
from nbflow.model import RunStatus
from nbflow.testing import TestEngine

calls: list[int] = []


def note(x: int) -> int:
    calls.append(x)
    return x


@workflow(retries=0)
async def add(ctx: Context, a: int, b: int = 1) -> int:
    first = await ctx.run("first", note, a)
    second = await ctx.run("second", note, b)
    return first + second


@workflow(retries=0)
async def nap(ctx: Context) -> str:
    await ctx.sleep("pause", "1h")
    return "rested"


@workflow(retries=0)
async def parent(ctx: Context) -> int:
    return await ctx.invoke("kid", add, {"a": 1})


let_go = threading.Semaphore(0)


@workflow(retries=0)
async def hog(ctx: Context) -> None:
    let_go.acquire(timeout=60)  # blocks the engine's loop at once


@pytest.fixture
def client(serve):
    calls.clear()
    return serve(add, nap, parent, hog).client


def ids(runs):
    return [run.run_id for run in runs]


class TestHomeOfTheEngine:
    """NBFLOW_HOME is another one than that in which this process runs the app."""

    @pytest.fixture
    def moved(self, tmp_path, monkeypatch):
        monkeypatch.setenv("NBFLOW_HOME", str(tmp_path / "first"))
        with Engine(app="moved", workflows=[add]) as engine:
            engine.client.workflows.invoke("add", input={"a": 1}, wait="result")
            monkeypatch.setenv("NBFLOW_HOME", str(tmp_path / "second"))
            yield tmp_path / "first"

    def test_here_is_where_the_engine_is(self, moved, tmp_path):
        client = Client.here("moved")
        assert client.home == moved
        assert len(client.runs.list()) == 1
        assert Client.here("other").home == tmp_path / "second"

    def test_a_client_says_that_it_reads_another_home(self, moved, tmp_path):
        with pytest.warns(UserWarning, match="but the engine of app 'moved'") as said:
            client = Client(app="moved")
        assert f"nbflow.Client({str(moved)!r}, 'moved')" in str(said[0].message)
        assert client.home == tmp_path / "second"
        # One that is named is meant.
        assert Client(tmp_path / "second", "moved").runs.list() == []


class TestInvoke:
    def test_it_is_durable_when_it_returns(self, client, home):
        handle = client.workflows.invoke("nap")
        assert isinstance(handle, RunHandle)
        assert Client(home, "t").runs.get(handle.run_id).workflow == "nap"

    def test_it_returns_although_the_body_blocks_the_loop_at_once(self, client):
        for _ in range(50):
            handle = client.workflows.invoke("hog")
            let_go.release()  # not before: it has returned
            handle.result(60)

    def test_wait_gives_id_and_result(self, client):
        found = client.workflows.invoke("add", input={"a": 2}, wait="result")
        assert isinstance(found, WaitResult)
        assert found == (found.run_id, 3)

    def test_options_are_recorded(self, client):
        handle = client.workflows.invoke(
            "nap", run_id="mine", headers={"k": "v"}, label="night", retries=1
        )
        run = handle.run
        assert (run.run_id, run.label, run.headers) == ("mine", "night", {"k": "v"})
        assert run.retries == 1

    def test_a_delayed_run_waits(self, client):
        moment = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
        handle = client.workflows.invoke("add", input={"a": 1}, not_before=moment)
        assert handle.status is RunStatus.QUEUED
        assert handle.run.not_before == moment
        assert handle.run.waiting[0].startswith("not before ")
        later = client.workflows.invoke("add", input={"a": 1}, delay="1h")
        assert later.run.not_before > moment
        soon = client.workflows.invoke("add", input={"a": 1}, delay=0.01)
        assert soon.result(60) == 2

    def test_wrong_input_records_no_run(self, client):
        with pytest.raises(InvalidInput, match="'add'"):
            client.workflows.invoke("add", input={"a": "x"})
        with pytest.raises(InvalidInput):
            client.workflows.invoke_many("add", [{"a": 1}, {"a": "x"}])
        assert client.runs.list() == []

    def test_an_unknown_name_comes_with_the_nearest(self, client):
        with pytest.raises(WorkflowNotFound, match="It has 'add'"):
            client.workflows.invoke("ad")
        with pytest.raises(WorkflowNotFound):
            client.workflows.get("ad")

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"wait": True}, InvalidOption),
            ({"run_id": "a b"}, InvalidRunId),
            ({"headers": {"a": 1}}, InvalidOption),
            ({"delay": "soon"}, InvalidDuration),
            ({"not_before": dt.datetime(2030, 1, 1)}, InvalidDuration),
            ({"delay": 1, "not_before": dt.datetime(2030, 1, 1)}, InvalidOption),
            ({"label": ""}, InvalidOption),
            ({"retries": -1}, InvalidOption),
        ],
    )
    def test_wrong_options_are_refused(self, client, options, error):
        with pytest.raises(error):
            client.workflows.invoke("nap", **options)
        assert client.runs.list() == []

    def test_many_are_started_at_once(self, client):
        handles = client.workflows.invoke_many(
            "add", [{"a": i} for i in range(50)], label="batch"
        )
        assert [handle.result(60) for handle in handles] == list(range(1, 51))
        first = [client.runs.events(each.run_id)[0] for each in handles]
        assert {event.data["label"] for event in first} == {"batch"}
        assert client.workflows.invoke_many("add", []) == []

    def test_many_take_the_options_of_one(self, client):
        limit = FlowControl("many", parallelism=1)
        handles = client.workflows.invoke_many(
            "add", [{"a": 1}, {"a": 2}], flow_control=limit, delay="1h"
        )
        for handle in handles:
            assert handle.run.not_before is not None
            assert handle.status == "queued"
        assert len(client.runs.cancel([each.run_id for each in handles])) == 2
        past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        for handle in client.workflows.invoke_many(
            "add", [{"a": 1}] * 2, flow_control=limit, not_before=past
        ):
            assert handle.result(60) == 2
        assert client.flow_control.get("many").parallelism == 1
        with pytest.raises(InvalidOption, match="give one"):
            client.workflows.invoke_many("add", [], delay=1, not_before=past)

    def test_the_catalogue_lists_what_is_served(self, client, home):
        assert [info.name for info in client.workflows.list()] == [
            "add",
            "hog",
            "nap",
            "parent",
        ]
        info = client.workflows.get("add")
        assert set(info.input_schema["properties"]) == {"a", "b"}
        assert "async def add" in info.source
        stranger = Client(home, "t").workflows.get("add")
        assert stranger.definition == info.definition


class TestList:
    def test_newest_first_with_filters(self, client):
        a = client.workflows.invoke("add", input={"a": 1}, label="x")
        b = client.workflows.invoke("nap", label="y")
        c = client.workflows.invoke("add", input={"a": 2}, label="y")
        a.result(60), c.result(60)
        runs = client.runs
        assert ids(runs.list()) == [c.run_id, b.run_id, a.run_id]
        assert ids(runs.list(status="running")) == [b.run_id]
        with pytest.raises(InvalidOption, match="status='runing'"):
            runs.list(status=["running", "runing"])
        assert ids(runs.list(workflow=["add", "nap"], label="y")) == [
            c.run_id,
            b.run_id,
        ]
        assert ids(runs.list(search=a.run_id.upper())) == [a.run_id]
        assert ids(runs.list(since="1h")) == ids(runs.list())
        tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
        assert runs.list(since=tomorrow) == []

    def test_pages_are_stable(self, client):
        client.workflows.invoke_many("add", [{"a": i} for i in range(5)])
        first = client.runs.list(limit=2)
        client.workflows.invoke("add", input={"a": 9}).result(60)
        second = client.runs.list(limit=2, cursor=first.cursor)
        third = client.runs.list(limit=2, cursor=second.cursor)
        assert third.cursor is None
        assert len({*ids(first), *ids(second), *ids(third)}) == 5
        with pytest.raises(InvalidCursor):
            client.runs.list(cursor="x")

    def test_children_and_parents_know_each_other(self, client):
        handle = client.workflows.invoke("parent")
        handle.result(60)
        (child,) = client.runs.list(parent=handle.run_id)
        assert handle.run.children == (child.run_id,)
        assert (child.parent, child.parent_step) == (handle.run_id, "kid")
        assert child.root_run_id == handle.run_id
        assert handle.steps["kid"].child_run_id == child.run_id

    def test_naive_times_are_refused(self, client):
        with pytest.raises(InvalidDuration, match="aware"):
            client.runs.list(since=dt.datetime(2026, 1, 1))

    def test_a_prefix_finds_the_one_run(self, client):
        for name in ("alpha-1", "alpha-2", "beta"):
            client.workflows.invoke("add", input={"a": 1}, run_id=name).result(60)
        assert client.runs.find("be") == "beta"
        assert client.runs.find("alpha-1") == "alpha-1"
        with pytest.raises(AmbiguousRunId, match="alpha-1, alpha-2"):
            client.runs.find("alpha")
        with pytest.raises(RunNotFound, match="no run 'gamma'"):
            client.runs.find("gamma")

    def test_tables_have_a_row_a_run_or_step(self, client):
        pytest.importorskip("pandas")
        handle = client.workflows.invoke("add", input={"a": 1})
        handle.result(60)
        table = client.runs.frame(workflow="add")
        assert list(table["run_id"]) == [handle.run_id]
        assert list(table["status"]) == ["completed"]
        assert list(handle.frame()["step"]) == ["first", "second"]
        assert "run_id" in client.runs.frame(workflow="nope").columns

    def test_without_pandas_a_table_says_what_to_do(self, client, monkeypatch):
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ImportError, match="pip install pandas"):
            client.runs.frame()


class TestCancel:
    def test_one_or_several_and_which_were_new(self, client):
        a, b = (client.workflows.invoke("nap").run_id for _ in range(2))
        assert client.runs.cancel(a, reason="no") == [a]
        assert client.runs.cancel([a, b]) == [b]
        assert client.runs.get(a).cancel_reason == "no"
        assert client.runs.get(a).status is RunStatus.CANCELED

    def test_filters_mean_unfinished_runs_only(self, client):
        done = client.workflows.invoke("add", input={"a": 1})
        done.result(60)
        a = client.workflows.invoke("nap", label="x").run_id
        b = client.workflows.invoke("nap", label="y").run_id
        assert client.runs.cancel(status="completed") == []
        assert client.runs.cancel(label="x") == [a]
        assert client.runs.cancel(workflow=["nap", "add"], since="1h") == [b]
        assert done.status is RunStatus.COMPLETED

    def test_nothing_is_never_everything(self, client):
        client.workflows.invoke("nap")
        assert client.runs.cancel([]) == []
        with pytest.raises(TypeError, match="it never means all runs"):
            client.runs.cancel()
        with pytest.raises(TypeError):
            client.runs.cancel("r-1", status="running")
        with pytest.raises(InvalidOption, match="status='runing'"):
            client.runs.cancel(status="runing")
        assert len(client.runs.list(status="running")) == 1

    def test_an_unknown_id_cancels_nothing(self, client):
        a = client.workflows.invoke("nap").run_id
        with pytest.raises(RunNotFound, match="no run 'nope'"):
            client.runs.cancel([a, "nope"])
        assert client.runs.get(a).status is RunStatus.RUNNING


class TestResume:
    def test_only_what_failed_or_was_canceled(self, client):
        live = client.workflows.invoke("nap")
        with pytest.raises(RunActive, match="Cancel it first"):
            client.runs.resume(live.run_id)
        with pytest.raises(RunActive):
            client.runs.resume(live.run_id, plan=True)
        done = client.workflows.invoke("add", input={"a": 1})
        done.result(60)
        with pytest.raises(RunFinished, match="use rerun"):
            client.runs.resume(done.run_id)
        with pytest.raises(RunNotFound):
            client.runs.resume("nope")

    def test_a_canceled_run_goes_on(self, client):
        handle = client.workflows.invoke("nap")
        next(event for event in handle.stream() if event.step == "pause")
        handle.cancel()
        resumed = client.runs.resume(handle.run_id)
        assert resumed.status is RunStatus.RUNNING
        assert resumed.steps["pause"].status == "sleeping"

    def test_refreshed_steps_run_again_and_stale_ones_are_marked(self, serve):
        calls.clear()

        @workflow(name="edit", retries=0)
        async def before(ctx: Context) -> int:
            a = await ctx.run("first", note, 1)
            b = await ctx.run("second", note, 2)
            raise ValueError(a + b)

        @workflow(name="edit", retries=0)
        async def after(ctx: Context) -> int:
            a = await ctx.run("first", note, 1)
            return a + await ctx.run("second", note, 2)

        engine = serve(before)
        handle = engine.client.workflows.invoke("edit")
        with pytest.raises(Exception, match="3"):
            handle.result(60)
        engine.close()
        client = serve(after).client
        handle = client.runs.handle(handle.run_id)
        plan = handle.resume(plan=True, refresh="second")
        assert (plan.kept, plan.to_run) == (("first",), ("second",))
        assert handle.resume(refresh="second").result(60) == 3
        assert calls == [1, 2, 2]


class TestRerun:
    def test_a_new_run_of_present_code(self, client):
        old = client.workflows.invoke("add", input={"a": 5})
        old.result(60)
        new = client.runs.rerun(old.run_id)
        assert new.result(60) == 6
        assert (new.run.rerun_of, new.run_id != old.run_id) == (old.run_id, True)
        assert old.rerun(input={"a": 7, "b": 1}).result(60) == 8

    def test_from_a_step_on_the_former_ones_are_kept(self, client):
        old = client.workflows.invoke("add", input={"a": 5})
        old.result(60)
        calls.clear()
        new = client.runs.rerun(old.run_id, from_step="second", step_input=[30])
        assert new.result(60) == 35
        assert calls == [30]
        assert new.run.from_step == "second"

    def test_wrong_steps_are_refused(self, client):
        old = client.workflows.invoke("add", input={"a": 5})
        old.result(60)
        with pytest.raises(StepNotFound, match="Its steps: 'first', 'second'"):
            client.runs.rerun(old.run_id, from_step="third")
        with pytest.raises(InvalidOption, match="from_step= only"):
            client.runs.rerun(old.run_id, step_input=[1])
        with pytest.raises(InvalidOption, match="list of the positional"):
            client.runs.rerun(old.run_id, from_step="second", step_input="x")
        with pytest.raises(InvalidInput):
            client.runs.rerun(old.run_id, input={"a": "x"})
        assert len(client.runs.list()) == 1


class TestDelete:
    def test_ended_runs_only(self, client):
        done = client.workflows.invoke("add", input={"a": 5})
        done.result(60)
        live = client.workflows.invoke("nap")
        with pytest.raises(RunActive, match="Cancel it first"):
            client.runs.delete([done.run_id, live.run_id])
        assert client.runs.delete([done.run_id, done.run_id]) == 1
        with pytest.raises(RunNotFound):
            client.runs.get(done.run_id)
        with pytest.raises(RunNotFound):
            client.runs.delete(done.run_id)
        assert client.runs.delete([]) == 0

    def test_prune_needs_a_criterion(self, client):
        for handle in client.workflows.invoke_many("add", [{"a": 1}] * 5):
            handle.result(60)
        client.workflows.invoke("nap")
        runs = client.runs
        assert runs.prune() == 0
        assert runs.prune(older_than="1h") == 0
        assert runs.prune(keep=2, dry_run=True) == 3
        assert len(runs.list()) == 6
        newest = ids(runs.list(status="completed"))[:2]
        assert runs.prune(keep=2) == 3
        assert ids(runs.list(status="completed")) == newest
        assert runs.prune(status=["completed", "running"]) == 2
        assert len(runs.list()) == 1
        with pytest.raises(InvalidOption):
            runs.prune(keep=-1)


class TestPlaces:
    def test_without_a_store_nothing_is_there_and_nothing_is_made(self, home):
        client = Client(home, "t")
        assert client.runs.list() == []
        assert client.workflows.list() == []
        assert client.runs.cancel([]) == []
        assert client.runs.cancel(status="running") == []
        assert client.runs.prune(keep=0) == 0
        for call in (
            lambda: client.runs.get("r-1"),
            lambda: client.runs.events("r-1"),
            lambda: client.runs.stream("r-1"),
            lambda: client.runs.cancel("r-1"),
            lambda: client.runs.resume("r-1"),
            lambda: client.runs.delete("r-1"),
        ):
            with pytest.raises(RunNotFound, match="no run 'r-1'"):
                call()
        with pytest.raises(WorkflowNotFound, match="Start an engine"):
            client.workflows.invoke("add", input={"a": 1})
        assert not home.exists()

    def test_a_client_made_before_the_store_finds_it_later(self, home, serve):
        client = Client(home, "t")
        assert client.runs.list() == []
        serve(add)
        assert client.workflows.invoke("add", input={"a": 1}).result(60) == 2

    def test_the_only_app_of_a_home_is_taken(self, home, serve):
        serve(add)
        assert Client(home).app == "t"

    def test_a_store_in_memory_has_a_client_too(self):
        async def main():
            async with TestEngine() as engine:
                assert await engine.run(add, 1, 2) == 3
                (run,) = engine.client.runs.list()
                assert run.result == 3
                assert engine.client.home is None
                await engine.client.workflows.invoke("add", input={"a": 4})

        import asyncio

        asyncio.run(main())

    def test_displays_name_the_app(self, client):
        assert "app 't'" in repr(client)
        assert "app 't'" in repr(client.runs)
        assert "app 't'" in repr(client.workflows)

    def test_records_outlive_the_process(self, client):
        handle = client.workflows.invoke("add", input={"a": 4})
        handle.result(60)
        run = pickle.loads(pickle.dumps(handle.run))
        assert (run.result, run.input) == (5, {"a": 4, "b": 1})

    def test_many_threads_share_a_client(self, client):
        results = []

        def use() -> None:
            handle = client.workflows.invoke("add", input={"a": 1})
            results.append(handle.result(60))
            client.runs.list()

        threads = [threading.Thread(target=use) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [2] * 20

    def test_a_store_changed_behind_our_back_is_damaged(self, serve, home):
        import sqlite3

        engine = serve(add)
        handle = engine.client.workflows.invoke("add", input={"a": 4})
        handle.result(60)
        engine.close()
        with sqlite3.connect(home / "t" / "store.db") as connection:
            connection.execute(
                "UPDATE event SET data = CAST("
                "replace(CAST(data AS TEXT), ':4}', ':5}') AS BLOB) WHERE idx = 4"
            )
        connection.close()
        client = Client(home, "t")
        with pytest.raises(StoreDamaged, match=r"event 4 \(step.completed of step 'f"):
            client.runs.steps(handle.run_id)
        assert client.runs.get(handle.run_id).result == 5


def test_the_stamp_differs_once_something_was_committed(home, serve):
    client = Client(home, "t")
    assert client.stamp() is None
    engine = serve(add)
    first = client.stamp()
    assert client.stamp() == first
    engine.client.workflows.invoke("add", input={"a": 1}).result(60)
    assert client.stamp() not in (None, first)

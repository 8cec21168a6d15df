"""What a resume would do."""

import pytest

from nbflow import Context, InvalidOption, StepNotFound, codecs
from nbflow._text import step_key
from nbflow.client.fold import fold_steps
from nbflow.client.plans import decide, describe, find_function, is_stale
from nbflow.definition.source import function_hash

ERROR = {"type": "OSError", "message": "down"}


def fetch(x):
    return x


def parse(x):
    return x + 1


def store(x):
    return x


async def body(ctx: Context) -> None:
    page = await ctx.run("fetch", fetch, 1)
    await ctx.run(parse, page)
    await ctx.map("store", store, [1, 2])
    await ctx.sleep("pause", 1)


def mark(fn, *args):
    return codecs.fingerprint(args, {}).mark + function_hash(fn)


def done(script, key, fn=fetch, duration=1.0, **started):
    script.add("step.started", key, 1, **started)
    script.add("step.completed", key, 1, mark(fn), value=1, duration=duration)


def failed(script, key):
    script.add("step.started", key, 1)
    script.add("step.failed", key, 1, error=ERROR, attempts=1)
    script.end("failed", error=ERROR)


def plan(script, **options):
    return decide(script.row, script.events, body, **options)


def test_finished_steps_are_kept_and_the_rest_is_to_run(script):
    done(script, "fetch")
    failed(script, "parse")
    found = plan(script).plan
    assert found.kept == ("fetch",)
    assert found.stale == ()
    assert found.to_run == ("parse", "store", "pause")


def test_a_step_whose_function_was_edited_is_stale(script):
    done(script, "fetch", parse)
    failed(script, "parse")
    decision = plan(script)
    assert (decision.plan.kept, decision.plan.stale) == ((), ("fetch",))
    assert (decision.stale, decision.refresh) == (["fetch"], [])


def test_the_recorded_name_of_the_function_counts(script):
    done(script, "get", parse, _fn="fetch")
    state = fold_steps(script.events)["get"]
    assert is_stale(state, body)
    done(script, "other", fetch, _fn="fetch")
    assert not is_stale(fold_steps(script.events)["other"], body)


def test_what_cannot_be_found_is_not_called_stale(script):
    done(script, "gone", fetch, _fn="no_such_function")
    assert not is_stale(fold_steps(script.events)["gone"], body)


def test_refresh_takes_names_of_steps_maps_and_groups(script):
    done(script, "fetch")
    done(script, "store[0]", store, _fn="store")
    done(script, "store[1]", store, _fn="store")
    group = step_key("grp", "a")
    done(script, group)
    script.end("failed", error=ERROR)
    decision = plan(script, refresh=["store", "grp"])
    assert decision.refresh == ["store[0]", "store[1]", group]
    assert decision.plan.kept == ("fetch",)
    assert decision.plan.to_run[:3] == ("store[0]", "store[1]", "grp/a")
    assert plan(script, refresh="fetch").refresh == ["fetch"]


def test_refresh_stale_is_those_that_are_stale(script):
    done(script, "fetch", parse)
    done(script, "parse", parse)
    script.end("failed", error=ERROR)
    decision = plan(script, refresh="stale")
    assert (decision.refresh, decision.stale) == (["fetch"], [])
    assert decision.plan.kept == ("parse",)
    assert decision.plan.to_run[0] == "fetch"


def test_refresh_stale_needs_the_code(script):
    done(script, "fetch")
    script.end("failed", error=ERROR)
    with pytest.raises(InvalidOption, match="needs the code of workflow 'wf'"):
        decide(script.row, script.events, None, refresh="stale")


def test_refresh_of_an_unknown_step_names_those_there_are(script):
    done(script, "fetch")
    script.end("failed", error=ERROR)
    with pytest.raises(StepNotFound, match=r"no step 'nope'\. Its steps: 'fetch'"):
        plan(script, refresh="nope")


def test_the_last_completed_run_says_what_is_to_come_and_how_long_it_took(
    script, new_script
):
    former = new_script("r-0", 2)
    done(former, "fetch", duration=10.0)
    done(former, "parse", duration=2.0)
    for place in range(3):
        done(former, f"store[{place}]", store, 0.5)
    done(script, "fetch", duration=10.0)
    failed(script, "parse")
    found = plan(script, former=fold_steps(former.events).values()).plan
    assert found.to_run == ("parse", "store[0]", "store[1]", "store[2]", "pause")
    assert found.duration == 3.5


def test_ids_with_brackets_slashes_and_colons_are_known_again(script):
    async def odd(ctx: Context) -> None:
        await ctx.run("read [b]", fetch, 1)
        await ctx.run("a/b:c", fetch, 1)
        await ctx.map("page[x]", fetch, [1])
        await ctx.run("parse", parse, 1)

    for key in ("read [b]", "a/b:c", "page[x][0]"):
        done(script, key)
    failed(script, "parse")
    found = decide(script.row, script.events, odd).plan
    assert found.kept == ("read [b]", "a/b:c", "page[x][0]")
    assert found.to_run == ("parse",)


def test_without_a_former_run_the_recorded_times_are_used(script):
    done(script, "fetch", duration=7.0)
    script.end("failed", error=ERROR)
    assert plan(script, refresh="fetch").plan.duration == 7.0
    assert plan(script).plan.duration is None


def test_the_time_of_a_step_that_was_cut_off_is_not_used(script):
    script.add("step.started", "fetch", 1)
    script.end("canceled", reason="interrupted", by="user")
    assert plan(script).plan.to_run[0] == "fetch"
    assert plan(script).plan.duration is None


def test_a_step_that_the_body_canceled_is_neither_kept_nor_run(script):
    script.add("step.started", "fetch", 1)
    script.add("step.canceled", "fetch", 1)
    done(script, "parse", parse)
    failed(script, "store")
    found = plan(script).plan
    assert "fetch" not in found.kept
    assert "fetch" not in found.to_run


def test_one_that_was_canceled_by_the_failing_body_runs_again(script):
    done(script, "parse", parse)
    script.add("step.started", "fetch", 1)
    script.add("step.canceled", "fetch", 1)
    script.end("failed", error=ERROR)
    assert "fetch" in plan(script).plan.to_run


def test_recorded_clocks_are_not_mentioned(script):
    script.add("step.completed", "now", kind="now", _value=1)
    script.end("failed", error=ERROR)
    assert plan(script).plan.kept == ()


def test_the_line_names_all_three(script):
    done(script, "fetch", parse)
    done(script, "parse", parse)
    failed(script, "store[0]")
    assert describe(script.row, plan(script).plan) == (
        "resume r-1 of 'wf': kept parse, stale fetch, to run store[0], pause; that "
        "took 1 s last time"
    )


def test_long_lists_are_cut_in_the_line(script):
    for place in range(20):
        done(script, f"store[{place}]", store)
    script.end("failed", error=ERROR)
    line = describe(script.row, plan(script).plan)
    assert "store[7] and 12 more" in line


def test_functions_are_found_in_closures_too():
    def local():
        return None

    async def inner(ctx: Context) -> None:
        await ctx.run(local)

    assert find_function("local", inner) is local
    assert find_function("fetch", inner) is fetch
    assert find_function("ERROR", inner) is None

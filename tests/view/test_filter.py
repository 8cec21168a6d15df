"""What people type to find runs."""

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow import Context, Engine, FlowControl, workflow
from nbflow.model import UNFINISHED_RUN, ErrorInfo, Run, RunStatus
from nbflow.view.filter import HELP, Filter, FilterError, Term, parse

NOW = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)


def a_run(name: str = "ingest", status: str = "completed", **more: object) -> Run:
    fields: dict[str, object] = {
        "run_id": "r-1",
        "app": "shop",
        "workflow": name,
        "status": RunStatus(status),
        "queued_at": NOW - dt.timedelta(minutes=10),
    }
    return Run(**(fields | more))  # type: ignore[arg-type]


def shows(text: str, run: Run) -> bool:
    return parse(text).matches(run, NOW)


def test_an_empty_filter_takes_all() -> None:
    assert not parse("  ")
    assert shows("", a_run())
    assert parse("").arguments(NOW) == {}
    assert parse("").is_whole


@pytest.mark.parametrize("word", ["r-1", "GEST", "night"])
def test_bare_words_are_parts_of_id_name_or_label(word: str) -> None:
    assert shows(word, a_run(label="Nightly"))
    assert not shows(f"{word}x", a_run(label="Nightly"))


def test_all_bare_words_must_hold() -> None:
    assert shows("ing r-1", a_run())
    assert not shows("ing other", a_run())


def test_of_one_field_any_value_will_do() -> None:
    both = "status:failed status:canceled"
    assert shows(both, a_run(status="failed"))
    assert shows(both, a_run(status="canceled"))
    assert not shows(both, a_run())


def test_an_exclamation_mark_negates() -> None:
    assert not shows("!ingest", a_run())
    assert shows("!status:failed !app:other", a_run())
    assert not shows("!app:shop", a_run())


def test_statuses_may_be_begun_and_grouped() -> None:
    assert shows("status:fail", a_run(status="failed"))
    assert shows("status:LIVE", a_run(status="queued"))
    assert not shows("status:ended", a_run(status="queued"))


def test_since_looks_at_when_a_run_was_made() -> None:
    assert shows("since:15m", a_run())
    assert not shows("since:5m", a_run())
    assert shows("!since:5m", a_run())
    assert not shows("since:1d since:5m", a_run())
    assert shows("since:100w", a_run())


def test_error_is_part_of_type_or_message() -> None:
    failed = a_run(status="failed", error=ErrorInfo("KeyError", "no such page"))
    assert shows("error:keyerr", failed)
    assert shows('error:"such page"', failed)
    assert shows("error:", failed)
    assert not shows("error:", a_run())


def test_queue_is_a_key_that_the_run_waits_for() -> None:
    why = "place 2 for flow key 'api': 1 of 1 run (step 'fetch')"
    waits = a_run(status="running", waiting=(why,))
    assert shows("queue:api", waits)
    assert shows("queue:", waits)
    assert not shows("queue:db", waits)
    assert not shows("queue:", a_run(status="running"))


def test_parent_is_an_id_or_the_beginning_of_one() -> None:
    child = a_run(parent="r-0177")
    assert shows("parent:r-0177", child)
    assert shows("parent:r-01*", child)
    assert not shows("parent:r-01", child)
    assert not shows("!parent:", child)
    assert shows("!parent:", a_run())


def test_quotes_hold_blanks_colons_and_quotes() -> None:
    found = parse(r'"a b:c" label:"x \"y\"" !"z')
    assert found.terms == (
        Term("", "a b:c"),
        Term("label", 'x "y"'),
        Term("", "z", True),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stauts:failed", "there is no field stauts: did you mean status:?"),
        ("zzz:1", "there are status:, name:, app:"),
        ("status:falied", "there is no status 'falied': did you mean failed?"),
        ("status:", "status: needs one: queued, running"),
        ("status:c", "there is no status 'c'"),
        ("since:soon", "'soon' is no duration: write since:30m, since:2h or since:1d"),
        ("since:", "it needs a duration"),
        ("since:200000d", "is no duration"),
    ],
)
def test_what_is_wrong_is_said_in_words(text: str, words: str) -> None:
    with pytest.raises(FilterError) as error:
        parse(text)
    assert words in str(error.value)


def test_what_the_store_can_answer_goes_to_the_store() -> None:
    found = parse("audit status:failed since:1h parent:r-7")
    assert found.arguments(NOW) == {
        "status": ["failed"],
        "since": NOW - dt.timedelta(hours=1),
        "parent": ["r-7"],
        "search": "audit",
    }
    assert found.is_whole
    assert not parse("audit !old").is_whole
    assert not parse("name:audit").is_whole


def test_a_queue_or_an_error_narrows_the_statuses() -> None:
    assert parse("queue:api").arguments(NOW) == {"status": list(UNFINISHED_RUN)}
    assert parse("error:Key").arguments(NOW) == {"status": ["failed"]}


def test_apps_that_cannot_pass_are_known() -> None:
    assert parse("app:sho").takes_app("shop")
    assert not parse("app:sho").takes_app("other")
    assert not parse("!app:shop").takes_app("shop")


texts = st.text(alphabet='ab "\\!:*c\n', max_size=6)
fields = st.sampled_from(["name", "app", "label", "queue", "error", "parent"])
terms = st.one_of(
    st.builds(Term, st.just(""), texts.filter(bool), st.booleans()),
    st.builds(Term, fields, texts, st.booleans()),
    st.builds(
        Term,
        st.just("status"),
        st.sampled_from([*map(str, RunStatus), "live", "ended"]),
        st.booleans(),
    ),
    st.builds(
        Term, st.just("since"), st.sampled_from(["1s", "10m", "5w"]), st.booleans()
    ),
)
filters = st.builds(lambda some: Filter(tuple(some)), st.lists(terms, max_size=5))
runs = st.builds(
    lambda status, more: a_run(status=status, **more),
    st.sampled_from([str(each) for each in RunStatus]),
    st.fixed_dictionaries(
        {
            "label": st.none() | texts,
            "parent": st.none() | texts.filter(bool),
            "error": st.none() | st.builds(ErrorInfo, st.just("KeyError"), texts),
            "queued_at": st.integers(0, 10**7).map(
                lambda seconds: NOW - dt.timedelta(seconds=seconds)
            ),
        }
    ),
)


@given(filters)
def test_a_filter_is_read_back_as_it_is_written(given: Filter) -> None:
    assert parse(str(given)) == given
    assert parse(" ".join(given.chips)) == given


@given(st.text(max_size=40))
def test_any_text_is_a_filter_or_a_filter_error(text: str) -> None:
    try:
        parse(text).matches(a_run(), NOW)
    except FilterError as error:
        assert str(error)


def passes(asked: dict[str, object], run: Run) -> bool:
    """What `client.runs.list` does with these arguments."""
    search = str(asked.get("search", "")).casefold()
    return (
        run.status in asked.get("status", list(RunStatus))
        and ("parent" not in asked or run.parent in asked["parent"])
        and ("since" not in asked or run.queued_at >= asked["since"])
        and any(
            search in text.casefold()
            for text in (run.run_id, run.workflow, run.label or "")
        )
    )


@given(filters, runs)
def test_the_store_is_never_asked_for_too_little(given: Filter, run: Run) -> None:
    found = passes(given.arguments(NOW), run)
    if given.is_whole:
        assert given.matches(run, NOW) == found
    else:
        assert not given.matches(run, NOW) or found


def test_every_field_is_explained() -> None:
    for name in HELP:
        value = {"status": "failed", "since": "1h"}.get(name, "x")
        assert parse(f"{name}:{value}").terms[0].field == name


def test_a_real_store_answers_a_filter(home: Path) -> None:
    @workflow(app="shop")
    async def ingest(ctx: Context, n: int) -> int:
        return await ctx.run("work", lambda: 10 // n, flow_control=FlowControl("k", 9))

    with Engine(home, "shop", workflows=[ingest]) as engine:
        client = engine.client
        good = client.workflows.invoke("ingest", input={"n": 1}, label="one two")
        bad = client.workflows.invoke("ingest", input={"n": 0}, label="zero")
        good.result()
        with pytest.raises(Exception, match="division"):
            bad.result()
        now = dt.datetime.now(dt.UTC)
        for text, expected in (
            ("ingest", {good.run_id, bad.run_id}),
            ("status:failed", {bad.run_id}),
            ("error:division since:1h", {bad.run_id}),
            ('label:"one two"', {good.run_id}),
            (f"!{good.run_id} status:ended", {bad.run_id}),
            ("!status:completed !status:failed", set()),
            ("status:live status:ended", {good.run_id, bad.run_id}),
            ("status:failed !status:failed", set()),
        ):
            found = parse(text)
            page = client.runs.list(**found.arguments(now))
            assert {r.run_id for r in page if found.matches(r, now)} == expected, text

"""Edit and resume: what is executed again, and what keeps its value."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from nbflow.context import Context
from nbflow.errors import StepError
from nbflow.model import RunStatus
from tests.engine.lab import Lab, define

Body = Callable[[Context], Awaitable[Any]]


class Notebook:
    """A workflow that is defined, run, defined again and resumed.

    Steps of bodies call `work`, which notes what was executed.
    """

    def __init__(self) -> None:
        self.executed: list[Any] = []
        self.broken: set[Any] = set()

    async def work(self, value: Any, seconds: float = 0.0) -> Any:
        self.executed.append(value)
        await asyncio.sleep(seconds)
        if value in self.broken:
            raise ValueError(f"{value} is broken")
        return value

    def run(self, body: Body) -> None:
        """The first life, which fails."""
        self.lab = Lab(define(body, "main"))
        self.run_id = self.lab.start("main")
        assert self.lab.wait_for_end(self.run_id).status is RunStatus.FAILED

    def resume(self, body: Body | None = None, refresh: list[str] | None = None) -> Any:
        """A later one, in another kernel, with what works by now."""
        self.executed.clear()
        self.broken.clear()
        self.lab = self.lab.crash(*([define(body, "main")] if body else []))
        self.lab.resume(self.run_id, refresh=refresh)
        ending = self.lab.wait_for_end(self.run_id)
        assert ending.status is RunStatus.COMPLETED, ending.error
        return ending.value

    def crash_while_resumed(self, commits: int, body: Body) -> None:
        self.executed.clear()
        self.broken.clear()
        self.lab = self.lab.crash(define(body, "main"))
        self.lab.resume(self.run_id)
        self.lab.core.commits.commit()
        assert self.lab.wait(self.run_id, commits=commits) is None
        self.lab = self.lab.crash()

    def recover(self) -> Any:
        self.lab.recover()
        ending = self.lab.wait_for_end(self.run_id)
        assert ending.status is RunStatus.COMPLETED, ending.error
        return ending.value

    def story(self, type: str) -> list[str]:
        """The steps that such an event was recorded of."""
        story = (line.split(" ", 1) for line in self.lab.story(self.run_id))
        return [step for kind, step in story if kind == type]


@pytest.fixture
def book() -> Iterator[Notebook]:
    book = Notebook()
    yield book
    book.lab.end()


def test_a_corrected_step_seven_of_twelve_goes_on_from_there(book: Notebook) -> None:
    async def body(ctx: Context) -> list[int]:
        return [await ctx.run(f"s{n}", book.work, n, retries=0) for n in range(1, 13)]

    async def corrected(ctx: Context) -> list[int]:
        values = []
        for n in range(1, 13):
            values.append(await ctx.run(f"s{n}", book.work, n))
        return values

    book.broken = {7}
    book.run(body)
    assert book.executed == [1, 2, 3, 4, 5, 6, 7]
    assert book.resume(corrected) == list(range(1, 13))
    assert book.executed == [7, 8, 9, 10, 11, 12]


@pytest.mark.parametrize(
    ("refresh", "value"), [(None, "old"), (["fetch"], "new"), (["other"], "old")]
)
def test_an_edited_function_keeps_its_value_unless_it_is_refreshed(
    book: Notebook, refresh: list[str] | None, value: str
) -> None:
    def body_with(fetch: Callable[[], Awaitable[str]]) -> Body:
        async def body(ctx: Context) -> str:
            value = await ctx.run("fetch", fetch)
            await ctx.run("check", book.work, 1, retries=0)
            return value

        return body

    async def old() -> str:
        return "old"

    async def new() -> str:
        return "new"

    book.broken = {1}
    book.run(body_with(old))
    assert book.resume(body_with(new), refresh) == value
    assert book.executed == [1]


def test_a_step_with_other_arguments_is_executed_afresh(book: Notebook) -> None:
    async def body(ctx: Context) -> Any:
        await ctx.run("a", book.work, 1)
        await ctx.run("b", book.work, 2)
        await ctx.run("c", book.work, 3, retries=0)

    async def corrected(ctx: Context) -> Any:
        return [
            await ctx.run("a", book.work, 1),
            await ctx.run("b", book.work, 20),
            await ctx.run("c", book.work, 3),
        ]

    book.broken = {3}
    book.run(body)
    assert book.resume(corrected) == [1, 20, 3]
    assert book.executed == [20, 3]
    assert book.story("step.superseded") == ["b"]


def test_equal_items_of_an_edited_list_keep_their_values(book: Notebook) -> None:
    async def body(ctx: Context) -> Any:
        await ctx.map("m", book.work, ["a", "b", "c"])
        await ctx.run("check", book.work, "check", retries=0)

    async def corrected(ctx: Context) -> Any:
        values = await ctx.map("m", book.work, ["b", "new", "c", "a", "b"])
        return [values, await ctx.run("check", book.work, "check")]

    book.broken = {"check"}
    book.run(body)
    book.crash_while_resumed(3, corrected)
    assert book.recover() == [["b", "new", "c", "a", "b"], "check"]
    assert sorted(book.executed) == ["b", "check", "new"]


def test_another_kind_is_executed_afresh_in_edited_code(book: Notebook) -> None:
    async def body(ctx: Context) -> Any:
        await ctx.sleep("s", 5)
        await ctx.run("check", book.work, "check", retries=0)

    async def corrected(ctx: Context) -> Any:
        value = await ctx.run("s", book.work, 5.0)
        return [value, await ctx.run("check", book.work, "check")]

    book.broken = {"check"}
    book.run(body)
    assert book.resume(corrected) == [5.0, "check"]
    assert book.story("step.superseded") == ["s"]


@pytest.mark.parametrize("sleeps_first", [True, False])
def test_another_kind_in_the_same_code_is_an_error(
    book: Notebook, sleeps_first: bool
) -> None:
    sleeps = [sleeps_first]

    async def body(ctx: Context) -> Any:
        if sleeps[0]:
            await ctx.sleep("s", 5)
        else:
            await ctx.run("s", book.work, 5.0)
        await ctx.run("check", book.work, "check", retries=0)

    book.broken = {"check"}
    book.run(body)
    sleeps[0] = not sleeps_first
    book.lab = book.lab.crash()
    book.lab.resume(book.run_id)
    ending = book.lab.wait_for_end(book.run_id)
    assert ending.error is not None
    assert "NonDeterminismError" in ending.error["type"]
    assert "'sleep'" in ending.error["message"]
    assert "'run'" in ending.error["message"]


def test_what_depends_on_a_failure_that_was_put_aside_is_executed_afresh(
    book: Notebook,
) -> None:
    async def body(ctx: Context) -> Any:
        try:
            first = await ctx.run("first", book.work, "first", retries=0)
        except StepError:
            first = "a stand-in"
        second = await ctx.run("second", book.work, f"after {first}")
        return [second, await ctx.run("third", book.work, "third", retries=0)]

    book.broken = {"first", "third"}
    book.run(body)
    assert book.resume() == ["after first", "third"]
    assert book.story("step.superseded") == ["second"]


def test_so_is_what_depends_on_a_refreshed_step(book: Notebook) -> None:
    answers = iter(["old", "new"])

    async def look() -> str:
        return next(answers)

    async def body(ctx: Context) -> Any:
        first = await ctx.run("first", look)
        second = await ctx.run("second", book.work, f"after {first}")
        return [second, await ctx.run("third", book.work, "third", retries=0)]

    book.broken = {"third"}
    book.run(body)
    assert book.resume(refresh=["first"]) == ["after new", "third"]


def test_code_edited_before_a_crash_supersedes_after_it_too(book: Notebook) -> None:
    async def body(ctx: Context) -> Any:
        await ctx.run("a", book.work, 1)
        await ctx.run("b", book.work, 2)
        await ctx.run("c", book.work, 3, retries=0)

    async def corrected(ctx: Context) -> Any:
        return [await ctx.run(id, book.work, 10 * n) for n, id in enumerate("abc")]

    book.broken = {3}
    book.run(body)
    book.crash_while_resumed(2, corrected)  # somewhere before b
    assert book.recover() == [0, 10, 20]


# Canceled steps


async def _siblings(ctx: Context, book: Notebook, first: Awaitable[Any]) -> list[Any]:
    async def wait() -> Any:
        return await first

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(wait()),
            group.create_task(_sibling(ctx, book)),
        ]
    return [each.result() for each in tasks]


async def _sibling(ctx: Context, book: Notebook) -> Any:
    return await ctx.run("sibling", book.work, "sibling", 60)


def test_siblings_that_a_failing_group_canceled_are_executed_again(
    book: Notebook,
) -> None:
    async def body(ctx: Context) -> Any:
        call = ctx.run("first", book.work, "first", 1, retries=0)
        return await _siblings(ctx, book, call)

    book.broken = {"first"}
    book.run(body)
    assert book.story("step.canceled") == ["_sibling~0/sibling"]
    assert book.resume() == ["first", "sibling"]
    assert sorted(book.executed) == ["first", "sibling"]


@pytest.mark.parametrize("seconds", [0.999, 1, 1.001, 2])
def test_so_they_are_when_another_branch_ends_meanwhile(
    book: Notebook, seconds: float
) -> None:
    async def other(ctx: Context) -> Any:
        await ctx.run("other", book.work, "other", seconds)
        return await ctx.run("more", book.work, "more")

    async def body(ctx: Context) -> Any:
        call = ctx.run("first", book.work, "first", 1, retries=0)
        ends = await asyncio.gather(
            other(ctx), _siblings(ctx, book, call), return_exceptions=True
        )
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return ends

    book.broken = {"first"}
    book.run(body)
    assert book.resume() == ["more", ["first", "sibling"]]
    assert sorted(book.executed) == ["first", "sibling"]


def test_so_they_are_when_the_mistake_was_in_the_body(book: Notebook) -> None:
    def body_with(broken: bool) -> Body:
        async def body(ctx: Context) -> Any:
            async def first() -> Any:
                value = await ctx.run("first", book.work, "first", 1)
                if broken:
                    raise ZeroDivisionError
                return value

            return await _siblings(ctx, book, first())

        return body

    book.run(body_with(True))
    assert book.resume(body_with(False)) == ["first", "sibling"]
    assert book.executed == ["sibling"]


async def _race(ctx: Context, book: Notebook) -> Any:
    async def lap(name: str, seconds: float) -> Any:
        return await ctx.run(name, book.work, name, seconds)

    tasks = [asyncio.create_task(lap("hare", 5)), asyncio.create_task(lap("egg", 50))]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for each in pending:
        each.cancel()
    return [each.result() for each in done]


@pytest.mark.parametrize("is_edited", [False, True])
@pytest.mark.parametrize("goes_on", [False, True])
def test_the_loser_of_a_race_is_not_executed_again(
    book: Notebook, is_edited: bool, goes_on: bool
) -> None:
    async def body(ctx: Context) -> Any:
        winner = await _race(ctx, book)
        if goes_on:
            await ctx.run("next", book.work, "next")
        return [winner, await ctx.run("check", book.work, "check", retries=0)]

    async def corrected(ctx: Context) -> Any:
        winner = await _race(ctx, book)
        if goes_on:
            await ctx.run("next", book.work, "next")
        await ctx.run("new", book.work, "new")
        return [winner, await ctx.run("check", book.work, "check")]

    book.broken = {"check"}
    book.run(body)
    assert book.resume(corrected if is_edited else None) == [["hare"], "check"]
    assert book.executed == (["new", "check"] if is_edited else ["check"])


def _timed(book: Notebook, calls: Callable[[Context], Awaitable[Any]]) -> Body:
    async def body(ctx: Context) -> Any:
        try:
            value = await asyncio.wait_for(calls(ctx), 3)
        except TimeoutError:
            value = "timed out"
        await ctx.run("next", book.work, "next")
        return [value, await ctx.run("check", book.work, "check", retries=0)]

    return body


def test_a_step_that_the_bodys_time_out_canceled_is_not_executed_again(
    book: Notebook,
) -> None:
    body = _timed(book, lambda ctx: ctx.run("slow", book.work, "slow", 60))
    book.broken = {"check"}
    book.run(body)
    before = book.lab.clock.now()
    assert book.resume(body) == ["timed out", "check"]
    assert book.executed == ["check"]
    assert (book.lab.clock.now() - before).total_seconds() == pytest.approx(4, abs=1)


@pytest.mark.parametrize("kind", ["sleep", "invoke"])
def test_so_it_is_with_sleeps_and_children(book: Notebook, kind: str) -> None:
    async def child(ctx: Context) -> None:
        await ctx.sleep("long", 60)

    def call(ctx: Context) -> Awaitable[Any]:
        if kind == "sleep":
            return ctx.sleep("long", 60)
        return ctx.invoke("kid", "child")

    book.lab = Lab(define(_timed(book, call), "main"), child)
    book.run_id = book.lab.start("main")
    book.broken = {"check"}
    assert book.lab.wait_for_end(book.run_id).status is RunStatus.FAILED
    assert book.resume() == ["timed out", "check"]
    assert book.executed == ["check"]
    assert len(book.lab.store.runs().rows) == (1 if kind == "sleep" else 2)


def test_edited_code_that_cancels_it_no_more_gets_it_executed(book: Notebook) -> None:
    def slow(ctx: Context) -> Awaitable[Any]:
        return ctx.run("slow", book.work, "slow", 60)

    async def patient(ctx: Context) -> Any:
        value = await slow(ctx)
        return [value, await ctx.run("check", book.work, "check")]

    book.broken = {"check"}
    book.run(_timed(book, slow))
    assert book.resume(patient) == ["slow", "check"]


def test_a_step_that_is_canceled_while_it_waits_for_its_next_try_is_so_for_good(
    book: Notebook,
) -> None:
    """Also where that wait began in a former life."""

    async def body(ctx: Context) -> Any:
        call = ctx.run("slow", book.work, "slow", retries=5, retry_delay="1h")
        try:
            await asyncio.wait_for(call, 60)
        except TimeoutError:
            await ctx.run("next", book.work, "next", 5)
        return await ctx.run("check", book.work, "check")

    book.broken = {"slow"}
    book.lab = Lab(define(body, "main"))
    run_id = book.lab.start("main")
    for commits in (3, 2):  # in the wait; then after it was canceled
        assert book.lab.wait(run_id, commits=commits) is None
        book.lab = book.lab.crash()
        book.lab.recover()
    assert book.lab.wait_for_end(run_id).value == "check"
    assert book.executed.count("slow") == 1

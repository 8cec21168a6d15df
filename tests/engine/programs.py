"""Random workflow bodies, and a check that every life of a run tells the same story.

A program is a tree of nodes: steps, and the ways in which asyncio and anyio run things
side by side. `play` interprets it as the body of a workflow. Every step returns its own
position in the program, so a value that reaches another step than its own is seen at
once; what code makes of the order of results (a shared list, as_completed, the winner
of a race, the items a worker gets) becomes part of later positions.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from zlib import crc32

import anyio

from nbflow._engine.branches import current_step
from nbflow.context import Context
from nbflow.model import RunStatus, step_label
from tests.engine.lab import Lab, define

IDS = ("a", "b", "s")
FUNCTIONS = ("alpha", "beta", "fetch")
DURATIONS = (None, None, 0.0, 0.001, 0.01, 0.01, 0.02, 1.0, 5.0)
STYLES = ("closure", "closure", "arguments", "arguments", "failing", "flaky")
NEVER = 1e6
LONGEST = 500

LEAVES = ("step", "step", "step", "step", "gather_steps", "sleep", "map", "value")
TREES = (
    "seq",
    "gather",
    "tasks",
    "task_group",
    "anyio_group",
    "as_completed",
    "as_completed_spawn",
    "as_completed_late",
    "as_completed_steps",
    "first",
    "wait_all",
    "broken_group",
    "wait_for",
    "fail_after",
    "shield",
    "named",
    "helper",
    "append",
    "queue",
    "semaphore",
    "cleanup",
)


@dataclass
class Node:
    """One construct of a program; `n` is its number in it."""

    kind: str
    n: int
    id: str
    function: str
    style: str
    size: int
    children: list["Node"] = field(default_factory=list)

    def show(self, indent: str = "") -> str:
        text = f"{indent}{self.n} {self.kind}"
        if self.kind in ("step", "gather_steps", "map", "sleep", "named"):
            text += f" {self.id!r}"
        text += f" {self.style} {self.function} x{self.size}"
        return "\n".join([text, *(each.show(indent + "  ") for each in self.children)])


CANCELING = (
    "seq",
    "gather",
    "task_group",
    "anyio_group",
    "wait_for",
    "named",
    "helper",
)
"""Those that leave nothing running when they are cancelled."""
ORDERLY = tuple(kind for kind in TREES if kind not in ("first", "broken_group"))
"""Those that cancel nothing."""
STEADY = (*CANCELING, "tasks", "fail_after", "shield")
"""Those that make nothing of the order in which things come to their end."""


def build(
    rng: random.Random,
    *,
    time_outs: bool = False,
    threads: bool = False,
    mended: bool = False,
) -> Node:
    """A random program, to depth 3.

    Args:
        rng: decides.
        time_outs: with time-outs of the body's own; nothing else is then going on, for
            how they come to lie between other branches' steps is not replayed.
        threads: with steps that are not async.
        mended: such as a step that fails and is mended does not turn upside down: what
            follows a failure may have come to its end in another order.
    """
    numbers = count()
    styles = (*STYLES, "thread") if threads else STYLES
    trees = ORDERLY if time_outs else TREES
    if mended:
        styles = tuple(style for style in styles if style != "failing")
        trees = STEADY

    def node(kind: str, children: list[Node]) -> Node:
        return Node(
            kind,
            next(numbers),
            rng.choice(IDS),
            rng.choice(FUNCTIONS),
            rng.choice(styles),
            rng.randint(1, 3),
            children,
        )

    def tree(depth: int, kinds: Sequence[str]) -> Node:
        if depth == 0 or rng.random() < 0.15:
            return node(rng.choice(LEAVES), [])
        kind = rng.choice(kinds)
        return node(kind, [tree(depth - 1, kinds) for _ in range(rng.randint(1, 3))])

    def part() -> Node:
        if time_outs and rng.random() < 0.7:
            return node("time_out", [tree(2, CANCELING)])
        return tree(3, trees)

    return node("seq", [*(part() for _ in range(rng.randint(1, 3))), node("step", [])])


class Life:
    """What one life of a run has done and seen."""

    def __init__(self, program: Node, seed: int, number: int) -> None:
        self.program = program
        self.seed = seed
        self.number = number
        self.executed: list[str] = []
        self.seen: list[str] = []
        self.swaps: list[tuple[str, str]] = []
        self.broken: str | None = None

    def duration(self, position: str) -> float | None:
        """Another one in each life."""
        rng = random.Random(f"{self.seed}:{self.number}:{position}")
        chosen = rng.choice(DURATIONS)
        return chosen if chosen is None or chosen < 1 else chosen * rng.random()

    async def work(self, position: str, style: str) -> str:
        """What a step does."""
        scope = current_step.get()
        assert scope is not None
        self.executed.append(scope.key)
        duration = self.duration(position)
        if duration is not None:
            await asyncio.sleep(duration)
        if position == self.broken:
            raise LookupError("to be mended")
        if style == "failing":
            raise ValueError(position)
        if style == "flaky" and scope.attempt == 1:
            raise OSError("try again")
        return position


class Body:
    """A program, as the body of a workflow."""

    def __init__(self, life: Life, ctx: Context) -> None:
        self.life = life
        self.ctx = ctx
        self.shared: list[str] = []

        async def alpha(call: Callable[[], Awaitable[Any]]) -> Any:
            return await call()

        async def beta(call: Callable[[], Awaitable[Any]]) -> Any:
            await asyncio.sleep(0)
            return await call()

        async def fetch(call: Callable[[], Awaitable[Any]]) -> Any:
            return await call()

        self.functions = {"alpha": alpha, "beta": beta, "fetch": fetch}

    async def __call__(self) -> Any:
        return [await self.node(self.life.program), self.shared]

    def node(self, node: Node) -> Awaitable[Any]:
        call: Awaitable[Any] = getattr(self, node.kind)(node)
        return call

    def branch(self, node: Node) -> Any:
        """A coroutine of one of the named functions, around a node."""
        return self.functions[node.function](lambda: self.node(node))

    def branches(self, node: Node) -> list[Any]:
        return [self.branch(each) for each in node.children]

    def call(self, node: Node, position: str) -> Awaitable[Any]:
        life, style, id = self.life, node.style, node.id

        async def closure() -> str:
            return await life.work(position, style)

        async def arguments(position: str) -> str:
            return await life.work(position, style)

        def thread(position: str) -> str:
            scope = current_step.get()
            assert scope is not None
            life.executed.append(scope.key)
            return position

        if style == "thread":
            return self.ctx.run(id, thread, position)
        if style == "arguments":
            return self.ctx.run(id, arguments, position)
        if style == "failing":
            return self.ctx.run(id, arguments, position, retries=0)
        return self.ctx.run(id, closure, retries=2)

    async def one(self, node: Node, position: str) -> str:
        if len(position) > LONGEST:  # messages of errors are cut
            position = f"{position[:LONGEST]} {crc32(position.encode())}"
        return await self.check(self.call(node, position), position)

    async def check(self, call: Awaitable[Any], position: str) -> str:
        """Await a step and see whether the value is its own."""
        try:
            value = await call
        except ValueError as exc:
            value = getattr(exc, "error", exc).message
        self.life.seen.append(position)
        if value != position:
            self.life.swaps.append((position, value))
        return str(value)

    # Leaves

    async def step(self, node: Node) -> str:
        return await self.one(node, f"{node.n}")

    async def gather_steps(self, node: Node) -> Any:
        positions = [f"{node.n}.{k}" for k in range(node.size + 1)]
        if node.style == "failing":
            return await asyncio.gather(*(self.one(node, each) for each in positions))
        calls = [self.call(node, each) for each in positions]
        values = await asyncio.gather(*calls)
        self.life.seen.extend(positions)
        pairs = zip(positions, values, strict=True)
        self.life.swaps += [(one, other) for one, other in pairs if one != other]
        return values

    async def sleep(self, node: Node) -> str:
        await self.ctx.sleep(node.id, node.size * 0.01)
        self.life.seen.append(f"{node.n}")
        return f"{node.n}"

    async def map(self, node: Node) -> Any:
        positions = [f"{node.n}.{k}" for k in range(node.size + 1)]

        async def item(position: str) -> str:
            return await self.life.work(position, "closure")

        values = await self.ctx.map(node.id, item, positions, limit=node.size)
        if values != positions:
            self.life.swaps.append((str(positions), str(values)))
        return values

    async def value(self, node: Node) -> Any:
        return [self.ctx.random(), str(self.ctx.uuid()), self.ctx.now().isoformat()]

    # Trees

    async def seq(self, node: Node) -> Any:
        return [await self.node(each) for each in node.children]

    async def helper(self, node: Node) -> Any:
        return [await self.branch(each) for each in node.children]

    async def gather(self, node: Node) -> Any:
        return await asyncio.gather(*self.branches(node))

    async def tasks(self, node: Node) -> Any:
        tasks = [asyncio.create_task(each) for each in self.branches(node)]
        between = await self.one(node, f"{node.n}.between")
        return [between, *[await each for each in reversed(tasks)]]

    async def task_group(self, node: Node) -> Any:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in self.branches(node)]
            await self.one(node, f"{node.n}.within")
        return [each.result() for each in tasks]

    async def anyio_group(self, node: Node) -> Any:
        results: list[Any] = []

        async def collect(child: Node) -> None:
            results.append(await self.branch(child))

        async with anyio.create_task_group() as group:
            for each in node.children:
                group.start_soon(collect, each)
        return results

    async def as_completed(self, node: Node) -> Any:
        results = []
        for each in asyncio.as_completed(self.branches(node)):
            results.append(await self.one(node, f"{node.n} after {await each}"))
        return results

    async def as_completed_spawn(self, node: Node) -> Any:
        tasks = []
        function = self.functions[node.function]
        for each in asyncio.as_completed(self.branches(node)):
            position = f"{node.n} after {await each}"

            def then(position: str = position) -> Awaitable[Any]:
                return self.one(node, position)

            tasks.append(asyncio.create_task(function(then)))
        return [await each for each in tasks]

    async def as_completed_late(self, node: Node) -> Any:
        """Some are done before as_completed is asked, and it holds them in a set."""
        tasks = [asyncio.create_task(each) for each in self.branches(node)]
        await self.one(node, f"{node.n}")
        results = []
        for each in asyncio.as_completed(tasks):
            results.append(await self.one(node, f"{node.n} after {await each}"))
        return results

    async def as_completed_steps(self, node: Node) -> Any:
        function = self.functions[node.function]
        positions = [f"{node.n}.{k}" for k in range(node.size + 1)]
        calls: list[Any] = [self.branch(each) for each in node.children]
        if node.style == "failing":
            calls += [function(lambda n=n: self.one(node, n)) for n in positions]
        else:
            calls += [self.call(node, each) for each in positions]
        results = [str(await each) for each in asyncio.as_completed(calls)]
        return [results, await self.one(node, f"{node.n} after {results}")]

    async def first(self, node: Node) -> Any:
        tasks = [asyncio.create_task(each) for each in self.branches(node)]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        won = [str(each.result()) for each in done]  # a set: its order matters here
        for each in pending:
            each.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return [won, await self.one(node, f"{node.n} won by {won}")]

    async def wait_all(self, node: Node) -> Any:
        tasks = [asyncio.create_task(each) for each in self.branches(node)]
        tasks.append(asyncio.create_task(self.one(node, f"{node.n}.more")))
        done, _ = await asyncio.wait(tasks)
        results = [str(each.result()) for each in done]
        return [results, await self.one(node, f"{node.n} after {results}")]

    async def broken_group(self, node: Node) -> Any:
        """A task group whose siblings are cancelled, and a body that goes on."""

        async def broken() -> None:
            await self.one(node, f"{node.n}.broken")
            raise RuntimeError("as planned")

        done = []

        async def sibling(child: Node) -> None:
            done.append(str(await self.branch(child)))

        try:
            async with asyncio.TaskGroup() as group:
                for each in node.children:
                    group.create_task(sibling(each))
                group.create_task(broken())
        except* RuntimeError:
            pass
        return [done, await self.one(node, f"{node.n} without {done}")]

    async def wait_for(self, node: Node) -> Any:
        results = [await asyncio.wait_for(each, NEVER) for each in self.branches(node)]
        if node.style != "failing":
            call = asyncio.wait_for(self.call(node, f"{node.n}"), NEVER)
            results.append(await self.check(call, f"{node.n}"))
        return results

    async def fail_after(self, node: Node) -> Any:
        with anyio.fail_after(NEVER):
            return [await self.branch(each) for each in node.children]

    async def shield(self, node: Node) -> Any:
        results = [await asyncio.shield(each) for each in self.branches(node)]
        if node.style != "failing":
            call = asyncio.shield(self.call(node, f"{node.n}"))
            results.append(await self.check(call, f"{node.n}"))
        return results

    async def named(self, node: Node) -> Any:
        async def member(child: Node) -> Any:
            async with self.ctx.group(f"g{child.n}"):
                return await self.node(child)

        results = await asyncio.gather(*(member(each) for each in node.children))
        async with self.ctx.group(node.id):
            return [results, await self.one(node, f"{node.n}")]

    async def append(self, node: Node) -> Any:
        async def add(child: Node) -> None:
            self.shared.append(str(await self.branch(child)))

        await asyncio.gather(*(add(each) for each in node.children))
        return await self.one(node, f"{node.n} shared {self.shared}")

    async def queue(self, node: Node) -> Any:
        items: asyncio.Queue[int] = asyncio.Queue()
        for k in range(node.size + 2):
            items.put_nowait(k)
        done = []

        async def worker(number: int) -> None:
            while not items.empty():
                item = items.get_nowait()
                done.append(await self.one(node, f"{node.n}.{item} by {number}"))

        workers = (worker(each) for each in range(2))
        await asyncio.gather(*self.branches(node), *workers)
        return done

    async def semaphore(self, node: Node) -> Any:
        semaphore = asyncio.Semaphore(node.size)
        order = []

        async def guarded(child: Node) -> None:
            async with semaphore:
                await self.node(child)
                order.append(child.n)

        await asyncio.gather(*(guarded(each) for each in node.children))
        return [order, await self.one(node, f"{node.n} in {order}")]

    async def cleanup(self, node: Node) -> Any:
        try:
            return [await self.branch(each) for each in node.children]
        finally:
            await self.one(node, f"{node.n} cleanup")

    async def time_out(self, node: Node) -> Any:
        results = []
        for each in self.branches(node):
            try:
                results.append(await asyncio.wait_for(each, 0.5 * node.size))
            except TimeoutError:
                results.append("timed out")
        return [results, await self.one(node, f"{node.n} got {results}")]


async def _noise() -> None:
    for _ in range(50):
        for _ in range(100):
            await asyncio.sleep(0)
        await asyncio.sleep(0.0007)


class Mismatch(AssertionError):
    """A life that does not agree with what was recorded."""


class Trial:
    """One program, through several lives of its run."""

    def __init__(self, seed: int, program: Node, crashes: int, noise: bool) -> None:
        self.seed = seed
        self.noise = noise
        self.program = program
        self.crashes = crashes
        self.rng = random.Random(f"{seed}:crashes")
        self.life = Life(program, seed, 0)

    async def body(self, ctx: Context) -> Any:
        return await Body(self.life, ctx)()

    def disturb(self, lab: Lab) -> Lab:
        """Keep the loop busy with something that is not of the run."""
        if self.noise:
            for _ in range(3):
                lab.beside(_noise())
        return lab

    def undisturbed(self) -> int:
        """A life without crashes, and its replay; the commits it took."""
        lab = self.disturb(Lab(define(self.body, "program")))
        run_id = lab.start("program")
        result = self.finish(lab, run_id, {}, [])
        commits = lab.fuse.commits
        self.replay(lab, run_id, result)
        lab.end()
        return commits

    def disturbed(self, commits: int) -> None:
        """The same with crashes, a last life to the end, and a replay of it all."""
        lab = self.disturb(Lab(define(self.body, "program")))
        run_id = lab.start("program")
        before: dict[str, str] = {}
        seen: list[str] = []
        for _ in range(self.crashes):
            self.new_life()
            ending = lab.wait(run_id, commits=self.rng.randint(1, max(commits, 1)))
            if ending is not None:
                break
            self.check(before, seen)
            seen = self.life.seen.copy()  # what unwinds in a crash is not seen
            lab = self.disturb(lab.crash())
            if run_id not in lab.recover():
                break  # the last commit was the run's end, or none was made
            before = lab.outcomes(run_id)
        else:
            self.new_life()
        result = self.finish(lab, run_id, before, seen)
        self.replay(lab, run_id, result)
        lab.end()

    def mended(self) -> bool:
        """A life that fails at some step, and lives that go on after it was mended.

        False if the program never came to that step.
        """
        steps = [node for node in walk(self.program) if node.kind == "step"]
        self.new_life()
        self.life.broken = str(self.rng.choice(steps).n)
        lab = self.disturb(Lab(define(self.body, "program")))
        run_id = lab.start("program")
        if lab.wait_for_end(run_id).status is RunStatus.COMPLETED:
            lab.end()
            return False
        self.check({}, [])
        lab = self.disturb(lab.crash())
        before = completed(lab, run_id)
        lab.resume(run_id)
        self.new_life()
        if lab.wait(run_id, commits=self.rng.randint(1, 20)) is None:
            self.check(before, [])
            lab = self.disturb(lab.crash())
            before = completed(lab, run_id)
            self.new_life()
            lab.recover()
        result = self.finish(lab, run_id, before, [])
        self.replay(lab, run_id, result)
        lab.end()
        return True

    def new_life(self) -> None:
        self.life = Life(self.program, self.seed, self.life.number + 1)

    def finish(
        self, lab: Lab, run_id: str, before: dict[str, str], seen: list[str]
    ) -> Any:
        ending = lab.wait_for_end(run_id)
        if ending.status is not RunStatus.COMPLETED:
            raise Mismatch(f"the run ended as {ending.status}: {ending.error}")
        self.check(before, seen)
        return ending.value

    def replay(self, lab: Lab, run_id: str, result: Any) -> None:
        """Nothing new is executed, and the body comes to the same result."""
        copy = self.disturb(lab.copy(run_id))
        before, seen = copy.outcomes(run_id), self.life.seen
        known = {event.step for event in copy.events(run_id)}
        self.new_life()
        copy.recover()
        again = self.finish(copy, run_id, before, seen)
        new = [each for each in self.life.executed if each not in known]
        if new:  # others were left running when the body returned
            raise Mismatch(f"a replay executed {new}")
        if again != result:
            raise Mismatch(f"a replay came to {again}, not to {result}")
        copy.end()

    def check(self, before: dict[str, str], seen: list[str]) -> None:
        """What a life did agrees with what the one before it has left.

        Args:
            before: outcomes that were recorded when it began.
            seen: positions in the order in which the life before it saw their values.
        """
        life = self.life
        if life.swaps:
            raise Mismatch(f"steps got values of others: {life.swaps}")
        again = [step_label(key) for key in life.executed if key in before]
        if again:
            raise Mismatch(f"executed although an outcome was recorded: {again}")
        if life.seen[: len(seen)] != seen[: len(life.seen)]:
            raise Mismatch(f"the order was\n  {seen}, it is now\n  {life.seen}")


def completed(lab: Lab, run_id: str) -> dict[str, str]:
    """What no later life may execute again."""
    outcomes = lab.outcomes(run_id)
    return {key: type for key, type in outcomes.items() if type == "step.completed"}


def walk(node: Node) -> Iterator[Node]:
    yield node
    for each in node.children:
        yield from walk(each)


def examine(
    seed: int,
    *,
    crashes: int = 3,
    rounds: int = 2,
    noise: bool = False,
    mended: bool = False,
    **options: bool,
) -> None:
    """Put one random program through its lives; tell all about it if that fails."""
    program = build(random.Random(seed), mended=mended, **options)
    trial = Trial(seed, program, crashes, noise)
    try:
        if mended:
            for _ in range(rounds):
                trial.mended()
            return
        commits = trial.undisturbed()
        for _ in range(rounds):
            trial.disturbed(commits)
    except Exception as exc:
        raise AssertionError(
            f"seed {seed}, life {trial.life.number}: {type(exc).__name__}: {exc}\n"
            f"{program.show()}"
        ) from exc

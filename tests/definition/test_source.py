"""Hashes and texts of functions: what changes them and what does not."""

import functools
import itertools
import linecache
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nbflow.definition.source import (
    definition_hash,
    function_hash,
    function_label,
    held_arguments,
    same_definition,
    source_text,
    static_steps,
)

_numbers = itertools.count()
Run = Callable[[str], types.SimpleNamespace]


class FakeStep:
    """Stands for what `@step` makes: an object of nbflow's with `.fn` and an id."""

    __module__ = "nbflow.workflow"

    def __init__(self, fn: Any, identity: str = "") -> None:
        self.fn = fn
        self.id = identity or fn.__name__


@pytest.fixture
def cell() -> Iterator[Run]:
    """Executes texts in one namespace, as the cells of a notebook are."""
    space: dict[str, Any] = {"__name__": "__main__", "FakeStep": FakeStep}
    files: list[str] = []

    def run(text: str, *, known: bool = True) -> types.SimpleNamespace:
        file = f"/tmp/kernel/{next(_numbers)}.py"
        if known:
            lines = text.splitlines(keepends=True)
            linecache.cache[file] = (len(text), None, lines, file)
            files.append(file)
        exec(compile(text, file, "exec"), space)
        return types.SimpleNamespace(**space)

    yield run
    for file in files:
        linecache.cache.pop(file, None)


BODY = "def wf(ctx, n=1):\n    return helper(n) + 1\n"
HELPER = "def helper(x):\n    return inner(x)\n"
INNER = "def inner(x):\n    return x * 2\n"


def test_the_hash_says_its_scheme_and_python_version(cell: Any) -> None:
    text = definition_hash(cell(BODY).wf)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert text.startswith(f"1:{version}:")
    assert len(text.rpartition(":")[2]) == 16


@pytest.mark.parametrize(
    "same",
    [
        f"# moved down\n\n\n{BODY}",
        "def wf(ctx, n=1):\n    '''Says what.'''\n    # and why\n\n    "
        "return helper(n)+1",
        f"def decorate(f): return f\n@decorate\n{BODY}",
        "if True:\n  def wf(ctx, n = 1): return (helper(n) + 1)",
    ],
)
def test_what_is_not_code_does_not_count(cell: Any, same: str) -> None:
    before = definition_hash(cell(BODY).wf)
    assert definition_hash(cell(same).wf) == before
    assert function_hash(cell(same).wf) == function_hash(cell(BODY).wf)


@pytest.mark.parametrize(
    "other",
    [
        BODY.replace("+ 1", "+ 2"),
        BODY.replace("n=1", "n=2"),
        BODY.replace("n=1", "n: int = 1"),
        f"async {BODY}",
        BODY.replace("helper(n)", "helper(n, n)"),
    ],
)
def test_other_code_counts(cell: Any, other: str) -> None:
    before = cell(BODY).wf
    after = cell(other).wf
    assert definition_hash(before) != definition_hash(after)
    assert function_hash(before) != function_hash(after)


def test_a_redefined_helper_counts_however_deep(cell: Any) -> None:
    cell(INNER)
    cell(HELPER)
    wf = cell(BODY).wf
    first, own = definition_hash(wf), function_hash(wf)
    cell(INNER.replace("2", "3"))
    second = definition_hash(wf)
    cell(f"# the same again\n{INNER}")
    assert second != first
    assert definition_hash(wf) == first
    cell(HELPER.replace("inner(x)", "x"))
    assert definition_hash(wf) not in (first, second)
    assert function_hash(wf) == own


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "class Tool:\n  def run(self): return 1\ndef wf(ctx): Tool().run()",
            "class Tool:\n  def run(self): return 2",
        ),
        (
            "def low(): return 1\n"
            "class Tool:\n  @property\n  def run(self): return low()"
            "\ndef wf(ctx): Tool().run",
            "def low(): return 2",
        ),
        (
            "class Base:\n  x: int = 1\nclass Tool(Base): pass\ndef wf(ctx): Tool()",
            "class Base:\n  x: str = 1\nclass Tool(Base): pass",
        ),
        (
            "import functools\ndef add(a, b): return a + b\n"
            "plus = functools.partial(add, 1)\ndef wf(ctx): plus(2)",
            "def add(a, b): return a - b\nplus = functools.partial(add, 1)",
        ),
        (
            "import functools\n@functools.lru_cache\ndef f(a): return a\n"
            "def wf(ctx): f(2)",
            "@functools.lru_cache\ndef f(a): return -a",
        ),
        (
            "@FakeStep\ndef f(a): return a\ndef wf(ctx): f(2)",
            "@FakeStep\ndef f(a): return -a",
        ),
        ("f = lambda a: a\ndef wf(ctx): f(2)", "f = lambda a: -a"),
        (
            "def f(a): return a\ndef wf(ctx):\n  def g(): return [f(x) for x in ctx]",
            "def f(a): return -a",
        ),
        (
            "class Call:\n  def __call__(self): return 1\nc = Call()\ndef wf(ctx): c()",
            "class Call:\n  def __call__(self): return 2\nc = Call()",
        ),
    ],
)
def test_what_a_body_names_counts(cell: Any, before: str, after: str) -> None:
    wf = cell(before).wf
    first = definition_hash(wf)
    cell(after)
    assert definition_hash(wf) != first


def test_functions_in_a_closure_count(cell: Any) -> None:
    text = "def make():\n  def f(): return 1\n  def wf(ctx): return f()\n  return wf\n"
    first = cell(f"{text}wf = make()").wf
    other = cell(f"{text}wf = make()".replace("1", "2")).wf
    assert definition_hash(first) != definition_hash(other)


def test_functions_of_other_modules_and_constants_do_not_count(cell: Any) -> None:
    wf = cell("import json\nN = 1\ndef wf(ctx): return json.dumps(N)").wf
    before = definition_hash(wf)
    cell("N = 2")
    json = types.ModuleType("json")
    vars(json)["dumps"] = lambda value: value
    wf.__globals__["json"] = json
    assert definition_hash(wf) == before


def test_functions_that_name_each_other_end(cell: Any) -> None:
    wf = cell("def wf(ctx): return other()\ndef other(): return wf(1)").wf
    assert definition_hash(wf) != definition_hash(wf.__globals__["other"])


def test_proxies_among_the_globals_are_left_alone(cell: Any) -> None:
    class Proxy:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("not connected")

        @property
        def __class__(self) -> Any:
            raise RuntimeError("not connected")

    wf = cell("proxy = None\ndef wf(ctx): return proxy").wf
    wf.__globals__["proxy"] = Proxy()
    assert definition_hash(wf)


def test_equal_code_from_other_texts_is_told_apart(cell: Any) -> None:
    one, two = (cell(f"def f(x={n}): return x").f for n in (1, 2))
    assert one.__code__ == two.__code__ or sys.version_info >= (3, 12)
    assert function_hash(one) != function_hash(two)


def test_functions_without_text_are_known_by_their_code(cell: Any) -> None:
    def hashes(text: str) -> tuple[str, bytes]:
        wf = cell(text, known=False).wf
        assert source_text(wf) is None
        return definition_hash(wf), function_hash(wf)

    text = "def wf(ctx, n=1):\n    'doc'\n    return n in {'a', 'b'}, (lambda: 1)\n"
    assert hashes(text) == hashes(f"\n\n{text}")
    assert hashes(text) == hashes(text.replace("doc", "other"))
    for other in (text.replace("'b'", "'c'"), text.replace("n=1", "n=2")):
        assert hashes(text) != hashes(other)
    assert hashes(text) != hashes(text.replace("lambda: 1", "lambda: 2"))
    cell("def helper(): return 1", known=False)
    named = "def wf(ctx): return helper()"
    first = hashes(named)
    cell("def helper(): return 2", known=False)
    assert hashes(named)[0] != first[0]


def test_a_text_that_was_edited_since_is_not_believed(cell: Any) -> None:
    wf = cell("def wf(ctx): return 1").wf
    file = wf.__code__.co_filename
    linecache.cache[file] = (1, None, ["def other(ctx, b): return 2\n"], file)
    assert source_text(wf) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fs = [lambda: 1, lambda: 2]", ["lambda: 1", "lambda: 2"]),
        ("fs = lambda x: x, lambda y: y", ["lambda x: x", "lambda y: y"]),
        ("fs = [lambda x: x + 1,\n  lambda x: x]", ["lambda x: x + 1", "lambda x: x"]),
        (
            "fs = [lambda x: lambda x: x, lambda x: x]",
            ["lambda x: lambda x: x", "lambda x: x"],
        ),
        ("é = 'é'; fs = [lambda é: é, lambda é: -é]", ["lambda é: é", "lambda é: -é"]),
    ],
)
def test_lambdas_on_one_line(cell: Any, text: str, expected: list[str]) -> None:
    lambdas = list(cell(text).fs)
    assert [source_text(each) for each in lambdas] == expected
    assert len({function_hash(each) for each in lambdas}) == len(lambdas)


def test_the_lambda_inside_a_lambda(cell: Any) -> None:
    inner = cell("f = lambda x: (lambda y: x + y)").f(1)
    assert source_text(inner) == "lambda y: x + y"


def test_hashes_look_through_wrappers(cell: Any) -> None:
    space = cell(
        "class Tool:\n  def run(self): return 1\n  @classmethod\n  def make(cls): 0\n"
        "def plain(): return 1\n"
    )
    plain = space.plain

    @functools.wraps(plain)
    def wrapper() -> Any:
        return plain()

    expected = function_hash(plain)
    for each in (wrapper, functools.partial(plain), FakeStep(plain), FakeStep(wrapper)):
        assert function_hash(each) == expected
        assert source_text(each) == "def plain(): return 1\n"
        assert function_label(each) == "plain"
    assert function_hash(space.Tool().run) == function_hash(space.Tool.run)
    assert function_label(space.Tool().run) == "run"
    assert source_text(space.Tool.make) == "@classmethod\ndef make(cls): 0\n"


def test_the_arguments_that_partials_hold() -> None:
    inner = functools.partial(print, 1, sep="a", end="b")
    assert held_arguments(functools.partial(inner, 2, sep="c")) == (
        (1, 2),
        {"sep": "c", "end": "b"},
    )
    assert held_arguments(print) == ((), {})


def test_builtins_classes_and_callable_objects(cell: Any) -> None:
    class Local:
        def __call__(self) -> int:
            return 1

    assert function_hash(len) != function_hash(print)
    assert function_hash(len) == function_hash(len)
    assert len(function_hash("".join)) == 6
    assert function_hash(Local) == function_hash(Local())
    assert (source_text(Local) or "").startswith("class Local:\n    def __call__")
    assert function_label(Local()) == "Local"
    assert function_label(len) == "len"
    assert source_text(len) is None
    assert definition_hash(len) != definition_hash(print)


def test_the_text_holds_decorators_and_comments(cell: Any) -> None:
    text = "def d(f): return f\nif True:\n    @d\n    def wf(ctx):  # why\n        1\n"
    assert source_text(cell(text).wf) == "@d\ndef wf(ctx):  # why\n    1\n"


def test_hashes_of_other_versions_are_a_change() -> None:
    assert same_definition("1:3.11:aa", "1:3.11:aa")
    assert not same_definition("1:3.11:aa", "1:3.12:aa")
    assert not same_definition(None, None)
    assert not same_definition("", "")


def test_steps_that_can_be_read_off_a_body(cell: Any) -> None:
    wf = cell(
        "def fetch(): 0\n@FakeStep\ndef parse(): 0\n"
        "named = FakeStep(fetch, 'my step')\n"
        "async def wf(c, client, ctx):\n"
        "    await c.run('first', fetch)\n"
        "    await c.run(fetch, 1, retries=2)\n"
        "    await c.run(client.get, 1)\n"
        "    await c.run(f'computed {client}', fetch)\n"
        "    await c.run('first', fetch)\n"
        "    async def branch(n):\n"
        "        await parse(await c.sleep('nap', 5))\n"
        "        await c.run(named)\n"
        "    await c.map('all', fetch, [])\n"
        "    await c.invoke('child', 'other', {})\n"
        "    await c.wait_for_event('paid', 'payment')\n"
        "    await c.ask('sure', 'Really?')\n"
        "    c.log('no step'); ctx.run('not the context', 1); client.run('nor this')\n"
    ).wf
    assert static_steps(wf) == [
        *("first", "fetch", "get", "parse", "nap", "my step"),
        *("all", "child", "paid", "sure"),
    ]
    assert static_steps(len) == []
    assert static_steps(lambda: 1) == []


def test_hashing_again_is_cheap(cell: Any) -> None:
    wf = cell(INNER + HELPER + BODY).wf
    first = definition_hash(wf)
    file = wf.__code__.co_filename
    del linecache.cache[file]  # nothing is read again
    assert definition_hash(wf) == first

"""Names that Python binds and reads, worked out on its tree."""

import ast
import sys

import pytest

from nbflow.notebook.names import bound_names, dotted, read_names, root_name


def analysed(text: str) -> tuple[set[str], set[str], set[str]]:
    (node,) = ast.parse(text).body
    reads = read_names(node)
    return bound_names([node]), set(reads.now), set(reads.later)


@pytest.mark.parametrize(
    ("text", "binds", "now", "later"),
    [
        ("x = a + b.c", "x", "a b", ""),
        ("x += 1", "x", "x", ""),
        ("x[a] = b", "", "x a b", ""),
        ("x, (y, *z) = a", "x y z", "a", ""),
        ("x: T = a", "x", "T a", ""),
        ("x: 'list[T]' = a", "x", "a", "T list"),
        ("del x", "", "", ""),
        ("import a.b, c as d", "a d", "", ""),
        ("from a import b as c, d", "c d", "", ""),
        ("for i in a: x = i", "i x", "a i", ""),
        ("with a as b: pass", "b", "a", ""),
        ("try: pass\nexcept E as e: pass", "e", "E", ""),
        ("x = [y for y in a if y > b]", "x", "a b", ""),
        ("x = {k: v for k, v in a for k in k}", "x", "a", ""),
        ("x = [(w := y) for y in a]", "x w", "a", ""),
        ("x = [[z for z in y] for y in a]", "x", "a", ""),
        ("x = lambda a, b=c: a + b + d", "x", "c d", "d"),
        ("def f(a, *b, c=d, **e): return a + b + g", "f", "d", "g"),
        ("def f(a: T = 1) -> R: x = a; return x", "f", "T R", ""),
        ("def f(a: 'T'): pass", "f", "", "T"),
        ("@d\ndef f():\n    def g(): return x + h\n    return g", "f", "d", "x h"),
        ("def f():\n    global x\n    x = 1", "f", "", ""),
        ("def f():\n    x = 1\n    def g():\n        nonlocal x; x = 2", "f", "", ""),
        ("def f():\n    import a\n    return a, b", "f", "", "b"),
        ("async def f(ctx): return await ctx.run(g)", "f", "", "g"),
        ("class A(B, metaclass=M):\n    x = a", "A", "B M a", ""),
        ("class A:\n    x = 1\n    y = x\n    def m(self): return x", "A", "", "x"),
        (
            "match a:\n    case {'k': v, **r}: pass\n    case [b, *c]: pass",
            "v r b c",
            "a",
            "",
        ),
        ("if (n := a): pass", "n", "a", ""),
        ("x = await f()", "x", "f", ""),
        ("def f(a=lambda q: q): return q", "f", "", "q"),
    ],
)
def test_names_of_a_statement(text: str, binds: str, now: str, later: str) -> None:
    got = analysed(text)
    assert got == (set(binds.split()), set(now.split()), set(later.split()))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="syntax of 3.12")
def test_type_parameters_are_no_names_of_the_module() -> None:
    assert analysed("def f[T](x: T) -> U: return x + q") == ({"f"}, {"U"}, {"q"})
    assert analysed("class A[T](B[T]): x: T") == ({"A"}, {"B"}, set())


def test_roots_and_dotted_names() -> None:
    def node(text: str) -> ast.expr:
        return ast.parse(text, mode="eval").body

    assert root_name(node("cfg['x'].y(1).z")) == "cfg"
    assert root_name(node("(a + b).c")) is None
    assert dotted(node("os.environ.x")) == "os.environ.x"
    assert dotted(node("f().x")) == ""

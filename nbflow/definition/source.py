"""The code of workflows and steps: its hash, its text, the steps it names.

A definition is the body and the functions and classes beside it, in the same
notebook or module, that it names. Neighbours: `syntax` finds the trees, `spec` and
the engine compare the hashes.
"""

import ast
import dis
import functools
import hashlib
import inspect
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any, Generic, TypeVar

from nbflow.definition import syntax

_SCHEME = f"1:{sys.version_info.major}.{sys.version_info.minor}:"
_GLOBAL_LOADS = frozenset(
    {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS", "LOAD_CLASSDEREF"}
)
_STEP_CALLS = frozenset(
    {
        "run",
        "map",
        "invoke",
        "try_invoke",
        "start",
        "sleep",
        "wait_for_event",
        "ask",
        "send_event",
    }
)
_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(...))
_T = TypeVar("_T")


class _ByIdentity(Generic[_T]):
    """A cache that follows objects, not their equality: equal code objects may come
    from different texts (`def f(x=1)` and `def f(x=2)`)."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Any], _T]] = {}

    def get(self, key: Any, make: Callable[[], _T]) -> _T:
        entry = self._entries.get(id(key))
        if entry is not None and entry[0]() is key:
            return entry[1]
        value, number = make(), id(key)
        gone = functools.partial(self._forget, number)
        self._entries[number] = (weakref.ref(key, gone), value)
        return value

    def _forget(self, number: int, reference: "weakref.ref[Any]") -> None:
        entry = self._entries.get(number)
        if entry is not None and entry[0] is reference:
            del self._entries[number]


_digests: _ByIdentity[bytes] = _ByIdentity()
_names: _ByIdentity[tuple[str, ...]] = _ByIdentity()


def definition_hash(fn: Callable[..., Any]) -> str:
    """Hash of a body and of all that it names in its own notebook or module.

    Functions and classes count transitively, without decorators, docstrings,
    comments and positions. Looked up at each call, so that a helper which was
    redefined changes the result; costs a few microseconds a named function.

    Returns:
        Scheme, Python's minor version and 16 hex digits: `"1:3.12:0f3a…"`. The
        versions print some syntax differently, so theirs are never equal.
    """
    digest = hashlib.sha256()
    for name, own in _parts(unwrap(fn)):
        digest.update(f"{len(name)}:{name}".encode("utf-8", "surrogatepass") + own)
    return _SCHEME + digest.hexdigest()[:16]


def same_definition(a: str | None, b: str | None) -> bool:
    """Whether two hashes are of one code; what another version made is a change."""
    return bool(a) and a == b


def function_hash(fn: Callable[..., Any]) -> bytes:
    """Six bytes that follow the function's own text, not that of what it names.

    A partial, a bound method and a decorated function (`functools.wraps`) count as
    the function inside; a class or an instance as the text of the class; a builtin
    as its qualified name. What partials and closures hold is not looked at.
    """
    return _own(unwrap(fn))[:6]


def source_text(fn: Callable[..., Any]) -> str | None:
    """The text as written, decorators included; None when there is none."""
    found = _find(_subject(unwrap(fn)))
    return None if found is None else syntax.user_text(*found)


def function_label(fn: Callable[..., Any]) -> str:
    """The plain name to show a function by: `fetch`, also for `client.fetch`."""
    inner = unwrap(fn)
    name = getattr(inner, "__name__", None)
    return name if isinstance(name, str) else type(inner).__name__


def static_steps(fn: Callable[..., Any]) -> list[str]:
    """The step ids that can be read off a body's text, in the order written.

    Literal ids and names of functions in calls of its first parameter
    (`ctx.run("fetch", …)`, `ctx.run(fetch, …)`), and calls of `@step` functions.
    Each once; computed ids are left out.
    """
    inner = unwrap(fn)
    found = _find(inner) if isinstance(inner, FunctionType) else None
    if found is None:
        return []
    node = found[0]
    assert not isinstance(node, ast.ClassDef)
    parameters = [*node.args.posonlyargs, *node.args.args]
    context = parameters[0].arg if parameters else ""
    calls = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
    calls.sort(key=lambda call: (call.lineno, call.col_offset))
    ids = (_step_of(call, context, inner) for call in calls)
    return list(dict.fromkeys(each for each in ids if each))


def unwrap(fn: Any) -> Any:
    """The function inside partials, bound methods, decorators, steps, workflows."""
    for _ in range(100):
        # type(), not isinstance: a proxy among the globals must not be woken.
        kind = type(fn)
        if issubclass(kind, functools.partial):
            fn = fn.func
        elif kind in (MethodType, staticmethod, classmethod):
            fn = fn.__func__
        elif _is_ours(fn) and callable(getattr(fn, "fn", None)):
            fn = fn.fn
        elif not issubclass(kind, type) and "__wrapped__" in syntax.attributes(fn):
            fn = syntax.attributes(fn)["__wrapped__"]
        else:
            break
    return fn


def held_arguments(fn: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that partials hold: `f(1, …)` for `partial(f, 1)`.

    They belong to a call's arguments, because `function_hash` looks through partials.
    """
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    while isinstance(fn, functools.partial):
        args, kwargs = (*fn.args, *args), {**fn.keywords, **kwargs}
        fn = fn.func
    return args, kwargs


def _parts(root: Any) -> Iterator[tuple[str, bytes]]:
    """Name and digest of the root and of each function or class that it reaches."""
    subject = _subject(root)
    if not isinstance(subject, FunctionType):
        yield "", _own(root)
        return
    home = subject.__globals__
    waiting: deque[tuple[str, Any]] = deque([("", subject)])
    seen = {id(subject)}
    while waiting:
        name, subject = waiting.popleft()
        yield name, _own(subject)
        for below, value in _named_by(subject):
            inner = _subject(unwrap(value))
            if _belongs(inner, home) and id(inner) not in seen:
                seen.add(id(inner))
                waiting.append((below, inner))


def _named_by(subject: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(subject, type):
        yield from ((base.__name__, base) for base in subject.__mro__[1:])
        for function in syntax.own_functions(subject):
            yield from _named_by(function)
        return
    code = subject.__code__
    for name in _names.get(code, lambda: _global_names(code)):
        if name in subject.__globals__:
            yield name, subject.__globals__[name]
    for name, cell in zip(code.co_freevars, subject.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not bound yet
            continue
    defaults = (*(subject.__defaults__ or ()), *(subject.__kwdefaults__ or {}).values())
    yield from (("", value) for value in defaults)


def _belongs(subject: Any, home: dict[str, Any]) -> bool:
    if isinstance(subject, FunctionType):
        return subject.__globals__ is home
    return isinstance(subject, type) and subject.__module__ == home.get("__name__")


def _subject(inner: Any) -> Any:
    """What carries the text: a function, a class, or a callable object's class."""
    kind = type(inner)
    if kind is FunctionType or issubclass(kind, type):
        return inner
    bases = type.__dict__["__mro__"].__get__(kind)
    calls = (vars(base)["__call__"] for base in bases if "__call__" in vars(base))
    return kind if isinstance(next(calls, None), FunctionType) else None


def _global_names(code: CodeType) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for instruction in dis.get_instructions(code):
        if instruction.opname in _GLOBAL_LOADS:
            names[instruction.argval] = None
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names.update(dict.fromkeys(_global_names(constant)))
    return tuple(names)


def _own(inner: Any) -> bytes:
    subject = _subject(inner)
    if isinstance(subject, FunctionType):
        return _digests.get(subject.__code__, lambda: _function_digest(subject))
    if isinstance(subject, type):
        return _digests.get(subject, lambda: _class_digest(subject))
    module = getattr(inner, "__module__", None) or type(inner).__module__
    name = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    return _hash(f"name:{module}.{name}")


def _function_digest(function: FunctionType) -> bytes:
    found = _find(function)
    if found is not None:
        return _hash(syntax.own_text(found[0]))
    return _hash(f"code:{_code_text(function.__code__)}{_shown(function.__defaults__)}")


def _class_digest(cls: type) -> bytes:
    found = _find(cls)
    if found is not None:
        return _hash(syntax.own_text(found[0]))
    fields = getattr(cls, "__dict__", {}).get("__annotations__", {})
    lines = [f"class:{cls.__module__}.{cls.__qualname__}"]
    lines += [f"{name}: {_type_name(kind)}" for name, kind in fields.items()]
    for name, value in sorted(vars(cls).items()):
        if isinstance(value, FunctionType):
            lines.append(f"{name}={_code_text(value.__code__)}")
        elif not name.startswith("__") and isinstance(value, _PLAIN):
            lines.append(f"{name}={value!r}")
    return _hash("\n".join(lines))


def _find(subject: Any) -> tuple[syntax.Node, list[str]] | None:
    if isinstance(subject, FunctionType):
        return syntax.find_function(subject.__code__, subject.__globals__)
    return syntax.find_class(subject) if isinstance(subject, type) else None


def _code_text(code: CodeType) -> str:
    """What a code object does, without its positions and docstring."""
    constants = list(code.co_consts)
    if constants and isinstance(constants[0], str) and _has_docstring(code):
        constants[0] = None
    names = (code.co_name, code.co_names, code.co_varnames, code.co_freevars)
    return f"{names!r}{code.co_argcount}{code.co_code.hex()}{_shown(constants)}"


def _has_docstring(code: CodeType) -> bool:
    flag = getattr(inspect, "CO_HAS_DOCSTRING", None)
    if flag is not None:
        return bool(code.co_flags & flag)
    # Before that flag a function's first constant was its docstring or None.
    return bool(code.co_flags & inspect.CO_NEWLOCALS) and code.co_name[:1] != "<"


def _shown(value: Any) -> str:
    if isinstance(value, CodeType):
        return _code_text(value)
    if isinstance(value, frozenset):
        return f"frozenset({sorted(map(_shown, value))})"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_shown, value))})"
    return repr(value) if isinstance(value, _PLAIN) else type(value).__qualname__


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, type):
        return f"{annotation.__module__}.{annotation.__qualname__}"
    return str(annotation)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


def _step_of(call: ast.Call, context: str, fn: FunctionType) -> str | None:
    target = call.func
    if isinstance(target, ast.Name):
        known = fn.__globals__.get(target.id)
        return _step_id(known) if _is_ours(known) else None
    if not (
        isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.value.id == context
        and target.attr in _STEP_CALLS
        and call.args
    ):
        return None
    first = call.args[0]
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return first.value
    if target.attr != "run":
        return None
    if isinstance(first, ast.Name):
        known = fn.__globals__.get(first.id)
        return (_step_id(known) if _is_ours(known) else None) or first.id
    return first.attr if isinstance(first, ast.Attribute) else None


def _step_id(step: Any) -> str | None:
    """The id of a `@step` object; None for a workflow, which needs an `invoke`."""
    for holder in (step, getattr(step, "spec", None)):
        identity = getattr(holder, "id", None)
        if isinstance(identity, str):
            return identity
    return None


def _is_ours(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "nbflow"

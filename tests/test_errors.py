"""The error tree, pickling, and the errors that stand for a step's original error."""

import datetime as dt
import gc
import io
import pickle
import sys
import threading
import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import httpx
import pydantic
import pytest

import nbflow.errors as errors
from nbflow import _rebuild
from nbflow.errors import NbflowError, StepError, step_error
from nbflow.model import ErrorInfo

Make = Callable[[BaseException], Any]

INFO = ErrorInfo("ValueError", "too large", "line 3", "fetch", "run-1")
SINCE = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
OWN_FIELDS: dict[str, dict[str, object]] = {
    "InvalidOption": {"option": "retries", "value": -1},
    "NotSerializable": {"path": "value[3].x", "value": {"a": 1}},
    "InvokeError": {"error": INFO},
    "RetryAfterError": {"retry_after": "30s"},
    "StepError": {"error": INFO, "attempts": 4},
    "MapError": {"results": [1, None], "errors": [NbflowError("second")]},
    "RunFailed": {"error": INFO},
    "EngineBusy": {"pid": 7, "host": "box", "since": SINCE, "notebook": "a.ipynb"},
}
PUBLIC = [
    value
    for value in vars(errors).values()
    if isinstance(value, type)
    and issubclass(value, NbflowError | errors.Canceled)
    and not value.__name__.startswith("_")
]


def own_fields(kind: type[BaseException]) -> dict[str, object]:
    return next(
        (OWN_FIELDS[k.__name__] for k in kind.__mro__ if k.__name__ in OWN_FIELDS), {}
    )


def info_of(error: BaseException, **fields: str) -> ErrorInfo:
    path = _rebuild.class_path(type(error))
    return ErrorInfo(type(error).__name__, str(error), _class=path, **fields)


def first_pass(error: BaseException) -> StepError:
    kept = _rebuild.plain_attributes(error)
    return step_error(
        info_of(error, run_id="run-1"), "fetch", 4, error, kept, error.args
    )


def after_restart(error: BaseException) -> StepError:
    kept = _rebuild.plain_attributes(error)
    return step_error(
        info_of(error, run_id="run-1"), "fetch", 4, None, kept, error.args
    )


class Refused(Exception):
    """A user's error with an `__init__` of its own."""

    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(f"refused with {code}")
        self.code = code
        self.hint = hint
        self.tags = {"a": [1, None, True]}
        self.pair = (1, 2)
        self.lock = threading.Lock()


class Registered(Exception):
    names: ClassVar[list[str]] = []

    def __init_subclass__(cls, **kwargs: object) -> None:
        Registered.names.append(cls.__name__)


@dataclass(frozen=True)
class Frozen(Exception):
    code: int


class Slotted(Exception):
    __slots__ = ("code",)
    code: int


class Crossed(ValueError, OSError):
    pass


class Outer:
    class Inner(LookupError):
        pass


class Posing(Exception):
    @property
    def error(self) -> str:
        raise RuntimeError("must not be asked")

    step = property(lambda self: "own")


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.__name__)
class TestEveryError:
    def test_keeps_its_fields_as_attributes(self, kind: Any) -> None:
        where = {"run_id": "r", "step": "s", "attempt": 2, "workflow": "w"}
        fields = where | own_fields(kind)
        error = kind("what happened", **fields)
        assert str(error) == "what happened"
        assert {name: getattr(error, name) for name in fields} == fields

    def test_knows_nothing_when_not_told(self, kind: Any) -> None:
        error = kind("what happened")
        assert (error.run_id, error.step, error.attempt, error.workflow) == (None,) * 4

    def test_survives_pickling(self, kind: Any) -> None:
        fields = {"run_id": "r", "attempt": 2} | own_fields(kind)
        error = pickle.loads(pickle.dumps(kind("what happened", **fields)))
        assert type(error) is kind
        assert str(error) == "what happened"
        for name in fields.keys() - {"errors"}:
            assert getattr(error, name) == fields[name]

    def test_cuts_its_message(self, kind: Any) -> None:
        text = str(kind("x" * 5_000))
        assert len(text) == 2_000
        assert text.endswith("x …")
        assert str(kind("x" * 2_000)) == "x" * 2_000

    def test_is_shown_as_one_of_the_package(self, kind: Any) -> None:
        assert kind.__module__ == "nbflow"
        assert kind.__name__ in (errors.__doc__ or "")
        assert len((kind.__doc__ or "").strip()) > 10


@pytest.mark.parametrize(
    ("name", "bases"),
    [
        ("DefinitionError", "NbflowError ValueError"),
        ("DuplicateWorkflow", "DefinitionError"),
        ("InvalidRunId", "DefinitionError"),
        ("NotSerializable", "NonRetriableError TypeError"),
        ("InvokeError", "NonRetriableError"),
        ("WorkflowNotFound", "InvokeError LookupError"),
        ("InvokeTimedOut", "InvokeError TimeoutError"),
        ("InvokeRateLimited", "InvokeSkipped"),
        ("InvokeSkipped", "InvokeError"),
        ("InvalidInput", "InvokeError ValueError"),
        ("StepTimeout", "NbflowError TimeoutError"),
        ("RunTimedOut", "RunFailed"),
        ("RunNotFound", "RunError LookupError"),
        ("StepNotFound", "RunError LookupError"),
        ("OffsetExpired", "OffsetError"),
        ("OffsetError", "NbflowError ValueError"),
        ("InvalidCursor", "NbflowError ValueError"),
        ("EngineBusy", "StoreError"),
        ("NotebookError", "NbflowError ValueError"),
    ],
)
def test_tree(name: str, bases: str) -> None:
    assert " ".join(b.__name__ for b in getattr(errors, name).__bases__) == bases


def test_engine_control_flow_passes_through_except_exception() -> None:
    assert issubclass(errors.Canceled, errors._Interrupt)
    assert not issubclass(errors.Canceled, Exception)


def test_field_that_cannot_be_pickled_is_none_on_the_other_side() -> None:
    error = errors.NotSerializable(
        "no codec", path="value.lock", value=threading.Lock()
    )
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.path, copy.value) == ("value.lock", None)
    assert error.value is not None


def test_users_subclass_with_its_own_init_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(TooOld(42)))
    assert (type(error), error.age, str(error)) == (TooOld, 42, "42 years")


class TooOld(errors.NonRetriableError):
    def __init__(self, age: int) -> None:
        super().__init__(f"{age} years", step="check")
        self.age = age


def unicode_error() -> UnicodeDecodeError:
    return UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


def status_error() -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "https://example.org/a")
    response = httpx.Response(404, request=request)
    return httpx.HTTPStatusError("404 for /a", request=request, response=response)


ORIGINALS = [
    ValueError("too large"),
    KeyError("name"),
    KeyError(),
    FileNotFoundError(2, "No such file", "a.txt"),
    io.UnsupportedOperation("not readable"),
    TimeoutError(),
    unicode_error(),
    ImportError("no module", name="a", path="b"),
    SyntaxError("bad", ("a.py", 3, 1, "x =", 3, 2)),
    StopAsyncIteration(3),
    ZeroDivisionError("division by zero"),
    RecursionError("deep"),
    status_error(),
    httpx.ConnectTimeout("slow"),
    Refused(7, hint="ask"),
    Frozen(3),
    Slotted("s"),
    Crossed("both"),
    Outer.Inner("inner"),
    Registered("hook"),
    Posing("posing"),
    ExceptionGroup("several", [ValueError("a"), KeyError("b")]),
    errors.NonRetriableError("stop"),
    errors.NotSerializable("no codec", path="value.x"),
    errors.MapError("2 of 3", results=[1, None]),
    errors.InvokeTimedOut("child", run_id="other"),
    StepError("inner step", step="inner", attempts=2),
]


@pytest.mark.parametrize("make", [first_pass, after_restart])
@pytest.mark.parametrize("original", ORIGINALS, ids=lambda e: type(e).__name__)
class TestStepError:
    def test_is_both_and_reads_as_the_original(
        self, original: Exception, make: Make
    ) -> None:
        error = make(original)
        assert isinstance(error, StepError)
        assert isinstance(error, type(original))
        assert str(error) == str(original)
        assert error.args == original.args
        assert type(error).__name__ == type(original).__name__
        assert (error.step, error.attempts, error.run_id) == ("fetch", 4, "run-1")
        assert error.error is not None
        assert error.error.message == str(original)

    def test_survives_pickling(self, original: Exception, make: Make) -> None:
        error = pickle.loads(pickle.dumps(make(original)))
        assert isinstance(error, StepError)
        assert isinstance(error, type(original))
        assert (str(error), repr(error)) == (str(original), repr(original))
        assert (error.step, error.attempts) == ("fetch", 4)
        assert error.error is not None
        assert error.error.message == str(original)

    def test_can_be_raised_and_formatted(self, original: Exception, make: Make) -> None:
        with pytest.raises(type(original)) as caught:
            raise make(original)
        assert caught.type.__name__ in str(caught.getrepr())


@pytest.mark.parametrize("make", [first_pass, after_restart])
class TestAttributes:
    def test_plain_ones_are_restored(self, make: Make) -> None:
        error = make(Refused(7, hint="ask"))
        assert (error.code, error.hint) == (7, "ask")
        assert error.tags == {"a": [1, None, True]}

    def test_others_say_why_they_are_missing(self, make: Make) -> None:
        error = make(Refused(7, hint="ask"))
        for name in ("lock", "pair"):
            assert not hasattr(error, name)
        with pytest.raises(AttributeError, match=r"'fetch' has no.*inside the step"):
            _ = error.lock

    def test_those_of_builtins_are_restored(self, make: Make) -> None:
        missing = make(FileNotFoundError(2, "No such file", "a.txt"))
        assert (missing.errno, missing.strerror, missing.filename) == (
            2,
            "No such file",
            "a.txt",
        )
        broken = make(unicode_error())
        assert (broken.encoding, broken.start, broken.end) == ("utf-8", 0, 1)
        assert make(ImportError("x", name="a")).name == "a"
        slotted = Slotted("s")
        slotted.code = 5
        assert make(slotted).code == 5

    def test_http_error_keeps_its_status(self, make: Make) -> None:
        error = make(status_error())
        assert error.response.status_code == 404
        assert error.response.reason_phrase == "Not Found"
        assert error.response.url == "https://example.org/a"
        with pytest.raises(AttributeError, match="inside the step"):
            _ = error.response.text
        with pytest.raises(AttributeError, match="inside the step"):
            _ = error.request

    def test_notes_are_kept(self, make: Make) -> None:
        original = ValueError("x")
        original.add_note("look here")
        assert make(original).__notes__ == ["look here"]

    def test_long_ones_are_left_out(self, make: Make) -> None:
        original = ValueError("x")
        original.body = "x" * 10_000  # type: ignore[attr-defined]
        original.ratio = float("nan")  # type: ignore[attr-defined]
        assert not hasattr(make(original), "body")
        assert not hasattr(make(original), "ratio")

    def test_record_cannot_reach_into_the_machinery(self, make: Make) -> None:
        del make
        hostile = {"__class__": 1, "__dict__": {}, "args": [1], "attempts": 99}
        error = step_error(info_of(ValueError("x")), "fetch", 4, None, hostile, None)
        assert isinstance(error, ValueError)
        assert (error.args, error.attempts) == (("x",), 4)


@pytest.mark.parametrize(
    "original",
    [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), errors.Canceled("c")],
    ids=lambda e: type(e).__name__,
)
def test_what_is_no_exception_becomes_a_plain_step_error(
    original: BaseException,
) -> None:
    for error in (first_pass(original), after_restart(original)):
        assert type(error) is StepError
        assert str(error) == str(original)


def test_final_class_becomes_a_plain_step_error() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        pydantic.TypeAdapter(int).validate_python("x")
    error = first_pass(caught.value)
    assert type(error) is StepError
    assert str(error) == str(caught.value)
    assert error.error is not None
    assert error.error.type == "ValidationError"
    assert pickle.loads(pickle.dumps(error)).attempts == 4


def test_class_is_never_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = types.ModuleType("lazy_module")

    def load(name: str) -> None:
        raise AssertionError(f"{name} was asked for")

    lazy.__getattr__ = load  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "lazy_module", lazy)
    for path in (
        "lazy_module:Error",
        "not_loaded_anywhere:Error",
        "json:dumps",
        "json:decoder.JSONDecodeError.missing",
        "builtins:int",
        ":",
        "",
        "tests",
    ):
        info = ErrorInfo("Error", "gone", _class=path)
        assert type(step_error(info, "fetch", 1)) is StepError
    assert "not_loaded_anywhere" not in sys.modules


def test_class_local_to_a_function_is_found_while_it_lives() -> None:
    class Local(Exception):
        pass

    assert isinstance(first_pass(Local("here")), Local)
    assert isinstance(after_restart(Local("here")), Local)


def test_redefined_class_is_the_present_one(monkeypatch: pytest.MonkeyPatch) -> None:
    old = Refused(1, hint="old")
    present = type("Refused", (Exception,), {"__module__": __name__})
    monkeypatch.setattr(sys.modules[__name__], "Refused", present)
    assert isinstance(first_pass(old), present)
    assert isinstance(after_restart(old), present)


def test_original_code_is_not_called() -> None:
    Registered.names.clear()
    assert isinstance(first_pass(Registered("x")), Registered)
    assert Registered.names == []


def test_classes_are_made_once_and_do_not_leak() -> None:
    def one_round() -> "weakref.ref[type[BaseException]]":
        kind = type("Passing", (Exception,), {"__module__": "<locals>"})
        first, second = first_pass(kind("a")), first_pass(kind("b"))
        assert type(first) is type(second)
        return weakref.ref(kind)

    gone = one_round()
    gc.collect()  # the class that was made, then the one it was made from
    gc.collect()
    assert gone() is None


def test_error_of_a_step_that_called_a_step_keeps_the_type() -> None:
    inner = first_pass(KeyError("name"))
    outer = first_pass(inner)
    assert isinstance(outer, KeyError)
    assert str(outer) == "'name'"


def test_group_can_be_taken_apart() -> None:
    error = first_pass(ExceptionGroup("several", [ValueError("a")]))
    assert isinstance(error, ExceptionGroup)
    matched, rest = error.split(KeyError)
    assert matched is None
    assert rest is not None

"""The input of a workflow: its parameters after the context, validated by pydantic.

Made from a signature at definition, when wrong signatures are refused; pydantic is
imported at the first validation only. Neighbour: `schemas`, which talks to pydantic.
"""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import cached_property
from types import FunctionType, SimpleNamespace
from typing import Any, NamedTuple

from nbflow.definition.shown import show
from nbflow.errors import DefinitionError, InvalidInput

UNKNOWN = "is unknown"
"""What is wrong with a field that an input does not have."""

_MISSING: Any = inspect.Parameter.empty
_IMMUTABLE = (str, bytes, int, float, complex, bool, type(None))
_NO_TYPES = (str, bytes, int, float, complex, list, tuple, dict, set)
_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)


class Field(NamedTuple):
    """One parameter: its type with forward references resolved, and its default."""

    name: str
    annotation: Any
    default: Any
    positional: bool

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        if self.default is _MISSING:
            return True
        # pydantic.Field(ge=1) as a default stands for rules, not for a value
        is_required = getattr(self.default, "is_required", None)
        return bool(_is_field_info(self.default) and is_required and is_required())

    def make_default(self) -> Any:
        """A default of the call's own: changing it changes no later call."""
        if _is_field_info(self.default):
            return self.default.get_default(call_default_factory=True)
        if type(self.default) in _IMMUTABLE:
            return self.default
        return deepcopy(self.default)


class InputModel:
    """Validates what a workflow is invoked with, before any run is recorded.

    Values are a dict by parameter name, in the signature's order, with defaults
    filled in. A workflow whose single parameter is called `input` (`whole`) takes
    any payload; its values are `{"input": payload}`.

    Args:
        fn: the workflow's function; its first parameter is the context.
        name: the workflow's name, for messages.
        local: names of the function around `fn` that annotations may use.

    Raises:
        DefinitionError: no parameter for the context, `*args`, or an annotation
            that names something unknown.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        local: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name or getattr(fn, "__name__", "workflow")
        self._fn = fn
        self._local = _local_names(fn, local)
        parameters = self._parameters()
        self.fields = tuple(self._fields(parameters))
        self._by_name = {field.name: field for field in self.fields}
        self._positional = tuple(
            field.name for field in self.fields if field.positional
        )
        self._is_plain = len(self._positional) == len(self.fields)
        self._optional = tuple(field for field in self.fields if not field.required)
        self.extra = self._extra(parameters)
        self.whole = len(self.fields) == 1 == len(parameters) and (
            self.fields[0].name == "input"
        )

    def __repr__(self) -> str:
        return f"<InputModel {self.name}({', '.join(self._by_name)})>"

    def validate_call(
        self, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The values of a call written as the function's, without the context.

        Raises:
            InvalidInput: names the workflow and each field, value and rule.
        """
        given = dict(kwargs) if kwargs else {}
        if args:
            self._bind(args, given)
        return self._checked(given)

    def validate_payload(self, payload: Any = None) -> dict[str, Any]:
        """The values of a payload: a mapping, model or dataclass of the fields.

        None means that nothing was passed. A `whole` input takes any payload.

        Raises:
            InvalidInput: names the workflow and each field, value and rule.
        """
        if self.whole:
            return self._checked({} if payload is None else {"input": payload})
        return self._checked({} if payload is None else self._mapping(payload))

    def call(self, values: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments that pass `values` to the function.

        A parameter that has come since they were recorded gets its default.

        Raises:
            InvalidInput: the function lacks a value, or does not know a field.
        """
        if self._is_plain and values.keys() == self._by_name.keys():
            return tuple([values[name] for name in self._positional]), {}
        args: list[Any] = []
        kwargs = {name: value for name, value in values.items() if not self.knows(name)}
        problems = [] if self.extra is not None else list(map(self._unknown, kwargs))
        for field in self.fields:
            if field.name in values:
                value = values[field.name]
            elif field.required and not self.whole:
                problems.append(f"field {field.name!r} is missing")
                continue
            else:
                value = None if field.required else field.make_default()
            if field.positional:
                args.append(value)
            else:
                kwargs[field.name] = value
        if problems:
            raise self._invalid(problems)
        return tuple(args), kwargs

    def payload(self, values: Mapping[str, Any]) -> Any:
        """What `ctx.input` shows: the payload itself when it is taken whole."""
        return values["input"] if self.whole else dict(values)

    def knows(self, name: str) -> bool:
        """Whether a parameter has that name (`**extra` apart)."""
        return name in self._by_name

    @cached_property
    def returns(self) -> Any:
        """The return annotation, resolved; `Signature.empty` when there is none.

        A name that is known to type checkers only counts as none.
        """
        annotation = getattr(self._fn, "__annotations__", {}).get("return", _MISSING)
        try:
            return self._resolve(annotation)
        except Exception:  # it is code of the user's, evaluated
            return _MISSING

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """The JSON schema of the payload; types unknown to JSON by their name."""
        schema: dict[str, Any] = self._schemas.input_schema()
        return schema

    @cached_property
    def output_schema(self) -> dict[str, Any] | None:
        """The JSON schema of the result, None without a usable return annotation."""
        from nbflow.definition.schemas import type_schema

        return None if self.returns is _MISSING else type_schema(self.returns)

    @cached_property
    def _schemas(self) -> Any:
        from nbflow.definition.schemas import InputSchemas

        try:
            return InputSchemas(self.fields, self.extra, whole=self.whole)
        except DefinitionError as error:
            raise DefinitionError(
                f"workflow {self.name!r}: {error}", workflow=self.name
            ) from error.__cause__

    @cached_property
    def _validate(self) -> Callable[[dict[str, Any]], dict[str, Any]]:
        validate: Callable[[dict[str, Any]], dict[str, Any]] = self._schemas.validate
        return validate

    def _checked(self, given: dict[str, Any]) -> dict[str, Any]:
        if self.whole and "input" not in given and not self._optional:
            if given:
                raise self._invalid(list(map(self._unknown, given)))
            return {"input": None}
        try:
            values = self._validate(given)
        except ValueError as error:
            if type(error).__name__ != "ValidationError":
                raise
            found = list(self._problems(error))
        else:
            if not self._optional or self._complete(values):
                return values
            return self._with_defaults(values)
        # Outside the handler: pydantic's error would only repeat all of it.
        places: dict[str, str] = {}
        for place, rule, _ in found:
            places.setdefault(place, rule)
        raise self._invalid([told for _, _, told in found], places)

    def _complete(self, values: dict[str, Any]) -> bool:
        # Extra fields may make up the number, so with them each name is looked at.
        if self.extra is None:
            return len(values) == len(self.fields)
        return all(name in values for name in self._by_name)

    def _with_defaults(self, values: dict[str, Any]) -> dict[str, Any]:
        known = {
            field.name: (
                values[field.name] if field.name in values else field.make_default()
            )
            for field in self.fields
        }
        return {**known, **values}

    def _bind(self, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        if len(args) > len(self._positional):
            takes = ", ".join(self._positional) or "none"
            raise self._invalid(
                [
                    f"positional values: {len(args)} given, and it takes "
                    f"{len(self._positional)} ({takes})"
                ]
            )
        for name, value in zip(self._positional, args, strict=False):
            if name in given:
                raise self._invalid([f"field {name!r} was given twice"])
            given[name] = value

    def _mapping(self, payload: Any) -> dict[str, Any]:
        if isinstance(payload, Mapping):
            if all(isinstance(key, str) for key in payload):
                return dict(payload)
        elif not isinstance(payload, type):
            names = getattr(type(payload), "model_fields", None)
            if isinstance(names, Mapping):
                return {name: getattr(payload, name) for name in names}
            if dataclasses.is_dataclass(payload):
                names = [field.name for field in dataclasses.fields(payload)]
                return {name: getattr(payload, name) for name in names}
        fields = ", ".join(self._by_name) or "no fields"
        raise self._invalid([f"{show(payload)} is no mapping of its fields ({fields})"])

    def _problems(self, error: Any) -> Iterator[tuple[str, str, str]]:
        """Place, rule, and both in words."""
        for problem in error.errors(include_url=False):
            place = _place(problem["loc"])
            if problem["type"] == "missing":
                yield place, "is missing", f"field {place!r} is missing"
            elif problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1:
                yield place, UNKNOWN, self._unknown(place)
            else:
                shown, rule = show(problem["input"]), _lower(problem["msg"])
                yield place, rule, f"field {place!r} = {shown}: {rule}"

    def _unknown(self, name: str) -> str:
        from difflib import get_close_matches  # not needed unless something is wrong

        near = get_close_matches(name, self._by_name, n=1)
        fields = ", ".join(self._by_name) or "none"
        hint = f"did you mean {near[0]!r}?" if near else f"its fields: {fields}"
        return f"field {name!r} is unknown ({hint})"

    def _invalid(
        self, problems: list[str], places: Mapping[str, str] | None = None
    ) -> InvalidInput:
        head = f"invalid input for workflow {self.name!r}: "
        if len(problems) > 1:
            head = f"{len(problems)} problems in the input for workflow {self.name!r}: "
        return InvalidInput(
            f"{head}{'; '.join(problems)}. No run was started.",
            problems=places,
            workflow=self.name,
        )

    def _parameters(self) -> list[inspect.Parameter]:
        """Those after the context."""
        parameters = list(inspect.signature(self._fn).parameters.values())
        if not parameters or parameters[0].kind not in _POSITIONAL:
            raise DefinitionError(
                f"workflow {self.name!r} has no parameter for the context. Its first "
                f"positional parameter receives it: def {self.name}(ctx, …).",
                workflow=self.name,
            )
        for parameter in parameters[1:]:
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                raise DefinitionError(
                    f"workflow {self.name!r} takes *{parameter.name}, and fields of an "
                    "input need names. Take a list: "
                    f"def {self.name}(ctx, {parameter.name}: list).",
                    workflow=self.name,
                )
        return parameters[1:]

    def _fields(self, parameters: list[inspect.Parameter]) -> Iterator[Field]:
        for parameter in parameters:
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                annotation = self._annotation(parameter)
                positional = parameter.kind in _POSITIONAL
                yield Field(parameter.name, annotation, parameter.default, positional)

    def _extra(self, parameters: list[inspect.Parameter]) -> Any:
        """The type of extra fields, None when there is no `**` parameter."""
        for parameter in parameters:
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                annotation = self._annotation(parameter)
                unpacked = typing.get_origin(annotation) is typing.Unpack
                return Any if unpacked else annotation
        return None

    def _annotation(self, parameter: inspect.Parameter) -> Any:
        if parameter.annotation is _MISSING:
            return Any
        try:
            annotation = self._resolve(parameter.annotation)
            if isinstance(annotation, _NO_TYPES):
                raise TypeError("it is a value, not a type")
            return annotation
        except Exception as error:  # whatever the user's expression raises
            shown = inspect.formatannotation(parameter.annotation)
            raise DefinitionError(
                f"workflow {self.name!r}: the annotation {shown} of parameter "
                f"{parameter.name!r} cannot be resolved ({error}). Define or import "
                "the type above the workflow, not under TYPE_CHECKING.",
                workflow=self.name,
            ) from error

    def _resolve(self, annotation: Any) -> Any:
        if annotation is _MISSING or isinstance(annotation, type):
            return annotation
        holder = SimpleNamespace(__annotations__={"it": annotation})
        module = getattr(inspect.unwrap(self._fn), "__globals__", {})
        # The resolver would turn `x: int` with default None into Optional only
        # for functions; a bare namespace has no defaults.
        hints = typing.get_type_hints(
            holder,
            module,
            self._local,
            include_extras=True,
        )
        return hints["it"]


def _local_names(
    fn: Callable[..., Any], local: Mapping[str, Any] | None
) -> dict[str, Any]:
    names = dict(local or {})
    inner = inspect.unwrap(fn)
    if isinstance(inner, FunctionType):
        for name, cell in zip(
            inner.__code__.co_freevars, inner.__closure__ or (), strict=True
        ):
            try:
                names[name] = cell.cell_contents
            except ValueError:  # bound later
                continue
        for parameter in getattr(inner, "__type_params__", ()):
            names.setdefault(parameter.__name__, parameter)
    return names


def _is_field_info(default: Any) -> bool:
    return type(default).__name__ == "FieldInfo" and hasattr(default, "get_default")


def _place(location: tuple[int | str, ...]) -> str:
    """`("pages", 0, "url")` as `pages[0].url`."""
    first, *rest = location or ("",)
    parts = (f"[{each}]" if isinstance(each, int) else f".{each}" for each in rest)
    return f"{first}{''.join(parts)}"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]

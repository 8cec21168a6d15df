"""The one place where definitions meet pydantic: validators and JSON schemas.

Imported at the first validation, so that defining a workflow costs no pydantic.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any, Protocol

from pydantic import ConfigDict, PydanticUserError, TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticSerializationError, SchemaError, core_schema
from pydantic_core import to_jsonable_python as jsonable
from typing_extensions import Annotated, NotRequired, TypedDict  # noqa: UP035

from nbflow.definition.payloads import CONVERTS
from nbflow.errors import DefinitionError


class _Field(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def annotation(self) -> Any: ...
    @property
    def default(self) -> Any: ...
    @property
    def required(self) -> bool: ...


class _Schema(GenerateJsonSchema):
    """Shows types that JSON has no word for by their name instead of failing."""

    def handle_invalid_for_json_schema(
        self, schema: core_schema.CoreSchema, error_info: str
    ) -> JsonSchemaValue:
        del error_info
        cls = schema.get("cls")
        return {"title": cls.__name__} if isinstance(cls, type) else {}

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """Tells it from a number or any text."""
        return super().decimal_schema(schema) | {"format": "decimal"}

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        """Says also whether a time zone is refused or demanded."""
        made = super().datetime_schema(schema)
        zone = schema.get("tz_constraint")
        return made if zone is None else made | {"timezone": zone}

    # What a function may turn into something else is marked: it says little of what
    # may be given.

    def function_before_schema(
        self, schema: core_schema.BeforeValidatorFunctionSchema
    ) -> JsonSchemaValue:
        """Says that values are converted before they are looked at."""
        return super().function_before_schema(schema) | {CONVERTS: True}

    def function_wrap_schema(
        self, schema: core_schema.WrapValidatorFunctionSchema
    ) -> JsonSchemaValue:
        """Says that values may be converted, or not be looked at."""
        return super().function_wrap_schema(schema) | {CONVERTS: True}

    def function_plain_schema(
        self, schema: core_schema.PlainValidatorFunctionSchema
    ) -> JsonSchemaValue:
        """Says that a function alone decides."""
        return super().function_plain_schema(schema) | {CONVERTS: True}

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        """Says whether the class finds members for other values, too."""
        made = super().enum_schema(schema)
        cls: Any = schema["cls"]
        usual: Any = Enum
        finds_none = cls._missing_.__func__ is usual._missing_.__func__
        return made if finds_none else made | {CONVERTS: True}

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:
        """Says that text is taken even where it is shown as a number."""
        made = super().timedelta_schema(schema)
        return made if made.get("type") == "string" else made | {CONVERTS: True}


class InputSchemas:
    """Validator and JSON schema of one signature's fields."""

    def __init__(
        self, fields: Sequence[_Field], extra: Any = None, *, whole: bool = False
    ) -> None:
        self._fields = fields
        self._whole = whole
        # A TypedDict, not a model: any parameter name is legal, and a dict comes out.
        hints = {each.name: _typed(each) for each in fields}
        make: Any = TypedDict
        form = make("Input", hints, **({} if extra is None else {"extra_items": extra}))
        form.__pydantic_config__ = ConfigDict(
            extra="forbid" if extra is None else "allow",
            arbitrary_types_allowed=True,
            title="Input",
        )
        self._adapter = _adapter(form)
        self.validate = self._adapter.validator.validate_python

    def input_schema(self) -> dict[str, Any]:
        """The JSON schema of a payload, with the defaults that JSON can hold."""
        schema = self._adapter.json_schema(schema_generator=_Schema)
        properties = schema.setdefault("properties", {})
        for each in self._fields:
            known = properties.get(each.name)
            if known is not None and not each.required and "default" not in known:
                try:
                    known["default"] = jsonable(each.default)
                except (PydanticSerializationError, ValueError):
                    continue
        if not self._whole:
            return schema
        inner: dict[str, Any] = {**properties["input"]}
        if "$defs" in schema:
            inner["$defs"] = schema["$defs"]
        return inner


def type_schema(annotation: Any) -> dict[str, Any] | None:
    """The JSON schema of a result's type; None for what pydantic cannot take."""
    try:
        try:
            adapter = _adapter(annotation, ConfigDict(arbitrary_types_allowed=True))
        except PydanticUserError:  # a model brings its own configuration
            adapter = _adapter(annotation)
        return adapter.json_schema(mode="serialization", schema_generator=_Schema)
    except (DefinitionError, PydanticUserError):
        return None


def _adapter(wanted: Any, config: ConfigDict | None = None) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(wanted, config=config)
    except PydanticUndefinedAnnotation as error:
        raise DefinitionError(
            f"the name {error.name!r} in a type of its signature is not defined. "
            "Define or import it above the workflow."
        ) from error
    except (PydanticUserError, SchemaError, TypeError) as error:
        if getattr(error, "code", None) == "type-adapter-config-unused":
            raise
        raise DefinitionError(
            f"an annotation cannot be validated: {error}. Use a type."
        ) from error


def _typed(field: _Field) -> Any:
    annotation = field.annotation
    if type(field.default).__name__ == "FieldInfo":
        annotation = Annotated[annotation, field.default]
    return annotation if field.required else NotRequired[annotation]

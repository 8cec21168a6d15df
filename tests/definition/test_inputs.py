"""Inputs of workflows: what signatures allow, what is validated, what errors say."""

import pickle
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import AwareDatetime, BaseModel, Field, NaiveDatetime

from nbflow import Context, workflow
from nbflow.definition.inputs import InputModel
from nbflow.errors import DefinitionError, InvalidInput


class Opaque:
    """A type that pydantic does not know."""


class Page(BaseModel):
    url: str
    next: "Page | None" = None


@dataclass
class Order:
    url: str
    depth: int = 1


async def crawl(ctx: Any, url: str, depth: int = 2) -> Page:
    return Page(url=url * depth)


def test_calls_are_bound_like_the_function() -> None:
    model = InputModel(crawl)
    assert model.validate_call(("a",)) == {"url": "a", "depth": 2}
    assert model.validate_call(("a", 3)) == {"url": "a", "depth": 3}
    assert model.validate_call((), {"depth": "3", "url": "a"}) == {
        "url": "a",
        "depth": 3,
    }
    assert list(model.validate_call((), {"depth": 3, "url": "a"})) == ["url", "depth"]
    assert model.call({"url": "a", "depth": 2}) == (("a", 2), {})


def test_keyword_only_parameters_are_passed_by_name() -> None:
    def wf(ctx: Any, a: int, /, b: int, *, c: int = 3) -> None: ...

    model = InputModel(wf)
    values = model.validate_call((1,), {"b": 2})
    assert model.call(values) == ((1, 2), {"c": 3})
    with pytest.raises(InvalidInput, match=r"values: 3 given, and it takes 2 \(a, b\)"):
        model.validate_call((1, 2, 3))


@pytest.mark.parametrize(
    "payload", [{"url": "a", "depth": 1}, Order("a"), Page(url="a")]
)
def test_payloads_are_mappings_models_or_dataclasses(payload: Any) -> None:
    def wf(ctx: Any, url: str, depth: int = 1, next: Any = None) -> None: ...

    values = InputModel(wf).validate_payload(payload)
    assert values == {"url": "a", "depth": 1, "next": None}


@pytest.mark.parametrize("payload", [[1], "a", 5, {1: 2}, Order])
def test_other_payloads_are_refused(payload: Any) -> None:
    with pytest.raises(InvalidInput, match=r"no mapping of its fields \(url, depth\)"):
        InputModel(crawl).validate_payload(payload)


def test_several_problems_are_all_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        InputModel(crawl, "slow crawl").validate_call((1,), {"depht": 3, "depth": "x"})
    assert str(caught.value) == (
        "3 problems in the input for workflow 'slow crawl': "
        "field 'url' = 1: input should be a valid string; "
        "field 'depth' = 'x': input should be a valid integer, unable to parse string "
        "as an integer; field 'depht' is unknown (did you mean 'depth'?). "
        "No run was started."
    )
    assert caught.value.workflow == "slow crawl"
    assert caught.value.__context__ is None


def test_missing_unknown_and_double_fields() -> None:
    model = InputModel(crawl)
    with pytest.raises(InvalidInput, match="field 'url' is missing"):
        model.validate_payload(None)
    with pytest.raises(InvalidInput, match="field 'url' was given twice"):
        model.validate_call(("a",), {"url": "a"})
    with pytest.raises(InvalidInput, match=r"'zz' is unknown \(its fields: url, depth"):
        model.validate_payload({"url": "a", "zz": 1})


def test_places_inside_values_and_long_values() -> None:
    def wf(ctx: Any, pages: list[Page]) -> None: ...

    with pytest.raises(InvalidInput, match=r"field 'pages\[1\]\.url' = 5: input"):
        InputModel(wf).validate_call(([{"url": "a"}, {"url": 5}],))
    with pytest.raises(InvalidInput) as caught:
        InputModel(wf).validate_call(("x" * 5000,))
    assert len(str(caught.value)) < 300


def test_unknown_types_are_checked_by_isinstance() -> None:
    def wf(ctx: Any, one: Opaque, many: list[Opaque] | None = None) -> None: ...

    model, one = InputModel(wf), Opaque()
    assert model.validate_call((one, [one])) == {"one": one, "many": [one]}
    with pytest.raises(InvalidInput, match=r"'many\[0\]' = 1.*instance of Opaque"):
        model.validate_call((one, [1]))
    assert model.input_schema["properties"]["one"] == {"title": "Opaque"}


def test_defaults_belong_to_one_call() -> None:
    def wf(ctx: Any, items: list[int] = [], rest: Any = Opaque()) -> None: ...

    model = InputModel(wf)
    first = model.validate_call()
    first["items"].append(1)
    assert model.validate_call()["items"] == []
    assert model.validate_call()["rest"] is not first["rest"]


def test_rules_of_pydantic_fields() -> None:
    def wf(
        ctx: Any,
        a: Annotated[int, Field(ge=1)],
        b: int = Field(5, le=9),
        c: list[int] = Field(default_factory=list),
    ) -> None: ...

    model = InputModel(wf)
    assert model.validate_call((1,)) == {"a": 1, "b": 5, "c": []}
    assert model.call({"a": 1}) == ((1, 5, []), {})
    with pytest.raises(InvalidInput, match=r"2 problems.*greater than or equal to 1"):
        model.validate_call((0, 10))

    def required(ctx: Any, a: int = Field(ge=1)) -> None: ...

    with pytest.raises(InvalidInput, match="field 'a' is missing"):
        InputModel(required).validate_call()


def test_any_parameter_name_is_legal() -> None:
    def wf(ctx: Any, schema: int, model_config: int, _x: int, self: int) -> None: ...

    assert InputModel(wf).validate_call((1, 2, 3, 4)) == {
        "schema": 1,
        "model_config": 2,
        "_x": 3,
        "self": 4,
    }


class TestExtraFields:
    def test_they_are_passed_on(self) -> None:
        def wf(ctx: Any, a: int = 1, **rest: Any) -> None: ...

        model = InputModel(wf)
        values = model.validate_payload({"b": 2})
        assert values == {"a": 1, "b": 2}
        assert model.call(values) == ((1,), {"b": 2})
        assert model.input_schema["additionalProperties"] is True

    def test_their_type_is_checked_with_the_others(self) -> None:
        def wf(ctx: Any, a: int, **rest: int) -> None: ...

        assert InputModel(wf).validate_call((1,), {"b": "2"}) == {"a": 1, "b": 2}
        with pytest.raises(InvalidInput, match=r"2 problems.*'a' = 'x'.*'b' = 'y'"):
            InputModel(wf).validate_call(("x",), {"b": "y"})

    def test_a_variable_list_is_refused(self) -> None:
        def wf(ctx: Any, *urls: str) -> None: ...

        with pytest.raises(DefinitionError, match=r"takes \*urls.*urls: list"):
            InputModel(wf)


class TestWholeInput:
    def test_it_takes_any_payload(self) -> None:
        def wf(ctx: Any, input: list[int]) -> None: ...

        model = InputModel(wf)
        assert model.whole
        values = model.validate_payload(["1"])
        assert values == {"input": [1]}
        assert model.validate_call(([1],)) == model.validate_call((), {"input": [1]})
        assert model.payload(values) == [1]
        assert model.call(values) == (([1],), {})
        assert model.input_schema["type"] == "array"

    def test_nothing_passed_is_none_or_the_default(self) -> None:
        def bare(ctx: Any, input: int) -> None: ...
        def given(ctx: Any, input: int = 5) -> None: ...

        assert InputModel(bare).validate_payload() == {"input": None}
        assert InputModel(bare).validate_call() == {"input": None}
        assert InputModel(given).validate_payload() == {"input": 5}
        assert InputModel(given).validate_call() == {"input": 5}

    def test_none_passed_on_purpose_is_validated(self) -> None:
        def wf(ctx: Any, input: int) -> None: ...

        with pytest.raises(InvalidInput, match="field 'input' = None: input should be"):
            InputModel(wf).validate_call((None,))
        with pytest.raises(InvalidInput, match="field 'n' is unknown"):
            InputModel(wf).validate_call((), {"n": 1})

    def test_a_mapping_is_a_payload_like_others(self) -> None:
        def wf(ctx: Any, input: Page) -> None: ...

        page = InputModel(wf).validate_payload({"url": "a"})["input"]
        assert page == Page(url="a")
        assert "$defs" in InputModel(wf).input_schema

    def test_input_beside_other_parameters_is_a_field(self) -> None:
        def wf(ctx: Any, input: int, n: int = 1) -> None: ...
        def extra(ctx: Any, input: int, **rest: int) -> None: ...

        assert InputModel(wf).validate_payload({"input": 1}) == {"input": 1, "n": 1}
        assert not InputModel(extra).whole


class TestAnnotations:
    def test_text_is_resolved_where_the_function_stands(self) -> None:
        class Local(BaseModel):
            n: int

        def wf(ctx: "Nowhere", a: "Page", b: "list[Local]", c: "int | None" = None):  # type: ignore[no-untyped-def] # noqa: F821
            return Local

        values = InputModel(wf).validate_call(({"url": "a"}, [{"n": 1}]))
        assert values == {"a": Page(url="a"), "b": [Local(n=1)], "c": None}

    def test_names_around_the_function_can_be_handed_over(self) -> None:
        def wf(ctx: Any, a: "Hidden") -> None: ...  # type: ignore[name-defined] # noqa: F821

        assert InputModel(wf, local={"Hidden": int}).validate_call(("5",)) == {"a": 5}

    def test_unknown_names_are_refused_at_once(self) -> None:
        def wf(ctx: Any, a: "list[Nowhere]") -> None: ...  # type: ignore[name-defined] # noqa: F821

        with pytest.raises(DefinitionError) as caught:
            InputModel(wf)
        assert str(caught.value).startswith(
            "workflow 'wf': the annotation 'list[Nowhere]' of parameter 'a' cannot be "
            "resolved (name 'Nowhere' is not defined)."
        )

    def test_values_are_no_types(self) -> None:
        def wf(ctx: Any, a: [int]) -> None: ...  # type: ignore[valid-type]

        with pytest.raises(DefinitionError, match=r"annotation \[<class 'int'>\]"):
            InputModel(wf)

    @pytest.mark.parametrize("fn", [lambda: 1, lambda *a: 1, lambda *, a: 1])
    def test_the_context_needs_a_parameter(self, fn: Any) -> None:
        with pytest.raises(DefinitionError, match="has no parameter for the context"):
            InputModel(fn, "wf")


class TestSchemas:
    def test_of_the_input(self) -> None:
        assert InputModel(crawl).input_schema == {
            "type": "object",
            "title": "Input",
            "additionalProperties": False,
            "required": ["url"],
            "properties": {
                "url": {"title": "Url", "type": "string"},
                "depth": {"title": "Depth", "type": "integer", "default": 2},
            },
        }
        assert InputModel(lambda ctx: 1).input_schema["properties"] == {}

    def test_of_the_result(self) -> None:
        def text(ctx: Any) -> "str": ...  # type: ignore[empty-body]
        def opaque(ctx: Any) -> Opaque: ...  # type: ignore[empty-body]
        def unknown(ctx: Any) -> "Nowhere": ...  # type: ignore[name-defined] # noqa: F821

        page = InputModel(crawl).output_schema
        assert page is not None
        assert page["$ref"] == "#/$defs/Page"
        assert InputModel(text).output_schema == {"type": "string"}
        assert InputModel(opaque).output_schema == {"title": "Opaque"}
        assert InputModel(unknown).output_schema is None
        assert InputModel(lambda ctx: 1).output_schema is None

    def test_defaults_beyond_json_are_left_out(self) -> None:
        def wf(ctx: Any, a: Opaque = Opaque(), b: int | None = None) -> None: ...

        properties = InputModel(wf).input_schema["properties"]
        assert "default" not in properties["a"]
        assert properties["b"]["default"] is None


class TestRecordedValues:
    def test_a_new_parameter_gets_its_default(self) -> None:
        assert InputModel(crawl).call({"url": "a"}) == (("a", 2), {})

    def test_fields_that_the_function_no_longer_takes_are_refused(self) -> None:
        with pytest.raises(
            InvalidInput, match=r"2 problems.*'old' is unknown.*'url' is missing"
        ):
            InputModel(crawl).call({"old": 1})


def test_defining_does_not_import_pydantic() -> None:
    code = (
        "import sys\nfrom nbflow.definition.inputs import InputModel\n"
        "InputModel(lambda ctx, n=1: 1)\nassert 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_problems_are_told_by_place_and_survive_pickling() -> None:
    async def crawl(ctx, pages: list[dict[str, int]], depth: int): ...

    crawl.__annotations__ = {"pages": list[dict[str, int]], "depth": int}
    with pytest.raises(InvalidInput) as info:
        InputModel(crawl).validate_payload({"pages": [{"a": "x"}], "speed": 1})
    problems = info.value.problems
    assert set(problems) == {"pages[0].a", "depth", "speed"}
    assert problems["depth"] == "is missing"
    assert problems["pages[0].a"].startswith("input should be a valid integer")
    assert pickle.loads(pickle.dumps(info.value)).problems == problems


def test_schemas_tell_decimals_and_times_of_a_zone() -> None:
    async def plan(ctx, price, local, there): ...

    plan.__annotations__ = {
        "price": Decimal,
        "local": NaiveDatetime,
        "there": AwareDatetime,
    }
    fields = InputModel(plan).input_schema["properties"]
    assert fields["price"]["format"] == "decimal"
    assert fields["local"]["timezone"] == "naive"
    assert fields["there"]["timezone"] == "aware"


def test_options_of_a_run_that_are_given_as_fields_are_told_where_they_go() -> None:
    @workflow(app="t")
    async def nightly(ctx: Context, items: int = 30) -> int:
        return items

    hint = r"set before: nightly\.options\(label=…, retries=…\)\.invoke\(…\)\.$"
    with pytest.raises(InvalidInput, match=hint) as caught:
        nightly.invoke(3, label="spring", retries=2)  # type: ignore[call-arg]
    assert caught.value.problems == {"label": "is unknown", "retries": "is unknown"}
    with pytest.raises(InvalidInput) as caught:
        nightly.invoke("x", item=3)  # type: ignore[arg-type, call-arg]
    assert "options" not in str(caught.value)

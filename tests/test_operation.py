"""What a declared function publishes and takes: closed, bounded, strict, and silent about values."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from tause_mcp.capability import Call, Pages, Prompt, Resource, Tool
from tause_mcp.errors import Invalid
from tause_mcp.operation import Operation, compile_completion, compile_operation
from tause_mcp.schemas import MAX_DEPTH, MAX_INTEGER, MAX_ITEMS, MAX_TEXT, check_json, slim
from tause_mcp.tenancy import Caller


class Size(TypedDict):
    width: int
    unit: NotRequired[Literal["cm", "in"]]


class Box(BaseModel):
    """A plugin's model: neither strict nor closed by itself."""

    model_config = ConfigDict(extra="allow")
    label: str
    sizes: list[Size] = []
    inner: "Box | None" = None


@dataclass
class Point:
    x: int
    y: float = 0.0


class Shelf:
    """A service."""


async def shelf_put(
    shelf: Shelf,
    name: Annotated[str, Field(description="What it is called.", max_length=8)],
    box: Box,
    size: Size | None = None,
    kind: Literal["wood", "steel"] = "wood",
    count: Annotated[int, Field(ge=1, le=50)] = 8,
    tags: list[str] | None = None,
    extra: dict[str, Any] | None = None,
    weights: dict[str, float] | None = None,
    point: Point | None = None,
    note: str = "",
    code: Annotated[str, Field(pattern="^[a-z]{2}$")] = "ab",
    ready: bool = False,
    free: int = 0,
    anything: Any = None,
) -> dict[str, str]:
    """Put it
    on the shelf."""
    return {}


def compiled(fn: Any, **declared: Any) -> Operation:
    return compile_operation(Tool(fn, "Put", "shelf:write", **declared), "shelf", KNOWN)


KNOWN: frozenset[type[Any]] = frozenset({Shelf})
PUT = compiled(shelf_put)
GOOD: dict[str, Any] = {"name": "a", "box": {"label": "b"}}


def taking(annotation: Any, default: Any = ...) -> Operation:
    if default is ...:

        async def fn(thing: annotation) -> dict[str, str]:
            return {}
    else:

        async def fn(thing: annotation = default) -> dict[str, str]:
            return {}

    return compiled(fn)


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema inside a schema; names of properties and data are none."""
    if isinstance(schema, list):
        for item in schema:
            yield from nodes(item)
    if not isinstance(schema, dict):
        return
    yield schema
    for name, value in schema.items():
        if name in ("properties", "$defs"):
            yield from (node for inner in value.values() for node in nodes(inner))
        elif name not in ("default", "enum", "const", "required", "examples"):
            yield from nodes(value)


# --- what is published --------------------------------------------------------------------------


def test_a_published_schema_has_no_union_and_no_null() -> None:
    for node in nodes(PUT.inputs.schema):
        assert not {"anyOf", "oneOf", "allOf"} & node.keys()
        assert node.get("type") != "null"
        assert not isinstance(node.get("type"), list)
        assert node.get("default", 0) is not None


def test_every_object_with_members_is_closed() -> None:
    for node in nodes(PUT.inputs.schema):
        if "properties" in node:
            assert node["additionalProperties"] is False, node


def test_every_string_list_object_and_integer_has_a_bound() -> None:
    for node in nodes(PUT.inputs.schema):
        match node.get("type"):
            case "string":
                assert {"maxLength", "pattern", "enum", "const"} & node.keys(), node
            case "array":
                assert node["maxItems"] <= MAX_ITEMS
            case "integer":
                assert node["minimum"] >= -MAX_INTEGER
                assert node["maximum"] <= MAX_INTEGER
            case "object" if "properties" not in node:
                assert node["maxProperties"] <= MAX_ITEMS


def test_a_stated_bound_is_kept() -> None:
    told = PUT.inputs.schema["properties"]
    assert told["name"]["maxLength"] == 8
    assert (told["count"]["minimum"], told["count"]["maximum"]) == (1, 50)
    assert told["code"] == {"default": "ab", "pattern": "^[a-z]{2}$", "type": "string"}


def test_an_open_side_stays_open_only_where_the_other_form_of_it_is_stated() -> None:
    told = taking(Annotated[int, Field(gt=0, lt=5)]).inputs.schema["properties"]["thing"]
    assert told == {"exclusiveMinimum": 0, "exclusiveMaximum": 5, "type": "integer"}


def test_injected_parameters_leave_the_schema() -> None:
    async def fn(
        shelf: Shelf, call: Call, pages: Pages, caller: Caller, name: str
    ) -> dict[str, str]:
        return {}

    operation = compiled(fn)
    assert set(operation.inputs.schema["properties"]) == {"name"}
    assert dict(operation.wants) == {"shelf": Shelf, "call": Call, "pages": Pages, "caller": Caller}
    assert operation.long


def test_a_tool_without_arguments_publishes_an_empty_closed_object() -> None:
    async def fn(shelf: Shelf) -> dict[str, str]:
        return {}

    assert compiled(fn).inputs.schema == {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }


def test_the_description_is_one_line() -> None:
    assert PUT.description == "Put it on the shelf."


KEYWORDS = [
    "type", "title", "enum", "const", "default", "properties", "items", "required", "schema",
    "maxLength", "description", "fields", "config", "metadata", "anyOf", "additionalProperties",
]  # fmt: skip


@pytest.mark.parametrize("name", KEYWORDS)
def test_a_member_may_be_called_like_a_keyword(name: str) -> None:
    inner = TypedDict("inner", {name: str})
    operation = taking(inner)
    (told,) = operation.inputs.schema["$defs"].values()
    assert told["properties"] == {name: {"maxLength": MAX_TEXT, "type": "string"}}
    assert told["required"] == [name]
    assert operation.inputs.read({"thing": {name: "x"}}) == {"thing": {name: "x"}}
    with pytest.raises(Invalid):
        operation.inputs.read({"thing": {name: "x", "other": "x"}})


def test_arguments_may_be_called_like_keywords() -> None:
    async def fn(
        type: str,  # noqa: A002
        title: str,
        enum: list[str],
        properties: dict[str, Any],
        required: bool = True,
        default: int = 3,
    ) -> dict[str, str]:
        return {}

    told = compiled(fn).inputs.schema["properties"]
    assert told["title"] == {"maxLength": MAX_TEXT, "type": "string"}
    assert told["type"] == {"maxLength": MAX_TEXT, "type": "string"}
    assert told["enum"]["maxItems"] == MAX_ITEMS
    assert told["default"]["maximum"] == MAX_INTEGER


def test_a_default_that_looks_like_a_schema_is_left_alone() -> None:
    looks = {"type": "string", "title": "kept", "properties": {"title": "kept"}}
    told = taking(dict[str, Any], looks).inputs.schema["properties"]["thing"]
    assert told["default"] == looks


def test_slim_drops_only_titles_of_schemas() -> None:
    schema = {
        "title": "gone",
        "type": "object",
        "properties": {"title": {"title": "gone", "type": "string", "default": "title"}},
        "enum": [{"title": "kept"}],
    }
    assert slim(schema) == {
        "type": "object",
        "properties": {"title": {"type": "string", "default": "title"}},
        "enum": [{"title": "kept"}],
    }


# --- what is taken ------------------------------------------------------------------------------


def test_good_arguments_arrive_with_their_defaults() -> None:
    read = PUT.inputs.read({**GOOD, "box": {"label": "b", "sizes": [{"width": 3}]}})
    assert read["box"] == Box(label="b", sizes=[{"width": 3}])
    assert (read["kind"], read["count"], read["tags"], read["free"]) == ("wood", 8, None, 0)
    assert "shelf" not in read


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"count": "5"}, "count", "count"),
    ({"count": True}, "count", "count"),
    ({"count": 5.0}, "count", "count"),
    ({"count": 51}, "count", "less than or equal to 50"),
    ({"ready": 1}, "ready", "boolean"),
    ({"ready": "true"}, "ready", "boolean"),
    ({"name": 5}, "name", "string"),
    ({"name": None}, "name", "string"),
    ({"name": "123456789"}, "name", "at most 8"),
    ({"name": ["a"]}, "name", "string"),
    ({"kind": "gold"}, "kind", "'wood' or 'steel'"),
    ({"code": "abc"}, "code", "pattern"),
    ({"tags": "a"}, "tags", "list"),
    ({"tags": {"a": 1}}, "tags", "list"),
    ({"tags": ["a", 1]}, "tags", "tags.1"),
    ({"tags": ["a"] * (MAX_ITEMS + 1)}, "tags", "at most 1000"),
    ({"extra": []}, "extra", "dictionary"),
    ({"extra": dict.fromkeys(map(str, range(MAX_ITEMS + 1)))}, "extra", "at most 1000"),
    ({"weights": {"a": "5"}}, "weights", "weights.a"),
    ({"weights": {"a": True}}, "weights", "weights.a"),
    ({"size": {"width": "3"}}, "size", "size.width"),
    ({"size": {"width": 3, "depth": 1}}, "size", "size.depth: is not an argument"),
    ({"size": {}}, "size", "size.width"),
    ({"box": {"label": "b", "colour": "red"}}, "box", "box.colour: is not an argument"),
    ({"box": {"label": "b", "inner": {"label": 5}}}, "box", "box.inner.label"),
    ({"box": {"label": "b", "inner": {"label": "c", "z": 1}}}, "box", "box.inner.z"),
    ({"box": {"label": "b", "sizes": [{"width": 1, "unit": "mm"}]}}, "box", "box.sizes.0.unit"),
    ({"point": {"x": "1"}}, "point", "point.x"),
    ({"point": {"x": 1, "z": 1}}, "point", "point.z"),
    ({"free": MAX_INTEGER + 1}, "free", "less than or equal"),
    ({"free": -MAX_INTEGER - 1}, "free", "greater than or equal"),
    ({"note": "x" * (MAX_TEXT + 1)}, "note", "at most 1000000"),
    ({"shelf": {}}, "shelf", "is not an argument of this tool"),
    ({"nmae": "a"}, "nmae", "is not an argument of this tool"),
    ({"tenant_id": "other"}, "tenant_id", "is not an argument of this tool"),
]


@pytest.mark.parametrize(("changed", "field", "says"), WRONG)
def test_a_wrong_argument_is_refused_by_name(
    changed: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(Invalid) as refused:
        PUT.inputs.read({**GOOD, **changed})
    assert refused.value.field == field
    assert says in str(refused.value)


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(Invalid, match="name: Field required") as refused:
        PUT.inputs.read({"box": {"label": "b"}})
    assert refused.value.field == "name"


@pytest.mark.parametrize(
    "name", ["size", "kind", "count", "tags", "note", "ready", "anything", "point"]
)
def test_null_for_an_optional_argument_counts_as_absent(name: str) -> None:
    assert PUT.inputs.read({**GOOD, name: None}) == PUT.inputs.read(GOOD)


def test_null_is_a_value_where_the_argument_is_required_and_may_be_anything() -> None:
    assert taking(Any).inputs.read({"thing": None}) == {"thing": None}


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


UNFIT: list[tuple[Any, str]] = [
    ("\ud800", "surrogate"),
    ({"a": "\udfff"}, "surrogate"),
    ({"\ud800": 1}, "surrogate"),
    ([["\ud83d"]], "surrogate"),
    (2**63, "64 bits"),
    (-(2**63) - 1, "64 bits"),
    ([10**400], "64 bits"),
    (float("nan"), "not finite"),
    ({"a": float("inf")}, "not finite"),
    (deep(MAX_DEPTH), "deeper"),
    (deep(900), "deeper"),
]


@pytest.mark.parametrize(("value", "says"), UNFIT)
def test_what_json_cannot_carry_is_refused_wherever_it_is(value: Any, says: str) -> None:
    for arguments in ({**GOOD, "anything": value}, {**GOOD, "extra": {"a": value}}):
        with pytest.raises(Invalid, match=says) as refused:
            PUT.inputs.read(arguments)
        assert refused.value.field in ("anything", "extra")
        str(refused.value).encode()


def test_a_name_that_is_no_text_is_refused_without_being_told() -> None:
    with pytest.raises(Invalid, match="the name of an argument holds half") as refused:
        PUT.inputs.read({**GOOD, "\ud800": 1})
    str(refused.value).encode()


def test_the_deepest_that_is_allowed_passes() -> None:
    assert PUT.inputs.read({**GOOD, "anything": deep(MAX_DEPTH - 1)})
    assert PUT.inputs.read({**GOOD, "anything": [-(2**63), 2**63 - 1, "ñ😀", 1.5, None]})


def test_a_hundred_thousand_unknown_names_are_refused_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        PUT.inputs.read({**GOOD, **{f"n{i}": i for i in range(100_000)}})
    assert refused.value.field == "n0"
    assert len(str(refused.value)) < 1000


def test_a_very_long_name_is_cut_in_the_answer() -> None:
    with pytest.raises(Invalid) as refused:
        PUT.inputs.read({**GOOD, "x" * 10_000: 1})
    assert len(str(refused.value)) < 200
    assert len(refused.value.field or "") <= 80


CANARY = "canary-7f3a"


@pytest.mark.parametrize(
    "changed",
    [
        {"name": CANARY + "toolong"},
        {"count": CANARY},
        {"kind": CANARY},
        {"code": CANARY},
        {"ready": CANARY},
        {"tags": CANARY},
        {"size": {"width": CANARY}},
        {"box": CANARY},
        {"box": {"label": [CANARY]}},
        {"weights": {"a": CANARY}},
        {"anything": CANARY + "\ud800"},
        {"unknown": CANARY},
    ],
)
def test_an_error_never_echoes_the_value(changed: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        PUT.inputs.read({**GOOD, **changed})
    assert CANARY not in str(refused.value)
    assert CANARY not in repr(refused.value.describe())
    assert refused.value.__cause__ is None


# --- properties ---------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(max_size=10) | JSON,
        "box": st.fixed_dictionaries({"label": st.text(max_size=3)}) | JSON,
        "size": st.fixed_dictionaries({"width": st.integers()}) | JSON,
        "count": st.integers(-5, 60) | JSON,
        "kind": st.sampled_from(["wood", "steel", "gold"]) | JSON,
        "tags": st.lists(st.text(max_size=3)) | JSON,
        "weights": st.dictionaries(st.text(max_size=3), st.floats() | st.integers()) | JSON,
        "extra": JSON,
        "anything": JSON,
        "ready": JSON,
        "what": JSON,
    },
)
_quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def fits_schema(arguments: Any) -> bool:
    present = {k: v for k, v in arguments.items() if v is not None or k in ("name", "box")}
    return jsonschema.Draft202012Validator(PUT.inputs.schema).is_valid(present)


@_quick
@given(ARGUMENTS)
def test_arguments_are_taken_or_refused_as_invalid_and_nothing_else(
    arguments: dict[str, Any],
) -> None:
    try:
        taken = PUT.inputs.read(arguments)
    except Invalid as refused:
        assert refused.field is not None or "name of an argument" in str(refused)
        str(refused).encode()
        return
    assert set(taken) == PUT.inputs.names


@_quick
@given(ARGUMENTS)
def test_what_is_taken_fits_the_published_schema(arguments: dict[str, Any]) -> None:
    try:
        PUT.inputs.read(arguments)
    except Invalid:
        return
    assert fits_schema(without_inner_nulls(arguments))


def without_inner_nulls(arguments: dict[str, Any]) -> dict[str, Any]:
    """`inner: null` and the like: optional members are nullable in the model, absent in JSON."""
    box = arguments.get("box")
    if isinstance(box, dict):
        arguments = {**arguments, "box": {k: v for k, v in box.items() if v is not None}}
    return arguments


@_quick
@given(JSON)
def test_what_passes_the_check_survives_json(value: Any) -> None:
    try:
        check_json({"a": value})
    except Invalid:
        return
    assert json.loads(json.dumps(value).encode()) == value


# --- results ------------------------------------------------------------------------------------


def test_a_result_without_a_shape_of_its_own_is_wrapped() -> None:
    async def fn() -> list[int]:
        return [1]

    operation = compiled(fn)
    assert operation.outputs is not None
    assert operation.outputs.schema["required"] == ["result"]
    assert operation.outputs.write([1]) == {"result": [1]}


def test_a_model_is_written_without_what_is_absent() -> None:
    async def fn() -> Box:
        return Box(label="b")

    operation = compiled(fn)
    assert operation.outputs is not None
    assert operation.outputs.write(Box(label="b")) == {"label": "b", "sizes": []}


def test_a_result_that_may_be_a_question_or_a_preview_requires_nothing() -> None:
    async def fn() -> Size:
        return {"width": 1}

    for declared in ({"open_result": True}, {"consent": lambda _: None}):
        operation = compiled(fn, **declared)
        assert operation.outputs is not None
        assert "required" not in operation.outputs.schema
    plain = compiled(fn).outputs
    assert plain is not None
    assert plain.schema["required"] == ["width"]


# --- declarations -------------------------------------------------------------------------------


def test_a_parameter_that_json_cannot_state_fails_at_once() -> None:
    class Stranger:
        pass

    with pytest.raises(Exception, match=re.compile("schema", re.IGNORECASE)):
        taking(Stranger)


def test_the_part_is_an_argument_or_a_function_of_them() -> None:
    by_name = compiled(shelf_put, part="name")
    assert by_name.part_of({"name": "a/b"}) == "a/b"
    assert by_name.part_of({}) == by_name.part_of({"name": None}) == ""
    by_function = compiled(shelf_put, part=lambda a: a["box"]["label"])
    assert by_function.part_of({"box": {"label": "x"}}) == "x"
    assert compiled(shelf_put).part_of({"name": "a"}) is None


@pytest.mark.parametrize(
    ("scope", "writes"), [("shelf:read", False), ("shelf:write", True), ("shelf:admin", True)]
)
def test_only_the_action_read_reads(scope: str, writes: bool) -> None:
    operation = compile_operation(Tool(shelf_put, "Put", scope), "shelf", KNOWN)
    assert operation.writes is writes


def test_resources_prompts_and_completions_compile_alike() -> None:
    async def shelf_item(shelf: Shelf, id: str) -> str:  # noqa: A002
        return id

    def shelf_tidy(how: str) -> str:
        return how

    async def guess(shelf: Shelf, typed: str) -> list[str]:
        return []

    item = compile_operation(
        Resource(shelf_item, "shelf/{id}", "Item", "shelf:read", part="id"), "shelf", KNOWN
    )
    tidy = compile_operation(Prompt(shelf_tidy, "Tidy", "shelf:read"), "shelf", KNOWN)
    assert (item.kind, item.outputs, item.part_of({"id": "a"})) == ("resource", None, "a")
    assert (tidy.kind, tidy.outputs, tidy.writes) == ("prompt", None, False)
    completion = compile_completion(item, "id", guess, KNOWN)
    assert (completion.kind, completion.scope, completion.part) == (
        "completion",
        "shelf:read",
        None,
    )
    assert completion.inputs.names == {"typed"}

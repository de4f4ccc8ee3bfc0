"""What a declared function publishes: closed, bounded, and slim."""

import re
from typing import Annotated, Any

import pytest
from pydantic import Field
from tests.support.shapes import KNOWN, PUT, Box, Shelf, Size, compiled, nodes, shelf_put, taking
from typing_extensions import TypedDict

from tause_mcp.capability import Call, Pages, Prompt, Resource, Tool
from tause_mcp.errors import Invalid
from tause_mcp.operation import compile_completion, compile_operation
from tause_mcp.schemas import MAX_INTEGER, MAX_ITEMS, MAX_TEXT, slim
from tause_mcp.tenancy import Caller


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


def test_a_parameter_that_json_cannot_state_fails_when_it_is_built() -> None:
    class Stranger:
        pass

    with pytest.raises(Exception, match=re.compile("schema", re.IGNORECASE)):
        taking(Stranger).build()


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

"""What a collection's schema may state, and what it does to a document."""

import time
from typing import Any

import pytest

from tause_mcp.errors import Invalid, TooLarge
from tause_mcp.services.database.schemas import rules_of

NESTED: dict[str, Any] = {"type": "string"}
for _ in range(40):
    NESTED = {"items": NESTED}


def doubling(levels: int) -> dict[str, Any]:
    """Definitions that each refer twice to the next: 2^levels when written out."""
    defs: dict[str, Any] = {
        f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)
    }
    return {"$ref": "#/$defs/a0", "$defs": {**defs, f"a{levels}": {"type": "object"}}}


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"$ref": "https://example.com/schema"}, "schema.$ref"),
        ({"$ref": "#"}, "schema.$ref"),
        ({"$ref": "file:///etc/passwd"}, "schema.$ref"),
        ({"$ref": "#/$defs/none"}, "schema.$defs"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "schema.$defs.a"),
        (
            {
                "$defs": {
                    "a": {"items": {"$ref": "#/$defs/b"}},
                    "b": {"not": {"$ref": "#/$defs/a"}},
                }
            },
            "schema.$defs",
        ),
        (doubling(20), "schema"),
        ({"$id": "https://example.com"}, "schema.$id"),
        ({"$dynamicRef": "#a"}, "schema.$dynamicRef"),
        ({"$schema": "http://json-schema.org/draft-07/schema"}, "schema.$schema"),
        ({"propertees": {}}, "schema.propertees"),
        ({"type": "array"}, "schema.type"),
        ({"properties": {"a": {"type": "strnig"}}}, "schema.properties.a.type"),
        ({"properties": {"a": {"pattern": "(?=a)"}}}, "schema.properties.a.pattern"),
        ({"properties": {"a": {"pattern": r"(a)\1"}}}, "schema.properties.a.pattern"),
        ({"properties": {"a": {"pattern": "(a{1000}){1000}"}}}, "schema.properties.a.pattern"),
        ({"properties": {"a": {"pattern": "a" * 513}}}, "schema.properties.a.pattern"),
        ({"properties": {"a": NESTED}}, "schema.properties.a.items"),
        ({"properties": {"a": 1}}, "schema.properties.a"),
        ({"properties": []}, "schema.properties"),
        ({"anyOf": {}}, "schema.anyOf"),
        ({"anyOf": [{"unique": True}]}, "schema.anyOf.0.unique"),
        ({"unique": True}, "schema.unique"),
        ({"properties": {"a": {"unique": 1}}}, "schema.properties.a.unique"),
        ({"properties": {"a": {"items": {"unique": True}}}}, "schema.properties.a.items.unique"),
        ({"properties": {"a": {"references": "No Name"}}}, "schema"),
        ({"properties": {"a b": {"unique": True}}}, "schema"),
        ({"properties": {"a": {"unique": True, "encrypted": True}}}, "schema"),
        (
            {
                "properties": {
                    "a": {"encrypted": True, "properties": {"b": {"encrypted": True}}}
                }
            },
            "schema",
        ),
        ({"properties": {f"p{n}": {} for n in range(1001)}}, "schema.properties.p99"),
    ],
)  # fmt: skip
def test_a_schema_that_may_not_be_is_told_by_its_place(schema: dict[str, Any], place: str) -> None:
    with pytest.raises(Invalid) as told:
        rules_of(schema)
    assert str(told.value.field).startswith(place), told.value
    assert len(str(told.value)) < 700


def test_a_schema_has_a_size() -> None:
    with pytest.raises(TooLarge):
        rules_of({"description": "x" * 70_000})


def test_a_pattern_takes_linear_time() -> None:
    rules = rules_of({"properties": {"a": {"pattern": "^(a+)+$"}}})
    began = time.process_time()
    with pytest.raises(Invalid):
        rules.check({"a": "a" * 50_000 + "b"}, "document")
    assert time.process_time() - began < 5


def test_what_does_not_fit_is_named_and_not_shown() -> None:
    rules = rules_of(
        {
            "properties": {
                "a": {
                    "type": "object",
                    "required": ["b"],
                    "properties": {"b": {"type": "integer"}},
                },
                "when": {"type": "string", "format": "date-time"},
            },
            "additionalProperties": False,
        }
    )
    for data, place in [
        ({"a": {}}, "document.a.b"),
        ({"a": {"b": "hush"}}, "document.a.b"),
        ({"when": "hush"}, "document.when"),
        ({"other": "hush"}, "document.other"),
    ]:
        with pytest.raises(Invalid) as told:
            rules.check(data, "document")
        assert told.value.field == place, told.value
        assert "hush" not in str(told.value)


def test_defaults_fill_what_is_missing_and_nothing_else() -> None:
    rules = rules_of(
        {
            "properties": {
                "tags": {"default": []},
                "n": {"default": 1},
                "inner": {"properties": {"x": {"default": {"deep": True}}}},
            }
        }
    )
    first = rules.completed({"n": None})
    assert first == {"n": None, "tags": []}
    first["tags"].append("mine")
    given: dict[str, Any] = {"inner": {}}
    assert rules.completed(given) == {"inner": {"x": {"deep": True}}, "tags": [], "n": 1}
    assert given == {"inner": {}}


def test_what_a_property_refers_to_is_read_with_it() -> None:
    rules = rules_of(
        {
            "properties": {
                "home": {"$ref": "#/$defs/Address"},
                "team": {"items": {"references": "people"}},
                "boss": {"references": "people"},
            },
            "$defs": {
                "Address": {
                    "type": "object",
                    "properties": {"zip": {"unique": True}, "street": {"encrypted": True}},
                }
            },
        }
    )
    assert rules.unique == ("home.zip",) and rules.encrypted == ("home.street",)
    assert rules.references == {"team": "people", "boss": "people"}

"""What JSON comes in, and the JSON Schema that says so: closed, bounded, no union, no null.

Bounds are set once, in pydantic's core schema: what is published is what is enforced.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from tause_mcp.errors import Invalid

MAX_DEPTH = 32
"""How deep the JSON of arguments may nest."""
MAX_TEXT = 1_000_000
"""Characters of a string argument that states no bound of its own."""
MAX_ITEMS = 1000
"""Items of a list or members of an object that states no bound of its own."""
MAX_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader holds exactly."""

_INT64 = 2**63
_SCHEMAS = ("schema", "items_schema", "keys_schema", "values_schema", "extras_schema")
_LISTS = ("definitions", "steps", "choices", "items_schema", "fields")


class PlainSchema(GenerateJsonSchema):
    """JSON Schema without unions or nulls: optional means absent (hosts strip or choke on them)."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


class ClosedSchema(PlainSchema):
    """That of inputs: an object with named members has no others.

    The general bound of a text is not told where a pattern is, nor of the names of members.
    """

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        return {**super().model_schema(schema), "additionalProperties": False}

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        return {**super().typed_dict_schema(schema), "additionalProperties": False}

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        return {**super().dataclass_schema(schema), "additionalProperties": False}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        told = super().dict_schema(schema)
        if told.get("propertyNames") == {"maxLength": MAX_TEXT}:
            del told["propertyNames"]
        return told

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        told = super().str_schema(schema)
        if "pattern" in told and told.get("maxLength") == MAX_TEXT:
            del told["maxLength"]
        return told


def tightened(schema: Any) -> Any:
    """A core schema made strict and closed, with a bound on every string, list, object, integer."""
    if isinstance(schema, list):
        return [tightened(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    told = dict(schema)
    for name in {*_SCHEMAS, *_LISTS} & told.keys():
        inner = told[name]
        if name == "fields" and isinstance(inner, dict):  # a map of names, not a schema
            told[name] = {member: tightened(field) for member, field in inner.items()}
        else:
            told[name] = tightened(inner)
    return _bounded(told)


def _bounded(told: dict[str, Any]) -> dict[str, Any]:
    match told.get("type"):
        case "str":
            told.setdefault("max_length", MAX_TEXT)
        case "list" | "set" | "frozenset" | "dict":
            told.setdefault("max_length", MAX_ITEMS)
        case "int":
            told.setdefault("ge", -MAX_INTEGER) if "gt" not in told else None
            told.setdefault("le", MAX_INTEGER) if "lt" not in told else None
        case "float":
            told["allow_inf_nan"] = False
        case "model" | "dataclass" | "typed-dict":
            closed = {"extra_fields_behavior": "forbid", "strict": True}
            told["config"] = {**told.get("config", {}), **closed, "hide_input_in_errors": True}
            if told["type"] == "typed-dict":
                told["extra_behavior"] = "forbid"
            else:
                told["strict"] = False  # of the object itself: JSON brings no instances
        case "model-fields" | "dataclass-args":
            told["extra_behavior"] = "forbid"
    return told


_MAPS = frozenset({"properties", "$defs", "patternProperties"})
_DATA = frozenset({"default", "const", "enum", "examples", "required"})


def slim(schema: Any) -> Any:
    """A schema without what no reader uses: generated titles. Data and names are left alone."""
    if isinstance(schema, list):
        return [slim(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {}
    for name, value in schema.items():
        if name in _DATA:
            kept[name] = value
        elif name in _MAPS:
            kept[name] = {member: slim(inner) for member, inner in value.items()}
        elif name != "title":
            kept[name] = slim(value)
    return kept


def check_json(arguments: Mapping[str, Any]) -> None:
    """Refuse what some store or client cannot hold, wherever it is among the arguments.

    Raises:
        Invalid: naming the argument; never its value.
    """
    for name, value in arguments.items():
        if reason := _unfit(name, 1):
            raise Invalid(f"the name of an argument {reason}")
        if reason := _unfit(value, MAX_DEPTH - 1):
            raise Invalid(f"{name[:80]}: {reason}", field=name[:80])


def _unfit(value: Any, left: int) -> str | None:
    """Why `value` cannot be taken; flat arguments cost almost nothing."""
    if isinstance(value, str):
        return None if value.isascii() or _whole(value) else "holds half of a surrogate pair"
    if isinstance(value, dict):
        if not left:
            return f"nests deeper than {MAX_DEPTH} levels"
        inner = (_unfit(k, left) or _unfit(v, left - 1) for k, v in value.items())
        return next(filter(None, inner), None)
    if isinstance(value, list):
        if not left:
            return f"nests deeper than {MAX_DEPTH} levels"
        return next(filter(None, (_unfit(item, left - 1) for item in value)), None)
    if isinstance(value, int):
        return None if -_INT64 <= value < _INT64 else "holds an integer of more than 64 bits"
    if isinstance(value, float) and not isfinite(value):
        return "holds a number that is not finite"
    return None


def _whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

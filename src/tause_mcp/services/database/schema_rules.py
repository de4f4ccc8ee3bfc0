"""What of JSON Schema a collection may state, checked before anything is compiled."""

from collections.abc import Mapping
from typing import Any

from tause_mcp.errors import Invalid

MAX_NODES = 1000
MAX_DEPTH = 24
MAX_EXPANDED = 20_000
"""Subschemas when every `$ref` is written out: what one document may have to be checked against."""
MAX_PATTERN = 512

_ONE = frozenset(
    [
        "items",
        "additionalProperties",
        "not",
        "if",
        "then",
        "else",
        "contains",
        "propertyNames",
        "unevaluatedItems",
        "unevaluatedProperties",
    ]
)
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAPS = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
_FLAGS = frozenset({"unique", "encrypted"})
_PLAIN = frozenset(
    [
        "type",
        "enum",
        "const",
        "required",
        "dependentRequired",
        "multipleOf",
        "maximum",
        "exclusiveMaximum",
        "minimum",
        "exclusiveMinimum",
        "maxLength",
        "minLength",
        "pattern",
        "maxItems",
        "minItems",
        "uniqueItems",
        "maxContains",
        "minContains",
        "maxProperties",
        "minProperties",
        "format",
        "contentEncoding",
        "contentMediaType",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "discriminator",
        "$comment",
        "$schema",
        "$ref",
        "references",
        "unique",
        "encrypted",
    ]
)
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DEFS = "#/$defs/"


def check(schema: Mapping[str, Any]) -> None:
    """Raise `Invalid`, with the place, where a schema states what it may not."""
    walk = _Walk()
    walk.node(schema, "schema", MAX_DEPTH, ours="any")
    if schema.get("$schema", _DIALECT).rstrip("#") != _DIALECT:
        raise _wrong("schema.$schema", f"only {_DIALECT}")
    kind = schema.get("type", "object")
    if kind != "object":
        raise _wrong("schema.type", "a document is an object")
    _refuse_recursion(schema)


def resolved(schema: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    """A node together with what its `$ref` names; its own words win."""
    whole = dict(node)
    while (ref := whole.pop("$ref", None)) is not None:
        named = schema.get("$defs", {}).get(str(ref).removeprefix(_DEFS))
        whole = {**named, **whole} if isinstance(named, dict) else whole
    return whole


class _Walk:
    """Counts the nodes on its way."""

    def __init__(self) -> None:
        self._nodes = 0

    def node(self, node: Any, place: str, left: int, *, ours: str) -> None:
        """`ours`: which of our keywords may stand here: any, references or none."""
        if isinstance(node, bool):
            return
        if not isinstance(node, dict):
            raise _wrong(place, "a schema is an object, true or false")
        self._nodes += 1
        if not left or self._nodes > MAX_NODES:
            raise _wrong(place, f"at most {MAX_NODES} subschemas, {MAX_DEPTH} levels deep")
        _check_ours(node, place, ours)
        for name, value in node.items():
            self._keyword(name, value, f"{place}.{name}"[:300], left - 1, ours)

    def _keyword(self, name: str, value: Any, place: str, left: int, ours: str) -> None:
        if name in _ONE:
            inner = "references" if name == "items" and ours == "any" else "none"
            self.node(value, place, left, ours=inner)
        elif name in _LISTS:
            if not isinstance(value, list):
                raise _wrong(place, "is a list of schemas")
            for n, each in enumerate(value):
                self.node(each, f"{place}.{n}", left, ours="none")
        elif name in _MAPS:
            self._map(name, value, place, left, ours)
        elif name == "$ref":
            if not isinstance(value, str) or not value.startswith(_DEFS) or "/" in value[8:]:
                raise _wrong(place, "refers to nothing but #/$defs/<name>")
        elif name == "pattern":
            _check_pattern(value, place)
        elif name not in _PLAIN and not name.startswith("x-"):
            raise _wrong(place, "is no keyword that this database knows; annotations begin with x-")

    def _map(self, name: str, value: Any, place: str, left: int, ours: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(place, "is an object of schemas")
        kept = {"properties": ours if ours == "any" else "none", "$defs": "any"}
        for member, each in value.items():
            if name == "patternProperties":
                _check_pattern(member, place)
            self.node(each, f"{place}.{member[:80]}", left, ours=kept.get(name, "none"))


def _check_ours(node: Mapping[str, Any], place: str, ours: str) -> None:
    for name in _FLAGS & node.keys():
        if not isinstance(node[name], bool):
            raise _wrong(f"{place}.{name}", "is true or false")
        if ours != "any" or place == "schema":
            raise _wrong(f"{place}.{name}", "stands only on a property under properties")
    if "references" in node:
        if not isinstance(node["references"], str):
            raise _wrong(f"{place}.references", "names a collection")
        if ours == "none" or place == "schema":
            raise _wrong(f"{place}.references", "stands only on a property, or on its items")


def _check_pattern(pattern: Any, place: str) -> None:
    if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN:
        raise _wrong(place, f"a pattern is a text of at most {MAX_PATTERN} characters")


def _refuse_recursion(schema: Mapping[str, Any]) -> None:
    """No definition leads to itself, and all of them written out stay bounded."""
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    sizes: dict[str, int] = {}

    def size(node: Any, within: tuple[str, ...]) -> int:
        if isinstance(node, list):
            return sum(size(each, within) for each in node)
        if not isinstance(node, dict):
            return 0
        total = 1 + sum(size(v, within) for k, v in node.items() if k != "$defs")
        ref = node.get("$ref")
        if isinstance(ref, str):
            total += of(ref.removeprefix(_DEFS), within)
        if total > MAX_EXPANDED:
            raise _wrong("schema", "its references, written out, make it too large")
        return total

    def of(name: str, within: tuple[str, ...]) -> int:
        if name not in definitions:
            raise _wrong("schema.$defs", f"has no {name[:80]}, which a $ref names")
        if name in within:
            raise _wrong(f"schema.$defs.{name[:80]}", "refers to itself")
        if name not in sizes:
            sizes[name] = size(definitions[name], (*within, name))
        return sizes[name]

    for name in definitions:
        of(name, ())
    size({k: v for k, v in schema.items() if k != "$defs"}, ())


def _wrong(place: str, reason: str) -> Invalid:
    return Invalid(f"{place}: {reason}", field=place)

"""Plausible arguments from an input schema, so that a tool nobody heard of is called for real."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tause_mcp.testing.walk_handles import Canary, Handles

Schema = Mapping[str, Any]

HINTS: Mapping[str, tuple[Any, ...]] = {
    "scopes": (["storage:read"], ["access:admin"]),
    "role": ("viewer",),
    "toolsets": (["storage"],),
    "content_type": ("text/plain",),
    "range": ("0-9",),
    "since": ("2020-01-01",),
    "until": ("2099-01-01",),
    "date": ("2026-01-01",),
    "email": ("walk@example.com",),
    "url": ("https://example.com/walk",),
    "phone": ("+573001234567",),
    "currency": ("COP",),
    "issuer": ("local",),
    "sql": ("SELECT 1 AS one",),
    "method": ({"type": "bancolombia_transfer"},),
    "customer": ({"email": "walk@example.com"},),
    "beneficiary": (
        {
            "name": "Walk",
            "document_type": "CC",
            "document": "1020304050",
            "bank_code": "1007",
            "account_type": "savings",
            "account_number": "12345678901",
        },
    ),
    "start_at": ("2030-01-01T00:00:00Z",),
}
"""Values that a name promises and no schema can tell."""

LIKE: Mapping[str, tuple[str, ...]] = {
    "source": ("key",),
    "prefix": ("key",),
    "parent": ("tenant_id",),
    "if_match": ("etag",),
    "if_none_match": ("etag",),
    "cursor": ("next_cursor",),
    "actor": ("subject", "actor"),
    "role": ("name", "role"),
    "collection": ("name", "collection"),
    "sql": ("name",),
    "source_id": ("id",),
}
"""Arguments that name what results call otherwise."""

SAID: Mapping[str, str] = {"sql": 'SELECT * FROM "{}"'}
"""Arguments that hold a name within a sentence."""

_EXISTING = 3
"""How many of the things that exist are tried."""

OPTIONAL_LAST = frozenset({"if_match", "if_none_match", "cursor", "version", "parent", "plan"})
"""Conditions and places: a first call without them is the plausible one."""

_CANDIDATES = (
    "2026-01-31",
    "2026-01-31T12:00:00Z",
    "12:00",
    "text/plain",
    "storage:read",
    "https://example.com/",
    "walk@example.com",
    "+573001234567",
    "COP",
    "CO",
    "1",
    "A",
    "AB",
    "ABC123",
    "es-CO",
    "#aabbcc",
    "0 * * * *",
    "1.0",
)


class Values:
    """Makes arguments: what things are called by `canary`, what exists from `known`."""

    def __init__(self, canary: Canary, known: Handles, *, lean: bool = False) -> None:
        """`lean`: objects within arguments have only the members that they must have."""
        self._canary = canary
        self._known = known
        self._lean = lean

    def variants(
        self, schema: Schema, hidden: tuple[str, ...] = (), capability: str = ""
    ) -> Iterator[dict[str, Any]]:
        """Arguments, most plausible first: what is required with each optional one, all, none."""
        properties = {k: v for k, v in schema["properties"].items() if k not in hidden}
        required = [name for name in schema.get("required", ()) if name in properties]
        optional = [name for name in properties if name not in (*required, *OPTIONAL_LAST)]
        for names in ([*required, *optional], *([*required, name] for name in optional), required):
            yield self._given(properties, names, schema)
        lean = Values(self._canary, self._known, lean=True)
        for name in self._nested(properties):
            yield lean._given(properties, list(dict.fromkeys([*required, name])), schema)
        for turn in range(_EXISTING):
            given = self._given(properties, required, schema)
            yield {**given, **self._existing(properties, required, turn, capability)}
        for name, hints in HINTS.items():
            if name in properties:
                given = self._given(properties, [*required, name], schema)
                yield from ({**given, name: hint} for hint in hints[1:])

    @staticmethod
    def _nested(properties: Schema) -> Iterator[str]:
        """Arguments that are lists of objects with members of their own."""
        for name, node in properties.items():
            if "$ref" in node.get("items", {}) or "properties" in node.get("items", {}):
                yield name

    def _existing(
        self, properties: Schema, names: list[str], turn: int, capability: str
    ) -> dict[str, str]:
        """Things that exist, the capability's own first, for the arguments that may name one."""
        found = {}
        for name in names:
            known = self._known.named(*like(name))
            known.sort(key=lambda h: not h.tool.startswith(f"{capability}_"))
            fitting = [h.value for h in known if fits(h.value, properties[name])]
            if fitting:
                found[name] = fitting[turn % len(fitting)]
        return found

    def required(self, schema: Schema) -> dict[str, Any]:
        """Only what the schema demands."""
        names = list(schema.get("required", ()))
        return self._given(schema["properties"], names, schema)

    def _given(self, properties: Schema, names: list[str], schema: Schema) -> dict[str, Any]:
        defs = schema.get("$defs", {})
        return {name: self.value(name, properties[name], defs) for name in names}

    def value(self, name: str, node: Schema, defs: Schema) -> Any:
        """One plausible value of a schema."""
        if "$ref" in node:
            node = {**defs.get(node["$ref"].rpartition("/")[2], {}), **node}
        choices = node.get("enum")
        if name in HINTS and (not choices or HINTS[name][0] in choices):
            return HINTS[name][0]
        if choices:
            return choices[0]
        if "const" in node:
            return node["const"]
        make = self._makers.get(node.get("type", ""))
        return make(self, name, node, defs) if make else self._text(name, node, defs)

    def _text(self, name: str, node: Schema, _: Schema) -> str:
        """A known thing of that name, else a marked text that fits."""
        near = like(name) if name == "collection" else (name,)
        known = [h for h in self._known.named(*near) if fits(h.value, node)]
        if name == "collection":
            known = [h for h in known if h.tool.startswith("database_")]
        if name in ("id", "source", "subject", "collection") and known:
            return known[-1].value
        if "pattern" not in node and node.get("maxLength", 10**6) >= 40:
            return self._canary.name() if name.endswith(("id", "key")) else self._canary.content()
        marked = self._canary.name()
        for text in (marked, marked[: node.get("maxLength", 64)], *_CANDIDATES):
            if fits(text, node):
                return text
        return known[-1].value if known else "x" * max(1, node.get("minLength", 1))

    def _whole(self, name: str, node: Schema, _: Schema) -> int:
        least = node.get("minimum", node.get("exclusiveMinimum", 0) + 1)
        most = node.get("maximum", node.get("exclusiveMaximum", 2**53) - 1)
        return int(min(max(least, 600), most))

    def _number(self, name: str, node: Schema, defs: Schema) -> float:
        return float(self._whole(name, node, defs))

    def _flag(self, name: str, node: Schema, _: Schema) -> bool:
        return True

    def _list(self, name: str, node: Schema, defs: Schema) -> list[Any]:
        return [self.value(name.removesuffix("s"), node.get("items", {}), defs)]

    def _object(self, name: str, node: Schema, defs: Schema) -> dict[str, Any]:
        if self._lean and "required" in node:
            return self._given(node["properties"], list(node["required"]), {"$defs": defs})
        if "properties" in node:
            return self._given(node["properties"], list(node["properties"]), {"$defs": defs})
        patterns: Schema = node.get("patternProperties", {})
        inner = next(iter(patterns.values()), node.get("additionalProperties"))
        key = self.value("member", {"type": "string", **self._member(node, patterns)}, defs)
        plain = {} if not isinstance(inner, Mapping) else inner
        return {key: self.value("value", plain, defs)}

    def _member(self, node: Schema, patterns: Schema) -> dict[str, Any]:
        names: Mapping[str, Any] = node.get("propertyNames", {})
        return {"pattern": next(iter(patterns)), **names} if patterns else dict(names)

    _makers: Mapping[str, Callable[..., Any]] = {
        "string": _text,
        "integer": _whole,
        "number": _number,
        "boolean": _flag,
        "array": _list,
        "object": _object,
    }


def like(parameter: str) -> tuple[str, ...]:
    """The names under which results show what an argument names."""
    return LIKE.get(parameter, (parameter,))


def fits(text: str, node: Schema) -> bool:
    """Whether a string meets its schema."""
    if not node.get("minLength", 0) <= len(text) <= node.get("maxLength", 10**9):
        return False
    pattern = node.get("pattern")
    return pattern is None or re.search(pattern, text) is not None


def texts(schema: Schema) -> Iterator[tuple[str, Callable[[str], Any]]]:
    """Every argument that can carry a string, and how it carries one."""
    for name, node in schema["properties"].items():
        kind = node.get("type")
        if "enum" in node:
            continue
        if kind in (None, "string"):
            yield name, SAID.get(name, "{}").format
        elif kind == "array" and node.get("items", {}).get("type") in (None, "string"):
            yield name, lambda text: [text]
        elif kind == "object":
            yield name, lambda text: {text: text}

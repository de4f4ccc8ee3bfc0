"""The laws of inputs: no union, no null, closed, bounded, and enforced as published."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tause_mcp.catalog import Catalog
from tause_mcp.errors import Invalid
from tause_mcp.operation import Operation
from tause_mcp.testing.breaches import hold, of

WIDER = frozenset({"storage_put.content"})
"""Arguments that take more than their schema says: a JSON value has no type that every host reads.
Their tools check type and size themselves."""


def _nodes(schema: Any, at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every schema within a schema; names of properties are not schemas."""
    if not isinstance(schema, dict):
        return
    yield at, schema
    for key, value in schema.items():
        if key in ("properties", "$defs", "patternProperties"):
            for name, inner in value.items():
                yield from _nodes(inner, f"{at}.{name}")
        elif key in ("items", "additionalProperties", "contains", "not", "propertyNames"):
            yield from _nodes(value, f"{at}.{key}")
        elif key in ("prefixItems", "anyOf", "oneOf", "allOf"):
            for n, inner in enumerate(value):
                yield from _nodes(inner, f"{at}.{key}[{n}]")


def inputs_have_no_union_and_no_null(catalog: Catalog, only: str | None = None) -> None:
    """Hosts strip unions or choke on them: optional means absent."""

    def breaches() -> Iterator[str]:
        for o in (*of(catalog.tools, only), *of(catalog.prompts, only)):
            for at, node in _nodes(o.inputs.schema, o.name):
                if unions := {"anyOf", "oneOf", "allOf"} & set(node):
                    yield f"{at}: {', '.join(sorted(unions))}"
                kinds = node.get("type", "")
                if "null" in ([kinds] if isinstance(kinds, str) else kinds):
                    yield f"{at}: null"
                if ("default" in node and node["default"] is None) or None in node.get("enum", ()):
                    yield f"{at}: a null value"

    hold(breaches())


def inputs_are_closed_and_bounded(catalog: Catalog, only: str | None = None) -> None:
    """Unknown arguments are refused; every string, list and number has a bound."""

    def breaches() -> Iterator[str]:
        for o in (*of(catalog.tools, only), *of(catalog.prompts, only)):
            if o.inputs.schema.get("additionalProperties") is not False:
                yield f"{o.name}: unknown arguments are not refused"
            for at, node in _nodes(o.inputs.schema, o.name):
                if missing := _unbounded(node):
                    yield f"{at}: {missing}"

    hold(breaches())


def _unbounded(node: Mapping[str, Any]) -> str | None:
    has = set(node)
    if "enum" in has or "const" in has:
        return None
    match node.get("type"):
        case "object" if node.get("properties") and node.get("additionalProperties") is not False:
            return "an object with known members is closed"
        case "string" if not has & {"maxLength", "pattern", "format"}:
            return "a string without maxLength"
        case "array" if "maxItems" not in has:
            return "a list without maxItems"
        case "integer" | "number" if not (
            has & {"minimum", "exclusiveMinimum"} and has & {"maximum", "exclusiveMaximum"}
        ):
            return "a number without minimum and maximum"
    return None


def inputs_are_enforced(catalog: Catalog, only: str | None = None) -> None:
    """What the schema says is what happens: one more than the bound, or the wrong type, is refused."""

    def breaches() -> Iterator[str]:
        for o in of(catalog.tools, only):
            for name, node in o.inputs.schema["properties"].items():
                wider = f"{o.name}.{name}" in WIDER
                for wrong in () if wider else _wrong(node):
                    if not _refused(o, name, wrong):
                        yield f"{o.name}.{name}: takes {_short(wrong)} against its own schema"
            if not _refused(o, "no_such_argument", 1):
                yield f"{o.name}: takes an unknown argument"

    hold(breaches())


def _wrong(node: Mapping[str, Any]) -> Iterator[Any]:
    match node.get("type"):
        case "string":
            yield 7
            yield ["x"]
            if limit := node.get("maxLength"):
                yield "x" * (limit + 1)
            if "enum" in node:
                yield "no such choice"
        case "integer":
            yield "7"
            yield True
            if (most := node.get("maximum")) is not None:
                yield most + 1
            if (least := node.get("minimum")) is not None:
                yield least - 1
        case "boolean":
            yield "true"
            yield 1
        case "array":
            yield "x"
            if (limit := node.get("maxItems")) is not None:
                yield [_sample(node.get("items", {}))] * (limit + 1)
        case "object":
            yield "x"


def _sample(node: Mapping[str, Any]) -> Any:
    if choices := node.get("enum"):
        return choices[0]
    samples: dict[Any, Any] = {"string": "x", "integer": 1, "number": 1.0, "boolean": True}
    return samples.get(node.get("type"), {})


def _refused(operation: Operation, name: str, value: Any) -> bool:
    """Whether validation objects to this argument (others may be missing: that is no answer)."""
    try:
        operation.inputs.read({name: value})
    except Invalid as error:
        told = [line for line in str(error).split("; ") if not line.endswith("Field required")]
        return any(re.match(rf"{re.escape(name)}[.:]", line) for line in told)
    return False


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:30]}... ({len(value)} long)"

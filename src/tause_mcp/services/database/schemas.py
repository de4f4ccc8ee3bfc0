"""The JSON Schema of a collection: draft 2020-12 without what fetches, recurses or never ends.

Three keywords are ours, on a property that is reached through `properties` alone: `unique`,
`encrypted` and `references` (which may also be on the items of such a property); `default` fills
what is missing on insert. The validator is Rust (jsonschema-rs): its patterns take linear time.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from tause_mcp.errors import Invalid, TooLarge
from tause_mcp.services.database import schema_rules
from tause_mcp.services.database.names import check_field, check_name
from tause_mcp.services.database.values import ABSENT, at, put

MAX_BYTES = 64 * 1024
_TOLD = 5
"""Errors of one document that are told."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a schema demands beyond its validator. Paths are dotted."""

    text: str
    unique: tuple[str, ...] = ()
    encrypted: tuple[str, ...] = ()
    references: Mapping[str, str] = field(default_factory=dict)
    """Path -> the collection that its value (or each item of it) names a document of."""
    defaults: tuple[tuple[str, Any], ...] = ()
    validator: Any = None

    @property
    def schema(self) -> dict[str, Any]:
        """The schema itself; empty when there is none."""
        return orjson.loads(self.text) if self.text else {}

    def completed(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """`data` with the defaults of what it leaves out, in objects that are there."""
        if not self.defaults:
            return dict(data)
        whole = deepcopy(dict(data))
        for path, value in self.defaults:
            above = path.rpartition(".")[0]
            parent = at(whole, above) if above else whole
            if isinstance(parent, dict) and at(whole, path) is ABSENT:
                put(whole, path, deepcopy(value))
        return whole

    def check(self, data: Mapping[str, Any], argument: str) -> None:
        """Raise `Invalid` unless `data` fits; it names the first place, never the value."""
        if self.validator is None or self.validator.is_valid(data):
            return
        lines, first = [], ""
        for error, _ in zip(self.validator.iter_errors(data), range(_TOLD), strict=False):
            place = _place(error, argument)
            first = first or place
            lines.append(f"{place}: {error.message[:300]}")
        raise Invalid("; ".join(lines), field=first)


def _place(error: Any, argument: str) -> str:
    path = [str(name)[:80] for name in error.instance_path]
    kind = error.kind
    if named := getattr(kind, "property", None) or next(
        iter(getattr(kind, "unexpected", ())), None
    ):
        path.append(str(named)[:80])
    return ".".join([argument, *path])[:400]


FREE = Rules("")
"""No schema: any object."""


def rules_of(schema: Mapping[str, Any] | None) -> Rules:
    """The compiled rules of a schema that a caller states.

    Raises:
        Invalid: with the place in the schema, as `schema.properties.name`. TooLarge.
    """
    if not schema:
        return FREE
    try:
        text = orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise Invalid("schema: is no JSON that every reader holds", field="schema") from None
    if len(text) > MAX_BYTES:
        raise TooLarge(f"schema: at most {MAX_BYTES} bytes", field="schema")
    return compiled(text.decode())


@lru_cache(512)
def compiled(text: str) -> Rules:
    """The rules of a schema as it is stored."""
    if not text:
        return FREE
    schema: dict[str, Any] = orjson.loads(text)
    schema_rules.check(schema)
    unique, encrypted, references, defaults = [], [], {}, []
    for path, node in _properties(schema, schema, "", 8):
        if node.get("unique"):
            unique.append(path)
        if node.get("encrypted"):
            encrypted.append(path)
        items = node.get("items")
        target = node.get("references") or (
            items.get("references") if isinstance(items, dict) else None
        )
        if target:
            references[path] = check_name(target, "schema")
        if "default" in node:
            defaults.append((path, node["default"]))
    for path in (*unique, *encrypted, *references):
        check_field(path, "schema")
    refuse_sealed(encrypted, (*unique, *references), "schema")
    _refuse_nested(encrypted)
    return Rules(
        text, tuple(unique), tuple(encrypted), references, tuple(defaults), _validator(schema)
    )


def _properties(
    schema: Mapping[str, Any], node: Mapping[str, Any], path: str, left: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property that is reached through `properties`, with what its `$ref` says."""
    for name, inner in node.get("properties", {}).items() if left else ():
        if not isinstance(inner, dict):
            continue
        whole = schema_rules.resolved(schema, inner)
        place = f"{path}.{name}" if path else name
        yield place, whole
        yield from _properties(schema, whole, place, left - 1)


def refuse_sealed(encrypted: list[str] | tuple[str, ...], others: Any, argument: str) -> None:
    """Raise `Invalid` when a field that must be read to be found is, or is in, an encrypted one."""
    for path in others:
        for sealed in encrypted:
            if f"{path}.".startswith(f"{sealed}.") or f"{sealed}.".startswith(f"{path}."):
                raise Invalid(
                    f"{argument}: {path} is encrypted: it cannot be unique, indexed, filtered, "
                    "sorted or refer to a document",
                    field=argument,
                )


def _refuse_nested(encrypted: list[str]) -> None:
    for path in encrypted:
        if any(path.startswith(f"{other}.") for other in encrypted):
            raise Invalid(f"schema: {path} is within an encrypted field already", field="schema")


def _validator(schema: dict[str, Any]) -> Any:
    import jsonschema_rs

    try:
        return jsonschema_rs.Draft202012Validator(
            schema,
            pattern_options=jsonschema_rs.RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 20),
            validate_formats=True,
            mask="the value",
            offline=True,
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        place = ".".join(["schema", *map(str, getattr(error, "instance_path", []))])[:300]
        reason = str(getattr(error, "message", None) or error).splitlines()[0][:300]
        if reason.endswith('is not a "regex"'):
            reason = "not a pattern here: no look-around, no back-references, and not too large"
        raise Invalid(f"{place}: {reason}", field=place) from None

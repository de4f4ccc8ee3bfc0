"""Collections from Pydantic models: what `tause-mcp collections generate` makes of a module.

A model names its collection by `model_config = {"json_schema_extra": {"collection": "people"}}`,
else by its own name; a field says `unique`, `encrypted`, `references` or `index` the same way:

    email: Annotated[str, Field(json_schema_extra={"unique": True, "index": True})]
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from tause_mcp.errors import Invalid
from tause_mcp.services.database.names import check_name
from tause_mcp.services.database.schema_rules import resolved
from tause_mcp.services.database.schemas import rules_of

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Generated:
    """A collection as a model describes it."""

    name: str
    schema: dict[str, Any]
    indexes: list[str]


def generated(module: ModuleType) -> list[Generated]:
    """The collections of the models that a module itself defines, those referred to first.

    A model that another one contains is no collection, unless it names one.

    Raises:
        Invalid: a model cannot be a collection, and why.
    """
    models = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, BaseModel)
        and value.__module__ == module.__name__
    ]
    schemas = {model: model.model_json_schema() for model in models}
    parts = {
        name
        for model, schema in schemas.items()
        for name in schema.get("$defs", {})
        if name != model.__name__
    }
    told = [
        _of(model.__name__, schema)
        for model, schema in schemas.items()
        if "collection" in schema or model.__name__ not in parts
    ]
    return _ordered(told)


def _of(model: str, schema: dict[str, Any]) -> Generated:
    named = schema.pop("collection", None) or _HUMP.sub("_", model).lower()
    name = check_name(str(named), model)
    indexes = list(_indexes(schema, schema, "", 8))
    plain = _without_index(schema)
    try:
        rules_of(plain)
    except Invalid as error:
        raise Invalid(f"{model}: {error}", field=error.field) from None
    return Generated(name, plain, indexes)


def _indexes(schema: dict[str, Any], node: dict[str, Any], path: str, left: int) -> Iterator[str]:
    for name, inner in node.get("properties", {}).items() if left else ():
        whole = resolved(schema, inner) if isinstance(inner, dict) else {}
        place = f"{path}.{name}" if path else name
        if whole.get("index") is True:
            yield place
        yield from _indexes(schema, whole, place, left - 1)


def _without_index(node: Any) -> Any:
    """The schema without our marks that are no keywords of it."""
    if isinstance(node, list):
        return [_without_index(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {
        name: (
            {member: _without_index(one) for member, one in value.items()}
            if name in ("properties", "$defs") and isinstance(value, dict)
            else _without_index(value)
        )
        for name, value in node.items()
        if not (name in ("index", "collection") and isinstance(value, bool | str))
    }


def _ordered(found: list[Generated]) -> list[Generated]:
    """Those that others refer to before those others; the rest as written."""
    told: list[Generated] = []
    left = list(found)
    while left:
        names = {one.name for one in left}
        ready = [
            one
            for one in left
            if not (set(rules_of(one.schema).references.values()) - {one.name}) & names
        ]
        if not ready:
            raise Invalid(f"{', '.join(sorted(names))}: refer to each other in a circle")
        told += ready
        left = [one for one in left if one not in ready]
    return told

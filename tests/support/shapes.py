"""A declared function with every kind of parameter."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from tause_mcp.capability import Tool
from tause_mcp.operation import Operation, compile_operation


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

"""Catalog: the small door to every tool."""

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from tause_mcp.capability import READ, Hints, tool
from tause_mcp.services.catalog import Directory

Name = Annotated[str, Field(description="The tool's name.", max_length=64)]
Arguments = Annotated[
    dict[str, Any] | None,
    Field(description="The tool's arguments, as catalog_describe shows them."),
]


class Found(TypedDict):
    name: str
    title: str
    description: str
    read_only: bool


class FoundList(TypedDict):
    items: list[Found]


class ToolDescription(TypedDict):
    name: str
    title: str
    description: str
    read_only: bool
    scope: str
    cost: int
    input_schema: dict[str, Any]
    output_schema: NotRequired[dict[str, Any]]


@tool("Search the tools", scope="catalog:read", hints=READ, flagship=True)
async def catalog_search(
    directory: Directory,
    query: Annotated[str, Field(description="What you want to do.", min_length=1, max_length=500)],
    limit: Annotated[int, Field(ge=1, le=50)] = 8,
) -> FoundList:
    """Find tools by what they do, in English or Spanish. Use when no listed tool fits."""
    return {"items": directory.search(query, limit)}  # type: ignore[typeddict-item]  # same shape


@tool("Describe a tool", scope="catalog:read", hints=READ, flagship=True, open_result=True)
async def catalog_describe(directory: Directory, name: Name) -> ToolDescription:
    """Show one tool's arguments. Use before catalog_read or catalog_call."""
    return directory.describe(name)  # type: ignore[return-value]  # same shape


@tool(
    "Run a tool that only reads",
    scope="catalog:read",
    hints=Hints(read_only=True, destructive=False, idempotent=True, open_world=True),
    flagship=True,
    open_result=True,
    forwards=True,
)
async def catalog_read(
    directory: Directory, name: Name, arguments: Arguments = None
) -> dict[str, Any]:
    """Run any tool that only reads. Use for tools that are not listed."""
    return await directory.read(name, arguments or {})


@tool(
    "Run a tool",
    scope="catalog:write",
    hints=Hints(read_only=False, destructive=True, idempotent=False, open_world=True),
    flagship=True,
    open_result=True,
    forwards=True,
)
async def catalog_call(
    directory: Directory, name: Name, arguments: Arguments = None
) -> dict[str, Any]:
    """Run any tool, also one that changes things. Its own scope and approval apply."""
    return await directory.call(name, arguments or {})

"""The catalogue as one caller sees it, and the way to call through it."""

from collections.abc import Mapping
from typing import Any

from tause_mcp.capability import Described, Dispatch
from tause_mcp.errors import Forbidden


class Directory:
    """What this caller may use; everything else looks absent."""

    def __init__(self, described: Described, dispatch: Dispatch) -> None:
        self._described = described
        self._dispatch = dispatch

    def search(self, query: str, limit: int) -> list[dict[str, Any]]:
        return self._described.search(query, limit)

    def describe(self, name: str) -> dict[str, Any]:
        return self._described.describe(name)

    async def read(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Run a tool that only reads."""
        if not self._described.is_read(name):
            raise Forbidden(f"{name} changes things: use catalog_call", field="name")
        return await self._dispatch(name, arguments)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Run any tool; its own scope and approval apply."""
        self._described.is_read(name)
        return await self._dispatch(name, arguments)

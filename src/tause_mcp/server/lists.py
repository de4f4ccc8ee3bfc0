"""Every list: filtered by what the caller may use, in stable order, in pages."""

from collections.abc import Mapping
from typing import Any

from mcp import MCPError
from mcp_types import INVALID_PARAMS, PaginatedRequestParams

from tause_mcp.errors import Invalid
from tause_mcp.platform import Platform
from tause_mcp.server.answers import COMPLETE
from tause_mcp.server.definitions import Definitions
from tause_mcp.server.identity import Context, Identify, Identity

PAGE = 100


class Lists:
    """The handlers of tools/list, resources/list, resources/templates/list and prompts/list."""

    def __init__(self, platform: Platform, definitions: Definitions, identify: Identify) -> None:
        self._seal = platform.seal
        self._directory = platform.directory
        self._definitions = definitions
        self._identify = identify

    async def tools(self, ctx: Context, params: PaginatedRequestParams | None) -> dict[str, Any]:
        identity = self._identify(ctx)
        lacking = await self._lacking(identity)
        shown = self._definitions.tools(identity, ctx.protocol_version, lacking)
        return self._page(ctx, "tools", shown, params)

    async def resources(
        self, ctx: Context, params: PaginatedRequestParams | None
    ) -> dict[str, Any]:
        identity = self._identify(ctx)
        shown = self._definitions.fixed_resources(identity, await self._lacking(identity))
        return self._page(ctx, "resources", shown, params)

    async def templates(
        self, ctx: Context, params: PaginatedRequestParams | None
    ) -> dict[str, Any]:
        identity = self._identify(ctx)
        shown = self._definitions.resource_templates(identity, await self._lacking(identity))
        return self._page(ctx, "resourceTemplates", shown, params)

    async def prompts(self, ctx: Context, params: PaginatedRequestParams | None) -> dict[str, Any]:
        identity = self._identify(ctx)
        shown = self._definitions.prompts(identity, await self._lacking(identity))
        return self._page(ctx, "prompts", shown, params)

    async def _lacking(self, identity: Identity) -> Mapping[str, str]:
        """What the caller's tenant has not configured is in no list."""
        return await self._directory.lacking(identity.caller.tenant)

    def _page(
        self, ctx: Context, name: str, shown: list[dict[str, Any]], params: Any
    ) -> dict[str, Any]:
        cursor = params.cursor if params is not None else None
        if cursor is None and len(shown) <= PAGE:
            return COMPLETE | {name: shown}
        principal = self._identify(ctx).caller.principal
        start = self._start(cursor, name, principal)
        page: dict[str, Any] = COMPLETE | {name: shown[start : start + PAGE]}
        if start + PAGE < len(shown):
            page["nextCursor"] = self._seal.close(start + PAGE, "list", name, principal)
        return page

    def _start(self, cursor: str | None, name: str, principal: str) -> int:
        if cursor is None:
            return 0
        try:
            return int(self._seal.open(cursor, "list", name, principal))
        except Invalid as error:
            raise MCPError(INVALID_PARAMS, str(error)) from None

"""MCP over stdin and stdout for the local person. stdout carries nothing else."""

from typing import Any, Literal

from mcp.server.lowlevel import Server
from mcp.server.runner import serve_dual_era_loop, serve_loop
from mcp.server.stdio import stdio_server

from tause_mcp.platform import Platform
from tause_mcp.server.build import build
from tause_mcp.server.identity import Identity, View
from tause_mcp.tenancy import Caller

Protocol = Literal["auto", "legacy"]


async def serve_stdio(
    platform: Platform, caller: Caller, view: View, protocol: Protocol = "auto"
) -> None:
    """Serve one connection until stdin closes.

    `legacy` never answers `server/discover`: some hosts probe it and then handshake, which the
    era lock of a stream refuses.
    """
    identity = Identity(caller, view, local=True)
    server: Server[Any] = build(platform, lambda _: identity)
    options = server.create_initialization_options()
    loop = serve_loop if protocol == "legacy" else serve_dual_era_loop
    async with stdio_server() as (read, write):
        await loop(server, read, write, lifespan_state={}, init_options=options)

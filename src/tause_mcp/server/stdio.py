"""MCP over stdin and stdout for the local person. stdout carries nothing else."""

import os
from collections.abc import Callable
from typing import Any, Literal, TextIO

import anyio
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_dual_era_loop, serve_loop
from mcp.server.stdio import stdio_server

from tause_mcp.platform import Platform
from tause_mcp.server.build import build
from tause_mcp.server.identity import Identity, View
from tause_mcp.tenancy import Caller

Protocol = Literal["auto", "legacy"]


def reserved() -> TextIO:
    """stdout, for MCP alone: what anything else in this process writes there goes to stderr.

    Called before a plugin is imported: the SDK diverts only while it serves.
    """
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return wire


async def serve_stdio(
    platform: Platform,
    caller: Caller | Callable[[], Caller],
    view: View,
    protocol: Protocol = "auto",
    stdout: TextIO | None = None,
) -> None:
    """Serve one connection until stdin closes; `stdout` is what `reserved` kept.

    A function says at each message who calls: what a key may do can change while it is used.

    `legacy` never answers `server/discover`: some hosts probe it and then handshake, which the
    era lock of a stream refuses.
    """

    def identify(_: Any) -> Identity:
        who = caller if isinstance(caller, Caller) else caller()
        return Identity(who, view, local=True)

    server: Server[Any] = build(platform, identify)
    options = server.create_initialization_options()
    loop = serve_loop if protocol == "legacy" else serve_dual_era_loop
    wire = None if stdout is None else anyio.wrap_file(stdout)
    async with stdio_server(stdout=wire) as (read, write):
        await loop(server, read, write, lifespan_state={}, init_options=options)

"""A bare SDK server with one tool: `python -m tests.conformance.bare --port P`.

The baseline: what fails here too is the fixtures', the proxy's or the SDK's, and not the house's.
It refuses whoever does not bring the key in `$TAUSE_HOME/key`. To run it:
`python -m tests.conformance.run --server "python -m tests.conformance.bare --port {port}"`.
"""

import argparse
import os
import secrets
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.conformance import fixtures

ECHO = Tool(
    name="echo",
    description="Answer with the text that was given.",
    input_schema={
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
        "additionalProperties": False,
    },
)


async def list_tools(
    ctx: ServerRequestContext[Any], params: PaginatedRequestParams | None
) -> ListToolsResult:
    return ListToolsResult(tools=[ECHO])


async def call_tool(
    ctx: ServerRequestContext[Any], params: CallToolRequestParams
) -> CallToolResult:
    said = str((params.arguments or {}).get("text", ""))
    return CallToolResult(content=[TextContent(type="text", text=said)])


def build() -> Server[Any]:
    """A bare SDK server with one tool and every fixture."""
    bus = InMemorySubscriptionBus()
    server: Server[Any] = Server(
        "bare",
        version="0",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_subscriptions_listen=ListenHandler(bus),
    )
    security = RequestStateSecurity.ephemeral()
    server.middleware.append(RequestStateBoundary(security, default_audience="bare"))
    fixtures.register(server, bus)
    return server


class BearerOnly:
    """Refuse whoever does not bring the key, so that a run proves the proxy's part too."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._expected = f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = dict(scope.get("headers", ())).get(b"authorization") == self._expected
        if scope["type"] == "http" and not known:
            await Response(status_code=401)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def main() -> None:
    """Serve with sessions for the handshake era; the modern era is stateless by itself."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, required=True)
    port = arguments.parse_args().port
    key = secrets.token_urlsafe()
    Path(os.environ["TAUSE_HOME"], "key").write_text(key)
    app = BearerOnly(build().streamable_http_app(), key)
    uvicorn.run(app, port=port, log_level="warning", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()

"""The yardstick: a bare SDK `MCPServer` echo, one tool, no auth, stateless, JSON, uvloop, httptools.

`python -m benchmarks.bare http --port P [--tools FILE]` or `... stdio [--tools FILE]`. FILE holds
the `tools` of a tools/list answer: the same definitions are then listed by the bare SDK.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations


async def echo(text: str) -> str:
    """Return the text."""
    return text


def build(tools: list[dict[str, Any]]) -> MCPServer[Any]:
    """A server with the echo, or with the given definitions (which nobody calls).

    At its default level the SDK logs a line for each 2025 request, which would flatter us.
    """
    if not tools:
        return MCPServer("bare", tools=[Tool.from_function(echo)], log_level="WARNING")
    return MCPServer("bare", tools=[defined(tool) for tool in tools], log_level="WARNING")


def defined(listed: dict[str, Any]) -> Tool:
    """A registered tool whose listed definition is `listed`."""
    tool = Tool.from_function(echo, name=listed["name"], title=listed.get("title"))
    tool.description = listed.get("description", "")
    tool.parameters = listed["inputSchema"]
    tool.fn_metadata.output_schema = listed.get("outputSchema")
    tool.meta = listed.get("_meta")
    if "annotations" in listed:
        tool.annotations = ToolAnnotations.model_validate(listed["annotations"])
    return tool


def serve_http(server: MCPServer[Any], port: int) -> None:
    import uvicorn

    app = server.streamable_http_app(stateless_http=True, json_response=True)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("transport", choices=("http", "stdio"))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tools", type=Path)
    asked = parser.parse_args()
    server = build(json.loads(asked.tools.read_text()) if asked.tools else [])
    if asked.transport == "stdio":
        server.run("stdio")
    else:
        serve_http(server, asked.port)


if __name__ == "__main__":
    main()

"""The MCP face: the only rooms that know both the platform and the SDK."""

from tause_mcp.server.build import build

__all__ = ["build"]

"""One MCP server that is a whole multi-tenant platform."""

__version__ = "0.1.0"

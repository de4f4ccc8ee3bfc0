"""Doors that are not MCP: health, identity documents, and the routes that capabilities declare."""

"""The domain: services bound to one tenant. No MCP, no HTTP."""

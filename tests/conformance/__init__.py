"""The official conformance runner against this server."""

"""The one place where results and failures become what MCP carries."""

import base64
from typing import Any

from mcp import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from tause_mcp.errors import (
    Forbidden,
    QuotaExceeded,
    RateLimited,
    TauseError,
    Unavailable,
)
from tause_mcp.pipeline import Crash, Result

ERROR_KEY = "pro.tause/error"
COMPLETE = {"resultType": "complete"}
"""What every finished result carries on 2026-07-28; older revisions do not see it."""

_OWN_CODES: dict[type[TauseError], int] = {
    Forbidden: -31003,
    RateLimited: -31001,
    QuotaExceeded: -31002,
    Unavailable: -31004,
}


def tool_result(result: Result) -> dict[str, Any]:
    text = (result.text or b"null").decode()
    told: dict[str, Any] = COMPLETE | {
        "content": [{"type": "text", "text": text}],
        "structuredContent": result.value,
        "isError": False,
    }
    if result.approval is not None:
        told["_meta"] = {ERROR_KEY: {"code": "approval_required"}}
    return told


def tool_failure(error: TauseError | Crash) -> dict[str, Any]:
    described = (
        error.describe()
        if isinstance(error, TauseError)
        else {"code": "internal", "reference": error.reference}
    )
    return COMPLETE | {
        "content": [{"type": "text", "text": str(error)}],
        "isError": True,
        "_meta": {ERROR_KEY: described},
    }


def unknown(what: str, name: str) -> MCPError:
    """Unknown or out of scope: the two look the same."""
    return MCPError(INVALID_PARAMS, f"Unknown {what}: {name[:128]}")


def no_resource(uri: str) -> MCPError:
    """Foreign or absent: the same words (SEP-2164: -32602 with the URI that was asked for)."""
    return MCPError(INVALID_PARAMS, "Resource not found", {"uri": uri[:2048]})


def protocol_error(error: TauseError | Crash) -> MCPError:
    """A failed resource or prompt as its JSON-RPC error."""
    if isinstance(error, Crash):
        return MCPError(INTERNAL_ERROR, str(error))
    code = _OWN_CODES.get(type(error), INVALID_PARAMS)
    return MCPError(code, str(error), {ERROR_KEY: error.describe()})


def resource_contents(uri: str, mime_type: str, value: Any) -> dict[str, Any]:
    """bytes become a blob, str text, anything else JSON; `(value, mime)` overrides the type."""
    import orjson

    if isinstance(value, tuple):
        value, mime_type = value
    told: dict[str, Any] = {"uri": uri, "mimeType": mime_type}
    if isinstance(value, bytes):
        told["blob"] = base64.b64encode(value).decode()
    else:
        told["text"] = value if isinstance(value, str) else orjson.dumps(value).decode()
    return COMPLETE | {"contents": [told]}

"""Where the server is, who calls, and one tool call over MCP.

ts.configure(url="https://tause.example.com", key="tk_acme....")
await ts.call("storage_put", {"key": "hola.txt", "content": "hola"})

Without `configure`: `TAUSE_PUBLIC_URL` and `TAUSE_API_KEY`, else the server that this machine's
`TAUSE_HOME` served last, with its first key.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tause_mcp import errors
from tause_mcp.errors import (
    NotFound,
    ProviderError,
    TauseError,
    Unauthenticated,
    Unavailable,
    Unconfigured,
)

_DEFAULT_URL = "http://127.0.0.1:8765"
_SECONDS = 90.0
_UNKNOWN = -32602
_KINDS = {k.code: k for k in TauseError.__subclasses__() if k.__module__ == errors.__name__}


@dataclass(frozen=True, slots=True)
class Connection:
    """One server as one caller reaches it: its public URL, and an API key or bearer token."""

    url: str
    key: str = field(repr=False)

    async def call(
        self, tool: str, arguments: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """The tool's result.

        What needs a person comes back as `{"status": "approval_required", "url": ..., ...}`: the
        same call again completes it once it is approved.

        Raises:
            TauseError: of the code that the server gave, with its field and `retry_after`.
            Unauthenticated, Unavailable: the key does not hold, or nobody answers at the URL.
        """
        refused: list[int] = []
        try:
            result = await self._called(tool, dict(arguments), idempotency_key, refused)
        except Exception as failed:
            raise self._meaning(failed, refused) from None
        if result.is_error:
            raise _failure(result)
        return dict(result.structured_content)

    async def _called(
        self, tool: str, arguments: dict[str, Any], idempotency_key: str | None, refused: list[int]
    ) -> Any:
        from httpx2 import AsyncClient, Response
        from mcp import Client
        from mcp.client.streamable_http import streamable_http_client

        async def looked_at(response: Response) -> None:
            if response.status_code in (401, 403):
                refused.append(response.status_code)

        # the SDK checks a result against the tool's published schema, and so has to find it listed
        listing = quote(tool.partition("_")[0], safe="")
        door = f"{self.url}/mcp?toolsets={listing}"
        meta: Any = {"pro.tause/idempotency_key": idempotency_key} if idempotency_key else None
        async with (
            AsyncClient(
                headers={"Authorization": f"Bearer {self.key}"},
                timeout=_SECONDS,
                trust_env=False,
                event_hooks={"response": [looked_at]},
            ) as http,
            Client(streamable_http_client(door, http_client=http)) as client,
        ):
            return await client.call_tool(tool, arguments, meta=meta)

    def _meaning(self, failed: Exception, refused: list[int]) -> Exception:
        """What a failure of the SDK, which comes in groups of groups, stands for."""
        from httpx2 import TransportError
        from mcp import MCPError

        causes = list(_leaves(failed))
        if refused:
            return Unauthenticated(f"the key is not accepted at {self.url}")
        if any(isinstance(cause, TransportError) for cause in causes):
            return Unavailable(f"no server answers at {self.url}: is it running?")
        for cause in causes:
            if isinstance(cause, MCPError):
                kind = NotFound if cause.error.code == _UNKNOWN else ProviderError
                return kind(f"{cause.error.message} ({self.url}/mcp)")
        return failed


def _leaves(failed: BaseException) -> Iterator[BaseException]:
    if isinstance(failed, BaseExceptionGroup):
        for inner in failed.exceptions:
            yield from _leaves(inner)
    else:
        yield failed


def _failure(result: Any) -> TauseError:
    told = (result.meta or {}).get("pro.tause/error", {})
    text = result.content[0].text if result.content else "the call failed"
    kind = _KINDS.get(told.get("code", ""), ProviderError)
    return kind(text, field=told.get("field"), retry_after=told.get("retry_after"))


_configured: Connection | None = None


def configure(url: str | None = None, key: str | None = None) -> Connection:
    """Which server the functions of this package speak to from now on, and as whom.

    What is left out is found as the module says.

    Raises:
        Unconfigured: no key was given, and none is found.
    """
    global _configured
    _configured = Connection((url or _url()).rstrip("/"), key or _key())
    return _configured


def connection() -> Connection:
    """The one in use; found anew until `configure` has said which."""
    return _configured or Connection(_url(), _key())


async def call(
    tool: str, arguments: Mapping[str, Any], *, idempotency_key: str | None = None
) -> dict[str, Any]:
    """`Connection.call` on the connection in use."""
    return await connection().call(tool, arguments, idempotency_key=idempotency_key)


def _home() -> Path:
    return Path(os.environ.get("TAUSE_HOME") or "~/.tause").expanduser()


def _url() -> str:
    return (os.environ.get("TAUSE_PUBLIC_URL") or _kept("url") or _DEFAULT_URL).rstrip("/")


def _key() -> str:
    if found := os.environ.get("TAUSE_API_KEY") or _kept("key"):
        return found
    raise Unconfigured(
        "no API key: set TAUSE_API_KEY, or make one with `tause-mcp keys create --tenant TENANT`"
    )


def _kept(name: str) -> str:
    try:
        return (_home() / name).read_text(encoding="utf-8").strip()
    except OSError:
        return ""

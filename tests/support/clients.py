"""Real SDK clients on every transport, as async context managers."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from tests.support.serving import environment


@asynccontextmanager
async def over_http(
    url: str, key: str, mode: str = "auto", **options: Any
) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=30, trust_env=False) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode, cache=None, **options) as client:
            yield client


@asynccontextmanager
async def over_sse(
    url: str, key: str, mode: str = "legacy", **options: Any
) -> AsyncIterator[Client]:
    transport = sse_client(url, headers={"Authorization": f"Bearer {key}"})
    async with Client(transport, mode=mode, cache=None, **options) as client:
        yield client


@asynccontextmanager
async def over_stdio(
    home: Path,
    *arguments: str,
    mode: str = "auto",
    settings: dict[str, str] | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "tause_mcp", "serve", *arguments],
        env=environment(home, **(settings or {})),
    )
    async with Client(parameters, mode=mode, cache=None, **options) as client:
        yield client

"""Signed links and what was stored through them."""

import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from tests.support.storage import House

from tause_mcp.errors import NotFound

TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}
MIB = 1 << 20


async def link(house: House, key: str = "k", method: str = "GET", **options: Any) -> str:
    told = await house.call("storage_sign_url", key=key, method=method, **options)
    return str(told["url"])


async def stored(house: House, key: str, body: bytes, **options: Any) -> None:
    await house.world.storage().put(key, body, **options)


async def content(house: House, key: str = "k") -> bytes:
    return await (await house.world.storage().open(key)).whole()


async def absent(house: House, key: str = "k") -> bool:
    try:
        await house.world.storage().stat(key)
    except NotFound:
        return True
    return False


async def begun(web: httpx2.AsyncClient, url: str, length: int, **headers: str) -> str:
    answer = await web.post(url, headers={**TUS, "Upload-Length": str(length), **headers})
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def sha256_header(body: bytes) -> str:
    return "sha256 " + base64.b64encode(hashlib.sha256(body).digest()).decode()


async def chunked(body: bytes, step: int = 50_000) -> AsyncIterator[bytes]:
    for at in range(0, len(body), step):
        yield body[at : at + step]

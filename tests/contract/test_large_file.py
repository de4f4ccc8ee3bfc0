"""A file of 50 MB: an interrupted and resumed upload, read back whole; nothing for a second tenant."""

import hashlib
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest
from tests.support.clients import over_http, over_stdio
from tests.support.serving import run_all, serving

pytestmark = pytest.mark.anyio

SIZE = 50 * 1024 * 1024
CUT = 20 * 1024 * 1024
TUS = {"Tus-Resumable": "1.0.0"}


def cut_off(url: str, body: bytes) -> None:
    """Announce the whole body, send a part of it, and hang up."""
    parts = urlsplit(url)
    head = (
        f"PATCH {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nTus-Resumable: 1.0.0\r\n"
        f"Upload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as wire:
        wire.sendall(head.encode() + body[:CUT])


async def test_a_large_file_survives_an_interruption_and_is_only_its_tenant_s(
    tmp_path: Path,
) -> None:
    body = os.urandom(SIZE)
    home, folder = tmp_path / "home", tmp_path / "folder"
    folder.mkdir()
    with serving(home) as server:
        async with over_http(f"{server.url}/mcp", server.key) as client:
            signed = await client.call_tool(
                "storage_sign_url", {"key": "big.bin", "method": "PUT", "max_bytes": SIZE}
            )
            link = signed.structured_content["url"]
            async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
                await resumed(http, link, body)
                got = await client.call_tool(
                    "storage_sign_url", {"key": "big.bin", "method": "GET"}
                )
                read = await http.get(got.structured_content["url"])
            assert read.status_code == 200
            assert hashlib.sha256(read.content).digest() == hashlib.sha256(body).digest()
        await foreign_finds_nothing(server.url, home, got.structured_content["url"])
    async with over_stdio(home, "--allow-path", str(folder)) as client:
        target = folder / "big.bin"
        wrote = await client.call_tool("storage_get", {"key": "big.bin", "path": str(target)})
        assert not wrote.is_error, wrote.content
        assert target.read_bytes() == body


async def resumed(http: httpx2.AsyncClient, link: str, body: bytes) -> None:
    begun = await http.post(link, headers={**TUS, "Upload-Length": str(SIZE)})
    assert begun.status_code == 201, begun.text
    upload = str(httpx2.URL(link).join(begun.headers["location"]))
    cut_off(upload, body)
    for _ in range(100):
        asked = await http.head(upload, headers=TUS)
        offset = int(asked.headers["upload-offset"])
        headers = {
            **TUS,
            "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
        }
        done = await http.patch(upload, content=body[offset:], headers=headers)
        if done.status_code != 409:  # the server may still be storing what the cut request sent
            break
        await anyio.sleep(0.1)
    assert 0 < offset <= CUT
    assert done.status_code == 204, done.text
    assert int(done.headers["upload-offset"]) == SIZE


async def foreign_finds_nothing(url: str, home: Path, link: str) -> None:
    tenant = ("tenants", "create", "other")
    made = run_all(home, tenant, ("keys", "create", "--tenant", "other", "--role", "owner"))
    key = made[-1].strip()
    async with over_http(f"{url}/mcp", key) as client:
        for tool, arguments in (
            ("storage_get", {"key": "big.bin"}),
            ("storage_stat", {"key": "big.bin"}),
            ("storage_delete", {"key": "big.bin"}),
            ("storage_copy", {"source": "big.bin", "destination": "mine"}),
        ):
            told = await client.call_tool(tool, arguments)
            assert told.meta["pro.tause/error"]["code"] == "not_found"
        assert (await client.call_tool("storage_list", {})).structured_content["items"] == []
    async with httpx2.AsyncClient(timeout=60, trust_env=False) as http:
        forged = await http.get(link[:-4] + ("AAAA" if not link.endswith("AAAA") else "BBBB"))
        assert forged.status_code == 404
        door = await http.post(f"{url}/t/default/mcp", headers={"Authorization": f"Bearer {key}"})
        assert door.status_code == 401

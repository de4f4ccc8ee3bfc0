"""Streams and sessions of one tenant, wanted by another."""

import asyncio
import re
from dataclasses import replace

import httpx2
import pytest

from tause_mcp.platform import Platform
from tause_mcp.server.app import HttpApp, Serving
from tause_mcp.tenancy import TenantId
from tause_mcp.testing.walk import in_process
from tause_mcp.testing.walk_cast import run
from tause_mcp.testing.walk_handles import Canary
from tause_mcp.testing.walk_listen import overheard
from tause_mcp.testing.walk_stage import Scene
from tause_mcp.testing.walk_wire import LEGACY, MODERN, Era, InProcess, Speaker

pytestmark = pytest.mark.anyio

PUT = "storage_put"
UPDATED = "notifications/resources/updated"


async def keys(platform: Platform) -> tuple[str, str]:
    """An owner's key of each of two tenants."""
    found = []
    for name in ("acme", "globex"):
        await run(platform, TenantId("default"), "tenants_create", {"tenant_id": name})
        made = await run(platform, TenantId(name), "access_create_key", {"role": "owner"})
        found.append(made["key"])
    return found[0], found[1]


@pytest.mark.parametrize("era", [MODERN, LEGACY])
async def test_changes_are_heard_by_their_own_tenant_only(platform: Platform, era: Era) -> None:
    mine, theirs = await keys(platform)
    async with in_process(platform) as http:
        scene = Scene(Speaker(http, mine), "acme", Canary("streams"))
        scene.uris = ["tause://acme/storage/walk/one"]
        arguments = {"key": "walk/one", "content": "x"}
        scene.made, scene.keyed = {PUT: arguments}, {PUT: (arguments, "k")}
        heard = [
            await overheard(await Speaker(http, key, era=era).opened(), scene)
            for key in (mine, theirs)
        ]
    own, foreign = (answers[-1].body for answers in heard)
    assert UPDATED in own, "the listening itself does not work"
    assert UPDATED not in foreign


async def test_the_same_call_under_the_same_idempotency_key_is_each_tenants_own(
    platform: Platform,
) -> None:
    told = {"key": "walk/same", "content": "the same"}
    async with in_process(platform) as http:
        speakers = [Speaker(http, key) for key in await keys(platform)]
        first, second = [await s.tool(PUT, told, key="one-key") for s in speakers]
        assert first.value["updated_at"] != second.value["updated_at"]
        for speaker, answer in zip(speakers, (first, second), strict=True):
            assert (await speaker.tool("storage_stat", {"key": "walk/same"})).value == answer.value
        await speakers[1].tool("storage_delete", {"key": "walk/same"})
        assert (await speakers[0].tool("storage_get", {"key": "walk/same"})).value["content"]


async def test_a_foreign_session_of_the_older_transport_looks_absent(platform: Platform) -> None:
    mine, theirs = await keys(platform)
    app = HttpApp(platform, Serving(sse=True))
    transport = InProcess(app.guarded)
    async with (
        app.doors.running(),
        httpx2.AsyncClient(transport=transport, base_url=platform.public_url) as http,
    ):
        request = Speaker(http, mine).request("GET", "/sse")
        stream = await http.send(request, stream=True)
        pieces = stream.aiter_text()
        path = re.search(r"data: (\S+)", await anext(pieces))
        assert path is not None
        session = path[1].rpartition("=")[2]
        answers = {}
        for name, key, asked in (
            ("own", mine, session),
            ("foreign", theirs, session),
            ("absent", theirs, "0123456789abcdef" * 2),
        ):
            speaker = replace(Speaker(http, key, era=LEGACY), door=f"/messages/?session_id={asked}")
            answers[name] = await speaker.ask("initialize", _HELLO)
        await asyncio.sleep(0)
        await stream.aclose()
    assert answers["own"].status == 202
    foreign, absent = answers["foreign"], answers["absent"]
    assert (foreign.status, foreign.body) == (absent.status, absent.body)
    assert foreign.status >= 400


_HELLO = {
    "protocolVersion": LEGACY,
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}

"""A real server: an approval answered in each of its three ways, a key ended, a grant used."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.types import ElicitResult
from tests.support.clients import over_http
from tests.support.serving import Served, run, serving

pytestmark = pytest.mark.anyio
ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("people") / "home") as server:
        yield server


async def call(client: Client, name: str, /, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result.content
    told: dict[str, Any] = result.structured_content or {}
    return told


async def answer_on_the_page(server: Served, approval_id: str, said: str) -> None:
    path = f"/approvals/{approval_id}"
    async with httpx2.AsyncClient(base_url=server.url, trust_env=False) as browser:
        origin = {"origin": server.url}
        signed = await browser.post(path, data={"key": server.key}, headers=origin)
        assert signed.status_code == 303
        csrf = re.search(r'name="csrf" value="([^"]+)"', (await browser.get(path)).text)
        assert csrf is not None
        data = {"csrf": csrf[1], "answer": said}
        assert (await browser.post(path, data=data, headers=origin)).status_code == 303


@ERAS
async def test_a_person_refuses_on_the_page_and_the_call_says_so(server: Served, mode: str) -> None:
    wanted = {"name": uuid4().hex, "role": "admin"}
    async with over_http(f"{server.url}/mcp", server.key, mode) as client:
        waiting = await call(client, "access_create_key", **wanted)
        await answer_on_the_page(server, waiting["id"], "deny")
        refused = await client.call_tool("access_create_key", wanted)
        assert refused.is_error
        assert refused.meta["pro.tause/error"]["code"] == "forbidden"


@ERAS
async def test_a_person_approves_on_the_page_and_the_same_call_completes(
    server: Served, mode: str
) -> None:
    wanted = {"name": uuid4().hex, "role": "admin"}
    async with over_http(f"{server.url}/mcp", server.key, mode) as client:
        waiting = await call(client, "access_create_key", **wanted)
        assert waiting["status"] == "approval_required"
        await answer_on_the_page(server, waiting["id"], "approve")
        assert "key" in await call(client, "access_create_key", **wanted)
        told = await call(client, "approvals_get", id=waiting["id"])
        assert (told["status"], told["means"]) == ("consumed", "page")


async def test_a_person_approves_on_the_shell_what_the_small_door_asked(server: Served) -> None:
    wanted = {"name": "access_create_key", "arguments": {"name": uuid4().hex, "role": "admin"}}
    async with over_http(f"{server.url}/mcp", server.key) as client:
        waiting = await call(client, "catalog_call", **wanted)
        assert waiting["status"] == "approval_required"
        await anyio.to_thread.run_sync(run, server.home, "approvals", "approve", waiting["id"])
        assert "key" in str(await call(client, "catalog_call", **wanted))


@ERAS
async def test_a_client_that_can_ask_asks_its_person(server: Served, mode: str) -> None:
    asked: list[str] = []

    async def person(_: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"approve": True})

    name = uuid4().hex
    url = f"{server.url}/mcp"
    async with over_http(url, server.key, mode, elicitation_callback=person) as client:
        assert "key" in await call(client, "access_create_key", name=name, role="admin")
    assert len(asked) == 1
    assert name in asked[0]


@ERAS
async def test_a_revoked_key_stops_at_once(server: Served, mode: str) -> None:
    url = f"{server.url}/mcp"
    async with over_http(url, server.key, mode) as client:
        made = await call(client, "access_create_key", role="viewer")
        async with over_http(url, made["key"], "auto") as holder:
            assert (await call(holder, "access_whoami"))["role"] == "viewer"
            await call(client, "access_revoke_key", id=made["id"])
            with pytest.raises(MCPError):
                await holder.call_tool("access_whoami", {})


async def test_a_stored_grant_opens_a_tenant_below_and_nothing_else(server: Served) -> None:
    below = f"shop-{uuid4().hex[:8]}"
    async with over_http(f"{server.url}/mcp", server.key) as client:
        await call(client, "tenants_create", tenant_id=below)
        absent = await client.call_tool("access_whoami", {"tenant_id": "absent"})
        foreign = await client.call_tool("access_whoami", {"tenant_id": below})
        assert absent.is_error
        assert absent.model_dump(exclude={"meta"}) == foreign.model_dump(exclude={"meta"})
        command = ("keys", "create", "--tenant", below, "--role", "owner")
        key = (await anyio.to_thread.run_sync(run, server.home, *command)).strip()
        me = (await call(client, "access_whoami"))["subject"]
        async with over_http(f"{server.url}/t/{below}/mcp", key) as owner:
            await call(owner, "access_assign_role", subject=f"default/{me}", role="viewer")
        told = await call(client, "access_whoami", tenant_id=below)
        assert (told["tenant"], told["home"], told["role"]) == (below, "default", "viewer")

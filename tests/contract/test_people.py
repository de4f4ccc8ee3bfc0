"""A real server: a key ended at once, and a stored grant that opens a tenant below."""

from typing import Any
from uuid import uuid4

import anyio
import pytest
from mcp import Client, MCPError
from tests.support.clients import over_http
from tests.support.serving import Served, run

pytestmark = pytest.mark.anyio


async def call(client: Client, name: str, /, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result.content
    told: dict[str, Any] = result.structured_content or {}
    return told


@pytest.mark.parametrize("mode", ["auto", "legacy"])
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

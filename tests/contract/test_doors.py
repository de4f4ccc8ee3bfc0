"""What the HTTP doors show to whom, and how long a stream lives."""

from collections.abc import Iterator
from dataclasses import dataclass

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from tests.support.clients import over_http
from tests.support.clock import BUSY
from tests.support.serving import Served, run_all, serving

pytestmark = pytest.mark.anyio


@dataclass
class World:
    server: Served
    keys: dict[str, str]

    def at(self, key: str, path: str = "/mcp", mode: str = "2026-07-28", **options):
        return over_http(f"{self.server.url}{path}", self.keys[key], mode, **options)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("doors") / "home"
    with serving(home) as server:
        held = {
            "acme": ("acme", "--role", "owner"),
            "acme2": ("acme2", "--role", "owner"),
            "reader": ("acme", "--scopes", "storage:read:reports/*"),
            "door": ("acme", "--role", "developer", "--toolsets", "storage"),
        }
        tenants = [("tenants", "create", tenant) for tenant in ("acme", "acme2")]
        made = run_all(home, *tenants, *(("keys", "create", "--tenant", *o) for o in held.values()))
        keys = dict(zip(held, (key.strip() for key in made[len(tenants) :]), strict=True))
        keys["root"] = server.key
        yield World(server, keys)


async def names(client: Client) -> list[str]:
    return [t.name for t in (await client.list_tools()).tools]


def code(result) -> str | None:
    return (result.meta or {}).get("pro.tause/error", {}).get("code")


async def test_a_list_shows_only_what_the_caller_may_use(world: World) -> None:
    async with world.at("reader", "/mcp?toolsets=all") as client:
        shown = await names(client)
        with pytest.raises(MCPError) as hidden:
            await client.call_tool("storage_put", {"key": "reports/a", "content": "x"})
        with pytest.raises(MCPError) as absent:
            await client.call_tool("storage_nothing", {})
    assert set(shown) == {"access_whoami", *(n for n in shown if n.startswith("storage_"))}
    assert "storage_put" not in shown and "storage_get" in shown
    assert hidden.value.error.code == absent.value.error.code == -32602


async def test_a_scope_s_part_bounds_what_is_read(world: World) -> None:
    async with world.at("acme") as owner:
        for key in ("reports/a", "private/a", "reports-not/a"):
            await owner.call_tool("storage_put", {"key": key, "content": key})
    async with world.at("reader") as reader:
        seen = await reader.call_tool("storage_get", {"key": "reports/a"})
        listed = await reader.call_tool("storage_list", {"prefix": "reports/"})
        refused = [
            await reader.call_tool("storage_get", {"key": "private/a"}),
            await reader.call_tool("storage_get", {"key": "reports-not/a"}),
            await reader.call_tool("storage_list", {}),
        ]
    assert seen.structured_content["content"] == "reports/a"
    assert [o["key"] for o in listed.structured_content["items"]] == ["reports/a"]
    assert [code(r) for r in refused] == ["forbidden"] * 3


async def test_the_door_s_query_and_the_key_narrow_the_list_but_not_the_call(world: World) -> None:
    async with world.at("acme", "/mcp?toolsets=storage,audit&read_only=true") as client:
        shown = await names(client)
        put = await client.call_tool("storage_put", {"key": "q", "content": "x"})
    assert {"storage_get", "audit_verify"} <= set(shown)
    assert not {"storage_put", "tenants_get", "catalog_call"} & set(shown)
    assert not put.is_error
    async with world.at("door", "/mcp?toolsets=all") as client:
        assert {n.split("_")[0] for n in await names(client)} == {"storage"}


async def test_a_tenant_s_door_is_for_that_tenant(world: World) -> None:
    async with world.at("acme", "/t/acme/mcp") as client:
        told = await client.call_tool("access_whoami", {})
        same = await client.call_tool("storage_list", {"tenant_id": "acme"})
        foreign = await client.call_tool("storage_list", {"tenant_id": "acme2"})
        absent = await client.call_tool("storage_list", {"tenant_id": "nowhere"})
        for tool in (await client.list_tools()).tools:
            if tool.name.startswith("storage_"):
                assert "tenant_id" not in tool.input_schema["properties"]
    assert told.structured_content["tenant"] == "acme" and not same.is_error
    assert code(foreign) == "not_found"
    assert foreign.content[0].text == absent.content[0].text
    answers = []
    async with httpx2.AsyncClient(timeout=60, trust_env=False) as http:
        for path in ("/t/acme/mcp", "/t/nowhere/mcp", "/t/default/mcp"):
            answer = await http.post(
                f"{world.server.url}{path}",
                headers={"Authorization": f"Bearer {world.keys['acme2']}"},
            )
            told = answer.headers["www-authenticate"].replace(path, "")
            answers.append((answer.status_code, answer.text, told))
    assert len(set(answers)) == 1 and answers[0][0] == 401


async def test_a_grant_lets_a_parent_s_caller_name_the_tenant(world: World) -> None:
    async with world.at("root") as root:
        me = (await root.call_tool("access_whoami", {})).structured_content
        before = await root.call_tool("storage_list", {"tenant_id": "acme2"})
    assert code(before) == "not_found"
    async with world.at("acme2") as owner:
        given = await owner.call_tool(
            "access_assign_role", {"subject": f"default/{me['subject']}", "role": "viewer"}
        )
        assert not given.is_error, given.content
        await owner.call_tool("storage_put", {"key": "shared", "content": "theirs"})
    with anyio.fail_after(6 + BUSY):
        while True:
            async with world.at("root") as root:
                got = await root.call_tool("storage_get", {"key": "shared", "tenant_id": "acme2"})
                tools = {t.name: t for t in (await root.list_tools()).tools}
            if not got.is_error:
                break
            await anyio.sleep(0.3)
    assert got.structured_content["content"] == "theirs"
    assert "tenant_id" in tools["storage_get"].input_schema["properties"]
    async with world.at("root") as root:
        with pytest.raises(MCPError):
            await root.call_tool(
                "storage_put", {"key": "shared", "content": "x", "tenant_id": "acme2"}
            )


async def test_each_door_is_its_own_protected_resource(world: World) -> None:
    async with httpx2.AsyncClient(timeout=60, trust_env=False) as http:
        for path in ("/mcp", "/t/acme/mcp"):
            refused = await http.post(f"{world.server.url}{path}")
            where = refused.headers["www-authenticate"].partition('resource_metadata="')[2][:-1]
            told = (await http.get(where)).json()
            assert told["resource"] == f"{world.server.url}{path}"
            assert told["authorization_servers"]
        keys = (await http.get(f"{world.server.url}/.well-known/jwks.json")).json()["keys"]
    assert keys and not any({"d", "k"} & set(key) for key in keys)


async def test_our_own_token_opens_the_door_it_names_and_no_other(world: World) -> None:
    create = ("tokens", "create", "--tenant", "acme")
    made = run_all(world.server.home, create, (*create, "--own-door"))
    plain, own = (token.strip() for token in made)
    for token, path, good in (
        (plain, "/mcp", True),
        (plain, "/t/acme/mcp", False),
        (own, "/t/acme/mcp", True),
        (own, "/mcp", False),
    ):
        async with httpx2.AsyncClient(timeout=60, trust_env=False) as http:
            answer = await http.get(
                f"{world.server.url}{path}", headers={"Authorization": f"Bearer {token}"}
            )
        assert (answer.status_code != 401) is good, (path, answer.text)


async def test_only_the_tenant_s_own_listeners_hear_of_a_change(world: World) -> None:
    uri = "tause://acme/storage/watched"
    async with world.at("acme") as mine, world.at("acme2") as other:
        async with (
            mine.listen(resource_subscriptions=[uri]) as heard,
            other.listen(resource_subscriptions=[uri]) as nothing,
        ):
            await mine.call_tool("storage_put", {"key": "watched", "content": "x"})
            with anyio.fail_after(5 + BUSY):
                event = await anext(aiter(heard))
            assert event.uri == uri
            with anyio.move_on_after(0.5) as silence:
                await anext(aiter(nothing))
            assert silence.cancelled_caught


async def test_a_revoked_key_loses_its_open_stream_within_five_seconds(world: World) -> None:
    async with world.at("acme") as owner:
        made = await owner.call_tool("access_create_key", {"name": "short", "role": "viewer"})
        key = made.structured_content
        async with over_http(f"{world.server.url}/mcp", key["key"], "2026-07-28") as client:
            async with client.listen(tools_list_changed=True) as stream:
                await owner.call_tool("access_revoke_key", {"id": key["id"]})
                with anyio.fail_after(8 + BUSY):
                    with pytest.raises((StopAsyncIteration, MCPError, RuntimeError)):
                        await anext(aiter(stream))
        async with httpx2.AsyncClient(timeout=60, trust_env=False) as http:
            answer = await http.post(
                f"{world.server.url}/mcp", headers={"Authorization": f"Bearer {key['key']}"}
            )
    assert answer.status_code == 401


async def test_a_session_belongs_to_the_tenant_that_opened_it(world: World) -> None:
    async with httpx2.AsyncClient(timeout=60, trust_env=False) as http:

        async def post(key: str, body: dict, session: str = "") -> httpx2.Response:
            headers = {
                "Authorization": f"Bearer {world.keys[key]}",
                "Accept": "application/json, text/event-stream",
                "MCP-Protocol-Version": "2025-11-25",
            }
            if session:
                headers["Mcp-Session-Id"] = session
            return await http.post(f"{world.server.url}/mcp", json=body, headers=headers)

        hello = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "c", "version": "1"},
        }
        opened = await post(
            "acme", {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
        )
        session = opened.headers["mcp-session-id"]
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        assert (await post("acme", ping, session)).status_code == 200
        foreign, absent = await post("acme2", ping, session), await post("acme2", ping, "f" * 32)
    assert foreign.status_code == absent.status_code == 404
    assert foreign.text == absent.text

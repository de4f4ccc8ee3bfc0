"""The hook adds the fixtures and leaves the server's own things alone."""

from typing import Any

import pytest
from mcp import Client
from mcp.server.lowlevel import Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolResult,
    ListToolsResult,
    ReadResourceResult,
    TextContent,
    TextResourceContents,
    Tool,
)
from tests.conformance import fixtures
from tests.conformance.bare import build

pytestmark = pytest.mark.anyio
OWN = Tool(name="own", input_schema={"type": "object"})


async def test_lists_hold_the_servers_tools_and_the_fixtures() -> None:
    async with Client(build()) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
    assert names[0] == "echo"
    assert set(names[1:]) == fixtures.TOOL_NAMES


async def test_the_servers_own_tool_answers_for_itself() -> None:
    async with Client(build()) as client:
        said = await client.call_tool("echo", {"text": "hello"})
    assert said.content == [TextContent(type="text", text="hello")]


async def test_fixtures_come_with_the_first_page_only() -> None:
    async def pages(ctx: Any, params: Any) -> dict[str, Any]:
        listed = ListToolsResult(tools=[OWN], next_cursor=None if params.cursor else "2")
        wire = listed.model_dump(by_alias=True, mode="json", exclude_none=True)
        return {**wire, "resultType": "complete", "ttlMs": 5000, "cacheScope": "private"}

    server: Server[Any] = Server("paged", on_list_tools=pages)  # type: ignore[arg-type]  # wire form
    fixtures.register(server)
    async with Client(server) as client:
        first = await client.list_tools()
        second = await client.list_tools(cursor=first.next_cursor)
    assert len(first.tools) == 1 + len(fixtures.TOOL_NAMES)
    assert (first.ttl_ms, first.cache_scope) == (5000, "private")
    assert [tool.name for tool in second.tools] == ["own"]


async def test_an_unknown_test_address_is_the_servers_to_refuse() -> None:
    async def read(ctx: Any, params: Any) -> ReadResourceResult:
        return ReadResourceResult(contents=[TextResourceContents(uri=params.uri, text="ours")])

    server: Server[Any] = Server("reader", on_read_resource=read)
    fixtures.register(server)
    async with Client(server) as client:
        ours = await client.read_resource("test://nothing")
        theirs = await client.read_resource("test://static-text")
    assert [part.text for part in ours.contents] == ["ours"]  # type: ignore[union-attr]  # text
    assert [part.text for part in theirs.contents] != ["ours"]  # type: ignore[union-attr]  # text


async def test_schemas_are_known_by_name_for_both() -> None:
    async def none(ctx: Any, params: Any) -> ListToolsResult | CallToolResult:
        raise AssertionError

    server: Server[Any] = Server(
        "schemas", get_tool_input_schema={"own": {"type": "object"}}.get, on_list_tools=none
    )
    fixtures.register(server)
    known = server.get_tool_input_schema
    assert known is not None
    assert known("own") == {"type": "object"}
    assert "properties" in (known("test_x_mcp_header") or {})
    assert known("nothing") is None


def test_a_server_that_listens_must_pass_its_bus() -> None:
    server: Server[Any] = Server(
        "deaf", on_subscriptions_listen=ListenHandler(InMemorySubscriptionBus())
    )
    with pytest.raises(ValueError, match="pass its bus"):
        fixtures.register(server)


async def test_a_changed_state_never_reaches_a_fixture() -> None:
    async with Client(build(), mode="2026-07-28") as client:
        with pytest.raises(MCPError, match="requestState"):
            await client.call_tool(
                "test_input_required_result_tampered_state", request_state="changed"
            )

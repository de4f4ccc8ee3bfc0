"""What every transport and both protocol eras promise."""

from uuid import uuid4

import pytest
from mcp import Client, MCPError

pytestmark = pytest.mark.anyio


def fresh() -> str:
    return f"contract/{uuid4().hex}.txt"


async def test_what_was_put_is_got(client: Client) -> None:
    key = fresh()
    put = await client.call_tool("storage_put", {"key": key, "content": "¡hola!"})
    got = await client.call_tool("storage_get", {"key": key})
    assert not put.is_error and not got.is_error
    assert got.structured_content["content"] == "¡hola!"
    assert got.structured_content["etag"] == put.structured_content["etag"]


async def test_the_caller_learns_who_it_is(client: Client) -> None:
    told = await client.call_tool("access_whoami", {})
    assert told.structured_content["tenant"] == "default"


async def test_an_unknown_tool_is_invalid_params(client: Client) -> None:
    with pytest.raises(MCPError) as caught:
        await client.call_tool("nothing_here", {})
    assert caught.value.error.code == -32602


async def test_a_wrong_argument_is_named_and_not_echoed(client: Client) -> None:
    result = await client.call_tool(
        "storage_put", {"key": fresh(), "content": "x", "colour": "s3cr3t"}
    )
    assert result.is_error
    assert result.meta["pro.tause/error"] == {"code": "invalid", "field": "colour"}
    assert "s3cr3t" not in result.content[0].text


async def test_a_missing_object_is_not_found(client: Client) -> None:
    result = await client.call_tool("storage_get", {"key": fresh()})
    assert result.is_error
    assert result.meta["pro.tause/error"]["code"] == "not_found"


async def test_a_resource_is_what_the_tool_stored(client: Client) -> None:
    key = fresh()
    await client.call_tool("storage_put", {"key": key, "content": "text"})
    read = await client.read_resource(f"tause://default/storage/{key}")
    content = read.contents[0]
    assert getattr(content, "text", None) == "text" or content.blob == "dGV4dA=="


async def test_a_foreign_and_an_absent_resource_look_the_same(client: Client) -> None:
    told = []
    for uri in (
        "tause://default/storage/nope",
        "tause://other/storage/nope",
        "tause://x/y/z",
        "a://b",
    ):
        with pytest.raises(MCPError) as caught:
            await client.read_resource(uri)
        told.append((caught.value.error.code, caught.value.error.message))
    assert len(set(told)) == 1 and told[0][0] == -32602


async def test_the_default_list_holds_the_small_door_in_stable_order(client: Client) -> None:
    names = [t.name for t in (await client.list_tools()).tools]
    assert names == sorted(names)
    assert {"catalog_search", "catalog_call", "storage_put", "access_whoami"} <= set(names)
    assert len(names) <= 32


async def test_every_tool_says_what_it_is(client: Client) -> None:
    for tool in (await client.list_tools()).tools:
        assert tool.title and tool.description and tool.output_schema
        assert tool.input_schema["additionalProperties"] is False


async def test_an_idempotency_key_answers_the_first_result(client: Client) -> None:
    key, meta = fresh(), {"pro.tause/idempotency_key": uuid4().hex}
    first = await client.call_tool("storage_put", {"key": key, "content": "one"}, meta=meta)
    again = await client.call_tool("storage_put", {"key": key, "content": "one"}, meta=meta)
    other = await client.call_tool("storage_put", {"key": key, "content": "two"}, meta=meta)
    assert first.structured_content == again.structured_content
    assert other.meta["pro.tause/error"]["code"] == "idempotency_conflict"


async def test_the_small_door_runs_any_tool(client: Client) -> None:
    key = fresh()
    arguments = {"name": "storage_put", "arguments": {"key": key, "content": "x"}}
    put = await client.call_tool("catalog_call", arguments)
    stat = await client.call_tool(
        "catalog_read", {"name": "storage_stat", "arguments": {"key": key}}
    )
    refused = await client.call_tool("catalog_read", arguments)
    assert put.structured_content["key"] == key and stat.structured_content["size"] == 1
    assert refused.meta["pro.tause/error"]["code"] == "forbidden"


async def test_prompts_are_listed_and_got(client: Client) -> None:
    prompts = (await client.list_prompts()).prompts
    assert {"onboard_tenant", "analyze_usage"} <= {p.name for p in prompts}
    with pytest.raises(MCPError) as caught:
        await client.get_prompt("nothing_here", {})
    assert caught.value.error.code == -32602


async def test_a_prompt_renders(client: Client) -> None:
    got = await client.get_prompt("analyze_usage", {})
    assert got.messages[0].content.text

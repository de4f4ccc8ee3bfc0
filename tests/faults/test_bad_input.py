"""Input that hurts: a clear error, nothing stored, and the next call is fine."""

import json
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from tause_mcp.platform import Platform
from tause_mcp.tenancy import TenantId
from tause_mcp.testing.walk_cast import run
from tause_mcp.testing.walk_snapshot import changed, snapshot
from tause_mcp.testing.walk_wire import LEGACY, MODERN, Answer, Era, Speaker

pytestmark = pytest.mark.anyio

DEFAULT = TenantId("default")


@pytest.fixture(params=[MODERN, LEGACY])
async def speaker(
    request: pytest.FixtureRequest, platform: Platform, http: httpx2.AsyncClient
) -> Speaker:
    made = await run(platform, DEFAULT, "access_create_key", {"role": "developer"})
    era: Era = request.param
    return await Speaker(http, made["key"], era=era).opened()


async def raw(speaker: Speaker, body: bytes, tool: str = "storage_put") -> Answer:
    """POST a body as it is, with the headers of a tools/call."""
    message = speaker.message("tools/call", {"name": tool, "arguments": {}})
    return await speaker.send("POST", speaker.door, speaker.headers(message), body)


def call(speaker: Speaker, arguments: str, tool: str = "storage_put") -> bytes:
    """A tools/call whose arguments are this text."""
    message = speaker.message("tools/call", {"name": tool, "arguments": "@"})
    return json.dumps(message).replace('"@"', arguments).encode("utf-8", "surrogatepass")


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def put(content: str, **more: str) -> str:
    told = {"key": '"walk/x"', "content": content, "encoding": '"json"', **more}
    return "{" + ",".join(f'"{k}":{v}' for k, v in told.items()) + "}"


REFUSED: Mapping[str, str] = {
    "unknown argument": put('"x"', colour='"s3cr3t"'),
    "wrong type": '{"key": 7, "content": "x"}',
    "an object for text": '{"key": {"a": 1}, "content": "x"}',
    "null": '{"key": null, "content": "x"}',
    "over-long key": '{"key": "' + "k" * 513 + '", "content": "x"}',
    "over-long text": '{"key": "k", "content": "x", "if_match": "' + "e" * 201 + '"}',
    "deep": put(nested(1000)),
    "deeper": put(nested(100_000)),
    "deep objects": put('{"a":' * 1000 + "1" + "}" * 1000),
    "not a number": put("NaN"),
    "infinite": put("Infinity"),
    "huge number": put("1" * 5000),
    "lone surrogate": '{"key": "walk/\\ud800", "content": "x"}',
    "lone surrogate in text": '{"key": "walk/x", "content": "\\ud800"}',
    "nul in a key": '{"key": "walk/\\u0000", "content": "x"}',
    "arguments are a list": "[1, 2]",
    "arguments are text": '"x"',
}


@pytest.mark.parametrize("what", REFUSED)
async def test_input_that_hurts_is_refused_and_stores_nothing(
    speaker: Speaker, platform: Platform, what: str
) -> None:
    before = await snapshot(platform, DEFAULT)
    answer = await raw(speaker, call(speaker, REFUSED[what]))
    assert answer.status < 500 and not answer.value, answer.text[:500]
    assert "internal" not in answer.body and "Traceback" not in answer.body
    assert "s3cr3t" not in answer.body and len(answer.body) < 4000
    after = {k: v for k, v in (await snapshot(platform, DEFAULT)).items() if k != "usage"}
    assert not changed({k: v for k, v in before.items() if k != "usage"}, after)
    assert (await speaker.tool("access_whoami", {})).value["tenant"] == "default"


@pytest.mark.parametrize(
    ("what", "field"),
    [("unknown argument", "colour"), ("wrong type", "key"), ("over-long text", "if_match")],
)
async def test_the_field_at_fault_is_named(speaker: Speaker, what: str, field: str) -> None:
    answer = await raw(speaker, call(speaker, REFUSED[what]))
    told = answer.result["_meta"]["pro.tause/error"]
    assert told == {"code": "invalid", "field": field}


WRONG_BODIES: Mapping[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "invalid UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":"\xff\xfe"}}',
    "UTF-16": '{"jsonrpc":"2.0","id":1,"method":"ping"}'.encode("utf-16"),
    "a batch": b'[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]',
    "text": b'"tools/list"',
    "no method": b'{"jsonrpc":"2.0","id":1}',
    "deep": b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":' + b"[" * 100_000,
    "deep and whole": b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":'
    + b"[" * 100_000
    + b"]" * 100_000
    + b"}}",
}


@pytest.mark.parametrize("what", WRONG_BODIES)
async def test_a_body_that_is_no_request_is_refused(speaker: Speaker, what: str) -> None:
    answer = await raw(speaker, WRONG_BODIES[what])
    assert 400 <= answer.status < 500, answer.text[:300]
    assert (await speaker.tool("access_whoami", {})).value


async def test_a_body_over_the_limit_is_413(speaker: Speaker, platform: Platform) -> None:
    content = '"' + "x" * platform.settings.max_body + '"'
    answer = await raw(speaker, call(speaker, put(content)))
    assert answer.status == 413
    assert (await speaker.tool("storage_list", {})).value["items"] == []
    assert (await speaker.tool("access_whoami", {})).value


async def test_duplicate_members_do_not_smuggle_anything(speaker: Speaker) -> None:
    """Whichever member counts, it counts for every check."""
    both = '{"key": "walk/a", "key": "../b", "content": "x"}'
    assert not (await raw(speaker, call(speaker, both))).value
    listed = (await speaker.tool("storage_list", {})).value["items"]
    assert listed == []


async def test_an_unknown_tool_and_one_out_of_scope_are_the_same(
    platform: Platform, http: httpx2.AsyncClient
) -> None:
    made = await run(platform, DEFAULT, "access_create_key", {"role": "viewer"})
    speaker = Speaker(http, made["key"])
    hidden = await speaker.tool("storage_put", {"key": "k", "content": "x"})
    absent = await speaker.tool("storage_pux", {"key": "k", "content": "x"})
    assert hidden.messages[0]["error"]["code"] == -32602
    assert hidden.text.replace("storage_put", "@") == absent.text.replace("storage_pux", "@")


@pytest.mark.parametrize("name", ["", "x" * 5000, "storage_put\n", "ｓtorage_put", "../x", 7, None])
async def test_no_name_is_a_tool_by_accident(speaker: Speaker, name: Any) -> None:
    message = speaker.message("tools/call", {"name": name, "arguments": {}})
    answer = await speaker.post(message)
    assert answer.status < 500 and not answer.value
    assert len(answer.body) < 2000


async def test_a_number_that_no_64_bits_hold_is_refused(speaker: Speaker) -> None:
    for limit in ("1" * 400, "1e400", "-1", "0", "9007199254740993"):
        answer = await raw(
            speaker, call(speaker, f'{{"limit": {limit}}}', "storage_list"), "storage_list"
        )
        assert answer.status < 500 and not answer.value, (limit, answer.text[:300])

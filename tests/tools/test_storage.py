"""The storage tools, as a model calls them."""

import base64
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.storage import House, caller_of, opened_house

from tause_mcp.errors import Forbidden, Invalid, NotFound, PreconditionFailed, QuotaExceeded
from tause_mcp.pipeline import MAX_RESULT

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened_house(tmp_path / "house") as opened:
        yield opened


BETA = caller_of("beta", subject="key:k2")


# --- what must not work -------------------------------------------------------------------------


async def test_another_tenant_finds_nothing_by_any_tool(house: House) -> None:
    await house.call("storage_put", key="a/secret.txt", content="canary")
    for name, arguments in [
        ("storage_get", {"key": "a/secret.txt"}),
        ("storage_stat", {"key": "a/secret.txt"}),
        ("storage_delete", {"key": "a/secret.txt"}),
        ("storage_copy", {"source": "a/secret.txt", "destination": "b"}),
        ("storage_object", {"key": "a/secret.txt"}),
    ]:
        with pytest.raises(NotFound) as foreign:
            await house.call(name, caller=BETA, **arguments)
        absent = {k: "never" if k in ("key", "source") else v for k, v in arguments.items()}
        with pytest.raises(NotFound) as nothing:
            await house.call(name, **absent)
        assert str(foreign.value) == str(nothing.value)
    assert (await house.call("storage_list", caller=BETA))["items"] == []
    assert await house.call("storage_object.key", caller=BETA, typed="") == []


async def test_a_cursor_of_another_tenant_or_filter_is_refused(house: House) -> None:
    for n in range(3):
        await house.call("storage_put", key=f"a/{n}", content="x")
        await house.call("storage_put", caller=BETA, key=f"a/{n}", content="y")
    cursor = (await house.call("storage_list", limit=1))["next_cursor"]
    for caller, arguments in [(BETA, {}), (None, {"prefix": "a/"})]:
        with pytest.raises(Invalid) as told:
            await house.call("storage_list", caller=caller, cursor=cursor, **arguments)
        assert told.value.field == "cursor"
    with pytest.raises(Invalid):
        await house.call("storage_list", cursor=cursor[:-2] + "AA")


@pytest.mark.parametrize(
    ("name", "arguments", "field"),
    [
        ("storage_put", {"key": "../a", "content": "x"}, "key"),
        ("storage_put", {"key": "a\\b", "content": "x"}, "key"),
        ("storage_put", {"key": "a\n", "content": "x"}, "key"),
        ("storage_put", {"key": "a//b", "content": "x"}, "key"),
        ("storage_put", {"key": 7, "content": "x"}, "key"),
        ("storage_put", {"key": "a"}, "content"),
        ("storage_put", {"key": "a", "content": "x", "path": "f"}, None),
        ("storage_put", {"key": "a", "content": {"x": 1}}, "content"),
        ("storage_put", {"key": "a", "content": "@@@", "encoding": "base64"}, "content"),
        ("storage_put", {"key": "a", "content": "\ud800"}, "content"),
        ("storage_put", {"key": "a", "content": ["\ud800"], "encoding": "json"}, "content"),
        ("storage_put", {"key": "a", "content": 2**70, "encoding": "json"}, "content"),
        ("storage_put", {"key": "a", "content": "x", "encoding": "utf-16"}, "encoding"),
        (
            "storage_put",
            {"key": "a", "content": "x", "content_type": "a/b\r\nX: 1"},
            "content_type",
        ),
        ("storage_put", {"key": "a", "content": "x", "content_type": "plain"}, "content_type"),
        ("storage_put", {"key": "a", "content": "x", "if_match": "what"}, "if_match"),
        ("storage_put", {"key": "a", "content": "x", "overwrite": True}, "overwrite"),
        ("storage_get", {"key": "there", "range": "5-1"}, "range"),
        ("storage_get", {"key": "there", "range": "100-"}, "range"),
        ("storage_list", {"prefix": "a%"}, "prefix"),
        ("storage_list", {"limit": 0}, "limit"),
        ("storage_list", {"limit": 201}, "limit"),
        ("storage_list", {"cursor": "forged"}, "cursor"),
        ("storage_sign_url", {"key": "a", "expires_in": 0}, "expires_in"),
        ("storage_sign_url", {"key": "a", "expires_in": 604_801}, "expires_in"),
        ("storage_sign_url", {"key": "a", "max_bytes": 5}, "max_bytes"),
        ("storage_sign_url", {"key": "a", "method": "DELETE"}, "method"),
    ],
)
async def test_a_wrong_argument_is_named_and_nothing_is_stored(
    house: House, name: str, arguments: dict[str, Any], field: str | None
) -> None:
    await house.call("storage_put", key="there", content="0123456789")
    with pytest.raises(Invalid) as told:
        await house.call(name, **arguments)
    if field is not None:
        assert told.value.field == field
    assert [o["key"] for o in (await house.call("storage_list"))["items"]] == ["there"]


@pytest.mark.parametrize(
    ("scopes", "name", "arguments"),
    [
        (("storage:read",), "storage_put", {"key": "a", "content": "x"}),
        (("storage:read",), "storage_delete", {"key": "there"}),
        (("storage:write",), "storage_get", {"key": "there"}),
        (("storage:read:in/*",), "storage_get", {"key": "there"}),
        (("storage:read:in/*",), "storage_list", {}),
        (("storage:read:in/*",), "storage_list", {"prefix": "in"}),
        (("storage:read:there",), "storage_list", {"prefix": "there"}),
        (("storage:write:in/*",), "storage_put", {"key": "in", "content": "x"}),
        (("storage:write:in/*", "storage:read"), "storage_copy",
         {"source": "there", "destination": "out"}),
        (("storage:write", "storage:read:in/*"), "storage_copy",
         {"source": "there", "destination": "in/a"}),
        (("storage:read",), "storage_sign_url", {"key": "there", "method": "PUT"}),
        (("storage:read:in/*",), "storage_sign_url", {"key": "there"}),
        (("storage:read:in/*",), "storage_object", {"key": "there"}),
    ],
)  # fmt: skip
async def test_a_scope_bounds_every_tool_by_key(
    house: House, scopes: tuple[str, ...], name: str, arguments: dict[str, Any]
) -> None:
    await house.call("storage_put", key="there", content="x")
    with pytest.raises(Forbidden):
        await house.call(name, caller=caller_of("acme", *scopes), **arguments)
    assert [o["key"] for o in (await house.call("storage_list"))["items"]] == ["there"]


async def test_a_scope_on_a_prefix_lists_and_completes_only_it(house: House) -> None:
    for key in ("in/a", "in/b", "inn", "out"):
        await house.call("storage_put", key=key, content="x")
    caller = caller_of("acme", "storage:read:in/*")
    listed = await house.call("storage_list", caller=caller, prefix="in/")
    assert [o["key"] for o in listed["items"]] == ["in/a", "in/b"]
    assert await house.call("storage_object.key", caller=caller, typed="") == ["in/a", "in/b"]


async def test_a_full_tenant_is_told_so(house: House) -> None:
    house.limits["acme/storage"] = 10
    await house.call("storage_put", key="a", content="0123456789")
    with pytest.raises(QuotaExceeded, match="storage is full"):
        await house.call("storage_put", key="b", content="x")
    await house.call("storage_put", caller=BETA, key="b", content="x" * 100)


async def test_files_are_closed_to_every_door_but_an_opened_folder(
    house: House, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text("canary")
    with pytest.raises(Forbidden, match="--allow-path"):
        await house.call("storage_put", local=True, key="a", path=str(tmp_path / "f"))
    house.local_paths = (tmp_path,)
    with pytest.raises(Invalid):  # not an argument over HTTP
        await house.call("storage_put", key="a", path=str(tmp_path / "f"))
    with pytest.raises(NotFound):
        await house.call("storage_stat", key="a")


@pytest.mark.parametrize(
    "path",
    [
        "../outside.txt",
        "/etc/passwd",
        "link",
        "dirlink/outside.txt",
        "fifo",
        "sub",
        ".",
        "absent",
        "sub/../../outside.txt",
        "x\0y",
        "~root/x",
        "device",
    ],
)
async def test_no_path_leads_out_of_the_folder_or_to_what_is_no_file(
    house: House, tmp_path: Path, path: str
) -> None:
    allowed = tmp_path / "allowed"
    (allowed / "sub").mkdir(parents=True)
    (tmp_path / "outside.txt").write_text("canary")
    (allowed / "link").symlink_to(tmp_path / "outside.txt")
    (allowed / "dirlink").symlink_to(tmp_path)
    (allowed / "device").symlink_to("/dev/zero")
    os.mkfifo(allowed / "fifo")
    house.local_paths = (allowed,)
    await house.call("storage_put", key="there", content="x")
    with pytest.raises((Forbidden, Invalid, NotFound)):
        await house.call("storage_put", local=True, key="a", path=path)
    if path not in ("absent",):
        with pytest.raises((Forbidden, Invalid, NotFound)):
            await house.call("storage_get", local=True, key="there", path=path)
    assert (tmp_path / "outside.txt").read_text() == "canary"
    assert [o["key"] for o in (await house.call("storage_list"))["items"]] == ["there"]


# --- what must work -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "encoding", "bytes_kept", "kind"),
    [
        ("hola ñandú", "utf-8", "hola ñandú".encode(), "text/plain; charset=utf-8"),
        ("", "utf-8", b"", "text/plain; charset=utf-8"),
        ("AAEC/w==", "base64", b"\x00\x01\x02\xff", "application/octet-stream"),
        ({"a": [1, None]}, "json", b'{"a":[1,null]}', "application/json"),
        ([1, 2], "json", b"[1,2]", "application/json"),
        (7, "json", b"7", "application/json"),
        (False, "json", b"false", "application/json"),
        ('{"a": 1}', "json", b'{"a": 1}', "application/json"),
        ("just text", "json", b'"just text"', "application/json"),
    ],
)
async def test_content_goes_in_and_comes_out_in_its_encoding(
    house: House, content: Any, encoding: str, bytes_kept: bytes, kind: str
) -> None:
    put = await house.call("storage_put", key="k", content=content, encoding=encoding)
    assert set(put) == {"key", "size", "sha256", "etag", "content_type", "updated_at"}
    assert (put["size"], put["content_type"]) == (len(bytes_kept), kind)
    got = await house.call("storage_get", key="k", encoding=encoding)
    assert got["encoding"] == encoding
    assert got["truncated"] is False
    assert got["etag"] == put["etag"]
    if encoding == "json":
        assert got["content"] == json.loads(bytes_kept)
    else:
        assert got["content"] == content
    raw = await house.call("storage_get", key="k", encoding="base64")
    assert base64.b64decode(raw["content"]) == bytes_kept
    assert await house.call("storage_stat", key="k") == put


async def test_without_an_encoding_text_is_text_and_bytes_are_base64(house: House) -> None:
    await house.call("storage_put", key="t", content="texto")
    await house.call("storage_put", key="b", content="/w==", encoding="base64")
    assert (await house.call("storage_get", key="t"))["encoding"] == "utf-8"
    shown = await house.call("storage_get", key="b")
    assert (shown["encoding"], shown["content"]) == ("base64", "/w==")
    with pytest.raises(Invalid, match="base64"):
        await house.call("storage_get", key="b", encoding="utf-8")
    with pytest.raises(Invalid, match="not JSON"):
        await house.call("storage_get", key="t", encoding="json")


@pytest.mark.parametrize(
    "text",
    ["x" * 100_000, "ñ" * 60_000, "\x01" * 60_000, '"\\' * 40_000, "😀" * 30_000, "aé" * 22_000],
)
@pytest.mark.parametrize("encoding", [None, "utf-8", "base64", "json"])
async def test_a_large_object_is_read_in_ranges_that_fit_and_lose_nothing(
    house: House, text: str, encoding: str | None
) -> None:
    body = text.encode()
    await house.call("storage_put", key="k" * 512, content=text)
    found, start = b"", 0
    for _ in range(100):
        got = await house.call("storage_get", key="k" * 512, encoding=encoding, range=f"{start}-")
        assert len(orjson.dumps(got)) <= MAX_RESULT
        piece = got["content"]
        found += base64.b64decode(piece) if got["encoding"] == "base64" else piece.encode()
        start = int(got.get("range", f"0-{len(body) - 1}").partition("-")[2]) + 1
        assert len(found) == start
        if not got["truncated"]:
            break
    assert found == body


async def test_a_range_is_exactly_what_was_asked(house: House) -> None:
    await house.call("storage_put", key="k", content="0123456789" * 100)
    got = await house.call("storage_get", key="k", range="bytes=0-99")
    assert got["content"] == "0123456789" * 10
    assert (got["truncated"], got["range"], got["size"]) == (False, "0-99", 1000)
    assert (await house.call("storage_get", key="k", range="-3"))["content"] == "789"


async def test_pages_of_a_listing_hold_everything_once_and_fit(house: House) -> None:
    keys = sorted(f"deep/{'x' * 400}/{n:03}" for n in range(60))
    for key in reversed(keys):
        await house.call("storage_put", key=key, content="1")
    await house.call("storage_put", key="other", content="1")
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await house.call("storage_list", prefix="deep/", limit=50, **cursor)
        assert len(orjson.dumps(page)) <= MAX_RESULT
        found += [o["key"] for o in page["items"]]
        if "next_cursor" not in page:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == keys


async def test_conditions_reach_the_store(house: House) -> None:
    first = await house.call("storage_put", key="k", content="1", if_none_match="*")
    with pytest.raises(PreconditionFailed):
        await house.call("storage_put", key="k", content="2", if_none_match="*")
    second = await house.call("storage_put", key="k", content="2", if_match=first["etag"])
    with pytest.raises(PreconditionFailed):
        await house.call("storage_delete", key="k", if_match=first["etag"])
    with pytest.raises(PreconditionFailed):
        await house.call("storage_copy", source="k", destination="k", if_none_match="*")
    assert await house.call("storage_delete", key="k", if_match=second["etag"]) == {
        "key": "k",
        "deleted": True,
    }


async def test_a_change_is_audited_once_whatever_the_size(house: House) -> None:
    await house.call("storage_put", key="small", content="x")
    await house.call("storage_put", key="big", content="x" * 100_000)
    await house.call("storage_copy", source="big", destination="copy")
    await house.call("storage_delete", key="big")
    await house.call("storage_get", key="copy")
    assert [name for name, _ in house.notes.audited] == [
        "storage_put",
        "storage_put",
        "storage_copy",
        "storage_delete",
    ]
    assert ("acme", "storage/copy") in house.world.changed


async def test_a_file_goes_in_and_out_of_an_allowed_folder(house: House, tmp_path: Path) -> None:
    house.local_paths = (tmp_path,)
    body = os.urandom(3_000_000)
    (tmp_path / "in.bin").write_bytes(body)
    (tmp_path / "alias").symlink_to("in.bin")
    for path in (str(tmp_path / "in.bin"), "in.bin", "alias"):
        put = await house.call("storage_put", local=True, key="k.png", path=path)
        assert (put["size"], put["content_type"]) == (3_000_000, "image/png")
    got = await house.call("storage_get", local=True, key="k.png", path="out.bin")
    assert (got["path"], got["size"], got["truncated"]) == ("out.bin", 3_000_000, False)
    assert "content" not in got
    assert (tmp_path / "out.bin").read_bytes() == body
    await house.call("storage_get", local=True, key="k.png", path="out.bin", range="0-9")
    assert (tmp_path / "out.bin").read_bytes() == body[:10]
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


async def test_a_resource_shows_text_as_text_and_bytes_as_bytes(house: House) -> None:
    await house.call("storage_put", key="a/b.json", content={"a": 1}, encoding="json")
    await house.call("storage_put", key="b.bin", content="/w==", encoding="base64")
    assert await house.call("storage_object", key="a/b.json") == ('{"a":1}', "application/json")
    assert await house.call("storage_object", key="b.bin") == (
        b"\xff",
        "application/octet-stream",
    )
    assert await house.call("storage_object.key", typed="a") == ["a/b.json"]
    assert await house.call("storage_object.key", typed="a%") == []


async def test_a_link_says_what_it_allows_and_hides_nothing_else(house: House) -> None:
    told = await house.call("storage_sign_url", key="k", method="PUT", max_bytes=10)
    assert set(told) == {"url", "method", "expires_at", "max_bytes"}
    assert told["url"].startswith("http://testserver/objects/")
    got = await house.call("storage_sign_url", key="k")
    assert set(got) == {"url", "method", "expires_at"}

"""Signed links: which open, and what a download is."""

import os
import time
from collections.abc import AsyncIterator

import httpx2
import pytest
from tests.support.links import MIB, PATCH, TUS, absent, begun, chunked, content, link, stored
from tests.support.storage import House, caller_of

from tause_mcp.routes import _doors
from tause_mcp.sealing import Seal
from tause_mcp.services.storage.links import Links

pytestmark = pytest.mark.anyio


async def refusals(web: httpx2.AsyncClient, url: str) -> set[tuple[int, str]]:
    answers = [
        await web.get(url),
        await web.put(url, content=b"evil"),
        await web.post(url, headers={**TUS, "Upload-Length": "4"}),
        await web.patch(url, headers={**PATCH, "Upload-Offset": "0"}, content=b"evil"),
        await web.delete(url, headers=TUS),
    ]
    assert (await web.head(url)).status_code == 404
    return {(a.status_code, a.text) for a in answers}


async def test_every_link_that_does_not_hold_is_refused_alike(
    house: House, web: httpx2.AsyncClient
) -> None:
    await stored(house, "k", b"canary")
    good = await link(house)
    token = good.rpartition("/")[2]
    told = set()
    now = time.time()
    for bad in (
        "x",
        "",
        token[:-1],
        token + "A",
        token[:-4] + "AAAA",
        "A" + token[1:],
        token[:30] + ("A" if token[30] != "A" else "B") + token[31:],
        "%00",
        token.upper(),
        Links(Seal(b"x" * 32), "").sign(caller_of(), "k", expires_in=60)["url"][9:],
        house.seal.close(["acme", "k"], "storage/link"),
        house.seal.close({"tenant": "acme"}, "storage/link"),
        house.seal.close(["acme", "k", "GET", now + 60, now, None, "s", "i", "", "", ""], "page"),
        house.seal.close(["../b", "k", "GET", now + 60, now, None, "s", "i", "", "", ""],
                         "storage/link"),
    ):  # fmt: skip
        if bad:
            told |= await refusals(web, f"{house.public_url}/objects/{bad}")
    expired = house.seal.close(
        ["acme", "k", "GET", now - 1, now - 9, None, "s", "i", "", "", ""], "storage/link"
    )
    told |= await refusals(web, f"{house.public_url}/objects/{expired}")
    assert len(told) == 1
    ((status, text),) = told
    assert status == 404
    assert "canary" not in text
    assert await content(house) == b"canary"


async def test_a_link_ends_with_its_key_and_with_its_tenant(
    house: House, web: httpx2.AsyncClient
) -> None:
    await stored(house, "k", b"canary")
    url = await link(house)
    assert (await web.get(url)).status_code == 200
    house.issued["k1"].revoked = True
    gone = await refusals(web, url)
    house.issued["k1"].revoked = False
    house.issued["k1"].expires_at = time.time() - 1
    gone |= await refusals(web, url)
    del house.issued["k1"]
    gone |= await refusals(web, url)
    house.issued["k1"] = type("Key", (), {"revoked": False, "expires_at": None})()
    house.since["acme"] = None  # deleted, or suspended
    gone |= await refusals(web, url)
    house.since["acme"] = time.time() + 1  # made again under the same name
    gone |= await refusals(web, url)
    assert len(gone) == 1
    house.since["acme"] = 1.0
    assert (await web.get(url)).status_code == 200


async def test_a_link_never_outlives_the_credential_that_made_it(house: House) -> None:
    caller = caller_of()
    short = type(caller)(caller.subject, caller.tenant, caller.scopes, expires_at=time.time() + 10)
    told = await house.call("storage_sign_url", caller=short, key="k", expires_in=3600)
    opened = Links(house.seal, "").open(told["url"].rpartition("/")[2])
    assert opened.expires_at == short.expires_at


async def test_a_link_is_one_permission_on_one_object(
    house: House, web: httpx2.AsyncClient
) -> None:
    await stored(house, "k", b"old")
    reads, writes = await link(house), await link(house, method="PUT")
    assert (await web.put(reads, content=b"evil")).status_code == 405
    assert (await web.delete(reads, headers=TUS)).status_code == 405
    assert (await web.post(reads, headers={**TUS, "Upload-Length": "1"})).status_code == 405
    assert (await web.get(writes)).status_code == 405
    assert (await web.delete(writes, headers=TUS)).status_code == 405
    assert await content(house) == b"old"


async def test_an_upload_is_not_reached_by_another_upload_s_address(
    house: House, web: httpx2.AsyncClient
) -> None:
    place = await begun(web, await link(house, "a", "PUT"), 4)
    opened = Links(house.seal, house.public_url)
    mine = opened.open(place.rpartition("/")[2])
    for changed in ({"tenant": "beta"}, {"key": "b"}, {"upload": "0" * 32}):
        forged = opened.url(
            type(mine)(**{**{n: getattr(mine, n) for n in mine.__slots__}, **changed})
        )
        answer = await web.patch(forged, headers={**PATCH, "Upload-Offset": "0"}, content=b"evil")
        assert answer.status_code == 404
        assert (await web.head(forged, headers=TUS)).status_code == 404
    assert (await web.head(place, headers=TUS)).headers["upload-offset"] == "0"


# --- downloads ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 10, 16_384, 16_385, 3 * MIB])
async def test_a_download_is_byte_for_byte(
    house: House, web: httpx2.AsyncClient, size: int
) -> None:
    body = os.urandom(size)
    await stored(house, "a/k.bin", body)
    url = await link(house, "a/k.bin")
    answer = await web.get(url)
    assert (answer.status_code, answer.content) == (200, body)
    assert answer.headers["content-length"] == str(size)
    head = await web.head(url)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "etag", "content-type", "accept-ranges", "repr-digest"):
        assert head.headers[name] == answer.headers[name]
    etag = answer.headers["etag"]
    for known in (etag, "*", f'"other", {etag}', f"W/{etag}"):
        cached = await web.get(url, headers={"If-None-Match": known})
        assert (cached.status_code, cached.content) == (304, b"")
    assert (await web.get(url, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_a_range_is_served_as_http_says(house: House, web: httpx2.AsyncClient) -> None:
    body = os.urandom(100_000)
    await stored(house, "k", body)
    url = await link(house)
    for span, start, end in [
        ("bytes=0-99", 0, 100),
        ("bytes=99990-", 99_990, 100_000),
        ("bytes=-10", 99_990, 100_000),
        ("bytes=50000-999999", 50_000, 100_000),
    ]:
        answer = await web.get(url, headers={"Range": span})
        assert (answer.status_code, answer.content) == (206, body[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/100000"
        assert answer.headers["content-length"] == str(end - start)
    for span in ("bytes=100000-", "bytes=5-1", "bytes=-0"):
        answer = await web.get(url, headers={"Range": span})
        assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */100000")
    for span in ("bytes=0-1,5-6", "items=0-1", "bytes=a-b", "bytes=-"):
        answer = await web.get(url, headers={"Range": span})
        assert (answer.status_code, len(answer.content)) == (200, 100_000)
    etag = answer.headers["etag"]
    same = await web.get(url, headers={"Range": "bytes=0-1", "If-Range": etag})
    other = await web.get(url, headers={"Range": "bytes=0-1", "If-Range": '"old"'})
    assert (same.status_code, other.status_code) == (206, 200)


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("text/html", "attachment"),
        ("image/svg+xml", "attachment"),
        ("application/xhtml+xml", "attachment"),
        ("application/pdf", "attachment"),
        ("text/javascript", "attachment"),
        ("application/octet-stream", "attachment"),
        ("image/png", "inline"),
        ("text/plain; charset=utf-8", "inline"),
        ("application/json", "inline"),
    ],
)
async def test_a_download_runs_nothing_in_a_browser(
    house: House, web: httpx2.AsyncClient, kind: str, shown: str
) -> None:
    await stored(house, "a/page", b"<script>1</script>", content_type=kind)
    answer = await web.get(await link(house, "a/page"))
    assert answer.headers["content-disposition"] == f'{shown}; filename="page"'
    assert answer.headers["content-type"] == kind
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "private" in answer.headers["cache-control"]


async def test_an_absent_object_is_not_found(house: House, web: httpx2.AsyncClient) -> None:
    answer = await web.get(await link(house, "never"))
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert (await web.head(await link(house, "never"))).status_code == 404


async def test_a_download_ends_when_its_tenant_is_closed_meanwhile(
    house: House, web: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_doors, "RECHECK", 0.0)
    await stored(house, "k", b"x" * (3 * MIB))
    url = await link(house)
    assert len((await web.get(url)).content) == 3 * MIB
    looks: list[str] = []

    async def closing(tenant: str) -> float | None:
        looks.append(tenant)
        return 1.0 if len(looks) < 3 else None

    monkeypatch.setattr(house, "active_since", closing)
    with pytest.raises(AssertionError):  # what this client says of an answer that is cut off
        await web.get(url)
    assert len(looks) == 3


async def test_an_upload_ends_when_its_key_is_revoked_meanwhile(
    house: House, web: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_doors, "RECHECK", 0.0)
    url = await link(house, method="PUT")
    sent = []

    async def body() -> AsyncIterator[bytes]:
        async for piece in chunked(b"x" * MIB):
            house.issued["k1"].revoked = len(sent) > 2
            sent.append(piece)
            yield piece

    answer = await web.put(url, content=body())
    assert answer.status_code == 404
    assert await absent(house)

"""Signed links: downloads, whole uploads and resumable ones."""

import base64
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.storage import House, caller_of, opened_house

from tause_mcp.errors import NotFound
from tause_mcp.sealing import Seal
from tause_mcp.services.storage.links import Links

pytestmark = pytest.mark.anyio
TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}
MIB = 1 << 20


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened_house(tmp_path / "house") as opened:
        yield opened


@pytest.fixture
async def web(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with house.http() as client:
        yield client


async def link(house: House, key: str = "k", method: str = "GET", **options: Any) -> str:
    told = await house.call("storage_sign_url", key=key, method=method, **options)
    return str(told["url"])


async def stored(house: House, key: str, body: bytes, **options: Any) -> None:
    await house.world.storage().put(key, body, **options)


async def content(house: House, key: str = "k") -> bytes:
    return await (await house.world.storage().open(key)).whole()


async def absent(house: House, key: str = "k") -> bool:
    try:
        await house.world.storage().stat(key)
    except NotFound:
        return True
    return False


async def begun(web: httpx2.AsyncClient, url: str, length: int, **headers: str) -> str:
    answer = await web.post(url, headers={**TUS, "Upload-Length": str(length), **headers})
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def sha256_header(body: bytes) -> str:
    return "sha256 " + base64.b64encode(hashlib.sha256(body).digest()).decode()


# --- links that must not open -------------------------------------------------------------------


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
    house.keys["k1"].revoked = True
    gone = await refusals(web, url)
    house.keys["k1"].revoked = False
    house.keys["k1"].expires_at = time.time() - 1
    gone |= await refusals(web, url)
    del house.keys["k1"]
    gone |= await refusals(web, url)
    house.keys["k1"] = type("Key", (), {"revoked": False, "expires_at": None})()
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


# --- whole uploads ------------------------------------------------------------------------------


async def chunked(body: bytes, step: int = 50_000) -> AsyncIterator[bytes]:
    for at in range(0, len(body), step):
        yield body[at : at + step]


@pytest.mark.parametrize("size", [0, 10, 3 * MIB])
@pytest.mark.parametrize("announced", [True, False])
async def test_a_put_stores_the_body(
    house: House, web: httpx2.AsyncClient, size: int, announced: bool
) -> None:
    body = os.urandom(size)
    url = await link(house, "a/k.png", "PUT")
    for _ in range(2):
        answer = await web.put(url, content=body if announced else chunked(body))
        assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told == await house.call("storage_stat", key="a/k.png")
    assert answer.headers["etag"] == f'"{told["etag"]}"'
    assert (told["content_type"], told["size"]) == ("image/png", size)
    assert await content(house, "a/k.png") == body
    assert house.notes.audited == [("object_upload", "key:k1")] * 2


async def test_a_put_that_must_not_be_leaves_the_old_object_and_no_blob(
    house: House, web: httpx2.AsyncClient
) -> None:
    await stored(house, "k", b"old")
    url = await link(house, "k", "PUT", max_bytes=100_000)
    big, right = os.urandom(100_001), os.urandom(50_000)
    wrong = {"Repr-Digest": f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"}
    for status, code, body, headers in [
        (413, "too_large", big, {}),
        (413, "too_large", chunked(big), {}),
        (412, "precondition_failed", right, {"If-None-Match": "*"}),
        (412, "precondition_failed", chunked(right), {"If-Match": '"0123456789abcdef-1"'}),
        (422, "invalid", right, {"If-Match": "what"}),
        (460, "invalid", right, wrong),
    ]:
        answer = await web.put(url, content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (status, code)
    house.limits["acme/storage"] = 40_000
    for body in (right, chunked(right)):
        answer = await web.put(url, content=body)
        assert (answer.status_code, answer.json()["error"]) == (429, "quota_exceeded")
    assert await content(house) == b"old"
    assert await house.world.swept() == {}
    assert house.notes.audited == []


async def test_a_put_checks_its_digest_and_keeps_its_type(
    house: House, web: httpx2.AsyncClient
) -> None:
    digest = base64.b64encode(hashlib.sha256(b"body").digest()).decode()
    url = await link(house, "k", "PUT")
    for stated, kept in [
        ("text/csv", "text/csv"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("application/x-www-form-urlencoded", "application/octet-stream"),
        ("nonsense", "application/octet-stream"),
    ]:
        headers = {"Content-Digest": f"sha-256=:{digest}:", "Content-Type": stated}
        answer = await web.put(url, content=b"body", headers=headers)
        assert answer.json()["content_type"] == kept


# --- resumable uploads --------------------------------------------------------------------------


async def test_the_protocol_is_announced(house: House, web: httpx2.AsyncClient) -> None:
    answer = await web.options(await link(house, "k", "PUT"))
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-checksum-algorithm"] == "sha256"
    assert {"creation", "checksum", "expiration", "termination"} <= set(
        answer.headers["tus-extension"].split(",")
    )


async def test_another_protocol_version_is_refused(house: House, web: httpx2.AsyncClient) -> None:
    url = await link(house, "k", "PUT")
    place = await begun(web, url, 4)
    for headers in ({}, {"Tus-Resumable": "0.2.2"}):
        for answer in (
            await web.post(url, headers={"Upload-Length": "4", **headers}),
            await web.head(place, headers=headers),
            await web.patch(place, headers={**PATCH, "Tus-Resumable": "9", "Upload-Offset": "0"}),
            await web.delete(place, headers=headers),
        ):
            assert (answer.status_code, answer.headers["tus-version"]) == (412, "1.0.0")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 422),
        ({"Upload-Length": "-1"}, 422),
        ({"Upload-Length": "1e3"}, 422),
        ({"Upload-Length": "9" * 30}, 422),
        ({"Upload-Length": "1001"}, 413),
        ({"Upload-Length": "5", "Upload-Metadata": "sha256 !!!"}, 422),
        ({"Upload-Length": "5", "Upload-Metadata": "sha256 YWJj"}, 422),
    ],
)
async def test_an_upload_that_cannot_be_is_not_begun(
    house: House, web: httpx2.AsyncClient, headers: dict[str, str], status: int
) -> None:
    url = await link(house, "k", "PUT", max_bytes=1000)
    assert (await web.post(url, headers={**TUS, **headers})).status_code == status
    assert (await house.world.storage().usage()).reserved == 0


async def test_a_promise_counts_against_the_quota_until_it_is_kept_or_given_up(
    house: House, web: httpx2.AsyncClient
) -> None:
    house.limits["acme/storage"] = 100_000
    url = await link(house, "k", "PUT")
    place = await begun(web, url, 60_000)
    assert (await web.post(url, headers={**TUS, "Upload-Length": "40001"})).status_code == 429
    assert (await web.put(await link(house, "b", "PUT"), content=b"x" * 40_001)).status_code == 429
    assert (await web.delete(place, headers=TUS)).status_code == 204
    assert (await web.delete(place, headers=TUS)).status_code == 404
    place = await begun(web, url, 100_000)
    headers = {**PATCH, "Upload-Offset": "0"}
    answer = await web.patch(place, headers=headers, content=os.urandom(100_000))
    assert answer.status_code == 204
    usage = await house.world.storage().usage()
    assert (usage.bytes, usage.objects, usage.reserved) == (100_000, 1, 0)


async def test_an_upload_goes_on_where_it_stopped_also_after_a_restart(tmp_path: Path) -> None:
    body = os.urandom(11 * MIB)
    whole = base64.b64encode(hashlib.sha256(body).hexdigest().encode()).decode()
    kind = base64.b64encode(b"video/mp4").decode()

    async def interrupted(until: int) -> AsyncIterator[bytes]:
        for at in range(0, until, 100_000):
            yield body[at : min(at + 100_000, until)]
        raise ConnectionResetError("the cable")

    async with opened_house(tmp_path / "house") as house, house.http() as web:
        metadata = f"filename eA==,filetype {kind},sha256 {whole}"
        url = await link(house, "v", "PUT")
        place = await begun(web, url, len(body), **{"Upload-Metadata": metadata})
        at = {**PATCH, "Upload-Offset": "0"}
        await web.patch(place, headers=at, content=interrupted(5_123_456))
    async with opened_house(tmp_path / "house") as house, house.http() as web:
        await house.world.swept()
        told = await web.head(place, headers=TUS)
        assert told.status_code == 200
        offset = int(told.headers["upload-offset"])
        assert 4 * MIB <= offset <= 5_123_456
        assert told.headers["upload-length"] == str(len(body))
        assert told.headers["cache-control"] == "no-store"
        stale = await web.patch(place, headers={**PATCH, "Upload-Offset": "0"}, content=b"x")
        assert stale.status_code == 409
        rest = await web.patch(
            place, headers={**PATCH, "Upload-Offset": str(offset)}, content=chunked(body[offset:])
        )
        assert (rest.status_code, rest.headers["upload-offset"]) == (204, str(len(body)))
        assert await content(house, "v") == body
        assert (await house.world.storage().stat("v")).content_type == "video/mp4"
        again = await web.head(place, headers=TUS)
        assert again.headers["upload-offset"] == str(len(body))
        assert len(await house.world.swept()) == 1
        assert await content(house, "v") == body


async def test_what_arrived_before_the_client_went_away_is_kept(
    house: House, web: httpx2.AsyncClient
) -> None:
    """A disconnect as the server sees it: the body ends without its end."""
    place = await begun(web, await link(house, "k", "PUT"), 1000)
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"a" * 300, "more_body": True},
        {"type": "http.request", "body": b"b" * 100, "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        raise AssertionError("nobody listens")

    from tause_mcp.routes.storage import SignedObjects

    headers = [(n.lower().encode(), v.encode()) for n, v in {**PATCH, "Upload-Offset": "0"}.items()]
    scope = {
        "type": "http",
        "method": "PATCH",
        "path": "/",
        "headers": headers,
        "query_string": b"",
        "path_params": {"signed": place.rpartition("/")[2]},
    }
    await SignedObjects(house)(scope, receive, send)
    assert (await web.head(place, headers=TUS)).headers["upload-offset"] == "400"
    rest = {**PATCH, "Upload-Offset": "400"}
    assert (await web.patch(place, headers=rest, content=b"c" * 600)).status_code == 204
    assert await content(house) == b"a" * 300 + b"b" * 100 + b"c" * 600


async def test_a_chunk_with_a_wrong_checksum_is_dropped_and_sent_again(
    house: House, web: httpx2.AsyncClient
) -> None:
    body = os.urandom(5 * MIB)
    place = await begun(web, await link(house, "k", "PUT"), len(body))
    at = {**PATCH, "Upload-Offset": "0"}
    for checksum, status in [
        (sha256_header(b"other"), 460),
        ("sha256 short", 422),
        ("md5 1B2M2Y8AsgTpgAmY7PhCfg==", 400),
    ]:
        answer = await web.patch(
            place, headers={**at, "Upload-Checksum": checksum}, content=chunked(body)
        )
        assert answer.status_code == status
        assert (await web.head(place, headers=TUS)).headers["upload-offset"] == "0"
    headers = {**at, "Upload-Checksum": sha256_header(body)}
    assert (await web.patch(place, headers=headers, content=body)).status_code == 204
    assert await content(house) == body
    assert len(await house.world.swept()) == 1


async def test_a_whole_with_a_wrong_sha256_is_no_object(
    house: House, web: httpx2.AsyncClient
) -> None:
    wrong = base64.b64encode(b"0" * 64).decode()
    await stored(house, "k", b"old")
    url = await link(house, "k", "PUT")
    place = await begun(web, url, 30_000, **{"Upload-Metadata": f"sha256 {wrong}"})
    at = {**PATCH, "Upload-Offset": "0"}
    assert (await web.patch(place, headers=at, content=os.urandom(30_000))).status_code == 460
    assert (await web.head(place, headers=TUS)).status_code == 404
    assert await content(house) == b"old"
    assert await house.world.swept() == {}
    assert (await house.world.storage().usage()).reserved == 0


async def test_more_bytes_than_announced_are_refused(house: House, web: httpx2.AsyncClient) -> None:
    place = await begun(web, await link(house, "k", "PUT"), 10)
    answer = await web.patch(place, headers={**PATCH, "Upload-Offset": "0"}, content=b"x" * 11)
    assert answer.status_code == 413
    assert await absent(house)
    other = await web.patch(place, headers={**TUS, "Upload-Offset": "0"}, content=b"x" * 10)
    assert other.status_code == 415
    missing = await web.patch(place, headers=PATCH, content=b"x" * 10)
    assert missing.status_code == 422
    full = await web.patch(place, headers={**PATCH, "Upload-Offset": "0"}, content=b"x" * 10)
    assert full.status_code == 204


async def test_an_expired_upload_is_over_and_leaves_nothing(
    house: House, web: httpx2.AsyncClient
) -> None:
    place = await begun(web, await link(house, "k", "PUT"), 50_000)
    at = {**PATCH, "Upload-Offset": "0"}
    assert (await web.patch(place, headers=at, content=b"x" * 40_000)).status_code == 204
    from tause_mcp.times import now

    assert await house.world.sweep.expire(now() + 2 * 86_400 * 10**6) == 1
    assert (await web.head(place, headers=TUS)).status_code == 404
    answer = await web.patch(place, headers={**PATCH, "Upload-Offset": "40000"}, content=b"x")
    assert answer.status_code == 404
    assert await house.world.swept() == {}
    assert (await house.world.storage().usage()).reserved == 0


@pytest.mark.parametrize("size", [0, 5, 20_000])
async def test_an_upload_may_bring_its_bytes_at_once(
    house: House, web: httpx2.AsyncClient, size: int
) -> None:
    body = os.urandom(size)
    url = await link(house, "k", "PUT")
    answer = await web.post(url, headers={**PATCH, "Upload-Length": str(size)}, content=body)
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, str(size))
    assert await content(house) == body


async def test_a_method_may_be_stated_in_a_header(house: House, web: httpx2.AsyncClient) -> None:
    place = await begun(web, await link(house, "k", "PUT"), 4)
    headers = {**PATCH, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert (await web.post(place, headers=headers, content=b"body")).status_code == 204
    assert await content(house) == b"body"


async def test_a_crash_before_the_end_is_finished_by_the_next_question(
    house: House, web: httpx2.AsyncClient
) -> None:
    """All bytes are recorded, then the process dies: HEAD makes the object."""
    place = await begun(web, await link(house, "k", "PUT"), 30_000)
    identifier = Links(house.seal, "").open(place.rpartition("/")[2]).upload
    uploads = house.world.uploads()
    await uploads.append(await uploads.status(identifier), 0, chunked(b"z" * 30_000))
    assert await absent(house)
    assert (await web.head(place, headers=TUS)).headers["upload-offset"] == "30000"
    assert await content(house) == b"z" * 30_000

"""Resumable uploads over signed links."""

import base64
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.links import (
    MIB,
    PATCH,
    TUS,
    absent,
    begun,
    chunked,
    content,
    link,
    sha256_header,
    stored,
)
from tests.support.storage import House, opened_house

from tause_mcp.services.storage.links import Links

pytestmark = pytest.mark.anyio


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
    await house.world.age_uploads()
    assert await house.world.sweep.expire() == 1
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

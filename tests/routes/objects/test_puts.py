"""Whole uploads over signed links."""

import base64
import hashlib
import os

import httpx2
import pytest
from tests.support.links import (
    MIB,
    chunked,
    content,
    link,
    stored,
)
from tests.support.storage import House

pytestmark = pytest.mark.anyio


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

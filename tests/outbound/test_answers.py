"""What the guarded client makes of answers, and its patience."""

import asyncio
import gzip
import socket
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from tests.support.outbound import OK, QUICK, reply, serving, status, trusting

from tause_mcp.errors import DeadlineExceeded, ProviderError, TauseError, Unavailable
from tause_mcp.outbound import Answer, Outbound, Policy
from tause_mcp.outbound.answer import bounded

pytestmark = pytest.mark.anyio


async def test_a_redirect_is_returned_and_never_followed() -> None:
    answer = b"HTTP/1.1 302 Found\r\nlocation: /inside\r\ncontent-length: 0\r\n\r\n"
    async with serving(answer) as server, trusting() as client:
        found = await client.request("GET", server.url)
        assert found.status == 302
        assert len(server.requests) == 1
        with pytest.raises(ProviderError, match="redirect"):
            found.required()


async def test_a_gzip_answer_is_decoded() -> None:
    async with (
        serving(reply(gzip.compress(b'{"a": 1}'), "content-encoding: gzip")) as server,
        trusting() as client,
    ):
        assert (await client.request("GET", server.url)).json() == {"a": 1}


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"x" * 2001),
        reply(gzip.compress(b"\0" * 50_000_000), "content-encoding: gzip"),
        b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 10_000,
    ],
    ids=["plain", "bomb", "unannounced"],
)
async def test_an_answer_over_the_limit_is_refused_while_it_arrives(answer: bytes) -> None:
    async with serving(answer) as server, trusting() as client:
        with pytest.raises(ProviderError, match="larger than 2000 bytes"):
            await client.request("GET", server.url, policy=Policy(max_bytes=2000))


async def test_a_bomb_never_unfolds_in_memory() -> None:
    async def one_chunk() -> AsyncIterator[bytes]:
        yield bomb

    bomb = gzip.compress(b"\0" * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(ProviderError):
            await bounded(one_chunk(), "gzip", 2000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


async def test_an_answer_of_exactly_the_limit_passes() -> None:
    for answer in (
        reply(b"x" * 2000),
        reply(gzip.compress(b"x" * 2000), "content-encoding: gzip"),
    ):
        async with serving(answer) as server, trusting() as client:
            found = await client.request("GET", server.url, policy=Policy(max_bytes=2000))
            assert found.content == b"x" * 2000


@pytest.mark.parametrize(
    "answer",
    [
        reply(zlib.compress(b"x"), "content-encoding: deflate"),
        reply(b"x", "content-encoding: br"),
        reply(b"not gzip", "content-encoding: gzip"),
        reply(gzip.compress(b"x" * 100)[:-9], "content-encoding: gzip"),
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
        b"SMTP ready\r\n\r\n",
    ],
    ids=["deflate", "brotli", "garbage", "cut", "short", "not http"],
)
async def test_an_answer_that_cannot_be_read_is_the_providers_error(answer: bytes) -> None:
    async with serving(answer) as server, trusting() as client:
        with pytest.raises((ProviderError, DeadlineExceeded)):
            await client.request("GET", server.url, policy=Policy(deadline=0.5, attempts=1))


async def test_the_answer_to_head_has_no_body_to_decode() -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 0\r\n\r\n"
    async with serving(answer) as server, trusting() as client:
        assert (await client.request("HEAD", server.url)).content == b""


def test_a_success_is_given_back_as_it_is() -> None:
    answer = Answer(204, {}, b"")
    assert answer.required() is answer


async def test_what_is_not_json_is_the_providers_error() -> None:
    for body in (b"<html>", b"[" * 100_000, b"\xff"):
        with pytest.raises(ProviderError, match="not JSON"):
            Answer(200, {}, body).json()


@pytest.mark.parametrize(
    ("status", "kind"), [(400, ProviderError), (404, ProviderError), (429, Unavailable)]
)
def test_a_status_that_is_no_success_is_a_failure_on_demand(
    status: int, kind: type[TauseError]
) -> None:
    with pytest.raises(kind, match=str(status)) as failed:
        Answer(status, {"retry-after": "7"}, b"").required()
    assert failed.value.retry_after == (7.0 if kind is Unavailable else None)


async def test_an_idempotent_request_is_tried_again() -> None:
    async with serving(status(503), b"garbage\r\n\r\n", OK) as server, trusting() as client:
        assert (await client.request("GET", server.url, policy=QUICK)).content == b"ok"
        assert len(server.requests) == 3


async def test_the_last_failure_is_returned_when_patience_ends() -> None:
    async with serving(status(503)) as server, trusting() as client:
        assert (await client.request("PUT", server.url, policy=QUICK)).status == 503
        assert len(server.requests) == 3


@pytest.mark.parametrize("answer", [status(503), b""], ids=["503", "hang-up"])
async def test_a_post_that_may_have_arrived_is_sent_once(answer: bytes) -> None:
    async with serving(answer) as server, trusting() as client:
        try:
            found = await client.request("POST", server.url, content=b"{}", policy=QUICK)
            assert found.status == 503
        except ProviderError:
            pass
        assert len(server.requests) == 1


async def test_a_post_with_an_idempotency_key_is_tried_again_with_the_same_body() -> None:
    async with serving(status(502), OK) as server, trusting() as client:
        await client.request("POST", server.url, content=b"hi", policy=QUICK, idempotent=True)
        assert [r[-2:] for r in server.requests] == [b"hi", b"hi"]


async def test_a_post_that_never_left_is_tried_again() -> None:
    lookups = 0

    async def resolve(host: str, port: int) -> Sequence[str]:
        nonlocal lookups
        lookups += 1
        return ["127.0.0.1" if lookups > 1 else "127.0.0.2"]

    async with serving(OK) as server, Outbound(trusted=True, resolve=resolve) as client:
        found = await client.request("POST", server.url, content=b"x", policy=QUICK)
        assert (found.status, lookups, len(server.requests)) == (200, 2, 1)


async def test_retry_after_is_waited_for_when_it_fits_the_deadline() -> None:
    async with serving(status(429, "retry-after: 0.3"), OK) as server, trusting() as client:
        began = asyncio.get_running_loop().time()
        assert (await client.request("GET", server.url, policy=QUICK)).status == 200
        assert asyncio.get_running_loop().time() - began >= 0.3


async def test_a_retry_after_beyond_the_deadline_is_given_back_at_once() -> None:
    async with serving(status(429, "retry-after: 600"), OK) as server, trusting() as client:
        found = await client.request("GET", server.url, policy=QUICK)
        assert (found.status, found.retry_after(), len(server.requests)) == (429, 600.0, 1)


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [
        ("", None),
        ("5", 5.0),
        ("-5", 0.0),
        ("999999999", 3600.0),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 99999999999 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_bounded(stated: str, seconds: float | None) -> None:
    assert Answer(503, {"retry-after": stated}, b"").retry_after() == seconds


def test_retry_after_reads_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    waited = Answer(503, {"retry-after": date}, b"").retry_after()
    assert waited is not None and 50 < waited <= 60


async def test_a_host_that_drips_is_cut_off_at_the_deadline() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        try:
            for _ in range(100):
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with listener, trusting() as client:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(DeadlineExceeded):
            await client.request("GET", f"http://slow.example.com:{port}/", policy=Policy(0.2))


async def test_a_connection_that_breaks_is_unavailable() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.close()

    listener = await asyncio.start_server(reset, "127.0.0.1", 0)
    async with listener, trusting() as client:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable):
            await client.request("GET", f"http://x.example.com:{port}/", policy=QUICK)


async def test_a_host_that_refuses_is_unavailable_without_naming_an_address() -> None:
    async with trusting() as client:
        with pytest.raises(Unavailable) as failed:
            await client.request("GET", "http://api.example.com:1/", policy=QUICK)
        assert "127.0.0.1" not in str(failed.value)
